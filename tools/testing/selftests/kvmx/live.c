// SPDX-License-Identifier: GPL-2.0
/*
 * No write is ever lost: vCPUs write without pause while a shadow copy is kept up to date from
 * nothing but what HARVEST returns. When they stop, the copy must be the guest's memory, byte for
 * byte.
 */
#include <errno.h>
#include <kselftest_harness.h>

#include "lib/pass.h"

#define DATA_PAGES 4096
#define HALF (DATA_PAGES / 2)
#define ROUNDS 4
#define ROUND_NS 120000000ULL
#define PATIENCE_NS 10000000000ULL
/*
 * Turns of an empty loop between two writes: some 10000 pages a second in emulation. A bit that is
 * lost stays lost only if its page is not written again before the end of the round: most rounds
 * must be slow.
 */
#define SLOW 20000
#define FAST 1000

struct live {
	struct vm vm;
	int handle;
	int nr_trackers;
	struct shadow shadow[2];
	pthread_t vmm_thread;
	bool vmm_stop;
	uint64_t vmm_writes;
	int vmm_error;
};

/* What is tried, beside what always is. */
struct trial {
	enum mem_kind kind;
	int vcpus;		/* 0: two */
	bool second_tracker;
	uint32_t flags;		/* of HARVEST */
	uint32_t room;		/* 0: plenty */
	bool vmm_writes;	/* and MARKs, from a thread of its own */
	uint32_t fail_every;	/* RESTORE every n-th run */
	bool churn;		/* half of the memory comes and goes */
};

FIXTURE(live) {
	struct live live;
};

FIXTURE_VARIANT(live) {
	struct trial trial;
};

FIXTURE_VARIANT_ADD(live, one_vcpu) {
	.trial.vcpus = 1,
};

FIXTURE_VARIANT_ADD(live, two_vcpus) {
	.trial.vcpus = 2,
};

FIXTURE_VARIANT_ADD(live, four_vcpus) {
	.trial.vcpus = 4,
};

FIXTURE_VARIANT_ADD(live, thp) {
	.trial.kind = MEM_THP,
};

FIXTURE_VARIANT_ADD(live, hugetlb) {
	.trial.kind = MEM_HUGETLB,
};

FIXTURE_VARIANT_ADD(live, memfd) {
	.trial.kind = MEM_MEMFD,
};

FIXTURE_VARIANT_ADD(live, absent) {
	.trial.flags = KVMX_HARVEST_ABSENT,
};

FIXTURE_VARIANT_ADD(live, small_buffer) {
	.trial.room = 16,
};

FIXTURE_VARIANT_ADD(live, two_trackers) {
	.trial.second_tracker = true,
};

FIXTURE_VARIANT_ADD(live, vmm_writes) {
	.trial.vmm_writes = true,
};

FIXTURE_VARIANT_ADD(live, restore) {
	.trial.fail_every = 3,
};

FIXTURE_VARIANT_ADD(live, churn) {
	.trial.churn = true,
};

FIXTURE_VARIANT_ADD(live, all_at_once) {
	.trial.kind = MEM_THP,
	.trial.vcpus = 4,
	.trial.second_tracker = true,
	.trial.flags = KVMX_HARVEST_ABSENT,
	.trial.room = 64,
	.trial.vmm_writes = true,
	.trial.fail_every = 5,
	.trial.churn = true,
};

static int collect_for_vcpu(void *data)
{
	return kx_collect(*(int *)data);
}

FIXTURE_SETUP(live)
{
	self->live.handle = -1;
	/* vm_destroy() without vm_create() */
	self->live.vm.fd = -1;
	self->live.vm.kvm = -1;
}

static void set_up(struct __test_metadata *_metadata, struct live *live,
		   const struct trial *trial, uint32_t ring_bytes)
{
	int i, tracker, trackers = trial->second_tracker ? 2 : 1;
	int vcpus = trial->vcpus ? trial->vcpus : 2;
	struct vm *vm = &live->vm;

	if (trial->kind == MEM_HUGETLB)
		ASSERT_EQ(0, mem_reserve_huge(DATA_PAGES * PAGE_SIZE));
	ASSERT_EQ(0, vm_create(vm, ring_bytes));
	/* The guest sees one piece. */
	ASSERT_EQ(0, vm_add_slot(vm, 1, VM_DATA_GFN, HALF, trial->kind, 0));
	ASSERT_EQ(0, vm_add_slot(vm, 2, VM_DATA_GFN + HALF, HALF, trial->kind, 0));
	for (i = 1; i < vcpus; i++)
		ASSERT_EQ(0, vm_add_vcpu(vm));
	live->handle = kx_vm(vm->fd);
	ASSERT_LE(0, live->handle);
	for (i = 0; i < trackers; i++) {
		tracker = kx_tracker(live->handle, 0);
		ASSERT_LE(0, tracker);
		ASSERT_EQ(0, shadow_init(&live->shadow[i], vm, tracker));
		live->shadow[i].pass.flags = trial->flags;
		if (trial->room)
			live->shadow[i].pass.room = trial->room;
		live->shadow[i].fail_every = trial->fail_every;
		live->nr_trackers++;
	}
	vm->ring_full = collect_for_vcpu;
	vm->ring_full_data = &live->shadow[0].tracker;
}

