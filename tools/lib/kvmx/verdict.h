/* SPDX-License-Identifier: LGPL-2.1 */
/* Decisions of the live sender. Pure: from measured figures to what to do. */
#ifndef _LIBKVMX_VERDICT_H
#define _LIBKVMX_VERDICT_H

#include "heat.h"

/* Which pages to send next, and whether that is worth while. */
struct plan {
	uint32_t step[HEAT_CLASSES];	/* sets of classes, one to be sent after the other */
	uint32_t nr_steps;
	uint32_t eligible;		/* all of them: what may be sent before the pause */
};

/*
 * Send what will stay quiet longest; leave to the pause what is written again before that.
 * @slice_pages: what the link carries in a slice, within which order does not matter; @all: send
 * the hot set, too.
 */
void plan_make(struct plan *plan, const struct heat *heat, uint64_t slice_pages, bool all);
/* Pages to be sent in the eligible classes, and the mean probability per second of a write. */
uint64_t plan_eligible(const struct plan *plan, const struct heat *heat, double *hazard);

struct pause_view {
	uint64_t allowed_ns;
	uint64_t predicted_ns;	/* pause if it began now */
	uint64_t margin_ns;
	uint64_t gain_ns;	/* how much shorter it gets by sending what is eligible */
	double waste;		/* share of the link that goes to pages sent before */
	double hazard;		/* of what is eligible, per second */
};

/* True if this is the moment to pause. */
bool pause_now(const struct pause_view *v);
/* True if sending more before the pause does not make it much shorter. */
bool pause_exhausted(const struct pause_view *v);

/*
 * The least that a pause can be brought down to: the pages dirtied in the time t at which the
 * curve's slope is the @rate (pages per second) that the link carries. Infinite if it never is.
 */
double floor_pages(const struct kvmx_point *points, uint32_t nr, double rate);

#endif /* _LIBKVMX_VERDICT_H */
