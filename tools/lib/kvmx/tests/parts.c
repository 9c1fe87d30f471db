// SPDX-License-Identifier: LGPL-2.1
/* The library's pure parts: format, page codec, layout, ages, decisions; and the link's manners. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "fake.h"
#include "hash.h"
#include "kselftest_harness.h"
#include "pages.h"
#include "verdict.h"

static uint64_t seed = 12345;

static uint64_t rnd(uint64_t below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % below;
}

TEST(lines_come_back)
{
	static uint8_t page[PAGE_BYTES], back[PAGE_BYTES], buf[PAGE_BYTES + 8];
	int round, line;

	for (round = 0; round < 200; round++) {
		uint64_t mask = round ? (rnd(1ULL << 31) << 33 | rnd(1ULL << 31) << 2) &
					(rnd(2) ? ~0ULL : rnd(1ULL << 31)) : 0;
		uint32_t len;

		memset(page, 0, sizeof(page));
		/* One byte anywhere in a line is enough. */
		for (line = 0; line < 64; line++)
			if (mask >> line & 1)
				page[line * 64 + rnd(64)] = 1 + rnd(255);
		ASSERT_EQ(mask, page_mask(page));
		len = page_put_lines(buf, page, mask);
		ASSERT_EQ(len, page_lines_size(mask));
		memset(back, 0xa5, sizeof(back));
		ASSERT_EQ(0, page_get_lines(back, buf, len - 1));
		ASSERT_EQ(len, page_get_lines(back, buf, len));
		ASSERT_EQ(0, memcmp(page, back, sizeof(page)));
	}
	ASSERT_EQ(0, page_get_lines(back, buf, 7));
}

TEST(lines_move_down_in_place)
{
	static uint8_t page[PAGE_BYTES], back[PAGE_BYTES], buf[2 * PAGE_BYTES];
	uint32_t shift, len;
	int i;

	for (shift = 8; shift <= 72; shift += 8) {
		for (i = 0; i < PAGE_BYTES; i++)
			page[i] = rnd(256);
		memset(page + 640, 0, 64 * shift / 8);
		ASSERT_EQ(page_mask(page), page_copy(buf + shift, page));
		ASSERT_EQ(0, memcmp(buf + shift, page, PAGE_BYTES));
		len = page_put_lines(buf, buf + shift, page_mask(page));
		ASSERT_EQ(len, page_get_lines(back, buf, len));
		ASSERT_EQ(0, memcmp(page, back, PAGE_BYTES));
	}
}

TEST(both_hashes_are_one)
{
	static uint64_t page[PAGE_BYTES / 8];
	uint64_t a[2], b[2], c[2];
	int i;

	for (i = 0; i < 20; i++) {
		page[rnd(512)] = rnd(~0U);
		hash_page_words(page, &a[0], &a[1]);
		hash_page_vectors(page, &b[0], &b[1]);
		hash_choose();
		hash_page(page, &c[0], &c[1]);
		EXPECT_EQ(a[0], b[0]);
		EXPECT_EQ(a[1], b[1]);
		EXPECT_EQ(a[0], c[0]);
		EXPECT_EQ(a[1], c[1]);
	}
}

TEST(every_bit_of_a_chunk_counts)
{
	uint8_t good[STREAM_HEADER + 40], bad[sizeof(good)];
	struct stream out = { .dir = STREAM_FORWARD, .seq = 7 };
	unsigned int bit;
	struct chunk c;

	memset(good, 0x31, sizeof(good));
	stream_seal(&out, good, CHUNK_STATE, 40, 3);
	for (bit = 0; bit < 8 * sizeof(good); bit++) {
		struct stream in = { .dir = STREAM_FORWARD, .seq = 7 };

		memcpy(bad, good, sizeof(bad));
		bad[bit / 8] ^= 1 << bit % 8;
		if (stream_open(&in, bad, &c))
			continue;
		if (c.length <= 40)
			EXPECT_NE(NULL, stream_check(&in, bad, bad + STREAM_HEADER, &c))
				TH_LOG("bit %u", bit);
		EXPECT_EQ(7, in.seq);
	}
}

