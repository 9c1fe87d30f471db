/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VMM that is a process of its own, with a VM whose memory the test fills as it likes, and how
 * that memory is mapped. Functions give 0, or -errno.
 */
#ifndef SELFTEST_KVMX_PEER_H
#define SELFTEST_KVMX_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/mem.h"

#define PEER_AREAS 4

struct peer_area {
	uint64_t hva;
	uint64_t npages;
};

struct peer {
	pid_t pid;
	int sock;
	int vm_fd;	/* KVM's fd, in the VMM */
	int handle;	/* the test's own VM fd */
	uint32_t nr_areas;
	struct peer_area area[PEER_AREAS];	/* each a mapping and a memslot, by address */
};

/* Contents of pages: all different in a seed, the same for the same seed and number. */
#define PEER_ZERO 0
#define PEER_SAME (1U << 31)	/* seed flag: all pages alike */

int peer_start(struct peer *p, uint32_t nr_areas, const uint64_t *npages, enum mem_kind kind);
void peer_stop(struct peer *p);
void peer_kill(struct peer *p);
int peer_fill(struct peer *p, uint32_t area, uint64_t first, uint64_t npages, uint32_t seed);
/* Whether the pages still are as peer_fill() left them. */
int peer_verify(struct peer *p, uint32_t area, uint64_t first, uint64_t npages, uint32_t seed);
/* Pinned until peer_unpin() */
int peer_pin(struct peer *p, uint32_t area, uint64_t first, uint64_t npages);
int peer_unpin(struct peer *p);
/* Write to the pages every few milliseconds until the VMM ends. */
int peer_churn(struct peer *p, uint32_t area, uint64_t first, uint64_t npages);
/* Make every other page a mapping of its own. */
int peer_cut(struct peer *p, uint32_t area);
/* The VM's fd, as pidfd_getfd(2) would give it. */
int peer_vm_fd(struct peer *p);
int peer_madvise(struct peer *p, uint32_t area, int advice);
/* A tracker in the VMM, until peer_untrack(). */
int peer_track(struct peer *p, uint32_t flags);
int peer_untrack(struct peer *p);

/* 0 if the page is not in memory */
uint64_t peer_pfn(const struct peer *p, uint32_t area, uint64_t page);
/*
 * How many pages of an area are mapped elsewhere, too. /proc/kpageflags cannot be asked for KSM's
 * pages: 6.12 takes every anonymous page for one.
 */
long peer_merged(const struct peer *p, uint32_t area);
/* How many pages of two areas have the same page frame. */
long peer_shared(const struct peer *a, uint32_t area_a, const struct peer *b, uint32_t area_b);
/* Whether the mapping of an area may merge, as the kernel says. */
bool peer_mergeable(const struct peer *p, uint32_t area);

#endif
