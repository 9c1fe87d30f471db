// SPDX-License-Identifier: GPL-2.0
/*
 * The page sampler. It never faults a page in and takes mmap_lock for one mapping at a time only:
 * pages are got the lockless way, with the worker in the VMM's address space, or not at all.
 *
 * Memory that is pinned is looked for first, and twice: a disk's transfer pins it for a moment.
 * Then every page's content is taken, and some time later that of those in the sketch once more.
 */
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/xxhash.h>

#include "ksm.h"

#define BATCH	32

/* A walk over memory, and what is known of the mapping it is in. */
struct walk {
	struct kvmx_ksm_subject *sub;
	bool pins;	/* look for pinned memory only */
	bool told;	/* it was announced that memory is pinned */
	bool away;	/* for that or another reason, the mapping is kept away from KSM */
	struct kvmx_ksm_suspect seen;
};

/* No guest knows the seed, so none can have its pages chosen. */
static u64 seed(void)
{
	static u64 number;

	while (!number)
		number = get_random_u64();
	return number;
}

static u64 zero_hash(void)
{
	static u64 hash;

	if (!hash)
		hash = xxh64(page_address(ZERO_PAGE(0)), PAGE_SIZE, seed());
	return hash;
}

static u64 hash_page(struct page *page)
{
	void *data = kmap_local_page(page);
	u64 hash = xxh64(data, PAGE_SIZE, seed());

	kunmap_local(data);
	return hash;
}

/* KSM's pages have many references, and are never pinned for long. */
static bool is_pinned(struct folio *folio)
{
	return !folio_test_ksm(folio) && folio_maybe_dma_pinned(folio);
}

static void look_for_pin(struct walk *w, unsigned long addr, struct page *page)
{
	if (!is_pinned(page_folio(page)))
		return;
	w->sub->look.pinned++;
	if (w->seen.nr < ARRAY_SIZE(w->seen.addr))
		w->seen.addr[w->seen.nr++] = addr;
}

static void look_at(struct walk *w, unsigned long addr, struct page *page)
{
	struct kvmx_ksm_look *look = &w->sub->look;
	struct folio *folio = page_folio(page);
	u64 hash;

	w->sub->scanned++;
	look->present++;
	look->huge += folio_test_large(folio);
	look->merged += folio_test_ksm(folio);
	if (w->away || !folio_test_anon(folio) || is_pinned(folio))
		return;
	look->scan++;
	hash = hash_page(page);
	if (hash != zero_hash()) {
		kvmx_ksm_sketch_add(w->sub->sketch, hash, addr >> PAGE_SHIFT);
		return;
	}
	look->zero++;
	w->sub->sketch->zero++;
}

/* The VMM has exited: do not keep its memory. */
static bool abandoned(const struct kvmx_ksm_subject *sub)
{
	return atomic_read(&sub->p->mm->mm_users) == 1;
}

static int walk_pages(struct walk *w, unsigned long start, unsigned long end)
{
	struct page *page[BATCH];
	unsigned long addr = start, size;
	int i, nr;

	while (addr < end) {
		if (kvmx_ksm_stopping())
			return -EINTR;
		nr = get_user_pages_fast_only(addr, min_t(unsigned long, BATCH,
							  (end - addr) >> PAGE_SHIFT), 0, page);
		for (i = 0; i < nr; i++) {
			if (w->pins)
				look_for_pin(w, addr, page[i]);
			else
				look_at(w, addr, page[i]);
			put_page(page[i]);
			addr += PAGE_SIZE;
		}
		if (nr <= 0) {
			if (!kvmx_absent_look(w->sub->p->mm, addr, &size))
				size = PAGE_SIZE;
			addr = ALIGN_DOWN(addr, size) + size;
		}
		kvmx_ksm_toll_pay(&kvmx_ksm.toll);
		cond_resched();
		if (abandoned(w->sub))
			return -ESRCH;
	}
	return 0;
}

static void add_suspect(struct kvmx_ksm_subject *sub, const struct kvmx_ksm_suspect *seen)
{
	struct kvmx_ksm_suspect *s;

	if (sub->nr_suspects == KVMX_KSM_SUSPECTS)
		return;
	s = krealloc(sub->suspect, (sub->nr_suspects + 1) * sizeof(*s), GFP_KERNEL);
	/* The next look will find it again. */
	if (!s)
		return;
	sub->suspect = s;
	s[sub->nr_suspects++] = *seen;
}

/* A mapping, as far as it belongs to a memslot. */
static int walk_mapping(struct walk *w, const struct kvmx_ksm_range *range, bool takes)
{
	struct kvmx_ksm_subject *sub = w->sub;
	u64 pages = (range->end - range->start) >> PAGE_SHIFT;
	int err;

	if (!takes) {
		sub->look.shared += w->pins ? 0 : pages;
		return 0;
	}
	w->told = kvmx_ksm_ranges_hit(&sub->pinned, range->start, range->end);
	w->away = w->told || kvmx_ksm_ranges_hit(&sub->found, range->start, range->end);
	w->seen.range = *range;
	w->seen.nr = 0;
	err = walk_pages(w, range->start, range->end);
	if (err || !w->pins) {
		sub->look.excluded += w->away ? pages : 0;
		return err;
	}
	/* New ones, and those that have none any more. */
	if (w->seen.nr ? !w->away : w->away && !w->told)
		add_suspect(sub, &w->seen);
	return 0;
}

