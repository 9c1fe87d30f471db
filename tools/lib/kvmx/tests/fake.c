// SPDX-License-Identifier: LGPL-2.1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake.h"

#define TICK_NS		(1 * NSEC_PER_MSEC)	/* in real time */

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

void *fake_memory(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return mem;
}

void fake_regions(struct kvmx_region *r, uint8_t *mem, uint64_t pages)
{
	uint64_t half = pages / 2;

	/* A hole between them, and listed the wrong way round. */
	r[0] = (struct kvmx_region){ .gfn = half + 1000, .npages = pages - half,
				     .hva = mem + half * PAGE_BYTES };
	r[1] = (struct kvmx_region){ .gfn = 0, .npages = half, .hva = mem };
}

static uint64_t gfn_of(const struct fake_guest *g, uint64_t page)
{
	return page < g->pages / 2 ? page : page + 1000;
}

static bool is_dma(const struct fake_guest *g, uint64_t page)
{
	return page - g->dma_first < g->dma_pages;
}

static void mark(struct fake_guest *g, uint64_t page)
{
	if (is_dma(g, page))
		return;
	__atomic_fetch_or(&g->dirty[page / 64], 1ULL << (page % 64), __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&g->sampled[page / 64], 1ULL << (page % 64), __ATOMIC_SEQ_CST);
}

static void fill_page(struct fake_guest *g, uint64_t page)
{
	uint64_t *word = (uint64_t *)(g->mem + page * PAGE_BYTES), i;

	for (i = 0; i < PAGE_BYTES / 8; i++)
		word[i] = next_random(&g->seed);
}

static void write_page(struct fake_guest *g, uint64_t page, bool same)
{
	volatile uint64_t *word = (uint64_t *)(g->mem + page * PAGE_BYTES);
	unsigned int i;

	/* A word of each line: as good as all of them, and there are many pages. */
	for (i = 0; i < PAGE_BYTES / 8; i += 8)
		word[i] = same ? word[i] : next_random(&g->seed);
	mark(g, page);
	g->written++;
}

void fake_init(struct fake_guest *g, uint64_t pages, uint64_t filled)
{
	uint64_t page;

	memset(g, 0, sizeof(*g));
	g->pages = pages;
	g->seed = 88172645463325252ULL;
	g->permille = 1000;
	g->state_len = 16 * 1024;
	g->cancel_phase = -1;
	g->mem = fake_memory(pages * PAGE_BYTES);
	g->dirty = fake_memory(pages / 8 + 8);
	g->sampled = fake_memory(pages / 8 + 8);
	fake_regions(g->regions, g->mem, pages);
	pthread_mutex_init(&g->lock, NULL);
	for (page = 0; page < filled; page++)
		fill_page(g, page);
	/* Some are as a real guest's are: sparse. */
	for (page = 0; page < filled; page += 16)
		memset(g->mem + page * PAGE_BYTES + 256, 0, PAGE_BYTES - 1024);
}

static void work(struct fake_guest *g, struct fake_load *l, double seconds)
{
	l->owed += seconds * l->rate * g->permille / 1000;
	for (; l->owed >= 1; l->owed -= 1) {
		uint64_t page = l->first;

		if (l->pattern == FAKE_ONCE && l->at >= l->pages)
			return;
		if (l->pattern == FAKE_UNIFORM)
			page += next_random(&g->seed) % l->pages;
		else
			page += l->at++ % l->pages;
		write_page(g, page, l->pattern == FAKE_SAME);
	}
}

/* What the guest has done since it was last looked at. */
static bool step(struct fake_guest *g)
{
	uint64_t now;
	bool stop;
	int i;

	pthread_mutex_lock(&g->lock);
	now = now_ns();
	stop = g->stop;
	if (!g->paused)
		for (i = 0; i < FAKE_MAX_LOADS; i++)
			if (g->load[i].pattern != FAKE_IDLE)
				work(g, &g->load[i], (now - g->last) / 1e9);
	g->last = now;
	pthread_mutex_unlock(&g->lock);
	return !stop;
}

static void *guest_thread(void *arg)
{
	const struct timespec tick = { .tv_nsec = TICK_NS };

	while (step(arg))
		nanosleep(&tick, NULL);
	return NULL;
}

