/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_LINUX_BITMAP_H
#define UNIT_LINUX_BITMAP_H

#include <linux/bitops.h>

static inline void bitmap_set(unsigned long *map, unsigned int start, unsigned int n)
{
	while (n--)
		__set_bit(start++, map);
}

static inline void bitmap_clear(unsigned long *map, unsigned int start, unsigned int n)
{
	while (n--)
		__clear_bit(start++, map);
}

static inline bool bitmap_empty(const unsigned long *map, unsigned int n)
{
	return find_next_bit(map, n, 0) == n;
}

static inline bool bitmap_full(const unsigned long *map, unsigned int n)
{
	return find_next_zero_bit(map, n, 0) == n;
}

static inline unsigned int bitmap_weight(const unsigned long *map, unsigned int n)
{
	unsigned int i, sum = 0;

	for (i = 0; i < n; i++)
		sum += test_bit(i, map);
	return sum;
}

#endif /* UNIT_LINUX_BITMAP_H */
