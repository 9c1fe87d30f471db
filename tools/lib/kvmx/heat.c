// SPDX-License-Identifier: LGPL-2.1
#include <math.h>

#include "heat.h"

#define HALF_LIFE_NS	(1500 * NSEC_PER_MSEC)
/* By the end of the first pass pages that were sent are many times those of a second before. */
#define FRESH_HALF_LIFE_NS	(120 * NSEC_PER_MSEC)

/* The oldest age of each class, in quanta. Twice as long each: a curve bends on every scale. */
static const unsigned int oldest[HEAT_AGES] = { 1, 2, 4, 8, 16, 32, 64, HEAT_MAX_AGE };

/*
 * What is believed before there is evidence, as probability per second, and how much evidence in
 * page seconds outweighs it. A page that was written is taken to be written again soon until pages
 * have been seen to stay quiet for so long.
 */
static const double belief[HEAT_CLASSES] = {
	2, 2, 2, 2, 2, 2, 2, 2, 15, 10, .02, .2, .01,
};

#define BELIEF_WEIGHT	4.0

static void classify(struct heat *h)
{
	unsigned int stamp, class;

	h->class_of[HEAT_STAMP_NEVER] = HEAT_COLD;
	h->class_of[HEAT_STAMP_WARM] = HEAT_WARM;
	h->class_of[HEAT_STAMP_STALE] = HEAT_STALE;
	for (stamp = 1; stamp <= HEAT_CYCLE; stamp++) {
		unsigned int age = heat_age(h, stamp);

		for (class = 0; class < HEAT_AGES - 1; class++)
			if (age <= oldest[class])
				break;
		h->class_of[stamp] = class;
		h->class_of[stamp + HEAT_REPEAT] = class < 2 ? HEAT_HOT + class : class;
	}
}

void heat_init(struct heat *h, uint64_t pages, uint64_t quantum_ns, uint64_t now)
{
	memset(h, 0, sizeof(*h));
	h->quantum_ns = quantum_ns;
	h->start = now;
	h->stamp = 1;
	h->pop[HEAT_STAMP_NEVER] = pages;
	classify(h);
}

void heat_forget(struct heat *h)
{
	memset(h->events, 0, sizeof(h->events));
	memset(h->past_events, 0, sizeof(h->past_events));
	memset(h->exposure, 0, sizeof(h->exposure));
	memset(h->step_pages, 0, sizeof(h->step_pages));
	memset(h->step_quanta, 0, sizeof(h->step_quanta));
	h->fresh = 0;
	h->past_fresh = 0;
	h->past_time = 0;
}

unsigned int heat_age(const struct heat *h, unsigned int stamp)
{
	return (h->stamp + HEAT_CYCLE - (stamp & 0xff)) % HEAT_CYCLE;
}

bool heat_repeats(const struct heat *h, unsigned int stamp)
{
	return stamp != HEAT_STAMP_NEVER && stamp != HEAT_STAMP_WARM &&
	       stamp != HEAT_STAMP_STALE && heat_age(h, stamp) <= oldest[1];
}

static uint64_t events_of_age(const struct heat *h, unsigned int i)
{
	return h->events[i] + (i < 2 ? h->events[HEAT_HOT + i] : 0);
}

/*
 * Pages of this quantum that were last written at least x quanta ago, as the mean over all x of
 * class @i, spread evenly over the ages within the class.
 */
static double not_younger(const struct heat *h, unsigned int i)
{
	double width = oldest[i] - (i ? oldest[i - 1] : 0);
	double pages = events_of_age(h, i) * (width + 1) / (2 * width);
	unsigned int class;

	for (class = i + 1; class < HEAT_AGES; class++)
		pages += events_of_age(h, class);
	for (class = HEAT_STALE; class < HEAT_CLASSES; class++)
		pages += h->events[class];
	return pages;
}

static double keep(uint64_t ns, uint64_t half_life_ns)
{
	return exp2(-(double)ns / half_life_ns);
}

static void fold(struct heat *h, uint64_t ns)
{
	double kept = keep(ns, HALF_LIFE_NS), fresh = keep(ns, FRESH_HALF_LIFE_NS);
	unsigned int i;

	for (i = 0; i < HEAT_AGES; i++) {
		/* Who has watched for 2 s cannot tell 3 s old pages from those of 30 s. */
		if (h->now < oldest[i] || !h->span)
			continue;
		h->step_pages[i] = h->step_pages[i] * kept + not_younger(h, i);
		h->step_quanta[i] = h->step_quanta[i] * kept + h->span;
	}
	for (i = 0; i < HEAT_CLASSES; i++) {
		h->past_events[i] = (h->past_events[i] + h->events[i]) * kept;
		h->exposure[i] *= kept;
		h->events[i] = 0;
	}
	h->past_fresh = (h->past_fresh + h->fresh) * fresh;
	h->past_time *= fresh;
	h->fresh = 0;
}

