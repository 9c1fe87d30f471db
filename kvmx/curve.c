// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty curve, see curve.h. Pure: compiled for the kernel and for the unit tests alike.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/string.h>

#include "arith.h"
#include "curve.h"

/* fixed-point 1.0; 9.0 in twice as many bits still fits 64 */
#define ONE_SHIFT	30
#define ONE		BIT_ULL(ONE_SHIFT)

/* a curve's head ends where a page more or less would matter */
#define HEAD_MIN_PAGES	16

/* a segment is not divided for less, in pages between the bounds or in ns */
#define MIN_GAP		6

/* a bucket is stale after so many passes and so many times its own interval */
#define STALE		16

/* interval of bucket 0: below 2^16 ns; of the last: 2^46 ns, 19 hours, and above */
#define BUCKET_SHIFT	15

/* without overflow */
static u64 mean(u64 a, u64 b)
{
	return (a & b) + ((a ^ b) >> 1);
}

/* sorted by time, of equal times the one with more pages; returns how many are left */
static u32 sort_points(struct kvmx_point *pt, u32 nr)
{
	struct kvmx_point p;
	u32 i, j, out = 0;

	for (i = 1; i < nr; i++) {
		p = pt[i];
		for (j = i; j && pt[j - 1].time_ns > p.time_ns; j--)
			pt[j] = pt[j - 1];
		pt[j] = p;
	}
	for (i = 1; i < nr; i++) {
		if (pt[i].time_ns != pt[out].time_ns)
			pt[++out] = pt[i];
		else
			pt[out].pages = max(pt[out].pages, pt[i].pages);
	}
	return out + 1;
}

/* leaves the corners of the smallest concave, non-decreasing curve above pt and the origin */
static u32 majorant(struct kvmx_point *pt, u32 nr)
{
	const struct kvmx_point origin = { 0, 0 };
	const struct kvmx_point *a, *b;
	struct kvmx_point n;
	u64 top = 0;
	u32 i, out = 0;

	for (i = 0; i < nr; i++) {
		n = pt[i];
		top = max(top, n.pages);
		n.pages = top;
		while (out) {
			a = out > 1 ? &pt[out - 2] : &origin;
			b = &pt[out - 1];
			if (kvmx_mul_gt(b->pages - a->pages, n.time_ns - b->time_ns,
					n.pages - b->pages, b->time_ns - a->time_ns))
				break;
			out--;
		}
		pt[out++] = n;
	}
	return out;
}

/* the line from the origin through pt, and level after the last point; rounded up */
static u64 eval(const struct kvmx_point *pt, u32 nr, u64 t_ns)
{
	struct kvmx_point a = { 0, 0 }, b;
	u32 i;

	for (i = 0; i < nr; i++) {
		b = pt[i];
		if (t_ns <= b.time_ns)
			return a.pages + kvmx_muldiv_up(b.pages - a.pages, t_ns - a.time_ns,
							b.time_ns - a.time_ns);
		a = b;
	}
	return a.pages;
}

/* pages at time t on the line through a and b, which may lie to either side; 0 if it is below */
static u64 line_at(const struct kvmx_point *a, const struct kvmx_point *b, u64 t)
{
	u64 dt = b->time_ns - a->time_ns, dp = b->pages - a->pages;

	if (t >= a->time_ns)
		return kvmx_add(a->pages, kvmx_muldiv(t - a->time_ns, dp, dt));
	return kvmx_sub(a->pages, kvmx_muldiv_up(a->time_ns - t, dp, dt));
}

/*
 * How D goes on from one doubling of the time to the next. The model is a hot set, written in no
 * time, and pages written at random: D(t) = H + M(1 - exp(-rt)). With y = exp(-rt) the growth from
 * 2t to 4t is y(1 + y) times that from t to 2t, H does not matter, and y is squared with each
 * doubling. An idle guest and a pure hot set have y = 0, a stream or one that just grows y = 1.
 */
