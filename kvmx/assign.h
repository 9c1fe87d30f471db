/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between kvmx.ko, which has the ioctls and knows VMs, and kvmx_vfio_pci.ko, which has the devices
 * and registers with it.
 */
#ifndef KVMX_ASSIGN_H
#define KVMX_ASSIGN_H

#include <linux/kvmx.h>
#include <linux/mm_types.h>
#include <linux/types.h>
#include <linux/uidgid.h>

struct kvm;
struct module;

/**
 * struct kvmx_identity - who a VM is, for leases
 * @known: there is a VM object for it: somebody has an open handle
 * @vouched: its UUID was given by a caller with CAP_SYS_ADMIN
 * @quiesced: a VM_QUIESCE is in force for the devices it has or will have
 * @uid: the user who created it
 * @uuid: its UUID, zero without
 */
struct kvmx_identity {
	bool known;
	bool vouched;
	bool quiesced;
	kuid_t uid;
	u8 uuid[KVMX_UUID_LEN];
};

/**
 * struct kvmx_dev_set - PCI devices, each once
 * @nr: entries in @addr
 * @room: entries there is room for
 * @addr: the devices
 */
struct kvmx_dev_set {
	u32 nr;
	u32 room;
	struct kvmx_pci_addr *addr;
};

/**
 * struct kvmx_owner - whose devices are meant
 * @kvm: those that are associated with this VM
 * @mm: and those without an association that were opened in this address space
 *
 * Both are only compared.
 */
struct kvmx_owner {
	const struct kvm *kvm;
	struct mm_struct *mm;
};

/**
 * struct kvmx_assign_ops - what kvmx_vfio_pci.ko does for kvmx.ko
 * @owner: its module
 * @lease_acquire: add devices to a UUID's lease; returns how many it has, or -errno
 * @lease_release: take devices from it, all without @devs; returns how many, or -errno
 * @lease_list: fill in up to @room leases; returns how many there are
 * @report: fill in a report, and up to @room members; returns how many there are, or -errno
 * @devices: fill in up to @room devices; returns how many there are, or -errno
 * @quiesce: quiesce all devices, in the VMM's address space; counts those that could not prove that
 *	they drained. After an error some may be quiesced
 * @resume: undo that, likewise, but for devices that also belong to a VM that is still quiesced;
 *	returns how many devices, or -errno: then none
 * @quiet: a number that changes when a device of @owner may have done DMA; 0 while one can
 *
 * All may sleep for as long as a device takes for a reset, which @quiet waits for, too; none is
 * called with a lock of kvmx.ko but kvmx_vm.lock.
 */
struct kvmx_assign_ops {
	struct module *owner;
	int (*lease_acquire)(const u8 *uuid, const struct kvmx_dev_set *devs, kuid_t uid,
			     bool force);
	int (*lease_release)(const u8 *uuid, const struct kvmx_dev_set *devs, bool force);
	u32 (*lease_list)(struct kvmx_lease *leases, u32 room);
	int (*report)(struct kvmx_dev_report *r, struct kvmx_dev_member *members, u32 room);
	int (*devices)(const struct kvmx_owner *owner, struct kvmx_vm_device *devs, u32 room);
	int (*quiesce)(const struct kvmx_owner *owner, u32 *nr_devices, u32 *nr_unproven);
	int (*resume)(const struct kvmx_owner *owner);
	u64 (*quiet)(const struct kvmx_owner *owner, bool trust);
};

int kvmx_assign_register(const struct kvmx_assign_ops *ops);
void kvmx_assign_unregister(void);
void kvmx_assign_identify(const struct kvmx_owner *owner, struct kvmx_identity *id);
void kvmx_assign_changed(const struct kvmx_owner *owner, u32 nr_devices);

#endif /* KVMX_ASSIGN_H */
