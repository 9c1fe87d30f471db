/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The dirty curve D(t): how many different pages a guest dirties in a time t. No kernel state is
 * touched here: plain integer functions.
 */
#ifndef KVMX_CURVE_H
#define KVMX_CURVE_H

#include <linux/kvmx.h>
#include <linux/types.h>

/* points added before the first measured one, and after the last one */
#define KVMX_CURVE_HEAD		8
#define KVMX_CURVE_TAIL		12
#define KVMX_CURVE_BASE		(KVMX_CURVE_HEAD + KVMX_MAX_POINTS + KVMX_CURVE_TAIL)

/**
 * struct kvmx_curve - a dirty curve, concave and never falling, through the origin
 * @nr: measured points that are corners of the curve
 * @nr_fine: points in @fine
 * @total_pages: pages of the VM; the curve never exceeds it
 * @pt: the measured points, shortest time first
 * @fine: these, those between and those beyond; the curve is straight from one to the next
 *
 * About 2 KiB: not for the stack. Only kvmx_curve_build() writes it.
 */
struct kvmx_curve {
	u32 nr;
	u32 nr_fine;
	u64 total_pages;
	struct kvmx_point pt[KVMX_MAX_POINTS];
	struct kvmx_point fine[2 * KVMX_CURVE_BASE];
};

int kvmx_curve_build(struct kvmx_curve *c, const struct kvmx_point *in, u32 nr, u64 total_pages);
u64 kvmx_curve_pages(const struct kvmx_curve *c, u64 t_ns);
u64 kvmx_curve_time(const struct kvmx_curve *c, u64 pages);
u32 kvmx_curve_err_permille(u32 dirty, u32 samples);

/**
 * struct kvmx_history_bucket - what passes with about the same interval have shown
 * @time_ns: their average interval, 0 if there was none
 * @pages: their average number of pages
 * @count: kvmx_history.count when the last of them was added
 * @clock_ns: kvmx_history.clock_ns then
 */
struct kvmx_history_bucket {
	u64 time_ns;
	u64 pages;
	u64 count;
	u64 clock_ns;
};

/**
 * struct kvmx_history - what a tracker's passes have shown; all zero is an empty one
 * @count: observations so far
 * @clock_ns: their intervals added up
 * @bucket: by the binary logarithm of the interval
 */
struct kvmx_history {
	u64 count;
	u64 clock_ns;
	struct kvmx_history_bucket bucket[KVMX_MAX_POINTS];
};

void kvmx_history_add(struct kvmx_history *h, u64 interval_ns, u64 pages);
int kvmx_history_curve(const struct kvmx_history *h, u64 total_pages, struct kvmx_curve *c);

#endif /* KVMX_CURVE_H */
