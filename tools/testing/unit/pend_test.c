// SPDX-License-Identifier: GPL-2.0
#include <linux/bitops.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "guest.h"
#include "kselftest_harness.h"
#include "pend.h"

#define NO_FAULTS	0
#define FAULTS		1

bool (*unit_alloc_fails)(void);

static struct rnd rnd;
static u32 nr_failed;

static bool fails_often(void)
{
	bool fail = rnd_below(&rnd, 2);

	nr_failed += fail;
	return fail;
}

static bool fails_always(void)
{
	return true;
}

/* the plain set that the real one is compared with */
/* the first extent at or after @from; pages of the memslot if there is none */
static unsigned long next_extent(const struct kvmx_pend *p, unsigned long from, unsigned long *n)
{
	struct kvmx_extent e;

	*n = 0;
	if (!kvmx_pend_extents(p, from, p->npages, &e, 1))
		return p->npages;
	*n = e.npages;
	return e.start;
}

struct model {
	unsigned long npages;
	bool *has;
	bool *seen;
};

static void model_init(struct model *m, unsigned long npages)
{
	m->npages = npages;
	m->has = calloc(npages, sizeof(bool));
	m->seen = calloc(npages, sizeof(bool));
	if (!m->has || !m->seen)
		abort();
}

static void model_free(struct model *m)
{
	free(m->has);
	free(m->seen);
}

static void model_set(struct model *m, unsigned long start, unsigned long n, bool value)
{
	memset(m->has + start, value, n);
}

static u64 model_count(const struct model *m)
{
	u64 sum = 0;
	unsigned long i;

	for (i = 0; i < m->npages; i++)
		sum += m->has[i];
	return sum;
}

/* reads the real set from beginning to end; false if its runs make no sense */
static bool read_all(const struct kvmx_pend *p, struct model *m)
{
	unsigned long at, n, from = 0;

	memset(m->seen, 0, m->npages);
	for (;;) {
		at = next_extent(p, from, &n);
		if (at >= m->npages)
			return at == m->npages && !n;
		/* a run is as long as it can be, so two never touch */
		if (!n || at < from || n > m->npages - at || (from && at == from))
			return false;
		memset(m->seen + at, true, n);
		from = at + n;
	}
}

/* whether next_extent() is right from anywhere */
static bool check_next(const struct kvmx_pend *p, const struct model *m, unsigned long from)
{
	unsigned long n, at = next_extent(p, from, &n), want = from, end;

	while (want < m->npages && !m->has[want])
		want++;
	end = want;
	while (end < m->npages && m->has[end])
		end++;
	return at == want && n == end - want;
}

/* whether a list of extents of any part, in pieces of any length, is right */
static bool check_extents(const struct kvmx_pend *p, const struct model *m, unsigned long from,
			  unsigned long to, u32 max)
{
	struct kvmx_extent e[7];
	unsigned long pos = from;
	u32 i, nr;

	do {
		nr = kvmx_pend_extents(p, pos, to, e, max);
		for (i = 0; i < nr; i++) {
			for (; pos < e[i].start; pos++) {
				if (m->has[pos])
					return false;
			}
			if (!e[i].npages || e[i].npages > to - pos)
				return false;
			for (; pos < e[i].start + e[i].npages; pos++) {
				if (!m->has[pos])
					return false;
			}
			if (pos < to && m->has[pos])
				return false;
		}
	} while (nr == max);
	for (; pos < to; pos++) {
		if (m->has[pos])
			return false;
	}
	return kvmx_pend_empty(p) == !model_count(m);
}

static void random_range(unsigned long npages, unsigned long *start, unsigned long *n)
{
	*start = rnd_below(&rnd, npages);
	*n = 1 + rnd_below(&rnd, npages - *start);
	if (rnd_below(&rnd, 4))
		*n = min(*n, 1 + (unsigned long)rnd_scale(&rnd, 12));
	/* whole chunks now and then */
	if (!rnd_below(&rnd, 8)) {
		*start -= *start % KVMX_CHUNK_PAGES;
		*n = min_t(unsigned long, npages - *start,
			   KVMX_CHUNK_PAGES * (1 + rnd_below(&rnd, 2)));
	}
}

