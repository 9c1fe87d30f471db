/* SPDX-License-Identifier: GPL-2.0 */
/* What every file of kvmx-vmm uses. */
#ifndef VMM_UTIL_H
#define VMM_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <linux/types.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define KIB		1024ULL
#define MIB		(1024ULL * KIB)
#define GIB		(1024ULL * MIB)
#define PAGE_SIZE	4096ULL
#define NSEC_PER_SEC	1000000000ULL
#define NSEC_PER_MSEC	1000000ULL

/* Say something to the person at the terminal, as one line on stderr. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* As say(), and return -err, so that a caller can both explain and fail in one statement. */
int fail(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

u64 now_ns(void);
void sleep_ns(u64 ns);

/* The whole of it, or -errno; read_full() returns -EPIPE at an early end. */
int write_full(int fd, const void *buf, size_t len);
int read_full(int fd, void *buf, size_t len);

/* -errno, or a connected or listening socket. */
int unix_connect(const char *path);
int unix_listen(const char *path);

#endif
