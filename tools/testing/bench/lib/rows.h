/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Figures: one row per claim, printed as they come and kept as JSON for the table.
 */
#ifndef BENCH_ROWS_H
#define BENCH_ROWS_H

#include <stdbool.h>

enum bound {
	BOUND_NONE,		/* shown for information */
	BOUND_AT_LEAST,
	BOUND_AT_MOST,
};

/**
 * struct row - a claim and what became of it
 * @what: what was measured
 * @rival_name: what it is compared with, or NULL
 * @unit: of @ours and @rival
 * @ours: what kvmx needed
 * @rival: what the rival needed
 * @figure: what the claim is about: a ratio, mostly
 * @figure_unit: "x" for a ratio
 * @bound: which side of @need the figure must be on
 * @need: the target
 * @known: missing it is a known fault, which the documentation explains: shown, but no news
 */
struct row {
	const char *what;
	const char *rival_name;
	const char *unit;
	double ours;
	double rival;
	double figure;
	const char *figure_unit;
	enum bound bound;
	double need;
	bool known;
};

/* Rows go to the file @path from now on. Both end the program if that fails. */
void rows_open(const char *path);
void rows_close(void);

void row_add(const struct row *row);
/* Times: how often faster than the rival, at least @need times if that is not 0. */
void row_faster(const char *what, const char *rival_name, double ours_ns, double rival_ns,
		double need, bool known);
/* A figure of ours alone that must be at most @most. */
void row_limit(const char *what, const char *unit, double ours, double most);

#endif
