/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMX_PEND_H
#define KVMX_PEND_H

#include <linux/types.h>

#define KVMX_CHUNK_PAGES	32768UL			/* a bitmap of 4 KiB */
#define KVMX_CHUNK_WORDS	(KVMX_CHUNK_PAGES / 64)
#define KVMX_LINE_WORDS		8UL			/* a cache line of that bitmap */

/**
 * struct kvmx_chunk - the pending pages of 128 MiB of guest memory
 * @lines: bit n is set if cache line n of @bits has a bit set
 * @bits: the bitmap, NULL until a page of the chunk was pending without all others
 */
struct kvmx_chunk {
	u64 lines;
	unsigned long *bits;
};

/**
 * struct kvmx_pend - a set of pages of one memslot
 * @npages: pages of the memslot
 * @nr_some: chunks that have a page in the set
 * @over: pages that were added without need, for lack of memory; U32_MAX: or more
 * @chunk: the chunks. Behind them lie two bitmaps with a bit for each chunk: whether a page of it
 *	is in the set, and whether all are; of the latter, @bits is all zero
 *
 * Finding the next page costs as much as there are pages in the set, not as there are pages in the
 * memslot, and a memslot that is wholly in the set needs no bitmap. Adding never fails: without
 * memory for a bitmap the whole chunk is added, which costs work and loses nothing.
 *
 * The caller serializes.
 */
struct kvmx_pend {
	unsigned long npages;
	u32 nr_some;
	u32 over;
	struct kvmx_chunk chunk[];
};

/**
 * struct kvmx_extent - consecutive pages of a set
 * @start: first page
 * @npages: pages
 */
struct kvmx_extent {
	unsigned long start;
	unsigned long npages;
};

struct kvmx_pend *kvmx_pend_alloc(unsigned long npages);
void kvmx_pend_free(struct kvmx_pend *p);
void kvmx_pend_fill(struct kvmx_pend *p);
void kvmx_pend_add(struct kvmx_pend *p, unsigned long start, unsigned long npages);
void kvmx_pend_add_words(struct kvmx_pend *p, unsigned long first_word,
			 const unsigned long *words, unsigned long nr_words);
void kvmx_pend_del(struct kvmx_pend *p, unsigned long start, unsigned long npages);
u32 kvmx_pend_extents(const struct kvmx_pend *p, unsigned long from, unsigned long to,
		      struct kvmx_extent *ext, u32 max);
u64 kvmx_pend_count(const struct kvmx_pend *p);
u64 kvmx_pend_bytes(const struct kvmx_pend *p);

/**
 * kvmx_pend_empty() - whether there is no page in the set
 * @p: the set
 *
 * Return: that.
 */
static inline bool kvmx_pend_empty(const struct kvmx_pend *p)
{
	return !p->nr_some;
}

#endif /* KVMX_PEND_H */
