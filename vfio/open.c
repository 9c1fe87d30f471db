// SPDX-License-Identifier: GPL-2.0
/*
 * Which devices are open, and for whom.
 */
#include <linux/kvm_host.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "vfio.h"

/* Protects the list of open devices. */
DEFINE_MUTEX(kvmx_open_lock);
LIST_HEAD(kvmx_open_list);

/* Woken when nobody works on a device any more. */
static DECLARE_WAIT_QUEUE_HEAD(unused);

/* References that were let go and have yet to be dropped. */
static DEFINE_SPINLOCK(put_lock);
static LIST_HEAD(put_list);

/**
 * struct kvmx_ref - a reference to a VM
 * @node: in put_list, when it is to be dropped
 * @kvm: the VM
 */
struct kvmx_ref {
	struct list_head node;
	struct kvm *kvm;
};

/*
 * The last reference to a VM destroys it, and with it KVM's hold on VFIO groups. That takes a lock
 * which, on older kernels, is held while a device is closed.
 */
static void put_kvms(struct work_struct *work)
{
	struct kvmx_ref *p, *next;
	LIST_HEAD(todo);

	spin_lock(&put_lock);
	list_splice_init(&put_list, &todo);
	spin_unlock(&put_lock);
	list_for_each_entry_safe(p, next, &todo, node) {
		kvm_put_kvm(p->kvm);
		kfree(p);
	}
}

static DECLARE_WORK(put_work, put_kvms);

static void put_later(struct kvmx_ref *ref)
{
	spin_lock(&put_lock);
	list_add(&ref->node, &put_list);
	spin_unlock(&put_lock);
	schedule_work(&put_work);
}

/* A reference to a VM that is not being destroyed; NULL without one. */
static struct kvmx_ref *get_kvm(struct kvm *kvm)
{
	struct kvmx_ref *ref;

	if (!kvm)
		return NULL;
	ref = kmalloc(sizeof(*ref), GFP_KERNEL_ACCOUNT);
	if (!ref)
		return ERR_PTR(-ENOMEM);
	ref->kvm = kvm;
	if (kvm_get_kvm_safe(kvm))
		return ref;
	kfree(ref);
	return NULL;
}

/**
 * kvmx_open_flush() - wait until no reference to a VM is left
 */
void kvmx_open_flush(void)
{
	flush_work(&put_work);
}

/**
 * kvmx_open_owned() - whether a device is open for somebody
 * @d: the device
 * @owner: whose devices are meant
 *
 * Context: under kvmx_open_lock.
 * Return: whether it belongs to @owner.
 */
bool kvmx_open_owned(const struct kvmx_pci *d, const struct kvmx_owner *owner)
{
	lockdep_assert_held(&kvmx_open_lock);
	return d->owner.kvm ? d->owner.kvm == owner->kvm : d->owner.mm == owner->mm;
}

/**
 * kvmx_open_find() - look an open device up
 * @addr: the device
 *
 * Context: under kvmx_open_lock.
 * Return: the device, or NULL if it is not open by way of this driver.
 */
struct kvmx_pci *kvmx_open_find(const struct kvmx_pci_addr *addr)
{
	struct kvmx_pci *d;

	lockdep_assert_held(&kvmx_open_lock);
	list_for_each_entry(d, &kvmx_open_list, node) {
		struct kvmx_pci_addr at = kvmx_addr_of(d->core.pdev);

		if (kvmx_addr_equal(&at, addr))
			return d;
	}
	return NULL;
}

static u32 count(const struct kvmx_owner *owner)
{
	struct kvmx_pci *d;
	u32 n = 0;

	lockdep_assert_held(&kvmx_open_lock);
	list_for_each_entry(d, &kvmx_open_list, node)
		n += kvmx_open_owned(d, owner);
	return n;
}

/**
 * kvmx_open_get() - the open devices of an owner
 * @owner: the owner
 * @refs: out: the devices, to be given back with kvmx_open_put()
 *
 * Return: 0 or -ENOMEM.
 */
