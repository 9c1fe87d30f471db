/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The calls that programs consist of.
 */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include <stdint.h>

#include "prog.h"
#include "world.h"

/* UUIDs are all bytes alike, and less than this. */
#define FUZZ_UUIDS 4

extern const uint32_t nr_calls;

/* What the call gave: not negative, or -errno. */
int call_run(struct world *w, const struct call *c);

#endif
