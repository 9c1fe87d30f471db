// SPDX-License-Identifier: GPL-2.0
/*
 * Trackers of a VM whose guest is under our thumb: what is dirty, to whom, and for how long.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <sys/socket.h>

#include "lib/fdpass.h"
#include "lib/pass.h"

#define DATA_PAGES 4096
#define DATA_SLOT 1
#define ALL_PAGES (VM_CODE_PAGES + DATA_PAGES)

FIXTURE(tracker) {
	struct vm vm;
	struct pass pass;
	int handle;
	int tracker;
};

FIXTURE_VARIANT(tracker) {
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(tracker, bitmap) {
	.ring_bytes = 0,
};

FIXTURE_VARIANT_ADD(tracker, ring) {
	.ring_bytes = VM_RING_BYTES,
};

static int collect_for_vcpu(void *data)
{
	return kx_collect(*(int *)data);
}

FIXTURE_SETUP(tracker)
{
	ASSERT_EQ(0, vm_create(&self->vm, variant->ring_bytes));
	ASSERT_EQ(0, vm_add_slot(&self->vm, DATA_SLOT, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	ASSERT_EQ(0, pass_init(&self->pass));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	self->tracker = -1;
	self->vm.ring_full = collect_for_vcpu;
	self->vm.ring_full_data = &self->tracker;
}

FIXTURE_TEARDOWN(tracker)
{
	close(self->tracker);
	close(self->handle);
	vm_destroy(&self->vm);
	pass_fini(&self->pass);
}

#define OPEN(_flags) \
do { \
	self->tracker = kx_tracker(self->handle, (_flags)); \
	ASSERT_LE(0, self->tracker); \
} while (0)

#define PASS() ASSERT_EQ(0, pass_run(&self->pass, self->tracker))

#define TOUCH(_page, _pages) \
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA + (_page) * PAGE_SIZE, (_pages), \
				PAGE_SIZE, 1))

#define EVERY(_stride, _pages) \
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA, (_pages), (_stride) * PAGE_SIZE, 1))

/* Dirty pages of the guest's data. Its code pages may come with them at any time. */
#define DATA() pass_count(&self->pass, VM_DATA_GFN, DATA_PAGES)

TEST_F(tracker, everything_is_dirty_at_first)
{
	/* Also what was written before. */
	TOUCH(0, 100);
	OPEN(0);
	PASS();
	EXPECT_EQ(ALL_PAGES, self->pass.pages);
	EXPECT_EQ(ALL_PAGES, self->pass.by_class[KVMX_CLASS_NORMAL]);
	EXPECT_EQ(2, self->pass.runs);
	PASS();
	EXPECT_EQ(0, self->pass.pages);
}

TEST_F(tracker, clean_at_first)
{
	TOUCH(0, 100);
	OPEN(KVMX_TRACKER_CLEAN);
	PASS();
	EXPECT_EQ(0, self->pass.pages);
	TOUCH(50, 100);
	PASS();
	EXPECT_EQ(100, pass_count(&self->pass, VM_DATA_GFN + 50, 100));
	EXPECT_EQ(100, DATA());
}

/* Everything the guest has written and, as it is alone, not much more. */
TEST_F(tracker, random_pages)
{
	static uint8_t written[DATA_PAGES];
	uint32_t seed = 4711, round, i, page, want;

	OPEN(KVMX_TRACKER_CLEAN);
	for (round = 0; round < 10; round++) {
		memset(written, 0, sizeof(written));
		want = 0;
		for (i = 0; i < 60; i++) {
			page = next_random(&seed) % DATA_PAGES;
			want += !written[page];
			written[page] = 1;
			TOUCH(page, 1);
		}
		PASS();
		for (i = 0; i < DATA_PAGES; i++)
			ASSERT_LE(written[i], pass_has(&self->pass, VM_DATA_GFN + i))
				TH_LOG("round %u: page %u was lost", round, i);
		EXPECT_GE(want + VM_CODE_PAGES, self->pass.pages);
	}
}

