// SPDX-License-Identifier: GPL-2.0
/*
 * Memslots: how they are listed, and what a tracker makes of changes under it.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <sys/ioctl.h>

#include "lib/pass.h"

#define DATA_PAGES 256
#define NEW_GFN (VM_DATA_GFN + 0x10000)
#define SMM(_id) (0x10000 | (_id))

#ifndef KVM_CAP_GUEST_MEMFD
/* Younger than the headers of the C library's release. */
#define KVM_CAP_GUEST_MEMFD 234
#define KVM_MEM_GUEST_MEMFD 0x4
#define KVM_X86_SW_PROTECTED_VM 1

struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};

struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};

#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif

FIXTURE(slots) {
	struct vm vm;
	struct pass pass;
	int handle;
	int tracker;
	struct kvmx_slot list[VM_MAX_SLOTS];
};

FIXTURE_VARIANT(slots) {
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(slots, bitmap) {
	.ring_bytes = 0,
};

FIXTURE_VARIANT_ADD(slots, ring) {
	.ring_bytes = VM_RING_BYTES,
};

FIXTURE_SETUP(slots)
{
	ASSERT_EQ(0, vm_create(&self->vm, variant->ring_bytes));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	ASSERT_EQ(0, pass_init(&self->pass));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	self->tracker = -1;
}

FIXTURE_TEARDOWN(slots)
{
	close(self->tracker);
	close(self->handle);
	vm_destroy(&self->vm);
	pass_fini(&self->pass);
}

/* A tracker that has seen everything once: from here on changes show. */
#define START() \
do { \
	self->tracker = kx_tracker(self->handle, KVMX_TRACKER_CLEAN); \
	ASSERT_LE(0, self->tracker); \
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker)); \
	EXPECT_EQ(0, pass_count(&self->pass, VM_DATA_GFN, DATA_PAGES)); \
} while (0)

#define PASS() ASSERT_EQ(0, pass_run(&self->pass, self->tracker))

#define TOUCH(_gfn, _pages) \
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], (_gfn) * PAGE_SIZE, (_pages), PAGE_SIZE, 1))

static bool same(const struct kvmx_slot *seen, const struct vm_slot *want)
{
	return seen->gfn == want->gfn && seen->npages == want->npages && seen->slot == want->id &&
	       seen->hva == (uintptr_t)want->hva;
}

TEST_F(slots, list)
{
	static const uint32_t order[] = { 0, 1, 9, 3, 7 };
	struct vm *vm = &self->vm;
	uint32_t nr = 0, i;

	ASSERT_EQ(0, vm_add_slot(vm, 3, NEW_GFN + 64, 8, MEM_ANON, KVM_MEM_READONLY));
	ASSERT_EQ(0, vm_add_slot(vm, 7, NEW_GFN + 128, 1, MEM_MEMFD, 0));
	ASSERT_EQ(0, vm_add_slot(vm, 9, NEW_GFN, 64, MEM_ANON, 0));
	ASSERT_EQ(-ENOSPC, kx_slots(self->handle, self->list, &nr));
	ASSERT_EQ(5, nr);
	ASSERT_EQ(0, kx_slots(self->handle, self->list, &nr));
	ASSERT_EQ(5, nr);
	for (i = 0; i < nr; i++) {
		EXPECT_TRUE(same(&self->list[i], vm_slot(vm, order[i])))
			TH_LOG("entry %u", i);
		EXPECT_EQ(order[i] == 3 ? KVMX_SLOT_READONLY : 0, self->list[i].flags);
	}
	START();
	nr = VM_MAX_SLOTS;
	ASSERT_EQ(0, kx_slots(self->handle, self->list, &nr));
	ASSERT_EQ(5, nr);
	for (i = 0; i < nr; i++) {
		uint32_t want = order[i] == 3 ? KVMX_SLOT_READONLY : KVMX_SLOT_LOGGED;

		/* KVM may log a read-only memslot, too: nothing will come of it. */
		EXPECT_EQ(want, self->list[i].flags & want);
		EXPECT_EQ(0, self->list[i].flags & ~(want | KVMX_SLOT_LOGGED));
	}
	close(self->tracker);
	self->tracker = -1;
	ASSERT_EQ(0, kx_slots(self->handle, self->list, &nr));
	for (i = 0; i < nr; i++)
		EXPECT_EQ(0, self->list[i].flags & KVMX_SLOT_LOGGED);
	ASSERT_EQ(0, vm_set_flags(vm, 9, KVM_MEM_LOG_DIRTY_PAGES));
	ASSERT_EQ(0, kx_slots(self->handle, self->list, &nr));
	EXPECT_EQ(KVMX_SLOT_LOGGED, self->list[2].flags);
}

