// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "vm.h"

static u64 config_offset(const struct host_device *d)
{
	return d->dev->region[VFIO_PCI_CONFIG_REGION_INDEX].offset;
}

u32 device_config_read(struct host_device *d, unsigned int reg, unsigned int len)
{
	u32 value = 0;

	if (pread(d->dev->fd, &value, len, config_offset(d) + reg) == (ssize_t)len)
		return value;
	say("%s: cannot read register %#x: %m", d->dev->bdf, reg);
	return ~0U;
}

void device_config_write(struct host_device *d, unsigned int reg, u32 value, unsigned int len)
{
	if (pwrite(d->dev->fd, &value, len, config_offset(d) + reg) != (ssize_t)len)
		say("%s: cannot write register %#x: %m", d->dev->bdf, reg);
}

static bool overlaps(unsigned int reg, unsigned int len, unsigned int start, unsigned int size)
{
	return reg < start + size && start < reg + len;
}

/*
 * VFIO answers for most of it as the guest shall see it. Left to us: no ROM, which a guest that was
 * booted without firmware has no use for, and one interrupt pin, since the MP table knows one.
 */
static void config_read(struct host_device *d, unsigned int reg, u8 *data, unsigned int len)
{
	u32 value = device_config_read(d, reg, len);
	unsigned int i;

	memcpy(data, &value, len);
	for (i = 0; i < len; i++) {
		if (reg + i >= PCI_ROM_ADDRESS && reg + i < PCI_ROM_ADDRESS + 4)
			data[i] = 0;
		if (reg + i == PCI_INTERRUPT_PIN && data[i])
			data[i] = 1;
	}
}

static void config_write(struct host_device *d, unsigned int reg, const u8 *data, unsigned int len)
{
	u32 value = 0;

	if (overlaps(reg, len, PCI_ROM_ADDRESS, 4))
		return;
	memcpy(&value, data, len);
	/* A BAR that answers no more must not be found by a vCPU. */
	if (reg == PCI_COMMAND && !(value & PCI_COMMAND_MEMORY))
		device_bars_remove(d);
	device_config_write(d, reg, value, len);
	if (overlaps(reg, len, PCI_COMMAND, 2) ||
	    overlaps(reg, len, PCI_BASE_ADDRESS_0, 4 * PCI_STD_NUM_BARS))
		device_bars_update(d);
}

void device_config_access(void *opaque, u64 offset, void *data, u32 len, bool write)
{
	struct host_device *d = opaque;

	if (device_irqs_config(d, offset, data, len, write))
		return;
	if (write)
		config_write(d, offset, data, len);
	else
		config_read(d, offset, data, len);
}

static int plug(struct host_device *d, const char *bdf)
{
	struct vm *vm = d->vm;
	struct host_devices *all = &vm->devices;
	u8 type;
	int err;

	err = kvmx_assign(&all->assign, bdf, &d->dev);
	if (err)
		return fail(-err, "--device %s: %s", bdf, all->assign.reason);
	type = device_config_read(d, PCI_HEADER_TYPE, 1) & 0x7f;
	if (type != PCI_HEADER_TYPE_NORMAL)
		return fail(EINVAL, "--device %s: this is a bridge", bdf);
	err = pci_plug(&vm->pci, &d->pci, device_config_access, d);
	if (err)
		return err;
	device_config_write(d, PCI_INTERRUPT_LINE, d->pci.gsi, 1);
	err = device_bars_init(d);
	return err ? err : device_irqs_init(d);
}

int devices_init(struct vm *vm)
{
	struct host_devices *all = &vm->devices;
	struct host_device *d;
	unsigned int i;
	int err = 0;

	all->assign = (struct kvmx_assign_vm){
		.kvm_fd = vm->fd, .vm_fd = vm->kvmx_fd, .kvm_vfio_fd = -1,
	};
	all->next_mem = PCI_HOST_BAR_BASE;
	all->next_io = PCI_HOST_IO_BASE;
	if (vm->opt->nr_devices && vm->kvmx_fd < 0)
		return fail(ENODEV, "--device needs /dev/kvmx");
	for (i = 0; i < vm->opt->nr_devices && !err; i++) {
		d = calloc(1, sizeof(*d));
		if (!d)
			return -ENOMEM;
		d->vm = vm;
		d->nr = i;
		all->dev[all->nr++] = d;
		err = plug(d, vm->opt->devices[i]);
	}
	return err;
}

void devices_destroy(struct vm *vm)
{
	struct host_devices *all = &vm->devices;

	while (all->nr) {
		struct host_device *d = all->dev[--all->nr];

		if (d->dev) {
			device_bars_remove(d);
			device_irqs_destroy(d);
			kvmx_unassign(d->dev);
		}
		free(d);
	}
	if (vm->fd >= 0 && all->assign.kvm_vfio_fd >= 0)
		close(all->assign.kvm_vfio_fd);
	all->assign.kvm_vfio_fd = -1;
}

int devices_quiesce(struct vm *vm)
{
	int ret;

	if (!vm->devices.nr)
		return 0;
	ret = kvmx_vm_quiesce(vm->kvmx_fd, 0, NULL);
	return ret < 0 ? fail(-ret, "cannot quiesce devices: %s", strerror(-ret)) : 0;
}

int devices_resume(struct vm *vm)
{
	int ret;

	if (!vm->devices.nr)
		return 0;
	ret = kvmx_vm_resume(vm->kvmx_fd);
	return ret < 0 ? fail(-ret, "cannot resume devices: %s", strerror(-ret)) : 0;
}
