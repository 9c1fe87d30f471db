// SPDX-License-Identifier: GPL-2.0
/*
 * What a guest that moves takes along of the host's devices: what is emulated here. What is in the
 * device itself nobody can read. Where the guest goes on without the device, it finds nothing any
 * more where that was. Where there is one, it has been reset, and its driver has to notice.
 */
#include <errno.h>
#include <string.h>

#include "device.h"
#include "state.h"
#include "vm.h"

#define CONFIG_LEN	PCI_CONFIG_SIZE

struct device_head {
	u32 slot;
	u32 vectors;		/* of MSI-X */
	u16 vendor;
	u16 device;
	u32 len;		/* of what follows */
	u8 config[CONFIG_LEN];
};

static void get_config(struct host_device *d, unsigned int reg, void *data, u32 len)
{
	device_config_access(d, reg, data, len, false);
}

static u32 slot_of(const struct host_device *d)
{
	const struct pci *pci = &d->vm->pci;
	u32 i;

	for (i = 0; pci->devices[i] != &d->pci; i++)
		;
	return i;
}

static void fill_head(struct host_device *d, struct device_head *head)
{
	unsigned int reg;

	memset(head, 0, sizeof(*head));
	head->slot = slot_of(d);
	head->vectors = d->dev->msix.nr;
	head->len = device_irqs_size(d);
	for (reg = 0; reg < CONFIG_LEN; reg += 4)
		get_config(d, reg, head->config + reg, 4);
	memcpy(&head->vendor, head->config + PCI_VENDOR_ID, 2);
	memcpy(&head->device, head->config + PCI_DEVICE_ID, 2);
}

static u32 count_one(const struct vm *vm)
{
	(void)vm;
	return 1;
}

static int save_devices(struct vm *vm, u32 i, struct blob_writer *blob)
{
	struct device_head head;

	blob_put(blob, &vm->devices.nr, sizeof(vm->devices.nr));
	for (i = 0; i < vm->devices.nr; i++) {
		fill_head(vm->devices.dev[i], &head);
		blob_put(blob, &head, sizeof(head));
		device_irqs_save(vm->devices.dev[i], blob);
	}
	return 0;
}

/* The one that is where the guest's was, and is of the same kind; NULL if there is none. */
static int find(struct vm *vm, const struct device_head *head, struct host_device **result)
{
	struct device_head ours;
	unsigned int i;

	*result = NULL;
	for (i = 0; i < vm->devices.nr; i++) {
		struct host_device *d = vm->devices.dev[i];

		fill_head(d, &ours);
		if (ours.slot != head->slot)
			continue;
		if (ours.vendor != head->vendor || ours.device != head->device ||
		    ours.vectors != head->vectors || ours.len != head->len)
			return fail(EXDEV, "%s is of another kind than the guest's device",
				    d->dev->bdf);
		*result = d;
		return 0;
	}
	say("the guest's device %04x:%04x is not here: it is as if unplugged", head->vendor,
	    head->device);
	return 0;
}

static void put_config(struct host_device *d, const u8 *config, unsigned int reg, u32 len)
{
	u8 data[4];

	memcpy(data, config + reg, len);
	device_config_access(d, reg, data, len, true);
}

static void load_device(struct host_device *d, const struct device_head *head, const u8 *vectors)
{
	unsigned int reg;

	for (reg = PCI_BASE_ADDRESS_0; reg <= PCI_BASE_ADDRESS_5; reg += 4)
		put_config(d, head->config, reg, 4);
	put_config(d, head->config, PCI_INTERRUPT_LINE, 1);
	put_config(d, head->config, PCI_COMMAND, 2);
	device_irqs_load(d, vectors);
}

static int load_devices(struct vm *vm, u32 i, const void *data, size_t len)
{
	const u8 *bytes = data;
	struct host_device *d;
	struct device_head head;
	u32 nr;
	int err;

	if (len < sizeof(nr))
		return -EPROTO;
	memcpy(&nr, bytes, sizeof(nr));
	bytes += sizeof(nr);
	len -= sizeof(nr);
	if (nr > MAX_HOST_DEVICES)
		return -EPROTO;
	for (i = 0; i < nr; i++) {
		if (len < sizeof(head))
			return -EPROTO;
		memcpy(&head, bytes, sizeof(head));
		bytes += sizeof(head);
		len -= sizeof(head);
		if (len < head.len)
			return -EPROTO;
		err = find(vm, &head, &d);
		if (err)
			return err;
		if (d)
			load_device(d, &head, bytes);
		bytes += head.len;
		len -= head.len;
	}
	return len ? -EPROTO : 0;
}

/* After the interrupt controllers. */
const struct state_item state_host_items[] = {
	{ STATE_HOST_DEVICES, "host devices", count_one, save_devices, load_devices },
	{ }
};