/* Long and short runs over every border of a word: the counts are exact. */
TEST_F(tracker, runs)
{
	static const struct { uint32_t first, pages; } runs[] = {
		{ 0, 1 }, { 63, 1 }, { 64, 1 }, { 63, 2 }, { 1, 62 }, { 0, 64 }, { 64, 64 },
		{ 60, 100 }, { 5, 1000 }, { 511, 2 }, { 512, 512 }, { 0, 4096 }, { 4095, 1 },
		{ 4032, 64 }, { 4031, 65 },
	};
	uint32_t i;

	OPEN(KVMX_TRACKER_CLEAN);
	for (i = 0; i < ARRAY_SIZE(runs); i++) {
		TOUCH(runs[i].first, runs[i].pages);
		PASS();
		EXPECT_EQ(runs[i].pages, pass_count(&self->pass, VM_DATA_GFN + runs[i].first,
						    runs[i].pages))
			TH_LOG("case %u", i);
		EXPECT_EQ(runs[i].pages, DATA())
			TH_LOG("case %u", i);
	}
}

/* 3 GiB, nearly all of it absent: bits far apart, near the borders of any piece of a bitmap. */
TEST_F(tracker, sparse_memory)
{
	const uint64_t gfn = 256 * MIB / PAGE_SIZE, pages = 3 * GIB / PAGE_SIZE;
	static const uint32_t strides[] = { 1500, 4096, 32768, 32769, 64 };
	uint32_t rooms[] = { 1024, 7, 1 }, i, k, n;

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, gfn, pages, MEM_RESERVE, 0));
	OPEN(KVMX_TRACKER_CLEAN);
	for (i = 0; i < ARRAY_SIZE(strides); i++) {
		n = pages / strides[i] < 300 ? pages / strides[i] : 300;
		self->pass.room = rooms[i % ARRAY_SIZE(rooms)];
		ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], gfn * PAGE_SIZE, n,
					strides[i] * PAGE_SIZE, 1));
		ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], (gfn + pages - 1) * PAGE_SIZE, 1, 0, 1));
		self->pass.flags = KVMX_HARVEST_PEEK;
		PASS();
		EXPECT_EQ(n + 1, pass_count(&self->pass, gfn, pages));
		self->pass.flags = 0;
		PASS();
		EXPECT_EQ(n + 1, pass_count(&self->pass, gfn, pages));
		for (k = 0; k < n; k++)
			ASSERT_TRUE(pass_has(&self->pass, gfn + k * strides[i]));
		EXPECT_TRUE(pass_has(&self->pass, gfn + pages - 1));
	}
	PASS();
	EXPECT_EQ(0, pass_count(&self->pass, gfn, pages));
}

TEST_F(tracker, peek_takes_nothing)
{
	uint32_t i;

	OPEN(KVMX_TRACKER_CLEAN);
	TOUCH(10, 20);
	/* One half in KVM's log, the other in the tracker. */
	ASSERT_EQ(0, kx_collect(self->tracker));
	TOUCH(1000, 20);
	self->pass.flags = KVMX_HARVEST_PEEK;
	for (i = 0; i < 3; i++) {
		PASS();
		EXPECT_EQ(40, DATA());
	}
	self->pass.flags = 0;
	PASS();
	EXPECT_EQ(40, DATA());
	self->pass.flags = KVMX_HARVEST_PEEK;
	PASS();
	EXPECT_EQ(0, DATA());
}

TEST_F(tracker, small_buffers)
{
	static const uint32_t rooms[] = { 1, 2, 7, 64, 4096 };
	uint32_t i;

	OPEN(KVMX_TRACKER_CLEAN);
	for (i = 0; i < ARRAY_SIZE(rooms); i++) {
		self->pass.room = rooms[i];
		EVERY(3, 300);
		PASS();
		EXPECT_EQ(300, DATA());
		EXPECT_LE(300 / rooms[i], self->pass.calls);
		PASS();
		EXPECT_EQ(0, self->pass.pages);
	}
}

TEST_F(tracker, max_pages)
{
	static const uint64_t limits[] = { 1, 64, 100, 1000, 5000, ~0ULL };
	uint32_t i;

	OPEN(KVMX_TRACKER_CLEAN);
	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		self->pass.max_pages = limits[i];
		TOUCH(7, 2000);
		EVERY(5, 800);
		PASS();
		EXPECT_EQ(2000, pass_count(&self->pass, VM_DATA_GFN + 7, 2000));
		EXPECT_EQ(2000 + 800 - 400, DATA());
		EXPECT_LE(limits[i] < 4096 ? 2000 / (limits[i] + 128) : 1, self->pass.calls);
		PASS();
		EXPECT_EQ(0, DATA());
	}
}

