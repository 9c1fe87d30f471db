// SPDX-License-Identifier: GPL-2.0
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bitops.h>
#include <linux/minmax.h>

#include "estimate.h"
#include "guest.h"
#include "kselftest_harness.h"

#define MAX_VMS		64
#define MAX_SHARING	256
#define ZERO		(~0ULL)		/* the content of zero pages */
#define SMALL		(KVMX_KSM_SKETCH_MIN + 512)
#define TRIALS		200

struct page {
	u64 content;
	u32 vm;
	bool unstable;
};

/* the memory of some VMs, page by page */
struct memory {
	u32 nr_vms;
	u64 nr;
	struct page *page;
	u64 next;	/* content that no page has yet */
};

static struct kvmx_ksm_est_vm vm[MAX_VMS];
static struct kvmx_ksm_sketch *sketch[MAX_VMS];
static struct kvmx_ksm_estimate est;

static void memory_add(struct memory *m, u32 nth_vm, u64 content, bool unstable)
{
	if (!(m->nr & (m->nr + 1)))
		m->page = realloc(m->page, 2 * (m->nr + 1) * sizeof(*m->page));
	if (!m->page)
		abort();
	m->page[m->nr++] = (struct page) { content, nth_vm, unstable };
	m->nr_vms = max(m->nr_vms, nth_vm + 1);
}

/* @n contents with @copies in each of the VMs from @from to @to */
static void memory_groups(struct memory *m, u32 from, u32 to, u32 n, u32 copies)
{
	u32 i, k, v;

	for (i = 0; i < n; i++, m->next++) {
		for (v = from; v <= to; v++) {
			for (k = 0; k < copies; k++)
				memory_add(m, v, m->next, false);
		}
	}
}

static void memory_zero(struct memory *m, u32 nth_vm, u32 n)
{
	while (n--)
		memory_add(m, nth_vm, ZERO, false);
}

/* each of these pages has a content of its own at each look */
static void memory_unstable(struct memory *m, u32 nth_vm, u32 n)
{
	while (n--)
		memory_add(m, nth_vm, m->next++, true);
}

/* groups of all sizes: the k-th most common content has 1/k of the pages of the first */
static void memory_zipf(struct memory *m, u32 nr_vms, u32 first, struct rnd *r)
{
	u32 k, i;

	for (k = 1; k <= first; k++, m->next++) {
		for (i = 0; i < first / k; i++)
			memory_add(m, rnd_below(r, nr_vms), m->next, false);
	}
}

static void memory_shuffle(struct memory *m, struct rnd *r)
{
	struct page p;
	u64 i, k;

	for (i = m->nr; i > 1; i--) {
		k = rnd_below(r, i);
		p = m->page[k];
		m->page[k] = m->page[i - 1];
		m->page[i - 1] = p;
	}
}

static void memory_free(struct memory *m)
{
	free(m->page);
	*m = (struct memory) {};
}

static int by_content(const void *a, const void *b)
{
	const struct page *l = a, *r = b;

	return l->content < r->content ? -1 : l->content > r->content;
}

static u64 taken(u64 copies, u32 max_sharing)
{
	return (copies + max_sharing - 1) / max_sharing;
}

struct truth {
	u64 mergeable;
	u64 contents;
	u64 zero;
	u64 unstable;
	double vm[MAX_VMS];
};

/* what KSM frees when it is through, counted */
static struct truth memory_truth(const struct memory *m, u32 max_sharing, bool zero_free)
{
	struct page *p = malloc(m->nr * sizeof(*p) + 1);
	struct truth t = {};
	u64 i, end, n, stay, in_vm[MAX_VMS];
	u32 v;

	if (!p)
		abort();
	if (m->nr)
		memcpy(p, m->page, m->nr * sizeof(*p));
	qsort(p, m->nr, sizeof(*p), by_content);
	for (i = 0; i < m->nr; i = end) {
		memset(in_vm, 0, sizeof(in_vm));
		for (end = i, n = 0; end < m->nr && p[end].content == p[i].content; end++) {
			t.unstable += p[end].unstable;
			if (p[end].unstable)
				continue;
			in_vm[p[end].vm]++;
			n++;
		}
		stay = zero_free && p[i].content == ZERO ? 0 : taken(n, max_sharing);
		t.mergeable += n - stay;
		t.contents += n > 1 ? stay : 0;
		if (p[i].content == ZERO)
			t.zero = n - stay;
		for (v = 0; n && v < m->nr_vms; v++)
			t.vm[v] += (double)in_vm[v] * (n - stay) / n;
	}
	free(p);
	return t;
}

