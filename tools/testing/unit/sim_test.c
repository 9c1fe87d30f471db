// SPDX-License-Identifier: GPL-2.0
/*
 * Predictions against a simulated sender and guest, page by page.
 */
#include <math.h>

#include <linux/minmax.h>

#include "curve.h"
#include "guest.h"
#include "kselftest_harness.h"
#include "predict.h"

#define PAGES_PER_S	8192U		/* 32 MiB/s */
#define PAGE_BYTES	4096U
#define ALLOWED		(300 * MS)
#define FIXED		(10 * MS)
#define BUDGET		(PAGES_PER_S * 290 / 1000)
#define SLICE_MS	20		/* how often the sender that defers looks */
#define LIMIT_MS	90000
#define POINTS		12		/* up to 2 s */

static const struct load loads[] = {
	{ .name = "idle" },
	{ .name = "uniform", .uniform = 16384, .uniform_rate = 4096 },
	{ .name = "uniform, wide", .uniform = 49152, .uniform_rate = 2000 },
	{ .name = "uniform, too fast", .uniform = 16384, .uniform_rate = 24576 },
	{ .name = "hot 8 MiB", .hot = 2048 },
	{ .name = "stream", .stream = 32768, .stream_rate = 4096, .ordered = true },
	{ .name = "stream, fast", .stream = 32768, .stream_rate = 12288, .ordered = true },
	{ .name = "grow", .grow = 40960, .grow_rate = 2048, .ordered = true },
	{ .name = "hot 8 MiB + uniform", .hot = 2048, .uniform = 16384, .uniform_rate = 4096 },
	{ .name = "hot 4 MiB + uniform", .hot = 1024, .uniform = 16384, .uniform_rate = 2048 },
	{ .name = "hot 12 MiB + uniform", .hot = 3072, .uniform = 16384, .uniform_rate = 1024 },
	{ .name = "hot + warm + uniform", .hot = 512, .warm = 2000, .warm_rate = 4000,
	  .uniform = 30000, .uniform_rate = 2000 },
	{ .name = "hot + stream", .hot = 1024, .stream = 32768, .stream_rate = 2048,
	  .ordered = true },
};

/* pages in a list by the time they were last found dirty */
struct sim {
	struct guest guest;
	u32 next[GUEST_PAGES + 1];
	u32 prev[GUEST_PAGES + 1];
	u32 nr_listed;
	bool listed[GUEST_PAGES];
	bool dirty[GUEST_PAGES];
	u32 round_of[GUEST_PAGES];	/* in which a listed page is due */
	u32 round;
	u32 nr_due;			/* listed pages of this round */
	u32 found[GUEST_PAGES];		/* dirty, and not yet looked at */
	u32 nr_found;
};

struct result {
	bool paused;
	u32 rounds;
	u64 sent;
	u64 ms;
	u64 left;
	u64 least;	/* the smallest backlog there was */
};

static void on_dirty(void *arg, u32 page)
{
	struct sim *s = arg;

	if (s->dirty[page])
		return;
	s->dirty[page] = true;
	s->found[s->nr_found++] = page;
}

/* the list's head is its last element */
static void unlist(struct sim *s, u32 page)
{
	s->next[s->prev[page]] = s->next[page];
	s->prev[s->next[page]] = s->prev[page];
	s->listed[page] = false;
	s->nr_listed--;
	s->nr_due -= s->round_of[page] == s->round;
	if (!s->nr_due) {
		/* what is listed now, came during the round */
		s->round++;
		s->nr_due = s->nr_listed;
	}
}

static void list_last(struct sim *s, u32 page)
{
	s->prev[page] = s->prev[GUEST_PAGES];
	s->next[page] = GUEST_PAGES;
	s->next[s->prev[page]] = page;
	s->prev[GUEST_PAGES] = page;
	s->listed[page] = true;
	s->nr_listed++;
	s->round_of[page] = s->round + 1;
}

static void harvest(struct sim *s)
{
	u32 i, page;

	for (i = 0; i < s->nr_found; i++) {
		page = s->found[i];
		s->dirty[page] = false;
		if (s->listed[page])
			unlist(s, page);
		list_last(s, page);
	}
	s->nr_found = 0;
}

