// SPDX-License-Identifier: GPL-2.0
/*
 * Estimate of what KSM can free. Pure: compiled for the kernel and for the unit tests alike.
 */
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "arith.h"
#include "estimate.h"

/**
 * DOC: How much can be merged
 *
 * When KSM is through, each content is there once, so what it frees is the number of pages less
 * the number of different contents. The pages are counted; the contents are too many to be
 * remembered. A sample of pages does not tell how many there are: of two equal pages it finds both
 * with the square of the probability of one, and how large the groups of equal pages are would
 * have to be known first.
 *
 * So the contents are sampled, not the pages. All pages are looked at, and those contents are
 * remembered whose hash is below a limit. Hashes are random, so a content is in the sample with
 * probability p = limit/2^64, however many pages have it, and if one VM has it in its sample, so
 * have all others. The number of contents is that in the sample divided by p. For each sample the
 * limit is as high as its memory allows: a full one drops the highest hashes.
 *
 * Accuracy: the number of contents, D, has the standard error sqrt(D (1 - p)/p): with k contents in
 * the sample, D/sqrt(k), which is 0.4 % of D for one VM with a sample of 1 MiB, and less for many.
 * The sizes of the groups of equal pages do not matter. p is 1 and the estimate exact for a VM
 * with no more contents than fit. The standard error that is reported comes from the contents in
 * the sample, each of which counts as one random event.
 *
 * A page whose content does not last until KSM has seen it twice is not merged. Each content has
 * one page, chosen at random, that is looked at again. If it has changed, all copies that the VM
 * has are taken to stay: right on average, and part of the error.
 * Only where that is so in all VMs a content is missed though some copies of it may last.
 *
 * Zero pages are many, so they are counted and not sampled. One KSM page stands for max_sharing
 * pages only, and more copies take more.
 *
 * VMs differ in size, and so do the limits of their samples. Taking the lowest for all would leave
 * almost nothing of the samples of small VMs next to a huge one. So there are classes of VMs by
 * limit, four times from one to the next. The VMs with the highest limits are counted alone, up to
 * the lowest limit among them; then, with the sample of the next class, what changes when those VMs
 * come in; and so on. Each of these differences is right on average, so their sum is, too. Of one
 * content that adds up to x, with the value x(c) when the classes up to c are known, it is the sum
 * of (x(c) - x(c-1))/p(c); its variance is estimated without bias by the square of that less the
 * sum of (x(c)^2 - x(c-1)^2)/p(c).
 *
 * Amounts are in 1/65536 of a page, where 64 TiB take 50 bits. What one content adds is at most
 * 2^52 of these, or 256 TiB, so the squares of 2^22 of the largest fit 127 bits.
 */

#define ONE_SHIFT	16
#define ONE		BIT_ULL(ONE_SHIFT)

/* standard errors to either side that hold 95 times in 100 */
#define CONFIDENCE	2

#define MAX_AMOUNT	BIT_ULL(52)

#define NONE		(~0U)

/**
 * kvmx_ksm_sketch_bytes() - memory of a sketch
 * @cap: contents, KVMX_KSM_SKETCH_MIN to _MAX; KVMX_KSM_SKETCH_TAIL of them are room to sort
 *
 * Return: bytes to be allocated.
 */
size_t kvmx_ksm_sketch_bytes(u32 cap)
{
	return offsetof(struct kvmx_ksm_sketch, e) + (size_t)cap * sizeof(struct kvmx_ksm_content);
}

/**
 * kvmx_ksm_sketch_init() - begin with no pages
 * @s: memory of kvmx_ksm_sketch_bytes(@cap) bytes
 * @cap: see kvmx_ksm_sketch_bytes()
 * @seed: any number
 */
void kvmx_ksm_sketch_init(struct kvmx_ksm_sketch *s, u32 cap, u64 seed)
{
	memset(s, 0, offsetof(struct kvmx_ksm_sketch, tail));
	s->limit = U64_MAX;
	s->rnd = seed | 1;
	s->cap = cap;
}

/* xorshift: good enough to choose a page */
static u64 next_random(struct kvmx_ksm_sketch *s)
{
	s->rnd ^= s->rnd << 13;
	s->rnd ^= s->rnd >> 7;
	s->rnd ^= s->rnd << 17;
	return s->rnd;
}

static int compare(const void *a, const void *b)
{
	const struct kvmx_ksm_content *l = a, *r = b;

	if (l->hash != r->hash)
		return l->hash < r->hash ? -1 : 1;
	/* the same result whatever sort() does with equals */
	return l->page < r->page ? -1 : l->page > r->page;
}

