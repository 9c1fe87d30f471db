// SPDX-License-Identifier: GPL-2.0
/*
 * From looks at pages to a dirty curve. No effects.
 */
#include <math.h>
#include <string.h>

#include "sample.h"

uint64_t sample_pick(uint64_t total, uint32_t nr, uint32_t i, uint64_t rnd)
{
	/* 128 bits: total * nr may exceed 64, and so may the product with rnd. */
	uint64_t begin = (__uint128_t)total * i / nr;
	uint64_t end = (__uint128_t)total * (i + 1ULL) / nr;

	return begin + (((__uint128_t)(end - begin) * rnd) >> 64);
}

unsigned int sample_intervals(uint64_t longest_ns, uint64_t shortest_ns, uint64_t *intervals_ns,
			      unsigned int max)
{
	unsigned int i, nr = 1;

	while (nr < max && (longest_ns >> nr) >= shortest_ns && longest_ns >> nr)
		nr++;
	for (i = 0; i < nr; i++)
		intervals_ns[i] = longest_ns >> (nr - 1 - i);
	return nr;
}

static bool same_hash(const uint64_t a[2], const uint64_t b[2])
{
	return a[0] == b[0] && a[1] == b[1];
}

void sample_first(struct sample *sample, const struct look *look, const uint64_t zero[2])
{
	sample->usable = look->kind != LOOK_UNREADABLE;
	sample->swapped = look->kind == LOOK_SWAPPED;
	sample->absent = look->kind == LOOK_ABSENT;
	sample->changed = false;
	sample->first_touched = false;
	sample->first_ns = look->time_ns;
	memcpy(sample->hash, sample->absent ? zero : look->hash, sizeof(sample->hash));
}

enum verdict {
	SAME,
	CHANGED,
	UNKNOWN,
};

static enum verdict judge_content(struct sample *sample, const struct look *look)
{
	if (sample->swapped)
		return UNKNOWN;
	if (same_hash(sample->hash, look->hash))
		return SAME;
	if (sample->absent && look->file && !sample->shared) {
		/* A private mapping of a file (a restored snapshot): read in, not written to. */
		memcpy(sample->hash, look->hash, sizeof(sample->hash));
		sample->absent = false;
		return SAME;
	}
	sample->first_touched = sample->absent;
	return CHANGED;
}

static enum verdict judge(struct sample *sample, const struct look *look)
{
	/* What changed once is dirty, even if it has changed back. */
	if (sample->changed)
		return CHANGED;
	switch (look->kind) {
	case LOOK_CONTENT:
		return judge_content(sample, look);
	case LOOK_ABSENT:
		return sample->absent ? SAME : UNKNOWN;
	case LOOK_SWAPPED:
		return sample->swapped ? SAME : UNKNOWN;
	case LOOK_UNREADABLE:
	default:
		return UNKNOWN;
	}
}

void sample_again(struct sample *sample, const struct look *look, struct sample_tally *tally)
{
	enum verdict verdict;

	if (!sample->usable)
		return;
	verdict = judge(sample, look);
	if (verdict == UNKNOWN) {
		tally->unknown++;
		return;
	}
	tally->looked++;
	tally->elapsed_ns += look->time_ns - sample->first_ns;
	if (verdict == CHANGED) {
		sample->changed = true;
		tally->changed++;
		tally->first_touched += sample->first_touched;
	}
}

bool sample_estimate(const struct sample_tally *tally, uint32_t samples, uint64_t total,
		     const struct sample_point *before, struct sample_point *point)
{
	double usable, share, smoothed, unseen;

	if (!tally->looked)
		return false;
	/* Pages that could not be judged are taken to be like the others. */
	usable = (double)total * (tally->looked + tally->unknown) / samples;
	share = (double)tally->changed / tally->looked;
	/* Agresti and Coull: an error of 0 for "none changed" or "all changed" would be a lie. */
	smoothed = (tally->changed + 2.0) / (tally->looked + 4.0);
	/* Who looks at every page does not err. */
	unseen = 1 - (double)tally->looked / total;

	point->time_ns = tally->elapsed_ns / tally->looked;
	point->pages = usable * share + 0.5;
	point->error_pages = 0.5 +
		usable * sqrt(unseen * smoothed * (1 - smoothed) / (tally->looked + 4.0));
	if (before && point->pages < before->pages)
		point->pages = before->pages;
	return true;
}
