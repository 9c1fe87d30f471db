// SPDX-License-Identifier: GPL-2.0
#include <math.h>

#include "arith.h"
#include "curve.h"
#include "guest.h"
#include "kselftest_harness.h"
#include "predict.h"

#define ROUNDS		100000
#define MIB		(1ULL << 20)
#define TERA_PAGES	(1ULL << 34)	/* 64 TiB */
#define GBIT_400	50000000000ULL
#define CONVERGES	KVMX_VERDICT_CONVERGES
#define THROTTLE	KVMX_VERDICT_THROTTLE
#define OFFLINE		KVMX_VERDICT_OFFLINE
#define TINY		0.000001
#define NEVER		KVMX_PREDICT_NEVER

static struct kvmx_curve curve;
static struct kvmx_predict_out out;

/* 256 MiB at 32 MiB/s, 300 ms allowed */
static const struct kvmx_predict_in usual = {
	.bandwidth = 32 * MIB,
	.allowed_ns = 300 * MS,
	.remaining_pages = U64_MAX,
	.page_bytes = 4096,
	.min_permille = 1000,
};

static void build_load(const struct load *load)
{
	struct kvmx_point pt[11];

	load_points(load, pt, ARRAY_SIZE(pt));
	if (kvmx_curve_build(&curve, pt, ARRAY_SIZE(pt), GUEST_PAGES))
		abort();
}

static void build_idle(u64 total)
{
	struct kvmx_point pt = { SEC, 0 };

	if (kvmx_curve_build(&curve, &pt, 1, total))
		abort();
}

/* a guest that writes at most a page in 64 ns, which is what links do, too: see random_in() */
static void build_random(struct rnd *r, unsigned int bits)
{
	struct kvmx_point pt[KVMX_MAX_POINTS];
	u64 total = max(rnd_scale(r, bits), 1ULL);
	u32 i, nr = 1 + rnd_below(r, 8);

	for (i = 0; i < nr; i++) {
		pt[i].time_ns = max(rnd_scale(r, bits + 6), 1ULL);
		pt[i].pages = min(min(rnd_scale(r, bits), total), pt[i].time_ns / 64);
	}
	if (kvmx_curve_build(&curve, pt, nr, total))
		abort();
}

/* a question to which all answers are common */
static struct kvmx_predict_in random_in(struct rnd *r)
{
	struct kvmx_predict_in in = {
		.bandwidth = rnd_scale(r, 44),
		.fixed_ns = rnd_scale(r, 30),
		.page_bytes = 1 + rnd_below(r, 65536),
		.min_permille = 1000,
		.remaining_pages = U64_MAX,
		.defer = rnd_below(r, 2),
	};

	in.bandwidth = min(in.bandwidth, in.page_bytes * SEC / 64);
	in.allowed_ns = rnd_below(r, 8) ? in.fixed_ns + rnd_scale(r, 36) : rnd_scale(r, 30);
	if (rnd_below(r, 2))
		in.remaining_pages = rnd_below(r, curve.total_pages);
	return in;
}

/* a link about as fast as the guest */
static u64 bandwidth_like_guest(struct rnd *r, const struct kvmx_predict_in *in)
{
	return kvmx_muldiv(curve.pt[0].pages * in->page_bytes, rnd_below(r, 2 * SEC),
			   curve.pt[0].time_ns);
}

static int predict(const struct kvmx_predict_in *in)
{
	memset(&out, 0xa5, sizeof(out));
	return kvmx_predict(&curve, in, &out);
}

TEST(refuses)
{
	struct kvmx_predict_in in = usual;

	build_idle(1000);
	EXPECT_EQ(0, predict(&in));
	in.page_bytes = 0;
	EXPECT_EQ(-EINVAL, predict(&in));
	in.page_bytes = 65537;
	EXPECT_EQ(-EINVAL, predict(&in));
	in.page_bytes = 65536;
	EXPECT_EQ(0, predict(&in));
	in.min_permille = 0;
	EXPECT_EQ(-EINVAL, predict(&in));
	in.min_permille = 1001;
	EXPECT_EQ(-EINVAL, predict(&in));
	in.min_permille = 1;
	EXPECT_EQ(0, predict(&in));
	in.remaining_pages = 1001;
	EXPECT_EQ(-EINVAL, predict(&in));
	in.remaining_pages = 1000;
	EXPECT_EQ(0, predict(&in));
}

