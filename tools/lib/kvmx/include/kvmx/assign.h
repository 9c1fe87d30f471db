/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * libkvmx: gives PCI devices to a VM.
 *
 * kvmx_assign() does all that a VMM has to do, in the one order that is right, and undoes it if a
 * step fails. It has the memory of the VM mapped for the device, as KVM_SET_USER_MEMORY_REGION has
 * made it known; after a change of memslots kvmx_assign_sync() follows. Config space is for the
 * VMM to read and write (region VFIO_PCI_CONFIG_REGION_INDEX of the device's fd), interrupts are
 * set up by kvmx_device_intx(), kvmx_device_vectors() and kvmx_device_vector().
 *
 * Functions return 0 or a negative errno value, and then struct kvmx_assign_vm.reason says what
 * went wrong. None may run at the same time as another for the same VM.
 */
#ifndef _KVMX_ASSIGN_H
#define _KVMX_ASSIGN_H

#include <stdbool.h>
#include <stdint.h>

#include <kvmx/kvmx.h>
#include <linux/kvm.h>
#include <linux/vfio.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define KVMX_BDF_LEN	16
#define KVMX_REASON_LEN	256

struct kvmx_assign_state;

/**
 * struct kvmx_assign_vm - a VM that devices are given to
 * @kvm_fd: KVM's fd of the VM
 * @vm_fd: kvmx's handle on it (kvmx_vm_open()); it stays open for as long as there are devices.
 *	A device that is leased wants the UUID given there
 * @kvm_vfio_fd: the VM's device of type KVM_DEV_TYPE_VFIO, of which there can be one: -1 and the
 *	first kvmx_assign() makes it. It stays; close it with the VM
 * @first_gsi: GSIs from here on are for MSI and MSI-X, 0: from 24 on
 * @set_routes: has KVM route these GSIs, all that the library uses, beside what the VMM has; -errno
 *	if that fails. NULL: the library sets the VM's routing table: KVM's default for x86 and
 *	these
 * @opaque: for @set_routes
 * @reason: out: what went wrong, a sentence for people
 * @state: the library's own; NULL at first
 */
struct kvmx_assign_vm {
	int kvm_fd;
	int vm_fd;
	int kvm_vfio_fd;
	uint32_t first_gsi;
	int (*set_routes)(void *opaque, const struct kvm_irq_routing_entry *routes, uint32_t nr);
	void *opaque;
	char reason[KVMX_REASON_LEN];
	struct kvmx_assign_state *state;
};

/**
 * struct kvmx_device_area - a part of a region that is mapped here
 * @offset: in the region, a multiple of the page size
 * @size: in bytes, a multiple of the page size
 * @hva: where it is mapped: can be a memslot
 */
struct kvmx_device_area {
	uint64_t offset;
	uint64_t size;
	void *hva;
};

/**
 * struct kvmx_device_region - a BAR, the ROM, config space
 * @offset: of its first byte, for pread(2) and pwrite(2) of the device's fd
 * @size: in bytes, 0 if there is none
 * @flags: VFIO_REGION_INFO_FLAG_READ, _WRITE
 * @nr_areas: entries of @area
 * @area: what of it is mapped, in order. What is not is for pread(2) and pwrite(2): pages with the
 *	MSI-X table or its pending bits, BARs smaller than a page
 */
struct kvmx_device_region {
	uint64_t offset;
	uint64_t size;
	uint32_t flags;
	uint32_t nr_areas;
	struct kvmx_device_area *area;
};

/**
 * struct kvmx_device_msix - where a device has its MSI-X vectors, for a VMM to stand in for
 * @nr: vectors, 0: no MSI-X
 * @table_bar: BAR of the table of vectors
 * @pba_bar: BAR of the pending bits
 * @table: offset in that BAR
 * @pba: offset in that BAR
 */
struct kvmx_device_msix {
	uint32_t nr;
	uint8_t table_bar;
	uint8_t pba_bar;
	uint32_t table;
	uint32_t pba;
};

/**
 * struct kvmx_device - a PCI device that a VM has; not to be written to
 * @vm: whose
 * @bdf: its address
 * @fd: VFIO's fd of it
 * @can_reset: kvmx_device_reset() can reset it alone
 * @region: by VFIO_PCI_*_REGION_INDEX
 * @nr_irqs: interrupts by VFIO_PCI_*_IRQ_INDEX
 * @msix: MSI-X
 */
struct kvmx_device {
	struct kvmx_assign_vm *vm;
	char bdf[KVMX_BDF_LEN];
	int fd;
	bool can_reset;
	struct kvmx_device_region region[VFIO_PCI_NUM_REGIONS];
	uint32_t nr_irqs[VFIO_PCI_NUM_IRQS];
	struct kvmx_device_msix msix;
};

/**
 * struct kvmx_msi - what an MSI or MSI-X vector sends
 * @addr: address
 * @data: data
 * @masked: it sends nothing now; an interrupt that comes is kept
 */
struct kvmx_msi {
	uint64_t addr;
	uint32_t data;
	bool masked;
};

/**
 * kvmx_assign() - give a device to a VM
 * @vm: the VM
 * @bdf: the device: "0000:01:00.0" or "01:00.0". Its driver has to be kvmx_vfio_pci
 * @device: set to the device
 *
 * The device was reset if it can be; memory decoding and bus mastering are off, it has no
 * interrupts.
 *
 * Return: 0 or a negative errno value: nothing has changed then.
 */
int kvmx_assign(struct kvmx_assign_vm *vm, const char *bdf, struct kvmx_device **device);

/**
 * kvmx_unassign() - take a device back
 * @device: the device, or NULL; gone afterwards, and so are its areas: remove memslots before
 */
void kvmx_unassign(struct kvmx_device *device);

/**
 * kvmx_assign_sync() - let devices reach the memory of the memslots there are, and no other
 * @vm: the VM; without devices nothing is done
 *
 * To be called after a memslot was added, before the guest is told of it, and after one was
 * removed, before its memory is unmapped.
 *
 * Return: 0 or a negative errno value: memslots that are new are out of the devices' reach then.
 */
int kvmx_assign_sync(struct kvmx_assign_vm *vm);

/**
 * kvmx_device_reset() - reset a device alone
 * @device: the device
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_device_reset(struct kvmx_device *device);

/**
 * kvmx_device_intx() - choose what INTx raises
 * @device: the device
 * @gsi: level-triggered GSI, or -1: nothing
 *
 * While there are vectors, INTx is off.
 *
 * Return: 0 or a negative errno value: INTx is off then.
 */
int kvmx_device_intx(struct kvmx_device *device, int gsi);

/**
 * kvmx_device_vectors() - have MSI or MSI-X vectors, instead of those there were
 * @device: the device
 * @index: VFIO_PCI_MSI_IRQ_INDEX or VFIO_PCI_MSIX_IRQ_INDEX
 * @msi: what they send
 * @nr: how many, 0: none
 *
 * Return: 0 or a negative errno value: there are none then.
 */
int kvmx_device_vectors(struct kvmx_device *device, uint32_t index, const struct kvmx_msi *msi,
			uint32_t nr);

/**
 * kvmx_device_vector() - change what a vector sends
 * @device: the device
 * @vector: which one
 * @msi: what it sends from now on
 *
 * Return: 0 or a negative errno value: the vector is masked then.
 */
int kvmx_device_vector(struct kvmx_device *device, uint32_t vector, const struct kvmx_msi *msi);

/**
 * kvmx_device_pending() - whether an interrupt waits in a masked vector
 * @device: the device
 * @vector: which one
 *
 * Return: whether one does.
 */
bool kvmx_device_pending(struct kvmx_device *device, uint32_t vector);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* _KVMX_ASSIGN_H */
