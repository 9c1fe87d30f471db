/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is in a page: a pure function of its index and of how often it was written.
 *
 * A write changes a word in each of eight cache lines and the header, not the whole page: what
 * migrates is the page either way, and the emulated hosts this runs on are slow.
 */
#ifndef GUEST_PAGES_H
#define GUEST_PAGES_H

#include <linux/types.h>
#include <stdbool.h>

#define PAGE_BYTES	4096
#define PAGE_WORDS	(PAGE_BYTES / 8)
#define PAGE_MAGIC	0x6b766d7867756573ULL

enum {
	WORD_MAGIC,
	WORD_INDEX,
	WORD_SEQ,
	WORD_SUM,
	WORD_PAYLOAD,
};

/* The payload words that a write changes: one in every 64. */
#define WORD_FIRST_MOVING	8
#define WORD_STRIDE		64

static inline __u64 page_mix(__u64 x)
{
	x *= 0x9e3779b97f4a7c15ULL;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 32;
}

static inline bool page_word_moves(unsigned int word)
{
	return word % WORD_STRIDE == WORD_FIRST_MOVING;
}

static inline __u64 page_word(__u64 index, __u64 seq, unsigned int word)
{
	return page_mix((index << 16 | word) + (page_word_moves(word) ? seq << 40 : 0));
}

/* page_touch - write what changes from one sequence number to the next */
static inline void page_touch(__u64 *page, __u64 index, __u64 seq)
{
	__u64 sum = 0;
	unsigned int i;

	page[WORD_MAGIC] = PAGE_MAGIC;
	page[WORD_INDEX] = index;
	page[WORD_SEQ] = seq;
	for (i = WORD_FIRST_MOVING; i < PAGE_WORDS; i += WORD_STRIDE) {
		__u64 value = page_word(index, seq, i);

		page[i] = value;
		sum = page_mix(sum ^ value);
	}
	page[WORD_SUM] = sum;
}

/* page_fill - write the whole page */
static inline void page_fill(__u64 *page, __u64 index, __u64 seq)
{
	unsigned int i;

	for (i = WORD_PAYLOAD; i < PAGE_WORDS; i++)
		page[i] = page_word(index, seq, i);
	page_touch(page, index, seq);
}

/* page_verify - the first word that is wrong, or -1 */
static inline int page_verify(const __u64 *page, __u64 index, __u64 seq)
{
	__u64 sum = 0;
	unsigned int i;

	if (page[WORD_MAGIC] != PAGE_MAGIC)
		return WORD_MAGIC;
	if (page[WORD_INDEX] != index)
		return WORD_INDEX;
	if (page[WORD_SEQ] != seq)
		return WORD_SEQ;
	for (i = WORD_PAYLOAD; i < PAGE_WORDS; i++) {
		__u64 value = page[i];

		if (value != page_word(index, seq, i))
			return i;
		if (page_word_moves(i))
			sum = page_mix(sum ^ value);
	}
	return page[WORD_SUM] == sum ? -1 : WORD_SUM;
}

#endif /* GUEST_PAGES_H */
