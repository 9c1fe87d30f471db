/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * XXH3 128 of a page, by whichever of two builds is faster here: libxxhash's uses vector
 * instructions, which are faster than words on any real CPU, and much slower on an emulated one.
 */
#ifndef _LIBKVMX_HASH_H
#define _LIBKVMX_HASH_H

#include "internal.h"

/* Find out which is faster; takes a fraction of a millisecond, the first time. */
void hash_choose(void);
void hash_page(const void *page, uint64_t *low, uint64_t *high);

void hash_page_words(const void *page, uint64_t *low, uint64_t *high);
void hash_page_vectors(const void *page, uint64_t *low, uint64_t *high);

#endif /* _LIBKVMX_HASH_H */
