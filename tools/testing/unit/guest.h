/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Synthetic guests that write their memory in known patterns, and random numbers that are the same
 * in every run.
 */
#ifndef UNIT_GUEST_H
#define UNIT_GUEST_H

#include <linux/kvmx.h>
#include <linux/limits.h>
#include <linux/types.h>

#define MS		1000000ULL
#define SEC		1000000000ULL
#define GUEST_PAGES	65536U		/* 256 MiB */

struct rnd {
	u64 state;
};

u64 rnd_next(struct rnd *r);
u64 rnd_below(struct rnd *r, u64 limit);
/* any order of magnitude up to 2^bits with the same probability */
u64 rnd_scale(struct rnd *r, unsigned int bits);
double rnd_real(struct rnd *r);

/**
 * struct load - what a guest does, all at the same time; the areas lie one after the other
 * @name: for messages
 * @hot: pages that are all written every 10 ms
 * @uniform: pages of which one at random is written @uniform_rate times a second
 * @uniform_rate: see @uniform
 * @warm: as @uniform, to mix rates
 * @warm_rate: as @uniform_rate
 * @stream: pages that are written one after the other, over and over, @stream_rate a second
 * @stream_rate: see @stream
 * @grow: pages that are written one after the other, once, @grow_rate a second
 * @grow_rate: see @grow
 * @ordered: it writes pages in the order in which they are sent first
 */
struct load {
	const char *name;
	u32 hot;
	u32 uniform;
	u32 uniform_rate;
	u32 warm;
	u32 warm_rate;
	u32 stream;
	u32 stream_rate;
	u32 grow;
	u32 grow_rate;
	bool ordered;
};

/* D(t) of a load as it is on average */
double load_pages(const struct load *load, u64 t_ns);

/* points of the curve from 1 ms on, each at twice the time of the one before */
void load_points(const struct load *load, struct kvmx_point *pt, u32 nr);

/**
 * struct guest - a load at work
 * @load: what it does
 * @rnd: its random numbers
 * @now_ms: how long it has run
 * @dirty: called for every write
 * @arg: for @dirty
 */
struct guest {
	const struct load *load;
	struct rnd rnd;
	u64 now_ms;
	void (*dirty)(void *arg, u32 page);
	void *arg;
};

/* let it run for a millisecond */
void guest_step(struct guest *g);

#endif /* UNIT_GUEST_H */
