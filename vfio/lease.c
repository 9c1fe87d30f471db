// SPDX-License-Identifier: GPL-2.0
/*
 * Leases: devices kept for a VM's UUID, whether the VM runs or not.
 */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "vfio.h"

/* Protects the leases, and keeps a device from being opened while they change. */
DEFINE_MUTEX(kvmx_lease_lock);

/* By UUID and address, for LIST. While there is one, the module stays. */
static LIST_HEAD(leases);
static u32 nr_leases;

/**
 * struct lease - a leased device; under kvmx_lease_lock
 * @node: in leases, or in a list of candidates
 * @addr: the device
 * @uuid: for whom
 * @uid: a user whose VMs may give themselves that UUID, or INVALID_UID
 * @asked: it was named in ACQUIRE, and did not just come with another
 */
struct lease {
	struct list_head node;
	struct kvmx_pci_addr addr;
	u8 uuid[KVMX_UUID_LEN];
	kuid_t uid;
	bool asked;
};

static bool same_uuid(const u8 *a, const u8 *b)
{
	return !memcmp(a, b, KVMX_UUID_LEN);
}

static struct lease *find(const struct kvmx_pci_addr *addr)
{
	struct lease *l;

	lockdep_assert_held(&kvmx_lease_lock);
	list_for_each_entry(l, &leases, node) {
		if (kvmx_addr_equal(&l->addr, addr))
			return l;
	}
	return NULL;
}

/* Whether a VM is the one that a UUID was given to. */
static int judge(const u8 *uuid, kuid_t uid, const struct kvmx_identity *id)
{
	if (!id->known || !memchr_inv(id->uuid, 0, sizeof(id->uuid)))
		return -EACCES;
	if (!same_uuid(id->uuid, uuid))
		return -EPERM;
	if (!id->vouched && (!uid_valid(uid) || !uid_eq(uid, id->uid)))
		return -EPERM;
	return 0;
}

/* Whether a VM other than the owner of @d has a device of a UUID's lease open. */
static bool held_by_other(const u8 *uuid, const struct kvmx_pci *d)
{
	struct kvmx_pci *other;
	bool held = false;

	mutex_lock(&kvmx_open_lock);
	list_for_each_entry(other, &kvmx_open_list, node) {
		struct kvmx_pci_addr at = kvmx_addr_of(other->core.pdev);
		struct lease *l = find(&at);

		if (other != d && other->owner.kvm != d->owner.kvm && l && same_uuid(l->uuid, uuid))
			held = true;
	}
	mutex_unlock(&kvmx_open_lock);
	return held;
}

static const char *reason(int err)
{
	return err == -EACCES ? "an opener without a VM, or whose VM has no UUID" :
	       err == -EPERM ? "another VM" : "a second VM of that UUID";
}

/**
 * kvmx_lease_may_open() - check whether the leases let a device be opened
 * @d: the device, with its owner
 *
 * A lease on a device that cannot be parted from this one counts as well: it may have come
 * after the lease.
 *
 * Context: under kvmx_lease_lock.
 * Return: 0; -EACCES, -EPERM, -EBUSY as documented in the UAPI; -ENOMEM.
 */
int kvmx_lease_may_open(struct kvmx_pci *d)
{
	struct pci_dev *pdev = d->core.pdev;
	struct kvmx_pci_addr addr = kvmx_addr_of(pdev);
	struct kvmx_dev_set set = { };
	struct kvmx_identity id;
	const struct lease *l;
	int err;
	u32 i;

	lockdep_assert_held(&kvmx_lease_lock);
	if (!nr_leases)
		return 0;
	err = kvmx_set_add(&set, &addr);
	if (!err)
		err = kvmx_set_close(&set);
	if (err)
		goto free;
	kvmx_assign_identify(&d->owner, &id);
	for (i = 0; i < set.nr; i++) {
		l = find(&set.addr[i]);
		if (!l)
			continue;
		err = judge(l->uuid, l->uid, &id);
		if (!err && held_by_other(l->uuid, d))
			err = -EBUSY;
		if (err) {
			/* For whom is for root to know, who can ask. */
			pci_notice_ratelimited(pdev, "leased, refused to %s\n", reason(err));
			break;
		}
	}
free:
	kvmx_set_free(&set);
	return err;
}

/**
 * kvmx_lease_of() - for whom a device is leased
 * @addr: the device
 * @uuid: out: for whom, zero if it is not
 *
 * Return: whether it is.
 */
