// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty ring: what happens when it fills up or comes late, and that nothing else is different.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <linux/kvm.h>
#include <sys/mman.h>

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
	uint64_t alone;		/* full, and no tracker to collect with */
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

/* INITIALLY_SET would leave all pages writable, and nothing of them would get into the ring. */
TEST_F(ring, initially_set_by_the_vmm)
{
	int i;

	ASSERT_EQ(0, vm_enable_cap(&self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				   KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
				   KVM_DIRTY_LOG_INITIALLY_SET));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, TOUCH(0, DATA_PAGES));
		OPEN(i ? KVMX_TRACKER_CLEAN : 0);
		ASSERT_EQ(0, TOUCH(0, 100));
		PASS();
		EXPECT_EQ(i ? 100 : DATA_PAGES, DATA());
		ASSERT_EQ(0, TOUCH(200, 100));
		PASS();
		EXPECT_EQ(100, DATA());
		close(self->tracker);
		self->tracker = -1;
	}
}

/* Memslots that take their time to be switched off, before the one that is written to. */
#define FILLERS 80
#define FILLER_GFN 64

static int collect_or_go_on(void *data)
{
	FIXTURE_DATA(ring) * self = data;
	int tracker = __atomic_load_n(&self->tracker, __ATOMIC_ACQUIRE);

	if (tracker < 0 || kx_collect(tracker)) {
		__atomic_add_fetch(&self->alone, 1, __ATOMIC_RELAXED);
		sleep_ms(1);
	}
	return 0;
}

/* It sweeps over all of its memory: a word that was wiped out comes back. */
static bool guest_goes_on(struct vm *vm)
{
	uint32_t *word = (uint32_t *)vm_hva(vm, 0, VM_DATA_GFN + DATA_PAGES - 1);
	uint64_t end = deadline_ns(5);

	__atomic_store_n(word, 0, __ATOMIC_RELAXED);
	while (!__atomic_load_n(word, __ATOMIC_RELAXED)) {
		if (now_ns() > end)
			return false;
		sleep_ms(1);
	}
	return true;
}

static void last_one_goes(struct __test_metadata *_metadata, FIXTURE_DATA(ring) * self,
			  bool elsewhere)
{
	int round, tracker, status;
	pid_t child = 0;

	OPEN(KVMX_TRACKER_CLEAN);
	sleep_ms(5);
	for (round = 0; round < 6; round++) {
		ASSERT_TRUE(guest_goes_on(&self->vm));
		if (elsewhere) {
			child = fork();
			if (!child) {
				sleep_ms(5);
				_exit(0);
			}
		}
		tracker = __atomic_exchange_n(&self->tracker, -1, __ATOMIC_ACQ_REL);
		close(tracker);
		if (elsewhere)
			ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_TRUE(kx_logging_ends(self->handle));
		__atomic_store_n(&self->alone, 0, __ATOMIC_RELAXED);
		ASSERT_TRUE(guest_goes_on(&self->vm))
			TH_LOG("round %d: full %llu times with nobody to collect", round,
			       (unsigned long long)self->alone);
		/* One that had left KVM_RUN before. */
		EXPECT_GE(2, __atomic_load_n(&self->alone, __ATOMIC_RELAXED));
		OPEN(KVMX_TRACKER_CLEAN);
	}
}

static void start_sweep(struct __test_metadata *_metadata, FIXTURE_DATA(ring) * self)
{
	int i;

	for (i = 0; i < FILLERS; i++)
		ASSERT_EQ(0, vm_add_slot(&self->vm, 10 + i, FILLER_GFN + i, 1, MEM_ANON, 0));
	self->vm.ring_full = collect_or_go_on;
	ASSERT_EQ(0, vcpu_program_sweep(&self->vm.vcpu[0], VM_DATA, DATA_PAGES, 1));
	ASSERT_EQ(0, vcpu_start(&self->vm.vcpu[0]));
}

/* A vCPU fills its ring while logging is being switched off. */
TEST_F(ring, written_while_the_last_tracker_goes)
{
	start_sweep(_metadata, self);
	last_one_goes(_metadata, self, false);
	EXPECT_EQ(0, vcpu_stop(&self->vm.vcpu[0]));
}

TEST_F(ring, written_while_the_last_tracker_goes_elsewhere)
{
	start_sweep(_metadata, self);
	last_one_goes(_metadata, self, true);
	EXPECT_EQ(0, vcpu_stop(&self->vm.vcpu[0]));
}

/* The VMM enables the ring after the first tracker and before the first vCPU. */
FIXTURE(late_ring) {
	struct vm vm;
	struct pass pass;
	int handle;
	int tracker;
};

FIXTURE_VARIANT(late_ring) {
	uint32_t manual;	/* the VMM's own setting */
	uint32_t flags;		/* of the tracker */
};

FIXTURE_VARIANT_ADD(late_ring, clean) {
	.flags = KVMX_TRACKER_CLEAN,
};

FIXTURE_VARIANT_ADD(late_ring, all_dirty) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(late_ring, manual_initially_set) {
	.manual = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET,
	.flags = KVMX_TRACKER_CLEAN,
};

