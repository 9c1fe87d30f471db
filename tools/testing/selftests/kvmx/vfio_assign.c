// SPDX-License-Identifier: GPL-2.0
/*
 * libkvmx's kvmx_assign() on real devices: all it promises, and each of its calls into the kernel
 * failing, or being the VMM's last. Needs a machine with devices (run -D).
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <kvmx/assign.h>
#include <linux/pci_regs.h>
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/ksm.h"
#include "lib/kx.h"
#include "lib/pass.h"
#include "lib/peer.h"
#include "lib/vdev.h"
#include "lib/vm.h"
#include "vfio_assign.h"

#define ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define PAGES 16
#define OTHER_GFN (VM_DATA_GFN + 0x1000)
#define VECTOR 0x55
#define MSI_ADDR 0xfee00000
#define PIN 19
#define KSM_SCANS 4
#define LAPIC_SVR 0xf0
#define LAPIC_IRR 0x200
#define MAX_CALLS 400

/*
 * The calls that the library makes while @countdown is positive: the one that makes it 0 fails, or
 * kills the process. The linker has all of them come here (--wrap).
 */
static int countdown, calls;
static bool fatal;

static bool doomed(void)
{
	if (countdown <= 0)
		return false;
	calls++;
	if (--countdown)
		return false;
	if (fatal)
		kill(getpid(), SIGKILL);
	errno = ENOMEM;
	return true;
}

int __wrap_ioctl(int fd, unsigned long nr, void *arg)
{
	return doomed() ? -1 : __real_ioctl(fd, nr, arg);
}

int __wrap_open(const char *path, int flags, int mode)
{
	return doomed() ? -1 : __real_open(path, flags, mode);
}

int __wrap_eventfd(unsigned int value, int flags)
{
	return doomed() ? -1 : __real_eventfd(value, flags);
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return doomed() ? MAP_FAILED : __real_mmap(addr, len, prot, flags, fd, offset);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return doomed() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return doomed() ? NULL : __real_realloc(old, size);
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset)
{
	return doomed() ? -1 : __real_pread(fd, buf, len, offset);
}

static unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

/* How many mappings of devices there are */
static unsigned int mapped_areas(void)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned int nr = 0;

	while (maps && fgets(line, sizeof(line), maps))
		nr += !!strstr(line, "[vfio-device]");
	if (maps)
		fclose(maps);
	return nr;
}

/* A VM with an interrupt controller, and some memory for devices. */
static int make_vm(struct vm *vm)
{
	struct kvm_lapic_state lapic;
	uint32_t on = 0x1ff;
	int err;

	err = vm_create_bare(vm, 0);
	if (!err && ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL))
		err = -errno;
	if (!err)
		err = vm_add_vcpu(vm);
	if (!err)
		err = vm_add_slot(vm, 1, VM_DATA_GFN, PAGES, MEM_ANON, 0);
	if (err)
		return err;
	if (ioctl(vm->vcpu[0].fd, KVM_GET_LAPIC, &lapic))
		return -errno;
	memcpy(lapic.regs + LAPIC_SVR, &on, sizeof(on));
	return ioctl(vm->vcpu[0].fd, KVM_SET_LAPIC, &lapic) ? -errno : 0;
}

/* Takes the interrupt: whether there was one, waiting for it a little. */
static bool take_irq(struct vm *vm)
{
	struct kvm_lapic_state lapic;
	uint32_t bit = 1U << VECTOR % 32, irr;
	char *reg = lapic.regs + LAPIC_IRR + VECTOR / 32 * 16;
	int i;

	for (i = 0; i < 100; i++) {
		if (ioctl(vm->vcpu[0].fd, KVM_GET_LAPIC, &lapic))
			return false;
		memcpy(&irr, reg, sizeof(irr));
		if (irr & bit) {
			irr &= ~bit;
			memcpy(reg, &irr, sizeof(irr));
			return !ioctl(vm->vcpu[0].fd, KVM_SET_LAPIC, &lapic);
		}
		sleep_ms(5);
	}
	return false;
}

/* Whether INTx has raised the IOAPIC's pin, waiting for it a little. */
static bool pin_raised(struct vm *vm, bool want)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	int i;

	for (i = 0; i < 100; i++) {
		if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip))
			return !want;
		if (!!(chip.chip.ioapic.irr & 1U << PIN) == want)
			break;
		sleep_ms(5);
	}
	return !!(chip.chip.ioapic.irr & 1U << PIN);
}