TEST_F(tracker, pass_given_up)
{
	struct kvmx_run runs[10];
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)runs, .nr_runs = 10,
					 .run_size = sizeof(runs[0]));
	uint64_t taken = 0, i;

	OPEN(KVMX_TRACKER_CLEAN);
	PASS();
	EVERY(2, 500);
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
	EXPECT_EQ(10, arg.nr_runs);
	EXPECT_EQ(KVMX_HARVEST_MORE, arg.status & KVMX_HARVEST_MORE);
	for (i = 0; i < arg.nr_runs; i++)
		taken += runs[i].gfn >= VM_DATA_GFN ? runs[i].npages : 0;
	/* From the start again: neither what was returned nor what was not is special. */
	PASS();
	EXPECT_EQ(500 - taken, DATA());
}

/* Pages that are written behind the cursor wait for the next pass, the others need not. */
TEST_F(tracker, writes_within_a_pass)
{
	struct kvmx_run runs[10];
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)runs, .nr_runs = 10,
					 .run_size = sizeof(runs[0]));
	uint64_t last, later = 0, i;

	OPEN(KVMX_TRACKER_CLEAN);
	PASS();
	EVERY(2, 500);
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
	ASSERT_EQ(10, arg.nr_runs);
	last = runs[9].gfn;
	/* Behind, and before the cursor; the second one was clean. */
	TOUCH(0, 1);
	TOUCH(901, 1);
	while (arg.cursor) {
		arg.nr_runs = 10;
		ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
		for (i = 0; i < arg.nr_runs; i++) {
			EXPECT_LT(last, runs[i].gfn);
			last = runs[i].gfn;
			later += VM_DATA_GFN + 901 - runs[i].gfn < runs[i].npages;
		}
	}
	PASS();
	EXPECT_TRUE(pass_has(&self->pass, VM_DATA_GFN));
	EXPECT_EQ(1, later + pass_has(&self->pass, VM_DATA_GFN + 901));
}

TEST_F(tracker, two_do_not_see_each_other)
{
	struct pass *pass = &self->pass;
	int other;

	OPEN(KVMX_TRACKER_CLEAN);
	TOUCH(0, 10);
	other = kx_tracker(self->handle, KVMX_TRACKER_CLEAN);
	ASSERT_LE(0, other);
	TOUCH(20, 10);
	/* A clean one does not see what was written before it came, the first does. */
	ASSERT_EQ(0, pass_run(pass, other));
	EXPECT_EQ(10, DATA());
	EXPECT_EQ(10, pass_count(pass, VM_DATA_GFN + 20, 10));
	TOUCH(40, 10);
	PASS();
	EXPECT_EQ(30, DATA());
	ASSERT_EQ(0, pass_run(pass, other));
	EXPECT_EQ(10, DATA());
	EXPECT_EQ(10, pass_count(pass, VM_DATA_GFN + 40, 10));
	/* One goes, the other stays. */
	TOUCH(60, 10);
	close(other);
	TOUCH(80, 10);
	PASS();
	EXPECT_EQ(20, DATA());
	other = kx_tracker(self->handle, 0);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, pass_run(pass, other));
	EXPECT_EQ(ALL_PAGES, pass->pages);
	PASS();
	EXPECT_EQ(0, DATA());
	close(other);
}

TEST_F(tracker, eight)
{
	int t[KVMX_MAX_TRACKERS];
	uint32_t i;

	for (i = 0; i < KVMX_MAX_TRACKERS; i++) {
		t[i] = kx_tracker(self->handle, KVMX_TRACKER_CLEAN);
		ASSERT_LE(0, t[i]);
	}
	self->tracker = dup(t[0]);
	TOUCH(100, 300);
	for (i = 0; i < KVMX_MAX_TRACKERS; i++) {
		/* Also what was written since the others' passes. */
		ASSERT_EQ(0, pass_run(&self->pass, t[i]));
		EXPECT_EQ(300 + i, DATA());
		TOUCH(i, 1);
	}
	for (i = 0; i < KVMX_MAX_TRACKERS; i++) {
		ASSERT_EQ(0, pass_run(&self->pass, t[i]));
		EXPECT_EQ(KVMX_MAX_TRACKERS - i, DATA());
		close(t[i]);
	}
}

