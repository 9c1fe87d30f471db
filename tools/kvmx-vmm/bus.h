/* SPDX-License-Identifier: GPL-2.0 */
/* Which device answers at which port or address. */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include "util.h"

#define BUS_MAX_RANGES	48

/* Read or write @len (1, 2, 4 or 8) bytes at @offset into the range. */
typedef void (*bus_fn)(void *dev, u64 offset, void *data, u32 len, bool write);

struct bus_range {
	u64 base;
	u64 len;		/* 0: switched off */
	bus_fn access;
	void *dev;
};

struct bus {
	struct bus_range ranges[BUS_MAX_RANGES];
	unsigned int nr;
};

/* Never moves afterwards: a PCI BAR changes base and len in place. */
struct bus_range *bus_add(struct bus *bus, u64 base, u64 len, bus_fn access, void *dev);

/* As real hardware does, an access that nobody answers reads as all ones. */
void bus_access(struct bus *bus, u64 addr, void *data, u32 len, bool write);

#endif
