// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of a VMM: the only file that changes one.
 *
 * KSM's advice is taken for whole mappings, since none can be split from here. A mapping that is
 * advised against is unmerged first, in small pieces with a look at free memory in between:
 * VM_MERGEABLE must not be cleared while KSM's pages remain in it.
 */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include "ksm.h"
#include "compat/mm.h"

/* So that mmap_lock is never held for long. */
#define CHUNK	(16 * PAGE_SIZE)
#define VMAS	64

/* How often a VMM may change mappings that are being unmerged, before that is done in one go. */
#define PATIENCE	8

/* From so many notes on, they are compared with the mappings that there are. */
#define PRUNE	256

static void note_lock(u64 since)
{
	u64 ns = ktime_get_ns() - since;

	if (ns > READ_ONCE(kvmx_ksm.counters.longest_lock_ns))
		WRITE_ONCE(kvmx_ksm.counters.longest_lock_ns, ns);
}

static u64 lock_write(struct mm_struct *mm)
{
	mmap_write_lock(mm);
	return ktime_get_ns();
}

static void unlock_write(struct mm_struct *mm, u64 since)
{
	note_lock(since);
	mmap_write_unlock(mm);
}

/* The VMM has exited and the reference held here is the last. */
static bool abandoned(struct mm_struct *mm)
{
	return atomic_read(&mm->mm_users) == 1;
}

static bool enough_memory(u64 bytes)
{
	long available = si_mem_available();
	u64 have = available > 0 ? (u64)available << PAGE_SHIFT : 0;

	return have >= bytes && have - bytes >= READ_ONCE(kvmx_ksm.policy.reserve);
}

/* The next mergeable mapping that ends behind @addr, looking at VMAS at most per lock. */
static bool next_mergeable(struct mm_struct *mm, unsigned long addr, struct kvmx_ksm_range *range)
{
	struct vm_area_struct *vma;
	bool found = false;
	u64 since;
	u32 i;

	do {
		mmap_read_lock(mm);
		since = ktime_get_ns();
		for (i = 0; i < VMAS; i++) {
			vma = find_vma(mm, addr);
			if (!vma)
				break;
			found = vma->vm_flags & VM_MERGEABLE;
			if (found)
				break;
			addr = vma->vm_end;
		}
		if (found) {
			range->start = vma->vm_start;
			range->end = vma->vm_end;
		}
		note_lock(since);
		mmap_read_unlock(mm);
		cond_resched();
	} while (i == VMAS);
	return found;
}

/**
 * kvmx_ksm_vma_any() - whether an address space has a mergeable mapping
 * @mm: the address space, held
 *
 * Return: whether it has.
 */
bool kvmx_ksm_vma_any(struct mm_struct *mm)
{
	struct kvmx_ksm_range range;

	return next_mergeable(mm, 0, &range);
}

/**
 * kvmx_ksm_vma_next() - the next mapping
 * @mm: the address space, held
 * @addr: an address
 * @range: out: the first mapping that ends behind @addr
 * @takes: out: KSM takes it
 *
 * Return: whether there is one.
 */
bool kvmx_ksm_vma_next(struct mm_struct *mm, unsigned long addr, struct kvmx_ksm_range *range,
		       bool *takes)
{
	struct vm_area_struct *vma;
	u64 since;

	mmap_read_lock(mm);
	since = ktime_get_ns();
	vma = find_vma(mm, addr);
	if (vma) {
		range->start = vma->vm_start;
		range->end = vma->vm_end;
		*takes = kvmx_vma_takes(vma);
	}
	note_lock(since);
	mmap_read_unlock(mm);
	return vma;
}