TEST_F(tracker, restore_is_for_one_mark_for_all)
{
	struct kvmx_run run = { .gfn = VM_DATA_GFN + 63, .npages = 66 };
	struct kvmx_tracker_stats stats;
	struct kvmx_vm_stats vm_stats;
	int other;

	OPEN(KVMX_TRACKER_CLEAN);
	other = kx_tracker(self->handle, KVMX_TRACKER_CLEAN);
	ASSERT_LE(0, other);
	ASSERT_EQ(0, kx_restore(self->tracker, &run, 1, NULL));
	ASSERT_EQ(0, pass_run(&self->pass, other));
	EXPECT_EQ(0, DATA());
	PASS();
	EXPECT_EQ(66, DATA());
	EXPECT_EQ(66, pass_count(&self->pass, VM_DATA_GFN + 63, 66));
	ASSERT_EQ(0, kx_mark(self->handle, &run, 1, NULL));
	ASSERT_EQ(0, pass_run(&self->pass, other));
	EXPECT_EQ(66, DATA());
	PASS();
	EXPECT_EQ(66, DATA());
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_EQ(66, stats.restored_pages);
	ASSERT_EQ(0, kx_tracker_stats(other, &stats));
	EXPECT_EQ(0, stats.restored_pages);
	ASSERT_EQ(0, kx_vm_stats(self->handle, &vm_stats));
	EXPECT_EQ(66, vm_stats.marked_pages);
	close(other);
}

/* All runs of a pass are given back, and come again. */
TEST_F(tracker, restore_everything)
{
	static struct kvmx_run runs[4096];
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)runs, .nr_runs = 4096,
					 .run_size = sizeof(runs[0]));
	uint64_t pages;

	OPEN(KVMX_TRACKER_CLEAN);
	EVERY(3, 1000);
	TOUCH(5, 500);
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
	ASSERT_EQ(0, arg.cursor);
	pages = arg.nr_pages;
	ASSERT_EQ(0, kx_restore(self->tracker, runs, arg.nr_runs, NULL));
	PASS();
	EXPECT_EQ(pages, self->pass.pages);
	EXPECT_EQ(arg.nr_runs, self->pass.runs);
}