static struct sim *sim_new(const struct load *load)
{
	struct sim *s = calloc(1, sizeof(*s));
	u32 i;

	if (!s)
		abort();
	s->guest = (struct guest) { .load = load, .dirty = on_dirty, .arg = s };
	s->prev[GUEST_PAGES] = GUEST_PAGES;
	s->next[GUEST_PAGES] = GUEST_PAGES;
	for (i = 0; i < GUEST_PAGES; i++)
		list_last(s, i);
	s->round = 1;
	s->nr_due = GUEST_PAGES;
	return s;
}

/* pages that the link carries in millisecond @ms */
static u32 carried(u64 ms)
{
	return (ms + 1) * PAGES_PER_S / 1000 - ms * PAGES_PER_S / 1000;
}

/*
 * Goes on until the backlog is at most @level, or, if that is 0, until it may pause and there is
 * little to gain from going on: what was sent and is written again takes 3/10 of the link, or less
 * than 1/32 of what is allowed is left.
 */
static struct result send_deferring(struct sim *s, u32 level)
{
	struct result r = { .least = GUEST_PAGES };
	u32 first = s->round;
	double again = 0;
	bool enough;
	u32 i;

	for (; r.ms < LIMIT_MS; r.ms++) {
		if (r.ms % SLICE_MS == 0) {
			i = s->nr_listed;
			harvest(s);
			/* an average over some slices */
			again = again * .6 + (s->nr_listed - i) * .4;
			r.left = s->nr_listed;
			r.least = min(r.least, r.left);
			enough = again > .3 * PAGES_PER_S * SLICE_MS / 1000 ||
				 r.left <= BUDGET / 32;
			r.paused = level ? r.left <= level : r.left <= BUDGET && enough;
			if (r.paused)
				break;
		}
		for (i = carried(r.ms); i && s->nr_listed; i--, r.sent++)
			unlist(s, s->next[GUEST_PAGES]);
		guest_step(&s->guest);
	}
	r.rounds = s->round - first + 1;
	return r;
}

static struct result send_plain(struct sim *s)
{
	struct result r = { .least = GUEST_PAGES };
	u64 todo;
	u32 i;

	while (r.ms < LIMIT_MS && !r.paused) {
		for (todo = s->nr_listed; todo; r.ms++) {
			for (i = carried(r.ms); i && todo; i--, todo--, r.sent++)
				unlist(s, s->next[GUEST_PAGES]);
			guest_step(&s->guest);
		}
		harvest(s);
		r.rounds++;
		r.left = s->nr_listed;
		r.least = min(r.least, r.left);
		r.paused = r.left <= BUDGET;
	}
	return r;
}

static struct kvmx_predict_out predict_from(const struct kvmx_point *pt, bool defer, u64 remaining)
{
	struct kvmx_predict_in in = {
		.bandwidth = PAGES_PER_S * PAGE_BYTES,
		.allowed_ns = ALLOWED,
		.fixed_ns = FIXED,
		.remaining_pages = remaining,
		.page_bytes = PAGE_BYTES,
		.min_permille = 1000,
		.defer = defer,
	};
	struct kvmx_predict_out out;
	struct kvmx_curve c;

	if (kvmx_curve_build(&c, pt, POINTS, GUEST_PAGES) || kvmx_predict(&c, &in, &out))
		abort();
	return out;
}

static struct kvmx_predict_out predict(const struct load *load, bool defer, u64 remaining)
{
	struct kvmx_point pt[POINTS];

	load_points(load, pt, POINTS);
	return predict_from(pt, defer, remaining);
}

/* in percent of what came */
static double error(u64 predicted, u64 came)
{
	return 100.0 * ((double)predicted - came) / came;
}

static u64 pause_of(u64 pages)
{
	return FIXED + pages * SEC / PAGES_PER_S;
}

/*
 * Prints and checks how far off a prediction is. A sender that looks now and then misses a part of
 * a slice, however short the pause is. The end of a stream cannot be foreseen, so a pause that it
 * makes too long may be overestimated.
 */
