// SPDX-License-Identifier: GPL-2.0
/*
 * Logging that cannot be switched off stays kvmx's own: the next tracker takes over from there.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <stdio.h>
#include <sys/mman.h>

#include "lib/pass.h"

#define DATA_PAGES 256
#define MAX_MAP_COUNT "/proc/sys/vm/max_map_count"

FIXTURE(leftover) {
	struct vm vm;
	struct pass pass;
	int handle;
	int tracker;
	long max_map_count;
};

FIXTURE_VARIANT(leftover) {
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(leftover, bitmap) {
	.ring_bytes = 0,
};

FIXTURE_VARIANT_ADD(leftover, ring) {
	.ring_bytes = VM_RING_BYTES,
};

/* -1 if it cannot be read */
static long get_max_map_count(void)
{
	FILE *file = fopen(MAX_MAP_COUNT, "r");
	long count = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%ld", &count) != 1)
		count = -1;
	fclose(file);
	return count;
}

static int set_max_map_count(long count)
{
	FILE *file = fopen(MAX_MAP_COUNT, "w");
	int ret;

	if (!file)
		return -errno;
	ret = fprintf(file, "%ld\n", count) < 0 ? -EIO : 0;
	return fclose(file) ? -errno : ret;
}

FIXTURE_SETUP(leftover)
{
	self->max_map_count = get_max_map_count();
	ASSERT_LT(0, self->max_map_count);
	ASSERT_EQ(0, vm_create(&self->vm, variant->ring_bytes));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	ASSERT_EQ(0, pass_init(&self->pass));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	self->tracker = -1;
}

FIXTURE_TEARDOWN(leftover)
{
	EXPECT_EQ(0, set_max_map_count(self->max_map_count));
	close(self->tracker);
	close(self->handle);
	vm_destroy(&self->vm);
	pass_fini(&self->pass);
}

#define OPEN() \
do { \
	self->tracker = kx_tracker(self->handle, KVMX_TRACKER_CLEAN); \
	ASSERT_LE(0, self->tracker); \
} while (0)

#define TOUCH(_page, _pages) \
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA + (_page) * PAGE_SIZE, (_pages), \
				PAGE_SIZE, 1))

#define PASS() ASSERT_EQ(0, pass_run(&self->pass, self->tracker))
#define DATA() pass_count(&self->pass, VM_DATA_GFN, DATA_PAGES)

/* The next writable mapping of /proc/self/maps in @text, or NULL when there is none. */
static const char *next_mapping(const char *text, unsigned long *from, unsigned long *to)
{
	char right;

	while (text && *text) {
		bool found = sscanf(text, "%lx-%lx r%c", from, to, &right) == 3 && right == 'w';

		text = strchr(text, '\n');
		text += !!text;
		if (found)
			return text ?: "";
	}
	return NULL;
}

static bool mapped(const char *text, unsigned long addr)
{
	unsigned long from, to;

	while ((text = next_mapping(text, &from, &to)))
		if (addr >= from && addr < to)
			return true;
	return false;
}

/* Takes away, or gives back, the right to write to what @after has more than @before. */
static long protect_new(const char *before, const char *after, int prot)
{
	unsigned long from, to, addr;
	long pages = 0;

	while ((after = next_mapping(after, &from, &to))) {
		for (addr = from; addr < to; addr += PAGE_SIZE) {
			if (mapped(before, addr))
				continue;
			if (mprotect((void *)addr, PAGE_SIZE, prot))
				return -errno;
			pages++;
		}
	}
	return pages;
}

/* Nobody tracks, but it is logged, and by kvmx. */
static void still_logged(struct __test_metadata *_metadata, int handle)
{
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_vm_sample sample;
	struct kvmx_vm_info info;

	ASSERT_EQ(0, kx_info(handle, &info));
	EXPECT_EQ(0, info.nr_trackers);
	EXPECT_EQ(KVMX_VM_LOGGING, info.state & ~KVMX_VM_RING);
	EXPECT_EQ(-EBUSY, kx_sample(handle, 8, 1000000, points, &sample));
}

static void taken_over(struct __test_metadata *_metadata, FIXTURE_DATA(leftover) * self)
{
	struct kvmx_vm_info info;
	int i;

	TOUCH(0, 20);
	OPEN();
	TOUCH(100, 10);
	PASS();
	EXPECT_EQ(10, DATA());
	for (i = 0; i < 3; i++) {
		TOUCH(i, 5);
		PASS();
		EXPECT_EQ(5, DATA());
	}
	close(self->tracker);
	self->tracker = -1;
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(0, info.state & ~KVMX_VM_RING);
	if (!self->vm.vcpu[0].exits_full)
		EXPECT_GT(0, vm_get_dirty_log(&self->vm, 1));
}

/* The VMM has taken the scratch area from kvmx: no call of KVM gets its argument. */
TEST_F(leftover, closed_without_scratch)
{
	static char before[65536], after[65536];
	uint32_t round;

	for (round = 0; round < 2; round++) {
		ASSERT_LT(0, read_maps(before, sizeof(before)));
		OPEN();
		ASSERT_LT(0, read_maps(after, sizeof(after)));
		TOUCH(0, 10);
		ASSERT_LT(0, protect_new(before, after, PROT_READ));
		close(self->tracker);
		self->tracker = -1;
		still_logged(_metadata, self->handle);
		ASSERT_LT(0, protect_new(before, after, PROT_READ | PROT_WRITE));
		taken_over(_metadata, self);
		ASSERT_LT(0, read_maps(after, sizeof(after)));
		EXPECT_EQ(0, strcmp(before, after))
			TH_LOG("before:\n%s\nafter:\n%s", before, after);
		if (!variant->ring_bytes)
			EXPECT_EQ(0, vm_observe_manual_protect(&self->vm, 1));
	}
}

/* A worker that is to switch it off finds no room for a scratch area of its own. */
TEST_F(leftover, closed_elsewhere_without_room)
{
	struct kvmx_vm_info info;
	int status, tries;
	pid_t child;

	OPEN();
	TOUCH(0, 10);
	child = fork();
	if (!child) {
		/* Its tracker is the last one: it goes on exit. */
		sleep_ms(20);
		_exit(0);
	}
	ASSERT_EQ(0, set_max_map_count(1));
	close(self->tracker);
	self->tracker = -1;
	ASSERT_EQ(child, waitpid(child, &status, 0));
	/* The worker has had its turn by then. */
	for (tries = 0; tries < 40; tries++) {
		sleep_ms(5);
		ASSERT_EQ(0, kx_info(self->handle, &info));
	}
	still_logged(_metadata, self->handle);
	ASSERT_EQ(0, set_max_map_count(self->max_map_count));
	taken_over(_metadata, self);
}

TEST_HARNESS_MAIN
