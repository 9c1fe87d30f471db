// SPDX-License-Identifier: LGPL-2.1
/*
 * Live migration without rounds. Time goes in slices: at the end of each everything that was
 * written is harvested, and what has been quiet and promises to stay so is sent. What is written
 * all the time waits for the pause, which comes as soon as the rest fits into what is allowed.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "sender.h"
#include "verdict.h"

#define SHORT_SLICE_NS		(10 * NSEC_PER_MSEC)
#define BATCH_PAGES		64
#define PAUSE_SAMPLES		512
#define HARVEST_SHARE		4	/* of the time between two */
#define ASK_EVERY_NS		(150 * NSEC_PER_MSEC)
#define HISTORY_NS		NSEC_PER_SEC
#define SURE_THROTTLE_NS	(500 * NSEC_PER_MSEC)
#define SURE_OFFLINE_NS		NSEC_PER_SEC
#define UNSURE_OFFLINE_NS	(3 * NSEC_PER_SEC)
#define LEAST_PROBES		8
/* As long as this queues on the way may take more than the link will carry, and then less. */
#define LEAST_LINK_NS		(250 * NSEC_PER_MSEC)
#define STUCK_NS		(8 * NSEC_PER_SEC)
#define CAUTION_NS		(3 * NSEC_PER_SEC)
/* The smaller a part of a guest fits into the pause, the more pages it takes to tell. */
#define LEAST_SAMPLES		1024
#define MOST_SAMPLES		16384
#define SAMPLE_SHARE		16	/* of all pages: it shall cost the guest little */

struct live {
	struct sender *s;
	struct kvmx_point sample[KVMX_MAX_POINTS];
	uint32_t nr_sample;
	uint64_t history;	/* since when the guest's behaviour is watched */
	uint64_t next;		/* when to harvest */
	uint64_t retry;		/* no pause before that */
	struct plan plan;
	unsigned int step;	/* of the plan */
	bool wrapped;
	uint64_t block;		/* where the search for pages is, and where in the block */
	uint64_t cursor;
	uint32_t verdict;
	uint32_t needed;	/* permille */
	uint64_t verdict_since;
	uint64_t asked;
	uint64_t looked;	/* at what is pending, before a pause */
	uint64_t best_pause;
	uint64_t best_at;
	uint32_t aborts;	/* pauses taken back since the guest was last changed */
	uint64_t aborted;	/* the last of them */
	bool offline;		/* decided: the pause may be as long as it will */
};

static bool may_throttle(const struct sender *s)
{
	return s->policy->flags & KVMX_POLICY_THROTTLE && s->source->ops->throttle &&
	       s->permille > s->policy->min_permille;
}

static void take_sample(struct live *l)
{
	struct sender *s = l->s;
	struct kvmx_vm_sample sample = {
		.nr_samples = max_u64(min_u64(s->layout.total / SAMPLE_SHARE, MOST_SAMPLES),
				      LEAST_SAMPLES),
		.nr_points = 10,
		.duration_ns = s->policy->sample_ns,
		.points = (uintptr_t)l->sample,
	};

	if (s->policy->flags & KVMX_POLICY_NO_SAMPLE || !s->policy->sample_ns)
		return;
	/* A guest that cannot be sampled is migrated all the same; the harvests will tell. */
	if (!s->dirty->ops->sample(s->dirty->ctx, &sample))
		l->nr_sample = sample.nr_points;
}

static double seconds(uint64_t ns)
{
	return (double)ns / NSEC_PER_SEC;
}

/* Pages per second that the link carries, at what a written page costs. */
static double page_rate(const struct sender *s)
{
	double cost = fmax(s->dirty_cost * s->dirty_changed, 1);

	return measure_bandwidth(s) / cost;
}

static uint32_t curve(const struct live *l, struct kvmx_point *points, uint64_t now)
{
	uint32_t nr = heat_curve(&l->s->pages.heat, points);

	if (l->nr_sample && (now - l->history < HISTORY_NS || nr < 3)) {
		memcpy(points, l->sample, l->nr_sample * sizeof(*points));
		return l->nr_sample;
	}
	return now - l->history < HISTORY_NS / 2 ? 0 : nr;
}

static void note_verdict(struct live *l, const struct kvmx_predict *p, uint64_t now)
{
	struct sender *s = l->s;

	if (!s->report->first_verdict) {
		s->report->first_verdict = p->verdict;
		s->report->first_pause_ns = p->pause_ns;
		s->report->first_verdict_ns = now - s->start;
	}
	if (l->verdict != p->verdict) {
		l->verdict = p->verdict;
		l->verdict_since = now;
	}
	l->needed = p->vcpu_permille;
	s->report->verdict = p->verdict;
	s->progress.verdict = p->verdict;
	s->progress.pause_ns = p->pause_ns;
	s->progress.total_ns = p->total_ns;
	s->progress.needed_permille = p->vcpu_permille;
}