static u64 hash_of(u64 content, u64 seed)
{
	struct rnd r = { content * 0x9e3779b97f4a7c15ULL ^ seed };

	return rnd_next(&r);
}

/* the sampler: one look at all pages, and another one at those of the sketch */
static void sample(const struct memory *m, u32 cap, u64 seed)
{
	const struct page *p;
	u64 i;
	u32 v;

	for (v = 0; v < m->nr_vms; v++) {
		free(sketch[v]);
		sketch[v] = malloc(kvmx_ksm_sketch_bytes(cap));
		if (!sketch[v])
			abort();
		kvmx_ksm_sketch_init(sketch[v], cap, seed);
		vm[v].s = sketch[v];
	}
	for (i = 0; i < m->nr; i++) {
		p = &m->page[i];
		if (p->content == ZERO)
			sketch[p->vm]->zero++;
		else
			kvmx_ksm_sketch_add(sketch[p->vm], hash_of(p->content, seed), i);
	}
	for (v = 0; v < m->nr_vms; v++) {
		kvmx_ksm_sketch_end(sketch[v]);
		for (i = 0; i < sketch[v]->nr; i++) {
			if (m->page[sketch[v]->e[i].page].unstable)
				kvmx_ksm_sketch_changed(sketch[v], i);
		}
	}
}

static void estimate(u32 nr_vms, u32 max_sharing, bool zero_free, u32 step)
{
	kvmx_ksm_estimate_begin(&est, vm, nr_vms, max_sharing, zero_free);
	while (kvmx_ksm_estimate_step(&est, step))
		;
	kvmx_ksm_estimate_end(&est);
}