/* Replaces notes by the mappings that they touch now, as a @whole or as far as they do. */
static void prune(struct kvmx_ksm_proc *p, struct kvmx_ksm_ranges *set, bool whole)
{
	struct kvmx_ksm_ranges now = {};
	struct kvmx_ksm_range range;
	unsigned long addr, end;
	int err = 0;
	bool takes;
	u32 i;

	for (i = 0; i < set->nr && !err; i++) {
		addr = set->r[i].start;
		end = set->r[i].end;
		while (!err && addr < end && kvmx_ksm_vma_next(p->mm, addr, &range, &takes) &&
		       range.start < end) {
			if (!whole) {
				range.start = max(range.start, addr);
				range.end = min(range.end, end);
			}
			err = kvmx_ksm_ranges_add(&now, range.start, range.end);
			addr = range.end;
		}
		cond_resched();
	}
	/* Without memory they stay as they are. */
	if (!err)
		swap(*set, now);
	kvmx_ksm_ranges_free(&now);
}

/*
 * Notes are of mappings as they were. As those change, there would be more and more of them. Not
 * before there are twice as many as were left: it takes a look at each.
 */
static void prune_all(struct kvmx_ksm_proc *p)
{
	if (p->made.nr + p->taken.nr + p->found.nr < PRUNE + 2 * p->pruned)
		return;
	prune(p, &p->made, true);
	prune(p, &p->taken, true);
	prune(p, &p->found, false);
	p->pruned = p->made.nr + p->taken.nr + p->found.nr;
}

static bool wanted(const struct kvmx_ksm_proc *p, struct vm_area_struct *vma)
{
	return !(vma->vm_flags & VM_MERGEABLE) && kvmx_vma_takes(vma) &&
	       !kvmx_ksm_ranges_hit(&p->pinned, vma->vm_start, vma->vm_end) &&
	       !kvmx_ksm_ranges_hit(&p->found, vma->vm_start, vma->vm_end);
}

/* Makes a mapping mergeable. */
static int advise(struct kvmx_ksm_proc *p, struct vm_area_struct *vma)
{
	bool mergeable, had;
	int err;

	lockdep_assert_held_write(&p->mm->mmap_lock);
	had = kvmx_ksm_ranges_hit(&p->taken, vma->vm_start, vma->vm_end);
	/* First the note, so that nothing is changed that would not be undone. */
	err = had ? 0 : kvmx_ksm_ranges_add(&p->made, vma->vm_start, vma->vm_end);
	if (err)
		return err;
	err = kvmx_ksm_advise(vma, vma->vm_start, vma->vm_end, true, &mergeable);
	if (err)
		return err;
	if (mergeable) {
		kvmx_vma_set_mergeable(vma, true);
		p->is_new = true;
	}
	/* A note too many makes no difference. */
	if (had)
		kvmx_ksm_ranges_del(&p->taken, vma->vm_start, vma->vm_end);
	return 0;
}

/* Goes over the mappings from @addr on, VMAS at most; the next address, or 0. */
static unsigned long next_wanted(struct kvmx_ksm_proc *p, unsigned long addr, unsigned long end,
				 bool *found)
{
	struct vm_area_struct *vma;
	u64 since;
	u32 i;

	*found = false;
	mmap_read_lock(p->mm);
	since = ktime_get_ns();
	for (i = 0; i < VMAS && !*found && addr; i++) {
		vma = find_vma(p->mm, addr);
		if (!vma || vma->vm_start >= end) {
			addr = 0;
		} else if (wanted(p, vma)) {
			addr = max(addr, vma->vm_start);
			*found = true;
		} else {
			addr = vma->vm_end < end ? vma->vm_end : 0;
		}
	}
	note_lock(since);
	mmap_read_unlock(p->mm);
	return addr;
}

static int admit_range(struct kvmx_ksm_proc *p, const struct kvmx_ksm_range *range)
{
	unsigned long addr = range->start;
	struct vm_area_struct *vma;
	bool found;
	int err = 0;
	u64 since;

	while (!err && addr) {
		if (abandoned(p->mm))
			return -ESRCH;
		cond_resched();
		addr = next_wanted(p, addr, range->end, &found);
		if (!found)
			continue;
		since = lock_write(p->mm);
		vma = find_vma(p->mm, addr);
		if (vma && vma->vm_start < range->end && wanted(p, vma))
			err = advise(p, vma);
		addr = vma && vma->vm_end < range->end ? vma->vm_end : 0;
		unlock_write(p->mm, since);
	}
	return err;
}