/* two parts of the pages with one content become one */
static void join(struct kvmx_ksm_sketch *s, struct kvmx_ksm_content *to,
		 const struct kvmx_ksm_content *from)
{
	u32 sum = to->copies + from->copies;

	if (mul_u64_u64_shr(next_random(s), sum, 64) < from->copies)
		to->page = from->page;
	to->copies = min(sum, KVMX_KSM_SKETCH_MAX_COPIES);
}

/* what is known already goes from the tail to where it is */
static void fold_tail(struct kvmx_ksm_sketch *s)
{
	struct kvmx_ksm_content *t = s->tail;
	u32 i, pos = 0, out = 0;

	for (i = 0; i < s->nr_tail; i++) {
		while (pos < s->nr && s->e[pos].hash < t[i].hash)
			pos++;
		if (pos < s->nr && s->e[pos].hash == t[i].hash)
			join(s, &s->e[pos], &t[i]);
		else if (out && t[out - 1].hash == t[i].hash)
			join(s, &t[out - 1], &t[i]);
		else
			t[out++] = t[i];
	}
	s->nr_tail = out;
}

static void flush(struct kvmx_ksm_sketch *s)
{
	u32 keep = s->cap - KVMX_KSM_SKETCH_TAIL;
	u32 from, to;

	sort(s->tail, s->nr_tail, sizeof(*s->tail), compare, NULL);
	fold_tail(s);
	from = s->nr;
	to = s->nr + s->nr_tail;
	s->nr = to;
	while (s->nr_tail) {
		if (from && s->e[from - 1].hash > s->tail[s->nr_tail - 1].hash)
			s->e[--to] = s->e[--from];
		else
			s->e[--to] = s->tail[--s->nr_tail];
	}
	if (s->nr > keep) {
		s->limit = s->e[keep].hash;
		s->nr = keep;
	}
}

/**
 * kvmx_ksm_sketch_add() - a page has been looked at
 * @s: the sketch
 * @hash: of its content: 64 bits as good as random, the same for the same content in all VMs, and
 *	not to be foreseen by a guest
 * @page: its number, at most KVMX_KSM_SKETCH_MAX_PAGE
 *
 * Each page is added once; pages with only zeroes are counted in @s->zero instead.
 */
void kvmx_ksm_sketch_add(struct kvmx_ksm_sketch *s, u64 hash, u64 page)
{
	s->pages++;
	/* U64_MAX is the limit that leaves nothing out */
	hash = min(hash, U64_MAX - 1);
	if (hash >= s->limit)
		return;
	s->tail[s->nr_tail++] = (struct kvmx_ksm_content) {
		.hash = hash,
		.page = page,
		.copies = 1,
	};
	if (s->nr_tail == KVMX_KSM_SKETCH_TAIL)
		flush(s);
}

/**
 * kvmx_ksm_sketch_end() - all pages are added
 * @s: the sketch
 */
void kvmx_ksm_sketch_end(struct kvmx_ksm_sketch *s)
{
	flush(s);
}

/**
 * kvmx_ksm_sketch_changed() - the page of a content has another content now, or is gone
 * @s: the sketch, complete
 * @i: the content, below @s->nr
 */
void kvmx_ksm_sketch_changed(struct kvmx_ksm_sketch *s, u32 i)
{
	s->e[i].changed = 1;
}

static u32 class_of(u64 limit)
{
	u32 class;

	if (limit == U64_MAX)
		return 0;
	class = limit ? 1 + (63 - ilog2(limit)) / 2 : KVMX_KSM_EST_CLASSES;
	return min(class, KVMX_KSM_EST_CLASSES - 1U);
}

/* pages that so many copies take when they are merged */
static u64 taken(u64 copies, u32 max_sharing)
{
	return copies / max_sharing + !!(copies % max_sharing);
}

static u64 hash_at(const struct kvmx_ksm_estimate *est, u32 slot)
{
	const struct kvmx_ksm_est_vm *vm = &est->vm[est->vm[slot].heap];

	return vm->s->e[vm->pos].hash;
}

static void swap_slots(struct kvmx_ksm_estimate *est, u32 a, u32 b)
{
	u32 vm = est->vm[a].heap;

	est->vm[a].heap = est->vm[b].heap;
	est->vm[b].heap = vm;
}

/* the heap has the VM with the lowest next hash on top; it lies across the array of VMs */
static void sift_down(struct kvmx_ksm_estimate *est, u32 slot)
{
	u32 child;

	while ((child = 2 * slot + 1) < est->nr_heap) {
		if (child + 1 < est->nr_heap && hash_at(est, child + 1) < hash_at(est, child))
			child++;
		if (hash_at(est, slot) <= hash_at(est, child))
			return;
		swap_slots(est, slot, child);
		slot = child;
	}
}

/* the VM on top is through with its content */
static void advance(struct kvmx_ksm_estimate *est)
{
	struct kvmx_ksm_est_vm *vm = &est->vm[est->vm[0].heap];

	vm->pos++;
	if (vm->pos >= vm->s->nr)
		swap_slots(est, 0, --est->nr_heap);
	sift_down(est, 0);
}

