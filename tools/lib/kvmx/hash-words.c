// SPDX-License-Identifier: LGPL-2.1
/* XXH3 without vector instructions: a build of our own from libxxhash's header. */
#define XXH_INLINE_ALL
#define XXH_VECTOR 0	/* XXH_SCALAR */
#include <xxhash.h>

#include "hash.h"

void hash_page_words(const void *page, uint64_t *low, uint64_t *high)
{
	XXH128_hash_t hash = XXH3_128bits(page, PAGE_BYTES);

	*low = hash.low64;
	*high = hash.high64;
}
