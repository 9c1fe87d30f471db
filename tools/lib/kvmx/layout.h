/* SPDX-License-Identifier: LGPL-2.1 */
/* Guest memory as one line of pages, numbered through all regions. */
#ifndef _LIBKVMX_LAYOUT_H
#define _LIBKVMX_LAYOUT_H

#include "internal.h"

#define LAYOUT_MAX_REGIONS	32768

struct layout {
	struct kvmx_region *region;	/* sorted by address space and gfn */
	uint64_t *base;			/* number of each region's first page */
	uint32_t nr;
	uint64_t total;
};

int layout_init(struct layout *l, const struct kvmx_region *regions, uint32_t nr,
		struct kvmx_migrate_report *report);
void layout_free(struct layout *l);

/* The region that holds @gfn, or NULL. */
const struct kvmx_region *layout_find(const struct layout *l, uint32_t as, uint64_t gfn);

/* The region that holds page number @idx, which must be below total. */
const struct kvmx_region *layout_region(const struct layout *l, uint64_t idx);

static inline uint64_t layout_base(const struct layout *l, const struct kvmx_region *r)
{
	return l->base[r - l->region];
}

static inline uint64_t layout_index(const struct layout *l, const struct kvmx_region *r,
				    uint64_t gfn)
{
	return layout_base(l, r) + gfn - r->gfn;
}

static inline uint64_t layout_gfn(const struct layout *l, const struct kvmx_region *r, uint64_t idx)
{
	return r->gfn + idx - layout_base(l, r);
}

static inline void *layout_page(const struct layout *l, const struct kvmx_region *r, uint64_t idx)
{
	return (char *)r->hva + (idx - layout_base(l, r)) * PAGE_BYTES;
}

#endif /* _LIBKVMX_LAYOUT_H */
