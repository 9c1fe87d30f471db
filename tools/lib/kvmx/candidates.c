// SPDX-License-Identifier: LGPL-2.1
/*
 * Pages that devices can write to come with every harvest, written or not. What tells is their
 * content: in the pause, when the devices stand still, all of them are compared with what was last
 * sent. So that little is left to be sent by then, some are looked at in each slice before.
 */
#include "sender.h"

#define LOOK_SHARE	8	/* of a slice */
#define LEAST_LOOKS	64

static uint64_t quota(const struct sender *s)
{
	double looks = s->page_cpu > 0 ? s->policy->slice_ns / LOOK_SHARE / s->page_cpu : 0;

	return s->paused ? UINT64_MAX : max_u64(looks, LEAST_LOOKS);
}

void candidates_begin(struct sender *s)
{
	s->dma_pages = 0;
	s->dma_ns = 0;
	s->dma_looks = quota(s);
	s->dma_last = s->dma_next;
}

static bool differs(struct sender *s, uint64_t idx)
{
	uint64_t mask = tx_page_copy(s, idx, s->page);

	/* Nothing is known to be sent of what was absent: it was told to be zero. */
	if (!pages_sent(&s->pages, idx))
		return mask;
	return !pages_same(&s->pages, idx, pages_hash(s->page));
}

static void look(struct sender *s, uint64_t idx)
{
	s->dma_looks--;
	s->dma_last = idx + 1;
	/* On its way already. */
	if (bit_test(s->pages.pending, idx))
		return;
	if (!differs(s, idx))
		return;
	s->dma_found++;
	if (s->paused)
		pages_want(&s->pages, idx);
	else
		pages_dirty(&s->pages, idx);
}

void candidates_take(struct sender *s, uint64_t idx, uint64_t npages)
{
	uint64_t end = idx + npages, begin = now_ns();

	s->dma_pages += npages;
	/* Go on where the last slice left off; in the pause it has to be all. */
	if (!s->paused)
		idx = max_u64(idx, s->dma_next);
	for (; idx < end && s->dma_looks; idx++)
		look(s, idx);
	s->dma_ns += now_ns() - begin;
}

void candidates_end(struct sender *s)
{
	s->dma_next = s->dma_last;
	/* There was time for more: that was the last one, and a new round begins. */
	if (s->dma_looks) {
		s->dma_next = 0;
		s->dma_fresh = s->dma_found;
		s->dma_found = 0;
	}
	if (s->paused)
		s->report->dma_pages = s->dma_pages;
}

double candidates_pages(const struct sender *s)
{
	/* The last look at a page was half a round ago, on average. */
	return s->dma_fresh / 2.;
}

uint64_t candidates_ns(const struct sender *s)
{
	return s->dma_pages * s->page_cpu;
}
