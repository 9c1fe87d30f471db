// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "bus.h"

struct bus_range *bus_add(struct bus *bus, u64 base, u64 len, bus_fn access, void *dev)
{
	struct bus_range *range = &bus->ranges[bus->nr];

	/* The number of devices is a property of the program, not of its input. */
	if (bus->nr == BUS_MAX_RANGES)
		abort();
	bus->nr++;
	*range = (struct bus_range){ .base = base, .len = len, .access = access, .dev = dev };
	return range;
}

void bus_access(struct bus *bus, u64 addr, void *data, u32 len, bool write)
{
	struct bus_range *range;
	unsigned int i;

	for (i = 0; i < bus->nr; i++) {
		range = &bus->ranges[i];
		if (addr >= range->base && addr - range->base < range->len &&
		    len <= range->len - (addr - range->base)) {
			range->access(range->dev, addr - range->base, data, len, write);
			return;
		}
	}
	if (!write)
		memset(data, 0xff, len);
}
