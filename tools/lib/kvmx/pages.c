// SPDX-License-Identifier: LGPL-2.1
#include <errno.h>
#include <sys/mman.h>

#include "hash.h"
#include "pages.h"

#define ALL_CLASSES	(~0U)
/* Quanta in which every entry is looked at once: stale ones must be found before the cycle ends. */
#define AGE_ROUND	40

static void *map(struct pages *p, uint64_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return NULL;
	p->bytes += bytes;
	return mem;
}

static uint64_t bitmap_bytes(uint64_t bits)
{
	return (bits + 63) / 64 * 8;
}

static uint64_t nr_blocks(const struct pages *p)
{
	return (p->total + HEAT_BLOCK - 1) / HEAT_BLOCK;
}

int pages_init(struct pages *p, uint64_t total, bool with_table, uint64_t quantum_ns)
{
	memset(p, 0, sizeof(*p));
	hash_choose();
	p->total = total;
	heat_init(&p->heat, total, quantum_ns, now_ns());
	p->pending = map(p, bitmap_bytes(total));
	p->warm = map(p, bitmap_bytes(nr_blocks(p)));
	if (with_table)
		p->entry = map(p, total * sizeof(*p->entry));
	if (p->pending && p->warm && (p->entry || !with_table))
		return 0;
	pages_free(p);
	return -ENOMEM;
}

void pages_free(struct pages *p)
{
	if (p->pending)
		munmap(p->pending, bitmap_bytes(p->total));
	if (p->warm)
		munmap(p->warm, bitmap_bytes(nr_blocks(p)));
	if (p->entry)
		munmap(p->entry, p->total * sizeof(*p->entry));
	memset(p, 0, sizeof(*p));
}

static unsigned int stored_stamp(const struct pages *p, uint64_t idx)
{
	uint64_t high;

	if (!p->entry)
		return HEAT_STAMP_NEVER;
	high = p->entry[idx].high;
	return high >> 56 | (high >> 55 & 1) * HEAT_REPEAT;
}

static void store_stamp(struct pages *p, uint64_t idx, uint64_t stamp)
{
	uint64_t repeat = stamp / HEAT_REPEAT;

	p->entry[idx].high = (p->entry[idx].high & PAGES_HASH) | stamp << 56 | repeat << 55;
}

unsigned int pages_stamp(const struct pages *p, uint64_t idx)
{
	unsigned int stamp = stored_stamp(p, idx);

	if (stamp == HEAT_STAMP_NEVER && bit_test(p->warm, idx / HEAT_BLOCK))
		return HEAT_STAMP_WARM;
	return stamp;
}

static void restamp(struct pages *p, uint64_t idx, unsigned int from, unsigned int to)
{
	p->heat.pop[from]--;
	p->heat.pop[to]++;
	if (bit_test(p->pending, idx)) {
		p->heat.pending[from]--;
		p->heat.pending[to]++;
	}
}

void pages_want(struct pages *p, uint64_t idx)
{
	if (bit_test(p->pending, idx))
		return;
	bit_set(p->pending, idx);
	p->nr_pending++;
	p->heat.pending[pages_stamp(p, idx)]++;
}

void pages_want_all(struct pages *p)
{
	uint64_t idx;

	for (idx = 0; idx < p->total; idx++)
		pages_want(p, idx);
}

static void warm_up(struct pages *p, uint64_t block)
{
	uint64_t idx = block * HEAT_BLOCK;
	uint64_t end = min_u64(idx + HEAT_BLOCK, p->total);

	for (; idx < end; idx++)
		if (stored_stamp(p, idx) == HEAT_STAMP_NEVER)
			restamp(p, idx, HEAT_STAMP_NEVER, HEAT_STAMP_WARM);
	bit_set(p->warm, block);
}

void pages_dirty(struct pages *p, uint64_t idx)
{
	struct heat *h = &p->heat;
	unsigned int stamp;

	if (!p->entry) {
		pages_want(p, idx);
		return;
	}
	stamp = pages_stamp(p, idx);
	/* Several harvests within one quantum count as one. */
	if (stamp != h->stamp && stamp != h->stamp + HEAT_REPEAT) {
		unsigned int to = h->stamp + (heat_repeats(h, stamp) ? HEAT_REPEAT : 0);

		h->events[h->class_of[stamp]]++;
		if (stamp == HEAT_STAMP_NEVER) {
			warm_up(p, idx / HEAT_BLOCK);
			stamp = HEAT_STAMP_WARM;
		}
		restamp(p, idx, stamp, to);
		store_stamp(p, idx, to);
	}
	if (!bit_test(p->pending, idx)) {
		h->fresh++;
		pages_want(p, idx);
	}
}

void pages_done(struct pages *p, uint64_t idx)
{
	if (!bit_test(p->pending, idx))
		return;
	p->heat.pending[pages_stamp(p, idx)]--;
	bit_clear(p->pending, idx);
	p->nr_pending--;
}

/* Make stale what has grown too old, a part of the table per quantum. */
static void age(struct pages *p, uint64_t quanta)
{
	uint64_t n = quanta >= AGE_ROUND ? p->total : p->total / AGE_ROUND * quanta + AGE_ROUND;

	for (n = min_u64(n, p->total); n; n--) {
		unsigned int stamp = stored_stamp(p, p->aged);

		if (stamp && stamp != HEAT_STAMP_STALE &&
		    heat_age(&p->heat, stamp) > HEAT_MAX_AGE) {
			restamp(p, p->aged, stamp, HEAT_STAMP_STALE);
			store_stamp(p, p->aged, HEAT_STAMP_STALE);
		}
		if (++p->aged == p->total)
			p->aged = 0;
	}
}

void pages_advance(struct pages *p, uint64_t now)
{
	uint64_t quanta = heat_advance(&p->heat, now);

	if (quanta && p->entry)
		age(p, quanta);
}

uint64_t pages_next(const struct pages *p, uint64_t from, uint64_t end, uint32_t classes)
{
	uint64_t word = from / 64, bits;

	if (from >= end)
		return end;
	bits = p->pending[word] & ~0ULL << (from % 64);
	for (;;) {
		for (; bits; bits &= bits - 1) {
			uint64_t idx = word * 64 + __builtin_ctzll(bits);

			if (idx >= end)
				return end;
			if (classes == ALL_CLASSES ||
			    classes >> p->heat.class_of[pages_stamp(p, idx)] & 1)
				return idx;
		}
		if (++word * 64 >= end)
			return end;
		bits = p->pending[word];
	}
}

uint32_t pages_spread(const struct pages *p, uint32_t n, uint64_t *idx)
{
	uint64_t words = (p->total + 63) / 64, before = 0, start, word;
	uint32_t found = 0;

	n = min_u64(n, p->nr_pending);
	if (!n)
		return 0;
	/* Any start will do that is not always the same. */
	start = now_ns() / 1000 % p->nr_pending;
	for (word = 0; word < words && found < n; word++) {
		uint64_t bits = p->pending[word], at = before;

		before += __builtin_popcountll(bits);
		for (; found < n; found++) {
			/* The pages are numbered; every so many of them. */
			uint64_t want = (found * p->nr_pending + start) / n;

			if (want >= before)
				break;
			for (; at < want; at++)
				bits &= bits - 1;
			idx[found] = word * 64 + __builtin_ctzll(bits);
		}
	}
	return found;
}

struct page_entry pages_hash(const void *page)
{
	struct page_entry e;

	hash_page(page, &e.low, &e.high);
	e.high &= PAGES_HASH;
	/* All 0 means "nothing was sent". */
	if (!e.low && !e.high)
		e.low = 1;
	return e;
}
