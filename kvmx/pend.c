// SPDX-License-Identifier: GPL-2.0
/*
 * A set of pages of one memslot, in three levels: chunks that are not empty, cache lines of a
 * chunk that are not empty, bits. No locks, no KVM: tested in user space.
 */
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "pend.h"

#define LINE_PAGES	(KVMX_LINE_WORDS * BITS_PER_LONG)

static unsigned long nr_chunks(unsigned long npages)
{
	return DIV_ROUND_UP(npages, KVMX_CHUNK_PAGES);
}

/* Which chunks have a page in the set. */
static unsigned long *some(const struct kvmx_pend *p)
{
	return (unsigned long *)&p->chunk[nr_chunks(p->npages)];
}

/* Which chunks have all their pages in the set. */
static unsigned long *full(const struct kvmx_pend *p)
{
	return some(p) + BITS_TO_LONGS(nr_chunks(p->npages));
}

static void set_some(struct kvmx_pend *p, unsigned long c)
{
	p->nr_some += !test_bit(c, some(p));
	__set_bit(c, some(p));
}

static void clear_some(struct kvmx_pend *p, unsigned long c)
{
	p->nr_some -= test_bit(c, some(p));
	__clear_bit(c, some(p));
}

static void add_over(struct kvmx_pend *p, unsigned long npages)
{
	p->over = min_t(u64, p->over + (u64)npages, U32_MAX);
}

static size_t struct_bytes(unsigned long npages)
{
	unsigned long nr = nr_chunks(npages);

	return sizeof(struct kvmx_pend) + nr * sizeof(struct kvmx_chunk) +
	       2 * BITS_TO_LONGS(nr) * sizeof(long);
}

static unsigned long chunk_pages(const struct kvmx_pend *p, unsigned long c)
{
	return min(KVMX_CHUNK_PAGES, p->npages - c * KVMX_CHUNK_PAGES);
}

/* A chunk's bitmap has whole cache lines. */
static size_t chunk_words(const struct kvmx_pend *p, unsigned long c)
{
	return DIV_ROUND_UP(chunk_pages(p, c), LINE_PAGES) * KVMX_LINE_WORDS;
}

/**
 * kvmx_pend_alloc() - an empty set
 * @npages: pages of the memslot, at least 1
 *
 * Return: the set, or NULL without memory.
 */
struct kvmx_pend *kvmx_pend_alloc(unsigned long npages)
{
	struct kvmx_pend *p;

	p = kvzalloc(struct_bytes(npages), GFP_KERNEL_ACCOUNT);
	if (p)
		p->npages = npages;
	return p;
}

/**
 * kvmx_pend_free() - free a set
 * @p: the set, or NULL
 */
void kvmx_pend_free(struct kvmx_pend *p)
{
	unsigned long i;

	if (!p)
		return;
	for (i = 0; i < nr_chunks(p->npages); i++)
		kfree(p->chunk[i].bits);
	kvfree(p);
}

/* Mostly a harvest returned what a chunk had, and that was little: only its lines are touched. */
static void chunk_zero(struct kvmx_pend *p, unsigned long c)
{
	struct kvmx_chunk *ch = &p->chunk[c];
	unsigned long *line;
	u64 lines;

	for (lines = ch->lines; lines; lines &= lines - 1) {
		line = ch->bits + __ffs64(lines) * KVMX_LINE_WORDS;
		memset(line, 0, KVMX_LINE_WORDS * sizeof(long));
	}
	ch->lines = 0;
}

static void chunk_fill(struct kvmx_pend *p, unsigned long c)
{
	chunk_zero(p, c);
	__set_bit(c, full(p));
	set_some(p, c);
}

/*
 * Makes sure that chunk @c has a bitmap that says all there is to say. Without memory the chunk
 * becomes, or stays, full: too much is in the set, never too little.
 */
static bool chunk_bits(struct kvmx_pend *p, unsigned long c)
{
	struct kvmx_chunk *ch = &p->chunk[c];
	unsigned long n = chunk_pages(p, c);

	if (!ch->bits) {
		ch->bits = kcalloc(chunk_words(p, c), sizeof(long), GFP_KERNEL_ACCOUNT);
		if (!ch->bits) {
			if (!test_bit(c, full(p)))
				add_over(p, n);
			chunk_fill(p, c);
			return false;
		}
	}
	if (test_bit(c, full(p))) {
		bitmap_set(ch->bits, 0, n);
		ch->lines = GENMASK_ULL(DIV_ROUND_UP(n, LINE_PAGES) - 1, 0);
		__clear_bit(c, full(p));
	}
	return true;
}

/**
 * kvmx_pend_fill() - add every page of the memslot
 * @p: the set
 */
