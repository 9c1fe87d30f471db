// SPDX-License-Identifier: GPL-2.0
/*
 * A thread of the VMM makes and removes memslots all the time while others switch logging on and
 * off. If it does so in the very middle of a call, the call may have to be made again, but says
 * nothing that is not documented. If it keeps to the contract, no call notices.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>

#include "lib/pass.h"

#define DATA_PAGES 256
#define PLACES 4
#define PLACE_PAGES 512
#define PLACE_GFN(_place) (VM_DATA_GFN + 0x10000 + (_place) * 1024UL)
/* More memslots than places: most changes put another one where one was. */
#define FIRST_ID 8
#define IDS 8
#define RUN_NS 300000000ULL
#define MIN_CHANGES 100

FIXTURE(churn) {
	struct vm vm;
	int handle;
	int tracker;
	pthread_mutex_t lock;
	bool serialized;
	bool stop;
	uint64_t changes;
	char *memory;
	uint32_t at[PLACES];	/* id there, or 0 */
	struct pass pass;
};

FIXTURE_VARIANT(churn) {
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(churn, bitmap) {
	.ring_bytes = 0,
};

FIXTURE_VARIANT_ADD(churn, ring) {
	.ring_bytes = VM_RING_BYTES,
};

static void lock(FIXTURE_DATA(churn) * self)
{
	if (self->serialized)
		pthread_mutex_lock(&self->lock);
}

static void unlock(FIXTURE_DATA(churn) * self)
{
	if (self->serialized)
		pthread_mutex_unlock(&self->lock);
}

/* A HARVEST as others: it logs memslots that are new. */
static int collect_or_go_on(void *data)
{
	FIXTURE_DATA(churn) * self = data;
	int ret;

	lock(self);
	ret = kx_collect(__atomic_load_n(&self->tracker, __ATOMIC_ACQUIRE));
	unlock(self);
	if (ret)
		sleep_ms(1);
	return 0;
}

FIXTURE_SETUP(churn)
{
	ASSERT_EQ(0, vm_create(&self->vm, variant->ring_bytes));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	self->memory = mem_map(MEM_ANON, PLACES * PLACE_PAGES * PAGE_SIZE);
	ASSERT_NE(NULL, self->memory);
	ASSERT_EQ(0, pass_init(&self->pass));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	self->tracker = -1;
	self->vm.ring_full = collect_or_go_on;
	self->vm.ring_full_data = self;
	pthread_mutex_init(&self->lock, NULL);
}

FIXTURE_TEARDOWN(churn)
{
	close(self->tracker);
	close(self->handle);
	vm_destroy(&self->vm);
	munmap(self->memory, PLACES * PLACE_PAGES * PAGE_SIZE);
	pass_fini(&self->pass);
}

/* What is at a place goes, and something else may come. */
static void change(FIXTURE_DATA(churn) * self, uint32_t *seed)
{
	uint32_t place = next_random(seed) % PLACES, id = FIRST_ID + next_random(seed) % IDS;
	uint32_t pages = next_random(seed) % 2 ? PLACE_PAGES : PLACE_PAGES / 2;
	struct vm_slot *slot = vm_slot(&self->vm, id);

	if (self->at[place] && !vm_remove_slot(&self->vm, self->at[place]))
		self->at[place] = 0;
	if (self->at[place] || (slot && slot->present))
		return;
	if (!vm_map_slot(&self->vm, id, PLACE_GFN(place), pages,
			 self->memory + place * PLACE_PAGES * PAGE_SIZE, 0))
		self->at[place] = id;
}

static void *churn_thread(void *data)
{
	FIXTURE_DATA(churn) * self = data;
	uint32_t seed = 31;

	while (!__atomic_load_n(&self->stop, __ATOMIC_ACQUIRE)) {
		lock(self);
		change(self, &seed);
		__atomic_add_fetch(&self->changes, 1, __ATOMIC_RELAXED);
		unlock(self);
		sched_yield();
	}
	return NULL;
}

/* How many memslots are not where the VMM has put them. */
static int strangers(FIXTURE_DATA(churn) * self)
{
	static struct kvmx_slot list[64];
	uint32_t nr = ARRAY_SIZE(list), want = 0, i;
	int n = 0, ret;

	ret = kx_slots(self->handle, list, &nr);
	if (ret)
		return ret;
	for (i = 0; i < (uint32_t)self->vm.nr_slots; i++)
		want += self->vm.slot[i].present;
	for (i = 0; i < nr; i++) {
		struct vm_slot *slot = vm_slot(&self->vm, list[i].slot);

		n += !slot || !slot->present || slot->gfn != list[i].gfn ||
		     slot->npages != list[i].npages || (uintptr_t)slot->hva != list[i].hva;
	}
	return n + (want > nr ? want - nr : nr - want);
}

/* One call of each kind. Returns what is wrong: an error that nobody has announced. */
static int call_all(FIXTURE_DATA(churn) * self, uint32_t ring_bytes, uint32_t *seed,
		    const int *allowed, int nr_allowed)
{
	static struct kvmx_run runs[1024];
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_vm_sample sample;
	struct kvmx_harvest arg;
	int ret[8] = { 0 }, n = 0, i, k, tracker;

	lock(self);
	tracker = kx_tracker(self->handle, next_random(seed) % 2);
	unlock(self);
	ret[n++] = tracker < 0 ? tracker : 0;
	if (tracker >= 0) {
		__atomic_store_n(&self->tracker, tracker, __ATOMIC_RELEASE);
		for (i = 0; i < 3; i++) {
			arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)runs, .nr_runs = 1024,
				     .run_size = sizeof(runs[0]),
				     .flags = next_random(seed) & KVMX_HARVEST_ABSENT);
			lock(self);
			ret[n++] = kx_ioctl(tracker, KVMX_HARVEST, &arg);
			unlock(self);
		}
		lock(self);
		ret[n++] = kx_collect(tracker);
		unlock(self);
		arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)runs, .nr_runs = 1024,
			     .run_size = sizeof(runs[0]), .flags = KVMX_HARVEST_PEEK);
		/* Needs no serializing. */
		ret[n++] = kx_ioctl(tracker, KVMX_HARVEST, &arg);
		lock(self);
		__atomic_store_n(&self->tracker, -1, __ATOMIC_RELEASE);
		close(tracker);
		unlock(self);
	}
	if (!ring_bytes) {
		lock(self);
		ret[n++] = kx_sample(self->handle, 64, 1000000, points, &sample);
		unlock(self);
	}
	for (i = 0; i < n; i++) {
		for (k = 0; k < nr_allowed && ret[i] != allowed[k]; k++)
			;
		if (ret[i] && k == nr_allowed) {
			fprintf(stderr, "# call %d of %d gave %d\n", i, n, ret[i]);
			return ret[i];
		}
	}
	return 0;
}

