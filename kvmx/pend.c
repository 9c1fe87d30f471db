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

/**
 * kvmx_pend_alloc() - an empty set
 * @npages: pages of the memslot, at least 1
 *
 * Return: the set, or NULL without memory.
 */
struct kvmx_pend *kvmx_pend_alloc(unsigned long npages)
{
	unsigned long nr = DIV_ROUND_UP(npages, KVMX_CHUNK_PAGES);
	size_t map = BITS_TO_LONGS(nr) * sizeof(long);
	struct kvmx_pend *p;
	size_t size;

	size = struct_size(p, chunk, nr) + 2 * map;
	p = kvzalloc(size, GFP_KERNEL_ACCOUNT);
	if (!p)
		return NULL;
	p->npages = npages;
	p->nr_chunks = nr;
	p->bytes = size;
	p->some = (void *)&p->chunk[nr];
	p->full = (void *)p->some + map;
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
	for (i = 0; i < p->nr_chunks; i++)
		kfree(p->chunk[i].bits);
	kvfree(p);
}

static unsigned long chunk_pages(const struct kvmx_pend *p, unsigned long c)
{
	return min(KVMX_CHUNK_PAGES, p->npages - c * KVMX_CHUNK_PAGES);
}

static void chunk_zero(struct kvmx_chunk *ch)
{
	if (ch->lines)
		memset(ch->bits, 0, KVMX_CHUNK_WORDS * sizeof(long));
	ch->lines = 0;
}

static void chunk_fill(struct kvmx_pend *p, unsigned long c)
{
	chunk_zero(&p->chunk[c]);
	__set_bit(c, p->full);
	__set_bit(c, p->some);
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
		ch->bits = kcalloc(KVMX_CHUNK_WORDS, sizeof(long), GFP_KERNEL_ACCOUNT);
		if (!ch->bits) {
			if (!test_bit(c, p->full))
				p->over += n;
			chunk_fill(p, c);
			return false;
		}
		p->bytes += KVMX_CHUNK_WORDS * sizeof(long);
	}
	if (test_bit(c, p->full)) {
		bitmap_set(ch->bits, 0, n);
		ch->lines = GENMASK_ULL(DIV_ROUND_UP(n, LINE_PAGES) - 1, 0);
		__clear_bit(c, p->full);
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

	for (c = 0; c < p->nr_chunks; c++)
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
		if (test_bit(c, p->full))
			continue;
		if (n == chunk_pages(p, c)) {
			chunk_fill(p, c);
			continue;
		}
		if (!chunk_bits(p, c))
			continue;
		bitmap_set(p->chunk[c].bits, off, n);
		p->chunk[c].lines |= GENMASK_ULL((off + n - 1) / LINE_PAGES, off / LINE_PAGES);
		__set_bit(c, p->some);
	}
}

/* Whether a piece of a bitmap is all ones over the whole of chunk @c. */
static bool covers_chunk(const struct kvmx_pend *p, unsigned long c, unsigned long off,
			 const unsigned long *words, unsigned long nr_words)
{
	unsigned long n = chunk_pages(p, c);

	return !off && nr_words >= BITS_TO_LONGS(n) && bitmap_full(words, n);
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
		struct kvmx_chunk *ch = &p->chunk[c];
		unsigned long i;

		if (test_bit(c, p->full))
			goto next;
		if (covers_chunk(p, c, off, words, n)) {
			chunk_fill(p, c);
			goto next;
		}
		for (i = 0; i < n; i++) {
			if (!words[i])
				continue;
			if (!ch->bits && !chunk_bits(p, c))
				break;
			ch->bits[off + i] |= words[i];
			ch->lines |= BIT_ULL((off + i) / KVMX_LINE_WORDS);
			__set_bit(c, p->some);
		}
next:
		first_word += n;
		words += n;
		nr_words -= n;
	}
}

static void chunk_del(struct kvmx_pend *p, unsigned long c, unsigned long off, unsigned long n)
{
	struct kvmx_chunk *ch = &p->chunk[c];
	unsigned long line, last = (off + n - 1) / LINE_PAGES;

	if (!test_bit(c, p->some))
		return;
	if (n == chunk_pages(p, c)) {
		chunk_zero(ch);
		__clear_bit(c, p->full);
	} else {
		if (!chunk_bits(p, c)) {
			p->over += n;
			return;
		}
		bitmap_clear(ch->bits, off, n);
		for (line = off / LINE_PAGES; line <= last; line++) {
			if (!memchr_inv(ch->bits + line * KVMX_LINE_WORDS, 0, LINE_PAGES / 8))
				ch->lines &= ~BIT_ULL(line);
		}
	}
	if (!ch->lines)
		__clear_bit(c, p->some);
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

/* First page of the set in chunk @c at or after offset @off, KVMX_CHUNK_PAGES if there is none. */
static unsigned long chunk_next(const struct kvmx_pend *p, unsigned long c, unsigned long off)
{
	const struct kvmx_chunk *ch = &p->chunk[c];
	unsigned long line = off / LINE_PAGES;
	u64 lines;

	if (test_bit(c, p->full))
		return off < chunk_pages(p, c) ? off : KVMX_CHUNK_PAGES;
	for (lines = ch->lines >> line << line; lines; lines &= lines - 1) {
		unsigned long base = __ffs64(lines) * LINE_PAGES;
		unsigned long bit;

		bit = find_next_bit(ch->bits, base + LINE_PAGES, max(off, base));
		if (bit < base + LINE_PAGES)
			return bit;
	}
	return KVMX_CHUNK_PAGES;
}

/* First page not in the set in chunk @c at or after @off, or the pages of the chunk. */
static unsigned long chunk_next_gap(const struct kvmx_pend *p, unsigned long c, unsigned long off)
{
	unsigned long n = chunk_pages(p, c);

	if (test_bit(c, p->full))
		return n;
	if (!test_bit(c, p->some))
		return off;
	return find_next_zero_bit(p->chunk[c].bits, n, off);
}

/**
 * kvmx_pend_next() - find the next run of pages
 * @p: the set
 * @from: page to begin at
 * @npages: out: length of the run, at most U32_MAX
 *
 * Return: the first page of the run, or the pages of the memslot if there is none.
 */
unsigned long kvmx_pend_next(const struct kvmx_pend *p, unsigned long from, unsigned long *npages)
{
	unsigned long c = from / KVMX_CHUNK_PAGES;
	unsigned long off = from % KVMX_CHUNK_PAGES;
	unsigned long start, end;

	*npages = 0;
	for (;;) {
		c = find_next_bit(p->some, p->nr_chunks, c);
		if (c >= p->nr_chunks)
			return p->npages;
		if (c != from / KVMX_CHUNK_PAGES)
			off = 0;
		off = chunk_next(p, c, off);
		if (off < KVMX_CHUNK_PAGES)
			break;
		c++;
	}
	start = c * KVMX_CHUNK_PAGES + off;
	do {
		off = chunk_next_gap(p, c, off);
		end = c * KVMX_CHUNK_PAGES + off;
		if (off < KVMX_CHUNK_PAGES || end - start > U32_MAX)
			break;
		off = 0;
		c++;
	} while (c < p->nr_chunks);
	*npages = min_t(unsigned long, end - start, U32_MAX);
	return start;
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

	for_each_set_bit(c, p->some, p->nr_chunks) {
		if (test_bit(c, p->full))
			sum += chunk_pages(p, c);
		else
			sum += bitmap_weight(p->chunk[c].bits, KVMX_CHUNK_PAGES);
	}
	return sum;
}