static u64 ratio_to_y(u64 d1, u64 d2)
{
	u64 q = min(kvmx_muldiv(d2, ONE, d1), 2 * ONE);

	/* y(1 + y) = q */
	return (int_sqrt((ONE + 4 * q) << ONE_SHIFT) - ONE) / 2;
}

static u64 y_to_ratio(u64 y)
{
	return (y * (ONE + y)) >> ONE_SHIFT;
}

static u64 y_sqrt(u64 y)
{
	return int_sqrt(y << ONE_SHIFT);
}

/*
 * Below the first measured time t the chord from the origin is the least that a concave curve can
 * be, and the first segment drawn backwards the most. A guest with a hot set is near the latter,
 * one that writes at random near the former; the model above tells them apart if it knows D(4t),
 * else a power law is between the two: D(t/2)/D(t) = D(t)/D(2t). Both bounds are kept, so that the
 * curve stays concave.
 */
static u32 add_head(struct kvmx_point *out, const struct kvmx_point *m, u32 nr)
{
	struct kvmx_point head[KVMX_CURVE_HEAD];
	struct kvmx_point up = m[0], above = m[nr > 1], at;
	u64 span = m[nr - 1].time_ns / up.time_ns;
	u64 twice, d = 0, y = 0;
	u32 i, k = 0;

	if (nr < 2)
		return 0;
	if (span >= 2)
		twice = eval(m, nr, 2 * up.time_ns);
	else
		twice = kvmx_add(up.pages, kvmx_muldiv(up.time_ns, m[nr - 1].pages - up.pages,
						       m[nr - 1].time_ns - up.time_ns));
	if (span >= 4) {
		d = twice - up.pages;
		y = ratio_to_y(d, eval(m, nr, 4 * up.time_ns) - twice);
	}
	while (k < KVMX_CURVE_HEAD && up.time_ns > 1 && up.pages > HEAD_MIN_PAGES) {
		at.time_ns = up.time_ns / 2;
		if (span >= 4) {
			y = y_sqrt(y);
			d = d ? kvmx_muldiv(d, ONE, y_to_ratio(y)) : 0;
			at.pages = kvmx_sub(up.pages, d);
		} else {
			at.pages = kvmx_muldiv(up.pages, m[0].pages, twice);
		}
		at.pages = min(at.pages, line_at(&up, &above, at.time_ns));
		if (at.pages <= kvmx_muldiv_up(up.pages, at.time_ns, up.time_ns))
			break;
		head[k++] = at;
		above = up;
		up = at;
	}
	for (i = 0; i < k; i++)
		out[i] = head[k - 1 - i];
	return k;
}

/*
 * Beyond the last measured time the model's y is squared with each doubling. A mixture of rates
 * grows for longer, at worst by a power law, where y stays as it is. To the power of 1.5 is between
 * the two.
 */
static u64 next_growth(u64 d, u64 *y)
{
	*y = (*y * y_sqrt(*y)) >> ONE_SHIFT;
	return kvmx_muldiv_up(d, y_to_ratio(*y), ONE);
}

static u32 add_tail(struct kvmx_point *pt, u32 nr, const struct kvmx_point *first, u64 total)
{
	const struct kvmx_point origin = { 0, 0 };
	const struct kvmx_point *prev = nr > 1 ? &pt[nr - 2] : &origin;
	struct kvmx_point last = pt[nr - 1];
	u64 half, quarter, d, room, y = ONE;
	u32 i;

	d = kvmx_muldiv(last.time_ns, last.pages - prev->pages, last.time_ns - prev->time_ns);
	/* without a point below half of the last time, only the straight line is safe */
	if (first->time_ns <= last.time_ns / 2) {
		half = eval(pt, nr, last.time_ns / 2);
		quarter = eval(pt, nr, last.time_ns / 4);
		y = ratio_to_y(half - quarter, last.pages - half);
		d = min(d, next_growth(last.pages - half, &y));
	}
	for (i = 0; i < KVMX_CURVE_TAIL && d && last.pages < total; i++) {
		if (last.time_ns > U64_MAX / 2)
			break;
		room = total - last.pages;
		if (d > room) {
			last.time_ns += kvmx_muldiv_up(last.time_ns, room, d);
			last.pages = total;
		} else {
			last.time_ns *= 2;
			last.pages += d;
		}
		pt[nr++] = last;
		d = next_growth(d, &y);
	}
	return nr;
}

