// SPDX-License-Identifier: GPL-2.0
/*
 * What the ioctls about devices have in common with all others: sizes, flags, reserved fields,
 * pointers, the kind of file descriptor. Needs a machine with devices (run -D).
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <stddef.h>
#include <sys/mman.h>

#include "lib/kx.h"
#include "lib/vdev.h"
#include "lib/vm.h"

#define BIG (2 * PAGE_SIZE)
#define POISON 0xa5
#define OURS 0x55

FIXTURE(uapi) {
	struct vm vm;
	int sys;
	int kx;
	int tracker;
	struct vdev edu;
	struct kvmx_pci_addr addr;
	struct kvmx_dev_member members[16];
	struct kvmx_lease leases[16];
	struct kvmx_vm_device devices[4];
	/* Room for any size a test claims */
	char *arg;
};

struct op {
	unsigned long nr;
	uint32_t size;
	uint32_t flags;		/* those that it knows */
	bool on_vm;
	uint16_t reserved;	/* offset of a reserved field, 0 without */
	uint16_t pointer;	/* offset of its user pointer, 0 without */
	uint16_t out;		/* offset of a field of 4 bytes that it sets */
	void (*fill)(struct _test_data_uapi *self, void *arg);
};

static void fill_acquire(struct _test_data_uapi *self, void *p)
{
	struct kvmx_lease_acquire *a = p;

	memset(a->uuid, OURS, sizeof(a->uuid));
	a->devices = (uintptr_t)&self->addr;
	a->nr_devices = 1;
	a->device_size = sizeof(self->addr);
	a->uid = KVMX_LEASE_NO_UID;
}

static void fill_release(struct _test_data_uapi *self, void *p)
{
	struct kvmx_lease_release *a = p;

	kx_lease(OURS, &self->addr, 1, KVMX_LEASE_NO_UID, KVMX_LEASE_FORCE);
	memset(a->uuid, OURS, sizeof(a->uuid));
	a->flags = KVMX_LEASE_FORCE;
	a->devices = (uintptr_t)&self->addr;
	a->nr_devices = 1;
	a->device_size = sizeof(self->addr);
}

static void fill_list(struct _test_data_uapi *self, void *p)
{
	struct kvmx_lease_list *a = p;

	kx_lease(OURS, &self->addr, 1, KVMX_LEASE_NO_UID, KVMX_LEASE_FORCE);
	a->leases = (uintptr_t)self->leases;
	a->nr_leases = 16;
	a->lease_size = sizeof(self->leases[0]);
}

static void fill_report(struct _test_data_uapi *self, void *p)
{
	struct kvmx_dev_report *a = p;

	a->addr = self->addr;
	a->members = (uintptr_t)self->members;
	a->nr_members = 16;
	a->member_size = sizeof(self->members[0]);
}

static void fill_declare(struct _test_data_uapi *self, void *p)
{
	struct kvmx_dma_declare *a = p;

	(void)self;
	a->npages = 1;
}

static void fill_withdraw(struct _test_data_uapi *self, void *p)
{
	struct kvmx_dma_withdraw *a = p;

	kx_dma(self->kx, true, 77, 1, 0);
	a->gfn = 77;
	a->npages = 1;
}

static void fill_nothing(struct _test_data_uapi *self, void *p)
{
	(void)self;
	(void)p;
}

static void fill_devices(struct _test_data_uapi *self, void *p)
{
	struct kvmx_vm_devices *a = p;

	a->devices = (uintptr_t)self->devices;
	a->nr_devices = 4;
	a->device_size = sizeof(self->devices[0]);
}

#define AT(type, member) offsetof(struct type, member)

