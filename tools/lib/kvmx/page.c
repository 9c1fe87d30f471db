// SPDX-License-Identifier: LGPL-2.1
/*
 * A page without its zeroes. Much of a Linux guest's memory is sparse (page tables, stacks, slabs
 * with few objects); leaving out its empty cache lines costs no more than the test for a zero page.
 */
#include "stream.h"

#define LINES		(PAGE_BYTES / STREAM_LINE)
#define LINE_WORDS	(STREAM_LINE / 8)

uint64_t page_mask(const void *page)
{
	const uint64_t *word = page;
	uint64_t mask = 0;
	int line, i;

	for (line = 0; line < LINES; line++, word += LINE_WORDS) {
		uint64_t any = 0;

		for (i = 0; i < LINE_WORDS; i++)
			any |= word[i];
		mask |= (uint64_t)!!any << line;
	}
	return mask;
}

/*
 * Guest memory may change while it is looked at, so it is read once; and in words, because there
 * are hosts on which what memcpy(3) does for pages is several times slower.
 */
uint64_t page_copy(void *to, const void *page)
{
	const volatile uint64_t *from = page;
	uint64_t *word = to, mask = 0;
	int line, i;

	for (line = 0; line < LINES; line++, from += LINE_WORDS, word += LINE_WORDS) {
		uint64_t any = 0;

		for (i = 0; i < LINE_WORDS; i++) {
			uint64_t value = from[i];

			any |= value;
			word[i] = value;
		}
		mask |= (uint64_t)!!any << line;
	}
	return mask;
}

uint32_t page_lines_size(uint64_t mask)
{
	return 8 + __builtin_popcountll(mask) * STREAM_LINE;
}

uint32_t page_put_lines(uint8_t *buf, const void *page, uint64_t mask)
{
	uint8_t *p = buf + 8;

	put_le64(buf, mask);
	for (; mask; mask &= mask - 1, p += STREAM_LINE)
		memmove(p, (const char *)page + __builtin_ctzll(mask) * STREAM_LINE, STREAM_LINE);
	return p - buf;
}

uint32_t page_get_lines(void *page, const uint8_t *buf, uint32_t room)
{
	const uint8_t *p = buf + 8;
	uint64_t mask;
	int line;

	if (room < 8)
		return 0;
	mask = get_le64(buf);
	if (room < page_lines_size(mask))
		return 0;
	for (line = 0; line < LINES; line++) {
		char *to = (char *)page + line * STREAM_LINE;

		if (mask >> line & 1) {
			memcpy(to, p, STREAM_LINE);
			p += STREAM_LINE;
		} else {
			memset(to, 0, STREAM_LINE);
		}
	}
	return p - buf;
}
