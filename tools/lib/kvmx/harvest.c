// SPDX-License-Identifier: LGPL-2.1
/* From kvmx's runs to our pages. */
#include <errno.h>
#include <inttypes.h>

#include "sender.h"

static int take_absent(struct sender *s, uint64_t idx, uint64_t npages)
{
	uint64_t i;

	for (i = 0; i < npages; i++)
		pages_done(&s->pages, idx + i);
	s->report->absent_pages += npages;
	return tx_zero(s, idx, npages);
}

static int take_run(struct sender *s, const struct kvmx_run *run)
{
	uint64_t gfn = run->gfn, end = run->gfn + run->npages;

	/* A memslot may span several regions. */
	while (gfn < end) {
		const struct kvmx_region *r = layout_find(&s->layout, run->slot >> 16, gfn);
		uint64_t n, idx, i;
		int ret;

		if (!r) {
			if (!(s->policy->flags & KVMX_POLICY_PARTIAL))
				return fail(s->report, -ESTALE,
					    "memory at gfn 0x%" PRIx64 " is in no region", gfn);
			s->report->ignored_pages++;
			gfn++;
			continue;
		}
		n = min_u64(end, r->gfn + r->npages) - gfn;
		idx = layout_index(&s->layout, r, gfn);
		gfn += n;
		if (!s->tracked) {
			if (run->page_class != KVMX_CLASS_ABSENT)
				continue;	/* wanted from the beginning */
			ret = take_absent(s, idx, n);
			if (ret)
				return ret;
			continue;
		}
		if (s->content && run->page_class == KVMX_CLASS_DMA) {
			candidates_take(s, idx, n);
			continue;
		}
		for (i = 0; i < n; i++) {
			pages_dirty(&s->pages, idx + i);
			measure_probe(s, idx + i);
		}
	}
	return 0;
}

int harvest_all(struct sender *s)
{
	struct kvmx_harvest h = {
		.flags = s->tracked ? 0 : KVMX_HARVEST_ABSENT,
		.runs = (uintptr_t)s->runs,
	};
	uint64_t begin = now_ns(), took;
	uint32_t i;
	int ret;

	if (s->tracked)
		pages_advance(&s->pages, begin);
	else
		s->pages.heat.start = begin;
	candidates_begin(s);
	do {
		h.nr_runs = SENDER_RUNS;
		ret = s->dirty->ops->harvest(s->dirty->ctx, &h);
		if (ret)
			return fail(s->report, ret, "harvesting dirty pages failed: %s",
				    strerror(-ret));
		for (i = 0; i < h.nr_runs; i++) {
			ret = take_run(s, &s->runs[i]);
			if (ret)
				return ret;
		}
	} while (h.status & KVMX_HARVEST_MORE);
	candidates_end(s);
	/* What was written after the harvest began may have been missed by it. */
	s->last_harvest = begin;
	/* Looking at candidates takes another time in the pause, and is counted apart. */
	took = now_ns() - begin - s->dma_ns;
	if (s->tracked)
		s->harvest_ns = s->harvest_ns ? (s->harvest_ns * 3 + took) / 4 : took;
	s->tracked = true;
	s->report->slices++;
	return 0;
}
