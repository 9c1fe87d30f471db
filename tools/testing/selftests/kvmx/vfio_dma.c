// SPDX-License-Identifier: GPL-2.0
/*
 * What devices write is in the same harvest as what the guest writes, until they are stopped. Needs
 * a machine with devices (run -D).
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "lib/kx.h"
#include "lib/nvme.h"
#include "lib/pass.h"
#include "lib/vdev.h"
#include "lib/vm.h"

#define ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define PAGES 64
#define GFN(n) (VM_DATA_GFN + (n))
#define ROUNDS 60
/* For each way to log; or as many as KVMX_DMA_WRITES in the environment says. */
#define NVME_WRITES 5000
#define SHADOWS 2

FIXTURE(dma) {
	struct vm vm;
	int kx;
	int tracker;
	struct vdev edu;
	char *mem;
	struct pass pass;
};

FIXTURE_VARIANT(dma) {
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(dma, bitmap) {
	.ring_bytes = 0,
};

FIXTURE_VARIANT_ADD(dma, ring) {
	.ring_bytes = VM_RING_BYTES,
};

FIXTURE_SETUP(dma)
{
	ASSERT_EQ(0, vm_create(&self->vm, variant->ring_bytes));
	self->kx = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->kx);
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, PAGES, MEM_ANON, 0));
	self->mem = vm_hva(&self->vm, 0, VM_DATA_GFN);
	ASSERT_EQ(0, vdev_open(&self->edu, VDEV_EDU, self->vm.fd));
	self->tracker = kx_tracker(self->kx, KVMX_TRACKER_CLEAN);
	ASSERT_LE(0, self->tracker);
	ASSERT_EQ(0, pass_init(&self->pass));
	self->pass.room = 7;
}

FIXTURE_TEARDOWN(dma)
{
	pass_fini(&self->pass);
	close(self->tracker);
	vdev_close(&self->edu);
	close(self->kx);
	vm_destroy(&self->vm);
}

/* The steps a VMM takes to let a device write to all of the memory. */
static int let_write(struct vdev *edu, int kx, char *mem)
{
	int err = kx_dma(kx, true, VM_DATA_GFN, PAGES, 0);

	if (!err)
		err = vdev_map(edu, mem, VM_DATA, PAGES * PAGE_SIZE);
	return err ?: vdev_set_command(edu, ON);
}

static int write_by_dma(struct vdev *edu, char *mem, unsigned int page, uint32_t value)
{
	int err;

	memcpy(mem, &value, sizeof(value));
	err = edu_dma(edu, VM_DATA, 0, 64, false);
	return err ?: edu_dma(edu, VM_DATA + page * PAGE_SIZE, 0, 64, true);
}

TEST_F(dma, candidates_until_quiesced)
{
	struct kvmx_vm_quiesce q;
	int i;

	ASSERT_EQ(0, let_write(&self->edu, self->kx, self->mem));
	/* Each time, and nothing else */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
		EXPECT_EQ(PAGES, pass_count_class(&self->pass, VM_DATA_GFN, PAGES,
						  KVMX_CLASS_DMA));
		EXPECT_EQ(PAGES, self->pass.pages);
	}
	/* Without a proof of draining still each time, */
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
		EXPECT_EQ(PAGES, self->pass.pages);
	}
	/* with trust, once more. */
	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_TRUST, &q));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(PAGES, self->pass.pages);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
		EXPECT_EQ(0, self->pass.pages);
	}
	/* What the guest wishes meanwhile is not done, not even for a moment. */
	EXPECT_EQ(0, vdev_set_command(&self->edu, ON));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(0, self->pass.pages);
	/* Resumed, and quiesced again: it may have written in between. */
	EXPECT_EQ(1, kx_resume(self->kx));
	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_TRUST, &q));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(PAGES, self->pass.pages);
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(0, self->pass.pages);
	/* As it may if it is closed while it was running. */
	EXPECT_EQ(1, kx_resume(self->kx));
	vdev_close(&self->edu);
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(PAGES, self->pass.pages);
}

/*
 * Two devices: one runs, writes and is closed while the other stays quiesced. All that are left are
 * quiesced then, as they were before, but something was written in between.
 */