TEST(idle)
{
	struct kvmx_predict_in in = usual;

	build_idle(GUEST_PAGES);
	in.fixed_ns = 5 * MS;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(CONVERGES, out.verdict);
	EXPECT_EQ(1, out.rounds);
	EXPECT_EQ(256 * MIB, out.bytes);
	EXPECT_EQ(8005 * MS, out.total_ns);
	EXPECT_EQ(5 * MS, out.pause_ns);
	EXPECT_EQ(8005 * MS, out.offline_ns);
	EXPECT_EQ(1000, out.vcpu_permille);
	in.defer = true;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(CONVERGES, out.verdict);
	EXPECT_EQ(1, out.rounds);
	EXPECT_EQ(256 * MIB, out.bytes);
	EXPECT_EQ(8005 * MS, out.total_ns);
	/* 1/32 of 295 ms */
	EXPECT_LE(out.pause_ns, 15 * MS);
	EXPECT_GE(out.pause_ns, 14 * MS);
}

/* a sender that defers goes on after it may pause if there is something to gain */
TEST(when_to_pause)
{
	struct kvmx_predict_in in = usual;

	in.defer = true;
	/* nothing but the hot set, and 1/32 of 300 ms */
	build_load(&(struct load) { .hot = 1024 });
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(CONVERGES, out.verdict);
	EXPECT_GE(out.pause_ns, 134 * MS);
	EXPECT_LE(out.pause_ns, 135 * MS);
	/* a quarter of the link is worth the while, a half is not */
	build_load(&(struct load) { .grow = 60000, .grow_rate = 2048 });
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(CONVERGES, out.verdict);
	EXPECT_LE(out.pause_ns, 10 * MS);
	build_load(&(struct load) { .grow = 60000, .grow_rate = 4096 });
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(CONVERGES, out.verdict);
	EXPECT_GE(out.pause_ns, 299 * MS);
	EXPECT_LE(out.pause_ns, 300 * MS);
}

TEST(nothing_remains)
{
	struct kvmx_predict_in in = usual;
	u32 i;

	build_load(&(struct load) { .uniform = 16384, .uniform_rate = 100000 });
	in.remaining_pages = 0;
	in.fixed_ns = in.allowed_ns;
	for (i = 0; i < 2; i++) {
		in.defer = i;
		ASSERT_EQ(0, predict(&in));
		EXPECT_EQ(CONVERGES, out.verdict);
		EXPECT_EQ(0, out.rounds);
		EXPECT_EQ(0, out.bytes);
		EXPECT_EQ(in.fixed_ns, out.total_ns);
		EXPECT_EQ(in.fixed_ns, out.pause_ns);
		EXPECT_EQ(in.fixed_ns, out.offline_ns);
	}
}

TEST(remainder_fits_the_pause)
{
	struct kvmx_predict_in in = usual;

	build_load(&(struct load) { .uniform = 16384, .uniform_rate = 100000 });
	in.remaining_pages = 2048;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(CONVERGES, out.verdict);
	EXPECT_EQ(0, out.rounds);
	EXPECT_EQ(8 * MIB, out.bytes);
	EXPECT_EQ(250 * MS, out.pause_ns);
	EXPECT_EQ(250 * MS, out.total_ns);
	/* the last page that fits, and the first that does not */
	in.remaining_pages = 2457;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(CONVERGES, out.verdict);
	in.remaining_pages = 2458;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(OFFLINE, out.verdict);
}

TEST(no_bandwidth)
{
	struct kvmx_predict_in in = usual;
	u32 i;

	in.min_permille = 1;
	in.bandwidth = 0;
	for (i = 0; i < 2; i++) {
		in.defer = i;
		build_idle(GUEST_PAGES);
		ASSERT_EQ(0, predict(&in));
		EXPECT_EQ(OFFLINE, out.verdict);
		EXPECT_EQ(NEVER, out.bytes);
		EXPECT_EQ(NEVER, out.total_ns);
		EXPECT_EQ(NEVER, out.pause_ns);
		EXPECT_EQ(NEVER, out.offline_ns);
		EXPECT_EQ(0, out.rounds);
		EXPECT_EQ(1000, out.vcpu_permille);
	}
}

