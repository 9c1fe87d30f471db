/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Sets of addresses as sorted, disjoint ranges. Plain functions.
 */
#ifndef KVMX_KSM_RANGES_H
#define KVMX_KSM_RANGES_H

#include <linux/types.h>

/**
 * struct kvmx_ksm_range - consecutive addresses
 * @start: the first
 * @end: behind the last
 */
struct kvmx_ksm_range {
	unsigned long start;
	unsigned long end;
};

/**
 * struct kvmx_ksm_ranges - a set; all zero is an empty one
 * @r: sorted; neither overlapping nor adjacent
 * @nr: entries of @r
 * @room: for how many there is memory
 */
struct kvmx_ksm_ranges {
	struct kvmx_ksm_range *r;
	u32 nr;
	u32 room;
};

int kvmx_ksm_ranges_add(struct kvmx_ksm_ranges *s, unsigned long start, unsigned long end);
int kvmx_ksm_ranges_del(struct kvmx_ksm_ranges *s, unsigned long start, unsigned long end);
u32 kvmx_ksm_ranges_find(const struct kvmx_ksm_ranges *s, unsigned long addr);
bool kvmx_ksm_ranges_hit(const struct kvmx_ksm_ranges *s, unsigned long start, unsigned long end);
u64 kvmx_ksm_ranges_bytes(const struct kvmx_ksm_ranges *s);
void kvmx_ksm_ranges_free(struct kvmx_ksm_ranges *s);

#endif /* KVMX_KSM_RANGES_H */