/* What lib/vdev.c knows how to use, of what the library has opened. */
static struct vdev vdev_of(const struct kvmx_device *dev)
{
	struct vdev v = {
		.container = -1, .group = -1, .kvm_vfio = -1, .fd = dev->fd,
		.config = dev->region[VFIO_PCI_CONFIG_REGION_INDEX].offset,
	};

	if (dev->region[0].nr_areas)
		v.bar = dev->region[0].area[0].hva;
	return v;
}

/* The device's own 64 bytes at a guest address, by way of its buffer. */
static int copy_by_dma(struct kvmx_device *dev, uint64_t from, uint64_t to)
{
	struct vdev v = vdev_of(dev);
	int err;

	err = vdev_set_command(&v, ON);
	if (!err)
		err = edu_dma(&v, from, 0, 64, false);
	return err ?: edu_dma(&v, to, 0, 64, true);
}

static int bind_all(char bdf[VDEV_KINDS][VDEV_BDF_LEN])
{
	int i, err = 0;

	for (i = 0; i < VDEV_KINDS && !err; i++) {
		err = vdev_find(i, bdf[i]);
		if (!err)
			err = vdev_bind(bdf[i], "kvmx_vfio_pci");
	}
	return err;
}

FIXTURE(assign) {
	struct vm vm;
	struct kvmx_assign_vm a;
	char bdf[VDEV_KINDS][VDEV_BDF_LEN];
	char *mem;
};

FIXTURE_SETUP(assign)
{
	ASSERT_EQ(0, bind_all(self->bdf));
	ASSERT_EQ(0, make_vm(&self->vm));
	self->mem = vm_hva(&self->vm, 0, VM_DATA_GFN);
	self->a = (struct kvmx_assign_vm){
		.kvm_fd = self->vm.fd,
		.vm_fd = kx_vm(self->vm.fd),
		.kvm_vfio_fd = -1,
	};
	ASSERT_LE(0, self->a.vm_fd);
}

FIXTURE_TEARDOWN(assign)
{
	EXPECT_EQ(NULL, self->a.state);
	if (self->a.kvm_vfio_fd >= 0)
		close(self->a.kvm_vfio_fd);
	close(self->a.vm_fd);
	vm_destroy(&self->vm);
}

#define ASSIGN(kind, dev) ASSERT_TRUE(assigned(&self->a, self->bdf[kind], dev))

static bool assigned(struct kvmx_assign_vm *a, const char *bdf, struct kvmx_device **dev)
{
	if (!kvmx_assign(a, bdf, dev))
		return true;
	printf("# %s\n", a->reason);
	return false;
}

/* In one call from nothing to DMA; and back. */
TEST_F(assign, one_call)
{
	unsigned int fds;
	struct kvmx_device *dev;
	struct pass pass;
	struct vdev v;
	int tracker;

	ASSIGN(VDEV_EDU, &dev);
	v = vdev_of(dev);
	EXPECT_STREQ(self->bdf[VDEV_EDU], dev->bdf);
	EXPECT_EQ(1, dev->nr_irqs[VFIO_PCI_INTX_IRQ_INDEX]);
	EXPECT_LE(1, dev->nr_irqs[VFIO_PCI_MSI_IRQ_INDEX]);
	EXPECT_EQ(0, dev->nr_irqs[VFIO_PCI_MSIX_IRQ_INDEX]);
	ASSERT_EQ(1, dev->region[0].nr_areas);
	EXPECT_EQ(MIB, dev->region[0].size);
	EXPECT_EQ(MIB, dev->region[0].area[0].size);
	/* Silent until its VMM says so. */
	EXPECT_EQ(0, vdev_command(&v) & PCI_COMMAND_MASTER);
	memset(self->mem, 0x5a, 64);
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, VM_DATA + 3 * PAGE_SIZE));
	EXPECT_TRUE(all_bytes(self->mem + 3 * PAGE_SIZE, 0x5a, 64));
	tracker = kx_tracker(self->a.vm_fd, KVMX_TRACKER_CLEAN);
	ASSERT_LE(0, tracker);
	ASSERT_EQ(0, pass_init(&pass));
	pass.room = 64;
	ASSERT_EQ(0, pass_run(&pass, tracker));
	EXPECT_EQ(PAGES, pass.by_class[KVMX_CLASS_DMA]);
	EXPECT_EQ(1, mapped_areas());
	kvmx_unassign(dev);
	EXPECT_EQ(0, mapped_areas());
	/* What it may have written comes once more, then nothing. */
	ASSERT_EQ(0, pass_run(&pass, tracker));
	EXPECT_EQ(PAGES, pass.by_class[KVMX_CLASS_NORMAL]);
	ASSERT_EQ(0, pass_run(&pass, tracker));
	EXPECT_EQ(0, pass.pages);
	fds = open_fds();
	ASSIGN(VDEV_EDU, &dev);
	kvmx_unassign(dev);
	EXPECT_EQ(fds, open_fds());
	pass_fini(&pass);
	close(tracker);
}

