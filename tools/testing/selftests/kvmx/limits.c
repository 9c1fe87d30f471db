// SPDX-License-Identifier: GPL-2.0
/*
 * What an opener can make the kernel hold is accounted to it, and ends where its control group's
 * limit ends: it alone gets no more, or is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/kx.h"
#include "lib/vm.h"

#define ROOT "/tmp/kvmx-cgroup"
#define GROUP ROOT "/limits"
/* Each tracker has a bit for each page. */
#define MANY_PAGES (64 * GIB / PAGE_SIZE)
#define TRACKER_BYTES (MANY_PAGES / 8)

FIXTURE(limits) {
	int refs;
	int kvm_refs;
};

static int put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static long get(const char *file, const char *key)
{
	FILE *f = fopen(file, "r");
	char word[64] = "";
	long value = -1;

	if (!f)
		return -1;
	if (!*key && fscanf(f, "%ld", &value) != 1)
		value = -1;
	while (*key && fscanf(f, "%63s %ld", word, &value) == 2 && strcmp(word, key))
		value = -1;
	fclose(f);
	return value;
}

FIXTURE_SETUP(limits)
{
	self->refs = module_refs();
	self->kvm_refs = kvm_refs();
	mkdir(ROOT, 0700);
	ASSERT_EQ(0, mount("none", ROOT, "cgroup2", 0, NULL));
	ASSERT_EQ(0, put(ROOT "/cgroup.subtree_control", "+memory"));
	ASSERT_EQ(0, mkdir(GROUP, 0700));
}

FIXTURE_TEARDOWN(limits)
{
	int i;

	EXPECT_TRUE(module_refs_become(self->refs));
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs));
	/* It is empty when its processes have been waited for, or a moment later. */
	for (i = 0; i < 500 && rmdir(GROUP); i++)
		sleep_ms(10);
	EXPECT_GT(500, i);
	EXPECT_EQ(0, umount2(ROOT, MNT_DETACH));
	rmdir(ROOT);
}

/* A VMM in the group with as many trackers as there may be: how many it got, or -errno. */
static int with_trackers(uint64_t *bytes)
{
	struct kvmx_vm_stats stats;
	static struct vm vm;
	int handle, i, t;

	if (put(GROUP "/cgroup.procs", "0") || vm_create_bare(&vm, 0) ||
	    vm_add_slot(&vm, 1, VM_DATA_GFN, MANY_PAGES, MEM_RESERVE, 0))
		return -EIO;
	handle = kx_vm(vm.fd);
	if (handle < 0)
		return handle;
	for (i = 0; i < KVMX_MAX_TRACKERS; i++) {
		t = kx_tracker(handle, 0);
		if (t < 0)
			return i ? i : t;
	}
	if (kx_vm_stats(handle, &stats))
		return -EIO;
	*bytes = stats.bytes;
	return i;
}

TEST_F(limits, accounted)
{
	uint64_t bytes = 0;
	long before, after;
	int status;
	pid_t child;

	child = fork();
	if (!child) {
		put(GROUP "/cgroup.procs", "0");
		before = get(GROUP "/memory.current", "");
		if (with_trackers(&bytes) != KVMX_MAX_TRACKERS)
			_exit(1);
		after = get(GROUP "/memory.current", "");
		printf("# %lu bytes held, %ld accounted\n", bytes, after - before);
		fflush(stdout);
		if (bytes < KVMX_MAX_TRACKERS * TRACKER_BYTES)
			_exit(2);
		/* The VM itself is accounted, too, but is not counted by kvmx. */
		_exit(before > 0 && after - before >= (long)bytes ? 0 : 3);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

/* Half of what it wants, which is plenty for a VM. */
TEST_F(limits, limited)
{
	uint64_t bytes = 0;
	char text[32];
	int status, ret;
	pid_t child;

	snprintf(text, sizeof(text), "%lu", (KVMX_MAX_TRACKERS / 2) * TRACKER_BYTES + 4 * MIB);
	ASSERT_EQ(0, put(GROUP "/memory.max", text));
	child = fork();
	if (!child) {
		ret = with_trackers(&bytes);
		_exit(ret < 0 ? 100 : ret);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	/* Refused one, or out of memory in its own group; never all it asked for. */
	if (WIFSIGNALED(status)) {
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
		EXPECT_LT(0, get(GROUP "/memory.events", "oom_kill"));
	} else {
		EXPECT_GT(KVMX_MAX_TRACKERS, WEXITSTATUS(status));
	}
	EXPECT_LE(get(GROUP "/memory.peak", ""),
		  (long)((KVMX_MAX_TRACKERS / 2) * TRACKER_BYTES + 4 * MIB));
}

TEST_HARNESS_MAIN
