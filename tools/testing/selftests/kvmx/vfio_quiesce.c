// SPDX-License-Identifier: GPL-2.0
/*
 * A device that is quiesced does no DMA and loses no interrupt, whatever is done to it meanwhile.
 * Needs a machine with devices (run -D).
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "lib/kx.h"
#include "lib/vdev.h"
#include "lib/vm.h"

#define ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define CYCLES 1000
#define VECTORS 3

FIXTURE(quiesce) {
	struct vm vm;
	int kx;
	struct vdev edu;
	char *mem;
};

FIXTURE_SETUP(quiesce)
{
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	self->kx = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->kx);
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, 16, MEM_ANON, 0));
	self->mem = vm_hva(&self->vm, 0, VM_DATA_GFN);
	ASSERT_EQ(0, vdev_open(&self->edu, VDEV_EDU, self->vm.fd));
	ASSERT_EQ(0, vdev_map(&self->edu, self->mem, VM_DATA, 16 * PAGE_SIZE));
	ASSERT_EQ(0, vdev_set_command(&self->edu, ON));
}

FIXTURE_TEARDOWN(quiesce)
{
	vdev_close(&self->edu);
	close(self->kx);
	vm_destroy(&self->vm);
}

/* Whether a DMA write to memory arrives. */
static bool dma_works(struct vdev *edu, char *mem)
{
	static uint32_t stamp = 0x1000;
	uint32_t want = ++stamp;

	memcpy(mem, &want, sizeof(want));
	if (edu_dma(edu, VM_DATA, 0, 64, false))
		return false;
	/* What the device holds now is the stamp, or what it held before. */
	memset(mem + PAGE_SIZE, 0, 64);
	if (edu_dma(edu, VM_DATA + PAGE_SIZE, 0, 64, true))
		return false;
	return !memcmp(mem + PAGE_SIZE, &want, sizeof(want));
}

static bool fired(int eventfd, int timeout_ms)
{
	struct pollfd p = { .fd = eventfd, .events = POLLIN };
	uint64_t count;

	return poll(&p, 1, timeout_ms) == 1 && read(eventfd, &count, sizeof(count)) == 8;
}

TEST_F(quiesce, no_dma)
{
	struct kvmx_vm_quiesce q;
	struct kvmx_vm_device device;

	ASSERT_TRUE(dma_works(&self->edu, self->mem));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	EXPECT_EQ(1, q.nr_devices);
	/* edu is conventional PCI. */
	EXPECT_EQ(1, q.nr_unproven);
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	ASSERT_EQ(1, kx_devices(self->kx, &device, 1));
	EXPECT_EQ(KVMX_DEV_OPEN | KVMX_DEV_MASTER | KVMX_DEV_QUIESCED | KVMX_DEV_UNPROVEN,
		  device.state);
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
	EXPECT_EQ(0, kx_resume(self->kx));
	ASSERT_EQ(1, kx_devices(self->kx, &device, 1));
	EXPECT_EQ(KVMX_DEV_OPEN | KVMX_DEV_MASTER, device.state);
}

TEST_F(quiesce, guest_cannot_undo_it)
{
	struct kvmx_vm_quiesce q;

	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	/* It sees what it has written, */
	EXPECT_EQ(ON, vdev_command(&self->edu) & ON);
	EXPECT_EQ(0, vdev_set_command(&self->edu, PCI_COMMAND_MEMORY));
	EXPECT_EQ(PCI_COMMAND_MEMORY, vdev_command(&self->edu) & ON);
	EXPECT_EQ(0, vdev_set_command(&self->edu, ON));
	EXPECT_EQ(ON, vdev_command(&self->edu) & ON);
	/* but gets it on resume. */
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	EXPECT_EQ(0, vdev_set_command(&self->edu, PCI_COMMAND_MEMORY));
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_EQ(PCI_COMMAND_MEMORY, vdev_command(&self->edu) & ON);
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	/* Off before: a wish for on in between counts, too. */
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	EXPECT_EQ(PCI_COMMAND_MEMORY, vdev_command(&self->edu) & ON);
	EXPECT_EQ(0, vdev_set_command(&self->edu, ON));
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
}