TEST_F(slots, list_of_a_bare_vm)
{
	uint32_t nr = 0;
	struct vm vm;
	int handle;

	ASSERT_EQ(0, vm_create_bare(&vm, variant->ring_bytes));
	handle = kx_vm(vm.fd);
	ASSERT_LE(0, handle);
	EXPECT_EQ(0, kx_slots(handle, NULL, &nr));
	EXPECT_EQ(0, nr);
	self->tracker = kx_tracker(handle, 0);
	ASSERT_LE(0, self->tracker);
	PASS();
	EXPECT_EQ(0, self->pass.pages);
	ASSERT_EQ(0, vm_add_slot(&vm, 0, 0, 16, MEM_ANON, 0));
	PASS();
	EXPECT_EQ(16, self->pass.pages);
	close(self->tracker);
	self->tracker = -1;
	close(handle);
	vm_destroy(&vm);
}

/* What KVM makes for itself with an interrupt controller is none of user space's. */
TEST_F(slots, internal_slots_are_hidden)
{
	uint64_t identity = 0xfffbc000;
	uint32_t nr = VM_MAX_SLOTS;
	struct vm vm;
	int handle;

	ASSERT_EQ(0, vm_create_bare(&vm, variant->ring_bytes));
	ASSERT_EQ(0, ioctl(vm.fd, KVM_SET_IDENTITY_MAP_ADDR, &identity));
	ASSERT_EQ(0, ioctl(vm.fd, KVM_SET_TSS_ADDR, 0xfffbd000));
	ASSERT_EQ(0, ioctl(vm.fd, KVM_CREATE_IRQCHIP));
	ASSERT_EQ(0, vm_add_slot(&vm, 5, 0, 16, MEM_ANON, 0));
	ASSERT_EQ(0, vm_add_vcpu(&vm));
	handle = kx_vm(vm.fd);
	ASSERT_LE(0, handle);
	ASSERT_EQ(0, kx_slots(handle, self->list, &nr));
	EXPECT_EQ(1, nr);
	EXPECT_EQ(5, self->list[0].slot);
	self->tracker = kx_tracker(handle, 0);
	ASSERT_LE(0, self->tracker);
	PASS();
	EXPECT_EQ(16, self->pass.pages);
	close(self->tracker);
	self->tracker = -1;
	close(handle);
	vm_destroy(&vm);
}

TEST_F(slots, second_address_space)
{
	struct kvmx_run run = { .gfn = VM_DATA_GFN + 1, .npages = 1, .slot = 1U << 16 };
	uint32_t nr = VM_MAX_SLOTS;
	uint64_t dropped;

	if (ioctl(self->vm.fd, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE) < 2)
		SKIP(return, "KVM has one address space only");
	ASSERT_EQ(0, vm_map_slot(&self->vm, SMM(4), VM_DATA_GFN, DATA_PAGES,
				 vm_slot(&self->vm, 1)->hva, 0));
	ASSERT_EQ(0, kx_slots(self->handle, self->list, &nr));
	ASSERT_EQ(3, nr);
	EXPECT_TRUE(same(&self->list[2], vm_slot(&self->vm, SMM(4))));
	START();
	EXPECT_EQ(0, self->pass.pages);
	ASSERT_EQ(0, kx_mark(self->handle, &run, 1, &dropped));
	EXPECT_EQ(0, dropped);
	PASS();
	EXPECT_EQ(1, self->pass.pages);
	EXPECT_EQ(1, self->pass.seen[1][VM_DATA_GFN + 1]);
	run.slot = 0;
	ASSERT_EQ(0, kx_restore(self->tracker, &run, 1, &dropped));
	EXPECT_EQ(0, dropped);
	PASS();
	EXPECT_EQ(1, self->pass.pages);
	EXPECT_EQ(1, self->pass.seen[0][VM_DATA_GFN + 1]);
	ASSERT_EQ(0, vm_remove_slot(&self->vm, SMM(4)));
	run.slot = 1U << 16;
	ASSERT_EQ(0, kx_mark(self->handle, &run, 1, &dropped));
	EXPECT_EQ(1, dropped);
	close(self->tracker);
	/* A new tracker returns both spaces wholly, the first one first. */
	ASSERT_EQ(0, vm_restore_slot(&self->vm, SMM(4)));
	self->tracker = kx_tracker(self->handle, 0);
	ASSERT_LE(0, self->tracker);
	PASS();
	EXPECT_EQ(VM_CODE_PAGES + 2 * DATA_PAGES, self->pass.pages);
}

