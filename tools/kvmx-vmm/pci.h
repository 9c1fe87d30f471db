/* SPDX-License-Identifier: GPL-2.0 */
/* One PCI bus, reached by ports 0xcf8 and 0xcfc, interrupts by INTA. */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include "bus.h"
#include "util.h"

#define PCI_MAX_DEVICES	16
#define PCI_CONFIG_SIZE	256
#define PCI_BAR_BASE	0xe0000000ULL	/* where firmware would have put BARs */
#define PCI_BAR_END	0xfec00000ULL	/* there is the IOAPIC */
#define PCI_HOST_BAR_BASE 0xe1000000ULL	/* of the host's devices */
#define PCI_HOST_IO_BASE 0x1000ULL

struct vm;

struct pci_device {
	u8 config[PCI_CONFIG_SIZE];
	u8 writable[PCI_CONFIG_SIZE];	/* the bits of config that the guest may change */
	struct bus_range *bar;		/* BAR 0, memory; NULL if there is none */
	u32 gsi;
	u8 cap_end;			/* where the next capability goes */
	bus_fn access;			/* whose config space is not here, or NULL */
	void *opaque;
};

struct pci {
	struct vm *vm;
	u32 address;			/* what was written to 0xcf8 */
	struct pci_device bridge;
	struct pci_device *devices[PCI_MAX_DEVICES];
	unsigned int nr;
};

struct pci_id {
	u16 vendor;
	u16 device;
	u16 subsystem_vendor;
	u16 subsystem;
	u32 class_rev;			/* class << 8 | revision */
};

void pci_init(struct pci *pci, struct vm *vm);

/* Plug in a device that answers for its config space itself. It has INTA. */
int pci_plug(struct pci *pci, struct pci_device *dev, bus_fn access, void *opaque);

/* Plug it in, with a BAR 0 of @bar_len bytes (a power of two) if that is not 0. */
void pci_add(struct pci *pci, struct pci_device *dev, const struct pci_id *id, u32 bar_len,
	     bus_fn access, void *opaque);

/* Add a vendor-specific capability: @len bytes whose first three are filled in here. */
void pci_add_cap(struct pci_device *dev, void *cap, u8 len);

void pci_intx(struct pci *pci, struct pci_device *dev, bool level);

/* Take over another machine's config space; the device lock is held. */
void pci_load_config(struct pci_device *dev, const u8 *config);

#endif