TEST(fixed_exceeds_allowed)
{
	struct kvmx_predict_in in = usual;

	build_idle(GUEST_PAGES);
	in.fixed_ns = in.allowed_ns + 1;
	in.min_permille = 1;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(OFFLINE, out.verdict);
	EXPECT_EQ(NEVER, out.total_ns);
	EXPECT_EQ(in.fixed_ns, out.pause_ns);
	EXPECT_EQ(8 * SEC + in.fixed_ns, out.offline_ns);
	in.remaining_pages = 0;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(OFFLINE, out.verdict);
	EXPECT_EQ(in.fixed_ns, out.offline_ns);
}

/* the verdicts that the benchmark's loads must get at once */
TEST(hot_set_too_large)
{
	struct kvmx_predict_in in = usual;
	u32 i;

	build_load(&(struct load) { .hot = 3072, .uniform = 16384, .uniform_rate = 1024 });
	for (i = 0; i < 2; i++) {
		in.defer = i;
		ASSERT_EQ(0, predict(&in));
		EXPECT_EQ(OFFLINE, out.verdict);
		EXPECT_EQ(8 * SEC, out.offline_ns);
		EXPECT_EQ(NEVER, out.total_ns);
		EXPECT_GE(out.pause_ns, 375 * MS);
		EXPECT_LE(out.pause_ns, in.defer ? 385 * MS : 440 * MS);
	}
}

TEST(hot_set_deferred)
{
	struct kvmx_predict_in in = usual;

	build_load(&(struct load) { .hot = 2048, .uniform = 16384, .uniform_rate = 4096 });
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(OFFLINE, out.verdict);
	EXPECT_GE(out.pause_ns, 470 * MS);
	in.defer = true;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(CONVERGES, out.verdict);
	EXPECT_LE(out.pause_ns, 300 * MS);
	EXPECT_LE(out.total_ns, 11 * SEC);
	/* what it gets down to */
	in.allowed_ns = 245 * MS;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(OFFLINE, out.verdict);
	EXPECT_GE(out.pause_ns, 250 * MS);
	EXPECT_LE(out.pause_ns, 262 * MS);
}

TEST(throttle)
{
	struct kvmx_predict_in in = usual;
	u64 speed;

	/* D(s * 300 ms) = 300 ms of the link: 2457 = 3277 s pages at 10922 a second */
	build_load(&(struct load) { .grow = 60000, .grow_rate = 10922 });
	in.min_permille = 500;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(THROTTLE, out.verdict);
	speed = kvmx_curve_time(&curve, 2457) * 1000 / in.allowed_ns;
	EXPECT_EQ(749, speed);
	/* just that speed takes forever, and a migration may take 64 rounds only */
	EXPECT_LE(out.vcpu_permille, speed);
	EXPECT_GE(out.vcpu_permille, speed * 95 / 100);
	EXPECT_LE(out.pause_ns, 300 * MS);
	in.min_permille = out.vcpu_permille;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(THROTTLE, out.verdict);
	in.min_permille++;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(OFFLINE, out.verdict);
	in.min_permille = 1000;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(OFFLINE, out.verdict);
	EXPECT_EQ(1000, out.vcpu_permille);
}

/* 64 TiB with a hot set of 16 GiB, 400 Gbit/s */
TEST(large)
{
	struct kvmx_point pt[] = { { 100 * MS, 1 << 22 }, { SEC, 1 << 22 } };
	struct kvmx_predict_in in = usual;

	ASSERT_EQ(0, kvmx_curve_build(&curve, pt, 2, TERA_PAGES));
	in.bandwidth = GBIT_400;
	in.allowed_ns = 360 * MS;
	in.fixed_ns = 10 * MS;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(CONVERGES, out.verdict);
	EXPECT_EQ(1, out.rounds);
	EXPECT_EQ((TERA_PAGES + (1 << 22)) * 4096, out.bytes);
	EXPECT_EQ(TERA_PAGES * 4096 / 50 + 1, out.offline_ns - in.fixed_ns);
	EXPECT_EQ((1ULL << 22) * 4096 / 50 + 1, out.pause_ns - in.fixed_ns);
	in.allowed_ns = 350 * MS;
	ASSERT_EQ(0, predict(&in));
	EXPECT_EQ(OFFLINE, out.verdict);
}