static void add_words(struct kvmx_pend *p, struct model *m)
{
	unsigned long words = BITS_TO_LONGS(m->npages);
	unsigned long first = rnd_below(&rnd, words);
	unsigned long n = 1 + rnd_below(&rnd, words - first), i, bit, page;
	unsigned long *map = calloc(n, sizeof(*map));
	u32 kind = rnd_below(&rnd, 4);

	if (!map)
		abort();
	if (!rnd_below(&rnd, 4))
		first -= first % KVMX_CHUNK_WORDS;
	for (i = 0; i < n; i++) {
		if (kind == 0)
			map[i] = ~0UL;
		else if (kind == 1)
			map[i] = rnd_below(&rnd, 50) ? 0 : rnd_next(&rnd);
		else
			map[i] = rnd_below(&rnd, 500) ? 0 : BIT(rnd_below(&rnd, 64));
		for (bit = 0; bit < 64; bit++) {
			page = (first + i) * 64 + bit;
			if (page >= m->npages)
				map[i] &= ~BIT(bit);
			else if (map[i] & BIT(bit))
				m->has[page] = true;
		}
	}
	kvmx_pend_add_words(p, first, map, n);
	free(map);
}

static void random_step(struct kvmx_pend *p, struct model *m)
{
	unsigned long start, n;

	random_range(m->npages, &start, &n);
	switch (rnd_below(&rnd, 8)) {
	case 0:
	case 1:
	case 2:
		kvmx_pend_add(p, start, n);
		model_set(m, start, n, true);
		break;
	case 3:
	case 4:
		add_words(p, m);
		break;
	case 5:
		if (rnd_below(&rnd, 20))
			break;
		kvmx_pend_fill(p);
		model_set(m, 0, m->npages, true);
		break;
	default:
		kvmx_pend_del(p, start, n);
		model_set(m, start, n, false);
		break;
	}
}

/* whatever is in the model is in the set; the two are equal if no allocation failed */
static bool compare(const struct kvmx_pend *p, struct model *m, bool exact, u64 *extra)
{
	unsigned long i;

	*extra = 0;
	if (!read_all(p, m))
		return false;
	for (i = 0; i < m->npages; i++) {
		if (m->has[i] && !m->seen[i])
			return false;
		*extra += m->seen[i] && !m->has[i];
	}
	memcpy(m->has, m->seen, m->npages);
	return !exact || !*extra;
}

FIXTURE(set) {
	struct kvmx_pend *p;
	struct model m;
};

FIXTURE_VARIANT(set) {
	unsigned long npages;
	u32 steps;
};

FIXTURE_SETUP(set)
{
	rnd.state = variant->npages;
	model_init(&self->m, variant->npages);
	self->p = kvmx_pend_alloc(variant->npages);
	ASSERT_NE(NULL, self->p);
}

FIXTURE_TEARDOWN(set)
{
	kvmx_pend_free(self->p);
	model_free(&self->m);
}

FIXTURE_VARIANT_ADD(set, one) { .npages = 1, .steps = 1000 };
FIXTURE_VARIANT_ADD(set, word) { .npages = 64, .steps = 1000 };
FIXTURE_VARIANT_ADD(set, odd) { .npages = 513, .steps = 1000 };
FIXTURE_VARIANT_ADD(set, chunk_less_one) { .npages = 32767, .steps = 1000 };
FIXTURE_VARIANT_ADD(set, chunk) { .npages = 32768, .steps = 1000 };
FIXTURE_VARIANT_ADD(set, chunk_and_one) { .npages = 32769, .steps = 1000 };
FIXTURE_VARIANT_ADD(set, chunks) { .npages = 131072, .steps = 300 };
FIXTURE_VARIANT_ADD(set, odd_chunks) { .npages = 150001, .steps = 300 };

/* a bitmap once there stays, so with faults the set is made anew now and then */
static void run_steps(struct __test_metadata *const _metadata, struct kvmx_pend **set,
		      struct model *m, u32 steps, u32 faults)
{
	struct kvmx_pend *p = *set;
	unsigned long start, n;
	u64 extra, over, all = 0;
	u32 i;