/**
 * kvmx_ksm_vma_admit() - make the memory of the memslots mergeable
 * @p: whose
 *
 * Context: under kvmx_ksm.act.
 * Return: 0; -ESRCH if the VMM is gone; -ENOMEM.
 */
int kvmx_ksm_vma_admit(struct kvmx_ksm_proc *p)
{
	struct kvmx_ksm_payer payer;
	int err = 0;
	u32 i;

	lockdep_assert_held(&kvmx_ksm.act);
	if (!mmget_not_zero(p->mm))
		return -ESRCH;
	kvmx_ksm_payer_begin(&payer, p->mm);
	prune_all(p);
	/* First, so that what follows is unmerged whatever becomes of it. */
	WRITE_ONCE(p->live, true);
	for (i = 0; i < p->slots.nr && !err; i++)
		err = admit_range(p, &p->slots.r[i]);
	kvmx_ksm_payer_end(&payer);
	mmput(p->mm);
	return err;
}

/*
 * Goes over what has no mapping or no page table: it may be a lot. A page is another matter: that
 * of zeroes may be KSM's.
 */
static unsigned long skip_holes(struct mm_struct *mm, unsigned long addr, unsigned long end)
{
	const struct vm_area_struct *vma;
	unsigned long size;
	u64 since;
	u32 i;

	mmap_read_lock(mm);
	since = ktime_get_ns();
	for (i = 0; i < VMAS && addr < end; i++) {
		/* Without a mapping, page tables are freed under mmap_lock for reading. */
		vma = find_vma(mm, addr);
		if (!vma || vma->vm_start > addr) {
			addr = vma ? min(end, vma->vm_start) : end;
			continue;
		}
		if (!kvmx_absent_look(mm, addr, &size) || size == PAGE_SIZE)
			break;
		addr = min3(end, vma->vm_end, ALIGN_DOWN(addr, size) + size);
	}
	note_lock(since);
	mmap_read_unlock(mm);
	return addr;
}

/* Unmerges a piece. Returns where to go on, or the address with -errno in @err. */
static unsigned long unmerge_chunk(struct mm_struct *mm, const struct kvmx_ksm_payer *payer,
				   unsigned long addr, unsigned long end, int *err)
{
	struct vm_area_struct *vma;
	unsigned long to;
	bool mergeable;
	u64 since;

	*err = 0;
	addr = skip_holes(mm, addr, end);
	to = min(end, addr + CHUNK);
	if (addr == end)
		return addr;
	if (abandoned(mm)) {
		*err = -ESRCH;
		return addr;
	}
	if (!enough_memory(CHUNK) || !kvmx_ksm_payer_room(payer, CHUNK >> PAGE_SHIFT)) {
		*err = -ENOMEM;
		return addr;
	}
	since = lock_write(mm);
	vma = find_vma(mm, addr);
	if (vma && vma->vm_start < to && vma->vm_flags & VM_MERGEABLE)
		*err = kvmx_ksm_advise(vma, max(addr, vma->vm_start), min(to, vma->vm_end), false,
				       &mergeable);
	if (!*err)
		addr = vma && vma->vm_end < to ? vma->vm_end : to;
	unlock_write(mm, since);
	return addr;
}

/* Notes what the mapping was before kvmx takes VM_MERGEABLE from it. */
static int note_taken(struct kvmx_ksm_proc *p, const struct vm_area_struct *vma)
{
	if (kvmx_ksm_ranges_hit(&p->made, vma->vm_start, vma->vm_end))
		return 0;
	return kvmx_ksm_ranges_add(&p->taken, vma->vm_start, vma->vm_end);
}

/*
 * Whether ksmd has stood still: then what was unmerged piece by piece is still so. KSM's own counts
 * and ksmd's CPU time, none of which goes back, tell whether somebody has let it run in between.
 * Not all kernels count visits, and a scan need not have ended.
 */
