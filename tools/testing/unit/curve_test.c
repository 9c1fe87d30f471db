// SPDX-License-Identifier: GPL-2.0
#include <math.h>

#include "arith.h"
#include "curve.h"
#include "guest.h"
#include "kselftest_harness.h"

#define ROUNDS		100000
#define TERA_PAGES	(1ULL << 34)	/* 64 TiB */

static struct kvmx_curve curve;

static int build(const struct kvmx_point *pt, u32 nr, u64 total)
{
	return kvmx_curve_build(&curve, pt, nr, total);
}

/* no segment is steeper than the one before it, and none falls */
static bool is_concave(const struct kvmx_point *pt, u32 nr)
{
	struct kvmx_point a = { 0, 0 }, b = { 0, 0 };
	u32 i;

	for (i = 0; i < nr; i++) {
		if (pt[i].time_ns <= b.time_ns || pt[i].pages < b.pages)
			return false;
		if (i && (__uint128_t)(pt[i].pages - b.pages) * (b.time_ns - a.time_ns) >
			 (__uint128_t)(b.pages - a.pages) * (pt[i].time_ns - b.time_ns))
			return false;
		a = b;
		b = pt[i];
	}
	return true;
}

TEST(muldiv)
{
	struct rnd r = { 1 };
	u64 a, b, d;
	u32 i;

	EXPECT_EQ(0, kvmx_muldiv(0, 5, 7));
	EXPECT_EQ(U64_MAX, kvmx_muldiv(1, 1, 0));
	EXPECT_EQ(U64_MAX, kvmx_muldiv_up(0, 0, 0));
	EXPECT_EQ(U64_MAX, kvmx_muldiv(U64_MAX, U64_MAX, 1));
	EXPECT_EQ(U64_MAX, kvmx_muldiv_up(U64_MAX, 3, 2));
	EXPECT_EQ(U64_MAX, kvmx_muldiv(U64_MAX, 7, 7));
	EXPECT_EQ(3, kvmx_muldiv(10, 1, 3));
	EXPECT_EQ(4, kvmx_muldiv_up(10, 1, 3));
	EXPECT_EQ(U64_MAX, kvmx_add(U64_MAX, 1));
	EXPECT_EQ(U64_MAX, kvmx_add(U64_MAX - 1, 1));
	EXPECT_EQ(0, kvmx_sub(1, 2));
	for (i = 0; i < ROUNDS; i++) {
		__uint128_t p;

		a = rnd_scale(&r, 64);
		b = rnd_scale(&r, 64);
		d = rnd_scale(&r, 64);
		p = (__uint128_t)a * b;
		ASSERT_EQ(p > (__uint128_t)d * i, kvmx_mul_gt(a, b, d, i));
		if (!d)
			continue;
		ASSERT_EQ(p / d > U64_MAX ? U64_MAX : (u64)(p / d), kvmx_muldiv(a, b, d));
		p += d - 1;
		ASSERT_EQ(p / d > U64_MAX ? U64_MAX : (u64)(p / d), kvmx_muldiv_up(a, b, d));
	}
}

TEST(refuses)
{
	struct kvmx_point pt[KVMX_MAX_POINTS + 1];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(pt); i++)
		pt[i] = (struct kvmx_point) { i + 1, 5 };
	EXPECT_EQ(-EINVAL, build(pt, 0, 5));
	EXPECT_EQ(0, build(pt, KVMX_MAX_POINTS, 5));
	EXPECT_EQ(-EINVAL, build(pt, KVMX_MAX_POINTS + 1, 5));
	EXPECT_EQ(-EINVAL, build(pt, 1, 4));
	pt[1].time_ns = 0;
	EXPECT_EQ(0, build(pt, 1, 5));
	EXPECT_EQ(-EINVAL, build(pt, 2, 5));
}

TEST(one_point_is_a_line)
{
	struct kvmx_point pt = { 1000, 500 };

	ASSERT_EQ(0, build(&pt, 1, 2000));
	EXPECT_EQ(1, curve.nr);
	EXPECT_EQ(0, kvmx_curve_pages(&curve, 0));
	EXPECT_EQ(1, kvmx_curve_pages(&curve, 1));
	EXPECT_EQ(250, kvmx_curve_pages(&curve, 500));
	EXPECT_EQ(500, kvmx_curve_pages(&curve, 1000));
	EXPECT_EQ(1500, kvmx_curve_pages(&curve, 3000));
	EXPECT_EQ(2000, kvmx_curve_pages(&curve, 4000));
	EXPECT_EQ(2000, kvmx_curve_pages(&curve, U64_MAX));
	EXPECT_EQ(0, kvmx_curve_time(&curve, 0));
	EXPECT_EQ(2, kvmx_curve_time(&curve, 1));
	EXPECT_EQ(1000, kvmx_curve_time(&curve, 500));
	EXPECT_EQ(4000, kvmx_curve_time(&curve, 2000));
	EXPECT_EQ(KVMX_PREDICT_NEVER, kvmx_curve_time(&curve, 2001));
}

