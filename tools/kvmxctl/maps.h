/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_MAPS_H
#define KVMXCTL_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The shared mappings of a process, by address. */
struct maps {
	struct maps_range {
		uint64_t start;
		uint64_t end;
	} *shared;
	size_t nr;
};

/* Returns 0 or -errno; release with maps_free(). */
int maps_read(pid_t pid, struct maps *maps);
bool maps_shared(const struct maps *maps, uint64_t address);
void maps_free(struct maps *maps);

#endif
