/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A PCI device of the host that the guest has. Its registers are the guest's to touch (BARs are
 * memslots), and its memory accesses go where the guest says. What is emulated: where its BARs
 * are, and MSI and MSI-X, since the guest's vectors are not the host's.
 */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include <kvmx/assign.h>

#include <linux/pci_regs.h>

#include "bus.h"
#include "options.h"
#include "pci.h"

#define MSIX_ENTRY_SIZE	16
#define MSI_MAX_LEN	24	/* of the capability, with 64-bit addresses and masks */
#define MSI_MAX_VECTORS	32

struct blob_writer;
struct host_device;

struct host_bar {
	struct host_device *dev;
	unsigned int nr;
	u64 size;		/* 0: none, or the upper half of the one before */
	bool io;
	bool wide;		/* 64 bits */
	u64 base;		/* where the guest has it now, 0: nowhere */
	struct bus_range *range;
};

/* The guest's view of capabilities that the host uses for itself. */
struct host_vectors {
	u8 msi_at;		/* in config space, 0: none */
	u8 msi_len;
	u8 msi[MSI_MAX_LEN];
	u8 msix_at;
	u16 msix_control;
	u8 *msix_table;
	u32 active;		/* VFIO_PCI_*_IRQ_INDEX of the vectors there are now; INTx: none */
};

struct host_device {
	struct vm *vm;
	unsigned int nr;	/* of --device */
	struct kvmx_device *dev;
	struct pci_device pci;
	struct host_bar bar[PCI_STD_NUM_BARS];
	struct host_vectors vectors;
};

struct host_devices {
	struct kvmx_assign_vm assign;
	struct host_device *dev[MAX_HOST_DEVICES];
	unsigned int nr;
	u64 next_mem;		/* where the next BAR goes */
	u64 next_io;
};

/* All of --device. Memslots are there, vCPUs are not. */
int devices_init(struct vm *vm);
void devices_destroy(struct vm *vm);

/* While the vCPUs stand still: stop what devices do by themselves, and let them go on. */
int devices_quiesce(struct vm *vm);
int devices_resume(struct vm *vm);

/* As the guest reads and writes it. The device lock is held. */
void device_config_access(void *device, u64 reg, void *data, u32 len, bool write);

/* Config space as VFIO has it; @len up to 4. Failures read as all ones, and are said. */
u32 device_config_read(struct host_device *d, unsigned int reg, unsigned int len);
void device_config_write(struct host_device *d, unsigned int reg, u32 value, unsigned int len);

/* device-bar.c */
int device_bars_init(struct host_device *d);
/* The guest has written to config space: BARs go where it wants them. */
void device_bars_update(struct host_device *d);
/* They are nowhere: before memory decoding is switched off. */
void device_bars_remove(struct host_device *d);

/* device-irq.c */
int device_irqs_init(struct host_device *d);
void device_irqs_destroy(struct host_device *d);
/* Whether a register belongs to MSI or MSI-X: it was read or written then. */
bool device_irqs_config(struct host_device *d, unsigned int reg, u8 *data, unsigned int len,
			bool write);
/* The same for a BAR. */
bool device_irqs_bar(struct host_device *d, unsigned int bar, u64 offset, void *data, u32 len,
		     bool write);
void device_irqs_save(struct host_device *d, struct blob_writer *blob);
size_t device_irqs_size(const struct host_device *d);
void device_irqs_load(struct host_device *d, const u8 *data);

#endif
