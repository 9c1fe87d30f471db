/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which code of kvmx ran, as the kernel tells it (KCOV).
 */
#ifndef FUZZ_COVER_H
#define FUZZ_COVER_H

#include <stdbool.h>
#include <stdint.h>

/* Shared by all workers; without KCOV there is none, and nothing is ever new. */
#define COVER_BITS (1U << 16)

struct cover {
	uint8_t seen[COVER_BITS];
	uint32_t bits;
};

/* Once for each thread. Whether this kernel has it. */
bool cover_open(void);
void cover_begin(void);
/* How much of what ran since has never run before. */
unsigned int cover_end(struct cover *cover);

#endif
