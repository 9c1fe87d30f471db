// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's dirty log -> the trackers' sets -> runs.
 *
 * Bits leave KVM for the sets of all trackers at once, and leave a tracker's set only after its
 * runs have reached user space: nothing that fails in between can lose one.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "core.h"
#include "log.h"
#include "trace.h"

#define CURSOR_AS_SHIFT	56
#define BOUNCE_RUNS	32

/**
 * struct pass - a HARVEST call under way
 * @t: the tracker
 * @uruns: where runs go
 * @room: runs there is room for
 * @nr: runs copied out
 * @budget: pages that may still be returned
 * @pages: pages returned
 * @absent: of these, absent
 * @unlogged: of these, in memslots that KVM cannot log
 * @err: the first error of a copy
 * @mm: the VMM's address space, to look for absent pages, or NULL
 * @nr_bounce: runs in @bounce
 * @bounce: runs not yet copied out; the last may still grow
 * @ext: pages about to become runs
 */
struct pass {
	struct kvmx_tracker *t;
	struct kvmx_run __user *uruns;
	u32 room;
	u32 nr;
	u64 budget;
	u64 pages;
	u64 absent;
	u64 unlogged;
	int err;
	struct mm_struct *mm;
	u32 nr_bounce;
	struct kvmx_run bounce[BOUNCE_RUNS];
	struct kvmx_extent ext[BOUNCE_RUNS];
};

/* x86 does not care how the user's array is aligned. */
static void flush_runs(struct pass *p)
{
	if (!p->err)
		p->err = kvmx_put_words((u64 __user *)(p->uruns + p->nr), p->bounce,
					p->nr_bounce * sizeof(struct kvmx_run) / sizeof(u64));
	p->nr += p->nr_bounce;
	p->nr_bounce = 0;
}

/* Adds a run, to the last one if it goes on from there. Returns false if there is no room. */
static bool put_run(struct pass *p, const struct kvmx_mslot *s, unsigned long start,
		    unsigned long n, u32 page_class)
{
	struct kvmx_run *last = p->nr_bounce ? &p->bounce[p->nr_bounce - 1] : NULL;

	if (last && last->slot == s->id && last->page_class == page_class &&
	    last->gfn + last->npages == s->gfn + start && n <= U32_MAX - last->npages) {
		last->npages += n;
		return true;
	}
	if (p->nr + p->nr_bounce == p->room)
		return false;
	if (p->nr_bounce == BOUNCE_RUNS)
		flush_runs(p);
	p->bounce[p->nr_bounce++] = (struct kvmx_run) {
		.gfn = s->gfn + start,
		.npages = n,
		.slot = s->id,
		.page_class = page_class,
	};
	return true;
}