/* As a VMM that restores a header writes it: the command register is somewhere inside. */
TEST_F(quiesce, wide_writes)
{
	struct kvmx_vm_quiesce q;
	uint8_t header[64], *hole;

	ASSERT_EQ(64, pread(self->edu.fd, header, 64, self->edu.config));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	header[PCI_COMMAND] = ON;
	EXPECT_EQ(64, pwrite(self->edu.fd, header, 64, self->edu.config));
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	header[PCI_COMMAND] = PCI_COMMAND_MEMORY;
	EXPECT_EQ(1, pwrite(self->edu.fd, header + PCI_COMMAND, 1,
			    self->edu.config + PCI_COMMAND));
	memset(header, 0, sizeof(header));
	ASSERT_EQ(64, pread(self->edu.fd, header, 64, self->edu.config));
	EXPECT_EQ(PCI_COMMAND_MEMORY, header[PCI_COMMAND] & ON);
	hole = map_before_hole(1);
	ASSERT_NE(NULL, hole);
	EXPECT_EQ(-1, pwrite(self->edu.fd, hole, 2, self->edu.config + PCI_COMMAND));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_EQ(PCI_COMMAND_MEMORY, vdev_command(&self->edu) & ON);
}

TEST_F(quiesce, reset_does_not_undo_it)
{
	struct kvmx_vm_quiesce q;

	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	ASSERT_EQ(0, vdev_reset(&self->edu));
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	ASSERT_EQ(0, vdev_hot_reset(&self->edu));
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
}

TEST_F_TIMEOUT(quiesce, no_interrupt_lost, 90)
{
	int efd = eventfd(0, EFD_NONBLOCK), i, lost = 0, extra = 0;
	struct kvmx_vm_quiesce q;

	ASSERT_LE(0, efd);
	ASSERT_EQ(0, vdev_irqs(&self->edu, VFIO_PCI_MSI_IRQ_INDEX, &efd, 1));
	edu_raise(&self->edu);
	ASSERT_TRUE(fired(efd, 2000));
	edu_ack(&self->edu);
	for (i = 0; i < CYCLES; i++) {
		ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
		edu_raise(&self->edu);
		extra += fired(efd, 0);
		ASSERT_EQ(1, kx_resume(self->kx));
		lost += !fired(efd, 2000);
		edu_ack(&self->edu);
	}
	EXPECT_EQ(0, lost);
	EXPECT_EQ(0, extra);
	EXPECT_EQ(0, vdev_irqs(&self->edu, VFIO_PCI_MSI_IRQ_INDEX, NULL, 0));
	close(efd);
}

TEST_F(quiesce, intx)
{
	int efd = eventfd(0, EFD_NONBLOCK);
	struct kvmx_vm_quiesce q;

	ASSERT_LE(0, efd);
	ASSERT_EQ(0, vdev_irqs(&self->edu, VFIO_PCI_INTX_IRQ_INDEX, &efd, 1));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	edu_raise(&self->edu);
	EXPECT_FALSE(fired(efd, 200));
	ASSERT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(fired(efd, 2000));
	edu_ack(&self->edu);
	EXPECT_EQ(0, vdev_irqs(&self->edu, VFIO_PCI_INTX_IRQ_INDEX, NULL, 0));
	close(efd);
}

/* The standard way, for VMMs that know nothing of kvmx. The two do not get in each other's way. */
TEST_F(quiesce, bus_master_feature)
{
	struct kvmx_vm_quiesce q;

	ASSERT_EQ(0, vdev_bus_master(&self->edu, false));
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	EXPECT_EQ(0, vdev_set_command(&self->edu, ON));
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	ASSERT_EQ(0, vdev_bus_master(&self->edu, true));
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
	ASSERT_EQ(0, vdev_bus_master(&self->edu, true));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
}

