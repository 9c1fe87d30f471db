// SPDX-License-Identifier: GPL-2.0
/*
 * DMA ranges: guest memory that devices may write to without anybody seeing it.
 *
 * Ranges may overlap. Beside the list of them, in order, there is their union for HARVEST to
 * search, which is made anew when a range comes or goes.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "core.h"

/**
 * struct dma_range - a declared range
 * @node: in kvmx_vm.dma, by address space and gfn
 * @h: the handle it was declared by
 * @as: address space
 * @flags: KVMX_DMA_*
 * @gfn: first guest frame
 * @end: behind the last one
 */
struct dma_range {
	struct list_head node;
	struct kvmx_handle *h;
	u32 as;
	u32 flags;
	gfn_t gfn;
	gfn_t end;
};

static bool before(const struct dma_range *a, const struct dma_range *b)
{
	return a->as != b->as ? a->as < b->as : a->gfn < b->gfn;
}

static void insert(struct kvmx_vm *vm, struct dma_range *new)
{
	struct list_head *pos;

	/* From the end: most VMMs go upwards. */
	list_for_each_prev(pos, &vm->dma) {
		if (!before(new, list_entry(pos, struct dma_range, node)))
			break;
	}
	list_add(&new->node, pos);
}

static struct kvmx_dma_map *map_alloc(u32 nr)
{
	return kvzalloc(struct_size((struct kvmx_dma_map *)NULL, span, nr), GFP_KERNEL_ACCOUNT);
}

/* Makes the union of all ranges the one that is searched: ranges that touch are joined. */
static void map_fill(struct kvmx_vm *vm, struct kvmx_dma_map *map)
{
	struct kvmx_dma_span *last = NULL;
	struct dma_range *r;

	list_for_each_entry(r, &vm->dma, node) {
		if (last && last->as == r->as && r->gfn <= last->end) {
			last->end = max(last->end, r->end);
			continue;
		}
		last = &map->span[map->nr++];
		*last = (struct kvmx_dma_span){ r->gfn, r->end, r->as };
	}
	kvfree(vm->dma_map);
	vm->dma_map = map;
}

/* What trackers know to be clean is so no more. */
static void forget_quiet(struct kvmx_vm *vm)
{
	struct kvmx_tracker *t;

	list_for_each_entry(t, &vm->trackers, node) {
		t->dma_pass = 0;
		t->dma_done = 0;
	}
}

/**
 * kvmx_dma_declare() - KVMX_DMA_DECLARE
 * @h: the handle
 * @a: the range, valid
 *
 * Context: under kvmx_vm.lock.
 * Return: 0, or an error as documented in the UAPI.
 */
int kvmx_dma_declare(struct kvmx_handle *h, const struct kvmx_dma_declare *a)
{
	struct kvmx_vm *vm = h->vm;
	struct kvmx_dma_map *map;
	struct dma_range *r;

	lockdep_assert_held(&vm->lock);
	if (vm->nr_dma == KVMX_MAX_DMA_RANGES)
		return -EUSERS;
	r = kmalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	map = map_alloc(vm->nr_dma + 1);
	if (!r || !map) {
		kfree(r);
		kvfree(map);
		return -ENOMEM;
	}
	*r = (struct dma_range){
		.h = h,
		.as = a->slot >> 16,
		.flags = a->flags,
		.gfn = a->gfn,
		.end = a->gfn + a->npages,
	};
	insert(vm, r);
	vm->nr_dma++;
	if (r->flags & KVMX_DMA_ALWAYS)
		vm->nr_dma_always++;
	map_fill(vm, map);
	forget_quiet(vm);
	return 0;
}

