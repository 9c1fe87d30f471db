// SPDX-License-Identifier: LGPL-2.1
#include <pthread.h>
#include <xxhash.h>

#include "hash.h"

#define ROUNDS	16

typedef void (*hash_fn)(const void *page, uint64_t *low, uint64_t *high);

static hash_fn chosen = hash_page_vectors;

void hash_page_vectors(const void *page, uint64_t *low, uint64_t *high)
{
	XXH128_hash_t hash = XXH3_128bits(page, PAGE_BYTES);

	*low = hash.low64;
	*high = hash.high64;
}

/* The shortest of a few: whatever disturbs one makes it longer. */
static uint64_t time_of(hash_fn fn, const void *page)
{
	uint64_t best = ~0ULL, low, high;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		uint64_t begin = now_ns();

		fn(page, &low, &high);
		best = min_u64(best, now_ns() - begin);
	}
	return best;
}

static void choose(void)
{
	static const uint64_t page[PAGE_BYTES / 8];

	if (time_of(hash_page_words, page) < time_of(hash_page_vectors, page))
		chosen = hash_page_words;
}

void hash_choose(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, choose);
}

void hash_page(const void *page, uint64_t *low, uint64_t *high)
{
	chosen(page, low, high);
}
