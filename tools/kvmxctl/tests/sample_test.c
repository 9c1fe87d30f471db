// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>
#include <math.h>

#include "sample.h"

static const uint64_t zero[2] = { 111, 222 };

/* xorshift64*: the same numbers in each run. */
static uint64_t random_u64(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

TEST(pick_stays_in_its_stretch)
{
	static const struct {
		uint64_t total;
		uint32_t nr;
	} cases[] = {
		{ 1, 1 }, { 7, 3 }, { 10, 10 }, { 1ULL << 34, 65536 }, { UINT64_MAX, 65536 },
	};
	uint64_t low, high, before;
	size_t c;
	uint32_t i;

	for (c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
		before = 0;
		for (i = 0; i < cases[c].nr; i++) {
			low = sample_pick(cases[c].total, cases[c].nr, i, 0);
			high = sample_pick(cases[c].total, cases[c].nr, i, UINT64_MAX);
			ASSERT_LE(low, high);
			ASSERT_LT(high, cases[c].total);
			/* No page in between can be missed. */
			ASSERT_EQ(before, low);
			before = high + 1;
		}
		EXPECT_EQ(cases[c].total, before);
	}
}

TEST(every_page_is_as_likely)
{
	enum { TOTAL = 10, NR = 4, ROUNDS = 100000 };
	uint32_t hits[TOTAL] = { 0 };
	uint64_t state = 1;
	int i, page;

	for (i = 0; i < ROUNDS * NR; i++)
		hits[sample_pick(TOTAL, NR, i % NR, random_u64(&state))]++;
	/* Stretches of 2 and 3 pages, each hit once a round. */
	for (page = 0; page < TOTAL; page++) {
		EXPECT_GT(hits[page], ROUNDS * 0.32);
		EXPECT_LT(hits[page], ROUNDS * 0.51);
	}
}

TEST(intervals_double)
{
	uint64_t t[32];

	ASSERT_EQ(4, sample_intervals(8000, 1000, t, 32));
	EXPECT_EQ(1000, t[0]);
	EXPECT_EQ(2000, t[1]);
	EXPECT_EQ(8000, t[3]);
	/* Never shorter than allowed, never none, never too many. */
	ASSERT_EQ(3, sample_intervals(8000, 1001, t, 32));
	EXPECT_EQ(2000, t[0]);
	ASSERT_EQ(1, sample_intervals(8000, 9000, t, 32));
	EXPECT_EQ(8000, t[0]);
	ASSERT_EQ(2, sample_intervals(8000, 1, t, 2));
	EXPECT_EQ(4000, t[0]);
	ASSERT_EQ(4, sample_intervals(8, 0, t, 32));
	EXPECT_EQ(1, t[0]);
}

static struct look content(uint64_t hash, bool file, uint64_t ns)
{
	return (struct look){ .kind = LOOK_CONTENT, .hash = { hash, hash }, .file = file,
			      .time_ns = ns };
}

static struct look nothing(enum look_kind kind)
{
	return (struct look){ .kind = kind, .time_ns = 20 };
}

static struct look zeroes(bool file)
{
	return (struct look){ .kind = LOOK_CONTENT, .hash = { 111, 222 }, .file = file,
			      .time_ns = 20 };
}

enum outcome {
	IGNORED,
	SAME,
	CHANGED,
	FIRST_TOUCHED,
	UNKNOWN,
};

static enum outcome outcome_of(struct look first, struct look second, bool shared)
{
	struct sample sample = { .shared = shared };
	struct sample_tally tally = { 0 };

	sample_first(&sample, &first, zero);
	sample_again(&sample, &second, &tally);
	if (tally.looked + tally.unknown == 0)
		return IGNORED;
	if (tally.unknown)
		return UNKNOWN;
	if (tally.first_touched)
		return FIRST_TOUCHED;
	return tally.changed ? CHANGED : SAME;
}

TEST(judgements)
{
	const struct look absent = nothing(LOOK_ABSENT);
	const struct look swapped = nothing(LOOK_SWAPPED);
	const struct look unreadable = nothing(LOOK_UNREADABLE);
	const struct look a = content(5, false, 20), b = content(6, false, 20);
	const struct look file_a = content(5, true, 20), file_b = content(6, true, 20);

	EXPECT_EQ(SAME, outcome_of(a, a, false));
	EXPECT_EQ(CHANGED, outcome_of(a, b, false));
	EXPECT_EQ(CHANGED, outcome_of(file_a, file_b, true));
	/* A restored snapshot's page, written to for the first time. */
	EXPECT_EQ(CHANGED, outcome_of(file_a, b, false));
	EXPECT_EQ(UNKNOWN, outcome_of(a, absent, false));
	EXPECT_EQ(UNKNOWN, outcome_of(a, swapped, false));
	EXPECT_EQ(UNKNOWN, outcome_of(a, unreadable, false));

	EXPECT_EQ(SAME, outcome_of(absent, absent, false));
	EXPECT_EQ(SAME, outcome_of(absent, zeroes(false), false));
	EXPECT_EQ(SAME, outcome_of(absent, zeroes(true), true));
	EXPECT_EQ(FIRST_TOUCHED, outcome_of(absent, a, false));
	EXPECT_EQ(FIRST_TOUCHED, outcome_of(absent, file_a, true));
	/* Read from a private mapping's file. */
	EXPECT_EQ(SAME, outcome_of(absent, file_a, false));

	EXPECT_EQ(SAME, outcome_of(swapped, swapped, false));
	EXPECT_EQ(UNKNOWN, outcome_of(swapped, a, false));
	EXPECT_EQ(IGNORED, outcome_of(unreadable, a, false));
}

TEST(changed_stays_changed)
{
	struct look a = content(5, false, 10), b = content(6, false, 20);
	struct look gone = nothing(LOOK_ABSENT);
	struct sample sample = { 0 };
	struct sample_tally tally = { 0 };

	sample_first(&sample, &a, zero);
	sample_again(&sample, &b, &tally);
	sample_again(&sample, &a, &tally);
	sample_again(&sample, &gone, &tally);
	EXPECT_EQ(3, tally.looked);
	EXPECT_EQ(3, tally.changed);
	EXPECT_EQ(10 + 0 + 10, tally.elapsed_ns);
}

/* What was read in from a file is the content to compare with from then on. */
TEST(file_page_read_then_written)
{
	struct look absent = nothing(LOOK_ABSENT), file = content(5, true, 20);
	struct look written = content(6, false, 20);
	struct sample sample = { 0 };
	struct sample_tally tally = { 0 };

	sample_first(&sample, &absent, zero);
	sample_again(&sample, &file, &tally);
	EXPECT_EQ(0, tally.changed);
	sample_again(&sample, &written, &tally);
	EXPECT_EQ(1, tally.changed);
	EXPECT_EQ(0, tally.first_touched);
}

TEST(estimate)
{
	struct sample_tally tally = { .looked = 1000, .changed = 250, .elapsed_ns = 5000000 };
	struct sample_point point, before = { .pages = 400000 };

	ASSERT_TRUE(sample_estimate(&tally, 1000, 1000000, NULL, &point));
	EXPECT_EQ(250000, point.pages);
	EXPECT_EQ(5000, point.time_ns);
	/* sqrt(0.25 * 0.75 / 1000) = 1.37 % */
	EXPECT_GT(point.error_pages, 13500);
	EXPECT_LT(point.error_pages, 13800);
	/* More time cannot have dirtied less. */
	ASSERT_TRUE(sample_estimate(&tally, 1000, 1000000, &before, &point));
	EXPECT_EQ(400000, point.pages);
}

TEST(estimate_with_unknown_and_unusable)
{
	/* 1000 samples: 200 no memory at all, 300 not known, half of the others changed. */
	struct sample_tally tally = { .looked = 500, .unknown = 300, .changed = 250 };
	struct sample_point point;

	ASSERT_TRUE(sample_estimate(&tally, 1000, 1000000, NULL, &point));
	EXPECT_EQ(400000, point.pages);
}

TEST(estimate_at_the_ends)
{
	struct sample_tally none = { .looked = 1000, .elapsed_ns = 1000 };
	struct sample_tally whole = { .looked = 64, .changed = 3, .elapsed_ns = 64 };
	struct sample_tally huge = { .looked = 65536, .changed = 65536 };
	struct sample_tally nothing_known = { .unknown = 10 };
	struct sample_point point;

	ASSERT_TRUE(sample_estimate(&none, 1000, 1000000, NULL, &point));
	EXPECT_EQ(0, point.pages);
	/* "None of 1000" may well be one in 1000. */
	EXPECT_GT(point.error_pages, 1000);
	/* All pages looked at: that is the truth. */
	ASSERT_TRUE(sample_estimate(&whole, 64, 64, NULL, &point));
	EXPECT_EQ(3, point.pages);
	EXPECT_EQ(0, point.error_pages);
	/* 64 TiB */
	ASSERT_TRUE(sample_estimate(&huge, 65536, 1ULL << 34, NULL, &point));
	EXPECT_EQ(1ULL << 34, point.pages);
	EXPECT_FALSE(sample_estimate(&nothing_known, 10, 1000, NULL, &point));
}

/*
 * A guest of 200000 pages whose truth is known, looked at like a real one, many times over: the
 * estimate must err as much as it says and no more, and not to one side.
 */
FIXTURE(guest)
{
};

FIXTURE_VARIANT(guest)
{
	uint32_t first, pages;	/* where writes go */
	uint32_t writes;
};

FIXTURE_VARIANT_ADD(guest, uniform)
{
	.pages = 200000, .writes = 100000,
};

FIXTURE_VARIANT_ADD(guest, hot_set)
{
	.first = 70000, .pages = 5000, .writes = 50000,
};

FIXTURE_VARIANT_ADD(guest, all_of_it)
{
	.pages = 200000, .writes = 2000000,
};

FIXTURE_SETUP(guest)
{
}

FIXTURE_TEARDOWN(guest)
{
}

TEST_F(guest, estimate_is_true)
{
	enum { TOTAL = 200000, SAMPLES = 1024, RUNS = 60 };
	double error, bias = 0, square = 0, claimed = 0;
	uint32_t *versions = calloc(TOTAL, sizeof(*versions));
	struct sample *samples = calloc(SAMPLES, sizeof(*samples));
	uint64_t state = 42, truth = 0;
	struct sample_tally tally;
	struct sample_point point;
	struct look look;
	uint32_t i, run;

	ASSERT_NE(NULL, versions);
	ASSERT_NE(NULL, samples);
	for (i = 0; i < variant->writes; i++)
		versions[variant->first + random_u64(&state) % variant->pages]++;
	for (i = 0; i < TOTAL; i++)
		truth += versions[i] != 0;

	for (run = 0; run < RUNS; run++) {
		memset(&tally, 0, sizeof(tally));
		for (i = 0; i < SAMPLES; i++) {
			samples[i].hva = sample_pick(TOTAL, SAMPLES, i, random_u64(&state));
			look = content(1, false, i);
			sample_first(&samples[i], &look, zero);
			look = content(1 + versions[samples[i].hva], false, 1000 + i);
			sample_again(&samples[i], &look, &tally);
		}
		ASSERT_TRUE(sample_estimate(&tally, SAMPLES, TOTAL, NULL, &point));
		EXPECT_EQ(1000, point.time_ns);
		error = (double)point.pages - truth;
		bias += error / RUNS;
		square += error * error / RUNS;
		claimed += (double)point.error_pages / RUNS;
	}
	/* Standard error of the mean of RUNS runs, at four sigma. */
	EXPECT_LT(fabs(bias), 4 * claimed / sqrt(RUNS) + 1);
	EXPECT_LT(sqrt(square), 1.3 * claimed + 1);
	free(samples);
	free(versions);
}

TEST_HARNESS_MAIN