static u64 distance(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

static void free_sketches(void)
{
	u32 v;

	for (v = 0; v < MAX_VMS; v++) {
		free(sketch[v]);
		sketch[v] = NULL;
	}
}

/* how the memories of the tests look like */
static void build(struct memory *m, const char *name, struct rnd *r)
{
	u32 v;

	if (!strcmp(name, "unique")) {
		for (v = 0; v < 3; v++)
			memory_groups(m, v, v, 6000, 1);
	} else if (!strcmp(name, "pairs")) {
		memory_groups(m, 0, 0, 3000, 2);
		memory_groups(m, 1, 1, 3000, 2);
	} else if (!strcmp(name, "clones")) {
		memory_groups(m, 0, 7, 3000, 1);
		for (v = 0; v < 8; v++)
			memory_groups(m, v, v, 500, 1);
	} else if (!strcmp(name, "little")) {
		memory_groups(m, 0, 1, 300, 1);
		memory_groups(m, 0, 0, 9000, 1);
		memory_groups(m, 1, 1, 9000, 1);
	} else if (!strcmp(name, "huge_group")) {
		memory_groups(m, 0, 1, 1, 6000);
		memory_groups(m, 0, 0, 6000, 1);
		memory_groups(m, 1, 1, 4000, 1);
	} else if (!strcmp(name, "zipf")) {
		memory_zipf(m, 4, 2500, r);
	} else if (!strcmp(name, "sizes")) {
		memory_groups(m, 0, 3, 700, 1);
		memory_groups(m, 1, 3, 2000, 1);
		memory_groups(m, 3, 3, 30000, 1);
		memory_groups(m, 2, 2, 3000, 1);
	} else if (!strcmp(name, "unstable")) {
		memory_groups(m, 0, 3, 1500, 1);
		for (v = 0; v < 4; v++) {
			memory_unstable(m, v, 3000);
			memory_groups(m, v, v, 700, 2);
		}
	} else if (!strcmp(name, "unstable_copies")) {
		/* a third of the copies will have changed */
		memory_groups(m, 0, 5, 1000, 3);
		for (v = 0; v < m->nr; v++)
			m->page[v].unstable = !rnd_below(r, 3);
	} else if (!strcmp(name, "zero")) {
		memory_groups(m, 0, 2, 2500, 1);
		for (v = 0; v < 3; v++)
			memory_zero(m, v, 3000 + 500 * v);
	} else {
		abort();
	}
	memory_shuffle(m, r);
}

static const char * const names[] = {
	"unique", "pairs", "clones", "little", "huge_group", "zipf", "sizes", "unstable",
	"unstable_copies", "zero",
};

TEST(memory_of_a_sketch)
{
	EXPECT_EQ(16, sizeof(struct kvmx_ksm_content));
	EXPECT_LE(kvmx_ksm_sketch_bytes(KVMX_KSM_SKETCH_MAX) + sizeof(struct kvmx_ksm_est_vm),
		  1 << 20);
	EXPECT_GE(kvmx_ksm_sketch_bytes(KVMX_KSM_SKETCH_MAX), (1 << 20) - 4096);
}

TEST(empty)
{
	struct memory m = { .nr_vms = 2 };

	estimate(0, MAX_SHARING, false, 1);
	EXPECT_EQ(0, est.mergeable);
	EXPECT_EQ(0, est.err);
	sample(&m, SMALL, 1);
	estimate(2, MAX_SHARING, true, 1);
	EXPECT_EQ(0, est.mergeable);
	EXPECT_EQ(0, est.pages);
	EXPECT_EQ(0, est.err);
	EXPECT_EQ(0, est.copies);
	EXPECT_EQ(0, vm[1].mergeable);
	EXPECT_EQ(0, vm[1].alone);
	EXPECT_EQ(0, vm[1].err);
	free_sketches();
}

/* whatever the memory is, all is exact if all contents fit */
TEST(exact_if_all_fits)
{
	static const u32 max_sharing[] = { 2, 3, 256, ~0U };
	struct memory m = {};
	struct rnd r = { 3 };
	struct truth t;
	u64 sum;
	u32 i, k, v;
	bool zero_free;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		build(&m, names[i], &r);
		sample(&m, KVMX_KSM_SKETCH_MAX, rnd_next(&r));
		/* one page in many is looked at again: that is a sample */
		if (!strcmp(names[i], "unstable_copies")) {
			memory_free(&m);
			continue;
		}
		for (k = 0; k < 2 * ARRAY_SIZE(max_sharing); k++) {
			zero_free = k & 1;
			t = memory_truth(&m, max_sharing[k / 2], zero_free);
			estimate(m.nr_vms, max_sharing[k / 2], zero_free, 1000);
			EXPECT_EQ(m.nr, est.pages);
			EXPECT_EQ(t.mergeable, est.mergeable);
			EXPECT_EQ(0, est.err);
			EXPECT_EQ(t.zero, est.zero);
			EXPECT_EQ(t.contents, est.contents);
			EXPECT_EQ(t.mergeable + t.contents, est.copies);
			for (v = 0, sum = 0; v < m.nr_vms; v++) {
				EXPECT_LE(fabs(t.vm[v] - vm[v].mergeable), 2);
				EXPECT_EQ(0, vm[v].err);
				EXPECT_LE(vm[v].alone, vm[v].mergeable);
				sum += vm[v].unstable;
			}
			EXPECT_EQ(t.unstable, sum);
		}
		memory_free(&m);
	}
	free_sketches();
}

TEST(alone)
{
	struct memory m = {};
	struct rnd r = { 4 };

	memory_groups(&m, 0, 1, 1000, 1);
	memory_groups(&m, 0, 0, 100, 3);
	memory_zero(&m, 0, 50);
	memory_zero(&m, 1, 10);
	memory_shuffle(&m, &r);
	sample(&m, KVMX_KSM_SKETCH_MAX, 1);
	estimate(2, MAX_SHARING, false, 10);
	EXPECT_EQ(249, vm[0].alone);
	EXPECT_EQ(9, vm[1].alone);
	EXPECT_EQ(500 + 200 + 49, vm[0].mergeable);
	EXPECT_EQ(500 + 9, vm[1].mergeable);
	EXPECT_EQ(1000 + 200 + 59, est.mergeable);
	EXPECT_EQ(1000 + 100 + 1, est.contents);
	estimate(2, MAX_SHARING, true, 10);
	EXPECT_EQ(250, vm[0].alone);
	EXPECT_EQ(10, vm[1].alone);
	EXPECT_EQ(1000 + 200 + 60, est.mergeable);
	memory_free(&m);
	free_sketches();
}

