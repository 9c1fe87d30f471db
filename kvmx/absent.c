// SPDX-License-Identifier: GPL-2.0
/*
 * Which pages of the VMM's memory were never populated, found without populating them.
 */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pgtable.h>

#include "core.h"

/* So that mmap_lock is never held for long. */
#define WALK_MAX	65536UL

/*
 * Only of private anonymous memory does an empty page table say that the page reads as zeroes: a
 * file's page may be in the page cache, and with userfaultfd another process has it.
 */
static bool can_tell(const struct vm_area_struct *vma)
{
	return vma_is_anonymous((struct vm_area_struct *)vma) &&
	       !(vma->vm_flags & (VM_HUGETLB | VM_PFNMAP | VM_MIXEDMAP | VM_UFFD_MISSING));
}

static bool pte_absent(pte_t pte)
{
	return pte_none(pte) || (pte_present(pte) && is_zero_pfn(pte_pfn(pte)));
}

/* Walks as gup_fast does: with interrupts off, so that no page table is freed under it. */
static bool look(struct mm_struct *mm, unsigned long addr, unsigned long *size)
{
	pgd_t *pgdp = pgd_offset(mm, addr), pgd = READ_ONCE(*pgdp);
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t *pmdp, pmd;

	*size = PGDIR_SIZE;
	if (pgd_none(pgd))
		return true;
	p4dp = p4d_offset_lockless(pgdp, pgd, addr);
	p4d = READ_ONCE(*p4dp);
	*size = P4D_SIZE;
	if (p4d_none(p4d))
		return true;
	pudp = pud_offset_lockless(p4dp, p4d, addr);
	pud = READ_ONCE(*pudp);
	*size = PUD_SIZE;
	if (pud_none(pud))
		return true;
	if (!pud_present(pud) || pud_leaf(pud))
		return false;
	pmdp = pmd_offset_lockless(pudp, pud, addr);
	pmd = READ_ONCE(*pmdp);
	*size = PMD_SIZE;
	if (pmd_none(pmd))
		return true;
	if (!pmd_present(pmd) || pmd_leaf(pmd))
		return false;
	*size = PAGE_SIZE;
	return pte_absent(READ_ONCE(*pte_offset_kernel(&pmd, addr)));
}

/**
 * kvmx_absent_look() - look whether there is anything in the page tables for a page
 * @mm: the address space, held
 * @addr: address of the page
 * @size: out: how much memory the entry that says so stands for, a power of two
 *
 * What that means depends on the mapping, see can_tell().
 *
 * Context: under mmap_lock with a mapping there, or in that address space: either keeps page tables
 *	from being freed.
 * Return: whether there is nothing, or the zero page.
 */
bool kvmx_absent_look(struct mm_struct *mm, unsigned long addr, unsigned long *size)
{
	bool absent;

	local_irq_disable();
	absent = look(mm, addr, size);
	local_irq_enable();
	return absent;
}

/**
 * kvmx_absent_run() - find out whether pages are absent
 * @mm: the VMM's address space, pinned
 * @hva: address of the first page
 * @npages: pages, at least 1
 * @absent: out: whether they are never populated or the zero page
 *
 * A page that is absent now and is populated later by a write of the guest is dirty again.
 *
 * Context: takes mmap_lock, not for long.
 * Return: for how many pages from the first on that is so, at least 1. All, and not absent, if it
 *	cannot be found out.
 */
unsigned long kvmx_absent_run(struct mm_struct *mm, unsigned long hva, unsigned long npages,
			      bool *absent)
{
	unsigned long end = hva + (npages << PAGE_SHIFT), addr = hva, size;
	const struct vm_area_struct *vma;
	bool is;

	*absent = false;
	/* Not for longer than for the look: a VMM that dies must be free to go. */
	if (!mmget_not_zero(mm))
		return npages;
	if (mmap_read_lock_killable(mm)) {
		addr = end;
		goto put;
	}
	vma = find_vma(mm, hva);
	if (!vma)
		goto out;
	end = min(end, vma->vm_start > hva ? vma->vm_start : vma->vm_end);
	if (vma->vm_start > hva || !can_tell(vma)) {
		addr = end;
		goto out;
	}
	while (addr < end && addr - hva < WALK_MAX << PAGE_SHIFT) {
		is = kvmx_absent_look(mm, addr, &size);
		if (addr != hva && is != *absent)
			break;
		*absent = is;
		addr = min(end, ALIGN_DOWN(addr, size) + size);
	}
out:
	mmap_read_unlock(mm);
put:
	mmput_async(mm);
	return addr > hva ? (addr - hva) >> PAGE_SHIFT : npages;
}
