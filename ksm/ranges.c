// SPDX-License-Identifier: GPL-2.0
/*
 * Sets of addresses as sorted, disjoint ranges.
 */
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "ranges.h"

#define MIN_ROOM 8U

/* Makes room for one more. */
static int grow(struct kvmx_ksm_ranges *s)
{
	struct kvmx_ksm_range *r;
	u32 room;

	if (s->nr < s->room)
		return 0;
	room = max(MIN_ROOM, s->room * 2);
	if (room <= s->room)
		return -ENOMEM;
	r = kvcalloc(room, sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return -ENOMEM;
	if (s->nr)
		memcpy(r, s->r, s->nr * sizeof(*r));
	kvfree(s->r);
	s->r = r;
	s->room = room;
	return 0;
}

static void insert(struct kvmx_ksm_ranges *s, u32 i, unsigned long start, unsigned long end)
{
	memmove(&s->r[i + 1], &s->r[i], (s->nr - i) * sizeof(*s->r));
	s->r[i].start = start;
	s->r[i].end = end;
	s->nr++;
}

static void drop(struct kvmx_ksm_ranges *s, u32 i, u32 nr)
{
	memmove(&s->r[i], &s->r[i + nr], (s->nr - i - nr) * sizeof(*s->r));
	s->nr -= nr;
}

/**
 * kvmx_ksm_ranges_find() - find an address
 * @s: the set
 * @addr: the address
 *
 * Return: index of the first range that ends behind @addr, @s->nr if there is none.
 */
u32 kvmx_ksm_ranges_find(const struct kvmx_ksm_ranges *s, unsigned long addr)
{
	u32 low = 0, high = s->nr;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (s->r[mid].end > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/**
 * kvmx_ksm_ranges_add() - add addresses
 * @s: the set
 * @start: the first
 * @end: behind the last
 *
 * Return: 0, or -ENOMEM and the set is unchanged.
 */
int kvmx_ksm_ranges_add(struct kvmx_ksm_ranges *s, unsigned long start, unsigned long end)
{
	u32 i, last;

	if (start >= end)
		return 0;
	/* Ranges that end just where the new one starts become part of it. */
	i = start ? kvmx_ksm_ranges_find(s, start - 1) : 0;
	for (last = i; last < s->nr && s->r[last].start <= end; last++)
		;
	if (last > i) {
		s->r[i].start = min(s->r[i].start, start);
		s->r[i].end = max(s->r[last - 1].end, end);
		drop(s, i + 1, last - i - 1);
		return 0;
	}
	if (grow(s))
		return -ENOMEM;
	insert(s, i, start, end);
	return 0;
}

/**
 * kvmx_ksm_ranges_del() - remove addresses
 * @s: the set
 * @start: the first
 * @end: behind the last
 *
 * Return: 0, or -ENOMEM and the set is unchanged.
 */
int kvmx_ksm_ranges_del(struct kvmx_ksm_ranges *s, unsigned long start, unsigned long end)
{
	u32 i = kvmx_ksm_ranges_find(s, start), last;

	if (start >= end || i == s->nr)
		return 0;
	if (s->r[i].start < start && s->r[i].end > end) {
		if (grow(s))
			return -ENOMEM;
		insert(s, i, s->r[i].start, start);
		s->r[i + 1].start = end;
		return 0;
	}
	if (s->r[i].start < start)
		s->r[i++].end = start;
	for (last = i; last < s->nr && s->r[last].end <= end; last++)
		;
	drop(s, i, last - i);
	if (i < s->nr && s->r[i].start < end)
		s->r[i].start = end;
	return 0;
}

/**
 * kvmx_ksm_ranges_hit() - whether any of some addresses is in a set
 * @s: the set
 * @start: the first
 * @end: behind the last
 *
 * Return: whether one is.
 */
bool kvmx_ksm_ranges_hit(const struct kvmx_ksm_ranges *s, unsigned long start, unsigned long end)
{
	u32 i = kvmx_ksm_ranges_find(s, start);

	return i < s->nr && s->r[i].start < end;
}

/**
 * kvmx_ksm_ranges_bytes() - how many addresses are in a set
 * @s: the set
 *
 * Return: the number.
 */
u64 kvmx_ksm_ranges_bytes(const struct kvmx_ksm_ranges *s)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < s->nr; i++)
		sum += s->r[i].end - s->r[i].start;
	return sum;
}

/**
 * kvmx_ksm_ranges_free() - make a set empty
 * @s: the set
 */
void kvmx_ksm_ranges_free(struct kvmx_ksm_ranges *s)
{
	kvfree(s->r);
	memset(s, 0, sizeof(*s));
}