/*
 * Between two points the chord is the least that a concave curve can be, and the neighbouring
 * segments drawn on are the most. A smooth curve's middle is about a third of the way up. Up to
 * half of it the curve stays concave, whatever the neighbours do; rounding down by a page does not
 * harm from a gap of 6 pages on.
 */
static u32 refine(struct kvmx_point *out, const struct kvmx_point *pt, u32 nr)
{
	struct kvmx_point mid;
	u64 chord, most;
	u32 i, n = 0;

	out[n++] = pt[0];
	for (i = 1; i < nr; i++) {
		mid.time_ns = mean(pt[i - 1].time_ns, pt[i].time_ns);
		chord = eval(pt, nr, mid.time_ns);
		most = chord;
		if (i > 1 && i + 1 < nr && pt[i].time_ns - pt[i - 1].time_ns > MIN_GAP)
			most = min(line_at(&pt[i - 2], &pt[i - 1], mid.time_ns),
				   line_at(&pt[i], &pt[i + 1], mid.time_ns));
		mid.pages = chord + kvmx_sub(most, chord) / 3;
		if (mid.pages >= chord + MIN_GAP / 3)
			out[n++] = mid;
		out[n++] = pt[i];
	}
	return n;
}

/**
 * kvmx_curve_build() - make a dirty curve of measured points
 * @c: the curve
 * @in: points in any order; of points with the same time the one with more pages counts
 * @nr: points in @in, 1 to KVMX_MAX_POINTS
 * @total_pages: pages of the VM
 *
 * The curve is concave, never falls, starts at the origin and lies nowhere below a point: D has
 * these properties, so what contradicts them is noise, and an upper bound is wanted.
 *
 * Where nothing was measured the curve is extrapolated: from the growth over the two doublings
 * next to it (see add_head() and next_growth()), at most to @total_pages and at most over 12
 * doublings. With one point only it is the straight line through it. Against synthetic guests
 * (idle, random over a region, hot set, both, stream, growing, mixtures), measured without noise
 * up to a time T, the extrapolation to 4T is within 25 % of the truth for all but regions that end
 * beyond T, for the end of a stream cannot be foreseen: for those it is above.
 *
 * Return: 0, or -EINVAL if @nr is out of range, a time is 0, or pages exceed @total_pages.
 */
int kvmx_curve_build(struct kvmx_curve *c, const struct kvmx_point *in, u32 nr, u64 total_pages)
{
	struct kvmx_point base[KVMX_CURVE_BASE];
	u32 i, n = 0;
	u64 shortest;

	if (!nr || nr > KVMX_MAX_POINTS)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		if (!in[i].time_ns || in[i].pages > total_pages)
			return -EINVAL;
	}
	memset(c, 0, sizeof(*c));
	c->total_pages = total_pages;
	memcpy(c->pt, in, nr * sizeof(*in));
	nr = sort_points(c->pt, nr);
	shortest = c->pt[0].time_ns;
	c->nr = majorant(c->pt, nr);
	/* if it is no corner, what was measured below the first corner is the chord */
	if (c->pt[0].time_ns == shortest)
		n = add_head(base, c->pt, c->nr);
	memcpy(&base[n], c->pt, c->nr * sizeof(*base));
	n = add_tail(base, n + c->nr, &c->pt[0], total_pages);
	c->nr_fine = refine(c->fine, base, n);
	return 0;
}

/**
 * kvmx_curve_pages() - D(t)
 * @c: the curve
 * @t_ns: a time
 *
 * Return: different pages dirtied in @t_ns, rounded up: at most one more than the exact value.
 */
u64 kvmx_curve_pages(const struct kvmx_curve *c, u64 t_ns)
{
	return eval(c->fine, c->nr_fine, t_ns);
}