/* The buffer ends in the middle, where nothing is mapped. */
TEST_F(tracker, fault_halfway_loses_nothing)
{
	uint32_t room = 200, good;
	struct kvmx_harvest arg;

	OPEN(KVMX_TRACKER_CLEAN);
	EVERY(4, 300);
	for (good = 0; good < 170; good += 13) {
		arg = KX_ARG(kvmx_harvest, .nr_runs = room, .run_size = sizeof(struct kvmx_run));
		arg.runs = (uintptr_t)map_before_hole(good * sizeof(struct kvmx_run) + 8);
		ASSERT_EQ(-EFAULT, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
		if (good == 130)
			EVERY(4, 300);
	}
	self->pass.flags = KVMX_HARVEST_PEEK;
	PASS();
	EXPECT_EQ(300, DATA());
	/* In the middle of a pass, too. */
	self->pass.flags = 0;
	arg = KX_ARG(kvmx_harvest, .nr_runs = 100, .run_size = sizeof(struct kvmx_run));
	arg.runs = (uintptr_t)map_before_hole(100 * sizeof(struct kvmx_run));
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
	ASSERT_NE(0, arg.cursor);
	arg.nr_runs = 100;
	arg.runs += 8;
	ASSERT_EQ(-EFAULT, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
	PASS();
	EXPECT_LE(200, DATA());
	EXPECT_GE(200 + VM_CODE_PAGES, DATA());
}

TEST_F(tracker, collect)
{
	struct kvmx_tracker_stats stats;
	struct kvmx_vm_stats vm_stats;
	uint32_t i;

	OPEN(KVMX_TRACKER_CLEAN);
	PASS();
	for (i = 0; i < 5; i++) {
		TOUCH(i * 100, 50);
		ASSERT_EQ(0, kx_collect(self->tracker));
		ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
		EXPECT_LE(50 * (i + 1), stats.pending_pages);
		EXPECT_GE(50 * (i + 1) + VM_CODE_PAGES, stats.pending_pages);
	}
	ASSERT_EQ(0, kx_vm_stats(self->handle, &vm_stats));
	EXPECT_LE(250, vm_stats.collected_pages);
	EXPECT_LE(1, vm_stats.clear_calls);
	PASS();
	EXPECT_EQ(250, DATA());
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_EQ(0, stats.pending_pages);
}

TEST_F(tracker, stats)
{
	struct kvmx_tracker_stats stats;
	struct kvmx_vm_stats vm_stats;
	uint64_t start, pages = 0;
	uint32_t i, calls = 0;

	OPEN(0);
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_EQ(variant->ring_bytes ? KVMX_BACKEND_RING : KVMX_BACKEND_BITMAP, stats.backend);
	EXPECT_EQ(0, stats.passes);
	EXPECT_EQ(0, stats.harvested_pages);
	EXPECT_EQ(ALL_PAGES, stats.pending_pages);
	EXPECT_LT(0, stats.bytes);
	for (i = 0; i < 3; i++) {
		start = now_ns();
		self->pass.room = i == 1 ? 3 : 1000;
		TOUCH(0, 10);
		EVERY(2, 20);
		PASS();
		pages += self->pass.pages;
		calls += self->pass.calls;
		sleep_ms(20);
	}
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_EQ(3, stats.passes);
	EXPECT_EQ(pages, stats.harvested_pages);
	EXPECT_EQ(self->pass.pages, stats.last_pass_pages);
	EXPECT_EQ(0, stats.absent_pages);
	EXPECT_EQ(0, stats.restored_pages);
	EXPECT_EQ(0, stats.overreported_pages);
	EXPECT_LE(20000000, stats.last_interval_ns);
	EXPECT_GE(now_ns() - start + 2000000000, stats.last_interval_ns);
	ASSERT_EQ(0, kx_vm_stats(self->handle, &vm_stats));
	EXPECT_EQ(calls, vm_stats.harvests);
	EXPECT_LE(stats.bytes, vm_stats.bytes);
	self->pass.flags = KVMX_HARVEST_PEEK;
	PASS();
	ASSERT_EQ(0, kx_vm_stats(self->handle, &vm_stats));
	EXPECT_EQ(calls, vm_stats.harvests);
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_EQ(3, stats.passes);
}

TEST_F(tracker, curve)
{
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_tracker_curve arg;
	uint32_t i;

	OPEN(0);
	for (i = 0; i < 12; i++) {
		EVERY(1, 64 << (i % 6));
		sleep_ms(1 << (i % 6));
		PASS();
	}
	arg = KX_ARG(kvmx_tracker_curve, .nr_points = KVMX_MAX_POINTS,
		     .point_size = sizeof(points[0]), .points = (uintptr_t)points);
	memset(points, 0xa5, sizeof(points));
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_TRACKER_CURVE, &arg));
	ASSERT_LE(1, arg.nr_points);
	ASSERT_GE(KVMX_MAX_POINTS, arg.nr_points);
	EXPECT_EQ(ALL_PAGES, arg.total_pages);
	EXPECT_TRUE(all_bytes(points + arg.nr_points, 0xa5,
			      (KVMX_MAX_POINTS - arg.nr_points) * sizeof(points[0])));
	for (i = 0; i < arg.nr_points; i++) {
		EXPECT_LT(i ? points[i - 1].time_ns : 0, points[i].time_ns);
		EXPECT_LE(i ? points[i - 1].pages : 0, points[i].pages);
		EXPECT_GE(ALL_PAGES, points[i].pages);
	}
	/* Concave: no slope is steeper than the one before it, but for the rounding. */
	for (i = 2; i < arg.nr_points; i++) {
		double before = (double)(points[i - 1].pages - points[i - 2].pages + 1) /
				(points[i - 1].time_ns - points[i - 2].time_ns);
		double after = (double)(points[i].pages - points[i - 1].pages) /
			       (points[i].time_ns - points[i - 1].time_ns);

		EXPECT_LE(after, before * 1.001 + 1.0 / 1000000000)
			TH_LOG("point %u of %u", i, arg.nr_points);
	}
	/* At most the room that was given. */
	arg.nr_points = 1;
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_TRACKER_CURVE, &arg));
	EXPECT_EQ(1, arg.nr_points);
}

/* With another process: it may look, mark and give back, but not take. */
TEST_F(tracker, in_another_process)
{
	struct kvmx_run run = { .gfn = VM_DATA_GFN + 700, .npages = 30 };
	struct kvmx_tracker_stats stats;
	int sock[2], handle, tracker;
	struct pass pass;
	int status;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	child = fork();
	if (!child) {
		/* Not inherited but received, as kvmxctl would. */
		close(self->tracker);
		handle = recv_fd(sock[1]);
		tracker = recv_fd(sock[1]);
		EXPECT_EQ(0, pass_init(&pass));
		EXPECT_EQ(-EXDEV, pass_run(&pass, tracker));
		EXPECT_EQ(-EXDEV, kx_collect(tracker));
		EXPECT_EQ(-EXDEV, kx_tracker(handle, 0));
		pass.flags = KVMX_HARVEST_PEEK;
		EXPECT_EQ(0, pass_run(&pass, tracker));
		EXPECT_EQ(20, pass_count(&pass, VM_DATA_GFN + 300, 20));
		EXPECT_EQ(20, pass_count(&pass, VM_DATA_GFN, DATA_PAGES));
		EXPECT_EQ(0, kx_tracker_stats(tracker, &stats));
		EXPECT_EQ(0, kx_mark_pages(handle, VM_DATA_GFN + 600, 30));
		EXPECT_EQ(0, kx_restore(tracker, &run, 1, NULL));
		_exit(0);
	}
	OPEN(KVMX_TRACKER_CLEAN);
	TOUCH(300, 20);
	ASSERT_EQ(0, send_fd(sock[0], self->handle));
	ASSERT_EQ(0, send_fd(sock[0], self->tracker));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	PASS();
	EXPECT_EQ(80, DATA());
	EXPECT_EQ(20, pass_count(&self->pass, VM_DATA_GFN + 300, 20));
	EXPECT_EQ(30, pass_count(&self->pass, VM_DATA_GFN + 600, 30));
	EXPECT_EQ(30, pass_count(&self->pass, VM_DATA_GFN + 700, 30));
}

