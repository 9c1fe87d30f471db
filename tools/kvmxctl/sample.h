/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_SAMPLE_H
#define KVMXCTL_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The dirty curve of a guest from the contents of randomly chosen pages: who looks at the pages
 * and when is content.c's business, what it means is decided here.
 */

enum look_kind {
	LOOK_CONTENT,
	LOOK_ABSENT,		/* no page there: not read, that would make one */
	LOOK_SWAPPED,		/* not read, that would bring it in */
	LOOK_UNREADABLE,	/* no memory, or none that can be read */
};

/* What was found at one page at one time. */
struct look {
	uint64_t time_ns;
	uint64_t hash[2];	/* of LOOK_CONTENT */
	enum look_kind kind;
	bool file;		/* a page of a file or of shared memory, not an anonymous one */
};

/* A chosen page and what is known of it. */
struct sample {
	uint64_t hva;
	bool mapped;		/* else there is no memory */
	bool shared;		/* in a shared mapping */
	bool usable;
	bool swapped;		/* at the first look */
	bool absent;		/* until now: hash is that of zeroes */
	bool changed;
	bool first_touched;	/* changed in that it was absent before */
	uint64_t first_ns;
	uint64_t hash[2];
};

/* All looks of one interval. */
struct sample_tally {
	uint32_t looked;	/* pages for which it is known whether they changed */
	uint32_t changed;	/* of these */
	uint32_t first_touched;	/* of these */
	uint32_t unknown;	/* came, went or could not be read meanwhile */
	uint64_t elapsed_ns;	/* summed up over @looked */
};

struct sample_point {
	uint64_t time_ns;
	uint64_t pages;
	uint64_t error_pages;	/* standard error of @pages */
};

/*
 * Sample @i of @nr out of @total pages: each gets a stretch of its own and one page of it, by
 * the random number @rnd. Every page is as likely as any other, and a hot region cannot be
 * missed or hit twice by chance as it could with independent samples.
 */
uint64_t sample_pick(uint64_t total, uint32_t nr, uint32_t i, uint64_t rnd);

/*
 * Intervals, shortest first, each twice the one before and the last @longest_ns, none shorter
 * than @shortest_ns; at least one, at most @max. Returns how many.
 */
unsigned int sample_intervals(uint64_t longest_ns, uint64_t shortest_ns, uint64_t *intervals_ns,
			      unsigned int max);

/* The first look at a page; @zero: the hash of a page of zeroes, which is what absence reads as. */
void sample_first(struct sample *sample, const struct look *look, const uint64_t zero[2]);

/* A later look, added to its interval's tally. */
void sample_again(struct sample *sample, const struct look *look, struct sample_tally *tally);

/*
 * The point that a tally stands for, of @samples pages taken out of @total. @before: the point
 * of the interval before, or NULL; pages never fall. False: nothing is known.
 */
bool sample_estimate(const struct sample_tally *tally, uint32_t samples, uint64_t total,
		     const struct sample_point *before, struct sample_point *point);

#endif
