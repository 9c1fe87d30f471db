// SPDX-License-Identifier: GPL-2.0
/*
 * Each page is written once, in order, while harvests follow one another: the guest writes to the
 * very words that a harvest reads and clears, and a bit that is cleared unseen never comes back.
 */
#include <errno.h>
#include <kselftest_harness.h>

#include "lib/kx.h"
#include "lib/vm.h"

#define DATA_PAGES 8192
#define ROUNDS 5
/* On a busy machine the guest may write it all while the harvester waits for a processor. */
#define MOST_ROUNDS 50
#define ROOM 1024

struct writer {
	pthread_t thread;
	struct vm *vm;
	uint32_t round;
	int ret;
	bool done;
};

FIXTURE(once) {
	struct vm vm;
	int handle;
	int tracker;
	struct writer writer;
	struct kvmx_run runs[ROOM];
	bool seen[DATA_PAGES];
	uint64_t clears;		/* harvests that found something */
};

FIXTURE_SETUP(once)
{
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	self->tracker = kx_tracker(self->handle, KVMX_TRACKER_CLEAN);
	ASSERT_LE(0, self->tracker);
	self->writer.vm = &self->vm;
}

FIXTURE_TEARDOWN(once)
{
	close(self->tracker);
	close(self->handle);
	vm_destroy(&self->vm);
}

static void *write_once(void *data)
{
	struct writer *w = data;

	w->ret = vcpu_touch(&w->vm->vcpu[0], VM_DATA, DATA_PAGES, PAGE_SIZE, w->round);
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static int harvest(FIXTURE_DATA(once) * self)
{
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)self->runs,
					 .run_size = sizeof(self->runs[0]));
	uint32_t i, n;
	int ret;

	do {
		arg.nr_runs = ROOM;
		ret = kx_ioctl(self->tracker, KVMX_HARVEST, &arg);
		if (ret)
			return ret;
		self->clears += arg.nr_runs > 0;
		for (i = 0; i < arg.nr_runs; i++) {
			for (n = 0; n < self->runs[i].npages; n++) {
				uint64_t page = self->runs[i].gfn + n - VM_DATA_GFN;

				if (page < DATA_PAGES)
					self->seen[page] = true;
			}
		}
	} while (arg.cursor);
	return 0;
}

TEST_F_TIMEOUT(once, every_write_is_seen, 60)
{
	struct writer *w = &self->writer;
	uint32_t i, lost, met = 0;

	for (w->round = 1; met < ROUNDS && w->round <= MOST_ROUNDS; w->round++) {
		memset(self->seen, 0, sizeof(self->seen));
		self->clears = 0;
		w->done = false;
		ASSERT_EQ(0, pthread_create(&w->thread, NULL, write_once, w));
		while (!__atomic_load_n(&w->done, __ATOMIC_ACQUIRE))
			ASSERT_EQ(0, harvest(self));
		pthread_join(w->thread, NULL);
		ASSERT_EQ(0, w->ret);
		ASSERT_EQ(0, harvest(self));
		for (i = 0, lost = 0; i < DATA_PAGES; i++)
			lost += !self->seen[i];
		EXPECT_EQ(0, lost);
		met += self->clears > 10;
	}
	EXPECT_EQ(ROUNDS, met);
}

TEST_HARNESS_MAIN