/* 4 PiB at a byte per second: no time is long enough to be told */
TEST(longer_than_time)
{
	static const struct kvmx_point hot[] = { { SEC, 1 << 20 }, { 2 * SEC, 1 << 20 } };
	struct kvmx_predict_in in = usual;
	u32 i;

	in.bandwidth = 1;
	for (i = 0; i < 4; i++) {
		in.defer = i % 2;
		build_idle(1ULL << 40);
		/* not even if any pause is allowed */
		if (i >= 2) {
			in.allowed_ns = U64_MAX - 1;
			ASSERT_EQ(0, kvmx_curve_build(&curve, hot, 2, 1ULL << 40));
		}
		ASSERT_EQ(0, predict(&in));
		EXPECT_EQ(OFFLINE, out.verdict);
		EXPECT_EQ(NEVER, out.total_ns);
		EXPECT_EQ(NEVER, out.pause_ns);
		EXPECT_EQ(NEVER, out.offline_ns);
	}
}

struct ref {
	bool fits;
	u32 rounds;
	double bytes;
	double total;
	double pause;
};

static double ref_pages(double t)
{
	const struct kvmx_point *a, *b;
	u32 i;

	for (i = 0; i < curve.nr_fine; i++) {
		b = &curve.fine[i];
		if (t > b->time_ns)
			continue;
		a = i ? b - 1 : &(const struct kvmx_point) { 0, 0 };
		return a->pages + (double)(b->pages - a->pages) * (t - a->time_ns) /
				  (b->time_ns - a->time_ns);
	}
	return curve.fine[curve.nr_fine - 1].pages;
}

/* plain pre-copy without any rounding; false if that could change what comes out */
static bool ref_plain(const struct kvmx_predict_in *in, struct ref *ref)
{
	double n = in->remaining_pages == U64_MAX ? curve.total_pages : in->remaining_pages;
	double cost = 1e9 * in->page_bytes / in->bandwidth;
	double budget = ((double)in->allowed_ns - in->fixed_ns) / cost;
	double next, sent = 0;

	memset(ref, 0, sizeof(*ref));
	for (;;) {
		if (fabs(n - budget) < 1 + ref->rounds + TINY * n)
			return false;
		if (n < budget)
			break;
		next = ref_pages(n * cost);
		if (ref->rounds && fabs(next - n) < 1 + ref->rounds + TINY * n)
			return false;
		if (ref->rounds > 60)
			return false;
		if (ref->rounds && next > n)
			return true;
		/* a round longer than 584 years is never through */
		if (n * cost >= 0x1p64)
			return true;
		ref->rounds++;
		sent += n;
		n = next;
	}
	ref->fits = true;
	ref->bytes = (sent + n) * in->page_bytes;
	ref->pause = in->fixed_ns + n * cost;
	ref->total = in->fixed_ns + (sent + n) * cost;
	return true;
}

static bool is_near(u64 value, double ref, double slack)
{
	if (ref + slack >= 0x1p64)
		return value == NEVER || (double)value >= ref - slack;
	return fabs((double)value - ref) <= slack + TINY * ref;
}

TEST(plain_as_computed_without_rounding)
{
	u32 i, compared = 0, fits = 0;
	struct rnd r = { 1 };
	struct ref ref;

	for (i = 0; i < ROUNDS; i++) {
		struct kvmx_predict_in in;
		double cost;

		build_random(&r, i % 4 ? 30 : 44);
		in = random_in(&r);
		in.defer = false;
		if (!in.bandwidth || in.allowed_ns < in.fixed_ns || !ref_plain(&in, &ref))
			continue;
		compared++;
		ASSERT_EQ(0, predict(&in));
		ASSERT_EQ(ref.fits, out.verdict == CONVERGES);
		if (!ref.fits)
			continue;
		fits++;
		cost = 1e9 * in.page_bytes / in.bandwidth;
		ASSERT_EQ(ref.rounds, out.rounds);
		ASSERT_TRUE(is_near(out.bytes, ref.bytes, (ref.rounds + 1.0) * (ref.rounds + 1) *
							  in.page_bytes));
		ASSERT_TRUE(is_near(out.pause_ns, ref.pause, (ref.rounds + 1) * (cost + 1)));
		ASSERT_TRUE(is_near(out.total_ns, ref.total, (ref.rounds + 1.0) *
							     (ref.rounds + 1) * (cost + 1)));
	}
	printf("# %u compared, %u of them converge\n", compared, fits);
	EXPECT_GE(compared, ROUNDS / 5);
	EXPECT_GE(fits, ROUNDS / 20);
}

