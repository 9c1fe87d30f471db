// SPDX-License-Identifier: GPL-2.0
/* Writes pages in a known pattern, at a known rate by the guest's clock. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "guest.h"

#define TICK_NS		(5 * NSEC_PER_MSEC)
/* After a pause the load goes on as before; it does not make up for it in one burst. */
#define CATCH_UP_NS	(10 * TICK_NS)

struct region regions[MAX_REGIONS];
unsigned int nr_regions;

/* struct writer - one thread's share of a region */
struct writer {
	struct region *region;
	enum pattern pattern;
	__u32 first;
	__u32 nr_pages;
	__u64 rate;
	__u64 cursor;
	__u64 random;
	__u64 due;		/* pages, times NSEC_PER_SEC */
	__u64 written;
};

struct loader {
	pthread_t thread;
	struct writer writers[MAX_REGIONS];
	unsigned int nr_writers;
	unsigned long work;
};

static struct loader loaders[MAX_LOADERS];
/* Writes before the load began. */
static __u64 filled;

static void write_page(struct region *region, __u32 i)
{
	atomic_uint *writes = &region->writes[i];
	__u32 n = atomic_load_explicit(writes, memory_order_relaxed);
	__u64 *page = region_page(region, i);

	atomic_store_explicit(writes, n + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (n)
		page_touch(page, i, region_seq(region, n + 2));
	else
		page_fill(page, i, region_seq(region, n + 2));
	atomic_store_explicit(writes, n + 2, memory_order_release);
}

static void write_next(struct writer *w)
{
	__u32 i;

	switch (w->pattern) {
	case PATTERN_GROW:
		if (w->cursor == w->nr_pages)
			return;
		fallthrough;
	case PATTERN_STREAM:
		i = w->cursor++ % w->nr_pages;
		break;
	default:
		i = random_next(&w->random) % w->nr_pages;
	}
	write_page(w->region, w->first + i);
	w->written++;
	atomic_fetch_add_explicit(&stats.writes, 1, memory_order_relaxed);
}

static void write_due(struct writer *w, __u64 elapsed_ns)
{
	w->due += elapsed_ns * w->rate;
	while (w->due >= NSEC_PER_SEC) {
		w->due -= NSEC_PER_SEC;
		write_next(w);
	}
}

static void spin(unsigned long n)
{
	unsigned long i;

	for (i = 0; i < n; i++)
		asm volatile("");
}

/* How often to spin for a tick: by the fastest of some tries, the others were disturbed. */
static unsigned long calibrate_work(void)
{
	const unsigned long n = 100000;
	__u64 start, ns, best = ~0ULL;
	unsigned int i;

	for (i = 0; i < 50; i++) {
		start = now_ns();
		spin(n);
		ns = now_ns() - start;
		if (ns && ns < best)
			best = ns;
	}
	return n * TICK_NS / best;
}

static void *load_thread(void *arg)
{
	struct loader *loader = arg;
	__u64 now, elapsed, last = now_ns();
	unsigned int i;

	while (!atomic_load(&stopping)) {
		if (loader->work)
			spin(loader->work);
		else
			sleep_ns(TICK_NS);
		clock_check("load");
		now = now_ns();
		elapsed = loader->work ? TICK_NS : now - last;
		if (elapsed > CATCH_UP_NS)
			elapsed = CATCH_UP_NS;
		last = now;
		for (i = 0; i < loader->nr_writers; i++)
			write_due(&loader->writers[i], elapsed);
	}
	return NULL;
}

static void add_region(const char *name, unsigned int mib, enum pattern pattern, __u64 rate)
{
	struct region *region = &regions[nr_regions++];
	__u32 i, share;
	unsigned int t;

	region->name = name;
	region->nr_pages = mib * PAGES_PER_MIB;
	region->same = pattern == PATTERN_SAME;
	region->mem = mmap(NULL, (size_t)region->nr_pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	region->writes = calloc(region->nr_pages, sizeof(*region->writes));
	if (region->mem == MAP_FAILED || !region->writes)
		fatal("no memory for %u MiB of load", mib);
	/* Small pages: a huge one would make a growing load grow by leaps. */
	if (madvise(region->mem, (size_t)region->nr_pages * PAGE_BYTES, MADV_NOHUGEPAGE) &&
	    errno != EINVAL)
		fatal("madvise: %s", strerror(errno));

	share = region->nr_pages / config.threads;
	for (t = 0; t < config.threads; t++) {
		struct loader *loader = &loaders[t];
		struct writer *w = &loader->writers[loader->nr_writers++];

		w->region = region;
		w->pattern = pattern;
		w->first = t * share;
		w->nr_pages = share;
		w->rate = rate / config.threads;
		w->random = page_mix(nr_regions * 100 + t + 1) | 1;
	}
	if (pattern == PATTERN_GROW)
		return;
	for (i = 0; i < region->nr_pages; i++)
		write_page(region, i);
	filled += region->nr_pages;
}

void load_prepare(void)
{
	__u64 hot_rate = 1000ULL * config.hot_mib * PAGES_PER_MIB / config.pass_ms;
	unsigned int t;

	if (config.hot_mib)
		add_region("hot", config.hot_mib, PATTERN_STREAM, hot_rate);
	if (config.pattern != PATTERN_NONE)
		add_region("main", config.mib, config.pattern, config.rate);
	if (config.work && nr_regions) {
		loaders[0].work = calibrate_work();
		for (t = 1; t < config.threads; t++)
			loaders[t].work = loaders[0].work;
	}
}

void load_start(void)
{
	unsigned int t;

	for (t = 0; nr_regions && t < config.threads; t++)
		if (pthread_create(&loaders[t].thread, NULL, load_thread, &loaders[t]))
			fatal("cannot start a thread");
}

/* Wait for the writers to end; says how many writes there were by their own count. */
__u64 load_join(void)
{
	__u64 written = filled;
	unsigned int t, i;

	for (t = 0; nr_regions && t < config.threads; t++) {
		pthread_join(loaders[t].thread, NULL);
		for (i = 0; i < loaders[t].nr_writers; i++)
			written += loaders[t].writers[i].written;
	}
	return written;
}

void load_release(void)
{
	unsigned int i;

	for (i = 0; i < nr_regions; i++) {
		munmap(regions[i].mem, (size_t)regions[i].nr_pages * PAGE_BYTES);
		free(regions[i].writes);
	}
	nr_regions = 0;
	filled = 0;
	memset(loaders, 0, sizeof(loaders));
}