static void check(struct __test_metadata *const _metadata, const char *how,
		  const struct load *load, const struct kvmx_predict_out *p,
		  const struct result *r, double effort_limit)
{
	u64 came = pause_of(r->paused ? r->left : r->least);
	double pause = error(p->pause_ns, came), time, bytes;

	EXPECT_EQ(r->paused, p->verdict == KVMX_VERDICT_CONVERGES);
	printf("# %s, %s: pause %+.1f %% of %llu ms", how, load->name, pause,
	       (unsigned long long)(came / MS));
	if (!r->paused) {
		printf(", never converges\n");
		EXPECT_LE(fabs(pause), load->ordered ? 100 : 15);
		return;
	}
	time = error(p->total_ns, r->ms * MS + came);
	bytes = error(p->bytes, (r->sent + r->left) * PAGE_BYTES);
	printf(", time %+.1f %% of %llu ms, bytes %+.1f %%, rounds %u of %u\n", time,
	       (unsigned long long)r->ms, bytes, p->rounds, r->rounds);
	EXPECT_TRUE(fabs(pause) <= 15 || fabs((double)p->pause_ns - came) < SLICE_MS * MS / 2);
	EXPECT_LE(fabs(time), effort_limit);
	EXPECT_LE(fabs(bytes), effort_limit);
	EXPECT_LE(abs((int)p->rounds - (int)r->rounds), 3);
}

TEST(plain)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		struct kvmx_predict_out p = predict(&loads[i], false, U64_MAX);
		struct sim *s = sim_new(&loads[i]);
		struct result r = send_plain(s);

		free(s);
		check(_metadata, "plain", &loads[i], &p, &r, 10);
	}
}

TEST(defer)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		struct kvmx_predict_out p = predict(&loads[i], true, U64_MAX);
		struct sim *s = sim_new(&loads[i]);
		struct result r = send_deferring(s, 0);

		free(s);
		check(_metadata, "defer", &loads[i], &p, &r, loads[i].ordered ? 25 : 10);
	}
}

/*
 * In the middle of a migration, with part of the pages pending. Those of the hot set are among
 * them for sure, which a sender cannot know: that makes an error of as many pages.
 */
TEST(defer_midway)
{
	static const u32 level[] = { 40000, 16000, 6000 };
	u32 i, k;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		for (k = 0; k < ARRAY_SIZE(level); k++) {
			struct sim *s = sim_new(&loads[i]);
			struct result r = send_deferring(s, level[k]);
			struct kvmx_predict_out p;

			if (r.paused) {
				p = predict(&loads[i], true, r.left);
				r = send_deferring(s, 0);
				check(_metadata, "midway", &loads[i], &p, &r, 35);
			}
			free(s);
		}
	}
}

/* the curve as VM_SAMPLE sees it if it watches @k pages */
static void sample_points(const struct load *load, struct kvmx_point *pt, u32 k, struct rnd *r)
{
	u64 count[POINTS] = {};
	u32 i, s;
	double u;

	load_points(load, pt, POINTS);
	for (s = 0; s < k; s++) {
		u = rnd_real(r) * GUEST_PAGES;
		for (i = 0; i < POINTS; i++)
			count[i] += u < pt[i].pages;
	}
	for (i = 0; i < POINTS; i++)
		pt[i].pages = count[i] * GUEST_PAGES / k;
}

/* what sampling noise does to the verdicts, of which some are close */
TEST(sampled)
{
	static const struct {
		u32 samples;
		u32 may_be_wrong;
	} cases[] = { { 1024, 40 }, { 4096, 10 }, { 16384, 0 } };
	struct kvmx_point pt[POINTS];
	struct rnd r = { 7 };
	u32 i, k, n, wrong;

	for (k = 0; k < ARRAY_SIZE(cases); k++) {
		wrong = 0;
		for (i = 0; i < ARRAY_SIZE(loads); i++) {
			u32 truth = predict(&loads[i], true, U64_MAX).verdict;

			for (n = 0; n < 40; n++) {
				sample_points(&loads[i], pt, cases[k].samples, &r);
				wrong += predict_from(pt, true, U64_MAX).verdict != truth;
			}
		}
		printf("# %u samples: %u of %zu verdicts wrong\n", cases[k].samples, wrong,
		       40 * ARRAY_SIZE(loads));
		EXPECT_LE(wrong, cases[k].may_be_wrong);
	}
}

TEST_HARNESS_MAIN