uint64_t heat_advance(struct heat *h, uint64_t now)
{
	uint64_t quantum = (now - h->start) / h->quantum_ns;
	double seconds;
	unsigned int i;

	if (quantum <= h->now)
		return 0;
	fold(h, (quantum - h->now) * h->quantum_ns);
	h->span = quantum - h->now;
	h->now = quantum;
	h->stamp = quantum % HEAT_CYCLE + 1;
	classify(h);
	seconds = (double)h->span * h->quantum_ns / NSEC_PER_SEC;
	for (i = 0; i < HEAT_STAMPS; i++)
		h->exposure[h->class_of[i]] += h->pop[i] * seconds;
	h->past_time += seconds;
	return h->span;
}

/*
 * Pages of a cold block that a first write to one of them announces: as many as have been written
 * in the blocks that did warm up. A stream writes all of them, a quiet system only a few.
 */
static double announced(const struct heat *h)
{
	uint64_t written = 0, untouched = h->pop[HEAT_STAMP_WARM];
	unsigned int i;

	for (i = 0; i < HEAT_STAMPS; i++)
		if (i != HEAT_STAMP_NEVER && i != HEAT_STAMP_WARM)
			written += h->pop[i];
	if (!written)
		return 1;
	return fmax(1, HEAT_BLOCK * (double)written / (written + untouched));
}

double heat_hazard(const struct heat *h, unsigned int class)
{
	double events = h->past_events[class] + h->events[class];

	if (class == HEAT_COLD)
		events *= announced(h);
	return (events + belief[class] * BELIEF_WEIGHT) / (h->exposure[class] + BELIEF_WEIGHT);
}

static double within_quantum(const struct heat *h, unsigned int class)
{
	/* Nothing is quite certain: its logarithm must be a number. */
	return fmin(.999999, heat_hazard(h, class) * h->quantum_ns / NSEC_PER_SEC);
}

/* The class that a page of a class is in next if it is not written. */
static unsigned int older(unsigned int class)
{
	if (class < HEAT_AGES - 1 || class == HEAT_HOT)
		return class + 1;
	if (class == HEAT_AGES - 1)
		return HEAT_STALE;
	return class == HEAT_HOT_1 ? 2 : class;
}

/* How long it stays in this one, as the mean over those that are in it now. */
static double stay(unsigned int class, bool first)
{
	double width;

	if (class == HEAT_HOT || class == HEAT_HOT_1 || !class)
		return 1;
	if (class >= HEAT_AGES)
		return INFINITY;
	width = oldest[class] - oldest[class - 1];
	return first ? (width + 1) / 2 : width;
}

double heat_danger(const struct heat *h, unsigned int class, double quanta)
{
	double danger = 0, time;
	bool first = true;

	for (; quanta > 0; quanta -= time) {
		time = fmin(quanta, stay(class, first));
		danger -= time * log1p(-within_quantum(h, class));
		class = older(class);
		first = false;
	}
	return danger;
}

double heat_risk(const struct heat *h, unsigned int class)
{
	/* A page that is written every other quantum is safe now, and lost the next moment. */
	return -expm1(-heat_danger(h, class, 2));
}

double heat_fresh_rate(const struct heat *h)
{
	return h->past_time ? (h->past_fresh + h->fresh) / h->past_time : 0;
}

double heat_dirty_rate(const struct heat *h)
{
	double quanta = h->step_quanta[0];

	return quanta ? h->step_pages[0] / quanta * NSEC_PER_SEC / h->quantum_ns : 0;
}

uint32_t heat_curve(const struct heat *h, struct kvmx_point *points)
{
	double pages = 0;
	uint32_t i;

	for (i = 0; i < HEAT_AGES && h->step_quanta[i]; i++) {
		pages += (oldest[i] - (i ? oldest[i - 1] : 0)) *
			 h->step_pages[i] / h->step_quanta[i];
		points[i].time_ns = oldest[i] * h->quantum_ns;
		points[i].pages = llround(pages);
	}
	return i;
}

uint64_t heat_pending(const struct heat *h, unsigned int class)
{
	uint64_t pages = 0;
	unsigned int i;

	for (i = 0; i < HEAT_STAMPS; i++)
		if (h->class_of[i] == class)
			pages += h->pending[i];
	return pages;
}