TEST(promises)
{
	u32 i, seen[4] = {};
	struct rnd r = { 2 };

	for (i = 0; i < ROUNDS; i++) {
		struct kvmx_predict_in in;

		build_random(&r, i % 4 ? 30 : 58);
		in = random_in(&r);
		ASSERT_EQ(0, predict(&in));
		ASSERT_GE(out.verdict, CONVERGES);
		ASSERT_LE(out.verdict, OFFLINE);
		seen[out.verdict]++;
		ASSERT_GE(out.pause_ns, in.fixed_ns);
		ASSERT_GE(out.offline_ns, out.pause_ns);
		ASSERT_EQ(1000, out.vcpu_permille);
		if (out.verdict == CONVERGES) {
			ASSERT_LE(out.pause_ns, in.allowed_ns);
			ASSERT_GE(out.total_ns, out.pause_ns);
			ASSERT_LE(out.rounds, 64);
		} else {
			ASSERT_TRUE(!in.bandwidth || out.pause_ns > in.allowed_ns);
			ASSERT_EQ(NEVER, out.total_ns);
			ASSERT_EQ(NEVER, out.bytes);
			ASSERT_EQ(0, out.rounds);
		}
	}
	EXPECT_GE(seen[CONVERGES], ROUNDS / 10);
	EXPECT_GE(seen[OFFLINE], ROUNDS / 10);
}

/* what rounding may do: a microsecond in the first round, and a page in each */
static u64 slack_ns(const struct kvmx_predict_in *in)
{
	return 1000 + (out.rounds + 1) * (SEC * in->page_bytes / in->bandwidth + 1);
}

/* More bandwidth is never worse. A sender that defers may do more with it than it must. */
TEST(monotone_in_bandwidth)
{
	struct kvmx_predict_out less;
	struct rnd r = { 3 };
	u32 i, both = 0;

	for (i = 0; i < ROUNDS; i++) {
		struct kvmx_predict_in in;

		build_random(&r, 34);
		in = random_in(&r);
		ASSERT_EQ(0, predict(&in));
		less = out;
		in.bandwidth += 1 + rnd_scale(&r, 40);
		ASSERT_EQ(0, predict(&in));
		ASSERT_LE(out.offline_ns, less.offline_ns);
		if (less.verdict == OFFLINE)
			continue;
		both++;
		ASSERT_EQ(CONVERGES, out.verdict);
		if (in.defer)
			continue;
		ASSERT_LE(out.rounds, less.rounds);
		ASSERT_LE(out.bytes, less.bytes);
		ASSERT_LE(out.total_ns, less.total_ns);
	}
	EXPECT_GE(both, ROUNDS / 10);
}

/* a sender that defers converges wherever the plain one does; more effort makes a shorter pause */
TEST(defer_is_never_worse)
{
	struct kvmx_predict_out plain;
	u32 i, both = 0, more = 0, less = 0;
	struct rnd r = { 4 };

	for (i = 0; i < ROUNDS; i++) {
		struct kvmx_predict_in in;
		u64 slack;

		build_random(&r, 34);
		in = random_in(&r);
		in.defer = false;
		if (i % 2)
			in.bandwidth = bandwidth_like_guest(&r, &in);
		ASSERT_EQ(0, predict(&in));
		plain = out;
		in.defer = true;
		ASSERT_EQ(0, predict(&in));
		ASSERT_EQ(plain.offline_ns, out.offline_ns);
		if (plain.verdict == CONVERGES) {
			both++;
			ASSERT_EQ(CONVERGES, out.verdict);
			if (out.pause_ns <= plain.pause_ns)
				continue;
			less++;
			ASSERT_LE(out.rounds, plain.rounds);
			slack = kvmx_muldiv_up(slack_ns(&in), in.bandwidth, SEC);
			ASSERT_LE(out.bytes, kvmx_add(plain.bytes, slack));
		} else if (out.verdict == CONVERGES) {
			more++;
		} else if (in.bandwidth && plain.pause_ns != NEVER) {
			ASSERT_LE(out.pause_ns, kvmx_add(plain.pause_ns, slack_ns(&in)));
		}
	}
	printf("# both converge %u times, only the one that defers %u times\n", both, more);
	EXPECT_GE(both, ROUNDS / 20);
	EXPECT_GE(more, 500);
	EXPECT_GE(less, 500);
}