TEST_F(quiesce, ends_with_its_fd)
{
	struct kvmx_vm_quiesce q;
	struct kvmx_vm_info info;
	int other = kx_vm(self->vm.fd), i;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, kx_quiesce(other, 0, &q));
	EXPECT_EQ(-EBUSY, kx_quiesce(self->kx, 0, &q));
	ASSERT_EQ(0, kx_info(self->kx, &info));
	EXPECT_TRUE(info.state & KVMX_VM_QUIESCED);
	close(other);
	for (i = 0; i < 100 && !kx_info(self->kx, &info) && info.state & KVMX_VM_QUIESCED; i++)
		sleep_ms(20);
	EXPECT_FALSE(info.state & KVMX_VM_QUIESCED);
	EXPECT_TRUE(dma_works(&self->edu, self->mem));

	other = kx_vm(self->vm.fd);
	ASSERT_EQ(0, kx_quiesce(other, KVMX_QUIESCE_KEEP, &q));
	close(other);
	sleep_ms(200);
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
}

/* A tool that quiesces, and ends: nobody else has a VM fd until the next one comes. */
TEST_F(quiesce, kept_without_any_fd)
{
	struct kvmx_vm_quiesce q;
	struct kvmx_vm_device device;
	struct kvmx_vm_info info;

	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_KEEP, &q));
	close(self->kx);
	sleep_ms(200);
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	vdev_close(&self->edu);
	ASSERT_EQ(0, vdev_open(&self->edu, VDEV_EDU, self->vm.fd));
	ASSERT_EQ(0, vdev_map(&self->edu, self->mem, VM_DATA, 16 * PAGE_SIZE));
	ASSERT_EQ(0, vdev_set_command(&self->edu, ON));
	EXPECT_FALSE(dma_works(&self->edu, self->mem));

	self->kx = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->kx);
	ASSERT_EQ(0, kx_info(self->kx, &info));
	EXPECT_TRUE(info.state & KVMX_VM_QUIESCED);
	ASSERT_EQ(1, kx_devices(self->kx, &device, 1));
	EXPECT_TRUE(device.state & KVMX_DEV_QUIESCED);
	/* It may be taken over, and be given up with that fd. */
	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_KEEP, &q));
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
	ASSERT_EQ(0, kx_info(self->kx, &info));
	EXPECT_FALSE(info.state & KVMX_VM_QUIESCED);
	/* Kept to the end: the VM's death is the end of it, too. */
	ASSERT_EQ(0, kx_quiesce(self->kx, KVMX_QUIESCE_KEEP, &q));
}

/* A tool that quiesces another process's VM, and dies. */
TEST_F(quiesce, killed_quiescer)
{
	struct kvmx_vm_quiesce q;
	int status, i;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int other = kx_vm(self->vm.fd);

		if (kx_quiesce(other, 0, &q) || q.nr_devices != 1)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	for (i = 0; i < 10 && !dma_works(&self->edu, self->mem); i++)
		sleep_ms(50);
	EXPECT_LT(i, 10);
}

TEST_F(quiesce, opened_while_quiesced)
{
	struct kvmx_vm_quiesce q;
	struct kvmx_vm_device device;

	vdev_close(&self->edu);
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	EXPECT_EQ(0, q.nr_devices);
	ASSERT_EQ(0, vdev_open(&self->edu, VDEV_EDU, self->vm.fd));
	ASSERT_EQ(0, vdev_map(&self->edu, self->mem, VM_DATA, 16 * PAGE_SIZE));
	ASSERT_EQ(0, vdev_set_command(&self->edu, ON));
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	ASSERT_EQ(1, kx_devices(self->kx, &device, 1));
	EXPECT_TRUE(device.state & KVMX_DEV_QUIESCED);
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
}

