/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kinds of memory a VMM gives its guests.
 */
#ifndef SELFTEST_KVMX_MEM_H
#define SELFTEST_KVMX_MEM_H

#include <stddef.h>

#define HUGE_SIZE (2UL * 1024 * 1024)

enum mem_kind {
	MEM_ANON,	/* 4 KiB pages for sure */
	MEM_THP,	/* huge where the kernel can, aligned so that it can */
	MEM_HUGETLB,
	MEM_MEMFD,
	MEM_RESERVE,	/* address space for very large sparse guests */
};

/* NULL with errno set on failure. Aligned to HUGE_SIZE but for MEM_ANON. */
void *mem_map(enum mem_kind kind, size_t bytes);
/* Make sure that the host has this many huge pages free; restores nothing. */
int mem_reserve_huge(size_t bytes);

#endif
