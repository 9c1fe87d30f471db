// SPDX-License-Identifier: GPL-2.0
/*
 * DMA ranges: guest memory that devices may write to without anybody seeing it.
 *
 * Ranges may overlap. Beside the list of them there is their union, sorted, for HARVEST to search:
 * it is made anew when a range comes or goes.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "core.h"

/**
 * struct dma_range - a declared range
 * @node: in kvmx_vm.dma
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

static int cmp_span(const void *a, const void *b)
{
	const struct kvmx_dma_span *x = a, *y = b;

	if (x->as != y->as)
		return x->as < y->as ? -1 : 1;
	return x->gfn < y->gfn ? -1 : x->gfn > y->gfn;
}

/* Sorts spans and joins those that touch. Returns how many are left. */
static u32 join(struct kvmx_dma_span *span, u32 nr)
{
	u32 i, n = 0;

	sort(span, nr, sizeof(*span), cmp_span, NULL);
	for (i = 0; i < nr; i++) {
		struct kvmx_dma_span *last = n ? &span[n - 1] : NULL;

		if (last && last->as == span[i].as && span[i].gfn <= last->end)
			last->end = max(last->end, span[i].end);
		else
			span[n++] = span[i];
	}
	return n;
}

static struct kvmx_dma_map *map_alloc(u32 nr)
{
	return kvzalloc(struct_size((struct kvmx_dma_map *)NULL, span, nr), GFP_KERNEL_ACCOUNT);
}

/* Makes the union of all ranges the one that is searched. */
static void map_fill(struct kvmx_vm *vm, struct kvmx_dma_map *map)
{
	struct dma_range *r;
	u32 n = 0;

	list_for_each_entry(r, &vm->dma, node)
		map->span[n++] = (struct kvmx_dma_span){ r->gfn, r->end, r->as };
	map->nr = join(map->span, n);
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
	list_add_tail(&r->node, &vm->dma);
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
