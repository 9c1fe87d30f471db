/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels in what a vfio-pci driver sees.
 */
#ifndef KVMX_COMPAT_VFIO_H
#define KVMX_COMPAT_VFIO_H

#include <linux/iommu.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/version.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

/* 6.6 brought CLEAR_MASTER and SET_MASTER, for CDX devices. */
#ifndef VFIO_DEVICE_FEATURE_BUS_MASTER
struct vfio_device_feature_bus_master {
	__u32 op;
#define VFIO_DEVICE_FEATURE_CLEAR_MASTER	0
#define VFIO_DEVICE_FEATURE_SET_MASTER		1
};

#define VFIO_DEVICE_FEATURE_BUS_MASTER		10
#endif

/* What vfio-pci's table of operations has beyond the one of 6.1. */
static inline void kvmx_vfio_ops(struct vfio_device_ops *ops)
{
#if KERNEL_VERSION(6, 2, 0) <= LINUX_VERSION_CODE
	ops->bind_iommufd = vfio_iommufd_physical_bind;
	ops->unbind_iommufd = vfio_iommufd_physical_unbind;
	ops->attach_ioas = vfio_iommufd_physical_attach_ioas;
#endif
#if KERNEL_VERSION(6, 6, 0) <= LINUX_VERSION_CODE
	ops->detach_ioas = vfio_iommufd_physical_detach_ioas;
#endif
#if KERNEL_VERSION(6, 15, 0) <= LINUX_VERSION_CODE
	ops->pasid_attach_ioas = vfio_iommufd_physical_pasid_attach_ioas;
	ops->pasid_detach_ioas = vfio_iommufd_physical_pasid_detach_ioas;
#endif
#if KERNEL_VERSION(6, 18, 0) <= LINUX_VERSION_CODE
	ops->match_token_uuid = vfio_pci_core_match_token_uuid;
#endif
#if KERNEL_VERSION(6, 19, 0) <= LINUX_VERSION_CODE
	ops->get_region_info_caps = vfio_pci_ioctl_get_region_info;
#endif
}

/* 6.19 wants to know how a BAR becomes a dma-buf. */
#if KERNEL_VERSION(6, 19, 0) <= LINUX_VERSION_CODE
static const struct vfio_pci_device_ops kvmx_vfio_pci_ops = {
	.get_dmabuf_phys = vfio_pci_core_get_dmabuf_phys,
};

static inline void kvmx_vfio_pci_prepare(struct vfio_pci_core_device *core)
{
	core->pci_ops = &kvmx_vfio_pci_ops;
}
#else
static inline void kvmx_vfio_pci_prepare(struct vfio_pci_core_device *core)
{
}
#endif

/* 6.7 brought dirty bits of IOMMUs. */
#if KERNEL_VERSION(6, 7, 0) <= LINUX_VERSION_CODE
static inline bool kvmx_iommu_dirty(struct device *dev)
{
	return device_iommu_capable(dev, IOMMU_CAP_DIRTY_TRACKING);
}
#else
static inline bool kvmx_iommu_dirty(struct device *dev)
{
	return false;
}
#endif

/* 6.2 gave an error value of PCI reads its name. */
#ifndef PCI_POSSIBLE_ERROR
#define PCI_POSSIBLE_ERROR(val)	((val) == (typeof(val))~0ULL)
#endif

/* How many MSI or MSI-X vectors a loopback trigger may name; before 6.5 only enabled ones. */
#if KERNEL_VERSION(6, 5, 0) <= LINUX_VERSION_CODE
static inline int kvmx_vfio_vectors(struct vfio_pci_core_device *core)
{
	if (core->irq_type == VFIO_PCI_MSIX_IRQ_INDEX)
		return pci_msix_vec_count(core->pdev);
	return pci_msi_vec_count(core->pdev);
}
#else
static inline int kvmx_vfio_vectors(struct vfio_pci_core_device *core)
{
	return core->num_ctx;
}
#endif

#endif /* KVMX_COMPAT_VFIO_H */