static const struct op ops[] = {
	{ KVMX_LEASE_ACQUIRE, sizeof(struct kvmx_lease_acquire), KVMX_LEASE_FORCE, false, 0,
	  AT(kvmx_lease_acquire, devices), AT(kvmx_lease_acquire, nr_leased), fill_acquire },
	{ KVMX_LEASE_RELEASE, sizeof(struct kvmx_lease_release), KVMX_LEASE_FORCE, false,
	  AT(kvmx_lease_release, __reserved), AT(kvmx_lease_release, devices),
	  AT(kvmx_lease_release, nr_released), fill_release },
	{ KVMX_LEASE_LIST, sizeof(struct kvmx_lease_list), 0, false, 0,
	  AT(kvmx_lease_list, leases), AT(kvmx_lease_list, nr_leases), fill_list },
	{ KVMX_DEV_REPORT, sizeof(struct kvmx_dev_report), KVMX_DEV_NEXT, false,
	  AT(kvmx_dev_report, __reserved), AT(kvmx_dev_report, members),
	  AT(kvmx_dev_report, state), fill_report },
	{ KVMX_DMA_DECLARE, sizeof(struct kvmx_dma_declare), KVMX_DMA_ALWAYS, true,
	  AT(kvmx_dma_declare, __reserved), 0, 0, fill_declare },
	{ KVMX_DMA_WITHDRAW, sizeof(struct kvmx_dma_withdraw), KVMX_DMA_ALWAYS, true,
	  AT(kvmx_dma_withdraw, __reserved), 0, 0, fill_withdraw },
	{ KVMX_VM_QUIESCE, sizeof(struct kvmx_vm_quiesce),
	  KVMX_QUIESCE_KEEP | KVMX_QUIESCE_TRUST, true, 0, 0,
	  AT(kvmx_vm_quiesce, nr_unproven), fill_nothing },
	{ KVMX_VM_RESUME, sizeof(struct kvmx_vm_resume), 0, true,
	  AT(kvmx_vm_resume, __reserved), 0, AT(kvmx_vm_resume, nr_devices), fill_nothing },
	{ KVMX_VM_DEVICES, sizeof(struct kvmx_vm_devices), 0, true, 0,
	  AT(kvmx_vm_devices, devices), AT(kvmx_vm_devices, nr_devices), fill_devices },
};

FIXTURE_SETUP(uapi)
{
	char bdf[VDEV_BDF_LEN];

	kx_unlease(OURS, NULL, 0, KVMX_LEASE_FORCE);
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	self->sys = kx_system();
	self->kx = kx_vm(self->vm.fd);
	self->tracker = kx_tracker(self->kx, 0);
	ASSERT_LE(0, self->tracker);
	ASSERT_EQ(0, vdev_find(VDEV_EDU, bdf));
	self->addr = vdev_addr(bdf);
	self->arg = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->arg);
}

FIXTURE_TEARDOWN(uapi)
{
	kx_unlease(OURS, NULL, 0, KVMX_LEASE_FORCE);
	munmap(self->arg, BIG);
	close(self->tracker);
	close(self->kx);
	close(self->sys);
	vm_destroy(&self->vm);
}

/* A valid argument, and a size it claims to have. */
static char *prepare(struct _test_data_uapi *self, const struct op *op, uint32_t size)
{
	memset(self->arg, 0, BIG);
	op->fill(self, self->arg);
	*(uint32_t *)self->arg = size;
	return self->arg;
}

static int try(struct _test_data_uapi *self, const struct op *op)
{
	return kx_ioctl(op->on_vm ? self->kx : self->sys, op->nr, self->arg);
}

TEST_F(uapi, sizes)
{
	const struct op *op;

	for (op = ops; op < ops + ARRAY_SIZE(ops); op++) {
		prepare(self, op, op->size);
		EXPECT_EQ(0, try(self, op))
			TH_LOG("ioctl %#lx", op->nr);
		prepare(self, op, op->size - 1);
		EXPECT_EQ(-EINVAL, try(self, op));
		prepare(self, op, 0);
		EXPECT_EQ(-EINVAL, try(self, op));
		prepare(self, op, op->size + 8);
		EXPECT_EQ(0, try(self, op));
		prepare(self, op, op->size + 1)[op->size] = 1;
		EXPECT_EQ(-E2BIG, try(self, op));
		prepare(self, op, PAGE_SIZE);
		EXPECT_EQ(0, try(self, op));
		prepare(self, op, PAGE_SIZE + 1);
		EXPECT_EQ(-E2BIG, try(self, op));
	}
}