TEST_F(dma, one_of_two_closed)
{
	struct kvmx_vm_quiesce q;
	struct vdev nvme;

	ASSERT_EQ(0, let_write(&self->edu, self->kx, self->mem));
	ASSERT_EQ(0, vdev_open_second(&nvme, VDEV_NVME, &self->edu));
	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_TRUST, &q));
	EXPECT_EQ(2, q.nr_devices);
	EXPECT_EQ(1, q.nr_unproven);
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(0, self->pass.pages);
	/* The other is held by its own fd as well, and so stays. */
	ASSERT_EQ(0, vdev_bus_master(&nvme, false));
	EXPECT_EQ(2, kx_resume(self->kx));
	ASSERT_EQ(0, write_by_dma(&self->edu, self->mem, 9, 0x5678));
	vdev_close(&self->edu);
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(PAGES, self->pass.pages);
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(0, self->pass.pages);
	vdev_close(&nvme);
}

/* What the guest has written as well is known to be dirty, and comes once. */
TEST_F(dma, beside_the_guests_writes)
{
	ASSERT_EQ(0, let_write(&self->edu, self->kx, self->mem));
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA + 5 * PAGE_SIZE, 3, PAGE_SIZE, 1));
	ASSERT_EQ(0, kx_mark_pages(self->kx, GFN(PAGES - 1), 1));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(PAGES, pass_count(&self->pass, VM_DATA_GFN, PAGES));
	EXPECT_EQ(3, pass_count_class(&self->pass, GFN(5), 3, KVMX_CLASS_NORMAL));
	EXPECT_EQ(1, pass_count_class(&self->pass, GFN(PAGES - 1), 1, KVMX_CLASS_NORMAL));
	EXPECT_EQ(PAGES - 4, pass_count_class(&self->pass, VM_DATA_GFN, PAGES, KVMX_CLASS_DMA));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(PAGES, pass_count_class(&self->pass, VM_DATA_GFN, PAGES, KVMX_CLASS_DMA));
}

/* Any number of runs and pages at a time gives the same. A peek sees them and takes nothing. */
TEST_F(dma, cut_short)
{
	static const uint64_t limits[] = { 0, 1, 5, 64 };
	unsigned int i, room;

	ASSERT_EQ(0, kx_dma(self->kx, true, GFN(1), 3, 0));
	ASSERT_EQ(0, kx_dma(self->kx, true, GFN(3), 4, 0));
	ASSERT_EQ(0, kx_dma(self->kx, true, GFN(20), 1, 0));
	ASSERT_EQ(0, kx_dma(self->kx, true, GFN(PAGES - 2), 100, 0));
	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		for (room = 1; room < 4; room++) {
			ASSERT_EQ(0, kx_mark_pages(self->kx, GFN(4), 1));
			self->pass.max_pages = limits[i];
			self->pass.room = room;
			self->pass.flags = room == 2 ? KVMX_HARVEST_PEEK : 0;
			ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
			EXPECT_EQ(9, self->pass.pages);
			EXPECT_EQ(6, pass_count(&self->pass, GFN(1), 6));
			EXPECT_EQ(1, pass_count(&self->pass, GFN(20), 1));
			EXPECT_EQ(2, pass_count(&self->pass, GFN(PAGES - 2), 2));
			EXPECT_EQ(8, self->pass.by_class[KVMX_CLASS_DMA]);
		}
	}
}

TEST_F(dma, withdrawn)
{
	struct kvmx_vm_quiesce q;

	ASSERT_EQ(0, let_write(&self->edu, self->kx, self->mem));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	ASSERT_EQ(0, write_by_dma(&self->edu, self->mem, 9, 0x1234));
	ASSERT_EQ(0, vdev_unmap(&self->edu, VM_DATA, PAGES * PAGE_SIZE));
	/* Exactly as declared, */
	EXPECT_EQ(-ENOENT, kx_dma(self->kx, false, VM_DATA_GFN, PAGES - 1, 0));
	EXPECT_EQ(-ENOENT, kx_dma(self->kx, false, VM_DATA_GFN, PAGES, KVMX_DMA_ALWAYS));
	ASSERT_EQ(0, kx_dma(self->kx, false, VM_DATA_GFN, PAGES, 0));
	EXPECT_EQ(-ENOENT, kx_dma(self->kx, false, VM_DATA_GFN, PAGES, 0));
	/* and what was written until then comes once more. */
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(PAGES, pass_count_class(&self->pass, VM_DATA_GFN, PAGES, KVMX_CLASS_NORMAL));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(0, self->pass.pages);

	/* Nothing can have been written since the last pass: nothing comes. */
	ASSERT_EQ(0, kx_dma(self->kx, true, VM_DATA_GFN, PAGES, 0));
	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_TRUST, &q));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(PAGES, self->pass.pages);
	ASSERT_EQ(0, kx_dma(self->kx, false, VM_DATA_GFN, PAGES, 0));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(0, self->pass.pages);
}