/*
 * Is it known what the link carries? People go by the first verdict. But some links are never
 * measured: their guests leave them idle.
 */
static bool informed(const struct live *l, uint64_t now)
{
	const struct sender *s = l->s;

	if (!s->tracked)
		return s->policy->bandwidth;
	return s->link.ns >= LEAST_LINK_NS || now - l->history >= HISTORY_NS;
}

/* Ask kvmx how this will end. */
static void ask(struct live *l, uint64_t now)
{
	struct sender *s = l->s;
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_predict p = {
		.flags = KVMX_PREDICT_DEFER | KVMX_PREDICT_POINTS,
		.bandwidth = measure_bandwidth(s),
		.allowed_ns = s->policy->allowed_ns,
		.fixed_ns = measure_fixed(s),
		.min_permille = 1000,
		.points = (uintptr_t)points,
		.total_pages = s->layout.total,
	};
	double cost = fmax(s->dirty_cost * s->dirty_changed, 1);

	if (!informed(l, now))
		return;
	l->asked = now;
	p.nr_points = curve(l, points, now);
	if (!p.nr_points || !p.bandwidth)
		return;
	p.page_bytes = cost;
	/* Before the start that is all of them. */
	p.remaining_pages = s->tracked ? min_u64(s->pages.nr_pending * (s->page_cost / cost),
						 p.total_pages) : ~0ULL;
	if (may_throttle(s))
		p.min_permille = max_u64(s->policy->min_permille * 1000 / s->permille, 1);
	if (!s->dirty->ops->predict(s->dirty->ctx, &p))
		note_verdict(l, &p, now);
}

static void make_plan(struct live *l)
{
	struct sender *s = l->s;
	double slice = seconds(s->policy->slice_ns) * measure_bandwidth(s) / fmax(s->page_cost, 1);
	/*
	 * Pages that are written without being changed have to be sent once, hot or not: only then
	 * is it known that they need not be sent again.
	 */
	bool all = s->content && s->dirty_changed < .5;

	plan_make(&l->plan, &s->pages.heat, max_u64(slice, BATCH_PAGES), all);
	l->step = 0;
	l->wrapped = false;
}

static int end_slice(struct live *l)
{
	struct sender *s = l->s;
	uint32_t samples;
	int ret;

	measure_link(s, now_ns());
	ret = harvest_all(s);
	if (ret)
		return ret;
	measure_probes(s);
	/* The closer the pause, the better its price must be known. */
	samples = measure_pause(s, s->pages.nr_pending) < 2 * s->policy->allowed_ns ? 96 : 16;
	measure_pending(s, samples);
	s->progress.dirty_rate = heat_dirty_rate(&s->pages.heat);
	make_plan(l);
	measure_begin(s);
	/* On a host on which harvests take long they must not take all the time. */
	l->next = max_u64(s->last_harvest + s->policy->slice_ns,
			  s->mark_ns + HARVEST_SHARE * s->harvest_ns);
	return measure_ping(s, now_ns());
}

/*
 * Blocks from the last to the first: what is written in order of addresses is written so upwards,
 * and the pages just ahead of the writer are the last that should be sent.
 */
static uint64_t next_in_blocks(struct live *l, uint32_t classes)
{
	const struct pages *p = &l->s->pages;

	for (;;) {
		uint64_t end = min_u64((l->block + 1) * HEAT_BLOCK, p->total);
		uint64_t idx = pages_next(p, l->cursor, end, classes);

		if (idx < end) {
			l->cursor = idx + 1;
			return idx;
		}
		if (!l->block)
			return p->total;
		l->cursor = --l->block * HEAT_BLOCK;
	}
}

static void rewind_blocks(struct live *l)
{
	l->block = (l->s->pages.total - 1) / HEAT_BLOCK;
	l->cursor = l->block * HEAT_BLOCK;
}

static uint64_t next_page(struct live *l)
{
	uint64_t idx, none = l->s->pages.total;

	while (l->step < l->plan.nr_steps) {
		idx = next_in_blocks(l, l->plan.step[l->step]);
		if (idx != none)
			return idx;
		if (!l->wrapped) {
			l->wrapped = true;
			rewind_blocks(l);
			continue;
		}
		l->step++;
		l->wrapped = false;
	}
	return none;
}