TEST(majorant)
{
	/* unsorted, with a dent at 30, a fall at 60 and the time 20 twice */
	static const struct kvmx_point pt[] = {
		{ 60, 150 }, { 20, 90 }, { 10, 100 }, { 30, 130 }, { 20, 160 }, { 40, 200 },
	};
	static const struct kvmx_point want[] = {
		{ 10, 100 }, { 20, 160 }, { 40, 200 }, { 60, 200 },
	};

	ASSERT_EQ(0, build(pt, ARRAY_SIZE(pt), 10000));
	ASSERT_EQ(ARRAY_SIZE(want), curve.nr);
	EXPECT_EQ(0, memcmp(want, curve.pt, sizeof(want)));
	EXPECT_EQ(200, kvmx_curve_pages(&curve, U64_MAX));
	EXPECT_EQ(40, kvmx_curve_time(&curve, 200));
}

TEST(nothing_is_made_up_where_something_was_measured)
{
	/* a straight line but for rounding, so that the first points are no corners */
	static const struct kvmx_point pt[] = {
		{ MS, 308 }, { 2 * MS, 617 }, { 4 * MS, 1233 }, { 8 * MS, 2468 },
		{ 16 * MS, 2600 }, { 32 * MS, 2700 },
	};

	ASSERT_EQ(0, build(pt, ARRAY_SIZE(pt), 10000));
	EXPECT_EQ(8 * MS, curve.pt[0].time_ns);
	EXPECT_EQ(617, kvmx_curve_pages(&curve, 2 * MS));
	EXPECT_EQ(1234, kvmx_curve_pages(&curve, 4 * MS));
}

TEST(idle)
{
	struct kvmx_point pt[] = { { 1000, 0 }, { 2000, 0 } };

	ASSERT_EQ(0, build(pt, 2, 0));
	ASSERT_EQ(0, build(pt, 2, 1000));
	EXPECT_EQ(0, kvmx_curve_pages(&curve, 1));
	EXPECT_EQ(0, kvmx_curve_pages(&curve, U64_MAX));
	EXPECT_EQ(KVMX_PREDICT_NEVER, kvmx_curve_time(&curve, 1));
}

/* what every curve is, whatever it is made of */
TEST(properties)
{
	struct kvmx_point pt[KVMX_MAX_POINTS];
	struct rnd r = { 2 };
	u64 total, t, p, before;
	u32 i, k, nr;

	for (i = 0; i < ROUNDS; i++) {
		total = i % 16 ? rnd_scale(&r, 64) : U64_MAX;
		nr = 1 + rnd_below(&r, i % 4 ? 6 : KVMX_MAX_POINTS);
		for (k = 0; k < nr; k++) {
			pt[k].time_ns = max(rnd_scale(&r, 64), 1ULL);
			pt[k].pages = min(rnd_scale(&r, 64), total);
		}
		ASSERT_EQ(0, build(pt, nr, total));
		ASSERT_LE(curve.nr_fine, ARRAY_SIZE(curve.fine));
		ASSERT_TRUE(is_concave(curve.pt, curve.nr));
		ASSERT_TRUE(is_concave(curve.fine, curve.nr_fine));
		ASSERT_LE(curve.fine[curve.nr_fine - 1].pages, total);
		for (k = 0; k < nr; k++)
			ASSERT_GE(kvmx_curve_pages(&curve, pt[k].time_ns), pt[k].pages);
		for (k = 0; k < curve.nr; k++)
			ASSERT_EQ(curve.pt[k].pages, kvmx_curve_pages(&curve, curve.pt[k].time_ns));
		before = 0;
		for (t = 1 + rnd_below(&r, 100); t < U64_MAX / 9; t *= 1 + rnd_below(&r, 8)) {
			p = kvmx_curve_pages(&curve, t);
			ASSERT_GE(p, before);
			ASSERT_LE(kvmx_curve_pages(&curve, t - 1), p);
			ASSERT_GE(kvmx_curve_pages(&curve, kvmx_curve_time(&curve, p)), p);
			ASSERT_LE(kvmx_curve_time(&curve, p ? p - 1 : 0), t);
			before = p;
			t++;
		}
		/* the same points in another order make the same curve */
		if (nr > 1) {
			static struct kvmx_curve other;
			struct kvmx_point swap = pt[0];

			pt[0] = pt[nr - 1];
			pt[nr - 1] = swap;
			ASSERT_EQ(0, kvmx_curve_build(&other, pt, nr, total));
			ASSERT_EQ(curve.nr_fine, other.nr_fine);
			ASSERT_EQ(0, memcmp(curve.fine, other.fine, sizeof(curve.fine)));
		}
	}
}

