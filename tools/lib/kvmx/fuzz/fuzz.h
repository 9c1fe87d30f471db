/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * Fuzzing the receiver. An input is a byte that chooses socket or file, and then the stream. Every
 * chunk is checksummed, so inputs are mutated chunk by chunk and their checksums put right after:
 * otherwise nothing but the checksum's own test would ever be reached.
 */
#ifndef _LIBKVMX_FUZZ_H
#define _LIBKVMX_FUZZ_H

#include "stream.h"

#define FUZZ_FILE	1	/* of an input's first byte */
#define FUZZ_START	(1 + STREAM_PREAMBLE)
#define FUZZ_MAX	(64 * 1024)
#define FUZZ_PAGES	5	/* of the guest: 3 and 2 */
#define FUZZ_GOOD	32	/* so many seeds are good streams */
#define FUZZ_SEEDS	36

extern const struct kvmx_region fuzz_layout[2];

/* what libFuzzer wants, and gives */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* Put sequence numbers and checksums right, as far as there are whole chunks. */
void fuzz_mend(uint8_t *data, size_t size);
/* Seed number @n; its length. */
size_t fuzz_seed(unsigned int n, uint8_t *buf);
/* How the last input ended. */
int fuzz_result(void);

#endif /* _LIBKVMX_FUZZ_H */
