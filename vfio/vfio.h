/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The objects of kvmx_vfio_pci.ko.
 *
 * Lock order, outermost first: VFIO's locks under which a device is opened and closed (dev_set's,
 * and the group's), kvmx_vm.lock of kvmx.ko on its calls, kvmx_pci.lock; inside that vfio-pci's own
 * igate, mmap_lock and memory_lock, and inside those PCI's lock of the configuration space. Also
 * kvmx_lease_lock, kvmx_open_lock: neither is held while kvmx_pci.lock is waited for, since a guest
 * can have that held for as long as its device takes for a reset; not for longer, so user memory is
 * not waited for under it.
 */
#ifndef KVMX_VFIO_H
#define KVMX_VFIO_H

#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/types.h>

#include "assign.h"
#include "compat/vfio.h"

/* struct kvmx_pci.holds: who wants a device quiesced */
#define KVMX_HOLD_VM	BIT(0)	/* KVMX_VM_QUIESCE */
#define KVMX_HOLD_FD	BIT(1)	/* VFIO_DEVICE_FEATURE_BUS_MASTER */

enum kvmx_pci_life {
	KVMX_PCI_CLOSED,
	KVMX_PCI_OPENING,
	KVMX_PCI_OPEN,
	KVMX_PCI_CLOSING,
};

struct kvmx_ref;

/**
 * struct kvmx_pci - a device
 * @core: vfio-pci's part
 * @node: in the list of open devices, under kvmx_open_lock
 * @owner: for whom it is open, under kvmx_open_lock
 * @users: calls that work on it, under kvmx_open_lock; it does not go before they are through
 * @ref: holds owner's kvm; owner's mm is held by mmgrab()
 * @lock: everything below; and writes to the configuration space
 * @life: from open to close
 * @holds: KVMX_HOLD_* bits; not 0: quiesced. Read with READ_ONCE() without @lock
 * @master: quiesced: whether the guest thinks that bus mastering is on
 * @owed: resumed in D3hot: bus mastering has yet to be switched on, and @master is true. Read with
 *	READ_ONCE() without @lock
 * @intx_masked: quiesced: INTx was masked for that
 * @late: vectors have yet to be triggered. Read with READ_ONCE() without @lock
 * @drained: quiesced: no DMA can happen any more
 * @proven: and the device said so itself
 * @seq: when DMA was last possible, in kvmx_quiet_next()'s counting; atomic
 */
struct kvmx_pci {
	struct vfio_pci_core_device core;
	struct list_head node;
	struct kvmx_owner owner;
	struct kvmx_ref *ref;
	u32 users;

	struct mutex lock;	/* see above */
	enum kvmx_pci_life life;
	u32 holds;
	bool master;
	bool owed;
	bool intx_masked;
	bool late;
	bool drained;
	bool proven;
	atomic64_t seq;
};

/**
 * struct kvmx_open_refs - open devices to work on
 * @nr: entries in @dev
 * @dev: the devices
 */
struct kvmx_open_refs {
	u32 nr;
	struct kvmx_pci **dev;
};

static inline struct kvmx_pci *kvmx_pci_of(struct vfio_device *vdev)
{
	return container_of(vdev, struct kvmx_pci, core.vdev);
}

static inline struct kvmx_pci_addr kvmx_addr_of(const struct pci_dev *pdev)
{
	return (struct kvmx_pci_addr){
		.domain = pci_domain_nr(pdev->bus),
		.bus = pdev->bus->number,
		.devfn = pdev->devfn,
	};
}

static inline u64 kvmx_addr_key(const struct kvmx_pci_addr *addr)
{
	return (u64)addr->domain << 16 | addr->bus << 8 | addr->devfn;
}

static inline bool kvmx_addr_equal(const struct kvmx_pci_addr *a, const struct kvmx_pci_addr *b)
{
	return kvmx_addr_key(a) == kvmx_addr_key(b);
}