TEST_F(assign, refused)
{
	struct kvmx_device *dev, *again;
	struct kvmx_pci_addr addr = vdev_addr(self->bdf[VDEV_EDU]);
	struct vm other;
	struct vdev v;

	EXPECT_EQ(-EINVAL, kvmx_assign(&self->a, "nonsense", &dev));
	EXPECT_EQ(-EINVAL, kvmx_assign(&self->a, "0000:00:00.0/..", &dev));
	EXPECT_EQ(-ENODEV, kvmx_assign(&self->a, "0000:77:00.0", &dev));
	/* The bridge above has a driver, but not this one. */
	EXPECT_EQ(-EXDEV, kvmx_assign(&self->a, "00:00.0", &dev));
	EXPECT_NE(NULL, strstr(self->a.reason, "kvmxctl dev bind"));
	/* Somebody else has it. */
	ASSERT_EQ(0, vm_create(&other, 0));
	ASSERT_EQ(0, vdev_open(&v, VDEV_EDU, other.fd));
	EXPECT_EQ(-EBUSY, kvmx_assign(&self->a, self->bdf[VDEV_EDU], &dev));
	EXPECT_NE(NULL, strstr(self->a.reason, "another process"));
	vdev_close(&v);
	vm_destroy(&other);
	/* A mate with another driver */
	ASSERT_EQ(0, vdev_bind(self->bdf[VDEV_PAIR2], ""));
	ASSIGN(VDEV_PAIR1, &dev);
	kvmx_unassign(dev);
	/* Twice */
	ASSIGN(VDEV_EDU, &dev);
	EXPECT_EQ(-EBUSY, kvmx_assign(&self->a, self->bdf[VDEV_EDU], &again));
	kvmx_unassign(dev);
	/* Leased for somebody else */
	EXPECT_EQ(1, kx_lease(7, &addr, 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(-EACCES, kvmx_assign(&self->a, self->bdf[VDEV_EDU], &dev));
	EXPECT_NE(NULL, strstr(self->a.reason, "leased"));
	EXPECT_EQ(1, kx_unlease(7, NULL, 0, 0));
}

/* Devices reach the memory of the memslots there are, when they have been told. */
TEST_F(assign, in_step)
{
	struct kvmx_device *dev;
	char *other, *readonly;

	ASSIGN(VDEV_EDU, &dev);
	memset(self->mem, 0x11, 64);
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, OTHER_GFN, PAGES, MEM_ANON, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 3, OTHER_GFN + PAGES, 1, MEM_ANON, KVM_MEM_READONLY));
	other = vm_slot(&self->vm, 2)->hva;
	readonly = vm_slot(&self->vm, 3)->hva;
	/* Not yet */
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, OTHER_GFN * PAGE_SIZE));
	EXPECT_TRUE(all_bytes(other, 0, 64));
	ASSERT_EQ(0, kvmx_assign_sync(&self->a));
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, OTHER_GFN * PAGE_SIZE));
	EXPECT_TRUE(all_bytes(other, 0x11, 64));
	/* What the guest may only read its devices may only read. */
	memset(readonly, 0x22, 64);
	ASSERT_EQ(0, copy_by_dma(dev, (OTHER_GFN + PAGES) * PAGE_SIZE, VM_DATA));
	EXPECT_TRUE(all_bytes(self->mem, 0x22, 64));
	memset(self->mem, 0x33, 64);
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, (OTHER_GFN + PAGES) * PAGE_SIZE));
	EXPECT_TRUE(all_bytes(readonly, 0x22, 64));
	/* Moved: from its new place, and no more from the old one. */
	ASSERT_EQ(0, vm_move_slot(&self->vm, 2, OTHER_GFN + 64));
	ASSERT_EQ(0, kvmx_assign_sync(&self->a));
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, (OTHER_GFN + 64) * PAGE_SIZE));
	EXPECT_TRUE(all_bytes(other, 0x33, 64));
	memset(self->mem, 0x44, 64);
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, OTHER_GFN * PAGE_SIZE));
	EXPECT_TRUE(all_bytes(other, 0x33, 64));
	/* Gone */
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	ASSERT_EQ(0, kvmx_assign_sync(&self->a));
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, (OTHER_GFN + 64) * PAGE_SIZE));
	EXPECT_TRUE(all_bytes(other, 0x33, 64));
	kvmx_unassign(dev);
	EXPECT_EQ(0, kvmx_assign_sync(&self->a));
}

