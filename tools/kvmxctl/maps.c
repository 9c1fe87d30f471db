// SPDX-License-Identifier: GPL-2.0
/*
 * What a process has mapped where, by /proc/PID/maps.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "maps.h"

static int add_mapping(struct maps *maps, uint64_t start, uint64_t end, bool shared)
{
	struct mapping *mappings;

	mappings = reallocarray(maps->mappings, maps->nr + 1, sizeof(*mappings));
	if (!mappings)
		return -ENOMEM;
	maps->mappings = mappings;
	mappings[maps->nr++] = (struct mapping){ start, end, shared };
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
		if (sscanf(line, "%llx-%llx %4s", &start, &end, perms) == 3)
			rc = add_mapping(maps, start, end, perms[3] == 's');
	}
	free(line);
	fclose(file);
	if (rc)
		maps_free(maps);
	return rc;
}

const struct mapping *maps_find(const struct maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->nr, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (address < maps->mappings[mid].start)
			high = mid;
		else if (address >= maps->mappings[mid].end)
			low = mid + 1;
		else
			return &maps->mappings[mid];
	}
	return NULL;
}

void maps_free(struct maps *maps)
{
	free(maps->mappings);
	*maps = (struct maps){ 0 };
}
