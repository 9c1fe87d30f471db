// SPDX-License-Identifier: GPL-2.0
/*
 * kvmx_vfio_pci.ko: a vfio-pci driver for any PCI device. To its users it is vfio-pci, and it does
 * nothing else until a lease, a quiesce or a report is asked for.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "vfio.h"
#include "compat/compat.h"

static int kvmx_pci_open(struct vfio_device *vdev)
{
	struct kvmx_pci *d = kvmx_pci_of(vdev);
	int err;

	err = kvmx_open(d);
	if (err)
		return err;
	mutex_lock(&d->lock);
	err = vfio_pci_core_enable(&d->core);
	if (!err)
		vfio_pci_core_finish_enable(&d->core);
	mutex_unlock(&d->lock);
	if (err)
		kvmx_closed(d);
	else
		kvmx_open_done(d);
	return err;
}

static void kvmx_pci_close(struct vfio_device *vdev)
{
	struct kvmx_pci *d = kvmx_pci_of(vdev);

	kvmx_hold_close(d);
	vfio_pci_core_close_device(vdev);
	/* Only now it can do no DMA any more. */
	kvmx_closed(d);
}

static bool is_config(const loff_t *ppos)
{
	return VFIO_PCI_OFFSET_TO_INDEX(*ppos) == VFIO_PCI_CONFIG_REGION_INDEX;
}

static ssize_t kvmx_pci_read(struct vfio_device *vdev, char __user *buf, size_t count,
			     loff_t *ppos)
{
	if (is_config(ppos))
		return kvmx_config_read(kvmx_pci_of(vdev), buf, count, ppos);
	return vfio_pci_core_read(vdev, buf, count, ppos);
}

static ssize_t kvmx_pci_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			      loff_t *ppos)
{
	if (is_config(ppos))
		return kvmx_config_write(kvmx_pci_of(vdev), buf, count, ppos);
	return vfio_pci_core_write(vdev, buf, count, ppos);
}

static long kvmx_pci_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	long ret = vfio_pci_core_ioctl(vdev, cmd, arg);

	/* Whatever it was, a reset for example: it must not undo a quiesce. */
	kvmx_hold_again(kvmx_pci_of(vdev));
	return ret;
}

static int bus_master(struct kvmx_pci *d, u32 flags, void __user *arg, size_t argsz)
{
	struct vfio_device_feature_bus_master b;
	int ret;

	ret = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_SET, sizeof(b));
	if (ret != 1)
		return ret;
	if (copy_from_user(&b, arg, sizeof(b)))
		return -EFAULT;
	switch (b.op) {
	case VFIO_DEVICE_FEATURE_CLEAR_MASTER:
		return kvmx_hold_fd(d);
	case VFIO_DEVICE_FEATURE_SET_MASTER:
		return kvmx_release_fd(d);
	}
	return -EINVAL;
}

static int kvmx_pci_feature(struct vfio_device *vdev, u32 flags, void __user *arg, size_t argsz)
{
	int ret;

	if ((flags & VFIO_DEVICE_FEATURE_MASK) == VFIO_DEVICE_FEATURE_BUS_MASTER)
		return bus_master(kvmx_pci_of(vdev), flags, arg, argsz);
	ret = vfio_pci_core_ioctl_feature(vdev, flags, arg, argsz);
	kvmx_hold_again(kvmx_pci_of(vdev));
	return ret;
}

static int kvmx_pci_init(struct vfio_device *vdev)
{
	struct kvmx_pci *d = kvmx_pci_of(vdev);

	mutex_init(&d->lock);
	INIT_LIST_HEAD(&d->node);
	return vfio_pci_core_init_dev(vdev);
}

/* What it has beyond this depends on the kernel. */
static struct vfio_device_ops kvmx_pci_ops __ro_after_init = {
	/* Virtual functions of a device of ours get this as their driver's name. */
	.name = "kvmx_vfio_pci",
	.init = kvmx_pci_init,
	.release = vfio_pci_core_release_dev,
	.open_device = kvmx_pci_open,
	.close_device = kvmx_pci_close,
	.ioctl = kvmx_pci_ioctl,
	.device_feature = kvmx_pci_feature,
	.read = kvmx_pci_read,
	.write = kvmx_pci_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
};

static int kvmx_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct kvmx_pci *d;
	int err;

	d = vfio_alloc_device(kvmx_pci, core.vdev, &pdev->dev, &kvmx_pci_ops);
	if (IS_ERR(d))
		return PTR_ERR(d);
	kvmx_vfio_pci_prepare(&d->core);
	dev_set_drvdata(&pdev->dev, &d->core);
	err = vfio_pci_core_register_device(&d->core);
	if (err)
		vfio_put_device(&d->core.vdev);
	return err;
}

static void kvmx_pci_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

static int kvmx_pci_sriov_configure(struct pci_dev *pdev, int nr_vfs)
{
	return vfio_pci_core_sriov_configure(dev_get_drvdata(&pdev->dev), nr_vfs);
}

static void kvmx_pci_reset_done(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);

	kvmx_hold_after_reset(container_of(core, struct kvmx_pci, core));
}

static const struct pci_error_handlers kvmx_pci_err_handlers = {
	.error_detected = vfio_pci_core_aer_err_detected,
	.reset_done = kvmx_pci_reset_done,
};

static const struct pci_device_id kvmx_pci_table[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_ANY_ID, PCI_ANY_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, kvmx_pci_table);

static struct pci_driver kvmx_pci_driver = {
	.name = "kvmx_vfio_pci",
	.id_table = kvmx_pci_table,
	.probe = kvmx_pci_probe,
	.remove = kvmx_pci_remove,
	.sriov_configure = kvmx_pci_sriov_configure,
	.err_handler = &kvmx_pci_err_handlers,
	.driver_managed_dma = true,
};

/**
 * kvmx_pci_drives() - whether a device is ours
 * @pdev: the device
 *
 * Return: whether it is bound to this driver at the moment.
 */
bool kvmx_pci_drives(const struct pci_dev *pdev)
{
	return READ_ONCE(pdev->dev.driver) == &kvmx_pci_driver.driver;
}

static const struct kvmx_assign_ops assign_ops = {
	.owner = THIS_MODULE,
	.lease_acquire = kvmx_lease_acquire,
	.lease_release = kvmx_lease_release,
	.lease_list = kvmx_lease_list,
	.report = kvmx_report,
	.devices = kvmx_devices,
	.quiesce = kvmx_quiesce,
	.resume = kvmx_resume,
	.quiet = kvmx_quiet,
};

static int __init kvmx_pci_module_init(void)
{
	int err;

	kvmx_vfio_ops(&kvmx_pci_ops);
	err = kvmx_assign_register(&assign_ops);
	if (err)
		return err;
	err = pci_register_driver(&kvmx_pci_driver);
	if (err)
		kvmx_assign_unregister();
	return err;
}

static void __exit kvmx_pci_module_exit(void)
{
	pci_unregister_driver(&kvmx_pci_driver);
	kvmx_assign_unregister();
	kvmx_open_flush();
}

module_init(kvmx_pci_module_init);
module_exit(kvmx_pci_module_exit);

MODULE_DESCRIPTION("Services for KVM hosts: PCI devices for VMs");
MODULE_LICENSE("GPL");
KVMX_IMPORT_NS();