FIXTURE_TEARDOWN(live)
{
	struct live *live = &self->live;
	int i;

	for (i = 0; i < live->nr_trackers; i++) {
		close(live->shadow[i].tracker);
		shadow_fini(&live->shadow[i]);
	}
	close(live->handle);
	vm_destroy(&live->vm);
}

/* As the back end of a device would: write, then MARK. */
static void *vmm_thread(void *data)
{
	struct live *live = data;
	struct kvmx_run runs[2] = { { .npages = 1 }, { .npages = 1 } };
	uint32_t seed = 99, i;
	uint64_t *word;
	char *hva;

	while (!__atomic_load_n(&live->vmm_stop, __ATOMIC_ACQUIRE)) {
		for (i = 0; i < 2; i++) {
			/* In the half that stays: what is not there cannot be marked. */
			runs[i].gfn = VM_DATA_GFN + next_random(&seed) % HALF;
			hva = vm_slot(&live->vm, 1)->hva + (runs[i].gfn - VM_DATA_GFN) * PAGE_SIZE;
			word = (uint64_t *)(hva + 1024 + (next_random(&seed) & 0x7f8));
			*word = ++live->vmm_writes;
		}
		live->vmm_error = kx_mark(live->handle, runs, 2, NULL);
		if (live->vmm_error)
			break;
		sleep_ms(1);
	}
	return NULL;
}

/*
 * While nobody runs: KVM of Linux 7.3 warns if one vCPU finds no memslot at the moment that it is
 * there for another.
 */
static int bring_slot_back(struct vm *vm)
{
	int i, ret = 0;

	for (i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = vcpu_stop(&vm->vcpu[i]);
	if (!ret)
		ret = vm_restore_slot(vm, 2);
	for (i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = vcpu_start(&vm->vcpu[i]);
	return ret;
}

/* A busy machine may not let the guest run for a whole round: then the last one takes longer. */
static bool round_over(int round, uint64_t end, uint64_t pages)
{
	uint64_t now = now_ns();

	return now >= end && (round < ROUNDS - 1 || pages || now >= end + PATIENCE_NS);
}

static void nothing_is_lost(struct __test_metadata *_metadata, struct live *live,
			    const struct trial *trial)
{
	uint64_t end, passes = 0, pages = 0, restored = 0;
	struct vm *vm = &live->vm;
	int i, round;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < vm->nr_vcpus; i++) {
			ASSERT_EQ(0, vcpu_program_random(&vm->vcpu[i], VM_DATA, DATA_PAGES,
							 round % 4 == 1 ? FAST : SLOW,
							 round * VM_MAX_VCPUS + i + 1));
			ASSERT_EQ(0, vcpu_start(&vm->vcpu[i]));
		}
		live->vmm_stop = false;
		if (trial->vmm_writes)
			ASSERT_EQ(0, pthread_create(&live->vmm_thread, NULL, vmm_thread, live));
		end = now_ns() + ROUND_NS;
		do {
			if (trial->churn && passes % 8 == 3)
				ASSERT_EQ(0, vm_remove_slot(vm, 2));
			if (trial->churn && passes % 8 == 5)
				ASSERT_EQ(0, bring_slot_back(vm));
			for (i = 0; i < live->nr_trackers; i++) {
				ASSERT_EQ(0, shadow_update(&live->shadow[i]));
				if (round)
					pages += live->shadow[i].pass.pages;
			}
			passes++;
		} while (!round_over(round, end, pages));
		if (!vm_slot(vm, 2)->present)
			ASSERT_EQ(0, bring_slot_back(vm));
		__atomic_store_n(&live->vmm_stop, true, __ATOMIC_RELEASE);
		if (trial->vmm_writes)
			pthread_join(live->vmm_thread, NULL);
		ASSERT_EQ(0, live->vmm_error);
		for (i = 0; i < vm->nr_vcpus; i++)
			ASSERT_EQ(0, vcpu_stop(&vm->vcpu[i]));
		for (i = 0; i < live->nr_trackers; i++) {
			ASSERT_EQ(0, shadow_settle(&live->shadow[i]));
			ASSERT_EQ(0, shadow_differs(&live->shadow[i]))
				TH_LOG("tracker %d, round %d, after %llu passes", i, round,
				       (unsigned long long)passes);
			restored += live->shadow[i].restored;
		}
	}
	/* It was not just all or nothing, and what is tried here did happen. */
	EXPECT_LE(ROUNDS, passes);
	EXPECT_LT(0, pages);
	if (!trial->churn)
		EXPECT_GT((passes - 1) * live->nr_trackers * DATA_PAGES / 2, pages);
	EXPECT_EQ(trial->vmm_writes, live->vmm_writes > 0);
	EXPECT_EQ(!!trial->fail_every, restored > 0);
}

TEST_F_TIMEOUT(live, bitmap, 60)
{
	set_up(_metadata, &self->live, &variant->trial, 0);
	nothing_is_lost(_metadata, &self->live, &variant->trial);
}

TEST_F_TIMEOUT(live, ring, 60)
{
	set_up(_metadata, &self->live, &variant->trial, VM_RING_BYTES);
	nothing_is_lost(_metadata, &self->live, &variant->trial);
}

TEST_HARNESS_MAIN
