// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls about PCI devices: copy-in, validation and dispatch. No policy.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "ioctl.h"

/* Most members of a device's group and reset set that are worth reporting. */
#define MAX_MEMBERS	4096U

/* Copies an array of addresses in. */
static int get_devs(struct kvmx_dev_set *devs, u64 uaddr, u32 nr, u32 size)
{
	u32 i;

	if (nr > KVMX_MAX_LEASED || size != sizeof(*devs->addr))
		return -EINVAL;
	devs->nr = nr;
	devs->room = nr;
	if (!nr)
		return 0;
	devs->addr = vmemdup_user(u64_to_user_ptr(uaddr), nr * sizeof(*devs->addr));
	if (IS_ERR(devs->addr))
		return PTR_ERR(devs->addr);
	for (i = 0; i < nr; i++) {
		if (devs->addr[i].__reserved) {
			kvfree(devs->addr);
			return -EOPNOTSUPP;
		}
	}
	return 0;
}

/*
 * Gives the caller his own argument back. What cannot be undone is not begun for somebody who could
 * not be told.
 */
static int answerable(const struct kvmx_call *call)
{
	return kvmx_call_put(call);
}

/* What the calls that change leases want before they look at their arguments. */
static int lease_check(u32 flags, u32 reserved, const u8 *uuid)
{
	if (flags & ~KVMX_LEASE_FORCE || reserved)
		return -EOPNOTSUPP;
	if (!memchr_inv(uuid, 0, KVMX_UUID_LEN))
		return -EINVAL;
	return capable(CAP_SYS_ADMIN) ? 0 : -EPERM;
}

/**
 * kvmx_sys_lease_acquire() - KVMX_LEASE_ACQUIRE
 * @file: the system fd
 * @call: the call
 *
 * Return: 0, or an error as documented in the UAPI.
 */
long kvmx_sys_lease_acquire(struct file *file, struct kvmx_call *call)
{
	struct kvmx_lease_acquire *a = call->arg;
	const struct kvmx_assign_ops *ops;
	struct kvmx_dev_set devs = { };
	kuid_t uid = INVALID_UID;
	int ret;

	ret = lease_check(a->flags, 0, a->uuid);
	if (ret)
		return ret;
	if (a->uid != KVMX_LEASE_NO_UID) {
		uid = make_kuid(current_user_ns(), a->uid);
		if (!uid_valid(uid))
			return -EINVAL;
	}
	if (!a->nr_devices)
		return -EINVAL;
	ret = get_devs(&devs, a->devices, a->nr_devices, a->device_size);
	if (ret)
		return ret;
	ret = answerable(call);
	if (ret)
		goto free;
	ret = -EOPNOTSUPP;
	ops = kvmx_assign_get();
	if (!ops)
		goto free;
	ret = ops->lease_acquire(a->uuid, &devs, uid, a->flags & KVMX_LEASE_FORCE);
	kvmx_assign_put(ops);
	if (ret < 0)
		goto free;
	a->nr_leased = ret;
	ret = kvmx_call_put(call);
free:
	kvfree(devs.addr);
	return ret;
}

/**
 * kvmx_sys_lease_release() - KVMX_LEASE_RELEASE
 * @file: the system fd
 * @call: the call
 *
 * Return: 0, or an error as documented in the UAPI.
 */
long kvmx_sys_lease_release(struct file *file, struct kvmx_call *call)
{
	struct kvmx_lease_release *a = call->arg;
	const struct kvmx_assign_ops *ops;
	struct kvmx_dev_set devs = { };
	int ret;

	ret = lease_check(a->flags, a->__reserved, a->uuid);
	if (ret)
		return ret;
	ret = get_devs(&devs, a->devices, a->nr_devices, a->device_size);
	if (ret)
		return ret;
	ret = answerable(call);
	if (ret)
		goto free;
	ret = -EOPNOTSUPP;
	ops = kvmx_assign_get();
	if (!ops)
		goto free;
	ret = ops->lease_release(a->uuid, devs.nr ? &devs : NULL, a->flags & KVMX_LEASE_FORCE);
	kvmx_assign_put(ops);
	if (ret < 0)
		goto free;
	a->nr_released = ret;
	ret = kvmx_call_put(call);
free:
	kvfree(devs.addr);
	return ret;
}

