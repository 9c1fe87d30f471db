/* SPDX-License-Identifier: GPL-2.0 */
/* Guest memory: one mapping here, up to two ranges there. */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include "util.h"

enum memory_kind {
	MEMORY_ANON,
	MEMORY_MEMFD,
	MEMORY_HUGETLB,
};

/* From here to 4 GiB there are PCI devices, the IOAPIC and the local APICs. */
#define MEMORY_HOLE_START	(3 * GIB)
#define MEMORY_HOLE_END		(4 * GIB)
#define MEMORY_MAX_RANGES	2

struct memory_range {
	u64 gpa;
	u64 size;
	void *hva;
};

struct memory {
	u64 size;
	void *map;
	bool shared;
	struct memory_range ranges[MEMORY_MAX_RANGES];
	unsigned int nr_ranges;
};

/* @thp: 1 always, 0 never, -1 as the system says. */
int memory_init(struct memory *mem, u64 size, enum memory_kind kind, int thp);
void memory_destroy(struct memory *mem);

/* NULL if not all of [gpa, gpa + len) is memory, in one range. */
void *memory_at(const struct memory *mem, u64 gpa, u64 len);

/* Hex XXH3-128 of one range, 33 bytes with the NUL. */
void memory_hash(const struct memory_range *range, char *hex);

/* Write all ranges, one after the other, to a file that is there when it is complete. */
int memory_dump(const struct memory *mem, const char *path);

/* The same, of memory as it is now, without keeping the guest waiting for the file. */
int memory_dump_behind(const struct memory *mem, const char *path);

#endif