/* what is in the sketch are the contents with the lowest hashes, each with all of its copies */
TEST(lowest_hashes)
{
	struct rnd r = { 5 };
	u32 i, k, pos, round, *copies = calloc(20000, sizeof(*copies));
	struct kvmx_ksm_sketch *s = malloc(kvmx_ksm_sketch_bytes(SMALL));
	u64 pages, contents, c;

	ASSERT_NE(NULL, copies);
	ASSERT_NE(NULL, s);
	for (round = 0; round < 40; round++) {
		memset(copies, 0, 20000 * sizeof(*copies));
		kvmx_ksm_sketch_init(s, SMALL, round);
		contents = 1 + rnd_scale(&r, 14);
		pages = rnd_scale(&r, 16);
		for (i = 0; i < pages; i++) {
			/* often the same */
			c = rnd_below(&r, 1 + rnd_below(&r, contents));
			copies[c]++;
			kvmx_ksm_sketch_add(s, hash_of(c, 1), c << 20 | copies[c]);
		}
		kvmx_ksm_sketch_end(s);
		ASSERT_EQ(pages, s->pages);
		ASSERT_LE(s->nr, SMALL - KVMX_KSM_SKETCH_TAIL);
		for (i = 1; i < s->nr; i++)
			ASSERT_LT(s->e[i - 1].hash, s->e[i].hash);
		/* it is full, or nothing is left out */
		ASSERT_TRUE(s->limit == U64_MAX || s->nr == SMALL - KVMX_KSM_SKETCH_TAIL);
		for (i = 0, k = 0; i < contents; i++) {
			if (!copies[i] || hash_of(i, 1) >= s->limit)
				continue;
			k++;
			for (pos = 0; s->e[pos].hash != hash_of(i, 1); pos++)
				ASSERT_LT(pos, s->nr);
			ASSERT_TRUE(copies[i] == s->e[pos].copies);
			ASSERT_TRUE(s->e[pos].page >> 20 == i);
			ASSERT_TRUE((s->e[pos].page & 0xfffff) <= copies[i]);
		}
		ASSERT_EQ(k, s->nr);
	}
	free(copies);
	free(s);
}

TEST(hash_of_all_ones_and_saturated_copies)
{
	struct kvmx_ksm_sketch *s = malloc(kvmx_ksm_sketch_bytes(KVMX_KSM_SKETCH_MIN));
	u32 i;

	ASSERT_NE(NULL, s);
	kvmx_ksm_sketch_init(s, KVMX_KSM_SKETCH_MIN, 0);
	kvmx_ksm_sketch_add(s, U64_MAX, KVMX_KSM_SKETCH_MAX_PAGE);
	kvmx_ksm_sketch_add(s, 0, 1);
	kvmx_ksm_sketch_end(s);
	ASSERT_EQ(2, s->nr);
	EXPECT_TRUE(s->e[1].page == KVMX_KSM_SKETCH_MAX_PAGE);
	s->e[0].copies = KVMX_KSM_SKETCH_MAX_COPIES - 2;
	for (i = 0; i < 10; i++)
		kvmx_ksm_sketch_add(s, 0, 2);
	kvmx_ksm_sketch_end(s);
	EXPECT_TRUE(s->e[0].copies == KVMX_KSM_SKETCH_MAX_COPIES);
	free(s);
}

/* any of the pages is looked at again with the same probability */
TEST(representative)
{
	struct kvmx_ksm_sketch *s = malloc(kvmx_ksm_sketch_bytes(KVMX_KSM_SKETCH_MIN));
	u32 hit[20] = {}, i, k;
	struct rnd r = { 6 };

	ASSERT_NE(NULL, s);
	for (i = 0; i < 20000; i++) {
		kvmx_ksm_sketch_init(s, KVMX_KSM_SKETCH_MIN, rnd_next(&r));
		for (k = 0; k < ARRAY_SIZE(hit); k++) {
			kvmx_ksm_sketch_add(s, 7, k);
			if (k % 6 == 5)
				kvmx_ksm_sketch_end(s);
		}
		kvmx_ksm_sketch_end(s);
		hit[s->e[0].page]++;
	}
	/* 1000 and five standard deviations */
	for (k = 0; k < ARRAY_SIZE(hit); k++) {
		EXPECT_LE(hit[k], 1000 + 155);
		EXPECT_GE(hit[k], 1000 - 155);
	}
	free(s);
}