/* The VM's memory, as somebody else's. */
static struct peer myself(const char *mem)
{
	return (struct peer){
		.pid = getpid(),
		.nr_areas = 1,
		.area = { { .hva = (uintptr_t)mem, .npages = PAGES } },
	};
}

/* Has KSM merge what can be merged. */
static int run_ksm(void)
{
	long scans = ksm_knob("full_scans");
	int err, ms;

	err = ksm_set_knob("run", "1");
	for (ms = 0; !err && ms < 20000 && ksm_knob("full_scans") < scans + KSM_SCANS; ms += 10)
		sleep_ms(10);
	return err ?: ksm_set_knob("run", "0");
}

/* KSM has let go of memory before devices reach it, and may have it again afterwards. */
TEST_F(assign, ksm_lets_go)
{
	struct peer me = myself(self->mem);
	struct kvmx_device *dev;
	void *hole;

	memset(self->mem, 0x5a, PAGES * PAGE_SIZE);
	ASSERT_EQ(0, madvise(self->mem, PAGES * PAGE_SIZE, MADV_MERGEABLE));
	ASSERT_EQ(0, run_ksm());
	ASSERT_EQ(PAGES, peer_merged(&me, 0));
	ASSIGN(VDEV_EDU, &dev);
	EXPECT_FALSE(peer_mergeable(&me, 0));
	EXPECT_EQ(0, peer_merged(&me, 0));
	EXPECT_TRUE(all_bytes(self->mem, 0x5a, PAGES * PAGE_SIZE));
	/* As many PINs as the library made. */
	EXPECT_EQ(0, kvmx_assign_sync(&self->a));
	memset(self->mem, 0x11, 64);
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, VM_DATA + PAGE_SIZE));
	EXPECT_TRUE(all_bytes(self->mem + PAGE_SIZE, 0x11, 64));
	kvmx_unassign(dev);
	EXPECT_TRUE(peer_mergeable(&me, 0));
	/* What was not mapped in the end is not kept away from KSM, either. */
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, OTHER_GFN, PAGES, MEM_ANON, 0));
	hole = vm_slot(&self->vm, 2)->hva;
	ASSERT_EQ(0, mprotect(hole, PAGES * PAGE_SIZE, PROT_NONE));
	EXPECT_NE(0, kvmx_assign(&self->a, self->bdf[VDEV_EDU], &dev));
	EXPECT_TRUE(peer_mergeable(&me, 0));
	ASSERT_EQ(0, madvise(self->mem, PAGES * PAGE_SIZE, MADV_UNMERGEABLE));
}

/* A BAR that is a memslot is no memory for devices. */
TEST_F(assign, bar_as_memslot)
{
	struct kvmx_device *dev;
	struct kvmx_device_area *area;

	ASSIGN(VDEV_EDU, &dev);
	area = &dev->region[0].area[0];
	ASSERT_EQ(0, vm_map_slot(&self->vm, 2, OTHER_GFN, area->size / PAGE_SIZE, area->hva, 0));
	ASSERT_EQ(0, kvmx_assign_sync(&self->a)) TH_LOG("%s", self->a.reason);
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	kvmx_unassign(dev);
}

/* The guest must not reach the real table of vectors. */
TEST_F(assign, vectors_are_not_mapped)
{
	const struct kvmx_device_region *r;
	struct kvmx_device *dev;
	uint32_t i;

	ASSIGN(VDEV_NVME, &dev);
	EXPECT_EQ(dev->nr_irqs[VFIO_PCI_MSIX_IRQ_INDEX], dev->msix.nr);
	ASSERT_LT(1, dev->msix.nr);
	r = &dev->region[dev->msix.table_bar];
	EXPECT_LT(0, r->nr_areas);
	for (i = 0; i < r->nr_areas; i++)
		EXPECT_FALSE(r->area[i].offset <= dev->msix.table &&
			     dev->msix.table < r->area[i].offset + r->area[i].size);
	kvmx_unassign(dev);
}

