// SPDX-License-Identifier: LGPL-2.1
/*
 * Classic pre-copy, as most VMMs do it, to compare with: go over all dirty pages in order, again
 * and again, until what is left fits into the allowed pause at the rate the link had so far.
 */
#include "sender.h"

static uint64_t pause_for(const struct sender *s)
{
	uint64_t bandwidth = measure_bandwidth(s);

	if (!s->pages.nr_pending)
		return 0;
	if (!bandwidth)
		return KVMX_PREDICT_NEVER;
	return (double)s->pages.nr_pending * PAGE_BYTES / bandwidth * NSEC_PER_SEC;
}

static int sync_dirty(struct sender *s)
{
	int ret;

	measure_link(s, now_ns());
	ret = harvest_all(s);
	measure_begin(s);
	return ret;
}

int plain_run(struct sender *s)
{
	uint64_t limit = s->policy->max_time_ns, idx = 0, n = 0;
	int ret;

	ret = sender_start_tracker(s);
	if (ret)
		return ret;
	s->page_cost = PAGE_BYTES;
	pages_want_all(&s->pages);
	measure_begin(s);
	ret = sync_dirty(s);
	while (!ret) {
		uint64_t now = now_ns();

		if (++n % 64 == 0 && now - s->mark_ns > 50 * NSEC_PER_MSEC)
			measure_link(s, now);
		s->progress.pause_ns = pause_for(s);
		ret = sender_progress(s, KVMX_PHASE_REPEAT);
		if (ret)
			break;
		if (limit && now - s->start > limit) {
			if (!(s->policy->flags & KVMX_POLICY_OFFLINE))
				return sender_give_up(s, "it was not done in time");
			return handover(s, true, pause_for(s));
		}
		if (s->progress.pause_ns <= s->policy->allowed_ns || !s->pages.nr_pending) {
			ret = tx_flush(s);
			if (!ret)
				ret = sync_dirty(s);
			if (!ret && pause_for(s) <= s->policy->allowed_ns)
				return handover(s, true, pause_for(s));
		}
		idx = pages_next(&s->pages, idx, s->pages.total, ~0U);
		if (idx < s->pages.total)
			ret = ret ? ret : tx_page(s, idx);
		else
			idx = 0;
	}
	return ret;
}
