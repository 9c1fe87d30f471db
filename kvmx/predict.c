// SPDX-License-Identifier: GPL-2.0
/*
 * Prediction of a live migration. Pure: compiled for the kernel and for the unit tests alike.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/kvmx.h>

#include "arith.h"
#include "curve.h"
#include "predict.h"

/**
 * DOC: How a live migration ends
 *
 * A sender works in rounds. Round k has a list of N(k) pages to send and takes t(k); what the
 * guest dirties meanwhile, N(k+1) = D(t(k)), is the list of the next round. N(0) is what remains
 * before the first round. B is the bandwidth in pages. The guest may be paused as soon as the
 * pause for the pages left, fixed + N/B, is allowed.
 *
 * Plain pre-copy sends the whole list, t(k) = N(k)/B, looks at the end of each round, and pauses
 * when it may. With D concave the N(k) fall monotonically, or the migration makes no progress and
 * never will. It gets down to the largest time where D(t) = B t, a chord of the curve from the
 * origin, and no further.
 *
 * A sender that defers goes through the list by age, pages written least recently first, and
 * skips a page that was written since the round began: it has to be sent again anyway. If the
 * oldest page of the backlog was last written tau ago, the backlog is D(tau): those pages whose
 * last write is at most tau ago. Sending B dt pages takes the oldest; D'(tau) dt pages grow as
 * old, so
 *
 *	d tau/dt = 1 - B/D'(tau)
 *
 * and the backlog falls until D'(tau) = B, a tangent of the curve instead of a chord: for a guest
 * with a hot set that is just the hot set, which is not sent before the pause. To get from tau to
 * a younger tau' takes the integral from tau' to tau of D'/(B - D'), and a round that began with
 * tau = t(k-1) is through when tau is the time since it began.
 *
 * Such a sender always knows its backlog, and so pauses in the middle of a round. When it may, it
 * still goes on as long as that makes the pause shorter at little cost: until pages that are
 * written again take 3/10 of the link, D'(tau) > 0.3 B, or until what is left to gain is below
 * 1/32 of the pages that are allowed. So an idle guest is not paused for as long as is allowed.
 *
 * The first round goes through its pages in no particular order. Of R pages out of N, a page is
 * skipped if it was written before its turn, which is so for the fraction D(t)/N at time t:
 *
 *	integral from 0 to t(0) of dt/(N - D(t)) = R/(N B)
 *
 * In all rounds B pages are sent per time, never more than by plain pre-copy. If R is less than
 * all pages and the guest dirties as many in some time, they are taken to be those written last,
 * as they are in the middle of a migration.
 *
 * vCPUs at speed s dirty D(s t). In the guest's own time that is the same curve and a link of
 * bandwidth B/s, so a slower guest is handled as a faster link; only the pause keeps the real one.
 *
 * Accuracy: D is taken piecewise linear, where all this has closed solutions (but for the first
 * round's integral: its error is below 0.2 % of t(0)). Numbers of pages are exact to one page and
 * times to the time of one page on the link, per round, if neither guest nor link are faster than
 * a page in 64 ns; the first round adds up to 1 us. Roundings are upward. Products have 128 bits;
 * results that do not fit 64 are KVMX_PREDICT_NEVER.
 *
 * The assumptions are that pages are written independently of each other, that the load does not
 * change, and that the sender looks at the dirty log often. tools/testing/unit/sim_test.c compares
 * with a simulated sender page by page (256 MiB, 32 MiB/s, 300 ms, a look every 20 ms; idle,
 * random, hot sets, streams, growing, mixtures): the verdicts agree, and the pause is within 4 %
 * (or half the time between two looks) if pages are deferred, within 15 % if not. Bytes and time
 * are within 9 %, but up to 22 % too low for a sender that sends memory in the very order in which
 * the guest writes it.
 */

#define NSEC_PER_MILLI	1000000ULL	/* of a second's 1000 permille */
#define MAX_ROUNDS	64
#define STEPS		8		/* of the first integral, per segment of the curve */

/* a link carries num pages in den ns of the guest's own time */
struct link {
	u64 num;
	u64 den;
};

struct ending {
	bool fits;
	u32 rounds;
	u64 sent;	/* pages sent before the pause */
	u64 left;	/* pages sent during the pause, the fewest there were if it does not fit */
};

static struct link link_of(const struct kvmx_predict_in *in, u32 permille)
{
	return (struct link) {
		.num = in->bandwidth,
		.den = in->page_bytes * NSEC_PER_MILLI * permille,
	};
}

/* times are rounded up, so this is not */
static u64 link_pages(const struct link *l, u64 t_ns)
{
	return kvmx_muldiv(t_ns, l->num, l->den);
}

static u64 link_time(const struct link *l, u64 pages)
{
	return kvmx_muldiv_up(pages, l->den, l->num);
}

static void run_plain(const struct kvmx_curve *c, const struct link *l, u64 budget,
		      struct ending *e)
{
	u64 t, last = KVMX_PREDICT_NEVER;
	u64 pages = e->left;