/* The last reference to a tracker goes in a process that has not the VMM's memory. */
TEST_F(tracker, closed_elsewhere_last)
{
	struct kvmx_vm_info info;
	struct kvmx_slot list[4];
	struct kvmx_vm_slots arg = KX_ARG(kvmx_vm_slots, .slots = (uintptr_t)list,
					  .nr_slots = 4, .slot_size = sizeof(list[0]));
	int go[2], status;
	pid_t child;
	char byte;

	ASSERT_EQ(0, pipe(go));
	OPEN(0);
	PASS();
	child = fork();
	if (!child) {
		close(go[1]);
		/* Returns when the parent closes its end; the fds go on exit. */
		EXPECT_EQ(0, read(go[0], &byte, 1));
		_exit(0);
	}
	close(self->tracker);
	self->tracker = -1;
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(1, info.nr_trackers);
	EXPECT_TRUE(info.state & KVMX_VM_LOGGING);
	close(go[1]);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(kx_logging_ends(self->handle));
	ASSERT_EQ(0, kx_ioctl(self->handle, KVMX_VM_SLOTS, &arg));
	EXPECT_EQ(0, list[0].flags | list[1].flags);
	/* And then all over again. */
	TOUCH(0, 10);
	OPEN(KVMX_TRACKER_CLEAN);
	TOUCH(20, 10);
	PASS();
	EXPECT_EQ(10, DATA());
}

/* A new one at the very moment the last one goes elsewhere. */
TEST_F(tracker, created_while_the_last_one_goes)
{
	int status, round;
	pid_t child;

	for (round = 0; round < 20; round++) {
		OPEN(KVMX_TRACKER_CLEAN);
		child = fork();
		if (!child) {
			sleep_ms(round % 4);
			_exit(0);
		}
		close(self->tracker);
		OPEN(KVMX_TRACKER_CLEAN);
		TOUCH(round * 10, 10);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		TOUCH(2000 + round * 10, 10);
		PASS();
		ASSERT_EQ(20, DATA())
			TH_LOG("round %d", round);
		close(self->tracker);
	}
	self->tracker = -1;
	EXPECT_TRUE(kx_logging_ends(self->handle));
}

/* Opened and closed many times: each time as good as the first. */
TEST_F(tracker, again_and_again)
{
	struct kvmx_vm_stats first, last;
	uint32_t i;

	for (i = 0; i < 30; i++) {
		OPEN(i & 1 ? KVMX_TRACKER_CLEAN : 0);
		TOUCH(i, 5);
		PASS();
		EXPECT_EQ(i & 1 ? 5 : DATA_PAGES, DATA());
		/* Left unread: must not show up in the next one. */
		TOUCH(1000, 7);
		close(self->tracker);
		self->tracker = -1;
		ASSERT_EQ(0, kx_vm_stats(self->handle, i ? &last : &first));
	}
	EXPECT_EQ(first.bytes, last.bytes);
}

FIXTURE(absent) {
	struct vm vm;
	struct pass pass;
	int handle;
	int tracker;
};

FIXTURE_VARIANT(absent) {
	enum mem_kind kind;
	bool knows;	/* private anonymous memory: absence can be found out */
};

FIXTURE_VARIANT_ADD(absent, anon) {
	.kind = MEM_ANON,
	.knows = true,
};

FIXTURE_VARIANT_ADD(absent, thp) {
	.kind = MEM_THP,
	.knows = true,
};

FIXTURE_VARIANT_ADD(absent, memfd) {
	.kind = MEM_MEMFD,
};

FIXTURE_VARIANT_ADD(absent, hugetlb) {
	.kind = MEM_HUGETLB,
};

