// SPDX-License-Identifier: GPL-2.0
/*
 * Whose memory cgroup pays: for what is noted of a VMM's mappings, and for its pages when they are
 * unmerged.
 *
 * A page that is unmerged is charged to the VMM. If its cgroup is at its limit, the kernel kills in
 * it rather than to let that fail. So it is tried before, with pages for which it does fail.
 */
#include <linux/gfp.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "ksm.h"

/* What a CPU charges at once, for the pages to come. */
#define STOCK	64
#define GFP_TRY	(GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)

/**
 * kvmx_ksm_payer_begin() - have a VMM's cgroup charged for what is allocated from now on
 * @payer: to be given to kvmx_ksm_payer_end()
 * @mm: the VMM's address space
 */
void kvmx_ksm_payer_begin(struct kvmx_ksm_payer *payer, struct mm_struct *mm)
{
	payer->memcg = get_mem_cgroup_from_mm(mm);
	payer->old = set_active_memcg(payer->memcg);
}

/**
 * kvmx_ksm_payer_end() - have it charged as before
 * @payer: the same
 */
void kvmx_ksm_payer_end(struct kvmx_ksm_payer *payer)
{
	set_active_memcg(payer->old);
	mem_cgroup_put(payer->memcg);
}

#ifdef CONFIG_MEMCG
static bool is_tight(struct mem_cgroup *memcg, unsigned long pages)
{
	for (; memcg; memcg = parent_mem_cgroup(memcg)) {
		if (page_counter_read(&memcg->memory) + pages > READ_ONCE(memcg->memory.max))
			return true;
	}
	return false;
}
#else
static bool is_tight(struct mem_cgroup *memcg, unsigned long pages)
{
	return false;
}
#endif

/* Reclaims what can be reclaimed. What is freed again goes to this CPU's stock first. */
static bool try_charge(u32 pages)
{
	struct page *page, *next;
	LIST_HEAD(got);
	u32 i;

	for (i = 0; i < pages; i++) {
		page = alloc_page(GFP_TRY);
		if (!page)
			break;
		list_add(&page->lru, &got);
	}
	list_for_each_entry_safe(page, next, &got, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
	return i == pages;
}

/**
 * kvmx_ksm_payer_room() - whether pages can be charged without somebody being killed for it
 * @payer: who pays, begun
 * @pages: how many
 *
 * Context: may sleep. Somebody else in the cgroup may be faster.
 * Return: whether they can.
 */
bool kvmx_ksm_payer_room(const struct kvmx_ksm_payer *payer, u32 pages)
{
	if (!is_tight(payer->memcg, (unsigned long)pages + STOCK))
		return true;
	return pages <= STOCK && try_charge(pages);
}