/* A device without an association belongs to the VMs of the process that opened it. */
TEST_F(quiesce, without_association)
{
	struct kvmx_vm_quiesce q;

	vdev_close(&self->edu);
	ASSERT_EQ(0, vdev_open(&self->edu, VDEV_EDU, -1));
	ASSERT_EQ(0, vdev_map(&self->edu, self->mem, VM_DATA, 16 * PAGE_SIZE));
	ASSERT_EQ(0, vdev_set_command(&self->edu, ON));
	ASSERT_TRUE(dma_works(&self->edu, self->mem));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	EXPECT_EQ(1, q.nr_devices);
	EXPECT_FALSE(dma_works(&self->edu, self->mem));
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
}

/* Closed while quiesced: the next one to open it finds it as ever. */
TEST_F(quiesce, closed_while_quiesced)
{
	struct kvmx_vm_quiesce q;

	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	vdev_close(&self->edu);
	EXPECT_EQ(0, kx_resume(self->kx));
	ASSERT_EQ(0, vdev_open(&self->edu, VDEV_EDU, self->vm.fd));
	ASSERT_EQ(0, vdev_map(&self->edu, self->mem, VM_DATA, 16 * PAGE_SIZE));
	ASSERT_EQ(0, vdev_set_command(&self->edu, ON));
	EXPECT_TRUE(dma_works(&self->edu, self->mem));
}

/* PCI Express, which proves that it has drained, and MSI-X. */
FIXTURE(express) {
	struct vm vm;
	int kx;
	struct vdev dev;
};

FIXTURE_VARIANT(express) {
	enum vdev_kind kind;
};

FIXTURE_VARIANT_ADD(express, nvme) {
	.kind = VDEV_NVME,
};

FIXTURE_VARIANT_ADD(express, nic) {
	.kind = VDEV_NIC,
};

FIXTURE_SETUP(express)
{
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	self->kx = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->kx);
	ASSERT_EQ(0, vdev_open(&self->dev, variant->kind, self->vm.fd));
	ASSERT_EQ(0, vdev_set_command(&self->dev, ON));
}

FIXTURE_TEARDOWN(express)
{
	vdev_close(&self->dev);
	close(self->kx);
	vm_destroy(&self->vm);
}

/* What the hardware has, not what the guest sees: the report tells. */
static bool really_on(const char *bdf)
{
	struct kvmx_dev_report r = KX_ARG(kvmx_dev_report, .addr = vdev_addr(bdf),
					  .member_size = sizeof(struct kvmx_dev_member));
	int sys = kx_system(), ret;

	ret = kx_ioctl(sys, KVMX_DEV_REPORT, &r);
	close(sys);
	return ret != -ENOSPC || r.state & KVMX_DEV_MASTER;
}

TEST_F(express, proves_that_it_drained)
{
	struct kvmx_vm_quiesce q;
	struct kvmx_vm_device device;

	EXPECT_TRUE(really_on(self->dev.bdf));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	EXPECT_EQ(1, q.nr_devices);
	EXPECT_EQ(0, q.nr_unproven);
	EXPECT_FALSE(really_on(self->dev.bdf));
	ASSERT_EQ(1, kx_devices(self->kx, &device, 1));
	EXPECT_EQ(KVMX_DEV_OPEN | KVMX_DEV_MASTER | KVMX_DEV_QUIESCED | KVMX_DEV_PCIE,
		  device.state);
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(really_on(self->dev.bdf));
}