/* A range that is declared again, or by somebody else as well, stays until the last has gone. */
TEST_F(dma, declared_twice)
{
	int other = kx_vm(self->vm.fd);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, kx_dma(self->kx, true, GFN(8), 8, 0));
	ASSERT_EQ(0, kx_dma(self->kx, true, GFN(8), 8, 0));
	ASSERT_EQ(0, kx_dma(other, true, GFN(8), 8, 0));
	ASSERT_EQ(0, kx_dma(self->kx, false, GFN(8), 8, 0));
	ASSERT_EQ(0, kx_dma(self->kx, false, GFN(8), 8, 0));
	EXPECT_EQ(-ENOENT, kx_dma(self->kx, false, GFN(8), 8, 0));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(8, self->pass.by_class[KVMX_CLASS_DMA]);
	close(other);
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(8, pass_count_class(&self->pass, GFN(8), 8, KVMX_CLASS_NORMAL));
	ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
	EXPECT_EQ(0, self->pass.pages);
}

TEST_F(dma, always)
{
	struct kvmx_vm_quiesce q;
	int i;

	ASSERT_EQ(0, kx_dma(self->kx, true, GFN(0), 2, KVMX_DMA_ALWAYS));
	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_TRUST, &q));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pass_run(&self->pass, self->tracker));
		EXPECT_EQ(2, self->pass.pages);
	}
}

TEST_F(dma, arguments)
{
	struct kvmx_dma_declare arg;
	int status, i;
	pid_t pid;

	EXPECT_EQ(-EINVAL, kx_dma(self->kx, true, 1, 0, 0));
	EXPECT_EQ(-EINVAL, kx_dma(self->kx, true, ~0ULL, 2, 0));
	EXPECT_EQ(-EOPNOTSUPP, kx_dma(self->kx, true, 1, 1, 2));
	arg = KX_ARG(kvmx_dma_declare, .npages = 1, .slot = 1);
	EXPECT_EQ(-EINVAL, kx_ioctl(self->kx, KVMX_DMA_DECLARE, &arg));
	arg = KX_ARG(kvmx_dma_declare, .npages = 1, .slot = 2 << 16);
	EXPECT_EQ(-EINVAL, kx_ioctl(self->kx, KVMX_DMA_DECLARE, &arg));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(kx_dma(self->kx, true, 1, 1, 0) != -EXDEV);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	for (i = 0; i < KVMX_MAX_DMA_RANGES; i++)
		ASSERT_EQ(0, kx_dma(self->kx, true, 2 * i, 1, 0));
	EXPECT_EQ(-EUSERS, kx_dma(self->kx, true, 1, 1, 0));
}

/* Writes of the device, the guest and the VMM in turn: a copy made of harvests misses none. */
TEST_F(dma, nothing_lost)
{
	struct kvmx_vm_quiesce q;
	struct shadow shadow;
	uint32_t seed = 4711;
	int i;

	ASSERT_EQ(0, let_write(&self->edu, self->kx, self->mem));
	ASSERT_EQ(0, shadow_init(&shadow, &self->vm, kx_tracker(self->kx, 0)));
	shadow.fail_every = 5;
	for (i = 0; i < ROUNDS; i++) {
		unsigned int page = 1 + next_random(&seed) % (PAGES - 1);

		switch (next_random(&seed) % 5) {
		case 0:
			ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA + page * PAGE_SIZE, 1,
						PAGE_SIZE, i));
			break;
		case 1:
			memset(self->mem + page * PAGE_SIZE, i, 100);
			ASSERT_EQ(0, kx_mark_pages(self->kx, GFN(page), 1));
			break;
		case 2:
			ASSERT_EQ(0, vdev_unmap(&self->edu, VM_DATA, PAGES * PAGE_SIZE));
			ASSERT_EQ(0, kx_dma(self->kx, false, VM_DATA_GFN, PAGES, 0));
			ASSERT_EQ(0, let_write(&self->edu, self->kx, self->mem));
			break;
		default:
			ASSERT_EQ(0, write_by_dma(&self->edu, self->mem, page, i * 77));
		}
		if (i % 7 == 0) {
			ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_TRUST, &q));
			ASSERT_EQ(0, shadow_update(&shadow));
			EXPECT_EQ(1, kx_resume(self->kx));
		} else if (i % 3 == 0) {
			ASSERT_EQ(0, shadow_update(&shadow));
		}
	}
	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_TRUST, &q));
	shadow.fail_every = 0;
	ASSERT_EQ(0, shadow_settle(&shadow));
	/* Page 0 is where the VMM tells the device what to write, and marks nothing. */
	ASSERT_EQ(0, kx_mark_pages(self->kx, GFN(0), 1));
	ASSERT_EQ(0, shadow_settle(&shadow));
	EXPECT_EQ(0, shadow_differs(&shadow));
	close(shadow.tracker);
	shadow_fini(&shadow);
}