/* the speed is enough, and one more is too much */
TEST(throttle_is_the_smallest)
{
	u32 i, throttled = 0;
	struct rnd r = { 5 };

	for (i = 0; i < ROUNDS; i++) {
		struct kvmx_predict_in in, same;
		u32 speed;

		build_random(&r, 34);
		in = random_in(&r);
		in.bandwidth = bandwidth_like_guest(&r, &in);
		in.min_permille = 1 + rnd_below(&r, 999);
		ASSERT_EQ(0, predict(&in));
		if (out.verdict != THROTTLE) {
			ASSERT_EQ(1000, out.vcpu_permille);
			continue;
		}
		throttled++;
		speed = out.vcpu_permille;
		ASSERT_GE(speed, in.min_permille);
		ASSERT_LT(speed, 1000);
		ASSERT_LE(out.pause_ns, in.allowed_ns);
		/* a guest that slow is a link that fast, but for the pause */
		same = in;
		same.min_permille = speed;
		ASSERT_EQ(0, predict(&same));
		ASSERT_EQ(speed, out.vcpu_permille);
		if (speed == 999)
			continue;
		same.min_permille = speed + 1;
		ASSERT_EQ(0, predict(&same));
		ASSERT_EQ(OFFLINE, out.verdict);
	}
	printf("# throttled %u times\n", throttled);
	EXPECT_GE(throttled, 1000);
}

/* speed s is D(s t): a curve with all times divided by s, without throttling */
TEST(throttled_guest_is_a_slower_curve)
{
	struct load load = { .hot = 1024, .uniform = 16384, .uniform_rate = 20000 };
	struct kvmx_predict_in in = usual;
	struct kvmx_predict_out slow;
	struct kvmx_point pt[11];
	u32 i, k;

	for (i = 0; i < 2; i++) {
		in.defer = i;
		build_load(&load);
		in.min_permille = 10;
		ASSERT_EQ(0, predict(&in));
		ASSERT_EQ(THROTTLE, out.verdict);
		slow = out;
		load_points(&load, pt, ARRAY_SIZE(pt));
		for (k = 0; k < ARRAY_SIZE(pt); k++)
			pt[k].time_ns = pt[k].time_ns * 1000 / slow.vcpu_permille;
		ASSERT_EQ(0, kvmx_curve_build(&curve, pt, ARRAY_SIZE(pt), GUEST_PAGES));
		in.min_permille = 1000;
		ASSERT_EQ(0, predict(&in));
		EXPECT_EQ(CONVERGES, out.verdict);
		EXPECT_LE(llabs((long long)(out.rounds - slow.rounds)), 1);
		EXPECT_TRUE(is_near(out.bytes, slow.bytes, slow.bytes / 100));
		EXPECT_TRUE(is_near(out.pause_ns, slow.pause_ns, slow.pause_ns / 100));
	}
}

static double segment_log(u64 n, double d1, double d2, double dt)
{
	double left = n - d1, right = n - d2;

	if (fabs(d2 - d1) < TINY / 1000 * n)
		return dt / left;
	return dt / (d2 - d1) * log(left / right);
}

/* the first round of a sender that defers, in closed form; its time in ns */
static double ref_first_round(double cost, u64 pages)
{
	const struct kvmx_point *a, *b = &curve.fine[0];
	double need = pages * cost / curve.total_pages, part, m, t;
	u64 n = curve.total_pages;
	u32 i;

	for (i = 0; i < curve.nr_fine; i++) {
		b = &curve.fine[i];
		a = i ? b - 1 : &(const struct kvmx_point) { 0, 0 };
		part = segment_log(n, a->pages, b->pages, b->time_ns - a->time_ns);
		if (part < need) {
			need -= part;
			continue;
		}
		m = (double)(b->pages - a->pages) / (b->time_ns - a->time_ns);
		t = need * (n - a->pages);
		if (m > 0)
			t = (n - a->pages) / m * (1 - exp(-m * need));
		return a->time_ns + t;
	}
	return b->time_ns + need * (n - b->pages);
}

/* The age of the oldest page left, by small steps. Gives the time until @level pages are left. */
static double ref_later_rounds(double cost, double tau, u64 level)
{
	double elapsed = 0, step, slope;

	while (ref_pages(tau) > level) {
		step = fmax(tau * TINY * 10, 1);
		slope = (ref_pages(tau) - ref_pages(tau - step)) / step * cost;
		if (slope >= 1)
			return INFINITY;
		elapsed += step * slope / (1 - slope);
		tau -= step;
	}
	return elapsed;
}