TEST_F(express, survives_sleep_and_reset)
{
	int pm = vdev_cap(&self->dev, PCI_CAP_ID_PM);
	int exp = vdev_cap(&self->dev, PCI_CAP_ID_EXP), err;
	struct kvmx_vm_quiesce q;

	ASSERT_LT(0, pm);
	ASSERT_LT(0, exp);
	/* Asleep when quiesced, woken by the guest: its state comes back, but for this. */
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 3));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 0));
	EXPECT_FALSE(really_on(self->dev.bdf));
	/* And to sleep and back. */
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 3));
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 0));
	EXPECT_FALSE(really_on(self->dev.bdf));
	/* Reset by VFIO, by the guest (FLR, if it has that), and with its bus. */
	ASSERT_EQ(0, vdev_reset(&self->dev));
	EXPECT_FALSE(really_on(self->dev.bdf));
	ASSERT_EQ(0, vdev_write16(&self->dev, exp + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR));
	EXPECT_FALSE(really_on(self->dev.bdf));
	/* QEMU's root ports reset the bus, but some kernels miss a sign of its link afterwards. */
	err = vdev_hot_reset(&self->dev);
	EXPECT_TRUE(!err || err == -ENOTTY);
	EXPECT_FALSE(really_on(self->dev.bdf));
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_TRUE(really_on(self->dev.bdf));

	/* Resumed while asleep: it is on when the guest wakes it. */
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 3));
	EXPECT_EQ(1, kx_resume(self->kx));
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 0));
	EXPECT_TRUE(really_on(self->dev.bdf));
}

/* Resumed while asleep, a device is owed what the guest last wished, not what it did once. */
TEST_F(express, owed_while_asleep)
{
	int pm = vdev_cap(&self->dev, PCI_CAP_ID_PM);
	struct kvmx_vm_quiesce q;

	ASSERT_LT(0, pm);
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 3));
	/* Until then the guest sees it. */
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	EXPECT_EQ(ON, vdev_command(&self->dev) & ON);
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_EQ(ON, vdev_command(&self->dev) & ON);
	/* A second quiesce forgets nothing. */
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 0));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 3));
	EXPECT_EQ(1, kx_resume(self->kx));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	EXPECT_EQ(ON, vdev_command(&self->dev) & ON);
	EXPECT_EQ(1, kx_resume(self->kx));
	EXPECT_EQ(ON, vdev_command(&self->dev) & ON);
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 0));
	EXPECT_TRUE(really_on(self->dev.bdf));
	/* The guest no longer wants it. */
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 3));
	EXPECT_EQ(1, kx_resume(self->kx));
	ASSERT_EQ(0, vdev_set_command(&self->dev, PCI_COMMAND_MEMORY));
	EXPECT_EQ(PCI_COMMAND_MEMORY, vdev_command(&self->dev) & ON);
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 0));
	EXPECT_FALSE(really_on(self->dev.bdf));
	/* A reset wakes it, too. */
	ASSERT_EQ(0, vdev_set_command(&self->dev, ON));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	ASSERT_EQ(0, vdev_write16(&self->dev, pm + PCI_PM_CTRL, 3));
	EXPECT_EQ(1, kx_resume(self->kx));
	ASSERT_EQ(0, vdev_reset(&self->dev));
	EXPECT_TRUE(really_on(self->dev.bdf));
}

TEST_F(express, replays_every_enabled_vector)
{
	struct kvmx_vm_quiesce q;
	int efd[VECTORS], i;

	for (i = 0; i < VECTORS; i++) {
		efd[i] = eventfd(0, EFD_NONBLOCK);
		ASSERT_LE(0, efd[i]);
	}
	ASSERT_EQ(0, vdev_irqs(&self->dev, VFIO_PCI_MSIX_IRQ_INDEX, efd, VECTORS));
	ASSERT_EQ(0, kx_quiesce(self->kx, 0, &q));
	for (i = 0; i < VECTORS; i++)
		EXPECT_FALSE(fired(efd[i], 0));
	EXPECT_EQ(1, kx_resume(self->kx));
	for (i = 0; i < VECTORS; i++) {
		EXPECT_TRUE(fired(efd[i], 2000));
		close(efd[i]);
	}
	EXPECT_EQ(0, vdev_irqs(&self->dev, VFIO_PCI_MSIX_IRQ_INDEX, NULL, 0));
}

TEST_HARNESS_MAIN
