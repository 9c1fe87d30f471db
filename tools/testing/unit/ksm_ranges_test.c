// SPDX-License-Identifier: GPL-2.0
/*
 * Sets of addresses: against a plain array of flags, at random, also without memory.
 */
#include <kselftest_harness.h>
#include <linux/slab.h>

#include "ranges.h"

#define SPACE 96
#define ROUNDS 20000

bool (*unit_alloc_fails)(void);

static uint32_t seed = 1;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

static bool now_and_then(void)
{
	return !below(3);
}

FIXTURE(ranges) {
	struct kvmx_ksm_ranges s;
	bool in[SPACE];
};

FIXTURE_SETUP(ranges)
{
	unit_alloc_fails = NULL;
}

FIXTURE_TEARDOWN(ranges)
{
	unit_alloc_fails = NULL;
	kvmx_ksm_ranges_free(&self->s);
	EXPECT_EQ(0, self->s.nr);
}

/* Sorted, apart, none empty, and just what is in the array. */
static bool agree(const struct kvmx_ksm_ranges *s, const bool *in)
{
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < s->nr; i++) {
		if (s->r[i].start >= s->r[i].end || (i && s->r[i].start <= s->r[i - 1].end))
			return false;
	}
	for (i = 0; i < SPACE; i++) {
		bytes += in[i];
		if (kvmx_ksm_ranges_hit(s, i, i + 1) != in[i])
			return false;
	}
	return kvmx_ksm_ranges_bytes(s) == bytes;
}

static void step(struct kvmx_ksm_ranges *s, bool *in)
{
	unsigned long start = below(SPACE), end = start + below(SPACE - start + 1), i;
	bool add = below(2);
	int err;

	err = add ? kvmx_ksm_ranges_add(s, start, end) : kvmx_ksm_ranges_del(s, start, end);
	for (i = start; !err && i < end; i++)
		in[i] = add;
}

TEST_F(ranges, random)
{
	uint32_t i;

	for (i = 0; i < ROUNDS; i++) {
		step(&self->s, self->in);
		ASSERT_TRUE(agree(&self->s, self->in));
	}
}

/* A set that cannot grow is as it was. */
TEST_F(ranges, no_memory)
{
	uint32_t i, failed = 0;

	unit_alloc_fails = now_and_then;
	for (i = 0; i < ROUNDS; i++) {
		/* From an empty one, so that it has to grow again. */
		if (!(i % 64)) {
			kvmx_ksm_ranges_free(&self->s);
			memset(self->in, 0, sizeof(self->in));
		}
		if (kvmx_ksm_ranges_add(&self->s, i % 64, i % 64 + 1))
			failed++;
		else
			self->in[i % 64] = true;
		step(&self->s, self->in);
		ASSERT_TRUE(agree(&self->s, self->in));
	}
	EXPECT_LT(0, failed);
}

TEST_F(ranges, hit_and_find)
{
	ASSERT_EQ(0, kvmx_ksm_ranges_add(&self->s, 10, 20));
	ASSERT_EQ(0, kvmx_ksm_ranges_add(&self->s, 30, 40));
	EXPECT_FALSE(kvmx_ksm_ranges_hit(&self->s, 20, 30));
	EXPECT_TRUE(kvmx_ksm_ranges_hit(&self->s, 19, 20));
	EXPECT_TRUE(kvmx_ksm_ranges_hit(&self->s, 0, 100));
	EXPECT_FALSE(kvmx_ksm_ranges_hit(&self->s, 40, 100));
	EXPECT_EQ(0, kvmx_ksm_ranges_find(&self->s, 0));
	EXPECT_EQ(1, kvmx_ksm_ranges_find(&self->s, 20));
	EXPECT_EQ(2, kvmx_ksm_ranges_find(&self->s, 40));
	/* Neighbours become one. */
	ASSERT_EQ(0, kvmx_ksm_ranges_add(&self->s, 20, 30));
	EXPECT_EQ(1, self->s.nr);
	EXPECT_EQ(30, kvmx_ksm_ranges_bytes(&self->s));
	/* The first and the last address there are. */
	ASSERT_EQ(0, kvmx_ksm_ranges_add(&self->s, 0, 1));
	ASSERT_EQ(0, kvmx_ksm_ranges_add(&self->s, ~0UL - 1, ~0UL));
	EXPECT_EQ(3, self->s.nr);
}

TEST_HARNESS_MAIN