static bool ksmd_still(u64 *scans)
{
	u64 now = kvmx_knobs_read(KVMX_KNOB_FULL_SCANS, 0) +
		  kvmx_knobs_read(KVMX_KNOB_SCANNED, 0) + kvmx_knobs_ksmd_ns();
	bool still = *scans == now && kvmx_knobs_check();

	*scans = now;
	return still && !READ_ONCE(kvmx_ksm.in_epoch);
}

/* Takes VM_MERGEABLE from a mapping; @clean: nothing of KSM's is in it. */
static int take(struct kvmx_ksm_proc *p, struct vm_area_struct *vma, bool clean)
{
	bool mergeable = false;
	int err;

	lockdep_assert_held_write(&p->mm->mmap_lock);
	err = note_taken(p, vma);
	if (!err && !clean)
		err = kvmx_ksm_advise(vma, vma->vm_start, vma->vm_end, false, &mergeable);
	if (!err && !mergeable) {
		kvmx_vma_set_mergeable(vma, false);
		p->touched = true;
		kvmx_ksm_ranges_del(&p->made, vma->vm_start, vma->vm_end);
	}
	return err;
}

/*
 * Takes VM_MERGEABLE from a mapping whose pages are unmerged but for those ksmd merged since. If it
 * has been split, from its first part: @range ends there then.
 */
static int unadvise(struct kvmx_ksm_proc *p, struct kvmx_ksm_range *range, u64 *scans)
{
	bool still = ksmd_still(scans);
	struct vm_area_struct *vma;
	int err = -EAGAIN;
	u64 since;

	since = lock_write(p->mm);
	vma = find_vma(p->mm, range->start);
	if (vma && vma->vm_start >= range->start && vma->vm_end <= range->end &&
	    vma->vm_flags & VM_MERGEABLE) {
		range->end = vma->vm_end;
		err = take(p, vma, still);
	}
	unlock_write(p->mm, since);
	return err;
}

static int unmerge_range(struct kvmx_ksm_proc *p, const struct kvmx_ksm_payer *payer,
			 struct kvmx_ksm_range *range)
{
	unsigned long addr = range->start;
	u64 scans = 0;
	int err = 0;

	ksmd_still(&scans);
	while (addr < range->end && !err) {
		if (signal_pending(current))
			return -ERESTARTSYS;
		cond_resched();
		addr = unmerge_chunk(p->mm, payer, addr, range->end, &err);
	}
	return err ?: unadvise(p, range, &scans);
}

/* In one go, which the VMM has to wait for: it goes on changing the mapping. */
static int unmerge_whole(struct kvmx_ksm_proc *p, const struct kvmx_ksm_payer *payer,
			 struct kvmx_ksm_range *range)
{
	unsigned long pages = READ_ONCE(p->mm->ksm_merging_pages);
	struct vm_area_struct *vma;
	int err = 0;
	u64 since;

	if (abandoned(p->mm))
		return -ESRCH;
	if (!enough_memory((u64)pages << PAGE_SHIFT) ||
	    !kvmx_ksm_payer_room(payer, min(pages, (unsigned long)U32_MAX)))
		return -ENOMEM;
	since = lock_write(p->mm);
	vma = find_vma(p->mm, range->start);
	if (vma && vma->vm_start < range->end) {
		range->end = vma->vm_end;
		if (vma->vm_flags & VM_MERGEABLE)
			err = take(p, vma, false);
	}
	unlock_write(p->mm, since);
	return err;
}

/**
 * kvmx_ksm_vma_unmerge() - unmerge all mergeable mappings that lie at least partly in a range
 * @p: whose
 * @start: first address
 * @end: behind the last
 *
 * They are not mergeable afterwards. What was unmerged until an error stays so, and the mapping it
 * happened in stays mergeable.
 *
 * Context: under kvmx_ksm.act.
 * Return: 0; -ESRCH if the VMM is gone; -ENOMEM; -ERESTARTSYS.
 */