void kvmx_pend_fill(struct kvmx_pend *p)
{
	unsigned long c;

	for (c = 0; c < nr_chunks(p->npages); c++)
		chunk_fill(p, c);
}

/**
 * kvmx_pend_add() - add pages
 * @p: the set
 * @start: first page
 * @npages: pages; start + npages is at most the pages of the memslot
 */
void kvmx_pend_add(struct kvmx_pend *p, unsigned long start, unsigned long npages)
{
	unsigned long end = start + npages;

	while (start < end) {
		unsigned long c = start / KVMX_CHUNK_PAGES;
		unsigned long off = start % KVMX_CHUNK_PAGES;
		unsigned long n = min(end - start, KVMX_CHUNK_PAGES - off);

		start += n;
		if (test_bit(c, full(p)))
			continue;
		if (n == chunk_pages(p, c)) {
			chunk_fill(p, c);
			continue;
		}
		if (!chunk_bits(p, c))
			continue;
		bitmap_set(p->chunk[c].bits, off, n);
		p->chunk[c].lines |= GENMASK_ULL((off + n - 1) / LINE_PAGES, off / LINE_PAGES);
		set_some(p, c);
	}
}

/* Whether a piece of a bitmap is all ones over the whole of chunk @c. */
static bool covers_chunk(const struct kvmx_pend *p, unsigned long c, unsigned long off,
			 const unsigned long *words, unsigned long nr_words)
{
	unsigned long n = chunk_pages(p, c);

	return !off && nr_words >= BITS_TO_LONGS(n) && bitmap_full(words, n);
}

/* Adds words to chunk @c, from its word @off on. */
static void add_chunk_words(struct kvmx_pend *p, unsigned long c, unsigned long off,
			    const unsigned long *words, unsigned long nr_words)
{
	struct kvmx_chunk *ch = &p->chunk[c];
	unsigned long i;
	u64 lines = 0;

	for (i = 0; i < nr_words; i++) {
		if (!words[i])
			continue;
		if (!ch->bits && !chunk_bits(p, c))
			return;
		ch->bits[off + i] |= words[i];
		lines |= BIT_ULL((off + i) / KVMX_LINE_WORDS);
	}
	if (!lines)
		return;
	ch->lines |= lines;
	set_some(p, c);
}

/**
 * kvmx_pend_add_words() - add the pages of a bitmap
 * @p: the set
 * @first_word: where in the memslot's bitmap @words begins, in words of 64 pages
 * @words: the bitmap; bits beyond the memslot must be 0
 * @nr_words: words in it
 */
void kvmx_pend_add_words(struct kvmx_pend *p, unsigned long first_word,
			 const unsigned long *words, unsigned long nr_words)
{
	while (nr_words) {
		unsigned long c = first_word / KVMX_CHUNK_WORDS;
		unsigned long off = first_word % KVMX_CHUNK_WORDS;
		unsigned long n = min(nr_words, KVMX_CHUNK_WORDS - off);

		if (!test_bit(c, full(p))) {
			if (covers_chunk(p, c, off, words, n))
				chunk_fill(p, c);
			else
				add_chunk_words(p, c, off, words, n);
		}
		first_word += n;
		words += n;
		nr_words -= n;
	}
}

static void chunk_del(struct kvmx_pend *p, unsigned long c, unsigned long off, unsigned long n)
{
	struct kvmx_chunk *ch = &p->chunk[c];
	unsigned long line, last = (off + n - 1) / LINE_PAGES;

	if (!test_bit(c, some(p)))
		return;
	if (n == chunk_pages(p, c)) {
		chunk_zero(p, c);
		__clear_bit(c, full(p));
	} else {
		if (!chunk_bits(p, c)) {
			add_over(p, n);
			return;
		}
		bitmap_clear(ch->bits, off, n);
		for (line = off / LINE_PAGES; line <= last; line++) {
			if (!memchr_inv(ch->bits + line * KVMX_LINE_WORDS, 0, LINE_PAGES / 8))
				ch->lines &= ~BIT_ULL(line);
		}
	}
	if (!ch->lines)
		clear_some(p, c);
}

/**
 * kvmx_pend_del() - remove pages
 * @p: the set
 * @start: first page
 * @npages: pages; start + npages is at most the pages of the memslot
 *
 * Without memory to remember which pages of a full chunk are left, it stays full.
 */
void kvmx_pend_del(struct kvmx_pend *p, unsigned long start, unsigned long npages)
{
	unsigned long end = start + npages;

	while (start < end) {
		unsigned long off = start % KVMX_CHUNK_PAGES;
		unsigned long n = min(end - start, KVMX_CHUNK_PAGES - off);

		chunk_del(p, start / KVMX_CHUNK_PAGES, off, n);
		start += n;
	}
}

