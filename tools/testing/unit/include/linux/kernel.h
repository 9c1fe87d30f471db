/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_LINUX_KERNEL_H
#define UNIT_LINUX_KERNEL_H

#include <linux/bitops.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/types.h>

#define DIV_ROUND_UP(n, d) ({			\
	__auto_type _d = (d);			\
						\
	((n) + _d - 1) / _d;			\
})

#define DIV_ROUND_UP_ULL(n, d)	DIV_ROUND_UP((unsigned long long)(n), (d))

static inline unsigned long int_sqrt(unsigned long x)
{
	unsigned long bit, root = 0;

	for (bit = 1UL << 31; bit; bit >>= 1) {
		if ((root | bit) * (root | bit) <= x)
			root |= bit;
	}
	return root;
}

#endif /* UNIT_LINUX_KERNEL_H */