/**
 * kvmx_ksm_estimate_begin() - begin an estimate
 * @est: the estimate
 * @vm: VMs that may share with each other; only @vm->s is read
 * @nr: how many
 * @max_sharing: pages that one KSM page stands for at most, 2 or more
 * @zero_free: pages full of zeroes take no memory when merged
 *
 * The sketches may not change until the end.
 */
void kvmx_ksm_estimate_begin(struct kvmx_ksm_estimate *est, struct kvmx_ksm_est_vm *vm, u32 nr,
			     u32 max_sharing, bool zero_free)
{
	struct kvmx_ksm_est_class *c;
	u32 i;

	memset(est, 0, sizeof(*est));
	est->vm = vm;
	est->nr = nr;
	est->max_sharing = max(max_sharing, 2U);
	est->zero_free = zero_free;
	for (i = 0; i < KVMX_KSM_EST_CLASSES; i++)
		est->class[i].limit = U64_MAX;
	for (i = 0; i < nr; i++) {
		vm[i] = (struct kvmx_ksm_est_vm) {
			.s = vm[i].s,
			.class = class_of(vm[i].s->limit),
		};
		c = &est->class[vm[i].class];
		c->limit = min(c->limit, vm[i].s->limit);
	}
	for (i = 0; i < nr; i++) {
		if (vm[i].s->nr)
			vm[est->nr_heap++].heap = i;
	}
	for (i = est->nr_heap / 2; i--;)
		sift_down(est, i);
}

/* what there is if @x was found in the sample */
static u64 scale(u64 x, u64 limit)
{
	return kvmx_muldiv(x, U64_MAX, limit);
}

static u64 amount(u64 x, u64 limit)
{
	return min(scale(x, limit), MAX_AMOUNT);
}

/* a content counts @to now that a class with the lower @limit is known, and not @from any more */
static void sum_step(struct kvmx_ksm_est_sum *one, u64 from, u64 to, u64 limit)
{
	if (to >= from)
		one->plus += amount(to - from, limit);
	else
		one->minus += amount(from - to, limit);
	one->var += (__int128)from * amount(from, limit) - (__int128)to * amount(to, limit);
}

/* all classes are known */
static void sum_content(struct kvmx_ksm_est_sum *sum, const struct kvmx_ksm_est_sum *one)
{
	__int128 value = (__int128)one->plus - one->minus;

	sum->plus = kvmx_add(sum->plus, one->plus);
	sum->minus = kvmx_add(sum->minus, one->minus);
	sum->var += one->var + value * value;
}

static u64 sum_pages(const struct kvmx_ksm_est_sum *sum)
{
	return kvmx_sub(sum->plus, sum->minus) >> ONE_SHIFT;
}

/* the content at the top of the heap: a list of the VMs that have it, which go on to their next */
static u32 take_content(struct kvmx_ksm_estimate *est, u64 hash)
{
	const struct kvmx_ksm_content *e;
	struct kvmx_ksm_est_class *c;
	struct kvmx_ksm_est_vm *vm;
	u32 i, list = NONE;

	while (est->nr_heap && hash_at(est, 0) == hash) {
		i = est->vm[0].heap;
		vm = &est->vm[i];
		e = &vm->s->e[vm->pos];
		c = &est->class[vm->class];
		/* beyond the limit of the class, not all of its VMs know */
		if (hash < c->limit) {
			if (e->changed)
				c->unstable += e->copies;
			else
				c->stable += e->copies;
			vm->next = list;
			list = i;
		}
		advance(est);
	}
	return list;
}

static void count_content(struct kvmx_ksm_estimate *est)
{
	struct kvmx_ksm_est_sum one = {}, twins = {};
	u64 copies = 0, unstable = 0, stay = 0, n, twin = 0, kept;
	struct kvmx_ksm_est_class *c;

	est->nr_steps = 0;
	for (c = est->class; c < est->class + KVMX_KSM_EST_CLASSES; c++) {
		if (!c->stable && !c->unstable)
			continue;
		copies += c->stable;
		unstable += c->unstable;
		kept = taken(copies, est->max_sharing);
		n = (kept + unstable) << ONE_SHIFT;
		sum_step(&one, stay, n, c->limit);
		stay = n;
		n = copies > 1 ? kept << ONE_SHIFT : 0;
		sum_step(&twins, twin, n, c->limit);
		twin = n;
		est->step[est->nr_steps++] = (struct kvmx_ksm_est_step) {
			.limit = c->limit,
			.copies = copies,
			.kept = kept,
			.class = c - est->class,
		};
		c->stable = 0;
		c->unstable = 0;
	}
	sum_content(&est->sum, &one);
	sum_content(&est->twins, &twins);
}