	for (i = 0; i < steps; i++) {
		if (faults && i % 16 == 0) {
			kvmx_pend_free(p);
			p = kvmx_pend_alloc(m->npages);
			*set = p;
			ASSERT_NE(NULL, p);
			model_set(m, 0, m->npages, false);
		}
		over = p->over;
		nr_failed = 0;
		unit_alloc_fails = faults ? fails_often : NULL;
		random_step(p, m);
		unit_alloc_fails = NULL;
		ASSERT_TRUE(compare(p, m, !nr_failed, &extra));
		all += extra;
		/* what is too much is counted, and nothing else */
		ASSERT_GE(p->over - over, extra);
		ASSERT_TRUE(nr_failed || p->over == over);
		ASSERT_EQ(model_count(m), kvmx_pend_count(p));
		ASSERT_TRUE(check_next(p, m, rnd_below(&rnd, m->npages)));
		ASSERT_TRUE(check_next(p, m, m->npages - 1));
		random_range(m->npages, &start, &n);
		ASSERT_TRUE(check_extents(p, m, start, start + n, 1 + rnd_below(&rnd, 7)));
		/* 33 KiB per GiB, and what is there once per set */
		ASSERT_LE(kvmx_pend_bytes(p), 160 + p->npages / 8 * 33 / 32);
	}
	if (faults && m->npages > 32)
		ASSERT_GT(all, 0);
}

TEST_F(set, as_a_plain_set)
{
	run_steps(_metadata, &self->p, &self->m, variant->steps, NO_FAULTS);
	EXPECT_EQ(0, self->p->over);
}

TEST_F(set, without_memory_loses_nothing)
{
	run_steps(_metadata, &self->p, &self->m, variant->steps, FAULTS);
}

TEST(no_memory_for_the_set)
{
	unit_alloc_fails = fails_always;
	EXPECT_EQ(NULL, kvmx_pend_alloc(100));
	kvmx_pend_free(NULL);
}

TEST(whole_memory_needs_no_bitmap)
{
	/* 32 TiB */
	const unsigned long npages = 1UL << 33;
	struct kvmx_pend *p = kvmx_pend_alloc(npages);
	unsigned long n;
	u64 bytes;

	ASSERT_NE(NULL, p);
	bytes = kvmx_pend_bytes(p);
	EXPECT_LE(bytes, 17 * npages / KVMX_CHUNK_PAGES);
	unit_alloc_fails = fails_always;
	kvmx_pend_fill(p);
	EXPECT_EQ(npages, kvmx_pend_count(p));
	EXPECT_EQ(bytes, kvmx_pend_bytes(p));
	EXPECT_EQ(0, next_extent(p, 0, &n));
	EXPECT_EQ(npages, n);
	EXPECT_EQ(npages - 2, next_extent(p, npages - 2, &n));
	EXPECT_EQ(2, n);
	/* removing whole chunks needs no memory either */
	kvmx_pend_del(p, 0, npages);
	EXPECT_EQ(0, kvmx_pend_count(p));
	EXPECT_EQ(0, p->over);
	EXPECT_EQ(npages, next_extent(p, 0, &n));
	kvmx_pend_free(p);
}

TEST(emptied_bitmap_is_reused)
{
	struct kvmx_pend *p = kvmx_pend_alloc(2 * KVMX_CHUNK_PAGES);
	unsigned long n;
	u64 bytes;

	ASSERT_NE(NULL, p);
	kvmx_pend_add(p, 7, 3);
	bytes = kvmx_pend_bytes(p);
	kvmx_pend_del(p, 0, KVMX_CHUNK_PAGES);
	unit_alloc_fails = fails_always;
	kvmx_pend_add(p, 100, 1);
	EXPECT_EQ(bytes, kvmx_pend_bytes(p));
	EXPECT_EQ(100, next_extent(p, 0, &n));
	EXPECT_EQ(1, n);
	/* and a full chunk that had one can be taken apart without memory */
	kvmx_pend_fill(p);
	kvmx_pend_del(p, 5, 1);
	EXPECT_EQ(2 * KVMX_CHUNK_PAGES - 1, kvmx_pend_count(p));
	EXPECT_EQ(0, p->over);
	/* the other chunk never had one */
	kvmx_pend_del(p, KVMX_CHUNK_PAGES, 10);
	EXPECT_EQ(2 * KVMX_CHUNK_PAGES - 1, kvmx_pend_count(p));
	EXPECT_EQ(10, p->over);
	kvmx_pend_free(p);
}

TEST_HARNESS_MAIN
