// SPDX-License-Identifier: LGPL-2.1
#include <math.h>

#include "verdict.h"

/* More likely than not to be written again before it matters: not worth a byte. */
#define FUTILE		.5
/* Once the pause is short enough: how much of the link may be wasted to make it shorter still. */
#define WASTE		.3
/* A gain below this share of the allowed pause is none. */
#define GAIN_SHARE	32

/* In how many quanta all that is to be sent could be: so long a page has to stay quiet. */
static double horizon(const struct heat *heat, uint64_t slice_pages)
{
	uint64_t pages = 0;
	unsigned int class;

	for (class = 0; class < HEAT_CLASSES; class++)
		pages += heat_pending(heat, class);
	return fmax(2, fmin(HEAT_MAX_AGE, (double)pages / slice_pages));
}

void plan_make(struct plan *plan, const struct heat *heat, uint64_t slice_pages, bool all)
{
	double danger[HEAT_CLASSES], quanta = horizon(heat, slice_pages);
	unsigned int order[HEAT_CLASSES], i, j;
	uint64_t pages = 0, n;

	memset(plan, 0, sizeof(*plan));
	for (i = 0; i < HEAT_CLASSES; i++) {
		danger[i] = heat_danger(heat, i, quanta);
		for (j = i; j && danger[order[j - 1]] > danger[i]; j--)
			order[j] = order[j - 1];
		order[j] = i;
	}
	for (i = 0; i < HEAT_CLASSES; i++) {
		uint32_t class = order[i];

		if (!all && heat_risk(heat, class) > FUTILE)
			continue;
		plan->eligible |= 1U << class;
		n = heat_pending(heat, class);
		if (!n)
			continue;
		pages += n;
		/* Each step is a search through all there is: take small ones together. */
		if (!plan->nr_steps || pages > slice_pages)
			plan->nr_steps++;
		plan->step[plan->nr_steps - 1] |= 1U << class;
	}
}

uint64_t plan_eligible(const struct plan *plan, const struct heat *heat, double *hazard)
{
	uint64_t pages = 0, n;
	unsigned int class;

	*hazard = 0;
	for (class = 0; class < HEAT_CLASSES; class++) {
		if (!(plan->eligible >> class & 1))
			continue;
		n = heat_pending(heat, class);
		pages += n;
		*hazard += n * heat_hazard(heat, class);
	}
	if (pages)
		*hazard /= pages;
	return pages;
}

bool pause_exhausted(const struct pause_view *v)
{
	double until = (double)v->gain_ns / NSEC_PER_SEC + .1;

	return v->gain_ns < v->allowed_ns / GAIN_SHARE || v->waste > WASTE ||
	       v->hazard * until > WASTE;
}

bool pause_now(const struct pause_view *v)
{
	if (v->predicted_ns > v->allowed_ns || v->predicted_ns + v->margin_ns > v->allowed_ns)
		return false;
	return pause_exhausted(v);
}

double floor_pages(const struct kvmx_point *points, uint32_t nr, double rate)
{
	uint64_t time = 0, pages = 0;
	uint32_t i;

	for (i = 0; i < nr; i++) {
		double slope = (double)(points[i].pages - pages) * NSEC_PER_SEC /
			       (points[i].time_ns - time);

		if (slope <= rate)
			return pages;
		time = points[i].time_ns;
		pages = points[i].pages;
	}
	return INFINITY;
}
