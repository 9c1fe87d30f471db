// SPDX-License-Identifier: GPL-2.0
/*
 * kvmx: services for KVM hosts. The module and /dev/kvmx.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "core.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* A VM whose own memory keeps it from being settled must not keep others from dying: two. */
struct workqueue_struct *kvmx_settle_wq;
struct workqueue_struct *kvmx_death_wq;

static const struct file_operations kvmx_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = kvmx_sys_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/* Who may use it is the administrator's choice: root alone until a udev rule says otherwise. */
static struct miscdevice kvmx_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kvmx",
	.fops = &kvmx_fops,
	.mode = 0600,
};

static int __init kvmx_init(void)
{
	int err = -ENOMEM;

	kvmx_settle_wq = alloc_workqueue("kvmx-settle", WQ_UNBOUND, 0);
	if (!kvmx_settle_wq)
		return err;
	kvmx_death_wq = alloc_workqueue("kvmx-death", WQ_UNBOUND, 0);
	if (!kvmx_death_wq)
		goto destroy_settle;
	err = misc_register(&kvmx_dev);
	if (err)
		goto destroy_death;
	return 0;
destroy_death:
	destroy_workqueue(kvmx_death_wq);
destroy_settle:
	destroy_workqueue(kvmx_settle_wq);
	return err;
}

static void __exit kvmx_exit(void)
{
	misc_deregister(&kvmx_dev);
	/*
	 * No fd is open, but a VM may still be on its way out. One that only its settling holds
	 * may die right then: the notifier must have queued that before the queue is closed.
	 */
	destroy_workqueue(kvmx_settle_wq);
	mmu_notifier_synchronize();
	destroy_workqueue(kvmx_death_wq);
}

module_init(kvmx_init);
module_exit(kvmx_exit);

MODULE_DESCRIPTION("Services for KVM hosts: dirty-page tracking");
MODULE_LICENSE("GPL");
