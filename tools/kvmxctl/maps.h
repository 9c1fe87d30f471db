/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_MAPS_H
#define KVMXCTL_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mapping {
	uint64_t start;
	uint64_t end;
	bool shared;
};

/* The mappings of a process, by address. */
struct maps {
	struct mapping *mappings;
	size_t nr;
};

/* Returns 0 or -errno; release with maps_free(). */
int maps_read(pid_t pid, struct maps *maps);
/* NULL: nothing is mapped there. */
const struct mapping *maps_find(const struct maps *maps, uint64_t address);
void maps_free(struct maps *maps);

#endif
