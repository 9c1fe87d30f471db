// SPDX-License-Identifier: GPL-2.0
/*
 * kvmx: services for KVM hosts. The module and /dev/kvmx.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "core.h"
#include "ksm.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* A VM whose own memory keeps it from being settled must not keep others from dying: two. */
struct workqueue_struct *kvmx_settle_wq;
struct workqueue_struct *kvmx_death_wq;

static int sys_open(struct inode *inode, struct file *file)
{
	struct kvmx_sys *sys;

	sys = kzalloc(sizeof(*sys), GFP_KERNEL_ACCOUNT);
	if (!sys)
		return -ENOMEM;
	file->private_data = sys;
	kvmx_queue_add(&kvmx_sys_bell, &sys->queue);
	return 0;
}

static int sys_release(struct inode *inode, struct file *file)
{
	struct kvmx_sys *sys = file->private_data;

	kvmx_ksm_sys_closed(sys);
	kvmx_queue_del(&kvmx_sys_bell, &sys->queue);
	kfree(sys);
	return 0;
}

static const struct file_operations kvmx_fops = {
	.owner = THIS_MODULE,
	.open = sys_open,
	.release = sys_release,
	.read = kvmx_sys_read,
	.poll = kvmx_sys_poll,
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

	kvmx_bell_init(&kvmx_sys_bell);
	kvmx_settle_wq = alloc_workqueue("kvmx-settle", WQ_UNBOUND, 0);
	if (!kvmx_settle_wq)
		return err;
	kvmx_death_wq = alloc_workqueue("kvmx-death", WQ_UNBOUND, 0);
	if (!kvmx_death_wq)
		goto destroy_settle;
	err = kvmx_ksm_init();
	if (err)
		goto destroy_death;
	err = misc_register(&kvmx_dev);
	if (err)
		goto exit_ksm;
	return 0;
exit_ksm:
	kvmx_ksm_exit();
destroy_death:
	destroy_workqueue(kvmx_death_wq);
destroy_settle:
	destroy_workqueue(kvmx_settle_wq);
	return err;
}

static void __exit kvmx_exit(void)
{
	misc_deregister(&kvmx_dev);
	/* It may still hold VMs that nobody has open, and their death is work. */
	kvmx_ksm_exit();
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

MODULE_DESCRIPTION("Services for KVM hosts: dirty-page tracking, a policy over KSM");
MODULE_LICENSE("GPL");