/* Returns pages from @start on, and how many of them there was room for. */
static unsigned long emit(struct pass *p, const struct kvmx_mslot *s, unsigned long start,
			  unsigned long n)
{
	u32 page_class = s->unloggable ? KVMX_CLASS_UNLOGGED :
			 s->kvm_flags & KVM_MEM_READONLY ? KVMX_CLASS_READONLY :
			 KVMX_CLASS_NORMAL;
	unsigned long done = 0;

	n = min_t(u64, n, round_up(min_t(u64, p->budget, U32_MAX), BITS_PER_LONG));
	while (done < n) {
		unsigned long len = min_t(unsigned long, n - done, U32_MAX);
		bool absent = false;

		if (p->mm)
			len = kvmx_absent_run(p->mm, s->hva + ((start + done) << PAGE_SHIFT), len,
					      &absent);
		if (!put_run(p, s, start + done, len, absent ? KVMX_CLASS_ABSENT : page_class))
			break;
		if (absent)
			p->absent += len;
		done += len;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	if (s->unloggable)
		p->unlogged += done;
	p->pages += done;
	p->budget -= min_t(u64, done, p->budget);
	return done;
}

/*
 * Moves dirty bits of a memslot from KVM's bitmap to all trackers, from page @from on. Returns in
 * @end_page the page up to which the bitmap has no more to tell.
 */
static int collect(struct kvmx_vm *vm, u32 i, unsigned long from, u64 budget,
		   unsigned long *end_page)
{
	const struct kvmx_mslot *s = &vm->slots->slot[i];
	struct kvmx_tracker *t;
	struct kvmx_seg seg;
	int err;

	*end_page = s->npages;
	if (vm->ring || !(s->kvm_flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	err = kvmx_log_read(vm, s, from, budget, &seg);
	if (err)
		return err;
	*end_page = seg.end_page;
	if (!seg.nr)
		return 0;
	err = kvmx_log_clear(vm, s, seg.first, seg.nr);
	if (err)
		return err;
	list_for_each_entry(t, &vm->trackers, node)
		kvmx_pend_add_words(t->pend[i], seg.first, vm->words, seg.nr);
	vm->stats.collected_pages += seg.pages;
	return 0;
}

/**
 * kvmx_collect_all() - move all dirty bits from KVM to the trackers
 * @vm: the VM, being logged
 *
 * Context: in the VMM's address space, under kvmx_vm.lock, memslots in step.
 * Return: 0; -EINTR; what KVM says.
 */
int kvmx_collect_all(struct kvmx_vm *vm)
{
	unsigned long end_page;
	int err;
	u32 i;

	kvmx_log_flush(vm);
	if (vm->ring)
		return kvmx_ring_drain(vm);
	for (i = 0; i < vm->slots->nr; i++) {
		for (end_page = 0; end_page < vm->slots->slot[i].npages;) {
			err = collect(vm, i, end_page, U64_MAX, &end_page);
			if (err)
				return err;
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	}
	return 0;
}

/* Returns pages of a memslot from @pos on; updates it. Returns 1 if there is no more room. */
static int take_slot(struct pass *p, u32 i, unsigned long *pos)
{
	struct kvmx_vm *vm = p->t->vm;
	const struct kvmx_mslot *s = &vm->slots->slot[i];
	unsigned long done, end_page;
	struct kvmx_extent *e;
	u32 nr;
	int err;

	if (s->unloggable) {
		*pos += emit(p, s, *pos, s->npages - *pos);
		return *pos < s->npages;
	}
	while (*pos < s->npages) {
		err = collect(vm, i, *pos, p->budget, &end_page);
		if (err)
			return err;
		while (*pos < end_page) {
			nr = kvmx_pend_extents(p->t->pend[i], *pos, end_page, p->ext, BOUNCE_RUNS);
			for (e = p->ext; e < p->ext + nr; e++) {
				done = emit(p, s, e->start, e->npages);
				*pos = e->start + done;
				if (done < e->npages || (!p->budget && *pos < s->npages))
					return 1;
			}
			if (nr < BOUNCE_RUNS)
				*pos = end_page;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* Adds the pages of a set in [@from, @to) to kvmx_vm.words, which begins at @from. */
static void add_pend(struct pass *p, const struct kvmx_pend *pend, unsigned long from,
		     unsigned long to)
{
	unsigned long pos = from;
	struct kvmx_extent *e;
	u32 nr;

	do {
		nr = kvmx_pend_extents(pend, pos, to, p->ext, BOUNCE_RUNS);
		for (e = p->ext; e < p->ext + nr; e++) {
			bitmap_set(p->t->vm->words, e->start - from, e->npages);
			pos = e->start + e->npages;
		}
	} while (nr == BOUNCE_RUNS);
}

/* As take_slot(), but takes nothing. */
static int peek_slot(struct pass *p, u32 i, unsigned long *pos)
{
	struct kvmx_vm *vm = p->t->vm;
	const struct kvmx_mslot *s = &vm->slots->slot[i];
	const struct kvmx_pend *pend = p->t->pend[i];
	bool logged = !vm->ring && s->kvm_flags & KVM_MEM_LOG_DIRTY_PAGES;

	if (s->unloggable) {
		*pos += emit(p, s, *pos, s->npages - *pos);
		return *pos < s->npages;
	}
	while (*pos < s->npages) {
		unsigned long base = *pos / BITS_PER_LONG * BITS_PER_LONG, start, n, done;
		unsigned long len = min(KVMX_SEG_WORDS * BITS_PER_LONG, s->npages - base);

		if (!logged)
			bitmap_zero(vm->words, len);
		else if (kvmx_log_peek(vm, s, base, len))
			bitmap_set(vm->words, 0, len);
		add_pend(p, pend, base, base + len);
		for (;;) {
			start = find_next_bit(vm->words, len, *pos - base);
			if (start == len)
				break;
			n = find_next_zero_bit(vm->words, len, start) - start;
			done = emit(p, s, base + start, n);
			*pos = base + start + done;
			if (done < n || (!p->budget && *pos < s->npages))
				return 1;
		}
		*pos = base + len;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static u64 slot_cursor(const struct kvmx_mslot *s, unsigned long pos)
{
	return (u64)(s->id >> 16) << CURSOR_AS_SHIFT | (s->gfn + pos);
}

/* Takes what was returned, from memslot @i, page @pos up to memslot @end, page @end_pos. */
static void commit(struct kvmx_tracker *t, u32 i, unsigned long pos, u32 end,
		   unsigned long end_pos)
{
	const struct kvmx_slots *s = t->vm->slots;

	for (; i < end; i++, pos = 0) {
		if (!kvmx_pend_empty(t->pend[i]))
			kvmx_pend_del(t->pend[i], pos, s->slot[i].npages - pos);
	}
	if (i < s->nr && end_pos > pos)
		kvmx_pend_del(t->pend[i], pos, end_pos - pos);
}

static u32 vm_status(const struct kvmx_tracker *t)
{
	const struct kvmx_slots *s = t->vm->slots;
	u32 i, status = t->slots_changed ? KVMX_HARVEST_SLOTS : 0;

	for (i = 0; i < s->nr; i++) {
		if (s->slot[i].unloggable)
			status |= KVMX_HARVEST_UNLOGGED;
	}
	return status;
}

static void pass_begin(struct kvmx_tracker *t)
{
	t->in_pass = true;
	t->pass_bad = t->disturbed;
	t->disturbed = false;
	t->pass_start = ktime_get_ns();
	t->pass_pages = 0;
}

static void pass_end(struct kvmx_tracker *t)
{
	u64 interval = t->pass_start - t->prev_start;

	if (!t->in_pass)
		return;
	t->in_pass = false;
	if (t->prev_start) {
		t->stats.last_interval = interval;
		if (!t->pass_bad && !t->disturbed)
			kvmx_history_add(&t->history, interval, t->pass_pages);
	}
	t->stats.passes++;
	t->stats.last_pages = t->pass_pages;
	t->prev_start = t->pass_start;
}

/* Takes what all of KVM has to say that does not lie in a memslot's bitmap. */
static int pass_prepare(struct kvmx_tracker *t, u64 cursor)
{
	struct kvmx_vm *vm = t->vm;
	int err;

	err = kvmx_slots_sync(vm);
	if (err)
		return err;
	if (!cursor) {
		pass_begin(t);
		kvmx_log_flush(vm);
	}
	return vm->ring ? kvmx_ring_drain(vm) : 0;
}

static int peek_prepare(struct kvmx_tracker *t)
{
	int err;

	err = kvmx_slots_follow(t->vm);
	if (!err && t->vm->ring)
		kvmx_ring_peek(t->vm);
	return err;
}

static int run_pass(struct pass *p, struct kvmx_call *call, bool peek)
{
	struct kvmx_harvest *a = call->arg;
	struct kvmx_tracker *t = p->t;
	struct kvmx_slots *s = t->vm->slots;
	u32 as = a->cursor >> CURSOR_AS_SHIFT, first, i;
	gfn_t gfn = a->cursor & GENMASK_ULL(CURSOR_AS_SHIFT - 1, 0);
	unsigned long start, pos = 0;
	int ret = 0;

	first = kvmx_slots_find(s, as, gfn);
	if (first < s->nr && s->slot[first].id >> 16 == as && s->slot[first].gfn < gfn)
		pos = gfn - s->slot[first].gfn;
	start = pos;
	for (i = first; i < s->nr; i++, pos = 0) {
		if (!peek && !pos && !t->vm->ring)
			i = kvmx_log_skip(t, i, &pos);
		if (i == s->nr)
			break;
		ret = !p->budget ? 1 : peek ? peek_slot(p, i, &pos) : take_slot(p, i, &pos);
		if (ret)
			break;
	}
	if (ret < 0)
		return ret;
	flush_runs(p);
	if (p->err)
		return p->err;

	a->cursor = i < s->nr ? slot_cursor(&s->slot[i], pos) : 0;
	a->nr_runs = p->nr;
	a->nr_pages = p->pages;
	a->status = vm_status(t) | (a->cursor ? KVMX_HARVEST_MORE : 0);
	ret = kvmx_call_put(call);
	if (ret || peek)
		return ret;

	commit(t, first, start, i, pos);
	t->slots_changed = false;
	t->stats.harvested_pages += p->pages;
	t->stats.absent_pages += p->absent;
	/* What comes with every pass says nothing about how fast pages get dirty. */
	t->pass_pages += p->pages - p->unlogged;
	t->vm->stats.harvests++;
	if (!a->cursor)
		pass_end(t);
	return 0;
}

static int collect_only(struct kvmx_tracker *t, struct kvmx_call *call)
{
	struct kvmx_harvest *a = call->arg;
	int err;

	err = kvmx_slots_sync(t->vm);
	if (!err)
		err = kvmx_collect_all(t->vm);
	if (err)
		return err;
	a->nr_pages = 0;
	a->status = vm_status(t);
	return kvmx_call_put(call);
}

/**
 * kvmx_harvest() - KVMX_HARVEST
 * @t: the tracker
 * @call: the call; its struct kvmx_harvest is valid but for the cursor
 *
 * Context: in the VMM's address space (any for a peek), under kvmx_vm.lock.
 * Return: 0; an error as documented in the UAPI: then the tracker has lost nothing.
 */
int kvmx_harvest(struct kvmx_tracker *t, struct kvmx_call *call)
{
	struct kvmx_harvest *a = call->arg;
	bool peek = a->flags & KVMX_HARVEST_PEEK;
	struct kvmx_vm *vm = t->vm;
	u64 clears = vm->stats.clear_calls;
	u64 begin = ktime_get_ns();
	struct pass p = {
		.t = t,
		.uruns = u64_to_user_ptr(a->runs),
		.room = a->nr_runs,
		.budget = a->max_pages ?: U64_MAX,
	};
	int err;

	lockdep_assert_held(&vm->lock);
	if (a->flags & KVMX_HARVEST_ABSENT && mmget_not_zero(vm->mm))
		p.mm = vm->mm;
	if (a->flags & KVMX_HARVEST_COLLECT)
		err = collect_only(t, call);
	else
		err = peek ? peek_prepare(t) : pass_prepare(t, a->cursor);
	if (!err && !(a->flags & KVMX_HARVEST_COLLECT))
		err = run_pass(&p, call, peek);
	if (p.mm)
		mmput(p.mm);
	trace_kvmx_harvest(vm->id, t->id, a->flags, p.pages, p.nr, vm->stats.clear_calls - clears,
			   ktime_get_ns() - begin, err);
	/* The memslot that was being read is gone: the next call finds that out. */
	return err == -ESTALE || err == -ENOENT ? -EAGAIN : err;
}
