/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * What a guest's past says about its future. Pure: fed with the ages of the pages that each
 * harvest found dirty, it answers how many different pages are written in a given time (the dirty
 * curve, by Denning's working-set identity) and how soon a page of a given age is written again.
 *
 * Time is counted in quanta. Each page has a stamp, the quantum it was last found dirty in, modulo
 * HEAT_CYCLE; a page whose stamp would come round again is made stale first (see pages_age()).
 */
#ifndef _LIBKVMX_HEAT_H
#define _LIBKVMX_HEAT_H

#include "internal.h"

#define HEAT_BLOCK		512	/* pages that warm up together */
#define HEAT_CYCLE		254
#define HEAT_MAX_AGE		200	/* quanta; older is stale */
#define HEAT_STAMP_NEVER	0	/* not written, nor its neighbours */
#define HEAT_STAMP_STALE	255
#define HEAT_STAMP_WARM		256	/* not written, its neighbours are; never stored */
/*
 * Added to the stamp of a page that was written, and written again within two quanta. It is what
 * tells the hot set from a page that happened to be written just now.
 */
#define HEAT_REPEAT		256
#define HEAT_STAMPS		511

enum heat_class {
	HEAT_AGES = 8,		/* classes 0 to 7 by age, see heat.c */
	HEAT_HOT = HEAT_AGES,	/* repeated, as young as class 0 */
	HEAT_HOT_1,		/* repeated, as young as class 1 */
	HEAT_STALE,
	HEAT_WARM,
	HEAT_COLD,
	HEAT_CLASSES,
};

struct heat {
	uint64_t quantum_ns;
	uint64_t start;
	uint64_t now;			/* number of the present quantum */
	uint64_t span;			/* quanta since the one before that had a harvest */
	unsigned int stamp;		/* the present quantum's */
	uint8_t class_of[HEAT_STAMPS];
	uint64_t pop[HEAT_STAMPS];	/* pages by stamp */
	uint64_t pending[HEAT_STAMPS];	/* of them, pages to be sent */

	/* of the present quantum */
	uint64_t events[HEAT_CLASSES];	/* pages found dirty, by the class they were in */
	uint64_t fresh;			/* of them, pages that had been sent */
	/* of the past; what is long ago counts less */
	double past_events[HEAT_CLASSES];
	double exposure[HEAT_CLASSES];	/* page seconds in which they could have been written */
	double step_pages[HEAT_AGES];
	double step_quanta[HEAT_AGES];
	double past_fresh;
	double past_time;
};

void heat_init(struct heat *h, uint64_t pages, uint64_t quantum_ns, uint64_t now);
/* True if a page with this stamp that is written now is written repeatedly. */
bool heat_repeats(const struct heat *h, unsigned int stamp);
/* The guest was changed (throttled): forget its rates, keep the stamps. */
void heat_forget(struct heat *h);
/* Step on to the quantum of @now, before a harvest is put in. Quanta stepped. */
uint64_t heat_advance(struct heat *h, uint64_t now);
/* Age of a stamp from 1 to HEAT_CYCLE, or repeated, in quanta. */
unsigned int heat_age(const struct heat *h, unsigned int stamp);
/* Probability per second that a page of a class is written. */
double heat_hazard(const struct heat *h, unsigned int class);
/*
 * How sure it is that a page of a class is written within the next @quanta: minus the logarithm of
 * the probability that it is not. It grows older meanwhile, and so moves on through the classes.
 */
double heat_danger(const struct heat *h, unsigned int class, double quanta);
/* Probability that a page of a class is written within the next two quanta. */
double heat_risk(const struct heat *h, unsigned int class);
/* Pages per second that have to be sent again. */
double heat_fresh_rate(const struct heat *h);
/* Different pages written per second, taken over one quantum. */
double heat_dirty_rate(const struct heat *h);
/* The dirty curve: number of points, at most HEAT_AGES. */
uint32_t heat_curve(const struct heat *h, struct kvmx_point *points);
/* Pages to be sent in a class. */
uint64_t heat_pending(const struct heat *h, unsigned int class);

#endif /* _LIBKVMX_HEAT_H */