/* In simulated time: a tick is over. */
static void tick(void *ctx, uint64_t ns)
{
	struct fake_guest *g = ctx;
	int i;

	for (i = 0; !g->paused && i < FAKE_MAX_LOADS; i++)
		if (g->load[i].pattern != FAKE_IDLE)
			work(g, &g->load[i], ns / 1e9);
}

void fake_start(struct fake_guest *g)
{
	if (sim_active()) {
		sim_tick(tick, g);
		return;
	}
	g->stop = false;
	g->last = now_ns();
	pthread_create(&g->thread, NULL, guest_thread, g);
}

void fake_stop(struct fake_guest *g)
{
	if (sim_active()) {
		sim_tick(NULL, NULL);
		return;
	}
	pthread_mutex_lock(&g->lock);
	g->stop = true;
	pthread_mutex_unlock(&g->lock);
	pthread_join(g->thread, NULL);
}

void fake_free(struct fake_guest *g)
{
	munmap(g->mem, g->pages * PAGE_BYTES);
	munmap(g->dirty, g->pages / 8 + 8);
	munmap(g->sampled, g->pages / 8 + 8);
	pthread_mutex_destroy(&g->lock);
}

/* the VMM's part */

static void cost(uint64_t ns)
{
	if (sim_active())
		sim_sleep(ns);
}