TEST(chunks_have_their_place)
{
	struct stream out = { .dir = STREAM_FORWARD }, in = out, back = { .dir = STREAM_BACK };
	uint8_t one[STREAM_HEADER + 8] = { 0 }, two[STREAM_HEADER + 8] = { 0 };
	struct chunk c;

	stream_seal(&out, one, CHUNK_PING, 8, 0);
	stream_seal(&out, two, CHUNK_PING, 8, 0);
	/* out of order */
	EXPECT_NE(NULL, stream_open(&in, two, &c));
	/* sent back to where it came from */
	ASSERT_EQ(NULL, stream_open(&back, one, &c));
	EXPECT_NE(NULL, stream_check(&back, one, one + STREAM_HEADER, &c));
	ASSERT_EQ(NULL, stream_open(&in, one, &c));
	ASSERT_EQ(NULL, stream_check(&in, one, one + STREAM_HEADER, &c));
	EXPECT_EQ(CHUNK_PING, c.type);
	EXPECT_EQ(8, c.length);
	/* twice */
	EXPECT_NE(NULL, stream_open(&in, one, &c));
	ASSERT_EQ(NULL, stream_open(&in, two, &c));
	ASSERT_EQ(NULL, stream_check(&in, two, two + STREAM_HEADER, &c));
	EXPECT_EQ(out.chain, in.chain);
	EXPECT_EQ(2, in.seq);
	/* longer than any may be */
	put_le32(two + 4, STREAM_CHUNK_MAX + 1);
	in.seq = 1;
	EXPECT_NE(NULL, stream_open(&in, two, &c));
}

TEST(preamble)
{
	uint8_t buf[STREAM_PREAMBLE];
	uint32_t version;
	int i;

	stream_put_preamble(buf);
	EXPECT_EQ(NULL, stream_check_preamble(buf, &version));
	EXPECT_EQ(STREAM_VERSION, version);
	EXPECT_EQ(0, memcmp(buf, "KVMXMIG", 8));
	for (i = 0; i < STREAM_PREAMBLE; i++) {
		buf[i] ^= 0x40;
		EXPECT_NE(NULL, stream_check_preamble(buf, &version));
		buf[i] ^= 0x40;
	}
}

static char mem[16];

static struct kvmx_region region(uint32_t as, uint64_t gfn, uint64_t npages)
{
	return (struct kvmx_region){ .as = as, .gfn = gfn, .npages = npages, .hva = mem };
}

TEST(layout_finds)
{
	struct kvmx_region r[] = { region(1, 0, 4), region(0, 100, 10), region(0, 0, 50),
				   region(0, 110, 5) };
	struct kvmx_migrate_report report = { 0 };
	struct layout l;
	uint64_t idx;

	ASSERT_EQ(0, layout_init(&l, r, 4, &report));
	EXPECT_EQ(69, l.total);
	EXPECT_EQ(NULL, layout_find(&l, 0, 50));
	EXPECT_EQ(NULL, layout_find(&l, 0, 99));
	EXPECT_EQ(NULL, layout_find(&l, 0, 115));
	EXPECT_EQ(NULL, layout_find(&l, 1, 4));
	EXPECT_EQ(NULL, layout_find(&l, 2, 0));
	EXPECT_EQ(NULL, layout_find(&l, 0, ~0ULL));
	for (idx = 0; idx < l.total; idx++) {
		const struct kvmx_region *at = layout_region(&l, idx);
		uint64_t gfn = layout_gfn(&l, at, idx);

		ASSERT_EQ(at, layout_find(&l, at->as, gfn));
		ASSERT_EQ(idx, layout_index(&l, at, gfn));
	}
	layout_free(&l);
}

TEST(layout_refuses)
{
	struct kvmx_migrate_report report = { 0 };
	struct kvmx_region r[2];
	struct layout l;

	r[0] = region(0, 0, 10);
	r[1] = region(0, 9, 10);
	EXPECT_EQ(-EINVAL, layout_init(&l, r, 2, &report));
	EXPECT_NE(NULL, strstr(report.reason, "overlap"));
	r[1] = region(1, 9, 10);
	EXPECT_EQ(0, layout_init(&l, r, 2, &report));
	layout_free(&l);
	r[1] = region(0, 100, 0);
	EXPECT_EQ(-EINVAL, layout_init(&l, r, 2, &report));
	r[1] = region(0, ~0ULL, 2);
	EXPECT_EQ(-EINVAL, layout_init(&l, r, 2, &report));
	r[1] = region(0, 100, ~0ULL);
	EXPECT_EQ(-EINVAL, layout_init(&l, r, 2, &report));
	r[1] = region(0, 100, 1);
	r[1].hva = NULL;
	EXPECT_EQ(-EINVAL, layout_init(&l, r, 2, &report));
	EXPECT_EQ(-EINVAL, layout_init(&l, r, 0, &report));
	EXPECT_EQ(-EINVAL, layout_init(&l, r, LAYOUT_MAX_REGIONS + 1, &report));
}

