/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_LINUX_MATH64_H
#define UNIT_LINUX_MATH64_H

#include <linux/types.h>
#include <stdlib.h>

static inline u64 mul_u64_u64_shr(u64 a, u64 b, unsigned int shift)
{
	return (u64)(((__uint128_t)a * b) >> shift);
}

/* As x86 does: a quotient that does not fit is a trap. */
static inline u64 mul_u64_u64_div_u64(u64 a, u64 b, u64 d)
{
	if (!d || (__uint128_t)a * b / d > ~0ULL)
		abort();
	return (__uint128_t)a * b / d;
}

#endif /* UNIT_LINUX_MATH64_H */