/* Copies a list out, if there was room for it, and then the argument. */
static int put_list(struct kvmx_call *call, u64 uaddr, const void *list, size_t bytes, bool fits)
{
	int err;

	if (fits && copy_to_user(u64_to_user_ptr(uaddr), list, bytes))
		return -EFAULT;
	err = kvmx_call_put(call);
	return !err && !fits ? -ENOSPC : err;
}

/**
 * kvmx_sys_lease_list() - KVMX_LEASE_LIST
 * @file: the system fd
 * @call: the call
 *
 * Return: 0, or an error as documented in the UAPI.
 */
long kvmx_sys_lease_list(struct file *file, struct kvmx_call *call)
{
	struct kvmx_lease_list *a = call->arg;
	u32 room = min_t(u32, a->nr_leases, KVMX_MAX_LEASED);
	const struct kvmx_assign_ops *ops;
	struct kvmx_lease *leases;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	if (a->lease_size != sizeof(*leases))
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	leases = kvcalloc(max(room, 1U), sizeof(*leases), GFP_KERNEL_ACCOUNT);
	if (!leases)
		return -ENOMEM;
	err = -EOPNOTSUPP;
	ops = kvmx_assign_get();
	if (!ops)
		goto free;
	a->nr_leases = ops->lease_list(leases, room);
	kvmx_assign_put(ops);
	err = put_list(call, a->leases, leases, a->nr_leases * sizeof(*leases),
		       a->nr_leases <= room);
free:
	kvfree(leases);
	return err;
}

/**
 * kvmx_sys_dev_report() - KVMX_DEV_REPORT
 * @file: the system fd
 * @call: the call
 *
 * Return: 0, or an error as documented in the UAPI.
 */
long kvmx_sys_dev_report(struct file *file, struct kvmx_call *call)
{
	struct kvmx_dev_report *a = call->arg;
	u32 room = min(a->nr_members, MAX_MEMBERS);
	const struct kvmx_assign_ops *ops;
	struct kvmx_dev_member *members;
	int ret;

	if (a->flags & ~KVMX_DEV_NEXT || a->addr.__reserved || a->__reserved)
		return -EOPNOTSUPP;
	if (a->member_size != sizeof(*members))
		return -EINVAL;
	members = kvcalloc(max(room, 1U), sizeof(*members), GFP_KERNEL_ACCOUNT);
	if (!members)
		return -ENOMEM;
	ret = -EOPNOTSUPP;
	ops = kvmx_assign_get();
	if (!ops)
		goto free;
	ret = ops->report(a, members, room);
	kvmx_assign_put(ops);
	if (ret < 0)
		goto free;
	a->nr_members = ret;
	if (!capable(CAP_SYS_ADMIN)) {
		a->pid = 0;
		memset(a->vm_uuid, 0, sizeof(a->vm_uuid));
		memset(a->lease_uuid, 0, sizeof(a->lease_uuid));
	}
	ret = put_list(call, a->members, members, a->nr_members * sizeof(*members),
		       a->nr_members <= room);
free:
	kvfree(members);
	return ret;
}

static int range_check(u64 gfn, u64 npages, u32 slot)
{
	if (!npages || gfn + npages < gfn || (slot & 0xffff) || slot >> 16 >= KVMX_MAX_AS)
		return -EINVAL;
	return 0;
}

/**
 * kvmx_do_dma_declare() - KVMX_DMA_DECLARE
 * @file: the VM fd
 * @call: the call
 *
 * Return: 0, or an error as documented in the UAPI.
 */
long kvmx_do_dma_declare(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_dma_declare *a = call->arg;
	struct kvmx_handle *h = file->private_data;
	int err;

	if (a->flags & ~KVMX_DMA_ALWAYS || a->__reserved)
		return -EOPNOTSUPP;
	err = range_check(a->gfn, a->npages, a->slot);
	if (err)
		return err;
	err = kvmx_vm_lock_own(h->vm);
	if (err)
		return err;
	err = kvmx_dma_declare(h, a);
	mutex_unlock(&h->vm->lock);
	return err;
}