int kvmx_open_get(const struct kvmx_owner *owner, struct kvmx_open_refs *refs)
{
	struct kvmx_pci *d;
	int err = 0;
	u32 n;

	*refs = (struct kvmx_open_refs){ };
	mutex_lock(&kvmx_open_lock);
	n = count(owner);
	if (!n)
		goto unlock;
	err = -ENOMEM;
	refs->dev = kvmalloc_array(n, sizeof(*refs->dev), GFP_KERNEL_ACCOUNT);
	if (!refs->dev)
		goto unlock;
	err = 0;
	list_for_each_entry(d, &kvmx_open_list, node) {
		if (!kvmx_open_owned(d, owner))
			continue;
		d->users++;
		refs->dev[refs->nr++] = d;
	}
unlock:
	mutex_unlock(&kvmx_open_lock);
	return err;
}

/**
 * kvmx_open_put() - let go what kvmx_open_get() gave
 * @refs: the devices
 */
void kvmx_open_put(struct kvmx_open_refs *refs)
{
	u32 i;

	mutex_lock(&kvmx_open_lock);
	for (i = 0; i < refs->nr; i++)
		WRITE_ONCE(refs->dev[i]->users, refs->dev[i]->users - 1);
	mutex_unlock(&kvmx_open_lock);
	wake_up_all(&unused);
	kvfree(refs->dev);
}

/*
 * A device that goes may have done DMA until now. Whatever becomes of it, kvmx_quiet() has to give
 * its owner another answer than before: those that stay look as if they had done some.
 */
static void touch_mates(const struct kvmx_pci *d)
{
	struct kvmx_pci *other;

	lockdep_assert_held(&kvmx_open_lock);
	list_for_each_entry(other, &kvmx_open_list, node) {
		if (other->owner.mm == d->owner.mm || kvmx_open_owned(other, &d->owner))
			atomic64_set(&other->seq, kvmx_quiet_next());
	}
}

/**
 * kvmx_open() - note for whom a device is being opened, if that one may have it
 * @d: the device, which VFIO lets one at a time open
 *
 * On 6.1 VFIO holds no reference to its kvm, but a lock without which that cannot go.
 *
 * Return: 0; -EACCES, -EPERM, -EBUSY: it is leased, as documented in the UAPI; -ENOMEM.
 */
int kvmx_open(struct kvmx_pci *d)
{
	struct kvmx_ref *ref = get_kvm(d->core.vdev.kvm);
	int err;

	if (IS_ERR(ref))
		return PTR_ERR(ref);
	if (current->mm)
		mmgrab(current->mm);
	mutex_lock(&kvmx_lease_lock);
	mutex_lock(&kvmx_open_lock);
	d->ref = ref;
	d->owner = (struct kvmx_owner){ .kvm = ref ? ref->kvm : NULL, .mm = current->mm };
	d->life = KVMX_PCI_OPENING;
	list_add_tail(&d->node, &kvmx_open_list);
	mutex_unlock(&kvmx_open_lock);
	err = kvmx_lease_may_open(d);
	/* One that is refused must not be in the way of the next one, whom this lock lets in. */
	if (err) {
		mutex_lock(&kvmx_open_lock);
		list_del_init(&d->node);
		mutex_unlock(&kvmx_open_lock);
	}
	mutex_unlock(&kvmx_lease_lock);
	if (err)
		kvmx_closed(d);
	return err;
}

/**
 * kvmx_open_done() - a device can be used from now on
 * @d: the device
 */
void kvmx_open_done(struct kvmx_pci *d)
{
	u32 nr;

	kvmx_hold_open(d);
	mutex_lock(&kvmx_open_lock);
	nr = count(&d->owner);
	mutex_unlock(&kvmx_open_lock);
	kvmx_assign_changed(&d->owner, nr);
}

/**
 * kvmx_closed() - a device is not open any more
 * @d: the device, which can do no DMA
 */
void kvmx_closed(struct kvmx_pci *d)
{
	struct kvmx_owner owner = d->owner;
	bool was_open;
	u32 nr;

	mutex_lock(&kvmx_open_lock);
	was_open = d->life == KVMX_PCI_CLOSING;
	d->life = KVMX_PCI_CLOSED;
	list_del_init(&d->node);
	touch_mates(d);
	d->owner = (struct kvmx_owner){ };
	nr = count(&owner);
	mutex_unlock(&kvmx_open_lock);
	/* Nobody new finds it. The lock: what the last one did was before. */
	wait_event(unused, !READ_ONCE(d->users));
	mutex_lock(&kvmx_open_lock);
	mutex_unlock(&kvmx_open_lock);
	if (was_open)
		kvmx_assign_changed(&owner, nr);
	if (d->ref)
		put_later(d->ref);
	d->ref = NULL;
	if (owner.mm)
		mmdrop(owner.mm);
}
