/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Differences between kernels in what is known about memory mappings.
 */
#ifndef KVMX_COMPAT_MM_H
#define KVMX_COMPAT_MM_H

#include <linux/fs.h>
#include <linux/ksm.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/coredump.h>
#include <linux/version.h>

/* 6.3 made the flags of a mapping private. */
#if KERNEL_VERSION(6, 3, 0) > LINUX_VERSION_CODE
static inline void kvmx_vma_set_mergeable(struct vm_area_struct *vma, bool on)
{
	if (on)
		vma->vm_flags |= VM_MERGEABLE;
	else
		vma->vm_flags &= ~VM_MERGEABLE;
}
#else
static inline void kvmx_vma_set_mergeable(struct vm_area_struct *vma, bool on)
{
	if (on)
		vm_flags_set(vma, VM_MERGEABLE);
	else
		vm_flags_clear(vma, VM_MERGEABLE);
}
#endif

/* 6.18 made the flags of an address space private. */
#if KERNEL_VERSION(6, 18, 0) > LINUX_VERSION_CODE
static inline bool kvmx_mm_mergeable(const struct mm_struct *mm)
{
	return test_bit(MMF_VM_MERGEABLE, &mm->flags);
}
#else
static inline bool kvmx_mm_mergeable(const struct mm_struct *mm)
{
	return mm_flags_test(MMF_VM_MERGEABLE, mm);
}
#endif

/* 6.11 brought mappings whose pages may be dropped. */
#ifndef VM_DROPPABLE
#define VM_DROPPABLE VM_NONE
#endif

/* Whether KSM takes a mapping, as far as it can be known without asking. */
static inline bool kvmx_vma_takes(struct vm_area_struct *vma)
{
	return !(vma->vm_flags & (VM_SHARED | VM_MAYSHARE | VM_PFNMAP | VM_IO | VM_DONTEXPAND |
				  VM_HUGETLB | VM_MIXEDMAP | VM_DROPPABLE)) &&
	       !vma_is_dax(vma);
}

/*
 * Asks KSM for a mapping, or to unmerge pages of it, on a copy of the mapping's flags: it is for
 * the caller to change them. Returns 0 and whether the copy has VM_MERGEABLE then, or -errno.
 */
static inline int kvmx_ksm_advise(struct vm_area_struct *vma, unsigned long start,
				  unsigned long end, bool merge, bool *mergeable)
{
	vm_flags_t flags = vma->vm_flags;
	int err;

	err = ksm_madvise(vma, start, end, merge ? MADV_MERGEABLE : MADV_UNMERGEABLE, &flags);
	*mergeable = flags & VM_MERGEABLE;
	return err;
}

#endif /* KVMX_COMPAT_MM_H */