FIXTURE_SETUP(absent)
{
	if (variant->kind == MEM_HUGETLB)
		ASSERT_EQ(0, mem_reserve_huge(DATA_PAGES * PAGE_SIZE));
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, DATA_SLOT, VM_DATA_GFN, DATA_PAGES, variant->kind, 0));
	ASSERT_EQ(0, pass_init(&self->pass));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	self->tracker = kx_tracker(self->handle, 0);
	ASSERT_LE(0, self->tracker);
	self->pass.flags = KVMX_HARVEST_ABSENT;
}

FIXTURE_TEARDOWN(absent)
{
	close(self->tracker);
	close(self->handle);
	vm_destroy(&self->vm);
	pass_fini(&self->pass);
}

TEST_F(absent, classes)
{
	char *hva = vm_slot(&self->vm, DATA_SLOT)->hva, *other = hva + 2048 * PAGE_SIZE;
	struct kvmx_tracker_stats stats;
	volatile char sink;
	uint64_t page, known;

	/* The guest writes to 100 pages, the VMM to one; it reads one that nobody wrote. */
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA + 64 * PAGE_SIZE, 100, PAGE_SIZE, 1));
	other[0] = 1;
	sink = other[600 * PAGE_SIZE];
	(void)sink;
	PASS();
	EXPECT_EQ(DATA_PAGES, DATA());
	/* Never absent if there is something, however the pages are mapped. */
	for (page = 0; page < DATA_PAGES; page++)
		if (self->pass.seen[0][VM_DATA_GFN + page] == KVMX_CLASS_ABSENT + 1)
			EXPECT_TRUE(all_bytes(hva + page * PAGE_SIZE, 0, PAGE_SIZE));
	EXPECT_EQ(100, pass_count_class(&self->pass, VM_DATA_GFN + 64, 100, KVMX_CLASS_NORMAL));
	EXPECT_EQ(1, pass_count_class(&self->pass, VM_DATA_GFN + 2048, 1, KVMX_CLASS_NORMAL));
	known = pass_count_class(&self->pass, VM_DATA_GFN, DATA_PAGES, KVMX_CLASS_ABSENT);
	if (!variant->knows)
		EXPECT_EQ(0, known);
	if (variant->kind == MEM_ANON)
		EXPECT_EQ(DATA_PAGES - 101, known);
	/* Of 16 MiB at least some huge pages were never touched. */
	if (variant->kind == MEM_THP)
		EXPECT_LE(DATA_PAGES / 4, known);
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_LE(known, stats.absent_pages);
	EXPECT_GE(known + VM_CODE_PAGES, stats.absent_pages);
}

/* What was absent and is written then is a page like others. */
TEST_F(absent, written_later)
{
	PASS();
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA, 50, 4 * PAGE_SIZE, 1));
	PASS();
	EXPECT_EQ(50, pass_count_class(&self->pass, VM_DATA_GFN, DATA_PAGES, KVMX_CLASS_NORMAL));
	EXPECT_EQ(50, DATA());
}

/* Without the flag nobody looks. */
TEST_F(absent, not_asked_for)
{
	self->pass.flags = 0;
	PASS();
	EXPECT_EQ(DATA_PAGES, DATA());
	EXPECT_EQ(0, self->pass.by_class[KVMX_CLASS_ABSENT]);
}

/* A balloon has taken pages away that were there. */
TEST_F(absent, given_back)
{
	char *hva = vm_slot(&self->vm, DATA_SLOT)->hva;
	uint64_t page;

	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA, 1024, PAGE_SIZE, 1));
	ASSERT_EQ(0, madvise(hva, 512 * PAGE_SIZE, MADV_DONTNEED));
	PASS();
	for (page = 0; page < DATA_PAGES; page++)
		if (self->pass.seen[0][VM_DATA_GFN + page] == KVMX_CLASS_ABSENT + 1)
			EXPECT_TRUE(all_bytes(hva + page * PAGE_SIZE, 0, PAGE_SIZE));
	EXPECT_EQ(512, pass_count_class(&self->pass, VM_DATA_GFN + 512, 512, KVMX_CLASS_NORMAL));
	if (variant->knows)
		EXPECT_EQ(512, pass_count_class(&self->pass, VM_DATA_GFN, 512,
						KVMX_CLASS_ABSENT));
}

FIXTURE(settings) {
	struct vm vm;
	int handle;
};

FIXTURE_VARIANT(settings) {
	uint32_t manual;
};