bool kvmx_lease_of(const struct kvmx_pci_addr *addr, u8 *uuid)
{
	const struct lease *l;

	memset(uuid, 0, KVMX_UUID_LEN);
	mutex_lock(&kvmx_lease_lock);
	l = find(addr);
	if (l)
		memcpy(uuid, l->uuid, KVMX_UUID_LEN);
	mutex_unlock(&kvmx_lease_lock);
	return l;
}

static int cmp(const struct lease *a, const struct lease *b)
{
	u64 x = kvmx_addr_key(&a->addr), y = kvmx_addr_key(&b->addr);

	return memcmp(a->uuid, b->uuid, sizeof(a->uuid)) ?: x < y ? -1 : x > y;
}

static void insert(struct lease *new)
{
	struct list_head *pos;

	list_for_each(pos, &leases) {
		if (cmp(list_entry(pos, struct lease, node), new) > 0)
			break;
	}
	list_add_tail(&new->node, pos);
	/* The caller's reference to the module is one; the leases', as a whole, another. */
	if (!nr_leases++)
		__module_get(THIS_MODULE);
}

static void unlist(struct lease *l)
{
	list_del(&l->node);
	if (!--nr_leases)
		module_put(THIS_MODULE);
}

static u32 count(const u8 *uuid)
{
	struct lease *l;
	u32 n = 0;

	list_for_each_entry(l, &leases, node)
		n += same_uuid(l->uuid, uuid);
	return n;
}

/* Whether somebody has a device open whom a lease for @uuid would refuse it. */
static bool open_for_other(const struct kvmx_pci_addr *addr, const u8 *uuid, kuid_t uid)
{
	struct kvmx_identity id;
	struct kvmx_pci *d;
	bool other = false;

	mutex_lock(&kvmx_open_lock);
	d = kvmx_open_find(addr);
	if (d) {
		kvmx_assign_identify(&d->owner, &id);
		other = judge(uuid, uid, &id);
	}
	mutex_unlock(&kvmx_open_lock);
	return other;
}

static int check_asked(const struct kvmx_dev_set *devs)
{
	struct pci_dev *pdev;
	bool ok;
	u32 i;

	for (i = 0; i < devs->nr; i++) {
		pdev = kvmx_addr_get(&devs->addr[i]);
		ok = pdev && !kvmx_is_bridge(pdev);
		pci_dev_put(pdev);
		if (!ok)
			return -ENODEV;
	}
	return 0;
}

/* Whether all of a set can be leased; what is missing in the list goes to @new. */
static int prepare(const struct kvmx_dev_set *set, const u8 *uuid, kuid_t uid, bool force,
		   struct list_head *new)
{
	struct lease *l;
	u32 i, n = 0;

	for (i = 0; i < set->nr; i++) {
		const struct kvmx_pci_addr *addr = &set->addr[i];

		l = find(addr);
		if (!force && ((l && !same_uuid(l->uuid, uuid)) ||
			       open_for_other(addr, uuid, uid)))
			return -EBUSY;
		if (l)
			continue;
		if (nr_leases + n == KVMX_MAX_LEASED)
			return -ENOSPC;
		l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
		if (!l)
			return -ENOMEM;
		l->addr = *addr;
		list_add_tail(&l->node, new);
		n++;
	}
	return 0;
}

static void commit(const struct kvmx_dev_set *set, const struct kvmx_dev_set *asked,
		   const u8 *uuid, kuid_t uid, struct list_head *new)
{
	struct lease *l, *next;
	u32 i;

	/* What another UUID loses goes to its new place in the list. */
	for (i = 0; i < set->nr; i++) {
		l = find(&set->addr[i]);
		if (l && !same_uuid(l->uuid, uuid)) {
			unlist(l);
			list_add_tail(&l->node, new);
			l->asked = false;
		}
	}
	list_for_each_entry_safe(l, next, new, node) {
		list_del(&l->node);
		memcpy(l->uuid, uuid, KVMX_UUID_LEN);
		insert(l);
	}
	list_for_each_entry(l, &leases, node) {
		if (!same_uuid(l->uuid, uuid))
			continue;
		l->uid = uid;
		l->asked |= kvmx_set_has(asked, &l->addr);
	}
}

/**
 * kvmx_lease_acquire() - KVMX_LEASE_ACQUIRE
 * @uuid: for whom
 * @devs: the devices that were asked for
 * @uid: a user whose VMs may give themselves the UUID, or INVALID_UID
 * @force: take devices away from others
 *
 * Return: devices the UUID has leased now, or an error as documented in the UAPI.
 */