	while (pages > budget && e->rounds < MAX_ROUNDS) {
		t = link_time(l, pages);
		if (t >= last)
			return;
		e->rounds++;
		e->sent = kvmx_add(e->sent, pages);
		last = t;
		pages = kvmx_curve_pages(c, t);
		e->left = min(e->left, pages);
	}
}

/* a backlog that falls evenly from @from to @to in @dt is down to @level after */
static u64 fall_time(u64 dt, u64 from, u64 to, u64 level)
{
	return kvmx_muldiv_up(dt, from - level, from - to);
}

/*
 * Duration of the first round of a sender that defers, or the time until its backlog has fallen
 * to @level if that comes first. Of the pages never written, those yet to be sent take the link
 * @need if none of them is written before its turn.
 */
static u64 first_round(const struct kvmx_curve *c, const struct link *l, u64 backlog, u64 level,
		       bool *done)
{
	u64 need = link_time(l, backlog), t = 0, d = 0;
	u64 step, clean, gain, next, next_d;
	u32 i = 0, s = STEPS;

	while (need && need != KVMX_PREDICT_NEVER) {
		/* beyond the curve nothing gets dirty any more */
		step = i < c->nr_fine ? (c->fine[i].time_ns - t) / s : need;
		next_d = kvmx_curve_pages(c, kvmx_add(t, step));
		clean = c->total_pages - d - (next_d - d) / 2;
		gain = kvmx_muldiv(step, c->total_pages, clean);
		if (gain >= need) {
			step = kvmx_muldiv_up(need, clean, c->total_pages);
			next_d = kvmx_curve_pages(c, kvmx_add(t, step));
			gain = need;
		}
		need -= gain;
		next = next_d + kvmx_muldiv_up(link_pages(l, need), c->total_pages - next_d,
					       c->total_pages);
		*done = next <= level;
		if (*done)
			return kvmx_add(t, fall_time(step, backlog, next, level));
		backlog = next;
		d = next_d;
		t = kvmx_add(t, step);
		if (!--s) {
			s = STEPS;
			i++;
		}
	}
	return need ? need : t;
}

/*
 * How old the oldest page of the backlog is at the end of a round that began when it was tau, or
 * young if it gets so young before. Goes down the segments of the curve. On one that takes dt to
 * dirty what the link carries in w, D'/B = w/dt.
 */
static u64 later_round(const struct kvmx_curve *c, const struct link *l, u64 tau, u64 young,
		       u64 *elapsed)
{
	struct kvmx_point a, b;
	u64 dt, w, lo, end;
	u32 i;

	*elapsed = 0;
	for (i = c->nr_fine; i-- && tau > young;) {
		a.time_ns = i ? c->fine[i - 1].time_ns : 0;
		a.pages = i ? c->fine[i - 1].pages : 0;
		b = c->fine[i];
		tau = min(tau, b.time_ns);
		if (tau <= a.time_ns)
			continue;
		dt = b.time_ns - a.time_ns;
		w = link_time(l, b.pages - a.pages);
		if (w >= dt)
			break;
		lo = max(a.time_ns, young);
		end = kvmx_add(*elapsed, kvmx_muldiv_up(tau - lo, w, dt - w));
		if (end >= lo) {
			end = kvmx_add(kvmx_muldiv_up(*elapsed, dt - w, dt),
				       kvmx_muldiv_up(tau, w, dt));
			tau = min(tau, end);
			break;
		}
		*elapsed = end;
		tau = lo;
	}
	/* the round goes on to its end, even if the backlog does not get younger any more */
	if (tau > young)
		*elapsed = tau;
	return tau;
}

/* the backlog at which a sender that defers pauses, if it gets there: see DOC */
static u64 pause_level(const struct kvmx_curve *c, const struct link *l, u64 budget)
{
	struct kvmx_point a = { 0, 0 }, b;
	u32 i;

	for (i = 0; i < c->nr_fine; i++) {
		b = c->fine[i];
		if (link_time(l, b.pages - a.pages) <= (b.time_ns - a.time_ns) / 10 * 3)
			break;
		a = b;
	}
	return min(budget, kvmx_add(a.pages, budget / 32));
}

static void run_defer(const struct kvmx_curve *c, const struct link *l, u64 budget,
		      struct ending *e)
{
	u64 level = pause_level(c, l, budget);
	u64 t, tau = KVMX_PREDICT_NEVER, young, elapsed;
	bool done = e->left <= level;

	if (done)
		return;
	if (e->left < c->total_pages)
		tau = kvmx_curve_time(c, e->left);
	if (tau == KVMX_PREDICT_NEVER) {
		tau = first_round(c, l, e->left, level, &done);
		if (tau == KVMX_PREDICT_NEVER)
			return;
		e->rounds++;
		e->sent = min(e->left, link_pages(l, tau));
		e->left = min(e->left, done ? level : kvmx_curve_pages(c, tau));
	}
	young = kvmx_curve_time(c, level);
	while (!done && e->rounds < MAX_ROUNDS) {
		t = later_round(c, l, tau, young, &elapsed);
		done = t <= young;
		if (t >= tau)
			return;
		e->rounds++;
		e->sent = kvmx_add(e->sent, link_pages(l, elapsed));
		e->left = min(e->left, done ? level : kvmx_curve_pages(c, t));
		tau = t;
	}
}