TEST_F(uapi, flags_and_reserved)
{
	const struct op *op;
	unsigned int bit;

	for (op = ops; op < ops + ARRAY_SIZE(ops); op++) {
		for (bit = 0; bit < 32; bit++) {
			if (op->flags & 1U << bit)
				continue;
			*(uint32_t *)(prepare(self, op, op->size) + 4) |= 1U << bit;
			EXPECT_EQ(-EOPNOTSUPP, try(self, op))
				TH_LOG("ioctl %#lx flag %u", op->nr, bit);
		}
		if (!op->reserved)
			continue;
		prepare(self, op, op->size)[op->reserved] = 1;
		EXPECT_EQ(-EOPNOTSUPP, try(self, op));
	}
}

TEST_F(uapi, pointers)
{
	const struct op *op;
	int fd;

	for (op = ops; op < ops + ARRAY_SIZE(ops); op++) {
		fd = op->on_vm ? self->kx : self->sys;
		EXPECT_EQ(-EFAULT, kx_ioctl(fd, op->nr, NULL));
		if (op->nr == KVMX_VM_DEVICES) {
			kx_unlease(OURS, NULL, 0, 0);
			ASSERT_EQ(0, vdev_open(&self->edu, VDEV_EDU, self->vm.fd));
		}
		if (op->pointer) {
			*(uint64_t *)(prepare(self, op, op->size) + op->pointer) = 8;
			EXPECT_EQ(-EFAULT, try(self, op))
				TH_LOG("ioctl %#lx", op->nr);
		}
		if (op->nr == KVMX_VM_DEVICES)
			vdev_close(&self->edu);
	}
}

TEST_F(uapi, wrong_fd)
{
	const struct op *op;

	for (op = ops; op < ops + ARRAY_SIZE(ops); op++) {
		prepare(self, op, op->size);
		EXPECT_EQ(-ENOTTY, kx_ioctl(op->on_vm ? self->sys : self->kx, op->nr, self->arg));
		EXPECT_EQ(-ENOTTY, kx_ioctl(self->tracker, op->nr, self->arg));
		EXPECT_EQ(-ENOTTY, kx_ioctl(self->vm.fd, op->nr, self->arg));
	}
}

/* What it sets, it sets whatever was there. */
TEST_F(uapi, out)
{
	const struct op *op;
	uint32_t *out;

	for (op = ops; op < ops + ARRAY_SIZE(ops); op++) {
		if (!op->out || op->nr == KVMX_LEASE_LIST || op->nr == KVMX_VM_DEVICES)
			continue;
		out = (uint32_t *)(prepare(self, op, op->size) + op->out);
		*out = 0xa5a5a5a5;
		EXPECT_EQ(0, try(self, op));
		EXPECT_NE(0xa5a5a5a5, *out)
			TH_LOG("ioctl %#lx", op->nr);
	}
}

/* A device that goes with an array must not carry what was in the array before. */
TEST_F(uapi, nothing_uninitialised)
{
	char *byte;

	memset(self->members, POISON, sizeof(self->members));
	prepare(self, &ops[3], ops[3].size);
	ASSERT_EQ(0, try(self, &ops[3]));
	for (byte = (char *)&self->members[0]; byte < (char *)&self->members[1]; byte++)
		EXPECT_NE((char)POISON, *byte);
	memset(self->leases, POISON, sizeof(self->leases));
	prepare(self, &ops[2], ops[2].size);
	ASSERT_EQ(0, try(self, &ops[2]));
	EXPECT_EQ(0, self->leases[0].addr.__reserved);
	EXPECT_EQ(KVMX_LEASE_NO_UID, self->leases[0].uid);
	EXPECT_TRUE(all_bytes(self->leases[0].uuid, OURS, KVMX_UUID_LEN));
}

TEST_HARNESS_MAIN