TEST_F(slots, five_hundred)
{
	const uint32_t nr_slots = 500, npages = 16, gap = 32;
	struct vm *vm = &self->vm;
	uint32_t nr = VM_MAX_SLOTS, i;
	struct kvmx_vm_info info;
	char *memory;

	memory = mem_map(MEM_ANON, nr_slots * npages * PAGE_SIZE);
	ASSERT_NE(NULL, memory);
	/* From the top down: the order of creation is not the order of addresses. */
	for (i = 0; i < nr_slots; i++)
		ASSERT_EQ(0, vm_map_slot(vm, i + 2, NEW_GFN + (nr_slots - 1 - i) * gap, npages,
					 memory + i * npages * PAGE_SIZE, 0));
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(nr_slots + 2, info.nr_slots);
	ASSERT_EQ(0, kx_slots(self->handle, self->list, &nr));
	ASSERT_EQ(nr_slots + 2, nr);
	for (i = 2; i < nr; i++) {
		EXPECT_TRUE(same(&self->list[i], vm_slot(vm, self->list[i].slot)));
		EXPECT_LT(self->list[i - 1].gfn, self->list[i].gfn);
	}
	self->tracker = kx_tracker(self->handle, 0);
	ASSERT_LE(0, self->tracker);
	self->pass.room = 100;
	PASS();
	EXPECT_EQ(vm_pages(vm), self->pass.pages);
	/* No run goes beyond its memslot. */
	EXPECT_LE(nr_slots + 2, self->pass.runs);
	PASS();
	/* One page in each, and nothing in the gaps. */
	ASSERT_EQ(0, vcpu_touch(&vm->vcpu[0], NEW_GFN * PAGE_SIZE + 3 * PAGE_SIZE, nr_slots,
				gap * PAGE_SIZE, 5));
	EXPECT_EQ(0, vm->vcpu[0].exits_mmio);
	PASS();
	EXPECT_LE(nr_slots, self->pass.pages);
	EXPECT_GE(nr_slots + VM_CODE_PAGES, self->pass.pages);
	for (i = 0; i < nr_slots; i++)
		EXPECT_TRUE(pass_has(&self->pass, NEW_GFN + i * gap + 3));
	/* Half of them go, in no order. */
	for (i = 0; i < nr_slots; i += 2)
		ASSERT_EQ(0, vm_remove_slot(vm, i + 2));
	PASS();
	EXPECT_GE(VM_CODE_PAGES, self->pass.pages);
	EXPECT_TRUE(self->pass.status & KVMX_HARVEST_SLOTS);
	for (i = 0; i < nr_slots; i += 2)
		ASSERT_EQ(0, vm_restore_slot(vm, i + 2));
	PASS();
	EXPECT_LE(nr_slots / 2 * npages, self->pass.pages);
	munmap(memory, nr_slots * npages * PAGE_SIZE);
}

TEST_F(slots, added)
{
	struct kvmx_vm_stats stats;

	START();
	PASS();
	EXPECT_EQ(0, self->pass.status & KVMX_HARVEST_SLOTS);
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, 0));
	PASS();
	EXPECT_EQ(100, pass_count(&self->pass, NEW_GFN, 100));
	EXPECT_EQ(0, pass_count(&self->pass, VM_DATA_GFN, DATA_PAGES));
	EXPECT_TRUE(self->pass.status & KVMX_HARVEST_SLOTS);
	PASS();
	EXPECT_EQ(0, self->pass.status & KVMX_HARVEST_SLOTS);
	EXPECT_EQ(0, pass_count(&self->pass, NEW_GFN, 100));
	/* From then on it is logged as the others are. */
	TOUCH(NEW_GFN + 7, 3);
	PASS();
	EXPECT_EQ(3, pass_count(&self->pass, NEW_GFN, 100));
	ASSERT_EQ(0, kx_vm_stats(self->handle, &stats));
	EXPECT_EQ(1, stats.slot_changes);
}