TEST(hello_is_compared)
{
	struct kvmx_region r[] = { region(0, 0, 50), region(0, 100, 10) };
	uint8_t buf[STREAM_HELLO + 3 * STREAM_REGION];
	struct kvmx_migrate_report report = { 0 };
	struct stream_hello hello;
	struct layout l;
	uint32_t len, i;
	uint64_t gfn;

	ASSERT_EQ(0, layout_init(&l, r, 2, &report));
	len = stream_put_hello(buf, &l, 0, 99);
	EXPECT_EQ(NULL, stream_get_hello(buf, len, &l, &hello, &gfn));
	EXPECT_EQ(99, hello.session);
	EXPECT_EQ(60, hello.total_pages);
	for (i = 0; i < len; i++) {
		/* The session is any number, and a flag is one bit that may be set. */
		if (i >= 24 && i < 32)
			continue;
		buf[i] ^= 2;
		EXPECT_NE(NULL, stream_get_hello(buf, len, &l, &hello, &gfn)) TH_LOG("%u", i);
		buf[i] ^= 2;
	}
	EXPECT_NE(NULL, stream_get_hello(buf, len - 1, &l, &hello, &gfn));
	EXPECT_NE(NULL, stream_get_hello(buf, 31, &l, &hello, &gfn));
	l.nr = 1;
	l.total = 50;
	EXPECT_NE(NULL, stream_get_hello(buf, len, &l, &hello, &gfn));
	layout_free(&l);
}

/* The counters that decisions rest on are what a count of all pages gives. */
static void count_pages(struct __test_metadata *_metadata, const struct pages *p)
{
	uint64_t pop[HEAT_STAMPS] = { 0 }, pending[HEAT_STAMPS] = { 0 }, all = 0, idx;

	for (idx = 0; idx < p->total; idx++) {
		unsigned int stamp = pages_stamp(p, idx);

		pop[stamp]++;
		if (bit_test(p->pending, idx)) {
			pending[stamp]++;
			all++;
		}
	}
	ASSERT_EQ(0, memcmp(pop, p->heat.pop, sizeof(pop)));
	ASSERT_EQ(0, memcmp(pending, p->heat.pending, sizeof(pending)));
	ASSERT_EQ(all, p->nr_pending);
}

TEST(pages_are_accounted_for)
{
	const uint64_t total = 5000, quantum = 50 * NSEC_PER_MSEC;
	struct pages p;
	int i, round;
	uint64_t t;

	ASSERT_EQ(0, pages_init(&p, total, true, quantum));
	t = p.heat.start;
	pages_want_all(&p);
	EXPECT_EQ(total, p.nr_pending);
	/* Long enough for the stamps to come round three times. */
	for (round = 0; round < 800; round++) {
		t += quantum * (round % 100 == 7 ? 60 : 1);
		pages_advance(&p, t);
		for (i = 0; i < 40; i++)
			pages_dirty(&p, rnd(4) ? rnd(100) : rnd(total));
		for (i = 0; i < 60; i++)
			pages_done(&p, rnd(total));
		for (i = 0; i < 3; i++)
			pages_want(&p, rnd(total));
		if (round % 16 == 0)
			count_pages(_metadata, &p);
	}
	EXPECT_LT(0, p.heat.pop[HEAT_STAMP_STALE]);
	pages_free(&p);
}

