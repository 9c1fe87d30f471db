// SPDX-License-Identifier: GPL-2.0
/*
 * Which parts of a process are shared mappings, by /proc/PID/maps.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "maps.h"

static int add_shared(struct maps *maps, uint64_t start, uint64_t end)
{
	struct maps_range *shared = reallocarray(maps->shared, maps->nr + 1, sizeof(*shared));

	if (!shared)
		return -ENOMEM;
	maps->shared = shared;
	shared[maps->nr++] = (struct maps_range){ start, end };
	return 0;
}

int maps_read(pid_t pid, struct maps *maps)
{
	unsigned long long start, end;
	char path[64], perms[5], *line = NULL;
	size_t size = 0;
	FILE *file;
	int rc = 0;

	*maps = (struct maps){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!rc && getline(&line, &size, file) > 0) {
		if (sscanf(line, "%llx-%llx %4s", &start, &end, perms) == 3 &&
		    perms[3] == 's')
			rc = add_shared(maps, start, end);
	}
	free(line);
	fclose(file);
	if (rc)
		maps_free(maps);
	return rc;
}

bool maps_shared(const struct maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->nr, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (address < maps->shared[mid].start)
			high = mid;
		else if (address >= maps->shared[mid].end)
			low = mid + 1;
		else
			return true;
	}
	return false;
}

void maps_free(struct maps *maps)
{
	free(maps->shared);
	*maps = (struct maps){ 0 };
}