int kvmx_ksm_vma_unmerge(struct kvmx_ksm_proc *p, unsigned long start, unsigned long end)
{
	struct kvmx_ksm_range range;
	struct kvmx_ksm_payer payer;
	unsigned long addr = start;
	u32 tries = 0;
	int err = 0;

	lockdep_assert_held(&kvmx_ksm.act);
	if (!mmget_not_zero(p->mm))
		return -ESRCH;
	kvmx_ksm_payer_begin(&payer, p->mm);
	prune_all(p);
	while (next_mergeable(p->mm, addr, &range) && range.start < end) {
		if (tries < PATIENCE)
			err = unmerge_range(p, &payer, &range);
		else
			err = unmerge_whole(p, &payer, &range);
		/* The VMM has changed it: look at it again. */
		if (err == -EAGAIN) {
			tries++;
			continue;
		}
		if (err)
			break;
		addr = range.end;
	}
	if (err == -EAGAIN)
		err = 0;
	kvmx_ksm_payer_end(&payer);
	mmput(p->mm);
	return err;
}

/* Makes mappings mergeable that the VMM had made so. @rest: out: those that are pinned. */
static int readvise(struct kvmx_ksm_proc *p, unsigned long start, unsigned long end,
		    struct kvmx_ksm_ranges *rest)
{
	struct vm_area_struct *vma;
	unsigned long addr = start;
	bool mergeable;
	int err = 0;
	u64 since;

	while (addr < end && !err) {
		since = lock_write(p->mm);
		vma = find_vma(p->mm, addr);
		if (!vma || vma->vm_start >= end) {
			unlock_write(p->mm, since);
			break;
		}
		if (kvmx_ksm_ranges_hit(&p->pinned, vma->vm_start, vma->vm_end))
			err = kvmx_ksm_ranges_add(rest, vma->vm_start, vma->vm_end);
		else if (!(vma->vm_flags & VM_MERGEABLE) &&
			 !kvmx_ksm_advise(vma, vma->vm_start, vma->vm_end, true, &mergeable) &&
			 mergeable)
			kvmx_vma_set_mergeable(vma, true);
		addr = vma->vm_end;
		unlock_write(p->mm, since);
		cond_resched();
	}
	return err;
}

/* What is pinned waits for its UNPIN: its note stays. */
static int restore_taken(struct kvmx_ksm_proc *p)
{
	struct kvmx_ksm_ranges rest = {};
	int err = 0;
	u32 i;

	for (i = 0; i < p->taken.nr && !err; i++)
		err = readvise(p, p->taken.r[i].start, p->taken.r[i].end, &rest);
	if (!err)
		swap(p->taken, rest);
	kvmx_ksm_ranges_free(&rest);
	return err;
}

/**
 * kvmx_ksm_vma_restore() - make the mappings again what the VMM made them
 * @p: whose
 *
 * Mappings in kvmx_ksm_proc.pinned do not become mergeable.
 *
 * Context: under kvmx_ksm.act.
 * Return: 0; -ENOMEM or -ERESTARTSYS: some are still mergeable that were not.
 */
int kvmx_ksm_vma_restore(struct kvmx_ksm_proc *p)
{
	struct kvmx_ksm_payer payer;
	int err = 0;

	lockdep_assert_held(&kvmx_ksm.act);
	if (!mmget_not_zero(p->mm))
		return 0;
	kvmx_ksm_payer_begin(&payer, p->mm);
	/* Each round shortens the list, or fails. */
	while (p->made.nr && !err) {
		struct kvmx_ksm_range r = p->made.r[0];

		err = kvmx_ksm_vma_unmerge(p, r.start, r.end);
		/* Mappings that are gone leave their note behind. */
		if (!err)
			err = kvmx_ksm_ranges_del(&p->made, r.start, r.end);
	}
	if (!err)
		err = restore_taken(p);
	if (!err)
		kvmx_ksm_ranges_free(&p->made);
	kvmx_ksm_payer_end(&payer);
	mmput(p->mm);
	return err == -ESRCH ? 0 : err;
}