TEST_F(assign, msi)
{
	struct kvmx_msi msi = { .addr = MSI_ADDR, .data = VECTOR };
	struct kvmx_device *dev;
	struct vdev v;
	int i;

	ASSIGN(VDEV_EDU, &dev);
	v = vdev_of(dev);
	ASSERT_EQ(0, vdev_set_command(&v, ON));
	ASSERT_EQ(0, kvmx_device_vectors(dev, VFIO_PCI_MSI_IRQ_INDEX, &msi, 1))
		TH_LOG("%s", self->a.reason);
	for (i = 0; i < 20; i++) {
		edu_raise(&v);
		EXPECT_TRUE(take_irq(&self->vm));
		edu_ack(&v);
	}
	/* Masked it waits, and comes when it is unmasked. */
	msi.masked = true;
	ASSERT_EQ(0, kvmx_device_vector(dev, 0, &msi));
	EXPECT_FALSE(kvmx_device_pending(dev, 0));
	edu_raise(&v);
	for (i = 0; i < 100 && !kvmx_device_pending(dev, 0); i++)
		sleep_ms(5);
	EXPECT_TRUE(kvmx_device_pending(dev, 0));
	EXPECT_EQ(-EINVAL, kvmx_device_vector(dev, 1, &msi));
	msi.masked = false;
	ASSERT_EQ(0, kvmx_device_vector(dev, 0, &msi));
	EXPECT_TRUE(take_irq(&self->vm));
	EXPECT_FALSE(kvmx_device_pending(dev, 0));
	edu_ack(&v);
	/* Sent somewhere else, nothing comes here. */
	msi.data = VECTOR + 1;
	ASSERT_EQ(0, kvmx_device_vector(dev, 0, &msi));
	edu_raise(&v);
	EXPECT_FALSE(take_irq(&self->vm));
	edu_ack(&v);
	EXPECT_EQ(-EINVAL, kvmx_device_vectors(dev, VFIO_PCI_MSIX_IRQ_INDEX, &msi, 1));
	EXPECT_EQ(-EINVAL, kvmx_device_vectors(dev, VFIO_PCI_INTX_IRQ_INDEX, &msi, 1));
	kvmx_unassign(dev);
}

/* INTx gives way to vectors, and is back when there are none. */
TEST_F(assign, intx)
{
	struct kvmx_msi msi = { .addr = MSI_ADDR, .data = VECTOR };
	struct kvmx_device *dev;
	struct vdev v;

	ASSIGN(VDEV_EDU, &dev);
	v = vdev_of(dev);
	ASSERT_EQ(0, vdev_set_command(&v, ON));
	ASSERT_EQ(0, kvmx_device_intx(dev, PIN)) TH_LOG("%s", self->a.reason);
	EXPECT_FALSE(pin_raised(&self->vm, false));
	edu_raise(&v);
	EXPECT_TRUE(pin_raised(&self->vm, true));
	edu_ack(&v);
	ASSERT_EQ(0, kvmx_device_vectors(dev, VFIO_PCI_MSI_IRQ_INDEX, &msi, 1));
	EXPECT_FALSE(pin_raised(&self->vm, false));
	edu_raise(&v);
	EXPECT_TRUE(take_irq(&self->vm));
	EXPECT_FALSE(pin_raised(&self->vm, false));
	edu_ack(&v);
	ASSERT_EQ(0, kvmx_device_vectors(dev, VFIO_PCI_MSI_IRQ_INDEX, NULL, 0));
	edu_raise(&v);
	EXPECT_TRUE(pin_raised(&self->vm, true));
	edu_ack(&v);
	ASSERT_EQ(0, kvmx_device_intx(dev, -1));
	EXPECT_FALSE(pin_raised(&self->vm, false));
	kvmx_unassign(dev);
}

/* Groups share a container and a KVM-VFIO device, two devices a group; they go in any order. */
TEST_F(assign, several)
{
	static const int kinds[] = {
		VDEV_EDU, VDEV_PAIR1, VDEV_NVME, VDEV_PAIR2, VDEV_NIC,
	};
	struct kvmx_device *dev[ARRAY_SIZE(kinds)];
	struct kvmx_vm_device list[8];
	unsigned int i, first;

	for (first = 0; first < ARRAY_SIZE(kinds); first++) {
		for (i = 0; i < ARRAY_SIZE(kinds); i++)
			ASSIGN(kinds[i], &dev[i]);
		EXPECT_EQ(ARRAY_SIZE(kinds), kx_devices(self->a.vm_fd, list, ARRAY_SIZE(list)));
		memset(self->mem, first, 64);
		ASSERT_EQ(0, copy_by_dma(dev[0], VM_DATA, VM_DATA + PAGE_SIZE));
		for (i = 0; i < ARRAY_SIZE(kinds) - 1; i++)
			kvmx_unassign(dev[(first + i) % ARRAY_SIZE(kinds)]);
		EXPECT_EQ(1, kx_devices(self->a.vm_fd, list, ARRAY_SIZE(list)));
		kvmx_unassign(dev[(first + i) % ARRAY_SIZE(kinds)]);
		EXPECT_TRUE(all_bytes(self->mem + PAGE_SIZE, first, 64));
	}
}