/* the order of pages, of VMs, and the size of the steps do not matter */
TEST(order)
{
	struct kvmx_ksm_estimate first;
	struct kvmx_ksm_est_vm first_vm[8], tmp;
	struct memory m = {};
	struct rnd r = { 7 };
	u32 round, i, k;

	build(&m, "sizes", &r);
	sample(&m, SMALL, 1);
	estimate(4, MAX_SHARING, false, 1);
	first = est;
	memcpy(first_vm, vm, 4 * sizeof(*vm));
	for (round = 0; round < 20; round++) {
		memory_shuffle(&m, &r);
		sample(&m, SMALL, 1);
		for (i = 4; i > 1; i--) {
			k = rnd_below(&r, i);
			tmp = vm[k];
			vm[k] = vm[i - 1];
			vm[i - 1] = tmp;
		}
		estimate(4, MAX_SHARING, false, 1 + rnd_below(&r, 100));
		EXPECT_EQ(first.mergeable, est.mergeable);
		EXPECT_EQ(first.err, est.err);
		EXPECT_EQ(first.contents, est.contents);
		EXPECT_EQ(first.copies, est.copies);
		for (i = 0; i < 4; i++) {
			for (k = 0; vm[k].s != sketch[i]; k++)
				;
			EXPECT_EQ(first_vm[i].mergeable, vm[k].mergeable);
			EXPECT_EQ(first_vm[i].err, vm[k].err);
			EXPECT_EQ(first_vm[i].alone, vm[k].alone);
		}
	}
	memory_free(&m);
	free_sketches();
}

FIXTURE(trials) {
};

FIXTURE_SETUP(trials)
{
}

FIXTURE_TEARDOWN(trials)
{
	free_sketches();
}

/*
 * The interval holds 95 times in 100, for each kind of memory and for the VMs, too; the estimate
 * is right on average; and the error is what it is said to be: a sample with k contents has a
 * relative error of 1/sqrt(k) of the contents.
 */
TEST_F_TIMEOUT(trials, confidence, 120)
{
	u32 i, k, v, hits, all = 0, vm_hits;
	double bias, rms, width, contents, spread;
	struct memory m = {};
	struct rnd r = { 8 };
	struct truth t;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		build(&m, names[i], &r);
		t = memory_truth(&m, MAX_SHARING, false);
		hits = 0;
		vm_hits = 0;
		bias = 0;
		rms = 0;
		width = 0;
		contents = 0;
		spread = 0;
		for (k = 0; k < TRIALS; k++) {
			sample(&m, SMALL, rnd_next(&r));
			estimate(m.nr_vms, MAX_SHARING, false, 4096);
			hits += distance(est.mergeable, t.mergeable) <= est.err;
			bias += (double)est.mergeable - t.mergeable;
			rms += pow((double)est.mergeable - t.mergeable, 2);
			width += est.err;
			contents += est.contents;
			spread += pow((double)est.contents - t.contents, 2);
			for (v = 0; v < m.nr_vms; v++)
				vm_hits += fabs(vm[v].mergeable - t.vm[v]) <= vm[v].err + 2;
		}
		bias /= TRIALS;
		rms = sqrt(rms / TRIALS);
		width /= TRIALS;
		TH_LOG("%s: %llu of %llu pages, bias %.0f, rms %.0f, err %.0f; held %u, VMs %u",
		       names[i], (unsigned long long)t.mergeable, (unsigned long long)m.nr, bias,
		       rms, width, hits, vm_hits / m.nr_vms);
		/* one content may take many pages, so this is judged by how much it varies */
		contents /= TRIALS;
		/* around the mean, or a bias would excuse itself */
		spread = sqrt(spread / TRIALS - pow(contents - t.contents, 2));
		/* the second look may take a content for gone of which copies are left: see DOC */
		EXPECT_LE(fabs(contents - t.contents),
			  3 * spread / sqrt(TRIALS) + t.contents / 200.0 + 1);
		/* 95 % less three standard deviations of the number of trials */
		EXPECT_GE(hits, TRIALS * 95 / 100 - 9);
		EXPECT_GE(vm_hits, m.nr_vms * (TRIALS * 95 / 100 - 9));
		all += hits;
		/* where next to nothing can be merged, less than nothing is nothing */
		if (t.mergeable > width)
			EXPECT_LE(fabs(bias), 3 * rms / sqrt(TRIALS) + 1);
		memory_free(&m);
	}
	EXPECT_GE(all, TRIALS * ARRAY_SIZE(names) * 95 / 100);
}

