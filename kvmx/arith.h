/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Saturating arithmetic on unsigned 64-bit numbers with 128-bit intermediate results. x86's own
 * mul_u64_u64_div_u64() traps when the quotient does not fit, so it is only called when it does.
 */
#ifndef KVMX_ARITH_H
#define KVMX_ARITH_H

#include <linux/limits.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/types.h>

static inline u64 kvmx_add(u64 a, u64 b)
{
	return a + b < a ? U64_MAX : a + b;
}

static inline u64 kvmx_sub(u64 a, u64 b)
{
	return a < b ? 0 : a - b;
}

/* a * b / d rounded down; a division by zero gives U64_MAX */
static inline u64 kvmx_muldiv(u64 a, u64 b, u64 d)
{
	if (mul_u64_u64_shr(a, b, 64) >= d)
		return U64_MAX;
	return mul_u64_u64_div_u64(a, b, d);
}

/* a * b / d rounded up; a division by zero gives U64_MAX */
static inline u64 kvmx_muldiv_up(u64 a, u64 b, u64 d)
{
	u64 q = kvmx_muldiv(a, b, d);

	/* the low halves tell: the remainder is below d, so it fits 64 bits */
	return q != U64_MAX && a * b - q * d ? q + 1 : q;
}

/* a * b > c * d */
static inline bool kvmx_mul_gt(u64 a, u64 b, u64 c, u64 d)
{
	u64 left = mul_u64_u64_shr(a, b, 64);
	u64 right = mul_u64_u64_shr(c, d, 64);

	return left != right ? left > right : a * b > c * d;
}

#endif /* KVMX_ARITH_H */
