// SPDX-License-Identifier: GPL-2.0
/* Verifies the pages under load, all the time and all of them at the end. */
#include <stdarg.h>

#include "guest.h"

#define TICK_NS		(10 * NSEC_PER_MSEC)
#define MAX_COMPLAINTS	20

void check_fail(const char *fmt, ...)
{
	char line[200];
	va_list ap;

	if (atomic_fetch_add(&stats.fails, 1) >= MAX_COMPLAINTS)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	printf("CHECK FAIL %s\n", line);
}

/* Returns false if a writer was in the way. */
static bool check_page(const struct region *region, __u32 i)
{
	const __u64 *page = region_page(region, i);
	__u32 before, after;
	int word;

	before = atomic_load_explicit(&region->writes[i], memory_order_acquire);
	if (before & 1)
		return false;
	/* Not yet grown to here; a look would make it a zero page. */
	if (!before)
		return true;
	word = page_verify(page, i, region_seq(region, before));
	atomic_thread_fence(memory_order_seq_cst);
	after = atomic_load_explicit(&region->writes[i], memory_order_relaxed);
	if (after != before)
		return false;
	atomic_fetch_add_explicit(&stats.checks, 1, memory_order_relaxed);
	if (word >= 0)
		check_fail("region %s page %u write %u: word %d is %#llx, index %llu, seq %llu",
			   region->name, i, before / 2, word, page[word],
			   page[WORD_INDEX],
			   page[WORD_SEQ]);
	return true;
}

/* Half of the looks go to random pages, half to one page after the other. */
void *check_thread(void *arg)
{
	__u32 cursor[MAX_REGIONS] = {};
	__u64 random = 88172645463325252ULL;
	unsigned int i, r, n;

	(void)arg;
	n = config.check_rate * TICK_NS / NSEC_PER_SEC / 2 + 1;
	while (!atomic_load(&stopping)) {
		clock_check("check");
		for (r = 0; r < nr_regions; r++) {
			struct region *region = &regions[r];

			for (i = 0; i < n; i++) {
				check_page(region, random_next(&random) % region->nr_pages);
				check_page(region, cursor[r]++);
				if (cursor[r] == region->nr_pages)
					cursor[r] = 0;
			}
		}
		sleep_ns(TICK_NS);
	}
	return NULL;
}

/* With the writers gone: every page, and the sum of all counters against the writers' own. */
void check_all(__u64 written)
{
	__u64 sum = 0;
	unsigned int r;
	__u32 i;

	for (r = 0; r < nr_regions; r++) {
		for (i = 0; i < regions[r].nr_pages; i++) {
			if (!check_page(&regions[r], i))
				check_fail("region %s page %u: a write never ended",
					   regions[r].name, i);
			sum += regions[r].writes[i] / 2;
		}
	}
	if (sum != written)
		check_fail("%llu writes in the pages' counters, %llu in the writers'",
			   sum, written);
}