/**
 * kvmx_curve_time() - the inverse of D
 * @c: the curve
 * @pages: a number of pages
 *
 * Return: the shortest time in which so many different pages are dirtied, rounded up to a
 * nanosecond; KVMX_PREDICT_NEVER if they never are.
 */
u64 kvmx_curve_time(const struct kvmx_curve *c, u64 pages)
{
	struct kvmx_point a = { 0, 0 }, b;
	u32 i;

	if (!pages)
		return 0;
	for (i = 0; i < c->nr_fine; i++) {
		b = c->fine[i];
		if (pages <= b.pages)
			return a.time_ns + kvmx_muldiv_up(b.time_ns - a.time_ns, pages - a.pages,
							  b.pages - a.pages);
		a = b;
	}
	return KVMX_PREDICT_NEVER;
}

/**
 * kvmx_curve_err_permille() - standard error of a sampled fraction
 * @dirty: samples found dirty
 * @samples: samples taken
 *
 * Return: 1000 * sqrt(F(1 - F)/K) rounded up, where F is @dirty / @samples and K @samples; 1000
 * without samples, for then nothing is known.
 */
u32 kvmx_curve_err_permille(u32 dirty, u32 samples)
{
	u64 variance, root;

	if (!samples)
		return 1000;
	dirty = min(dirty, samples);
	/* in 1/10^6: at most 10^6/4, and F(1 - F) is below 2^64 even before it is divided by K^2 */
	variance = kvmx_muldiv_up((u64)dirty * (samples - dirty), 1000000, (u64)samples * samples);
	variance = DIV_ROUND_UP_ULL(variance, samples);
	root = int_sqrt(variance);
	return root * root < variance ? root + 1 : root;
}

/**
 * kvmx_history_add() - a pass is complete
 * @h: the history
 * @interval_ns: time between the beginnings of this pass and the one before
 * @pages: pages that this pass returned
 *
 * A pass that has none before it has no interval and is not added. Intervals of 0 are ignored.
 * Passes with about the same interval (to a factor of 2) are averaged, the last one with a weight
 * of one half, the one before of a quarter, and so on.
 */
void kvmx_history_add(struct kvmx_history *h, u64 interval_ns, u64 pages)
{
	struct kvmx_history_bucket *b;
	int i;

	if (!interval_ns)
		return;
	i = clamp(ilog2(interval_ns) - BUCKET_SHIFT, 0, KVMX_MAX_POINTS - 1);
	b = &h->bucket[i];
	b->pages = b->time_ns ? mean(b->pages, pages) : pages;
	b->time_ns = b->time_ns ? mean(b->time_ns, interval_ns) : interval_ns;
	h->count++;
	h->clock_ns = kvmx_add(h->clock_ns, interval_ns);
	b->count = h->count;
	b->clock_ns = h->clock_ns;
}

static bool is_stale(const struct kvmx_history *h, const struct kvmx_history_bucket *b)
{
	return h->count - b->count > STALE && (h->clock_ns - b->clock_ns) / STALE > b->time_ns;
}

/**
 * kvmx_history_curve() - the dirty curve that the passes have shown
 * @h: the history
 * @total_pages: pages of the VM now; more than that are never assumed
 * @c: the curve
 *
 * What has not been seen again for 16 passes and 16 times its own interval is left out.
 *
 * Return: 0, or -ENODATA if nothing was added yet, that is if fewer than two passes are complete.
 */
int kvmx_history_curve(const struct kvmx_history *h, u64 total_pages, struct kvmx_curve *c)
{
	struct kvmx_point pt[KVMX_MAX_POINTS];
	const struct kvmx_history_bucket *b;
	u32 i, nr = 0;

	for (i = 0; i < KVMX_MAX_POINTS; i++) {
		b = &h->bucket[i];
		if (!b->time_ns || is_stale(h, b))
			continue;
		pt[nr].time_ns = b->time_ns;
		pt[nr].pages = min(b->pages, total_pages);
		nr++;
	}
	return nr ? kvmx_curve_build(c, pt, nr, total_pages) : -ENODATA;
}
