// SPDX-License-Identifier: GPL-2.0
/*
 * What memory the memslots of a VM stand for. No effects.
 */
#include <stdlib.h>

#include "slots.h"

static int by_hva(const void *a, const void *b)
{
	const struct mem_range *x = a, *y = b;

	return (x->hva > y->hva) - (x->hva < y->hva);
}

static uint64_t range_end(const struct mem_range *range)
{
	return range->hva + range->npages * GUEST_PAGE;
}

size_t slots_memory(const struct kvmx_slot *slots, size_t nr, uint32_t without,
		    struct mem_range *ranges)
{
	size_t i, sorted = 0, kept = 0;
	uint64_t end;

	for (i = 0; i < nr; i++)
		if (!(slots[i].flags & without))
			ranges[sorted++] = (struct mem_range){ slots[i].hva, slots[i].npages };
	qsort(ranges, sorted, sizeof(*ranges), by_hva);

	for (i = 0; i < sorted; i++) {
		if (!kept || ranges[i].hva > range_end(&ranges[kept - 1])) {
			ranges[kept++] = ranges[i];
			continue;
		}
		end = range_end(&ranges[i]);
		if (end > range_end(&ranges[kept - 1]))
			ranges[kept - 1].npages = (end - ranges[kept - 1].hva) / GUEST_PAGE;
	}
	return kept;
}

uint64_t ranges_pages(const struct mem_range *ranges, size_t nr)
{
	uint64_t pages = 0;
	size_t i;

	for (i = 0; i < nr; i++)
		pages += ranges[i].npages;
	return pages;
}

uint64_t ranges_hva(const struct mem_range *ranges, uint64_t page)
{
	while (page >= ranges->npages) {
		page -= ranges->npages;
		ranges++;
	}
	return ranges->hva + page * GUEST_PAGE;
}