/* What devices may have written in a range since the last pass becomes dirty. */
static void settle(struct kvmx_vm *vm, const struct dma_range *r, u64 quiet)
{
	const struct kvmx_slots *s = vm->slots;
	struct kvmx_tracker *t;
	u32 i;

	/* Memslots that came since the last look are wholly dirty anyway. */
	for (i = s ? kvmx_slots_find(s, r->as, r->gfn) : 0; s && i < s->nr; i++) {
		const struct kvmx_mslot *m = &s->slot[i];
		gfn_t from = max(r->gfn, m->gfn), to = min(r->end, m->gfn + m->npages);

		if (m->id >> 16 != r->as || m->gfn >= r->end)
			break;
		list_for_each_entry(t, &vm->trackers, node) {
			if (t->pend && (!quiet || t->dma_done != quiet))
				kvmx_pend_add(t->pend[i], from - m->gfn, to - from);
		}
		cond_resched();
	}
}

static void remove_range(struct kvmx_vm *vm, struct dma_range *r, u64 quiet)
{
	settle(vm, r, quiet);
	list_del(&r->node);
	vm->nr_dma--;
	if (r->flags & KVMX_DMA_ALWAYS)
		vm->nr_dma_always--;
	kfree(r);
}

/* Without memory for another one the old union stays: it says too much, never too little. */
static void remap(struct kvmx_vm *vm)
{
	struct kvmx_dma_map *map = map_alloc(vm->nr_dma);

	if (map)
		map_fill(vm, map);
}

/**
 * kvmx_dma_withdraw() - KVMX_DMA_WITHDRAW
 * @h: the handle
 * @a: the range, valid
 *
 * Context: under kvmx_vm.lock.
 * Return: 0, or -ENOENT.
 */
int kvmx_dma_withdraw(struct kvmx_handle *h, const struct kvmx_dma_withdraw *a)
{
	struct kvmx_vm *vm = h->vm;
	struct dma_range *r;

	lockdep_assert_held(&vm->lock);
	list_for_each_entry(r, &vm->dma, node) {
		if (r->h == h && r->as == a->slot >> 16 && r->flags == a->flags &&
		    r->gfn == a->gfn && r->end == a->gfn + a->npages) {
			remove_range(vm, r, kvmx_quiet(vm));
			remap(vm);
			return 0;
		}
	}
	return -ENOENT;
}

/**
 * kvmx_dma_closed() - withdraw what a handle has declared
 * @h: the handle
 *
 * Context: under kvmx_vm.lock; the VM may be dead.
 */
void kvmx_dma_closed(struct kvmx_handle *h)
{
	struct kvmx_vm *vm = h->vm;
	u64 quiet = vm->nr_dma && vm->file ? kvmx_quiet(vm) : 0;
	struct dma_range *r, *next;
	bool any = false;

	lockdep_assert_held(&vm->lock);
	list_for_each_entry_safe(r, next, &vm->dma, node) {
		if (r->h != h)
			continue;
		remove_range(vm, r, quiet);
		any = true;
	}
	if (any)
		remap(vm);
}

/**
 * kvmx_dma_next() - find the next pages of a memslot that lie in a DMA range
 * @vm: the VM
 * @s: the memslot
 * @from: page to begin at
 * @to: page to end at
 * @ext: out: the pages
 *
 * Context: under kvmx_vm.lock.
 * Return: whether there are any.
 */
bool kvmx_dma_next(const struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long from,
		   unsigned long to, struct kvmx_extent *ext)
{
	const struct kvmx_dma_map *map = vm->dma_map;
	u32 lo = 0, hi = map ? map->nr : 0, as = s->id >> 16;
	gfn_t gfn = s->gfn + from, end = s->gfn + to;

	lockdep_assert_held(&vm->lock);
	/* The first span that ends after @gfn. */
	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		const struct kvmx_dma_span *d = &map->span[mid];

		if (d->as < as || (d->as == as && d->end <= gfn))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!map || lo == map->nr || map->span[lo].as != as || map->span[lo].gfn >= end)
		return false;
	gfn = max(gfn, map->span[lo].gfn);
	ext->start = gfn - s->gfn;
	ext->npages = min(end, map->span[lo].end) - gfn;
	return true;
}