static void calls_and_changes(struct __test_metadata *_metadata, FIXTURE_DATA(churn) * self,
			      uint32_t ring_bytes, const int *allowed, int nr_allowed)
{
	struct vcpu *vcpu = &self->vm.vcpu[0];
	uint64_t end = now_ns() + RUN_NS;
	struct kvmx_vm_info info;
	uint32_t seed = 7;
	pthread_t thread;

	ASSERT_EQ(0, vcpu_program_random(vcpu, PLACE_GFN(0) * PAGE_SIZE, 4096, 500, 1));
	ASSERT_EQ(0, vcpu_start(vcpu));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_thread, self));
	do {
		ASSERT_EQ(0, call_all(self, ring_bytes, &seed, allowed, nr_allowed));
		if (self->serialized) {
			lock(self);
			ASSERT_EQ(0, strangers(self));
			unlock(self);
		}
		/* Until there was something to notice, however busy the machine is. */
	} while (now_ns() < end ||
		 __atomic_load_n(&self->changes, __ATOMIC_RELAXED) < MIN_CHANGES);
	__atomic_store_n(&self->stop, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_EQ(0, vcpu_stop(vcpu));
	/* At rest everything goes well again, and nothing is left behind. */
	self->tracker = kx_tracker(self->handle, 0);
	ASSERT_LE(0, self->tracker);
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(0, self->pass.pages);
	close(self->tracker);
	self->tracker = -1;
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(ring_bytes ? KVMX_VM_RING : 0, info.state);
}

/* As documented of TRACKER_CREATE, HARVEST and VM_SAMPLE. */
TEST_F(churn, in_the_middle_of_calls)
{
	static const int allowed[] = { -EAGAIN, -EBUSY };

	calls_and_changes(_metadata, self, variant->ring_bytes, allowed, ARRAY_SIZE(allowed));
}

TEST_F(churn, serialized)
{
	self->serialized = true;
	calls_and_changes(_metadata, self, variant->ring_bytes, NULL, 0);
	EXPECT_EQ(0, strangers(self));
}

TEST_HARNESS_MAIN