/* All that a VMM does with a device, until something fails. */
static int whole_life(struct kvmx_assign_vm *a, const char *bdf, struct kvmx_device **dev)
{
	const struct kvmx_msi msi = { .addr = MSI_ADDR, .data = VECTOR };
	int err;

	err = kvmx_assign(a, bdf, dev);
	if (err)
		return err;
	err = kvmx_device_intx(*dev, PIN);
	if (!err)
		err = kvmx_device_vectors(*dev, VFIO_PCI_MSI_IRQ_INDEX, &msi, 1);
	if (!err)
		err = kvmx_assign_sync(a);
	if (err) {
		kvmx_unassign(*dev);
		*dev = NULL;
	}
	return err;
}

/* The same, the @n-th call being the last that works: 0 if there are not so many. */
static int cut_short(struct kvmx_assign_vm *a, const char *bdf, int n)
{
	struct kvmx_device *dev = NULL;
	int err;

	countdown = n;
	err = whole_life(a, bdf, &dev);
	if (!err && countdown)
		err = 1;
	countdown = 0;
	kvmx_unassign(dev);
	return err;
}

/* Nothing remains of what failed half-way, and the device works as ever. */
TEST_F(assign, each_call_fails)
{
	struct kvmx_device *dev;
	unsigned int fds;
	int n, err;

	/* KVM's VFIO device stays with the VM. */
	ASSIGN(VDEV_EDU, &dev);
	kvmx_unassign(dev);
	fds = open_fds();
	for (n = 1; n < MAX_CALLS; n++) {
		err = cut_short(&self->a, self->bdf[VDEV_EDU], n);
		if (err == 1)
			break;
		/* Some calls it can do without; those that fail must say why. */
		EXPECT_TRUE(!err || self->a.reason[0]) TH_LOG("call %d: %d, no reason", n, err);
		EXPECT_EQ(fds, open_fds()) TH_LOG("call %d leaves files open", n);
		EXPECT_EQ(0, mapped_areas()) TH_LOG("call %d leaves mappings", n);
		EXPECT_EQ(NULL, self->a.state) TH_LOG("call %d leaves state", n);
	}
	EXPECT_LT(30, n);
	ASSERT_LT(n, MAX_CALLS);
	ASSERT_EQ(0, whole_life(&self->a, self->bdf[VDEV_EDU], &dev));
	memset(self->mem, 0x66, 64);
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, VM_DATA + PAGE_SIZE));
	EXPECT_TRUE(all_bytes(self->mem + PAGE_SIZE, 0x66, 64));
	kvmx_unassign(dev);
}

/* A VMM that dies in any call */
static void dies_at(const char *bdf, int n)
{
	struct kvmx_assign_vm a = { .kvm_vfio_fd = -1 };
	struct vm vm;

	if (make_vm(&vm))
		_exit(250);
	a.kvm_fd = vm.fd;
	a.vm_fd = kx_vm(vm.fd);
	fatal = true;
	_exit(cut_short(&a, bdf, n));
}

TEST_F(assign, killed_in_each_call)
{
	struct kvmx_device *dev;
	int n, status;
	pid_t pid;

	for (n = 1; n < MAX_CALLS; n++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			dies_at(self->bdf[VDEV_EDU], n);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (!WIFSIGNALED(status))
			break;
	}
	ASSERT_TRUE(WIFEXITED(status));
	EXPECT_EQ(1, WEXITSTATUS(status)) TH_LOG("at call %d", n);
	EXPECT_LT(30, n);
	ASSIGN(VDEV_EDU, &dev);
	memset(self->mem, 0x77, 64);
	ASSERT_EQ(0, copy_by_dma(dev, VM_DATA, VM_DATA + PAGE_SIZE));
	EXPECT_TRUE(all_bytes(self->mem + PAGE_SIZE, 0x77, 64));
	kvmx_unassign(dev);
}

TEST_HARNESS_MAIN