TEST(pages_are_found)
{
	uint64_t idx, got[64], last;
	struct pages p;
	uint32_t n, i;

	ASSERT_EQ(0, pages_init(&p, 1000, true, NSEC_PER_SEC));
	EXPECT_EQ(0, pages_spread(&p, 10, got));
	EXPECT_EQ(1000, pages_next(&p, 0, 1000, ~0U));
	for (idx = 5; idx < 1000; idx += 7)
		pages_want(&p, idx);
	last = 0;
	for (idx = pages_next(&p, 0, 1000, ~0U); idx < 1000;
	     idx = pages_next(&p, idx + 1, 1000, ~0U)) {
		EXPECT_EQ(5, idx % 7);
		last = idx;
	}
	EXPECT_EQ(999, last);
	EXPECT_EQ(64, pages_next(&p, 62, 64, ~0U));
	EXPECT_EQ(61, pages_next(&p, 58, 64, ~0U));
	EXPECT_EQ(1000, pages_next(&p, 0, 1000, 1U << HEAT_WARM));
	EXPECT_EQ(5, pages_next(&p, 0, 1000, 1U << HEAT_COLD));
	for (n = 1; n <= 64; n++) {
		uint32_t found = pages_spread(&p, n, got);

		EXPECT_EQ(n, found);
		for (i = 0; i < found; i++) {
			EXPECT_EQ(5, got[i] % 7);
			EXPECT_TRUE(!i || got[i] > got[i - 1]);
			/* Evenly over all of them, to the last. */
			EXPECT_TRUE(got[i] / 1000. * n >= i - 1. && got[i] / 1000. * n <= i + 2.)
				TH_LOG("%u of %u: %lu", i, n, got[i]);
		}
	}
	pages_free(&p);
}

TEST(content_is_known_again)
{
	static uint8_t page[PAGE_BYTES];
	struct page_entry hash;
	struct pages p;

	ASSERT_EQ(0, pages_init(&p, 10, true, NSEC_PER_MSEC));
	EXPECT_FALSE(pages_sent(&p, 3));
	hash = pages_hash(page);
	EXPECT_FALSE(pages_same(&p, 3, hash));
	pages_note(&p, 3, hash);
	EXPECT_TRUE(pages_sent(&p, 3));
	EXPECT_TRUE(pages_same(&p, 3, hash));
	/* The stamp beside it changes nothing. */
	pages_advance(&p, p.heat.start + 5 * NSEC_PER_MSEC);
	pages_dirty(&p, 3);
	EXPECT_TRUE(pages_same(&p, 3, hash));
	EXPECT_EQ(6, pages_stamp(&p, 3));
	pages_note(&p, 3, hash);
	EXPECT_EQ(6, pages_stamp(&p, 3));
	page[4095] = 1;
	EXPECT_FALSE(pages_same(&p, 3, pages_hash(page)));
	pages_free(&p);
}

/* A guest of which everything is known, and time that is only a number. */
#define MODEL_PAGES	20000
#define MODEL_QUANTUM	(50 * NSEC_PER_MSEC)

struct model {
	struct pages p;
	uint64_t t;
	uint64_t at;
};

static void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	pages_init(&m->p, MODEL_PAGES, true, MODEL_QUANTUM);
	m->t = m->p.heat.start;
}

static void model_step(struct model *m, uint64_t hot, uint64_t uniform, uint64_t in,
		       uint64_t stream)
{
	uint64_t i;

	m->t += MODEL_QUANTUM;
	pages_advance(&m->p, m->t);
	for (i = 0; i < hot; i++)
		pages_dirty(&m->p, i);
	for (i = 0; i < uniform; i++)
		pages_dirty(&m->p, 1000 + rnd(in));
	for (i = 0; i < stream; i++)
		pages_dirty(&m->p, 1000 + m->at++ % 18000);
}

static uint64_t curve_at(const struct model *m, uint64_t quanta)
{
	struct kvmx_point points[KVMX_MAX_POINTS];
	uint32_t nr = heat_curve(&m->p.heat, points), i;

	for (i = 0; i < nr; i++)
		if (points[i].time_ns == quanta * MODEL_QUANTUM)
			return points[i].pages;
	return 0;
}

#define EXPECT_NEAR(_want, _got, _percent) do { \
	double _w = (_want), _g = (_got); \
	EXPECT_GE(_w * (_percent) / 100 + 1, fabs(_w - _g)) \
		TH_LOG("%.1f, not %.1f", _g, _w); \
} while (0)

TEST(curve_of_a_hot_set)
{
	struct model m;
	int i;

	model_init(&m);
	for (i = 0; i < 100; i++)
		model_step(&m, 500, 0, 1, 0);
	EXPECT_NEAR(500, curve_at(&m, 1), 1);
	EXPECT_NEAR(500, curve_at(&m, 8), 2);
	EXPECT_NEAR(500, curve_at(&m, 64), 5);
	EXPECT_NEAR(10000, heat_dirty_rate(&m.p.heat), 1);
	pages_free(&m.p);
}

