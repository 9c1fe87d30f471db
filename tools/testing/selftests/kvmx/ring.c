// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty ring: what happens when it fills up, and that nothing else is different.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <linux/kvm.h>

#include "lib/pass.h"

#define DATA_PAGES 2048
/* The smallest ring that KVM takes: one page. */
#define SMALL_RING PAGE_SIZE
#define SMALL_ENTRIES (SMALL_RING / sizeof(struct kvm_dirty_gfn))

FIXTURE(ring) {
	struct vm vm;
	struct pass pass;
	int handle;
	int tracker;
	uint64_t collects;
};

static int collect_for_vcpu(void *data)
{
	FIXTURE_DATA(ring) * self = data;

	self->collects++;
	return kx_collect(self->tracker);
}

FIXTURE_SETUP(ring)
{
	ASSERT_EQ(0, vm_create(&self->vm, SMALL_RING));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	ASSERT_EQ(0, pass_init(&self->pass));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	self->tracker = -1;
	self->vm.ring_full = collect_for_vcpu;
	self->vm.ring_full_data = self;
}

FIXTURE_TEARDOWN(ring)
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
	vcpu_touch(&self->vm.vcpu[0], VM_DATA + (_page) * PAGE_SIZE, (_pages), PAGE_SIZE, 1)

#define DATA() pass_count(&self->pass, VM_DATA_GFN, DATA_PAGES)

TEST_F(ring, collect_makes_room)
{
	struct kvmx_tracker_stats stats;
	struct kvmx_vm_info info;

	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(SMALL_RING, info.ring_bytes);
	OPEN(KVMX_TRACKER_CLEAN);
	ASSERT_EQ(0, TOUCH(0, DATA_PAGES));
	EXPECT_LE(DATA_PAGES / SMALL_ENTRIES - 1, self->collects);
	EXPECT_EQ(self->collects, self->vm.vcpu[0].exits_full);
	PASS();
	EXPECT_EQ(DATA_PAGES, DATA());
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_EQ(KVMX_BACKEND_RING, stats.backend);
	EXPECT_EQ(0, stats.overreported_pages);
}

/* Without COLLECT the vCPU stands still; a pass of HARVEST makes room, too. */
TEST_F(ring, harvest_makes_room)
{
	int i;

	OPEN(KVMX_TRACKER_CLEAN);
	self->vm.ring_full = NULL;
	ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, TOUCH(0, DATA_PAGES));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, TOUCH(0, DATA_PAGES));
	PASS();
	EXPECT_LT(0, DATA());
	EXPECT_GE(SMALL_ENTRIES, DATA());
	ASSERT_EQ(0, TOUCH(1000, SMALL_ENTRIES / 4));
	PASS();
	EXPECT_EQ(SMALL_ENTRIES / 4, DATA());
}

/* Each vCPU has a ring of its own. */
TEST_F(ring, every_vcpu)
{
	int i;

	for (i = 1; i < VM_MAX_VCPUS; i++)
		ASSERT_EQ(0, vm_add_vcpu(&self->vm));
	OPEN(KVMX_TRACKER_CLEAN);
	for (i = 0; i < VM_MAX_VCPUS; i++)
		ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[i], VM_DATA + i * 300 * PAGE_SIZE, 100,
					PAGE_SIZE, 1));
	PASS();
	EXPECT_EQ(100 * VM_MAX_VCPUS, DATA());
	for (i = 0; i < VM_MAX_VCPUS; i++)
		EXPECT_EQ(100, pass_count(&self->pass, VM_DATA_GFN + i * 300, 100));
}

TEST_F(ring, vcpu_created_under_a_tracker)
{
	OPEN(KVMX_TRACKER_CLEAN);
	PASS();
	ASSERT_EQ(0, vm_add_vcpu(&self->vm));
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[1], VM_DATA, 500, PAGE_SIZE, 1));
	EXPECT_LT(0, self->vm.vcpu[1].exits_full);
	PASS();
	EXPECT_EQ(500, DATA());
}

/*
 * The last tracker goes while there is something in the ring: the vCPU must be able to go on
 * without one, and the next tracker must not see old entries.
 */
TEST_F(ring, closed_with_a_full_ring)
{
	int i;

	for (i = 0; i < 4; i++) {
		OPEN(KVMX_TRACKER_CLEAN);
		self->vm.ring_full = NULL;
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, TOUCH(0, DATA_PAGES));
		close(self->tracker);
		self->tracker = -1;
		/* No logging: no entries. */
		ASSERT_EQ(0, TOUCH(0, DATA_PAGES));
		OPEN(KVMX_TRACKER_CLEAN);
		PASS();
		EXPECT_EQ(0, DATA());
		ASSERT_EQ(0, TOUCH(100, SMALL_ENTRIES / 4));
		PASS();
		EXPECT_EQ(SMALL_ENTRIES / 4, DATA());
		close(self->tracker);
		self->tracker = -1;
	}
}

/* The ring knows memslots by number only: an entry of one that is gone is nobody's. */
TEST_F(ring, entries_of_a_removed_slot)
{
	OPEN(KVMX_TRACKER_CLEAN);
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, VM_DATA_GFN + 8192, 128, MEM_ANON, 0));
	PASS();
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA + 8192 * PAGE_SIZE, 128, PAGE_SIZE, 1));
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	/* A smaller one of the same number elsewhere. */
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, VM_DATA_GFN + 16384, 16, MEM_ANON, 0));
	PASS();
	EXPECT_EQ(0, DATA());
	EXPECT_EQ(16, pass_count(&self->pass, VM_DATA_GFN + 16384, 128));
	EXPECT_EQ(0, pass_count(&self->pass, VM_DATA_GFN + 8192, 128));
}

static uint64_t full_exits(struct vm *vm)
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < vm->nr_vcpus; i++)
		sum += __atomic_load_n(&vm->vcpu[i].exits_full, __ATOMIC_RELAXED);
	return sum;
}

/* All vCPUs run into full rings all the time while passes go on. */
TEST_F(ring, full_all_the_time)
{
	struct shadow shadow;
	int i, round, turns;
	uint64_t full;

	for (i = 1; i < VM_MAX_VCPUS; i++)
		ASSERT_EQ(0, vm_add_vcpu(&self->vm));
	OPEN(0);
	ASSERT_EQ(0, shadow_init(&shadow, &self->vm, self->tracker));
	for (i = 0; i < VM_MAX_VCPUS; i++)
		ASSERT_EQ(0, vcpu_program_random(&self->vm.vcpu[i], VM_DATA, DATA_PAGES, 1, i + 1));
	for (round = 0; round < 4; round++) {
		for (i = 0; i < VM_MAX_VCPUS; i++)
			ASSERT_EQ(0, vcpu_start(&self->vm.vcpu[i]));
		/* Until a ring was full, however slow the machine is. */
		full = full_exits(&self->vm);
		for (turns = 0; turns < 200; turns++) {
			if (turns >= 5 && full != full_exits(&self->vm))
				break;
			sleep_ms(40);
			ASSERT_EQ(0, shadow_update(&shadow));
		}
		EXPECT_LT(full, full_exits(&self->vm));
		for (i = 0; i < VM_MAX_VCPUS; i++)
			ASSERT_EQ(0, vcpu_stop(&self->vm.vcpu[i]));
		ASSERT_EQ(0, shadow_settle(&shadow));
		ASSERT_EQ(0, shadow_differs(&shadow));
	}
	shadow_fini(&shadow);
}

TEST_HARNESS_MAIN