int kvmx_lease_acquire(const u8 *uuid, const struct kvmx_dev_set *devs, kuid_t uid, bool force)
{
	struct kvmx_dev_set set = { };
	struct lease *l, *next;
	LIST_HEAD(new);
	int ret;
	u32 i;

	mutex_lock(&kvmx_lease_lock);
	ret = check_asked(devs);
	for (i = 0; i < devs->nr && !ret; i++)
		ret = kvmx_set_add(&set, &devs->addr[i]);
	if (!ret)
		ret = kvmx_set_close(&set);
	if (!ret)
		ret = prepare(&set, uuid, uid, force, &new);
	if (!ret) {
		commit(&set, devs, uuid, uid, &new);
		ret = count(uuid);
	}
	list_for_each_entry_safe(l, next, &new, node)
		kfree(l);
	mutex_unlock(&kvmx_lease_lock);
	kvmx_set_free(&set);
	return ret;
}

static bool is_open(const struct kvmx_pci_addr *addr)
{
	bool open;

	mutex_lock(&kvmx_open_lock);
	open = kvmx_open_find(addr);
	mutex_unlock(&kvmx_open_lock);
	return open;
}

/* What of a UUID's lease is to go: @set without @devs empty, meaning all. */
static int choose(struct kvmx_dev_set *set, const struct kvmx_dev_set *devs, const u8 *uuid)
{
	const struct lease *l;
	int err;
	u32 i;

	for (i = 0; devs && i < devs->nr; i++) {
		l = find(&devs->addr[i]);
		if (!l || !same_uuid(l->uuid, uuid))
			return -ENOENT;
		err = kvmx_set_add(set, &devs->addr[i]);
		if (err)
			return err;
	}
	return kvmx_set_close(set);
}

/**
 * kvmx_lease_release() - KVMX_LEASE_RELEASE
 * @uuid: whose
 * @devs: which devices, NULL for all
 * @force: also such as are open
 *
 * Return: devices released, or an error as documented in the UAPI.
 */
int kvmx_lease_release(const u8 *uuid, const struct kvmx_dev_set *devs, bool force)
{
	struct kvmx_dev_set set = { };
	struct lease *l, *next;
	LIST_HEAD(gone);
	int ret;

	mutex_lock(&kvmx_lease_lock);
	ret = choose(&set, devs, uuid);
	if (ret)
		goto unlock;
	ret = count(uuid) ? 0 : -ENOENT;
	list_for_each_entry(l, &leases, node) {
		if (!force && same_uuid(l->uuid, uuid) &&
		    (!devs || kvmx_set_has(&set, &l->addr)) && is_open(&l->addr))
			ret = -EBUSY;
	}
	if (ret)
		goto unlock;
	list_for_each_entry_safe(l, next, &leases, node) {
		if (!same_uuid(l->uuid, uuid) || (devs && !kvmx_set_has(&set, &l->addr)))
			continue;
		unlist(l);
		kfree(l);
		ret++;
	}
unlock:
	mutex_unlock(&kvmx_lease_lock);
	kvmx_set_free(&set);
	return ret;
}

static u32 lease_state(const struct lease *l)
{
	u32 flags = l->asked ? KVMX_LEASE_ASKED : 0;
	struct pci_dev *pdev = kvmx_addr_get(&l->addr);

	if (is_open(&l->addr))
		flags |= KVMX_LEASE_OPEN;
	if (!pdev)
		flags |= KVMX_LEASE_ABSENT;
	else if (kvmx_pci_drives(pdev))
		flags |= KVMX_LEASE_DRIVEN;
	pci_dev_put(pdev);
	return flags;
}

/**
 * kvmx_lease_list() - KVMX_LEASE_LIST
 * @out: where to
 * @room: leases there is room for; if there are more, none is written
 *
 * Return: how many there are.
 */
u32 kvmx_lease_list(struct kvmx_lease *out, u32 room)
{
	const struct lease *l;
	u32 n;

	mutex_lock(&kvmx_lease_lock);
	n = nr_leases;
	if (n > room)
		goto unlock;
	list_for_each_entry(l, &leases, node) {
		out->addr = l->addr;
		memcpy(out->uuid, l->uuid, sizeof(out->uuid));
		out->uid = uid_valid(l->uid) ? from_kuid_munged(current_user_ns(), l->uid) :
			   KVMX_LEASE_NO_UID;
		out->flags = lease_state(l);
		out++;
	}
unlock:
	mutex_unlock(&kvmx_lease_lock);
	return n;
}
