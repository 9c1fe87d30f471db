// SPDX-License-Identifier: GPL-2.0
/* Where a device's BARs are: memslots where they can be mapped, else trapped. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "device.h"
#include "vm.h"

/* Behind those of memory. */
#define FIRST_SLOT	8
#define SLOTS_PER_DEVICE 32

static unsigned int bar_reg(const struct host_bar *bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * bar->nr;
}

static void bar_access(void *opaque, u64 offset, void *data, u32 len, bool write)
{
	struct host_bar *bar = opaque;
	struct kvmx_device *dev = bar->dev->dev;
	u64 at = dev->region[bar->nr].offset + offset;
	ssize_t n;

	if (device_irqs_bar(bar->dev, bar->nr, offset, data, len, write))
		return;
	n = write ? pwrite(dev->fd, data, len, at) : pread(dev->fd, data, len, at);
	/* A device that does not answer reads as all ones. */
	if (n != (ssize_t)len && !write)
		memset(data, 0xff, len);
}

/* Memslots of a BAR, each device having numbers of its own. */
static void set_slots(struct host_bar *bar, bool there)
{
	const struct host_device *d = bar->dev;
	u32 b, a, slot = FIRST_SLOT + d->nr * SLOTS_PER_DEVICE;

	for (b = 0; b < bar->nr; b++)
		slot += d->dev->region[b].nr_areas;
	for (a = 0; a < d->dev->region[bar->nr].nr_areas; a++, slot++) {
		const struct kvmx_device_area *area = &d->dev->region[bar->nr].area[a];
		struct kvm_userspace_memory_region region = {
			.slot = slot,
			.guest_phys_addr = bar->base + area->offset,
			.memory_size = there ? area->size : 0,
			.userspace_addr = (unsigned long)area->hva,
		};

		/* Without it each access is trapped: slow, but right. */
		if (ioctl(d->vm->fd, KVM_SET_USER_MEMORY_REGION, &region) && there)
			say("%s: BAR %u is no memslot: %m", d->dev->bdf, bar->nr);
	}
}

static void place(struct host_bar *bar, u64 base)
{
	if (base == bar->base)
		return;
	if (bar->base)
		set_slots(bar, false);
	bar->base = base;
	bar->range->base = base;
	bar->range->len = base ? bar->size : 0;
	if (base)
		set_slots(bar, true);
}

static u64 wanted_base(const struct host_bar *bar, u16 command)
{
	struct host_device *d = bar->dev;
	u64 base = device_config_read(d, bar_reg(bar), 4);

	if (!(command & (bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return 0;
	if (bar->io) {
		base &= PCI_BASE_ADDRESS_IO_MASK & 0xffff;
		return base >= PCI_HOST_IO_BASE && bar->size <= 0x10000 - base ? base : 0;
	}
	base &= PCI_BASE_ADDRESS_MEM_MASK;
	if (bar->wide)
		base |= (u64)device_config_read(d, bar_reg(bar) + 4, 4) << 32;
	/* While it is being sized it is nowhere; nor is it where something else answers. */
	return base >= PCI_BAR_BASE && base < PCI_BAR_END && bar->size <= PCI_BAR_END - base ?
	       base : 0;
}

void device_bars_update(struct host_device *d)
{
	u16 command = device_config_read(d, PCI_COMMAND, 2);
	unsigned int i;

	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		if (d->bar[i].size)
			place(&d->bar[i], wanted_base(&d->bar[i], command));
}

void device_bars_remove(struct host_device *d)
{
	unsigned int i;

	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		if (d->bar[i].size)
			place(&d->bar[i], 0);
}

/* As firmware would have: each at a multiple of its size, switched off. */
static int assign_address(struct host_bar *bar)
{
	struct host_devices *all = &bar->dev->vm->devices;
	u64 *next = bar->io ? &all->next_io : &all->next_mem;
	u64 end = bar->io ? 0x10000 : PCI_BAR_END;
	u64 base = (*next + bar->size - 1) & ~(bar->size - 1);

	if (base >= end || bar->size > end - base)
		return fail(ENOSPC, "--device %s: no room below 4 GiB for BAR %u (%llu MiB)",
			    bar->dev->dev->bdf, bar->nr, bar->size / MIB);
	*next = base + bar->size;
	device_config_write(bar->dev, bar_reg(bar), base, 4);
	if (bar->wide)
		device_config_write(bar->dev, bar_reg(bar) + 4, 0, 4);
	return 0;
}

int device_bars_init(struct host_device *d)
{
	unsigned int i;
	int err = 0;

	device_config_write(d, PCI_COMMAND, 0, 2);
	for (i = 0; i < PCI_STD_NUM_BARS && !err; i++) {
		struct host_bar *bar = &d->bar[i];
		u32 flags;

		bar->dev = d;
		bar->nr = i;
		bar->size = d->dev->region[i].size;
		if (!bar->size)
			continue;
		flags = device_config_read(d, bar_reg(bar), 4);
		bar->io = flags & PCI_BASE_ADDRESS_SPACE_IO;
		bar->wide = !bar->io && flags & PCI_BASE_ADDRESS_MEM_TYPE_64;
		bar->range = bus_add(bar->io ? &d->vm->pio : &d->vm->mmio, 0, 0, bar_access, bar);
		err = assign_address(bar);
	}
	return err;
}