TEST(curve_of_uniform_writes)
{
	struct model m;
	int i, k;

	model_init(&m);
	for (i = 0; i < 150; i++)
		model_step(&m, 0, 200, 4000, 0);
	for (k = 1; k <= 64; k *= 2)
		EXPECT_NEAR(4000 * (1 - exp(-200. * k / 4000)), curve_at(&m, k), 6);
	pages_free(&m.p);
}

TEST(curve_of_a_stream)
{
	struct model m;
	int i, k;

	model_init(&m);
	for (i = 0; i < 80; i++)
		model_step(&m, 0, 0, 1, 100);
	for (k = 1; k <= 64; k *= 2)
		EXPECT_NEAR(100 * k, curve_at(&m, k), 2);
	pages_free(&m.p);
}

TEST(hot_pages_wait)
{
	struct plan plan;
	struct model m;
	double hazard;
	int i;

	model_init(&m);
	pages_want_all(&m.p);
	for (i = 0; i < 60; i++)
		model_step(&m, 300, 20, 4000, 0);
	plan_make(&plan, &m.p.heat, 400, false);
	EXPECT_FALSE(plan.eligible >> HEAT_HOT & 1);
	EXPECT_TRUE(plan.eligible >> HEAT_COLD & 1);
	EXPECT_TRUE(plan.eligible >> HEAT_WARM & 1);
	/* Those that were written just now but only once are not hot. */
	EXPECT_TRUE(plan.eligible & 1);
	EXPECT_LT(5, heat_hazard(&m.p.heat, HEAT_HOT));
	EXPECT_NEAR(MODEL_PAGES - 300, plan_eligible(&plan, &m.p.heat, &hazard), 1);
	EXPECT_GT(1, hazard);
	/* The largest class is not in a step with those before it. */
	EXPECT_LE(2, plan.nr_steps);
	plan_make(&plan, &m.p.heat, 400, true);
	EXPECT_EQ(MODEL_PAGES, plan_eligible(&plan, &m.p.heat, &hazard));
	pages_free(&m.p);
}

TEST(pages_written_every_other_quantum_are_hot)
{
	struct plan plan;
	struct model m;
	int i;

	model_init(&m);
	for (i = 0; i < 60; i++) {
		model_step(&m, i % 2 ? 300 : 0, 0, 1, 0);
		plan_make(&plan, &m.p.heat, 400, false);
		if (i > 10)
			EXPECT_FALSE(plan.eligible & (1U << HEAT_HOT | 1U << HEAT_HOT_1));
	}
	pages_free(&m.p);
}

TEST(what_a_stream_left_behind_goes_first)
{
	const struct heat *h;
	struct model m;
	int i;

	model_init(&m);
	for (i = 0; i < 60; i++)
		model_step(&m, 0, 0, 1, 100);
	h = &m.p.heat;
	/* Just written: done with. Not yet written: soon. In the block being written: now. */
	EXPECT_LT(heat_hazard(h, 0), heat_hazard(h, HEAT_COLD));
	EXPECT_LT(heat_hazard(h, 3), heat_hazard(h, HEAT_COLD));
	EXPECT_LT(heat_hazard(h, HEAT_COLD), heat_hazard(h, HEAT_WARM));
	EXPECT_EQ(0, heat_fresh_rate(h) > 6000 * 1.1);
	pages_free(&m.p);
}

/* 20 quanta from one write to the next: safe now, lost before a second is over. */
TEST(what_comes_round_waits)
{
	struct plan plan;
	struct model m;
	int i, k;

	model_init(&m);
	pages_want_all(&m.p);
	for (i = 0; i < 100; i++) {
		m.t += MODEL_QUANTUM;
		pages_advance(&m.p, m.t);
		for (k = 0; k < 100; k++)
			pages_dirty(&m.p, 1000 + m.at++ % 2000);
	}
	EXPECT_GT(.05, heat_risk(&m.p.heat, 0));
	EXPECT_GT(.05, heat_danger(&m.p.heat, 0, 10));
	EXPECT_LT(1, heat_danger(&m.p.heat, 0, 40));
	EXPECT_LT(heat_danger(&m.p.heat, HEAT_COLD, 40), heat_danger(&m.p.heat, 0, 40));
	/* All take 50 quanta to send: what is never written goes first ... */
	plan_make(&plan, &m.p.heat, MODEL_PAGES / 50, false);
	EXPECT_TRUE(plan.step[0] >> HEAT_COLD & 1);
	EXPECT_FALSE(plan.step[0] & 0xff);
	/* ... and when only those are left, not what is about to be. */
	for (i = 0; i < MODEL_PAGES; i++)
		if (i < 1000 || i >= 3000)
			pages_done(&m.p, i);
	plan_make(&plan, &m.p.heat, 400, false);
	EXPECT_TRUE(plan.step[0] & 0xf);
	EXPECT_FALSE(plan.step[0] & (1U << 4 | 1U << 5));
	pages_free(&m.p);
}