TEST_F(slots, removed)
{
	struct kvmx_run run = { .gfn = VM_DATA_GFN + DATA_PAGES - 2, .npages = 2 };
	struct kvmx_run hole = { .gfn = NEW_GFN, .npages = 33 };
	struct kvmx_tracker_stats stats;
	uint64_t dropped;

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, 0));
	START();
	TOUCH(NEW_GFN, 100);
	/* In part taken out of KVM's log already. */
	ASSERT_EQ(0, kx_collect(self->tracker));
	TOUCH(NEW_GFN, 50);
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	PASS();
	EXPECT_EQ(0, pass_count(&self->pass, NEW_GFN, 100));
	EXPECT_TRUE(self->pass.status & KVMX_HARVEST_SLOTS);
	ASSERT_EQ(0, kx_tracker_stats(self->tracker, &stats));
	EXPECT_EQ(0, stats.pending_pages);

	ASSERT_EQ(0, kx_restore(self->tracker, &hole, 1, &dropped));
	EXPECT_EQ(33, dropped);
	ASSERT_EQ(0, kx_mark(self->handle, &hole, 1, &dropped));
	EXPECT_EQ(33, dropped);
	/* Partly in a memslot. */
	run.npages = 10;
	ASSERT_EQ(0, kx_restore(self->tracker, &run, 1, &dropped));
	EXPECT_EQ(8, dropped);
	ASSERT_EQ(0, kx_mark(self->handle, &run, 1, &dropped));
	EXPECT_EQ(8, dropped);
	run = (struct kvmx_run){ .gfn = VM_DATA_GFN - 5, .npages = 6 };
	ASSERT_EQ(0, kx_mark(self->handle, &run, 1, &dropped));
	EXPECT_EQ(5, dropped);
	PASS();
	EXPECT_EQ(3, pass_count(&self->pass, VM_DATA_GFN, DATA_PAGES));
	EXPECT_TRUE(pass_has(&self->pass, VM_DATA_GFN));
}

TEST_F(slots, restore_before_anybody_noticed)
{
	struct kvmx_run run = { .gfn = NEW_GFN, .npages = 100 };
	uint64_t dropped;

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, 0));
	START();
	/* No HARVEST in between that could find the change. */
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	ASSERT_EQ(0, kx_restore(self->tracker, &run, 1, &dropped));
	EXPECT_EQ(100, dropped);
	ASSERT_EQ(0, vm_restore_slot(&self->vm, 2));
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	ASSERT_EQ(0, kx_mark(self->handle, &run, 1, &dropped));
	EXPECT_EQ(100, dropped);
	ASSERT_EQ(0, vm_restore_slot(&self->vm, 2));
	ASSERT_EQ(0, kx_mark(self->handle, &run, 1, &dropped));
	EXPECT_EQ(0, dropped);
	PASS();
	EXPECT_EQ(100, pass_count(&self->pass, NEW_GFN, 100));
}

/* Runs given in may go over the seam of two memslots, runs that come out never do. */
TEST_F(slots, adjacent)
{
	struct kvmx_run run = { .gfn = VM_DATA_GFN + DATA_PAGES - 4, .npages = 8 };
	uint64_t dropped;

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, VM_DATA_GFN + DATA_PAGES, 16, MEM_ANON, 0));
	START();
	ASSERT_EQ(0, kx_mark(self->handle, &run, 1, &dropped));
	EXPECT_EQ(0, dropped);
	PASS();
	EXPECT_EQ(8, self->pass.pages);
	EXPECT_EQ(2, self->pass.runs);
	ASSERT_EQ(0, kx_restore(self->tracker, &run, 1, &dropped));
	EXPECT_EQ(0, dropped);
	PASS();
	EXPECT_EQ(8, self->pass.pages);
	EXPECT_EQ(2, self->pass.runs);
}

TEST_F(slots, moved)
{
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, 0));
	START();
	ASSERT_EQ(0, vm_move_slot(&self->vm, 2, NEW_GFN + 500));
	PASS();
	EXPECT_EQ(0, pass_count(&self->pass, NEW_GFN, 100));
	EXPECT_EQ(100, pass_count(&self->pass, NEW_GFN + 500, 100));
	EXPECT_EQ(0, pass_count(&self->pass, VM_DATA_GFN, DATA_PAGES));
	EXPECT_TRUE(self->pass.status & KVMX_HARVEST_SLOTS);
	TOUCH(NEW_GFN + 500, 5);
	PASS();
	EXPECT_EQ(5, pass_count(&self->pass, NEW_GFN + 500, 100));
}

