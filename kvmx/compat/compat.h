/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels. No other directory may look at LINUX_VERSION_CODE.
 */
#ifndef KVMX_COMPAT_H
#define KVMX_COMPAT_H

#include <linux/kvm_host.h>
#include <linux/module.h>
#include <linux/version.h>

/* 6.8 made the number of address spaces a property of the VM. */
#ifdef KVM_ADDRESS_SPACE_NUM
static inline int kvmx_nr_as(struct kvm *kvm)
{
	return KVM_ADDRESS_SPACE_NUM;
}
#else
static inline int kvmx_nr_as(struct kvm *kvm)
{
	return kvm_arch_nr_memslot_as_ids(kvm);
}
#endif

/* 6.8 brought guest_memfd; before, no memslot has the flag. */
#ifndef KVM_MEM_GUEST_MEMFD
#define KVM_MEM_GUEST_MEMFD 0
#endif

/*
 * Where work that is queued for a task (as io_uring does) looks like a signal, a task can ask not
 * to be told of it.
 */
#ifdef PF_NO_NOTIFY_SIGNAL
#define KVMX_PF_NO_NOTIFY PF_NO_NOTIFY_SIGNAL
#else
#define KVMX_PF_NO_NOTIFY 0
#endif

/* 6.13 made names of symbol namespaces strings. */
#if KERNEL_VERSION(6, 13, 0) <= LINUX_VERSION_CODE
#define KVMX_NS			"KVMX"
#define KVMX_IMPORT_NS()	MODULE_IMPORT_NS("KVMX")
#else
#define KVMX_NS			KVMX
#define KVMX_IMPORT_NS()	MODULE_IMPORT_NS(KVMX)
#endif

#endif /* KVMX_COMPAT_H */