static int fake_pause(void *opaque)
{
	struct fake_guest *g = opaque;
	uint64_t i;

	g->pauses++;
	if (g->fail_pause)
		return g->fail_pause;
	cost(g->pause_ns);
	pthread_mutex_lock(&g->lock);
	for (i = 0; i < g->burst; i++)
		write_page(g, g->pages / 4 + i, false);
	g->paused = true;
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static int fake_resume(void *opaque)
{
	struct fake_guest *g = opaque;

	g->resumes++;
	pthread_mutex_lock(&g->lock);
	g->paused = false;
	pthread_mutex_unlock(&g->lock);
	return 0;
}

void fake_state(uint8_t *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = i * 7 + (i >> 8);
}

static int fake_save(void *opaque, void **data, size_t *len)
{
	struct fake_guest *g = opaque;

	if (g->fail_save)
		return g->fail_save;
	/* Device models do write to guest memory when they are told to stop. */
	if (!g->no_save_write)
		write_page(g, 3, false);
	cost(g->save_ns);
	*data = malloc(g->state_len);
	*len = g->state_len;
	fake_state(*data, *len);
	return 0;
}

static int fake_throttle(void *opaque, uint32_t permille)
{
	struct fake_guest *g = opaque;

	g->throttles++;
	pthread_mutex_lock(&g->lock);
	g->permille = permille;
	pthread_mutex_unlock(&g->lock);
	return 0;
}

static int fake_progress(void *opaque, const struct kvmx_migrate_progress *progress)
{
	struct fake_guest *g = opaque;

	if (progress->verdict && !g->first_told) {
		g->first_told = progress->verdict;
		g->first_told_ns = progress->elapsed_ns;
	}
	if (getenv("FAKE_VERBOSE")) {
		fprintf(stderr, "# %7.3f phase %u verdict %u: %.1f MB at %.1f MB/s, ",
			progress->elapsed_ns / 1e9, progress->phase, progress->verdict,
			progress->bytes / 1e6, progress->bandwidth / 1e6);
		fprintf(stderr, "%lu to send, %lu written/s, pause %.0f ms, now %.0f ms\n",
			progress->pending_pages, progress->dirty_rate, progress->pause_ns / 1e6,
			progress->offline_ns / 1e6);
	}
	g->progress = *progress;
	return (int)progress->phase == g->cancel_phase;
}

static void fake_released(void *opaque)
{
	struct fake_guest *g = opaque;

	g->released++;
}

const struct kvmx_migrate_source_ops fake_ops = {
	.pause = fake_pause,
	.resume = fake_resume,
	.save_state = fake_save,
	.throttle = fake_throttle,
	.progress = fake_progress,
	.released = fake_released,
};

/* the kernel's part */

static void sleep_until(uint64_t t)
{
	uint64_t now = now_ns();

	if (now >= t)
		return;
	if (sim_active())
		sim_sleep(t - now);
	else
		usleep((t - now) / 1000 + 1);
}

/* As kvmx.ko does: so many pages, one of each stretch of memory, are taken for all of them. */
static int fake_sample(void *ctx, struct kvmx_vm_sample *sample)
{
	struct kvmx_point *points = (struct kvmx_point *)(uintptr_t)sample->points;
	struct fake_guest *g = ctx;
	uint64_t begin = now_ns(), n = min_u64(sample->nr_samples, g->pages), *page, k, t;
	uint32_t i;

	page = malloc(n * sizeof(*page));
	for (k = 0; k < n; k++) {
		uint64_t from = k * g->pages / n, to = (k + 1) * g->pages / n;

		page[k] = from + next_random(&g->seed) % (to - from);
	}
	memset(g->sampled, 0, g->pages / 8 + 8);
	for (i = 0; i < sample->nr_points; i++) {
		uint64_t hits = 0;

		t = max_u64(sample->duration_ns >> (sample->nr_points - 1 - i), NSEC_PER_MSEC);
		sleep_until(begin + t);
		points[i].time_ns = now_ns() - begin;
		for (k = 0; k < n; k++)
			hits += bit_test(g->sampled, page[k]);
		points[i].pages = hits * g->pages / n;
	}
	free(page);
	sample->total_pages = g->pages;
	return 0;
}

static int fake_track(void *ctx)
{
	struct fake_guest *g = ctx;
	uint64_t page;

	if (g->fail_start)
		return g->fail_start;
	for (page = 0; page < g->pages; page++)
		__atomic_fetch_or(&g->dirty[page / 64], 1ULL << (page % 64), __ATOMIC_SEQ_CST);
	return 0;
}

static int fake_harvest(void *ctx, struct kvmx_harvest *h)
{
	struct kvmx_run *runs = (struct kvmx_run *)(uintptr_t)h->runs, *run = NULL;
	uint32_t room = h->nr_runs;
	struct fake_guest *g = ctx;
	uint64_t page = h->cursor;

	if (g->fail_harvest && !--g->fail_harvest)
		return -EFAULT;
	if (!page)
		cost(g->harvest_ns);
	h->nr_runs = 0;
	h->nr_pages = 0;
	h->status = 0;
	h->cursor = 0;
	for (; page < g->pages; page++) {
		uint64_t bit = 1ULL << (page % 64), old;
		uint32_t class = KVMX_CLASS_NORMAL;

		if (!(page % 64) && !is_dma(g, page) && !is_dma(g, page + 63) &&
		    !__atomic_load_n(&g->dirty[page / 64], __ATOMIC_SEQ_CST)) {
			page += 63;
			continue;
		}
		if (h->nr_runs == room) {
			h->status = KVMX_HARVEST_MORE;
			h->cursor = page;
			break;
		}
		old = __atomic_fetch_and(&g->dirty[page / 64], ~bit, __ATOMIC_SEQ_CST);
		if (!(old & bit) && !is_dma(g, page))
			continue;
		if (!(old & bit))
			class = KVMX_CLASS_DMA;
		if (h->flags & KVMX_HARVEST_ABSENT) {
			const uint64_t *word = (uint64_t *)(g->mem + page * PAGE_BYTES);

			if (!word[0] && !memcmp(word, word + 1, PAGE_BYTES - 8))
				class = KVMX_CLASS_ABSENT;
		}
		h->nr_pages++;
		if (run && run->gfn + run->npages == gfn_of(g, page) && run->page_class == class) {
			run->npages++;
			continue;
		}
		run = &runs[h->nr_runs++];
		*run = (struct kvmx_run){ .gfn = gfn_of(g, page), .npages = 1,
					  .page_class = class };
	}
	cost(h->nr_pages * g->harvest_page_ns);
	return 0;
}

static int fake_ask(void *ctx, struct kvmx_predict *p)
{
	(void)ctx;
	return fake_predict((const struct kvmx_point *)(uintptr_t)p->points, p->nr_points,
			    p->total_pages, p);
}

static void fake_untrack(void *ctx)
{
	struct fake_guest *g = ctx;

	g->stops++;
}

const struct dirty_ops fake_dirty_ops = {
	.sample = fake_sample,
	.start = fake_track,
	.harvest = fake_harvest,
	.predict = fake_ask,
	.stop = fake_untrack,
};
