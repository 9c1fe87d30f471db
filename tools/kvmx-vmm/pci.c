// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "vm.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define ADDRESS_ENABLE	0x80000000U
#define BAR0_MASK	0xfffffff0U

static u32 get32(const u8 *p)
{
	u32 value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static void put16(u8 *p, u16 value)
{
	memcpy(p, &value, sizeof(value));
}

static void put32(u8 *p, u32 value)
{
	memcpy(p, &value, sizeof(value));
}

static struct pci_device *find_device(struct pci *pci)
{
	unsigned int bus = pci->address >> 16 & 0xff;
	unsigned int slot = pci->address >> 11 & 0x1f;
	unsigned int function = pci->address >> 8 & 7;

	if (!(pci->address & ADDRESS_ENABLE) || bus || function || slot >= pci->nr)
		return NULL;
	return pci->devices[slot];
}

/* The BAR answers where the guest has put it, while the guest lets it. */
static void update_bar(struct pci_device *dev)
{
	u32 bar = get32(dev->config + PCI_BASE_ADDRESS_0) & BAR0_MASK;
	u32 len = -(get32(dev->writable + PCI_BASE_ADDRESS_0) & BAR0_MASK);

	if (!dev->bar)
		return;
	dev->bar->base = bar;
	dev->bar->len = dev->config[PCI_COMMAND] & PCI_COMMAND_MEMORY ? len : 0;
}

static void address_access(void *dev, u64 offset, void *data, u32 len, bool write)
{
	struct pci *pci = dev;

	if (offset || len != 4) {
		if (!write)
			memset(data, 0xff, len);
	} else if (write) {
		memcpy(&pci->address, data, 4);
	} else {
		memcpy(data, &pci->address, 4);
	}
}

static void data_access(void *opaque, u64 offset, void *data, u32 len, bool write)
{
	struct pci *pci = opaque;
	struct pci_device *dev = find_device(pci);
	u32 reg = (pci->address & 0xfc) + offset;
	const u8 *bytes = data;
	u32 i;

	if (!dev || reg + len > PCI_CONFIG_SIZE) {
		if (!write)
			memset(data, 0xff, len);
		return;
	}
	if (dev->access) {
		dev->access(dev->opaque, reg, data, len, write);
		return;
	}
	if (!write) {
		memcpy(data, dev->config + reg, len);
		return;
	}
	for (i = 0; i < len; i++) {
		u8 mask = dev->writable[reg + i];

		dev->config[reg + i] = (dev->config[reg + i] & ~mask) | (bytes[i] & mask);
	}
	update_bar(dev);
}

int pci_plug(struct pci *pci, struct pci_device *dev, bus_fn access, void *opaque)
{
	if (pci->nr == PCI_MAX_DEVICES)
		return fail(ENOSPC, "no free slot on the PCI bus");
	dev->access = access;
	dev->opaque = opaque;
	dev->gsi = PCI_FIRST_GSI + pci->nr % PCI_NR_GSI;
	pci->devices[pci->nr++] = dev;
	return 0;
}

void pci_add(struct pci *pci, struct pci_device *dev, const struct pci_id *id, u32 bar_len,
	     bus_fn access, void *opaque)
{
	unsigned int slot = pci->nr;
	u8 *config = dev->config;

	if (slot == PCI_MAX_DEVICES)
		abort();
	pci->nr++;
	pci->devices[slot] = dev;
	dev->cap_end = PCI_STD_HEADER_SIZEOF;
	put16(config + PCI_VENDOR_ID, id->vendor);
	put16(config + PCI_DEVICE_ID, id->device);
	put16(config + PCI_SUBSYSTEM_VENDOR_ID, id->subsystem_vendor);
	put16(config + PCI_SUBSYSTEM_ID, id->subsystem);
	put32(config + PCI_CLASS_REVISION, id->class_rev);
	put16(dev->writable + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
	      PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	dev->writable[PCI_INTERRUPT_LINE] = 0xff;
	if (!bar_len)
		return;
	dev->gsi = PCI_FIRST_GSI + slot % PCI_NR_GSI;
	config[PCI_INTERRUPT_PIN] = 1;
	config[PCI_INTERRUPT_LINE] = dev->gsi;
	put32(dev->writable + PCI_BASE_ADDRESS_0, -bar_len);
	put32(config + PCI_BASE_ADDRESS_0, PCI_BAR_BASE + slot * (u64)bar_len);
	put16(config + PCI_COMMAND, PCI_COMMAND_MEMORY);
	dev->bar = bus_add(&pci->vm->mmio, 0, 0, access, opaque);
	update_bar(dev);
}

void pci_add_cap(struct pci_device *dev, void *cap, u8 len)
{
	u8 *bytes = cap, *link = &dev->config[PCI_CAPABILITY_LIST];

	/* The newest one first: the list needs no order, and its end no search. */
	bytes[PCI_CAP_LIST_ID] = PCI_CAP_ID_VNDR;
	bytes[PCI_CAP_LIST_NEXT] = *link;
	bytes[PCI_CAP_FLAGS] = len;
	memcpy(dev->config + dev->cap_end, bytes, len);
	*link = dev->cap_end;
	dev->cap_end += (len + 3) & ~3;
	dev->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
}

void pci_intx(struct pci *pci, struct pci_device *dev, bool level)
{
	u16 command;

	memcpy(&command, dev->config + PCI_COMMAND, sizeof(command));
	if (level)
		dev->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	else
		dev->config[PCI_STATUS] &= ~PCI_STATUS_INTERRUPT;
	vm_irq(pci->vm, dev->gsi, level && !(command & PCI_COMMAND_INTX_DISABLE));
}

void pci_load_config(struct pci_device *dev, const u8 *config)
{
	unsigned int i;

	/* Only what a guest could have written; the rest is what the device is. */
	for (i = 0; i < PCI_CONFIG_SIZE; i++)
		dev->config[i] = (dev->config[i] & ~dev->writable[i]) |
				 (config[i] & dev->writable[i]);
	update_bar(dev);
}

void pci_init(struct pci *pci, struct vm *vm)
{
	/* Linux believes that there is a PCI bus if it sees a host bridge. */
	static const struct pci_id bridge = {
		.vendor = 0x1b36, .device = 0x0008, .class_rev = 0x060000 << 8,
	};

	pci->vm = vm;
	bus_add(&vm->pio, CONFIG_ADDRESS, 4, address_access, pci);
	bus_add(&vm->pio, CONFIG_DATA, 4, data_access, pci);
	pci_add(pci, &pci->bridge, &bridge, 0, NULL, NULL);
}
