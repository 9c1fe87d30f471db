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

/* Words of a bitmap turned into runs between two looks for signals. */
#define BURST_WORDS	64UL

/**
 * struct pass - a HARVEST call under way
 * @t: the tracker
 * @uruns: where runs go
 * @room: runs there is room for
 * @nr: runs copied out
 * @budget: pages that may still be returned
 * @pages: pages returned
 * @absent: of these, absent
 * @unseen: of these, such as come with every pass: nobody can say whether they were written
 * @err: the first error of a copy
 * @mm: the VMM's address space, to look for absent pages, or NULL
 * @dma: return the pages of DMA ranges
 * @open: the last run, which may still grow; 0 pages: none
 * @nr_bounce: runs in @bounce
 * @bounce: runs not yet copied out
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
	u64 unseen;
	int err;
	struct mm_struct *mm;
	bool dma;
	struct kvmx_run open;
	u32 nr_bounce;
	struct kvmx_run bounce[BOUNCE_RUNS];
	struct kvmx_extent ext[BOUNCE_RUNS];
};

/* x86 does not care how the user's array is aligned. */
static void flush_runs(struct pass *p)
{
	if (p->nr_bounce && !p->err)
		p->err = kvmx_put_words((u64 __user *)(p->uruns + p->nr), p->bounce,
					p->nr_bounce * sizeof(struct kvmx_run) / sizeof(u64));
	p->nr += p->nr_bounce;
	p->nr_bounce = 0;
}

/* The last run does not grow any more. There is room for it. */
static void close_run(struct pass *p)
{
	if (!p->open.npages)
		return;
	if (p->nr_bounce == BOUNCE_RUNS)
		flush_runs(p);
	p->bounce[p->nr_bounce++] = p->open;
	p->open.npages = 0;
}

static bool continues(const struct pass *p, const struct kvmx_mslot *s, unsigned long start,
		      u32 page_class)
{
	const struct kvmx_run *open = &p->open;

	return open->npages && open->slot == s->id && open->page_class == page_class &&
	       open->gfn + open->npages == s->gfn + start;
}

static bool no_room(const struct pass *p)
{
	return p->nr + p->nr_bounce + !!p->open.npages == p->room;
}

/* Adds a run, to the last one if it goes on from there. Returns false if there is no room. */
static bool put_run(struct pass *p, const struct kvmx_mslot *s, unsigned long start,
		    unsigned long n, u32 page_class)
{
	if (continues(p, s, start, page_class) && n <= U32_MAX - p->open.npages) {
		p->open.npages += n;
		return true;
	}
	if (no_room(p))
		return false;
	close_run(p);
	p->open = (struct kvmx_run) {
		.gfn = s->gfn + start,
		.npages = n,
		.slot = s->id,
		.page_class = page_class,
	};
	return true;
}

static u32 class_of(const struct kvmx_mslot *s)
{
	return s->unloggable ? KVMX_CLASS_UNLOGGED :
	       s->kvm_flags & KVM_MEM_READONLY ? KVMX_CLASS_READONLY :
	       KVMX_CLASS_NORMAL;
}

static void count_pages(struct pass *p, u64 n)
{
	p->pages += n;
	p->budget -= min(n, p->budget);
}