/* within 10 % of what merges in the end, with VMs of some GiB of which a fifth is common */
TEST_F_TIMEOUT(trials, accuracy, 60)
{
	struct memory m = {};
	struct rnd r = { 10 };
	struct truth t;
	u32 v, trial;

	memory_groups(&m, 0, 3, 40000, 1);
	memory_zipf(&m, 4, 8000, &r);
	for (v = 0; v < 4; v++) {
		memory_groups(&m, v, v, 120000 + 50000 * v, 1);
		memory_unstable(&m, v, 10000);
	}
	memory_shuffle(&m, &r);
	t = memory_truth(&m, MAX_SHARING, false);
	ASSERT_GE(t.mergeable, m.nr / 8);
	ASSERT_LE(t.mergeable, m.nr / 4);
	for (trial = 0; trial < 3; trial++) {
		sample(&m, KVMX_KSM_SKETCH_MAX, rnd_next(&r));
		ASSERT_NE(U64_MAX, sketch[0]->limit);
		estimate(4, MAX_SHARING, false, 4096);
		TH_LOG("%llu of %llu pages, estimate %llu +- %llu", (unsigned long long)t.mergeable,
		       (unsigned long long)m.nr, (unsigned long long)est.mergeable,
		       (unsigned long long)est.err);
		EXPECT_LE(distance(est.mergeable, t.mergeable), t.mergeable / 10);
		EXPECT_LE(est.err, t.mergeable / 10);
		EXPECT_LE(distance(est.mergeable, t.mergeable), est.err * 3 / 2);
	}
	memory_free(&m);
}

TEST(all_copies_change)
{
	struct memory m = {};
	u32 i;

	memory_groups(&m, 0, 0, 10, 5);
	for (i = 0; i < m.nr; i++)
		m.page[i].unstable = true;
	memory_groups(&m, 0, 0, 10, 5);
	sample(&m, SMALL, 1);
	estimate(1, MAX_SHARING, false, 100);
	EXPECT_EQ(50, vm[0].unstable);
	EXPECT_EQ(40, vm[0].mergeable);
	EXPECT_EQ(40, vm[0].alone);
	EXPECT_EQ(40, est.mergeable);
	memory_free(&m);
	free_sketches();
}

/* small VMs are known as well as before next to a huge one that they have nothing in common with */
TEST(huge_neighbour)
{
	struct kvmx_ksm_est_vm alone[2];
	struct memory m = {};
	struct rnd r = { 11 };
	u32 v;

	memory_groups(&m, 0, 1, 2000, 1);
	memory_groups(&m, 0, 0, 2000, 2);
	memory_groups(&m, 1, 1, 2000, 1);
	memory_groups(&m, 2, 2, 200000, 1);
	memory_shuffle(&m, &r);
	sample(&m, SMALL, 12);
	estimate(2, MAX_SHARING, false, 100);
	memcpy(alone, vm, sizeof(alone));
	EXPECT_LE(est.err, 400);
	estimate(3, MAX_SHARING, false, 100);
	for (v = 0; v < 2; v++) {
		EXPECT_EQ(alone[v].mergeable, vm[v].mergeable);
		EXPECT_EQ(alone[v].err, vm[v].err);
	}
	EXPECT_LE(vm[2].mergeable, vm[2].err);
	memory_free(&m);
	free_sketches();
}

/* a sketch of a VM so large that it cannot be added page by page */
static void fake_sketch(struct kvmx_ksm_sketch *s, u64 pages, u32 nr, u32 copies, u32 nth)
{
	u32 i;

	kvmx_ksm_sketch_init(s, nr + KVMX_KSM_SKETCH_TAIL, 1);
	s->pages = pages;
	s->nr = nr;
	/* hashes are spread evenly below the limit */
	s->limit = (U64_MAX / (pages / copies)) * nr;
	for (i = 0; i < nr; i++) {
		s->e[i] = (struct kvmx_ksm_content) {
			.hash = s->limit / nr * i + nth,
			.page = i,
			.copies = copies,
		};
	}
}