/* Send a few pages; how many, or a negative errno value. */
static int send_batch(struct live *l)
{
	struct sender *s = l->s;
	int n, ret;

	for (n = 0; n < BATCH_PAGES; n++) {
		uint64_t idx = next_page(l);

		if (idx == s->pages.total)
			break;
		ret = tx_page(s, idx);
		if (ret)
			return ret;
	}
	return n;
}

/*
 * A pause that was taken back asks for more room, but not for good: a guest that just fits would
 * never be paused again.
 */
static uint64_t margin(const struct live *l, uint64_t now)
{
	double share = l->s->policy->allowed_ns / 16.;
	double caution = fmax(1 - (double)(now - l->aborted) / CAUTION_NS, 0);

	return share * (1 + l->aborts * caution) + 4 * NSEC_PER_MSEC;
}

static void look(const struct live *l, struct pause_view *v, uint64_t now)
{
	struct sender *s = l->s;
	double fresh = heat_fresh_rate(&s->pages.heat);
	double bandwidth = fmax(measure_bandwidth(s), 1);
	uint64_t eligible = plan_eligible(&l->plan, &s->pages.heat, &v->hazard);

	v->allowed_ns = s->policy->allowed_ns;
	v->predicted_ns = measure_pause(s, s->pages.nr_pending +
					fresh * seconds(now - s->last_harvest));
	v->margin_ns = margin(l, now);
	v->gain_ns = eligible * s->page_cost / bandwidth * NSEC_PER_SEC;
	v->waste = fresh * s->page_cost / bandwidth;
}

static int throttle(struct live *l, uint32_t permille, uint64_t now)
{
	struct sender *s = l->s;
	int ret;

	permille = max_u64(permille, s->policy->min_permille);
	ret = s->source->ops->throttle(s->source->opaque, permille);
	if (ret)
		return fail(s->report, ret, "the vCPUs could not be throttled: %s",
			    strerror(-ret));
	s->permille = permille;
	s->report->vcpu_permille = permille;
	heat_forget(&s->pages.heat);
	l->nr_sample = 0;
	l->history = now;
	l->verdict = 0;
	l->best_pause = KVMX_PREDICT_NEVER;
	l->best_at = now;
	return 0;
}

static int give_up(struct live *l)
{
	struct sender *s = l->s;
	char why[128];

	snprintf(why, sizeof(why),
		 "with %.0f pages/s written and %.1f MB/s sent no pause of %.0f ms is enough",
		 heat_dirty_rate(&s->pages.heat), measure_bandwidth(s) / 1e6,
		 s->policy->allowed_ns / 1e6);
	return sender_give_up(s, why);
}

/* This will come to nothing: what does the policy say? */
static int other_means(struct live *l, uint64_t now)
{
	if (may_throttle(l->s))
		return throttle(l, l->s->permille * 7 / 10, now);
	if (!(l->s->policy->flags & KVMX_POLICY_OFFLINE))
		return give_up(l);
	l->offline = true;
	return 0;
}

/*
 * The kernel says no. Do our own figures? A close "no" has to stand for longer: the link may have
 * had a bad moment. So has one from before it is known whether what is written changes at all.
 */
static bool hopeless(const struct live *l, uint64_t now)
{
	uint64_t sure = now - l->verdict_since;
	const struct sender *s = l->s;
	struct kvmx_point points[KVMX_MAX_POINTS];
	uint32_t nr = curve(l, points, now);
	double least = floor_pages(points, nr, page_rate(s));
	double pause = measure_fixed(s) + least / page_rate(s) * NSEC_PER_SEC;

	if (!nr || sure < SURE_OFFLINE_NS)
		return false;
	if (sure >= UNSURE_OFFLINE_NS)
		return pause > s->policy->allowed_ns * .9;
	return pause > s->policy->allowed_ns * 1.5 && (!s->content || s->probes >= LEAST_PROBES);
}

static int act_on_verdict(struct live *l, uint64_t now)
{
	struct sender *s = l->s;
	uint64_t sure = now - l->verdict_since;

	if (now - l->history < HISTORY_NS || l->offline)
		return 0;
	if (l->verdict == KVMX_VERDICT_THROTTLE && sure >= SURE_THROTTLE_NS)
		return throttle(l, s->permille * (uint64_t)l->needed / 1000, now);
	if (l->verdict == KVMX_VERDICT_OFFLINE && hopeless(l, now))
		return other_means(l, now);
	return 0;
}

/* Verdicts can be wrong: no progress for a long time is one, too. */
static int watch_progress(struct live *l, uint64_t predicted, uint64_t now)
{
	if (predicted < l->best_pause / 64 * 63) {
		l->best_pause = predicted;
		l->best_at = now;
	}
	if (l->offline || now - l->best_at < STUCK_NS)
		return 0;
	l->best_at = now;
	return other_means(l, now);
}

