// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "state.h"
#include "vm.h"

#define NR_IRQCHIPS	3	/* two PICs, one IOAPIC */

struct disk_state {
	u64 capacity;
	struct virtio_state virtio;
};

static u32 count_one(const struct vm *vm)
{
	(void)vm;
	return 1;
}

static u32 count_irqchips(const struct vm *vm)
{
	(void)vm;
	return NR_IRQCHIPS;
}

static u32 count_disks(const struct vm *vm)
{
	return vm->nr_disks;
}

static int save_irqchip(struct vm *vm, u32 i, struct blob_writer *blob)
{
	struct kvm_irqchip chip = { .chip_id = i };

	if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip))
		return -errno;
	blob_put(blob, &chip, sizeof(chip));
	return 0;
}

static int load_irqchip(struct vm *vm, u32 i, const void *data, size_t len)
{
	struct kvm_irqchip chip;

	if (len != sizeof(chip))
		return -EPROTO;
	memcpy(&chip, data, sizeof(chip));
	if (chip.chip_id != i)
		return -EPROTO;
	return ioctl(vm->fd, KVM_SET_IRQCHIP, &chip) ? -errno : 0;
}

static int save_pit(struct vm *vm, u32 i, struct blob_writer *blob)
{
	struct kvm_pit_state2 pit = { };

	(void)i;
	if (ioctl(vm->fd, KVM_GET_PIT2, &pit))
		return -errno;
	blob_put(blob, &pit, sizeof(pit));
	return 0;
}

static int load_pit(struct vm *vm, u32 i, const void *data, size_t len)
{
	struct kvm_pit_state2 pit;

	(void)i;
	if (len != sizeof(pit))
		return -EPROTO;
	memcpy(&pit, data, sizeof(pit));
	return ioctl(vm->fd, KVM_SET_PIT2, &pit) ? -errno : 0;
}

static int save_clock(struct vm *vm, u32 i, struct blob_writer *blob)
{
	struct kvm_clock_data clock = { };

	(void)i;
	if (ioctl(vm->fd, KVM_GET_CLOCK, &clock))
		return -errno;
	blob_put(blob, &clock.clock, sizeof(clock.clock));
	return 0;
}

/* No flags: it goes on from where it was, as the TSC does. */
static int load_clock(struct vm *vm, u32 i, const void *data, size_t len)
{
	struct kvm_clock_data clock = { };

	(void)i;
	if (len != sizeof(clock.clock))
		return -EPROTO;
	memcpy(&clock.clock, data, sizeof(clock.clock));
	return ioctl(vm->fd, KVM_SET_CLOCK, &clock) ? -errno : 0;
}

static int save_pci(struct vm *vm, u32 i, struct blob_writer *blob)
{
	(void)i;
	blob_put(blob, &vm->pci.address, sizeof(vm->pci.address));
	blob_put(blob, vm->pci.bridge.config, PCI_CONFIG_SIZE);
	return 0;
}

static int load_pci(struct vm *vm, u32 i, const void *data, size_t len)
{
	const u8 *bytes = data;

	(void)i;
	if (len != sizeof(vm->pci.address) + PCI_CONFIG_SIZE)
		return -EPROTO;
	memcpy(&vm->pci.address, bytes, sizeof(vm->pci.address));
	pci_load_config(&vm->pci.bridge, bytes + sizeof(vm->pci.address));
	return 0;
}

static int save_rtc(struct vm *vm, u32 i, struct blob_writer *blob)
{
	(void)i;
	blob_put(blob, &vm->rtc.index, sizeof(vm->rtc.index));
	return 0;
}

static int load_rtc(struct vm *vm, u32 i, const void *data, size_t len)
{
	(void)i;
	if (len != sizeof(vm->rtc.index))
		return -EPROTO;
	memcpy(&vm->rtc.index, data, len);
	return 0;
}

static int save_serial(struct vm *vm, u32 i, struct blob_writer *blob)
{
	(void)i;
	blob_put(blob, &vm->serial.s, sizeof(vm->serial.s));
	return 0;
}

static int load_serial(struct vm *vm, u32 i, const void *data, size_t len)
{
	(void)i;
	return len == sizeof(vm->serial.s) ? serial_load(&vm->serial, data) : -EPROTO;
}

static int save_disk(struct vm *vm, u32 i, struct blob_writer *blob)
{
	struct disk_state state = { .capacity = vm->disks[i]->config.capacity };

	virtio_pci_save(&vm->disks[i]->virtio, &state.virtio);
	blob_put(blob, &state, sizeof(state));
	/* The other side opens the same file, and may be on another host. */
	return vm->disks[i]->readonly || !fdatasync(vm->disks[i]->fd) ? 0 : -errno;
}

static int load_disk(struct vm *vm, u32 i, const void *data, size_t len)
{
	const struct disk_state *state = data;

	if (len != sizeof(*state))
		return -EPROTO;
	if (state->capacity != vm->disks[i]->config.capacity)
		return fail(EXDEV, "%s has another size than the guest's disk",
			    vm->opt->disks[i].path);
	return virtio_pci_load(&vm->disks[i]->virtio, &state->virtio);
}

/* Interrupt controllers first: devices raise their lines again as they are loaded. */
const struct state_item state_device_items[] = {
	{ STATE_IRQCHIP, "interrupt controller", count_irqchips, save_irqchip, load_irqchip },
	{ STATE_PIT, "timer", count_one, save_pit, load_pit },
	{ STATE_CLOCK, "clock", count_one, save_clock, load_clock },
	{ STATE_PCI, "PCI bus", count_one, save_pci, load_pci },
	{ STATE_RTC, "real-time clock", count_one, save_rtc, load_rtc },
	{ STATE_SERIAL, "serial port", count_one, save_serial, load_serial },
	{ STATE_DISK, "disk", count_disks, save_disk, load_disk },
	{ }
};
