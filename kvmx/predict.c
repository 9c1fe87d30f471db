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
 * before the first round. The guest is paused at the first k where the pause for the pages then
 * left, fixed + N(k)/B, is allowed (B: bandwidth in pages). With D concave and B constant the
 * N(k) fall monotonically, or the migration makes no progress and never will.
 *
 * Plain pre-copy sends the whole list: t(k) = N(k)/B. It gets down to the largest time where
 * D(t) = B t, a chord of the curve from the origin, and no further.
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
 * with a hot set that is just the hot set, which is not sent before the pause. A round that began
 * with tau = t(k-1) is through when tau is the time since it began:
 *
 *	integral from t(k) to t(k-1) of D'/(B - D') d tau = t(k)
 *
 * The first round goes through its pages in no particular order. Of R pages out of N, a page is
 * skipped if it was written before its turn, which is so for the fraction D(t)/N at time t:
 *
 *	integral from 0 to t(0) of dt/(N - D(t)) = R/(N B)
 *
 * In both cases B t(k) pages are sent, never more than by plain pre-copy. If R is less than all
 * pages and the guest dirties as many in some time, they are taken to be those written last, as
 * they are in the middle of a migration.
 *
 * vCPUs at speed s dirty D(s t). In the guest's own time that is the same curve and a link of
 * bandwidth B/s, so a slower guest is handled as a faster link; only the pause keeps the real one.
 *
 * Accuracy: D is taken piecewise linear, where all this has closed solutions (but for the first
 * integral: its error is below 0.2 % of t(0), and above the truth). Numbers of pages are exact to
 * one page and times to the time of one page on the link, per round, and all roundings are upward.
 * Products have 128 bits; results that do not fit 64 are KVMX_PREDICT_NEVER.
 *
 * The assumptions are that pages are written independently of each other, that the load does not
 * change, and that the sender looks at the dirty log often: one that looks every h skips a page
 * up to h too late. tools/testing/unit/sim_test.c compares with a simulated sender.
 */

#define NSEC_PER_MILLI	1000000ULL	/* of a second's 1000 permille */
#define MAX_ROUNDS	256
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

static u64 link_pages(const struct link *l, u64 t_ns)
{
	return kvmx_muldiv_up(t_ns, l->num, l->den);
}

static u64 link_time(const struct link *l, u64 pages)
{
	return kvmx_muldiv_up(pages, l->den, l->num);
}

/* duration of the first round of a sender that defers: see DOC, the first integral */
static u64 first_round(const struct kvmx_curve *c, const struct link *l, u64 pages)
{
	u64 need = link_time(l, pages), t = 0, d = 0, next_d, end, step, clean, gain;
	u32 i, s;

	if (need == KVMX_PREDICT_NEVER)
		return need;
	for (i = 0; i < c->nr_all; i++) {
		for (s = STEPS; s; s--) {
			end = c->pt[i].time_ns;
			step = (end - t) / s;
			next_d = kvmx_curve_pages(c, t + step);
			clean = c->total_pages - d - (next_d - d) / 2;
			gain = kvmx_muldiv(step, c->total_pages, clean);
			if (gain >= need)
				return t + kvmx_muldiv_up(need, clean, c->total_pages);
			need -= gain;
			t += step;
			d = next_d;
		}
	}
	return kvmx_add(t, kvmx_muldiv_up(need, c->total_pages - d, c->total_pages));
}

/*
 * Duration of a later round that began when the oldest page's age was tau: see DOC. Goes down the
 * segments of the curve. On one that takes dt to dirty what the link carries in w, D'/B = w/dt.
 */
static u64 later_round(const struct kvmx_curve *c, const struct link *l, u64 tau)
{
	struct kvmx_point a, b;
	u64 elapsed = 0, dt, w, end;
	u32 i;

	for (i = c->nr_all; i--; tau = min(tau, a.time_ns)) {
		a.time_ns = i ? c->pt[i - 1].time_ns : 0;
		a.pages = i ? c->pt[i - 1].pages : 0;
		b = c->pt[i];
		/* beyond the curve nothing gets dirty any more */
		tau = min(tau, b.time_ns);
		if (tau <= a.time_ns)
			continue;
		dt = b.time_ns - a.time_ns;
		w = link_time(l, b.pages - a.pages);
		if (w >= dt)
			return tau;
		end = kvmx_add(elapsed, kvmx_muldiv_up(tau - a.time_ns, w, dt - w));
		if (end >= a.time_ns)
			return min(tau, kvmx_add(kvmx_muldiv_up(elapsed, dt - w, dt),
						 kvmx_muldiv_up(tau, w, dt)));
		elapsed = end;
	}
	return tau;
}

/* goes through the rounds until at most @budget pages are left, or it makes no progress */
static void run(const struct kvmx_curve *c, const struct kvmx_predict_in *in, u32 permille,
		u64 pages, u64 budget, struct ending *e)
{
	struct link l = link_of(in, permille);
	u64 t, last = KVMX_PREDICT_NEVER;
	u64 n = pages;

	*e = (struct ending) { .left = pages };
	if (in->defer && pages < c->total_pages)
		last = kvmx_curve_time(c, pages);
	for (e->rounds = 0; e->rounds < MAX_ROUNDS; e->rounds++) {
		e->left = min(e->left, n);
		e->fits = n <= budget;
		if (e->fits)
			return;
		if (!in->defer)
			t = link_time(&l, n);
		else if (last == KVMX_PREDICT_NEVER)
			t = first_round(c, &l, n);
		else
			t = later_round(c, &l, last);
		if (t >= last)
			return;
		e->sent = kvmx_add(e->sent, min(n, link_pages(&l, t)));
		n = kvmx_curve_pages(c, t);
		last = t;
	}
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
 * what remains fits into a pause as it is, there is no round before it. Where fixed_ns alone is
 * more than allowed_ns, the verdict is OFFLINE whatever the guest does, for the promise cannot be
 * kept. With OFFLINE no live migration ends: no rounds, bytes and total_ns are KVMX_PREDICT_NEVER,
 * and pause_ns is the shortest pause that one would get down to at full speed. A bandwidth of 0 is
 * OFFLINE with all amounts KVMX_PREDICT_NEVER.
 *
 * A migration that would need more than 256 rounds counts as one that does not converge.
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