/* Extents under construction. */
struct extents {
	struct kvmx_extent *ext;
	u32 nr;
	u32 max;
};

/* Adds pages, to the last extent if they follow it. Returns false if there is no room. */
static inline bool extents_add(struct extents *e, unsigned long start, unsigned long npages)
{
	struct kvmx_extent *last = e->nr ? &e->ext[e->nr - 1] : NULL;

	if (last && last->start + last->npages == start) {
		last->npages += npages;
		return true;
	}
	if (e->nr == e->max)
		return false;
	e->ext[e->nr++] = (struct kvmx_extent) { .start = start, .npages = npages };
	return true;
}

/* Adds the pages of a word of a bitmap that begins at page @base. */
static inline bool extents_add_word(struct extents *e, unsigned long base, unsigned long word)
{
	unsigned long bit, rest, n;

	while (word) {
		bit = __ffs(word);
		rest = ~(word >> bit);
		n = rest ? __ffs(rest) : BITS_PER_LONG;
		if (!extents_add(e, base + bit, n))
			return false;
		if (bit + n >= BITS_PER_LONG)
			break;
		word &= ~0UL << (bit + n);
	}
	return true;
}

/* Adds the pages of chunk @c in [@from, @to), both counted from the chunk's first page. */
static bool extents_add_chunk(struct extents *e, const struct kvmx_pend *p, unsigned long c,
			      unsigned long from, unsigned long to)
{
	const struct kvmx_chunk *ch = &p->chunk[c];
	unsigned long base = c * KVMX_CHUNK_PAGES;
	unsigned long line = from / LINE_PAGES;
	u64 lines = ch->lines >> line << line;

	if (test_bit(c, full(p)))
		return extents_add(e, base + from, to - from);
	for (; lines; lines &= lines - 1) {
		unsigned long w = __ffs64(lines) * KVMX_LINE_WORDS, end = w + KVMX_LINE_WORDS;

		w = max(w, from / BITS_PER_LONG);
		for (; w < end && w * BITS_PER_LONG < to; w++) {
			unsigned long word = ch->bits[w];

			if (!word)
				continue;
			if (w == from / BITS_PER_LONG)
				word &= ~0UL << from % BITS_PER_LONG;
			if (w == to / BITS_PER_LONG)
				word &= ~(~0UL << to % BITS_PER_LONG);
			if (!extents_add_word(e, base + w * BITS_PER_LONG, word))
				return false;
		}
	}
	return true;
}

/**
 * kvmx_pend_extents() - list the pages of the set
 * @p: the set
 * @from: page to begin at
 * @to: page to end before, at most the pages of the memslot
 * @ext: out: the extents, none of which touches the next
 * @max: room in @ext, at least 1
 *
 * Return: how many extents were written. If that is @max, there may be more behind the last.
 */
u32 kvmx_pend_extents(const struct kvmx_pend *p, unsigned long from, unsigned long to,
		      struct kvmx_extent *ext, u32 max)
{
	struct extents e = { .ext = ext, .max = max };
	unsigned long c = from / KVMX_CHUNK_PAGES, nr = nr_chunks(to);

	for (c = find_next_bit(some(p), nr, c); c < nr; c = find_next_bit(some(p), nr, c + 1)) {
		unsigned long base = c * KVMX_CHUNK_PAGES;
		unsigned long lo = max(from, base) - base;
		unsigned long hi = min(to - base, chunk_pages(p, c));

		if (lo < hi && !extents_add_chunk(&e, p, c, lo, hi))
			break;
	}
	return e.nr;
}

/**
 * kvmx_pend_count() - how many pages are in the set
 * @p: the set
 *
 * Return: pages.
 */
u64 kvmx_pend_count(const struct kvmx_pend *p)
{
	unsigned long c;
	u64 sum = 0;

	for_each_set_bit(c, some(p), nr_chunks(p->npages)) {
		if (test_bit(c, full(p)))
			sum += chunk_pages(p, c);
		else
			sum += bitmap_weight(p->chunk[c].bits, chunk_pages(p, c));
	}
	return sum;
}

/**
 * kvmx_pend_bytes() - how much memory a set holds
 * @p: the set
 *
 * Return: bytes.
 */
u64 kvmx_pend_bytes(const struct kvmx_pend *p)
{
	u64 sum = struct_bytes(p->npages);
	unsigned long c;

	for (c = 0; c < nr_chunks(p->npages); c++) {
		if (p->chunk[c].bits)
			sum += chunk_words(p, c) * sizeof(long);
	}
	return sum;
}