TEST(throttling_forgets)
{
	struct model m;
	int i;

	model_init(&m);
	for (i = 0; i < 60; i++)
		model_step(&m, 0, 400, 4000, 0);
	EXPECT_NEAR(8000, heat_dirty_rate(&m.p.heat), 15);
	heat_forget(&m.p.heat);
	EXPECT_EQ(0, heat_dirty_rate(&m.p.heat));
	for (i = 0; i < 10; i++)
		model_step(&m, 0, 100, 4000, 0);
	EXPECT_NEAR(2000, heat_dirty_rate(&m.p.heat), 15);
	pages_free(&m.p);
}

TEST(when_to_pause)
{
	const struct pause_view good = {
		.allowed_ns = 300, .predicted_ns = 280, .margin_ns = 10,
	};
	struct pause_view v = good;

	EXPECT_TRUE(pause_now(&v));
	v.predicted_ns = 291;
	EXPECT_FALSE(pause_now(&v));
	v.predicted_ns = KVMX_PREDICT_NEVER;
	EXPECT_FALSE(pause_now(&v));
	/* It would get much shorter, and what is sent stays sent. */
	v = good;
	v.gain_ns = 100;
	EXPECT_FALSE(pause_now(&v));
	v.waste = .5;
	EXPECT_TRUE(pause_now(&v));
	v.waste = 0;
	v.hazard = 5;
	EXPECT_TRUE(pause_now(&v));
	v.predicted_ns = 1000;
	EXPECT_FALSE(pause_now(&v));
	EXPECT_TRUE(pause_exhausted(&v));
}

TEST(least_pause)
{
	const struct kvmx_point bent[] = {
		{ 50 * NSEC_PER_MSEC, 1000 }, { 100 * NSEC_PER_MSEC, 1100 },
		{ NSEC_PER_SEC, 1500 },
	};

	/* 20000, 2000 and 444 pages per second */
	EXPECT_EQ(0, floor_pages(bent, 3, 30000));
	EXPECT_EQ(1000, floor_pages(bent, 3, 5000));
	EXPECT_EQ(1100, floor_pages(bent, 3, 1000));
	EXPECT_TRUE(isinf(floor_pages(bent, 3, 100)));
}

static void drain(void *arg)
{
	static char sink[20000];
	struct link link;

	if (link_init(&link, *(int *)arg, 0, NSEC_PER_SEC))
		abort();
	while (!link_recv(&link, sink, sizeof(sink)))
		;
	link_exit(&link);
}

TEST(link_keeps_to_its_limit)
{
	const struct sim_link fast = { 0 };
	const struct sim_costs costs = { 0 };
	static char buf[20000];
	struct link link;
	uint64_t begin;
	int fd[2];

	sim_begin(&costs, 1);
	sim_connect(&fast, fd);
	sim_spawn(drain, &fd[1]);
	ASSERT_EQ(0, link_init(&link, fd[0], 1000000, NSEC_PER_SEC));
	begin = now_ns();
	while (link.sent < 400000)
		ASSERT_EQ(0, link_send(&link, buf, sizeof(buf), NULL));
	/* 400 ms but for what may be sent in one go. */
	EXPECT_LE(385 * NSEC_PER_MSEC, now_ns() - begin);
	EXPECT_GE(402 * NSEC_PER_MSEC, now_ns() - begin);
	link_exit(&link);
	shutdown(fd[0], SHUT_RDWR);
	sim_join();
	sim_disconnect();
	sim_end();
}