static inline struct pci_dev *kvmx_addr_get(const struct kvmx_pci_addr *addr)
{
	return pci_get_domain_bus_and_slot(addr->domain, addr->bus, addr->devfn);
}

static inline bool kvmx_is_bridge(const struct pci_dev *pdev)
{
	return pdev->hdr_type != PCI_HEADER_TYPE_NORMAL;
}

/* PCI_D0 to PCI_D3cold as numbers: which of two is deeper cannot be asked otherwise. */
#define KVMX_D0		0
#define KVMX_D3HOT	3
#define KVMX_D3COLD	4

static inline int kvmx_power(const struct pci_dev *pdev)
{
	return (__force int)pdev->current_state;
}

/* driver.c */
bool kvmx_pci_drives(const struct pci_dev *pdev);

/* open.c */
extern struct mutex kvmx_open_lock;
extern struct list_head kvmx_open_list;
int kvmx_open(struct kvmx_pci *d);
void kvmx_open_done(struct kvmx_pci *d);
void kvmx_closed(struct kvmx_pci *d);
void kvmx_open_flush(void);
bool kvmx_open_owned(const struct kvmx_pci *d, const struct kvmx_owner *owner);
struct kvmx_pci *kvmx_open_find(const struct kvmx_pci_addr *addr);
int kvmx_open_get(const struct kvmx_owner *owner, struct kvmx_open_refs *refs);
void kvmx_open_put(struct kvmx_open_refs *refs);

/* set.c */
int kvmx_set_add(struct kvmx_dev_set *set, const struct kvmx_pci_addr *addr);
bool kvmx_set_has(const struct kvmx_dev_set *set, const struct kvmx_pci_addr *addr);
void kvmx_set_free(struct kvmx_dev_set *set);
int kvmx_set_group(struct kvmx_dev_set *set, struct pci_dev *pdev);
int kvmx_set_reset(struct kvmx_dev_set *set, struct pci_dev *pdev);
int kvmx_set_close(struct kvmx_dev_set *set);
bool kvmx_hot_reset_works(struct pci_dev *pdev);
u32 kvmx_reset_methods(struct pci_dev *pdev, u32 *first);

/* lease.c */
extern struct mutex kvmx_lease_lock;
int kvmx_lease_may_open(struct kvmx_pci *d);
bool kvmx_lease_of(const struct kvmx_pci_addr *addr, u8 *uuid);
int kvmx_lease_acquire(const u8 *uuid, const struct kvmx_dev_set *devs, kuid_t uid, bool force);
int kvmx_lease_release(const u8 *uuid, const struct kvmx_dev_set *devs, bool force);
u32 kvmx_lease_list(struct kvmx_lease *leases, u32 room);

/* quiesce.c */
u64 kvmx_quiet_next(void);
void kvmx_hold_open(struct kvmx_pci *d);
void kvmx_hold_close(struct kvmx_pci *d);
int kvmx_hold_fd(struct kvmx_pci *d);
int kvmx_release_fd(struct kvmx_pci *d);
void kvmx_hold_again(struct kvmx_pci *d);
void kvmx_hold_after_reset(struct kvmx_pci *d);
ssize_t kvmx_config_read(struct kvmx_pci *d, char __user *buf, size_t count, loff_t *ppos);
ssize_t kvmx_config_write(struct kvmx_pci *d, const char __user *buf, size_t count, loff_t *ppos);
int kvmx_quiesce(const struct kvmx_owner *owner, u32 *nr_devices, u32 *nr_unproven);
int kvmx_resume(const struct kvmx_owner *owner);
u64 kvmx_quiet(const struct kvmx_owner *owner, bool trust);
int kvmx_devices(const struct kvmx_owner *owner, struct kvmx_vm_device *devs, u32 room);

/* report.c */
int kvmx_report(struct kvmx_dev_report *r, struct kvmx_dev_member *members, u32 room);

#endif /* KVMX_VFIO_H */