/* Returns pages from @start on, and how many of them there was room for. */
static unsigned long emit(struct pass *p, const struct kvmx_mslot *s, unsigned long start,
			  unsigned long n, u32 page_class)
{
	unsigned long done = 0;

	n = min_t(u64, n, round_up(min_t(u64, p->budget, U32_MAX), BITS_PER_LONG));
	while (done < n) {
		unsigned long len = min_t(unsigned long, n - done, U32_MAX);
		bool absent = false;

		/* Of private memory (guest_memfd) the address says nothing. */
		if (p->mm && !(s->kvm_flags & KVM_MEM_GUEST_MEMFD))
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
	if (page_class == KVMX_CLASS_UNLOGGED || page_class == KVMX_CLASS_DMA)
		p->unseen += done;
	count_pages(p, done);
	return done;
}

/*
 * Writes the runs of a bitmap that begins at page @base straight to user space: what is all over
 * the place makes as many runs as pages, and each would be copied twice. The last run stays open.
 * Returns the page where there was no room any more, or the end of the bitmap, or -EFAULT.
 */
static long put_word_runs(struct pass *p, const struct kvmx_mslot *s, unsigned long base,
			  const unsigned long *words, unsigned long nr)
{
	struct kvmx_run __user *to = p->uruns + p->nr, *end = p->uruns + p->room;
	const u32 id = s->id, page_class = class_of(s);
	/* Of the open run: counted from the memslot's first page. */
	unsigned long first = p->open.gfn - s->gfn, last = first + p->open.npages;
	unsigned long i, pages = 0, stop = base + nr * BITS_PER_LONG;

	if (!user_access_begin(to, (end - to) * sizeof(*to)))
		return -EFAULT;
	for (i = 0; i < nr; i++, base += BITS_PER_LONG) {
		unsigned long word = words[i], bit = 0, rest, n;

		while (word >> bit) {
			bit += __ffs(word >> bit);
			rest = ~(word >> bit);
			n = rest ? __ffs(rest) : BITS_PER_LONG;
			if (base + bit != last) {
				if (to + 1 == end) {
					stop = base + bit;
					goto out;
				}
				unsafe_put_user(s->gfn + first, &to->gfn, fault);
				unsafe_put_user((u32)(last - first), &to->npages, fault);
				unsafe_put_user(id, &to->slot, fault);
				unsafe_put_user(page_class, &to->page_class, fault);
				unsafe_put_user(0, &to->__reserved, fault);
				to++;
				first = base + bit;
			}
			bit += n;
			last = base + bit;
			pages += n;
			if (bit == BITS_PER_LONG)
				break;
		}
	}
out:
	user_access_end();
	p->nr = to - p->uruns;
	p->open.gfn = s->gfn + first;
	p->open.npages = last - first;
	count_pages(p, pages);
	return stop;
fault:
	user_access_end();
	return -EFAULT;
}

/*
 * Returns pages of the bitmap in kvmx_vm.words, from page @pos on; updates it. Returns 1 if there
 * is no more room.
 */
static int emit_words(struct pass *p, const struct kvmx_mslot *s, const struct kvmx_seg *seg,
		      unsigned long *pos)
{
	unsigned long base = seg->first * BITS_PER_LONG, nr = seg->nr * BITS_PER_LONG;
	unsigned long *words = p->t->vm->words;
	unsigned long i, n, start;
	long stop;

	/* What lies before the cursor waits in the set for the next pass. */
	if (*pos > base)
		words[0] &= ~0UL << (*pos - base);
	start = find_first_bit(words, nr);
	if (start == nr)
		return 0;
	start += base;
	if (!continues(p, s, start, class_of(s))) {
		if (no_room(p)) {
			*pos = start;
			return 1;
		}
		close_run(p);
		p->open = (struct kvmx_run) {
			.gfn = s->gfn + start,
			.slot = s->id,
			.page_class = class_of(s),
		};
	}
	flush_runs(p);
	if (p->err)
		return p->err;
	for (i = 0; i < seg->nr; i += n) {
		n = min(seg->nr - i, BURST_WORDS);
		stop = put_word_runs(p, s, base + i * BITS_PER_LONG, words + i, n);
		if (stop < 0)
			return stop;
		*pos = stop;
		if (stop < base + (i + n) * BITS_PER_LONG)
			return 1;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/*
 * Returns pages from *@pos to @to that are in a DMA range and else clean; updates *@pos. Returns
 * whether there is no more room.
 */
static bool emit_dma(struct pass *p, const struct kvmx_mslot *s, unsigned long *pos,
		     unsigned long to)
{
	struct kvmx_extent e;
	unsigned long done;

	while (p->dma && *pos < to && kvmx_dma_next(p->t->vm, s, *pos, to, &e)) {
		done = emit(p, s, e.start, e.npages, KVMX_CLASS_DMA);
		*pos = e.start + done;
		if (done < e.npages || (!p->budget && *pos < s->npages))
			return true;
	}
	*pos = max(*pos, to);
	return false;
}

/* Returns pages of the set in [@pos, @end); updates @pos. Returns 1 if there is no more room. */
static int emit_pend(struct pass *p, u32 i, unsigned long end, unsigned long *pos)
{
	const struct kvmx_mslot *s = &p->t->vm->slots->slot[i];
	struct kvmx_extent *e;
	unsigned long done;
	u32 nr;

	while (*pos < end) {
		nr = kvmx_pend_extents(p->t->pend[i], *pos, end, p->ext, BOUNCE_RUNS);
		for (e = p->ext; e < p->ext + nr; e++) {
			if (emit_dma(p, s, pos, e->start))
				return 1;
			done = emit(p, s, e->start, e->npages, class_of(s));
			*pos = e->start + done;
			if (done < e->npages || (!p->budget && *pos < s->npages))
				return 1;
		}
		if (nr < BOUNCE_RUNS)
			break;
	}
	return emit_dma(p, s, pos, end);
}

/*
 * Moves dirty bits of a memslot from KVM's bitmap to all trackers, from page @from on, and leaves
 * them in kvmx_vm.words.
 */
static int collect(struct kvmx_vm *vm, u32 i, unsigned long from, u64 budget,
		   struct kvmx_seg *seg)
{
	const struct kvmx_mslot *s = &vm->slots->slot[i];
	struct kvmx_tracker *t;
	int err;

	*seg = (struct kvmx_seg) { .end_page = s->npages };
	if (vm->ring || !(s->kvm_flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	err = kvmx_log_read(vm, s, from, budget, seg);
	if (err || !seg->nr)
		return err;
	err = kvmx_log_clear(vm, s, seg->first, seg->nr);
	if (err)
		return err;
	list_for_each_entry(t, &vm->trackers, node)
		kvmx_pend_add_words(t->pend[i], seg->first, vm->words, seg->nr);
	vm->stats.collected_pages += seg->pages;
	return 0;
}

static int collect_slots(struct kvmx_vm *vm)
{
	struct kvmx_seg seg;
	unsigned long pos;
	int err;
	u32 i;

	for (i = 0; i < vm->slots->nr; i++) {
		for (pos = 0; pos < vm->slots->slot[i].npages; pos = seg.end_page) {
			err = collect(vm, i, pos, U64_MAX, &seg);
			if (err)
				return err;
			if (fatal_signal_pending(current))
				return -EINTR;
			cond_resched();
		}
	}
	vm->slots->cleared = true;
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
	int err;

	kvmx_log_flush(vm);
	if (vm->ring)
		return kvmx_ring_drain(vm);
	err = collect_slots(vm);
	kvmx_log_rest(vm);
	return err;
}

/* Returns pages of a memslot from @pos on; updates it. Returns 1 if there is no more room. */
static int take_slot(struct pass *p, u32 i, unsigned long *pos)
{
	struct kvmx_vm *vm = p->t->vm;
	const struct kvmx_mslot *s = &vm->slots->slot[i];
	struct kvmx_extent dma;
	struct kvmx_seg seg;
	bool direct;
	int ret;

	if (s->unloggable) {
		*pos += emit(p, s, *pos, s->npages - *pos, class_of(s));
		return *pos < s->npages;
	}
	/* The set will have nothing but what is in kvmx_vm.words: no need to look for it there. */
	direct = !p->mm && kvmx_pend_empty(p->t->pend[i]) &&
		 !(p->dma && kvmx_dma_next(vm, s, *pos, s->npages, &dma));
	while (*pos < s->npages) {
		ret = collect(vm, i, *pos, p->budget, &seg);
		if (ret)
			return ret;
		if (direct)
			ret = seg.nr ? emit_words(p, s, &seg, pos) : 0;
		else
			ret = emit_pend(p, i, seg.end_page, pos);
		if (ret)
			return ret;
		*pos = seg.end_page;
		if (!p->budget && *pos < s->npages)
			return 1;
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
		*pos += emit(p, s, *pos, s->npages - *pos, class_of(s));
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
			if (emit_dma(p, s, pos, base + start))
				return 1;
			if (start == len)
				break;
			n = find_next_zero_bit(vm->words, len, start) - start;
			done = emit(p, s, base + start, n, class_of(s));
			*pos = base + start + done;
			if (done < n || (!p->budget && *pos < s->npages))
				return 1;
		}
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

/* Whether a pass that begins now has to return the pages of DMA ranges. */
static bool dma_due(const struct kvmx_tracker *t, u64 quiet)
{
	return t->vm->nr_dma && (!quiet || quiet != t->dma_done);
}

static u64 vm_quiet(struct kvmx_vm *vm)
{
	return vm->nr_dma ? kvmx_quiet(vm) : 0;
}

static void pass_begin(struct kvmx_tracker *t)
{
	/* Or one before was given up after it had taken something. */
	t->pass_bad = t->disturbed || (t->in_pass && (t->pass_bad || t->pass_pages));
	t->in_pass = true;
	t->disturbed = false;
	t->pass_start = ktime_get_ns();
	t->pass_pages = 0;
	t->dma_pass = vm_quiet(t->vm);
	t->dma = dma_due(t, t->dma_pass);
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
	t->dma_done = t->dma_pass;
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
	} else if (cursor != t->cursor) {
		/* Who leaves pages out has not seen all that devices have written. */
		t->dma_pass = 0;
		t->dma = t->vm->nr_dma;
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
	if (!peek && !first && !start && i == s->nr)
		s->cleared = true;
	close_run(p);
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
	t->pass_pages += p->pages - p->unseen;
	t->vm->stats.harvests++;
	t->cursor = a->cursor;
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
	if (a->flags & KVMX_HARVEST_ABSENT)
		p.mm = vm->mm;
	if (a->flags & KVMX_HARVEST_COLLECT)
		err = collect_only(t, call);
	else
		err = peek ? peek_prepare(t) : pass_prepare(t, a->cursor);
	p.dma = peek ? dma_due(t, vm_quiet(vm)) : t->dma;
	if (!err && !(a->flags & KVMX_HARVEST_COLLECT))
		err = run_pass(&p, call, peek);
	if (!peek)
		kvmx_log_rest(vm);
	trace_kvmx_harvest(vm->id, t->id, a->flags, p.pages, p.nr, vm->stats.clear_calls - clears,
			   ktime_get_ns() - begin, err);
	return err;
}
