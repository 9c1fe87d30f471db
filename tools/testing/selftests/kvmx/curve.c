// SPDX-License-Identifier: GPL-2.0
/*
 * What passes teach about the dirty curve: a pass that does not show what the guest wrote since the
 * one before teaches nothing.
 */
#include <errno.h>
#include <kselftest_harness.h>

#include "lib/pass.h"

#define DATA_PAGES 4096
#define WRITTEN 1000
#define TAKEN 900

FIXTURE(curve) {
	struct vm vm;
	struct pass pass;
	int handle;
	int tracker;
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_run runs[64];
};

FIXTURE_VARIANT(curve) {
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(curve, bitmap) {
	.ring_bytes = 0,
};

FIXTURE_VARIANT_ADD(curve, ring) {
	.ring_bytes = VM_RING_BYTES,
};

/* A tracker after its first pass: from here on each has an interval. */
FIXTURE_SETUP(curve)
{
	ASSERT_EQ(0, vm_create(&self->vm, variant->ring_bytes));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	ASSERT_EQ(0, pass_init(&self->pass));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	self->tracker = kx_tracker(self->handle, KVMX_TRACKER_CLEAN);
	ASSERT_LE(0, self->tracker);
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	sleep_ms(2);
}

FIXTURE_TEARDOWN(curve)
{
	close(self->tracker);
	close(self->handle);
	vm_destroy(&self->vm);
	pass_fini(&self->pass);
}

#define PASS() ASSERT_EQ(0, pass_run(&self->pass, self->tracker))

#define TOUCH(_pages) \
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA, (_pages), PAGE_SIZE, 1))

/* How many points there are, or -errno */
static int points(FIXTURE_DATA(curve) * self)
{
	struct kvmx_tracker_curve arg = KX_ARG(kvmx_tracker_curve,
					       .nr_points = KVMX_MAX_POINTS,
					       .point_size = sizeof(self->points[0]),
					       .points = (uintptr_t)self->points);
	int ret = kx_ioctl(self->tracker, KVMX_TRACKER_CURVE, &arg);

	return ret ?: (int)arg.nr_points;
}

/* One call of a pass, which is not continued. */
static int begin_pass(FIXTURE_DATA(curve) * self, uint64_t max_pages)
{
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)self->runs,
					 .nr_runs = 64, .run_size = sizeof(self->runs[0]),
					 .max_pages = max_pages);
	int ret = kx_ioctl(self->tracker, KVMX_HARVEST, &arg);

	return ret ?: arg.status & KVMX_HARVEST_MORE ? 0 : -EPROTO;
}

static int fail_pass(FIXTURE_DATA(curve) * self)
{
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .nr_runs = 64,
					 .run_size = sizeof(struct kvmx_run));

	return kx_ioctl(self->tracker, KVMX_HARVEST, &arg);
}

/* Passes that are good make a curve of nothing but what the guest wrote. */
static void learns_again(struct __test_metadata *_metadata, FIXTURE_DATA(curve) * self)
{
	int nr, i;

	sleep_ms(2);
	TOUCH(WRITTEN);
	PASS();
	nr = points(self);
	ASSERT_EQ(1, nr);
	for (i = 0; i < nr; i++) {
		EXPECT_LE(WRITTEN, self->points[i].pages);
		EXPECT_GE(WRITTEN + VM_CODE_PAGES, self->points[i].pages);
		EXPECT_LE(2000000, self->points[i].time_ns);
	}
}

TEST_F(curve, of_one_interval)
{
	EXPECT_EQ(-ENODATA, points(self));
	learns_again(_metadata, self);
}

/* What the first part took is missing in the pass after it. */
TEST_F(curve, pass_given_up)
{
	TOUCH(WRITTEN);
	ASSERT_EQ(0, begin_pass(self, TAKEN));
	sleep_ms(2);
	PASS();
	EXPECT_LT(0, self->pass.pages);
	EXPECT_GE(WRITTEN - TAKEN + VM_CODE_PAGES, self->pass.pages);
	EXPECT_EQ(-ENODATA, points(self));
	learns_again(_metadata, self);
}

/* It is not forgotten if the next ones do not come to their end, either. */
TEST_F(curve, passes_given_up)
{
	TOUCH(WRITTEN);
	ASSERT_EQ(0, begin_pass(self, TAKEN));
	ASSERT_EQ(-EFAULT, fail_pass(self));
	ASSERT_EQ(-EFAULT, fail_pass(self));
	PASS();
	EXPECT_LT(0, self->pass.pages);
	EXPECT_EQ(-ENODATA, points(self));
	learns_again(_metadata, self);
}

/* Pages that come back are not pages that were written. */
TEST_F(curve, pass_failed_after_restore)
{
	struct kvmx_run run = { .gfn = VM_DATA_GFN, .npages = DATA_PAGES };

	ASSERT_EQ(0, kx_restore(self->tracker, &run, 1, NULL));
	ASSERT_EQ(-EFAULT, fail_pass(self));
	PASS();
	EXPECT_LE(DATA_PAGES, self->pass.pages);
	EXPECT_EQ(-ENODATA, points(self));
	learns_again(_metadata, self);
}

/* Nor those that come back in the middle of a pass. */
TEST_F(curve, restore_within_a_pass)
{
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)self->runs,
					 .nr_runs = 64, .run_size = sizeof(self->runs[0]),
					 .max_pages = TAKEN);

	TOUCH(WRITTEN);
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
	ASSERT_NE(0, arg.cursor);
	ASSERT_EQ(0, kx_restore(self->tracker, self->runs, 1, NULL));
	arg.nr_runs = 64;
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
	ASSERT_EQ(0, arg.cursor);
	EXPECT_EQ(-ENODATA, points(self));
	PASS();
	EXPECT_EQ(-ENODATA, points(self));
	learns_again(_metadata, self);
}

/* One that took nothing before it failed has spoiled nothing. */
TEST_F(curve, pass_failed_with_nothing_taken)
{
	TOUCH(WRITTEN);
	ASSERT_EQ(-EFAULT, fail_pass(self));
	PASS();
	ASSERT_EQ(1, points(self));
	EXPECT_LE(WRITTEN, self->points[0].pages);
}

TEST_HARNESS_MAIN