static int out_of_time(struct live *l)
{
	struct sender *s = l->s;

	if (s->policy->flags & KVMX_POLICY_OFFLINE)
		return handover(s, true, measure_pause(s, s->pages.nr_pending));
	return sender_give_up(s, "it was not done in time");
}

static bool is_moment(const struct live *l, const struct pause_view *v)
{
	const struct sender *s = l->s;

	if (l->offline)
		return pause_exhausted(v);
	/* Until something has come back nobody knows how much of what was sent is only queued. */
	if (s->conn.link.kind == LINK_SOCKET && !s->ping_seen)
		return false;
	return pause_now(v);
}

/* What is pending changes within a slice: before the guest is paused, look again. */
static const struct pause_view *look_closely(struct live *l, struct pause_view *v)
{
	uint64_t now = now_ns();

	if (now - l->looked > SHORT_SLICE_NS) {
		l->looked = now;
		measure_pending(l->s, PAUSE_SAMPLES);
		look(l, v, now);
	}
	return v;
}

static int try_pause(struct live *l, uint64_t predicted)
{
	struct sender *s = l->s;
	int ret = handover(s, l->offline, predicted);

	if (ret != -EAGAIN)
		return ret;
	l->next = now_ns();
	l->aborted = l->next;
	l->retry = l->next + 2 * s->policy->slice_ns;
	if (++l->aborts < s->policy->max_aborts)
		return ret;
	l->aborts = 0;
	ret = other_means(l, l->next);
	return ret ? ret : -EAGAIN;
}

/* Nothing to send: wait for the guest to write, or for the slice to end. */
static int idle(struct live *l, const struct pause_view *v)
{
	struct sender *s = l->s;
	uint64_t soon = s->last_harvest + SHORT_SLICE_NS + HARVEST_SHARE * s->harvest_ns;
	int ret = tx_flush(s);

	if (ret)
		return ret;
	s->idle = true;
	/* Close to the end a shorter slice leaves less behind; far off it only costs. */
	if (v->predicted_ns < v->allowed_ns + v->allowed_ns / 2 && soon < l->next)
		l->next = soon;
	ret = link_wait(&s->conn.link, l->next);
	return ret < 0 ? ret : 0;
}

static int live_loop(struct live *l)
{
	struct sender *s = l->s;
	uint64_t limit = s->policy->max_time_ns;
	struct pause_view view;
	int ret = 0;

	while (!ret) {
		uint64_t now = now_ns();

		if (now >= l->next) {
			ret = end_slice(l);
			if (ret)
				break;
			now = now_ns();
			if (now - l->asked >= ASK_EVERY_NS)
				ask(l, now);
			ret = act_on_verdict(l, now);
			if (ret)
				break;
		}
		if (limit && now - s->start > limit)
			return out_of_time(l);
		measure_queue(s, now);
		/* The sooner a pong is seen the more it says. */
		if (s->conn.pong != s->ping) {
			ret = conn_poll(&s->conn);
			if (ret)
				break;
		}
		look(l, &view, now);
		ret = watch_progress(l, view.predicted_ns, now);
		if (ret)
			break;
		if (now >= l->retry && is_moment(l, &view) &&
		    is_moment(l, look_closely(l, &view))) {
			ret = try_pause(l, view.predicted_ns);
			if (ret != -EAGAIN)
				return ret;
			ret = 0;
			continue;
		}
		ret = send_batch(l);
		if (!ret)
			ret = idle(l, &view);
		else if (ret > 0)
			ret = 0;
		if (!ret)
			ret = sender_progress(s, s->report->data_pages + s->report->zero_pages <
					      s->layout.total ? KVMX_PHASE_FIRST :
					      KVMX_PHASE_REPEAT);
	}
	return ret;
}

int live_run(struct sender *s)
{
	struct live l = { .s = s, .best_pause = KVMX_PREDICT_NEVER };
	int ret;

	ret = sender_progress(s, KVMX_PHASE_SAMPLE);
	if (ret)
		return ret;
	take_sample(&l);
	ask(&l, now_ns());
	ret = sender_start_tracker(s);
	if (ret)
		return ret;
	/* Whatever the first harvest says: what was never sent is not there. */
	pages_want_all(&s->pages);
	ret = harvest_all(s);
	if (ret)
		return ret;
	l.history = now_ns();
	l.best_at = l.history;
	l.next = s->last_harvest + s->policy->slice_ns;
	rewind_blocks(&l);
	make_plan(&l);
	measure_begin(s);
	return live_loop(&l);
}
