// SPDX-License-Identifier: GPL-2.0
/*
 * The policy over KSM when things go wrong: VMMs that are killed in the middle, hosts without
 * memory, and others who write to KSM's knobs.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lib/ksm.h"
#include "lib/kx.h"
#include "lib/util.h"

#define PAGES 1024UL
#define TIMEOUT 120

FIXTURE(rough) {
	struct ksm_bed bed;
};

FIXTURE_SETUP(rough)
{
	ASSERT_EQ(0, ksm_bed_open(&self->bed));
}

FIXTURE_TEARDOWN(rough)
{
	EXPECT_TRUE(ksm_bed_close(&self->bed));
}

/* A VMM with two areas of the same contents. */
static int start(struct peer *p, uint64_t npages, uint32_t mode, uint32_t flags)
{
	uint64_t pages[] = { npages, npages };
	int ret;

	ret = peer_start(p, 2, pages, MEM_ANON);
	if (!ret)
		ret = peer_fill(p, 0, 0, npages, 4);
	if (!ret)
		ret = peer_fill(p, 1, 0, npages, 4);
	return ret ?: ksm_vm_set(p, mode, NULL, flags);
}

static bool vms_become(int sys, uint32_t nr)
{
	int ms;

	for (ms = 0; ms < 10000 && ksm_host_get(sys).nr_vms != nr; ms += 20)
		sleep_ms(20);
	return ksm_host_get(sys).nr_vms == nr;
}

/* The policy still does its work. */
static bool still_merges(struct ksm_bed *bed, const struct kvmx_ksm_policy *policy)
{
	struct peer *p = &bed->peer[KSM_PEERS - 1];

	return !start(p, PAGES, KVMX_KSM_ALWAYS, 0) && ksm_epoch_passes(bed->sys, policy) &&
	       peer_shared(p, 0, p, 1) >= (long)PAGES - 4;
}

FIXTURE(killed) {
	struct ksm_bed bed;
};

FIXTURE_VARIANT(killed) {
	uint32_t state;
};

FIXTURE_VARIANT_ADD(killed, looking) { .state = KVMX_KSM_HOST_STATE_SAMPLING };
FIXTURE_VARIANT_ADD(killed, settling) { .state = KVMX_KSM_HOST_STATE_SETTLING };
FIXTURE_VARIANT_ADD(killed, epoch) { .state = KVMX_KSM_HOST_STATE_EPOCH };

FIXTURE_SETUP(killed)
{
	ASSERT_EQ(0, ksm_bed_open(&self->bed));
}

FIXTURE_TEARDOWN(killed)
{
	EXPECT_TRUE(ksm_bed_close(&self->bed));
}

TEST_F_TIMEOUT(killed, in_the_middle, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *p = self->bed.peer;
	int i;

	policy.settle_ns = 300000000;
	/* So that what is waited for does not pass unseen. */
	policy.cpu_permille = 200;
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, start(p, 4 * PAGES, KVMX_KSM_ALWAYS, i ? KVMX_VM_KSM_KEEP : 0));
		ASSERT_TRUE(ksm_state_becomes(self->bed.sys, variant->state));
		sleep_ms(7 * i);
		peer_kill(p);
		EXPECT_TRUE(vms_become(self->bed.sys, 0));
		EXPECT_TRUE(kvm_refs_become(self->bed.kvm_refs));
	}
	policy = ksm_quick();
	EXPECT_TRUE(still_merges(&self->bed, &policy));
}

/* Switches merging off for a VM in a process of its own. */
static pid_t unmerge(const struct peer *p)
{
	pid_t child = fork();

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(-ksm_vm_set(p, KVMX_KSM_OFF, NULL, 0));
	}
	return child;
}

/* The VMM, or who switches it off, is killed while its memory is unmerged. */
TEST_F_TIMEOUT(rough, killed_unmerging, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *p = self->bed.peer;
	int i, status;
	pid_t child;

	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, start(p, 4 * PAGES, KVMX_KSM_ALWAYS, 0));
		ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
		EXPECT_LE((long)(4 * PAGES) - 16, peer_shared(p, 0, p, 1));
		child = unmerge(p);
		ASSERT_LT(0, child);
		sleep_ms(20 * (i / 2 + 1));
		if (i & 1)
			kill(child, SIGKILL);
		else
			kill(p->pid, SIGKILL);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		if (i & 1)
			/* What it was to do is done all the same. */
			EXPECT_EQ(0, peer_verify(p, 1, 0, 4 * PAGES, 4));
		peer_kill(p);
		EXPECT_TRUE(vms_become(self->bed.sys, 0));
		EXPECT_TRUE(kvm_refs_become(self->bed.kvm_refs));
	}
	EXPECT_TRUE(still_merges(&self->bed, &policy));
}