/* The same number, address and size, perhaps even the same object in the kernel. */
TEST_F(slots, created_anew)
{
	int i;

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, 0));
	START();
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
		ASSERT_EQ(0, vm_restore_slot(&self->vm, 2));
		if (i & 1)
			TOUCH(NEW_GFN + i, 1);
		PASS();
		ASSERT_EQ(100, pass_count(&self->pass, NEW_GFN, 100))
			TH_LOG("round %d", i);
		EXPECT_TRUE(self->pass.status & KVMX_HARVEST_SLOTS);
		TOUCH(NEW_GFN + i, 2);
		PASS();
		ASSERT_EQ(2, pass_count(&self->pass, NEW_GFN, 100))
			TH_LOG("round %d", i);
	}
}

/*
 * A flash ROM: while it is written to there is no memslot, so that MARK has nothing to mark. When
 * it is back, where and as it was, it must be new.
 */
TEST_F(slots, readonly_created_anew)
{
	int i;

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, KVM_MEM_READONLY));
	START();
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
		ASSERT_EQ(0, vm_restore_slot(&self->vm, 2));
		PASS();
		ASSERT_EQ(100, pass_count(&self->pass, NEW_GFN, 100))
			TH_LOG("round %d", i);
	}
}

TEST_F(slots, resized)
{
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, 0));
	START();
	TOUCH(NEW_GFN + 90, 10);
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 50, MEM_ANON, 0));
	PASS();
	EXPECT_EQ(50, pass_count(&self->pass, NEW_GFN, 100));
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 300, MEM_ANON, 0));
	PASS();
	EXPECT_EQ(300, pass_count(&self->pass, NEW_GFN, 300));
	TOUCH(NEW_GFN + 299, 1);
	PASS();
	EXPECT_EQ(1, pass_count(&self->pass, NEW_GFN, 300));
}

TEST_F(slots, changed_within_a_pass)
{
	struct kvmx_harvest arg;
	struct kvmx_run run;
	uint64_t cursor;

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 3, NEW_GFN + 200, 100, MEM_ANON, 0));
	START();
#define STEP() \
do { \
	arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)&run, .nr_runs = 1, \
		     .run_size = sizeof(run), .cursor = cursor); \
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg)); \
	cursor = arg.cursor; \
} while (0)
	ASSERT_EQ(0, kx_mark_pages(self->handle, NEW_GFN, 10));
	ASSERT_EQ(0, kx_mark_pages(self->handle, NEW_GFN + 50, 10));
	ASSERT_EQ(0, kx_mark_pages(self->handle, NEW_GFN + 200, 10));
	cursor = 0;
	STEP();
	ASSERT_EQ(1, arg.nr_runs);
	EXPECT_EQ(NEW_GFN, run.gfn);
	ASSERT_TRUE(arg.status & KVMX_HARVEST_MORE);
	/* The memslot the cursor is in goes, and one comes before the cursor. */
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 4, NEW_GFN - 100, 100, MEM_ANON, 0));
	do {
		STEP();
		if (arg.nr_runs)
			EXPECT_NE(NULL, vm_hva(&self->vm, 0, run.gfn));
	} while (cursor);
	/* What the pass may have missed, the next one has. */
	ASSERT_EQ(0, kx_mark_pages(self->handle, NEW_GFN + 205, 1));
	PASS();
	EXPECT_TRUE(pass_has(&self->pass, NEW_GFN + 205));
	EXPECT_TRUE(self->pass.status & KVMX_HARVEST_SLOTS || pass_has(&self->pass, NEW_GFN - 1));
	PASS();
	EXPECT_EQ(0, pass_count(&self->pass, NEW_GFN - 100, 400));
#undef STEP
}