static unsigned int nvme_writes(void)
{
	const char *text = getenv("KVMX_DMA_WRITES");
	unsigned long n = text ? strtoul(text, NULL, 0) : 0;

	return n ? n : NVME_WRITES;
}

/* One thing after the other that guests, VMMs and devices do to memory. */
static int disturb(FIXTURE_DATA(dma) * self, struct vdev *v, uint32_t random, unsigned int page)
{
	int err;

	switch (random % 40) {
	case 0:
		return vcpu_touch(&self->vm.vcpu[0], VM_DATA + page * PAGE_SIZE, 1, PAGE_SIZE,
				  random);
	case 1:
		memset(self->mem + page * PAGE_SIZE, random, 100);
		return kx_mark_pages(self->kx, GFN(page), 1);
	case 2:
		err = vdev_unmap(v, VM_DATA, PAGES * PAGE_SIZE);
		if (!err)
			err = kx_dma(self->kx, false, VM_DATA_GFN, PAGES, 0);
		return err ?: let_write(v, self->kx, self->mem);
	default:
		return 0;
	}
}

/*
 * The same with a device that writes fast, and several trackers: copies made of the harvests of
 * each are what memory is in the end.
 */
TEST_F_TIMEOUT(dma, nothing_lost_of_many, 280)
{
	unsigned int i, s, writes = nvme_writes(), first = NVME_PAGES;
	struct shadow shadow[SHADOWS];
	struct kvmx_vm_quiesce q;
	uint32_t seed = 815;
	struct vdev v;
	struct nvme n;

	ASSERT_EQ(0, vdev_open_second(&v, VDEV_NVME, &self->edu));
	ASSERT_EQ(0, let_write(&v, self->kx, self->mem));
	ASSERT_EQ(0, nvme_start(&n, &v, self->mem, VM_DATA));
	for (s = 0; s < SHADOWS; s++) {
		ASSERT_EQ(0, shadow_init(&shadow[s], &self->vm, kx_tracker(self->kx, 0)));
		shadow[s].fail_every = 3 + 2 * s;
	}
	for (i = 0; i < writes; i++) {
		uint32_t random = next_random(&seed);
		unsigned int page = first + random / 64 % (PAGES - first);

		ASSERT_EQ(0, disturb(self, &v, random, page));
		page = first + next_random(&seed) % (PAGES - first);
		ASSERT_EQ(0, nvme_write(&n, VM_DATA + page * PAGE_SIZE, random / 64 & 1));
		if (i % 50 == 7) {
			ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_TRUST, &q));
			ASSERT_EQ(0, shadow_update(&shadow[i / 50 % SHADOWS]));
			EXPECT_EQ(2, kx_resume(self->kx));
		} else if (i % 20 == 3) {
			ASSERT_EQ(0, shadow_update(&shadow[random / 128 % SHADOWS]));
		}
	}
	printf("# %u DMA writes of 4096 bytes, and as many of 16\n", writes);
	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_TRUST, &q));
	/* Where the queues are this process has written, and marked nothing. */
	ASSERT_EQ(0, kx_mark_pages(self->kx, GFN(0), NVME_PAGES));
	for (s = 0; s < SHADOWS; s++) {
		shadow[s].fail_every = 0;
		ASSERT_EQ(0, shadow_settle(&shadow[s]));
		EXPECT_EQ(0, shadow_differs(&shadow[s]));
		close(shadow[s].tracker);
		shadow_fini(&shadow[s]);
	}
	vdev_close(&v);
}

/* Events tell of devices and of quiesce. */
TEST_F(dma, events)
{
	struct kvmx_vm_quiesce q;
	struct kvmx_event e;
	bool closed = false, quiesced = false, resumed = false;

	kx_nonblock(self->kx);
	while (!kx_event(self->kx, &e))
		;
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	EXPECT_EQ(1, kx_resume(self->kx));
	vdev_close(&self->edu);
	while (!kx_event(self->kx, &e)) {
		quiesced |= e.type == KVMX_EVENT_QUIESCED && e.arg == 1;
		resumed |= quiesced && e.type == KVMX_EVENT_QUIESCED && !e.arg;
		closed |= resumed && e.type == KVMX_EVENT_DEVICES && !e.arg;
	}
	EXPECT_TRUE(closed);
}

TEST_HARNESS_MAIN