static const struct load loads[] = {
	{ .name = "idle" },
	{ .name = "uniform", .uniform = 16384, .uniform_rate = 4096 },
	{ .name = "uniform, fast", .uniform = 16384, .uniform_rate = 16384 },
	{ .name = "hot", .hot = 2048 },
	{ .name = "hot + uniform", .hot = 2048, .uniform = 16384, .uniform_rate = 4096 },
	{ .name = "hot + slow", .hot = 3072, .uniform = 16384, .uniform_rate = 1024 },
	{ .name = "stream", .stream = 32768, .stream_rate = 4096, .ordered = true },
	{ .name = "grow", .grow = 40960, .grow_rate = 2048, .ordered = true },
	{ .name = "mixture", .hot = 512, .warm = 2000, .warm_rate = 4000, .uniform = 30000,
	  .uniform_rate = 2000 },
};

/* in percent; small numbers of pages do not matter */
static double error_at(const struct load *load, u64 t)
{
	double truth = load_pages(load, t);

	return 100 * (kvmx_curve_pages(&curve, t) - truth) / fmax(truth, 100);
}

TEST(beyond_the_last_point)
{
	struct kvmx_point pt[12];
	double worst, e;
	u32 i, nr, k;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		worst = 0;
		for (nr = 9; nr <= 12; nr++) {
			u64 last = MS << (nr - 1);

			load_points(&loads[i], pt, nr);
			ASSERT_EQ(0, build(pt, nr, GUEST_PAGES));
			for (k = 1; k <= 12; k++) {
				e = error_at(&loads[i], last + last * k / 4);
				worst = fabs(e) > fabs(worst) ? e : worst;
			}
		}
		printf("# %s: up to 4 times the last point within %.1f %%\n", loads[i].name, worst);
		EXPECT_LE(fabs(worst), 25);
	}
}

TEST(between_and_before_the_points)
{
	struct kvmx_point all[12], pt[3];
	double worst, e;
	u32 i, k;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		load_points(&loads[i], all, 12);
		ASSERT_EQ(0, build(all, 12, GUEST_PAGES));
		worst = 0;
		for (k = 8; k < 4 * 2048; k++) {
			e = error_at(&loads[i], k * MS / 4);
			worst = fabs(e) > fabs(worst) ? e : worst;
		}
		/* 128 ms and on, to be drawn back to 16 ms */
		memcpy(pt, &all[7], sizeof(pt));
		ASSERT_EQ(0, build(pt, 3, GUEST_PAGES));
		e = error_at(&loads[i], 16 * MS);
		printf("# %s: between within %.1f %%, at 1/8 of the first %+.1f %%\n",
		       loads[i].name, worst, e);
		EXPECT_LE(fabs(worst), 16);
		EXPECT_GE(e, -2);
		EXPECT_LE(e, 5);
	}
}

TEST(overestimates_what_it_cannot_know)
{
	/* a stream that comes to its end: the curve goes on to the whole memory */
	static const struct load stream = { .stream = 8192, .stream_rate = 8192 };
	struct kvmx_point pt[10];

	load_points(&stream, pt, 10);
	ASSERT_EQ(0, build(pt, 10, GUEST_PAGES));
	EXPECT_GE(kvmx_curve_pages(&curve, 4 * SEC), 32000);
	EXPECT_EQ(GUEST_PAGES, kvmx_curve_pages(&curve, 1000 * SEC));
}

TEST(standard_error)
{
	struct rnd r = { 3 };
	u32 dirty, k, i, got;

	EXPECT_EQ(1000, kvmx_curve_err_permille(0, 0));
	EXPECT_EQ(0, kvmx_curve_err_permille(0, 1024));
	EXPECT_EQ(0, kvmx_curve_err_permille(1024, 1024));
	EXPECT_EQ(0, kvmx_curve_err_permille(2000, 1024));
	EXPECT_EQ(16, kvmx_curve_err_permille(512, 1024));
	EXPECT_EQ(500, kvmx_curve_err_permille(1, 1) + 500);
	EXPECT_EQ(354, kvmx_curve_err_permille(1, 2));
	for (i = 0; i < ROUNDS; i++) {
		double f, want;

		k = max_t(u32, rnd_scale(&r, 32), 1);
		dirty = rnd_below(&r, k + 1ULL);
		f = (double)dirty / k;
		want = 1000 * sqrt(f * (1 - f) / k);
		got = kvmx_curve_err_permille(dirty, k);
		ASSERT_GE(got, want - 0.000001);
		ASSERT_LE(got, want + 2);
	}
}

