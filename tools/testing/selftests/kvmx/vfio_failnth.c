// SPDX-License-Identifier: GPL-2.0
/*
 * As failnth, for devices: each memory allocation and each user copy fails once. Needs a machine
 * with devices (run -D).
 *
 * Not for opening, closing and resetting one: these have ACPI's interpreter at work, which on 6.1
 * looks at memory it has freed when an allocation fails.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "lib/kx.h"
#include "lib/sweep.h"
#include "lib/vdev.h"
#include "lib/vm.h"

#define UUID 7
#define SWEEP_TIMEOUT 180

FIXTURE(fail) {
	struct vm vm;
	int sys;
	int kx;
	struct vdev dev;
	struct kvmx_pci_addr addr;
	int irq;
};

FIXTURE_SETUP(fail)
{
	if (sweep_missing())
		SKIP(return, "%s", sweep_missing());
	ASSERT_EQ(0, sweep_init());
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	self->sys = kx_system();
	ASSERT_LE(0, self->sys);
	self->kx = kx_vm_uuid(self->vm.fd, UUID);
	ASSERT_LE(0, self->kx);
	ASSERT_EQ(0, vdev_open(&self->dev, VDEV_EDU, self->vm.fd));
	ASSERT_EQ(0, vdev_set_command(&self->dev, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER));
	self->addr = vdev_addr(self->dev.bdf);
	self->irq = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, self->irq);
}

FIXTURE_TEARDOWN(fail)
{
	if (sweep_missing())
		return;
	close(self->irq);
	vdev_close(&self->dev);
	close(self->kx);
	close(self->sys);
	vm_destroy(&self->vm);
	EXPECT_TRUE(module_refs_become(1));	/* kvmx_vfio_pci */
}

#define DATA FIXTURE_DATA(fail)

#define SWEEP(...) \
	ASSERT_EQ(0, sweep_run(&(struct sweep){ __VA_ARGS__ }, self))

/* Leases and the report */

static int lease(void *data)
{
	DATA *self = data;
	struct kvmx_lease_acquire arg = KX_ARG(kvmx_lease_acquire, .uid = KVMX_LEASE_NO_UID,
					       .devices = (uintptr_t)&self->addr,
					       .nr_devices = 1,
					       .device_size = sizeof(self->addr));

	memset(arg.uuid, UUID, sizeof(arg.uuid));
	return kx_ioctl(self->sys, KVMX_LEASE_ACQUIRE, &arg);
}

static int unlease(void *data)
{
	DATA *self = data;
	struct kvmx_lease_release arg = KX_ARG(kvmx_lease_release,
					       .devices = (uintptr_t)&self->addr,
					       .nr_devices = 1,
					       .device_size = sizeof(self->addr));

	memset(arg.uuid, UUID, sizeof(arg.uuid));
	return kx_ioctl(self->sys, KVMX_LEASE_RELEASE, &arg);
}

static void after_lease(void *data, int ret)
{
	(void)ret;
	unlease(data);
}

static int list_leases(void *data)
{
	struct kvmx_lease leases[8];
	struct kvmx_lease_list arg = KX_ARG(kvmx_lease_list, .leases = (uintptr_t)leases,
					    .nr_leases = 8, .lease_size = sizeof(leases[0]));
	DATA *self = data;

	return kx_ioctl(self->sys, KVMX_LEASE_LIST, &arg);
}

static int report(void *data)
{
	struct kvmx_dev_member members[8];
	struct kvmx_dev_report arg = KX_ARG(kvmx_dev_report, .members = (uintptr_t)members,
					    .nr_members = 8, .member_size = sizeof(members[0]));
	DATA *self = data;

	arg.addr = self->addr;
	return kx_ioctl(self->sys, KVMX_DEV_REPORT, &arg);
}

TEST_F_TIMEOUT(fail, host, SWEEP_TIMEOUT)
{
	SWEEP("LEASE_ACQUIRE", .call = lease, .after = after_lease);
	SWEEP("LEASE_RELEASE", .before = lease, .call = unlease);
	ASSERT_EQ(0, lease(self));
	SWEEP("LEASE_LIST", .call = list_leases);
	SWEEP("DEV_REPORT", .call = report);
	ASSERT_EQ(0, unlease(self));
}

/* The VM's devices */

static int devices(void *data)
{
	struct kvmx_vm_device list[4];
	DATA *self = data;

	return kx_devices(self->kx, list, 4);
}

static int quiesce(void *data)
{
	struct kvmx_vm_quiesce q;
	DATA *self = data;

	return kx_quiesce(self->kx, 0, &q);
}

static int resume(void *data)
{
	DATA *self = data;

	return kx_resume(self->kx);
}

static void after_quiesce(void *data, int ret)
{
	(void)ret;
	resume(data);
}

static int irq_on(void *data)
{
	DATA *self = data;

	return vdev_irqs(&self->dev, VFIO_PCI_MSI_IRQ_INDEX, &self->irq, 1);
}

static int irq_off(void *data)
{
	DATA *self = data;

	return vdev_irqs(&self->dev, VFIO_PCI_MSI_IRQ_INDEX, NULL, 0);
}

static void after_irq(void *data, int ret)
{
	(void)ret;
	irq_off(data);
}

static int master(void *data)
{
	DATA *self = data;
	int err;

	err = vdev_bus_master(&self->dev, false);
	return err ?: vdev_bus_master(&self->dev, true);
}

static int config(void *data)
{
	DATA *self = data;
	uint8_t header[64];
	uint64_t at = self->dev.config;

	if (pread(self->dev.fd, header, sizeof(header), at) != sizeof(header))
		return -errno;
	return pwrite(self->dev.fd, header + PCI_COMMAND, 2, at + PCI_COMMAND) == 2 ? 0 : -errno;
}

TEST_F_TIMEOUT(fail, devices, SWEEP_TIMEOUT)
{
	ASSERT_EQ(0, irq_on(self));
	SWEEP("VM_DEVICES", .call = devices);
	SWEEP("VM_QUIESCE", .call = quiesce, .after = after_quiesce);
	SWEEP("VM_RESUME", .before = quiesce, .call = resume);
	SWEEP("bus master", .call = master);
	SWEEP("configuration space", .call = config);
	ASSERT_EQ(0, quiesce(self));
	SWEEP("configuration space, quiesced", .call = config);
	/* All that happened to it meanwhile has not woken it up. */
	ASSERT_EQ(1, resume(self));
	ASSERT_EQ(0, irq_off(self));
	SWEEP("interrupts", .call = irq_on, .after = after_irq, .also = -EINVAL);
}

TEST_HARNESS_MAIN