/* how it ends if the vCPUs run at @permille and at most @budget pages may be left for the pause */
static void run(const struct kvmx_curve *c, const struct kvmx_predict_in *in, u32 permille,
		u64 pages, u64 budget, struct ending *e)
{
	struct link l = link_of(in, permille);

	*e = (struct ending) { .left = pages };
	if (in->defer)
		run_defer(c, &l, budget, e);
	else
		run_plain(c, &l, budget, e);
	e->fits = e->left <= budget;
}

/* the fastest speed below 1000 at which it fits; 0 if none is allowed */
static u32 find_speed(const struct kvmx_curve *c, const struct kvmx_predict_in *in, u64 pages,
		      u64 budget, struct ending *e)
{
	u32 lo = in->min_permille, hi = 1000, mid;

	if (lo == hi)
		return 0;
	run(c, in, lo, pages, budget, e);
	if (!e->fits)
		return 0;
	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		run(c, in, mid, pages, budget, e);
		if (e->fits)
			lo = mid;
		else
			hi = mid;
	}
	run(c, in, lo, pages, budget, e);
	return lo;
}

static int check(const struct kvmx_curve *c, const struct kvmx_predict_in *in, u64 pages)
{
	if (!in->page_bytes || in->page_bytes > 65536)
		return -EINVAL;
	if (!in->min_permille || in->min_permille > 1000)
		return -EINVAL;
	if (pages > c->total_pages)
		return -EINVAL;
	return 0;
}

/**
 * kvmx_predict() - how a live migration would end
 * @c: the guest's dirty curve
 * @in: the question
 * @out: the answer
 *
 * CONVERGES and THROTTLE promise a pause of at most @in->allowed_ns, @in->fixed_ns included. If
 * what remains fits into a pause as it is, there is no round before it. A round in which the pause
 * begins counts. Where fixed_ns alone is
 * more than allowed_ns, the verdict is OFFLINE whatever the guest does, for the promise cannot be
 * kept. With OFFLINE no live migration ends: no rounds, bytes and total_ns are KVMX_PREDICT_NEVER,
 * and pause_ns is the shortest pause that one would get down to at full speed. A bandwidth of 0 is
 * OFFLINE with all amounts KVMX_PREDICT_NEVER.
 *
 * A migration that would need more than 64 rounds counts as one that does not converge.
 *
 * Return: 0, or -EINVAL if page_bytes, min_permille or remaining_pages is out of range.
 */
int kvmx_predict(const struct kvmx_curve *c, const struct kvmx_predict_in *in,
		 struct kvmx_predict_out *out)
{
	u64 pages = in->remaining_pages == U64_MAX ? c->total_pages : in->remaining_pages;
	struct link l = link_of(in, 1000);
	struct ending e, slow;
	u64 budget = 0;
	u32 speed = 0;
	int ret;

	ret = check(c, in, pages);
	if (ret)
		return ret;
	*out = (struct kvmx_predict_out) {
		.bytes = KVMX_PREDICT_NEVER,
		.total_ns = KVMX_PREDICT_NEVER,
		.pause_ns = KVMX_PREDICT_NEVER,
		.offline_ns = KVMX_PREDICT_NEVER,
		.verdict = KVMX_VERDICT_OFFLINE,
		.vcpu_permille = 1000,
	};
	if (!in->bandwidth)
		return 0;
	out->offline_ns = kvmx_add(in->fixed_ns, link_time(&l, pages));
	if (in->allowed_ns >= in->fixed_ns)
		budget = kvmx_muldiv(in->allowed_ns - in->fixed_ns, l.num, l.den);
	run(c, in, 1000, pages, budget, &e);
	out->pause_ns = kvmx_add(in->fixed_ns, link_time(&l, e.left));
	if (in->allowed_ns < in->fixed_ns)
		return 0;
	if (e.fits) {
		out->verdict = KVMX_VERDICT_CONVERGES;
	} else {
		speed = find_speed(c, in, pages, budget, &slow);
		if (!speed)
			return 0;
		e = slow;
		out->verdict = KVMX_VERDICT_THROTTLE;
		out->vcpu_permille = speed;
		out->pause_ns = kvmx_add(in->fixed_ns, link_time(&l, e.left));
	}
	out->rounds = e.rounds;
	out->bytes = kvmx_muldiv(kvmx_add(e.sent, e.left), in->page_bytes, 1);
	out->total_ns = kvmx_add(link_time(&l, kvmx_add(e.sent, e.left)), in->fixed_ns);
	return 0;
}