static int walk_slot(struct walk *w, const struct kvmx_ksm_range *slot)
{
	struct kvmx_ksm_range range;
	unsigned long addr = slot->start;
	bool takes;
	int err = 0;

	while (!err && addr < slot->end &&
	       kvmx_ksm_vma_next(w->sub->p->mm, addr, &range, &takes) && range.start < slot->end) {
		range.start = max(addr, range.start);
		range.end = min(range.end, slot->end);
		err = walk_mapping(w, &range, takes);
		addr = range.end;
	}
	return err;
}

static int walk(struct kvmx_ksm_subject *sub, bool pins)
{
	struct walk w = { .sub = sub, .pins = pins };
	int err = 0;
	u32 i;

	for (i = 0; i < sub->slots.nr && !err; i++)
		err = walk_slot(&w, &sub->slots.r[i]);
	return err;
}

static int enter(struct kvmx_ksm_subject *sub)
{
	if (sub->gone || !mmget_not_zero(sub->p->mm))
		return -ESRCH;
	kthread_use_mm(sub->p->mm);
	return 0;
}

static void leave(struct kvmx_ksm_subject *sub)
{
	kthread_unuse_mm(sub->p->mm);
	mmput(sub->p->mm);
}

/**
 * kvmx_ksm_sample_pins() - look for pinned memory
 * @sub: the address space; mappings with pinned memory are added to its suspects
 *
 * Context: the worker; no lock held.
 * Return: 0; -ESRCH if it is gone; -EINTR if kvmx_ksm_stopping().
 */
int kvmx_ksm_sample_pins(struct kvmx_ksm_subject *sub)
{
	int err = enter(sub);

	if (err)
		return err;
	err = walk(sub, true);
	leave(sub);
	return err;
}

static bool still_pinned(unsigned long addr)
{
	struct page *page;
	bool pinned;

	if (get_user_pages_fast_only(addr, 1, 0, &page) != 1)
		return false;
	pinned = is_pinned(page_folio(page));
	put_page(page);
	return pinned;
}

/**
 * kvmx_ksm_sample_judge() - look again whether the suspects' memory is pinned
 * @sub: the address space; suspects whose memory was pinned for a moment are taken out
 *
 * Context: the worker; no lock held.
 * Return: 0; -ESRCH if it is gone.
 */
int kvmx_ksm_sample_judge(struct kvmx_ksm_subject *sub)
{
	int err = enter(sub);
	u32 i, j, nr = 0;

	if (err)
		return err;
	for (i = 0; i < sub->nr_suspects; i++) {
		const struct kvmx_ksm_suspect *s = &sub->suspect[i];

		for (j = 0; j < s->nr && !still_pinned(s->addr[j]); j++)
			;
		if (j < s->nr || !s->nr)
			sub->suspect[nr++] = *s;
	}
	sub->nr_suspects = nr;
	leave(sub);
	return 0;
}

/**
 * kvmx_ksm_sample_first() - look at all pages
 * @sub: the address space; its counts and its sketch are filled in
 *
 * Context: the worker; no lock held.
 * Return: 0; -ESRCH if it is gone; -EINTR if kvmx_ksm_stopping().
 */
int kvmx_ksm_sample_first(struct kvmx_ksm_subject *sub)
{
	int err = enter(sub);

	if (err)
		return err;
	err = walk(sub, false);
	leave(sub);
	kvmx_ksm_sketch_end(sub->sketch);
	return err;
}

static bool still_same(unsigned long addr, u64 hash)
{
	struct page *page;
	bool same;

	if (get_user_pages_fast_only(addr, 1, 0, &page) != 1)
		return false;
	same = hash_page(page) == hash;
	put_page(page);
	return same;
}

/**
 * kvmx_ksm_sample_again() - look a second time at the contents that were kept
 * @sub: the address space; contents that have changed are marked
 *
 * Context: the worker; no lock held.
 * Return: 0; -ESRCH if it is gone; -EINTR if kvmx_ksm_stopping().
 */
int kvmx_ksm_sample_again(struct kvmx_ksm_subject *sub)
{
	struct kvmx_ksm_sketch *s = sub->sketch;
	int err = enter(sub);
	u32 i;

	if (err)
		return err;
	for (i = 0; i < s->nr && !kvmx_ksm_stopping() && !abandoned(sub); i++) {
		sub->scanned++;
		if (!still_same((unsigned long)s->e[i].page << PAGE_SHIFT, s->e[i].hash))
			kvmx_ksm_sketch_changed(s, i);
		if (!(i % BATCH)) {
			kvmx_ksm_toll_pay(&kvmx_ksm.toll);
			cond_resched();
		}
	}
	err = i < s->nr && abandoned(sub) ? -ESRCH : 0;
	leave(sub);
	return kvmx_ksm_stopping() ? -EINTR : err;
}
