/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_LINUX_SLAB_H
#define UNIT_LINUX_SLAB_H

#include <linux/types.h>
#include <stdlib.h>

#define GFP_KERNEL		0U
#define GFP_KERNEL_ACCOUNT	0U

#define struct_size(p, member, n)	offsetof(__typeof__(*(p)), member[n])

/* set by the test: allocations fail when it returns true */
extern bool (*unit_alloc_fails)(void);

static inline void *kvzalloc(size_t size, unsigned int flags)
{
	(void)flags;
	if (unit_alloc_fails && unit_alloc_fails())
		return NULL;
	return calloc(1, size);
}

static inline void kvfree(const void *p)
{
	free((void *)p);
}

#define kzalloc(size, flags)	kvzalloc(size, flags)
#define kvcalloc(n, size, flags)	kvzalloc((n) * (size), flags)
#define kcalloc(n, size, flags)	kvzalloc((n) * (size), flags)
#define kfree(p)		kvfree(p)

#endif /* UNIT_LINUX_SLAB_H */