FIXTURE_VARIANT_ADD(settings, automatic) {
	.manual = 0,
};

FIXTURE_VARIANT_ADD(settings, manual) {
	.manual = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
};

FIXTURE_VARIANT_ADD(settings, manual_initially_set) {
	.manual = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET,
};

FIXTURE_SETUP(settings)
{
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, DATA_SLOT, VM_DATA_GFN, 256, MEM_ANON, 0));
	ASSERT_EQ(0, vm_enable_cap(&self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, variant->manual));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	/* The test sees what there is, before kvmx has a hand in it. */
	ASSERT_EQ((int)variant->manual, vm_observe_manual_protect(&self->vm, DATA_SLOT));
}

FIXTURE_TEARDOWN(settings)
{
	close(self->handle);
	vm_destroy(&self->vm);
}

TEST_F(settings, found_as_left)
{
	struct kvmx_vm_info info;
	struct pass pass;
	int first, second, i;

	ASSERT_EQ(0, pass_init(&pass));
	for (i = 0; i < 2; i++) {
		first = kx_tracker(self->handle, i ? KVMX_TRACKER_CLEAN : 0);
		second = kx_tracker(self->handle, 0);
		ASSERT_LE(0, first);
		ASSERT_LE(0, second);
		ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA, 20, PAGE_SIZE, 1));
		ASSERT_EQ(0, pass_run(&pass, first));
		close(first);
		close(second);
		EXPECT_EQ(-ENOENT, vm_get_dirty_log(&self->vm, DATA_SLOT));
		EXPECT_EQ(-ENOENT, vm_get_dirty_log(&self->vm, 0));
		ASSERT_EQ(0, kx_info(self->handle, &info));
		EXPECT_EQ(0, info.state);
		EXPECT_EQ((int)variant->manual, vm_observe_manual_protect(&self->vm, DATA_SLOT));
	}
}

TEST_F(settings, found_as_left_by_a_sample)
{
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_vm_sample sample;

	ASSERT_EQ(0, kx_sample(self->handle, 16, 1000000, points, &sample));
	EXPECT_EQ(-ENOENT, vm_get_dirty_log(&self->vm, DATA_SLOT));
	EXPECT_EQ((int)variant->manual, vm_observe_manual_protect(&self->vm, DATA_SLOT));
}

/* The rule says a tracker costs at most 33 KiB for each GiB of guest. */
TEST(memory)
{
	const uint64_t gib = 64, limit = gib * 33 * 1024;
	static struct kvmx_run runs[KVMX_MAX_RUNS];
	struct kvmx_tracker_stats stats;
	struct kvmx_vm_stats vm_stats;
	int handle, tracker[2], i;
	uint32_t k, round;
	struct vm vm;

	ASSERT_EQ(0, vm_create(&vm, 0));
	ASSERT_EQ(0, vm_add_slot(&vm, 1, 4 * GIB / PAGE_SIZE, gib * GIB / PAGE_SIZE, MEM_RESERVE,
				 0));
	handle = kx_vm(vm.fd);
	ASSERT_LE(0, handle);
	tracker[0] = kx_tracker(handle, KVMX_TRACKER_CLEAN);
	tracker[1] = kx_tracker(handle, 0);
	/* Sets that compress badly: every other page of widely scattered stretches. */
	for (round = 0; round < 8; round++) {
		for (k = 0; k < KVMX_MAX_RUNS; k++) {
			runs[k].gfn = (4 + 8 * round) * GIB / PAGE_SIZE + 2 * k;
			runs[k].npages = 1;
		}
		ASSERT_EQ(0, kx_mark(handle, runs, KVMX_MAX_RUNS, NULL));
		ASSERT_EQ(0, kx_restore(tracker[1], runs, KVMX_MAX_RUNS, NULL));
	}
	for (i = 0; i < 2; i++) {
		ASSERT_LE(0, tracker[i]);
		ASSERT_EQ(0, kx_tracker_stats(tracker[i], &stats));
		EXPECT_GE(limit, stats.bytes);
		EXPECT_LT(0, stats.bytes);
		EXPECT_EQ(0, stats.overreported_pages);
		EXPECT_EQ(i ? gib * GIB / PAGE_SIZE + VM_CODE_PAGES : 8ULL * KVMX_MAX_RUNS,
			  stats.pending_pages);
	}
	ASSERT_EQ(0, kx_vm_stats(handle, &vm_stats));
	EXPECT_GE(2 * limit + MIB, vm_stats.bytes);
	close(tracker[0]);
	close(tracker[1]);
	close(handle);
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
