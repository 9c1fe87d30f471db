/* SPDX-License-Identifier: GPL-2.0 */
/* The program that is PID 1 of a test guest: a load, and checks that nothing gets lost. */
#ifndef GUEST_H
#define GUEST_H

#include <linux/types.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "pages.h"

#define NSEC_PER_SEC	1000000000ULL
#define NSEC_PER_MSEC	1000000ULL
#define PAGES_PER_MIB	(1048576 / PAGE_BYTES)

#define ARRAY_SIZE(x)	(sizeof(x) / sizeof((x)[0]))
#define __printf(a, b)	__attribute__((format(printf, a, b)))
#define __noreturn	__attribute__((noreturn))
#define fallthrough	__attribute__((fallthrough))

enum pattern {
	PATTERN_NONE,
	PATTERN_UNIFORM,	/* random pages */
	PATTERN_STREAM,		/* one page after the other, round and round */
	PATTERN_GROW,		/* the same, but pages nobody used before, and once only */
	PATTERN_SAME,		/* random pages, the content they have already */
};

/* struct config - the kvmx.* words of the kernel's command line; see config.c */
struct config {
	const char *load;
	enum pattern pattern;
	unsigned int mib;
	unsigned int rate;
	unsigned int hot_mib;
	unsigned int pass_ms;
	unsigned int threads;
	unsigned int seconds;
	unsigned int check_rate;
	unsigned int jump_ms;
	unsigned int beat_port;
	unsigned int beat_ms;
	unsigned int report_ms;
	unsigned int disk_rate;
	unsigned int corrupt_s;
	bool work;
	bool regs;
	bool shell;
};

/*
 * struct region - pages under load
 * @writes: how often each page was written, times two; odd while somebody is at it
 * @same: the content does not depend on @writes
 */
struct region {
	const char *name;
	__u64 *mem;
	atomic_uint *writes;
	__u32 nr_pages;
	bool same;
};

#define MAX_REGIONS	2
#define MAX_LOADERS	16

struct stats {
	atomic_ullong writes;
	atomic_ullong checks;
	atomic_ullong beats;
	atomic_ullong disk_ops;
	atomic_ullong regs;
	atomic_ullong fails;
};

extern struct config config;
extern struct stats stats;
extern struct region regions[MAX_REGIONS];
extern unsigned int nr_regions;
extern atomic_bool stopping;

/* config.c */
int config_parse(char *cmdline);

/* init.c */
__printf(1, 2) __noreturn void fatal(const char *fmt, ...);

/* clock.c */
__u64 now_ns(void);
void sleep_ns(__u64 ns);
void clock_check(const char *who);

/* load.c */
void load_prepare(void);
void load_start(void);
__u64 load_join(void);
void load_release(void);

/* check.c */
__printf(1, 2) void check_fail(const char *fmt, ...);
void *check_thread(void *arg);
void check_all(__u64 written);

/* beat.c */
void *beat_thread(void *arg);

/* disk.c */
void disk_prepare(void);
void disk_release(void);
void *disk_thread(void *arg);

/* regs.c */
void *regs_thread(void *arg);

static inline __u64 *region_page(const struct region *region, __u32 i)
{
	return region->mem + (size_t)i * PAGE_WORDS;
}

static inline __u64 region_seq(const struct region *region, __u32 writes)
{
	return region->same ? 1 : writes / 2;
}

static inline __u64 random_next(__u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif /* GUEST_H */
