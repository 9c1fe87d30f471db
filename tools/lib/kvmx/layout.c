// SPDX-License-Identifier: LGPL-2.1
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "layout.h"

#define MAX_GFN		(1ULL << 52)	/* x86's physical addresses have at most 52 bits */

static int by_gfn(const void *a, const void *b)
{
	const struct kvmx_region *x = a, *y = b;

	if (x->as != y->as)
		return x->as < y->as ? -1 : 1;
	return x->gfn < y->gfn ? -1 : x->gfn > y->gfn;
}

static int check_region(const struct layout *l, uint32_t i, struct kvmx_migrate_report *report)
{
	const struct kvmx_region *r = &l->region[i], *before = i ? r - 1 : NULL;

	if (!r->npages || r->npages > MAX_GFN || r->gfn > MAX_GFN || !r->hva || r->__reserved)
		return fail(report, -EINVAL, "memory region at gfn 0x%" PRIx64 " is not valid",
			    r->gfn);
	if (before && before->as == r->as && before->gfn + before->npages > r->gfn)
		return fail(report, -EINVAL, "memory regions overlap at gfn 0x%" PRIx64, r->gfn);
	return 0;
}

int layout_init(struct layout *l, const struct kvmx_region *regions, uint32_t nr,
		struct kvmx_migrate_report *report)
{
	uint32_t i;
	int ret;

	memset(l, 0, sizeof(*l));
	if (!nr || nr > LAYOUT_MAX_REGIONS)
		return fail(report, -EINVAL, "there must be 1 to %d memory regions",
			    LAYOUT_MAX_REGIONS);
	l->region = calloc(nr, sizeof(*l->region));
	l->base = calloc(nr, sizeof(*l->base));
	if (!l->region || !l->base) {
		ret = fail(report, -ENOMEM, "no memory for the layout");
		goto out_free;
	}
	memcpy(l->region, regions, nr * sizeof(*regions));
	qsort(l->region, nr, sizeof(*l->region), by_gfn);
	for (i = 0; i < nr; i++) {
		ret = check_region(l, i, report);
		if (ret)
			goto out_free;
		l->base[i] = l->total;
		l->total += l->region[i].npages;
	}
	l->nr = nr;
	return 0;

out_free:
	layout_free(l);
	return ret;
}

void layout_free(struct layout *l)
{
	free(l->region);
	free(l->base);
	memset(l, 0, sizeof(*l));
}

const struct kvmx_region *layout_find(const struct layout *l, uint32_t as, uint64_t gfn)
{
	uint32_t low = 0, high = l->nr;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct kvmx_region *r = &l->region[mid];

		if (as < r->as || (as == r->as && gfn < r->gfn))
			high = mid;
		else if (as > r->as || gfn - r->gfn >= r->npages)
			low = mid + 1;
		else
			return r;
	}
	return NULL;
}

const struct kvmx_region *layout_region(const struct layout *l, uint64_t idx)
{
	uint32_t low = 0, high = l->nr - 1;

	while (low < high) {
		uint32_t mid = low + (high - low + 1) / 2;

		if (idx < l->base[mid])
			high = mid - 1;
		else
			low = mid;
	}
	return &l->region[low];
}
