/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_LINUX_MINMAX_H
#define UNIT_LINUX_MINMAX_H

/* comparing the pointers makes the compiler reject operands of different types */
#define min(a, b) ({					\
	__auto_type _min_a = (a);			\
	__auto_type _min_b = (b);			\
	(void)(&_min_a == &_min_b);			\
	_min_a < _min_b ? _min_a : _min_b;		\
})

#define max(a, b) ({					\
	__auto_type _max_a = (a);			\
	__auto_type _max_b = (b);			\
	(void)(&_max_a == &_max_b);			\
	_max_a > _max_b ? _max_a : _max_b;		\
})

#define min_t(type, a, b)	min((type)(a), (type)(b))
#define max_t(type, a, b)	max((type)(a), (type)(b))
#define clamp(v, lo, hi)	min(max(v, lo), hi)
#define clamp_t(type, v, lo, hi) clamp((type)(v), (type)(lo), (type)(hi))

#endif /* UNIT_LINUX_MINMAX_H */