TEST(defer_as_integrated)
{
	static const struct load loads[] = {
		{ .uniform = 16384, .uniform_rate = 4096 },
		{ .uniform = 49152, .uniform_rate = 3000 },
		{ .uniform = 65536, .uniform_rate = 7000 },
		{ .hot = 2048, .uniform = 16384, .uniform_rate = 4096 },
		{ .hot = 512, .warm = 2000, .warm_rate = 4000, .uniform = 30000,
		  .uniform_rate = 2000 },
		{ .grow = 60000, .grow_rate = 6000 },
	};
	const double cost = 1e9 / 8192;
	struct kvmx_predict_in in = usual;
	u32 i;

	in.defer = true;
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		double first, later;

		build_load(&loads[i]);
		ASSERT_EQ(0, predict(&in));
		ASSERT_EQ(CONVERGES, out.verdict);
		first = ref_first_round(cost, GUEST_PAGES);
		later = ref_later_rounds(cost, first, 2457);
		printf("# total %.6f s, integrated %.6f s\n", out.total_ns / 1e9,
		       (first + later + 2457 * cost) / 1e9);
		EXPECT_TRUE(is_near(out.total_ns, first + later + 2457 * cost,
				    (first + later) / 500));
	}
}

/* in the middle of a migration the rest of it is what was predicted before, less what is done */
TEST(midway_is_consistent)
{
	struct kvmx_predict_in in = usual;
	double later;

	build_load(&(struct load) { .uniform = 30000, .uniform_rate = 5000 });
	in.defer = true;
	in.remaining_pages = 15000;
	ASSERT_EQ(0, predict(&in));
	later = ref_later_rounds(1e9 / 8192, kvmx_curve_time(&curve, 15000), 2457);
	EXPECT_EQ(CONVERGES, out.verdict);
	EXPECT_TRUE(is_near(out.total_ns - out.pause_ns, later, later / 500));
}

/* anything at all: no trap, no endless loop, and the promises are kept */
TEST(extremes)
{
	static const u64 edge[] = {
		0, 1, 2, 999, SEC, TERA_PAGES, GBIT_400, 1ULL << 63, U64_MAX - 1, U64_MAX,
	};
	struct kvmx_point pt[KVMX_MAX_POINTS];
	struct rnd r = { 6 };
	u32 i, k, nr;
	u64 total;

	for (i = 0; i < ROUNDS; i++) {
		struct kvmx_predict_in in;
		u64 *field[] = { &in.bandwidth, &in.allowed_ns, &in.fixed_ns };

		total = i % 2 ? edge[rnd_below(&r, ARRAY_SIZE(edge))] : rnd_scale(&r, 64);
		nr = 1 + rnd_below(&r, KVMX_MAX_POINTS);
		for (k = 0; k < nr; k++) {
			pt[k].time_ns = max(i % 3 ? rnd_scale(&r, 64) :
					    edge[rnd_below(&r, ARRAY_SIZE(edge))], 1ULL);
			pt[k].pages = min(rnd_scale(&r, 64), total);
		}
		ASSERT_EQ(0, kvmx_curve_build(&curve, pt, nr, total));
		for (k = 0; k < ARRAY_SIZE(field); k++)
			*field[k] = rnd_below(&r, 2) ? edge[rnd_below(&r, ARRAY_SIZE(edge))] :
						       rnd_scale(&r, 64);
		in.remaining_pages = rnd_below(&r, 2) ? U64_MAX : rnd_below(&r, total);
		in.page_bytes = rnd_below(&r, 2) ? 65536 : 1 + rnd_below(&r, 65536);
		in.min_permille = i % 8 ? 1000 : 1 + rnd_below(&r, 1000);
		in.defer = rnd_below(&r, 2);
		ASSERT_EQ(0, predict(&in));
		ASSERT_GE(out.offline_ns, in.fixed_ns);
		if (out.verdict != OFFLINE) {
			ASSERT_LE(out.pause_ns, in.allowed_ns);
			ASSERT_GE(out.total_ns, out.pause_ns);
		}
	}
}

TEST_HARNESS_MAIN
