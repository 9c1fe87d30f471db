/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * What the source knows of each page: whether it is to be sent, what was last sent for it, and
 * when it was last written. 16 bytes and a bit per page, nothing else grows with the guest.
 */
#ifndef _LIBKVMX_PAGES_H
#define _LIBKVMX_PAGES_H

#include "heat.h"

#define PAGES_HASH	(~0ULL >> 9)	/* the bits of high that are hash */

/*
 * 119 bits of XXH3 128 of what was last sent (all 0: nothing); in high's top bits whether the page
 * is written repeatedly (1 bit), and the stamp (8 bits).
 */
struct page_entry {
	uint64_t low;
	uint64_t high;
};

struct pages {
	uint64_t total;
	uint64_t nr_pending;
	uint64_t bytes;			/* allocated */
	uint64_t *pending;
	uint64_t *warm;			/* blocks with a page that was written */
	struct page_entry *entry;	/* NULL: plain pre-copy has no use for it */
	struct heat heat;
	uint64_t aged;			/* where pages_age() goes on */
};

int pages_init(struct pages *p, uint64_t total, bool with_table, uint64_t quantum_ns);
void pages_free(struct pages *p);

/* The page differs, or may: it is to be sent. Nothing is learnt from it. */
void pages_want(struct pages *p, uint64_t idx);
/* Everything is to be sent. */
void pages_want_all(struct pages *p);
/* The present harvest has found the page dirty. */
void pages_dirty(struct pages *p, uint64_t idx);
/* The page is being sent, or need not be. */
void pages_done(struct pages *p, uint64_t idx);
/* Before a harvest is put in: step on in time. */
void pages_advance(struct pages *p, uint64_t now);

/* The next page from @from to before @end to be sent and of a class in @classes, or @end. */
uint64_t pages_next(const struct pages *p, uint64_t from, uint64_t end, uint32_t classes);
/* Up to @n pages that are to be sent, spread evenly over all of them; returns how many. */
uint32_t pages_spread(const struct pages *p, uint32_t n, uint64_t *idx);

/* The stamp, with HEAT_REPEAT, and HEAT_STAMP_WARM told apart. */
unsigned int pages_stamp(const struct pages *p, uint64_t idx);

/* Fingerprint of a page; never all 0, the other bits clear. */
struct page_entry pages_hash(const void *page);

static inline bool pages_same(const struct pages *p, uint64_t idx, struct page_entry hash)
{
	return p->entry[idx].low == hash.low && !((p->entry[idx].high ^ hash.high) & PAGES_HASH);
}

static inline bool pages_sent(const struct pages *p, uint64_t idx)
{
	return p->entry[idx].low || p->entry[idx].high & PAGES_HASH;
}

static inline void pages_note(struct pages *p, uint64_t idx, struct page_entry hash)
{
	p->entry[idx].low = hash.low;
	p->entry[idx].high = (p->entry[idx].high & ~PAGES_HASH) | hash.high;
}

#endif /* _LIBKVMX_PAGES_H */
