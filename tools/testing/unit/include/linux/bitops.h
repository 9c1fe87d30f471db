/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_LINUX_BITOPS_H
#define UNIT_LINUX_BITOPS_H

#include <linux/types.h>

#define BITS_PER_LONG		64
#define BITS_TO_LONGS(n)	(((n) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define GENMASK_ULL(h, l)	((~0ULL << (l)) & (~0ULL >> (63 - (h))))

static inline unsigned long __ffs(unsigned long word)
{
	return __builtin_ctzl(word);
}

static inline unsigned long __ffs64(u64 word)
{
	return __builtin_ctzll(word);
}

static inline void __set_bit(unsigned long nr, unsigned long *map)
{
	map[nr / BITS_PER_LONG] |= BIT(nr % BITS_PER_LONG);
}

static inline void __clear_bit(unsigned long nr, unsigned long *map)
{
	map[nr / BITS_PER_LONG] &= ~BIT(nr % BITS_PER_LONG);
}

static inline bool test_bit(unsigned long nr, const unsigned long *map)
{
	return map[nr / BITS_PER_LONG] & BIT(nr % BITS_PER_LONG);
}

static inline unsigned long unit_find(const unsigned long *map, unsigned long size,
				      unsigned long from, bool value)
{
	while (from < size && test_bit(from, map) != value)
		from++;
	return from < size ? from : size;
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long size,
					  unsigned long from)
{
	return unit_find(map, size, from, true);
}

static inline unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size,
					       unsigned long from)
{
	return unit_find(map, size, from, false);
}

struct unit_each {
	const unsigned long *map;
	unsigned long size;
	unsigned long from;
};

static inline bool unit_each(struct unit_each *e, unsigned long *bit)
{
	*bit = find_next_bit(e->map, e->size, e->from);
	e->from = *bit + 1;
	return *bit < e->size;
}

#define for_each_set_bit(bit, map, size)				\
	for (struct unit_each _each = { (map), (size), 0 }; unit_each(&_each, &(bit));)

#endif /* UNIT_LINUX_BITOPS_H */