FIXTURE_SETUP(late_ring)
{
	struct kvmx_tracker_stats stats;

	ASSERT_EQ(0, vm_create_bare(&self->vm, 0));
	ASSERT_EQ(0, vm_enable_cap(&self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, variant->manual));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 0, 0, VM_CODE_PAGES, MEM_ANON, 0));
	vcpu_load_programs(vm_slot(&self->vm, 0)->hva);
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	ASSERT_EQ(0, pass_init(&self->pass));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	OPEN(variant->flags);
	PASS();
	EXPECT_EQ(variant->flags ? 0 : DATA_PAGES, DATA());
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_EQ(KVMX_BACKEND_BITMAP, stats.backend);
	ASSERT_EQ(0, vm_enable_cap(&self->vm, KVM_CAP_DIRTY_LOG_RING, VM_RING_BYTES));
	ASSERT_EQ(0, vm_add_vcpu(&self->vm));
}

FIXTURE_TEARDOWN(late_ring)
{
	close(self->tracker);
	close(self->handle);
	vm_destroy(&self->vm);
	pass_fini(&self->pass);
}

TEST_F(late_ring, nothing_is_lost)
{
	struct kvmx_tracker_stats stats;
	int i;

	/* Nobody has told kvmx of the ring by then. */
	ASSERT_EQ(0, TOUCH(100, 200));
	PASS();
	EXPECT_EQ(200, pass_count(&self->pass, VM_DATA_GFN + 100, 200));
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_EQ(KVMX_BACKEND_RING, stats.backend);
	/* From then on it is a ring as any other, and exact. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, TOUCH(50 * i, 200));
		PASS();
		EXPECT_EQ(200, DATA());
		EXPECT_EQ(200, pass_count(&self->pass, VM_DATA_GFN + 50 * i, 200));
	}
}

/* Seen first by one who only looks. */
TEST_F(late_ring, peek)
{
	ASSERT_EQ(0, TOUCH(100, 200));
	self->pass.flags = KVMX_HARVEST_PEEK;
	PASS();
	EXPECT_EQ(200, pass_count(&self->pass, VM_DATA_GFN + 100, 200));
	self->pass.flags = 0;
	PASS();
	EXPECT_EQ(200, pass_count(&self->pass, VM_DATA_GFN + 100, 200));
	PASS();
	EXPECT_EQ(0, DATA());
}

/* The guest has written to all of it before it is logged: it must be protected again. */
TEST_F(late_ring, slot_added_later)
{
	const uint64_t gfn = VM_DATA_GFN + 8192;
	int i;

	PASS();
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, gfn, 64, MEM_ANON, 0));
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], gfn * PAGE_SIZE, 64, PAGE_SIZE, 1));
	PASS();
	EXPECT_EQ(64, pass_count(&self->pass, gfn, 64));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], (gfn + i) * PAGE_SIZE, 5, PAGE_SIZE,
					1));
		PASS();
		EXPECT_EQ(5, pass_count(&self->pass, gfn, 64));
	}
}

/* The tracker goes before anything could tell kvmx of the ring. */
TEST(late_ring_is_full_at_the_end)
{
	int handle, tracker;
	struct vm vm;

	ASSERT_EQ(0, vm_create_bare(&vm, 0));
	ASSERT_EQ(0, vm_add_slot(&vm, 0, 0, VM_CODE_PAGES, MEM_ANON, 0));
	vcpu_load_programs(vm_slot(&vm, 0)->hva);
	ASSERT_EQ(0, vm_add_slot(&vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	handle = kx_vm(vm.fd);
	ASSERT_LE(0, handle);
	tracker = kx_tracker(handle, KVMX_TRACKER_CLEAN);
	ASSERT_LE(0, tracker);
	ASSERT_EQ(0, vm_enable_cap(&vm, KVM_CAP_DIRTY_LOG_RING, SMALL_RING));
	ASSERT_EQ(0, vm_add_vcpu(&vm));
	ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL,
		  vcpu_touch(&vm.vcpu[0], VM_DATA, DATA_PAGES, PAGE_SIZE, 1));
	close(tracker);
	EXPECT_EQ(0, vcpu_touch(&vm.vcpu[0], VM_DATA, DATA_PAGES, PAGE_SIZE, 1));
	close(handle);
	vm_destroy(&vm);
}

/*
 * With INITIALLY_SET, KVM protects nothing when logging is switched on, and mapped pages do not get
 * into the ring; without, all of them do. So the VMM sees by itself how it is set.
 */
TEST_F(late_ring, settings_are_put_back)
{
	struct kvmx_vm_info info;
	struct kvm_dirty_gfn *ring;
	uint32_t i, entries = 0;

	ring = mmap(NULL, VM_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		    self->vm.vcpu[0].fd, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE);
	ASSERT_NE(MAP_FAILED, ring);
	PASS();
	close(self->tracker);
	self->tracker = -1;
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(KVMX_VM_RING, info.state);
	/* Not logged, and all of it mapped again. */
	ASSERT_EQ(0, TOUCH(0, DATA_PAGES));
	for (i = 0; i < VM_RING_ENTRIES; i++)
		entries += ring[i].flags & KVM_DIRTY_GFN_F_DIRTY;
	EXPECT_EQ(0, entries);
	ASSERT_EQ(0, vm_set_flags(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES));
	ASSERT_EQ(0, TOUCH(0, DATA_PAGES));
	for (i = 0; i < VM_RING_ENTRIES; i++)
		entries += ring[i].flags & KVM_DIRTY_GFN_F_DIRTY;
	EXPECT_EQ(variant->manual ? 0 : DATA_PAGES, entries);
	munmap(ring, VM_RING_BYTES);
}

TEST_HARNESS_MAIN
