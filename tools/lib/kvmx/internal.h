/* SPDX-License-Identifier: LGPL-2.1 */
/* What all files of the library share. */
#ifndef _LIBKVMX_INTERNAL_H
#define _LIBKVMX_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <kvmx/migrate.h>

#define PAGE_BYTES	KVMX_MIGRATE_PAGE_SIZE
#define NSEC_PER_SEC	1000000000ULL
#define NSEC_PER_MSEC	1000000ULL

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static inline bool bit_test(const uint64_t *map, uint64_t bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

static inline void bit_set(uint64_t *map, uint64_t bit)
{
	map[bit / 64] |= 1ULL << (bit % 64);
}

static inline void bit_clear(uint64_t *map, uint64_t bit)
{
	map[bit / 64] &= ~(1ULL << (bit % 64));
}

/* Note why a migration fails; the first reason is the one that counts. Returns @err. */
int fail(struct kvmx_migrate_report *report, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* _LIBKVMX_INTERNAL_H */