/**
 * kvmx_do_dma_withdraw() - KVMX_DMA_WITHDRAW
 * @file: the VM fd
 * @call: the call
 *
 * Return: 0, or an error as documented in the UAPI.
 */
long kvmx_do_dma_withdraw(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_dma_withdraw *a = call->arg;
	struct kvmx_handle *h = file->private_data;
	int err;

	if (a->flags & ~KVMX_DMA_ALWAYS || a->__reserved)
		return -EOPNOTSUPP;
	err = range_check(a->gfn, a->npages, a->slot);
	if (err)
		return err;
	err = kvmx_vm_lock(h->vm);
	if (err)
		return err;
	err = kvmx_dma_withdraw(h, a);
	mutex_unlock(&h->vm->lock);
	return err;
}

/**
 * kvmx_do_vm_quiesce() - KVMX_VM_QUIESCE
 * @file: the VM fd
 * @call: the call
 *
 * Return: 0, or an error as documented in the UAPI.
 */
long kvmx_do_vm_quiesce(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_vm_quiesce *a = call->arg;
	struct kvmx_handle *h = file->private_data;
	int err;

	if (a->flags & ~(KVMX_QUIESCE_KEEP | KVMX_QUIESCE_TRUST))
		return -EOPNOTSUPP;
	err = kvmx_vm_lock(h->vm);
	if (err)
		return err;
	err = kvmx_vm_quiesce(h, call);
	mutex_unlock(&h->vm->lock);
	return err;
}

/**
 * kvmx_do_vm_resume() - KVMX_VM_RESUME
 * @file: the VM fd
 * @call: the call
 *
 * Return: 0, or an error as documented in the UAPI.
 */
long kvmx_do_vm_resume(struct file *file, struct kvmx_call *call)
{
	struct kvmx_handle *h = file->private_data;
	struct kvmx_vm_resume *a = call->arg;
	int ret;

	if (a->flags || a->__reserved)
		return -EOPNOTSUPP;
	ret = answerable(call);
	if (ret)
		return ret;
	ret = kvmx_vm_lock(h->vm);
	if (ret)
		return ret;
	ret = kvmx_vm_resume(h->vm);
	mutex_unlock(&h->vm->lock);
	if (ret < 0)
		return ret;
	a->nr_devices = ret;
	return kvmx_call_put(call);
}

/**
 * kvmx_do_vm_devices() - KVMX_VM_DEVICES
 * @file: the VM fd
 * @call: the call
 *
 * Return: 0, or an error as documented in the UAPI.
 */
long kvmx_do_vm_devices(struct file *file, struct kvmx_call *call)
{
	struct kvmx_handle *h = file->private_data;
	struct kvmx_vm_devices *a = call->arg;
	u32 room = min(a->nr_devices, MAX_MEMBERS);
	const struct kvmx_assign_ops *ops;
	struct kvmx_vm_device *devs;
	struct kvmx_owner owner;
	int ret;

	if (a->flags)
		return -EOPNOTSUPP;
	if (a->device_size != sizeof(*devs))
		return -EINVAL;
	devs = kvcalloc(max(room, 1U), sizeof(*devs), GFP_KERNEL_ACCOUNT);
	if (!devs)
		return -ENOMEM;
	ret = -EOPNOTSUPP;
	ops = kvmx_assign_get();
	if (!ops)
		goto free;
	ret = kvmx_vm_lock(h->vm);
	if (ret)
		goto put;
	owner = kvmx_owner_of(h->vm);
	ret = ops->devices(&owner, devs, room);
	mutex_unlock(&h->vm->lock);
	if (ret < 0)
		goto put;
	a->nr_devices = ret;
	ret = put_list(call, a->devices, devs, a->nr_devices * sizeof(*devs),
		       a->nr_devices <= room);
put:
	kvmx_assign_put(ops);
free:
	kvfree(devs);
	return ret;
}