/* A slot that comes before the cursor of a pass under way is not lost. */
TEST_F(slots, added_behind_the_cursor)
{
	struct kvmx_run runs[1];
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)runs, .nr_runs = 1,
					 .run_size = sizeof(runs[0]));
	uint64_t pages = 0;

	START();
	ASSERT_EQ(0, kx_mark_pages(self->handle, VM_DATA_GFN, 1));
	ASSERT_EQ(0, kx_mark_pages(self->handle, VM_DATA_GFN + 2, 1));
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
	ASSERT_NE(0, arg.cursor);
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, VM_DATA_GFN - 1000, 100, MEM_ANON, 0));
	while (arg.cursor) {
		arg.nr_runs = 1;
		ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
		if (arg.nr_runs && runs[0].gfn < VM_DATA_GFN)
			pages += runs[0].npages;
	}
	PASS();
	EXPECT_EQ(100, pages + pass_count(&self->pass, VM_DATA_GFN - 1000, 100));
}

TEST_F(slots, readonly)
{
	struct kvmx_harvest arg;
	struct kvmx_run runs[8];

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 64, MEM_ANON, KVM_MEM_READONLY));
	self->tracker = kx_tracker(self->handle, 0);
	ASSERT_LE(0, self->tracker);
	PASS();
	EXPECT_EQ(64, pass_count_class(&self->pass, NEW_GFN, 64, KVMX_CLASS_READONLY));
	EXPECT_EQ(DATA_PAGES, pass_count_class(&self->pass, VM_DATA_GFN, DATA_PAGES,
					       KVMX_CLASS_NORMAL));
	EXPECT_EQ(0, self->pass.status & KVMX_HARVEST_UNLOGGED);
	/* Its only source from now on: */
	ASSERT_EQ(0, kx_mark_pages(self->handle, NEW_GFN + 9, 2));
	arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)runs, .nr_runs = 8,
		     .run_size = sizeof(runs[0]));
	ASSERT_EQ(0, kx_ioctl(self->tracker, KVMX_HARVEST, &arg));
	ASSERT_LE(1, arg.nr_runs);
	EXPECT_EQ(NEW_GFN + 9, runs[arg.nr_runs - 1].gfn);
	EXPECT_EQ(2, runs[arg.nr_runs - 1].npages);
	EXPECT_EQ(2, runs[arg.nr_runs - 1].slot);
	EXPECT_EQ(KVMX_CLASS_READONLY, runs[arg.nr_runs - 1].page_class);
	close(self->tracker);
	START();
	EXPECT_EQ(0, pass_count(&self->pass, NEW_GFN, 64));
}

/* Memory of guest_memfd can be written by the guest, and KVM refuses to log it. */
TEST_F(slots, unloggable)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = 2,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = NEW_GFN * PAGE_SIZE,
		.memory_size = 64 * PAGE_SIZE,
	};
	struct kvm_create_guest_memfd create = { .size = 64 * PAGE_SIZE };
	uint32_t nr = VM_MAX_SLOTS;
	struct vm vm;
	int memfd, handle;

	ASSERT_EQ(0, vm_create_bare(&vm, 0));
	close(vm.fd);
	vm.fd = ioctl(vm.kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	memfd = vm.fd < 0 ? -1 : ioctl(vm.fd, KVM_CREATE_GUEST_MEMFD, &create);
	if (memfd < 0)
		SKIP(return, "KVM has no guest_memfd");
	region.userspace_addr = (uintptr_t)mem_map(MEM_ANON, 64 * PAGE_SIZE);
	region.guest_memfd = memfd;
	ASSERT_EQ(0, ioctl(vm.fd, KVM_SET_USER_MEMORY_REGION2, &region));
	handle = kx_vm(vm.fd);
	ASSERT_LE(0, handle);
	self->tracker = kx_tracker(handle, KVMX_TRACKER_CLEAN);
	ASSERT_LE(0, self->tracker);
	ASSERT_EQ(0, kx_slots(handle, self->list, &nr));
	ASSERT_EQ(1, nr);
	EXPECT_EQ(KVMX_SLOT_UNLOGGABLE, self->list[0].flags);
	/* Maybe written, so returned each time. */
	PASS();
	EXPECT_TRUE(self->pass.status & KVMX_HARVEST_UNLOGGED);
	EXPECT_EQ(64, self->pass.by_class[KVMX_CLASS_UNLOGGED]);
	PASS();
	EXPECT_TRUE(self->pass.status & KVMX_HARVEST_UNLOGGED);
	EXPECT_EQ(64, self->pass.by_class[KVMX_CLASS_UNLOGGED]);
	close(self->tracker);
	self->tracker = -1;
	close(handle);
	close(memfd);
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