TEST(history_empty)
{
	static struct kvmx_history h;

	EXPECT_EQ(-ENODATA, kvmx_history_curve(&h, 1000, &curve));
	kvmx_history_add(&h, 0, 100);
	EXPECT_EQ(-ENODATA, kvmx_history_curve(&h, 1000, &curve));
	kvmx_history_add(&h, 5 * SEC, 100);
	ASSERT_EQ(0, kvmx_history_curve(&h, 1000, &curve));
	EXPECT_EQ(100, kvmx_curve_pages(&curve, 5 * SEC));
	EXPECT_EQ(20, kvmx_curve_pages(&curve, SEC));
	/* the memory may have become less since */
	ASSERT_EQ(0, kvmx_history_curve(&h, 60, &curve));
	EXPECT_EQ(60, kvmx_curve_pages(&curve, 5 * SEC));
}

TEST(history_averages)
{
	static struct kvmx_history h;

	/* 1.1 s and 1.5 s are in one bucket, 5 s is not */
	kvmx_history_add(&h, 1100 * MS, 1000);
	kvmx_history_add(&h, 5 * SEC, 3000);
	kvmx_history_add(&h, 1500 * MS, 2000);
	ASSERT_EQ(0, kvmx_history_curve(&h, 100000, &curve));
	ASSERT_EQ(2, curve.nr);
	EXPECT_EQ(1300 * MS, curve.pt[0].time_ns);
	EXPECT_EQ(1500, curve.pt[0].pages);
	EXPECT_EQ(3000, curve.pt[1].pages);
	/* recent ones count for more */
	kvmx_history_add(&h, 1300 * MS, 100);
	kvmx_history_add(&h, 1300 * MS, 100);
	kvmx_history_add(&h, 1300 * MS, 100);
	ASSERT_EQ(0, kvmx_history_curve(&h, 100000, &curve));
	EXPECT_EQ(1300 * MS, h.bucket[15].time_ns);
	EXPECT_EQ(275, h.bucket[15].pages);
}

TEST(history_forgets)
{
	static struct kvmx_history h;
	u32 i;

	kvmx_history_add(&h, 8 * SEC, 50000);
	for (i = 0; i < 15; i++)
		kvmx_history_add(&h, 16 * SEC, 1000);
	ASSERT_EQ(0, kvmx_history_curve(&h, 100000, &curve));
	EXPECT_EQ(50000, kvmx_curve_pages(&curve, 8 * SEC));
	kvmx_history_add(&h, 16 * SEC, 1000);
	kvmx_history_add(&h, 16 * SEC, 1000);
	ASSERT_EQ(0, kvmx_history_curve(&h, 100000, &curve));
	EXPECT_EQ(500, kvmx_curve_pages(&curve, 8 * SEC));
	/* many short passes do not make a long one old */
	for (i = 0; i < 1000; i++)
		kvmx_history_add(&h, 100 * MS, 100);
	ASSERT_EQ(0, kvmx_history_curve(&h, 100000, &curve));
	EXPECT_EQ(2, curve.nr);
	for (i = 0; i < 2000; i++)
		kvmx_history_add(&h, 100 * MS, 100);
	ASSERT_EQ(0, kvmx_history_curve(&h, 100000, &curve));
	EXPECT_EQ(1, curve.nr);
}

TEST(history_extremes)
{
	static struct kvmx_history h;
	struct rnd r = { 4 };
	u32 i;

	for (i = 0; i < ROUNDS; i++) {
		kvmx_history_add(&h, rnd_scale(&r, 64), i % 3 ? rnd_scale(&r, 64) : U64_MAX);
		if (i % 64)
			continue;
		ASSERT_EQ(0, kvmx_history_curve(&h, TERA_PAGES, &curve));
		ASSERT_TRUE(is_concave(curve.fine, curve.nr_fine));
	}
	kvmx_history_add(&h, U64_MAX, U64_MAX);
	EXPECT_EQ(U64_MAX, h.clock_ns);
	ASSERT_EQ(0, kvmx_history_curve(&h, U64_MAX, &curve));
}

TEST_HARNESS_MAIN