static uint64_t available_bytes(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib << 10;
}

/* A process that takes memory until only @bytes are available. */
static pid_t take_memory(uint64_t bytes)
{
	int pair[2];
	pid_t child;
	char done;

	if (pipe(pair))
		return -errno;
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (available_bytes() > bytes)
			if (mmap(NULL, MIB, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
				_exit(1);
		if (write(pair[1], "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(pair[1]);
	if (read(pair[0], &done, 1) != 1) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		child = -ENOMEM;
	}
	close(pair[0]);
	return child;
}

/*
 * There is memory for half of what is to be unmerged. It stops before that is used up, and nobody
 * is killed for it.
 */
TEST_F_TIMEOUT(rough, no_memory, TIMEOUT)
{
	const uint64_t pages = 64 * MIB / PAGE_SIZE, reserve = 96 * MIB;
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *p = self->bed.peer;
	long oom = ksm_vm_counter("oom_kill");
	uint64_t least;
	pid_t hog;

	policy.reserve = reserve;
	ASSERT_EQ(0, peer_start(p, 1, &pages, MEM_ANON));
	ASSERT_EQ(0, peer_fill(p, 0, 0, pages, PEER_SAME | 4));
	ASSERT_EQ(0, ksm_vm_set(p, KVMX_KSM_ALWAYS, NULL, 0));
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE((long)pages - 16, peer_merged(p, 0));
	hog = take_memory(reserve + 32 * MIB);
	ASSERT_LT(0, hog);
	EXPECT_EQ(-ENOMEM, ksm_vm_set(p, KVMX_KSM_OFF, NULL, 0));
	EXPECT_EQ(-ENOMEM, ksm_host_off(self->bed.sys));
	least = available_bytes();
	ksft_print_msg("merged %ld of %llu, %llu MiB available\n", peer_merged(p, 0),
		       (unsigned long long)pages, (unsigned long long)(least / MIB));
	/* Some more may have been taken by others. */
	EXPECT_LE(reserve / 2, least);
	EXPECT_LT(0, peer_merged(p, 0));
	EXPECT_EQ(KVMX_KSM_ALWAYS, ksm_vm_get(p).mode);
	EXPECT_EQ(KVMX_KSM_HOST_ON, ksm_host_get(self->bed.sys).policy.mode);
	EXPECT_EQ(oom, ksm_vm_counter("oom_kill"));
	EXPECT_EQ(0, kill(p->pid, 0));
	EXPECT_EQ(0, kill(hog, 0));
	kill(hog, SIGKILL);
	ASSERT_EQ(hog, waitpid(hog, NULL, 0));
	EXPECT_EQ(0, ksm_vm_set(p, KVMX_KSM_OFF, NULL, 0));
	EXPECT_EQ(0, peer_merged(p, 0));
	EXPECT_EQ(0, peer_verify(p, 0, 0, pages, PEER_SAME | 4));
}

/* Values that kvmx never gives a knob. */
static const struct {
	const char *name;
	const char *value;
} writes[] = {
	{ "pages_to_scan", "77" },
	{ "sleep_millisecs", "4321" },
	{ "run", "2" },
};

/* Others write to a knob at any moment: kvmx lets go, and does not write it again. */
TEST_F_TIMEOUT(rough, knobs, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *p = self->bed.peer;
	uint32_t seed = 17, i, w;
	char before[KSM_KNOB_LEN];

	policy.interval_ns = 100000000;
	policy.settle_ns = 20000000;
	for (i = 0; i < 12; i++) {
		/* Something to merge each time. */
		ASSERT_EQ(0, start(p, PAGES, KVMX_KSM_ALWAYS, 0));
		w = i % ARRAY_SIZE(writes);
		ksm_read_knob(writes[w].name, before, sizeof(before));
		ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, KVMX_KSM_HOST_TAKE));
		ASSERT_EQ(KVMX_KSM_KNOBS_OWNED, ksm_host_get(self->bed.sys).knobs);
		sleep_ms(next_random(&seed) % 400);
		ASSERT_EQ(0, ksm_set_knob(writes[w].name, writes[w].value));
		EXPECT_TRUE(ksm_knobs_become(self->bed.sys, KVMX_KSM_KNOBS_LOST));
		EXPECT_STREQ(writes[w].name, ksm_host_get(self->bed.sys).knob);
		EXPECT_TRUE(ksm_state_leaves(self->bed.sys, KVMX_KSM_HOST_STATE_EPOCH,
					     1000 * time_scale()));
		EXPECT_EQ(atol(writes[w].value), ksm_knob(writes[w].name));
		sleep_ms(300);
		EXPECT_EQ(atol(writes[w].value), ksm_knob(writes[w].name));
		EXPECT_EQ(0, peer_verify(p, 1, 0, PAGES, 4));
		/* It is whoever wrote it that has to put it back. */
		ASSERT_EQ(0, ksm_set_knob(writes[w].name, before));
		peer_stop(p);
	}
	EXPECT_EQ(0, ksm_host_off(self->bed.sys));
}

static bool knob_becomes(const char *name, long value)
{
	int ms;

	for (ms = 0; ms < 10000 && ksm_knob(name) != value; ms += 10)
		sleep_ms(10);
	return ksm_knob(name) == value;
}

/* kvmx has let go of the knobs because of this one, and does not write it any more. */
static bool lets_go(int sys, const char *name, long value)
{
	struct kvmx_ksm_host_get host;

	if (!ksm_knobs_become(sys, KVMX_KSM_KNOBS_LOST))
		return false;
	host = ksm_host_get(sys);
	sleep_ms(300);
	if (!strcmp(name, host.knob) && ksm_knob(name) == value)
		return true;
	printf("# lost %s, not %s; it is %ld, not %ld\n", host.knob, name, ksm_knob(name), value);
	return false;
}

/*
 * smart_scan is off during epochs alone: a write is one that changes it. So that it is known what
 * does, there is nothing to merge first, and then an epoch of many seconds.
 */
TEST_F_TIMEOUT(rough, smart_scan, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	int sys = self->bed.sys;

	if (ksm_knob("smart_scan") < 0)
		SKIP(return, "KSM does not skip pages in this kernel");
	ASSERT_EQ(1, ksm_knob("smart_scan"));
	ASSERT_EQ(0, ksm_host_set(sys, &policy, 0));
	ASSERT_EQ(KVMX_KSM_KNOBS_OWNED, ksm_host_get(sys).knobs);
	ASSERT_EQ(0, ksm_set_knob("smart_scan", "0"));
	EXPECT_TRUE(lets_go(sys, "smart_scan", 0));
	ASSERT_EQ(0, ksm_set_knob("smart_scan", "1"));

	policy = ksm_slow();
	ASSERT_EQ(0, start(self->bed.peer, 8 * PAGES, KVMX_KSM_ALWAYS, 0));
	ASSERT_EQ(0, ksm_host_set(sys, &policy, KVMX_KSM_HOST_TAKE));
	ASSERT_TRUE(ksm_state_becomes(sys, KVMX_KSM_HOST_STATE_EPOCH));
	ASSERT_TRUE(knob_becomes("smart_scan", 0));
	ASSERT_EQ(0, ksm_set_knob("smart_scan", "1"));
	EXPECT_TRUE(lets_go(sys, "smart_scan", 1));
	EXPECT_NE(KVMX_KSM_HOST_STATE_EPOCH, ksm_host_get(sys).state);
	EXPECT_EQ(0, ksm_knob("run"));
}

/* The advisor, at any moment. It sets pages_to_scan, which is where that is seen first. */
TEST_F_TIMEOUT(rough, advisor, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	char mode[KSM_KNOB_LEN], pages[KSM_KNOB_LEN];
	uint32_t seed = 23, i;
	int sys = self->bed.sys;

	ksm_read_knob("advisor_mode", mode, sizeof(mode));
	if (!mode[0])
		SKIP(return, "KSM has no advisor in this kernel");
	policy.interval_ns = 100000000;
	policy.settle_ns = 20000000;
	ksm_read_knob("pages_to_scan", pages, sizeof(pages));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, start(self->bed.peer, PAGES, KVMX_KSM_ALWAYS, 0));
		ASSERT_EQ(0, ksm_host_set(sys, &policy, KVMX_KSM_HOST_TAKE));
		sleep_ms(next_random(&seed) % 600);
		ASSERT_EQ(0, ksm_set_knob("advisor_mode", "scan-time"));
		EXPECT_TRUE(lets_go(sys, "pages_to_scan", ksm_knob("advisor_min_pages_to_scan")));
		ksm_read_knob("advisor_mode", mode, sizeof(mode));
		EXPECT_NE(NULL, strstr(mode, "[scan-time]"));
		EXPECT_EQ(0, ksm_knob("run"));
		ASSERT_EQ(0, ksm_set_knob("advisor_mode", "none"));
		ASSERT_EQ(0, ksm_set_knob("pages_to_scan", pages));
		peer_stop(self->bed.peer);
	}
}

TEST_HARNESS_MAIN