static void count_vm(struct kvmx_ksm_estimate *est, struct kvmx_ksm_est_vm *vm)
{
	const struct kvmx_ksm_content *e = &vm->s->e[vm->pos - 1];
	const struct kvmx_ksm_est_step *s = est->step;
	u64 copies = e->copies, all = copies << ONE_SHIFT, stay = 0, n;
	struct kvmx_ksm_est_sum one = {};

	if (copies > 1) {
		vm->several += copies;
		vm->several_changed += e->changed ? copies : 0;
		vm->several_squares = kvmx_add(vm->several_squares, copies * copies);
	}
	vm->sum_alone += e->changed ? copies : taken(copies, est->max_sharing);
	vm->sum_unstable += e->changed ? copies : 0;
	for (; s < est->step + est->nr_steps; s++) {
		if (s->class < vm->class)
			continue;
		n = e->changed ? all : kvmx_muldiv(all, s->kept, s->copies);
		sum_step(&one, stay, n, s->limit);
		stay = n;
	}
	sum_content(&vm->sum, &one);
}

/**
 * kvmx_ksm_estimate_step() - go on with an estimate
 * @est: the estimate
 * @contents: how many contents to go on by; each takes time in proportion to the VMs that have it
 *
 * Return: whether there is more to do.
 */
bool kvmx_ksm_estimate_step(struct kvmx_ksm_estimate *est, u32 contents)
{
	u32 i;

	while (est->nr_heap && contents--) {
		i = take_content(est, hash_at(est, 0));
		count_content(est);
		for (; i != NONE; i = est->vm[i].next)
			count_vm(est, &est->vm[i]);
	}
	return est->nr_heap;
}

/*
 * Of a content with several copies one was looked at again. Which one is another chance, that is
 * greatest if all contents changed with the same probability.
 */
static __int128 second_look(const struct kvmx_ksm_est_vm *vm, u64 limit)
{
	u64 n = vm->several, squares;

	if (!n)
		return 0;
	squares = kvmx_muldiv(vm->several_squares, vm->several_changed, n);
	squares = kvmx_muldiv(squares, n - vm->several_changed, n);
	return (__int128)squares * amount(ONE, limit) << ONE_SHIFT;
}

static u64 root(__int128 x)
{
	u32 shift = 0;

	while (x >> (62 + shift))
		shift += 2;
	return int_sqrt(x >> shift) << shift / 2;
}

static u64 error_of(const struct kvmx_ksm_est_sum *sum, __int128 second)
{
	__int128 var = sum->var + second;

	return var > 0 ? CONFIDENCE * root(var) / ONE + 1 : 0;
}

static void end_vm(const struct kvmx_ksm_estimate *est, struct kvmx_ksm_est_vm *vm, u64 zero,
		   u64 zero_kept)
{
	u64 limit = est->class[vm->class].limit;
	u64 pages = vm->s->pages;

	vm->mergeable = kvmx_sub(pages, sum_pages(&vm->sum));
	vm->err = error_of(&vm->sum, second_look(vm, limit));
	vm->alone = min(kvmx_sub(pages, scale(vm->sum_alone, limit)), vm->mergeable);
	vm->unstable = min(scale(vm->sum_unstable, limit), pages);
	if (!vm->s->zero)
		return;
	vm->mergeable += vm->s->zero - kvmx_muldiv_up(zero_kept, vm->s->zero, zero);
	vm->alone += vm->s->zero;
	if (!est->zero_free)
		vm->alone -= taken(vm->s->zero, est->max_sharing);
}

/**
 * kvmx_ksm_estimate_end() - the results of an estimate
 * @est: the estimate; kvmx_ksm_estimate_step() has returned false
 */
void kvmx_ksm_estimate_end(struct kvmx_ksm_estimate *est)
{
	u64 zero = 0, zero_kept = 0, pages = 0;
	struct kvmx_ksm_est_vm *vm;
	__int128 second = 0;

	for (vm = est->vm; vm < est->vm + est->nr; vm++) {
		zero = kvmx_add(zero, vm->s->zero);
		pages = kvmx_add(pages, vm->s->pages);
	}
	if (!est->zero_free)
		zero_kept = taken(zero, est->max_sharing);
	for (vm = est->vm; vm < est->vm + est->nr; vm++) {
		end_vm(est, vm, zero, zero_kept);
		second += second_look(vm, est->class[vm->class].limit);
	}
	est->pages = kvmx_add(pages, zero);
	est->zero = zero - zero_kept;
	est->mergeable = kvmx_sub(pages, sum_pages(&est->sum)) + est->zero;
	est->err = error_of(&est->sum, second);
	est->contents = sum_pages(&est->twins) + (zero > 1 ? zero_kept : 0);
	est->copies = min(kvmx_add(est->mergeable, est->contents), est->pages);
}