/* 64 VMs of 64 TiB: nothing wraps, and the error is what it has to be */
TEST(largest)
{
	const u32 nr = KVMX_KSM_SKETCH_MAX - KVMX_KSM_SKETCH_TAIL;
	struct memory m = { .nr_vms = MAX_VMS };
	double d, want;
	u32 v, same;
	u64 sum;

	sample(&m, KVMX_KSM_SKETCH_MAX, 1);
	for (same = 0; same < 2; same++) {
		for (v = 0; v < MAX_VMS; v++)
			fake_sketch(sketch[v], BIT_ULL(34), nr, 2, same ? 0 : v);
		estimate(MAX_VMS, MAX_SHARING, false, 100000);
		EXPECT_EQ(MAX_VMS * BIT_ULL(34), est.pages);
		/* contents, in one VM or in all */
		d = BIT_ULL(33);
		want = same ? MAX_VMS * 2 * d - d : MAX_VMS * d;
		EXPECT_LE(fabs(est.mergeable - want), 2 * want / nr);
		want = same ? 2 * d / sqrt(nr) : 2 * d * sqrt(MAX_VMS) / sqrt(nr);
		EXPECT_LE(fabs(est.err - want), want / 100);
		EXPECT_LE(fabs(vm[5].alone - d), 2 * d / nr);
		for (v = 0, sum = 0; v < MAX_VMS; v++)
			sum += vm[v].mergeable;
		EXPECT_LE(distance(sum, est.mergeable), 2 * MAX_VMS);
		EXPECT_EQ(0, vm[5].unstable);
		/* a page of which a VM keeps 1/64 has an error of 1/64 */
		want = same ? 2 * d / MAX_VMS / sqrt(nr) : 2 * d / sqrt(nr);
		EXPECT_LE(fabs(vm[5].err - want), want / 25);
	}
	free_sketches();
}

/* whatever is in sketches of up to 128 TiB: no result is more than there is */
TEST(anything)
{
	struct memory m = { .nr_vms = 8 };
	struct rnd r = { 9 };
	u64 all, last;
	u32 i, k, v, nr;

	sample(&m, KVMX_KSM_SKETCH_MIN, 1);
	for (i = 0; i < 2000; i++) {
		nr = rnd_below(&r, 9);
		all = 0;
		for (v = 0; v < nr; v++) {
			kvmx_ksm_sketch_init(sketch[v], KVMX_KSM_SKETCH_MIN, 1);
			sketch[v]->pages = rnd_scale(&r, 35);
			sketch[v]->zero = rnd_below(&r, 2) ? 0 : rnd_scale(&r, 35);
			all += sketch[v]->pages + sketch[v]->zero;
			sketch[v]->nr = rnd_below(&r, 20);
			last = rnd_below(&r, 3);
			for (k = 0; k < sketch[v]->nr; k++) {
				sketch[v]->e[k].hash = last;
				sketch[v]->e[k].copies = max(rnd_scale(&r, 14), 1ULL);
				sketch[v]->e[k].changed = !rnd_below(&r, 4);
				last += 1 + rnd_below(&r, 3) * rnd_scale(&r, 20);
			}
			sketch[v]->limit = U64_MAX;
			if (rnd_below(&r, 3))
				sketch[v]->limit = BIT_ULL(46) + rnd_scale(&r, 63);
			vm[v].s = sketch[v];
		}
		estimate(nr, rnd_scale(&r, 32), rnd_below(&r, 2), 1 + rnd_below(&r, 50));
		ASSERT_EQ(all, est.pages);
		ASSERT_LE(est.mergeable, all);
		ASSERT_LE(est.zero, est.mergeable);
		ASSERT_LE(est.copies, all);
		for (v = 0; v < nr; v++) {
			ASSERT_LE(vm[v].mergeable, sketch[v]->pages + sketch[v]->zero);
			ASSERT_LE(vm[v].alone, sketch[v]->pages + sketch[v]->zero);
			ASSERT_LE(vm[v].unstable, sketch[v]->pages);
		}
	}
	free_sketches();
}

TEST_HARNESS_MAIN