TEST(link_gives_up)
{
	const struct sim_link nobody = { 0 };
	const struct sim_costs costs = { 0 };
	static char buf[1 << 20];
	struct link link;
	uint64_t begin;
	size_t sent;
	int fd[2];

	sim_begin(&costs, 1);
	sim_connect(&nobody, fd);
	ASSERT_EQ(0, link_init(&link, fd[0], 0, 200 * NSEC_PER_MSEC));
	begin = now_ns();
	EXPECT_EQ(-ETIMEDOUT, link_send(&link, buf, sizeof(buf), &sent));
	EXPECT_LT(0, sent);
	EXPECT_GT(sizeof(buf), sent);
	EXPECT_LE(200 * NSEC_PER_MSEC, now_ns() - begin);
	/* What fills the queue to the last byte may have been taken as late as then. */
	EXPECT_GE(401 * NSEC_PER_MSEC, now_ns() - begin);
	EXPECT_EQ(-ETIMEDOUT, link_recv(&link, buf, 1));
	EXPECT_GE(602 * NSEC_PER_MSEC, now_ns() - begin);
	shutdown(fd[1], SHUT_RDWR);
	EXPECT_EQ(-ECONNRESET, link_recv(&link, buf, 1));
	EXPECT_EQ(-EPIPE, link_send(&link, buf, 1, &sent));
	EXPECT_EQ(0, sent);
	link_exit(&link);
	sim_disconnect();
	sim_end();
}

TEST(link_leaves_no_trace)
{
	struct link link;
	sigset_t set;
	int fd[2];

	ASSERT_EQ(0, pipe(fd));
	close(fd[0]);
	ASSERT_EQ(0, link_init(&link, fd[1], 0, NSEC_PER_SEC));
	EXPECT_NE(0, fcntl(fd[1], F_GETFL) & O_NONBLOCK);
	/* SIGPIPE would kill us here, or after link_exit(). */
	EXPECT_EQ(-EPIPE, link_send(&link, "x", 1, NULL));
	link_exit(&link);
	EXPECT_EQ(0, fcntl(fd[1], F_GETFL) & O_NONBLOCK);
	ASSERT_EQ(0, pthread_sigmask(SIG_SETMASK, NULL, &set));
	EXPECT_EQ(0, sigismember(&set, SIGPIPE));
	close(fd[1]);
}

TEST(hints)
{
	EXPECT_NE(NULL, strstr(kvmx_hint(0, ENOENT), "modprobe"));
	EXPECT_EQ(kvmx_hint(0, ENOENT), kvmx_hint(0, -ENOENT));
	EXPECT_NE(NULL, kvmx_hint(KVMX_TRACKER_CREATE, EBUSY));
	EXPECT_NE(kvmx_hint(KVMX_VM_SAMPLE, EOPNOTSUPP), kvmx_hint(KVMX_HARVEST, EOPNOTSUPP));
	EXPECT_NE(NULL, kvmx_hint(KVMX_HARVEST, EXDEV));
	EXPECT_EQ(NULL, kvmx_hint(0, EXDEV));
	EXPECT_EQ(NULL, kvmx_hint(KVMX_HARVEST, EPIPE));
}

/* What needs no kernel of the thin calls. */
TEST(calls)
{
	struct kvmx_harvest harvest = { 0 };
	struct kvmx_slot *slots = (void *)1;
	struct kvmx_run runs[2] = { 0 };
	char label[KVMX_LABEL_LEN + 1];
	struct kvmx_event event;
	int fd[2];

	memset(label, 'x', sizeof(label) - 1);
	label[KVMX_LABEL_LEN] = 0;
	EXPECT_EQ(-EINVAL, kvmx_vm_open(-1, -1, NULL, label));
	EXPECT_EQ(-EBADF, kvmx_vm_open(-1, -1, NULL, label + 1));
	EXPECT_EQ(-EBADF, kvmx_harvest(-1, &harvest));
	EXPECT_EQ(sizeof(struct kvmx_harvest), harvest.size);
	EXPECT_EQ(sizeof(struct kvmx_run), harvest.run_size);
	EXPECT_EQ(-EBADF, kvmx_vm_slots(-1, &slots));
	EXPECT_EQ(NULL, slots);
	EXPECT_EQ(-EBADF, kvmx_vm_mark(-1, runs, 2, NULL));
	EXPECT_EQ(0, kvmx_vm_mark(-1, runs, 0, NULL));
	EXPECT_EQ(-EBADF, kvmx_restore(-1, runs, 2, NULL));
	ASSERT_EQ(0, pipe(fd));
	EXPECT_EQ(-EAGAIN, kvmx_read_event(fd[0], &event, 0));
	close(fd[1]);
	EXPECT_EQ(0, kvmx_read_event(fd[0], &event, -1));
	EXPECT_EQ(-ENOTTY, kvmx_vm_mark_range(fd[0], 0, 0, 1));
	close(fd[0]);
}

TEST_HARNESS_MAIN
