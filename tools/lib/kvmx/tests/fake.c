// SPDX-License-Identifier: LGPL-2.1
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake.h"

#define TICK_NS		(1 * NSEC_PER_MSEC)

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void *shared(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED) {
		perror("mmap");
		abort();
	}
	return mem;
}

static void two_regions(struct kvmx_region *r, uint8_t *mem, uint64_t pages)
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

static void mark(struct fake_guest *g, uint64_t page)
{
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

	if (same)
		word[0] = word[0];
	else
		fill_page(g, page);
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
	g->mem = shared(pages * PAGE_BYTES);
	g->dirty = shared(pages / 8 + 8);
	g->sampled = shared(pages / 8 + 8);
	two_regions(g->regions, g->mem, pages);
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

static void *guest_thread(void *arg)
{
	const struct timespec tick = { .tv_nsec = TICK_NS };
	struct fake_guest *g = arg;
	uint64_t last = now_ns(), now;
	bool stop;
	int i;

	do {
		nanosleep(&tick, NULL);
		pthread_mutex_lock(&g->lock);
		now = now_ns();
		stop = g->stop;
		g->late_ns = max_u64(g->late_ns, now - last - TICK_NS);
		if (!g->paused)
			for (i = 0; i < FAKE_MAX_LOADS; i++)
				if (g->load[i].pattern != FAKE_IDLE)
					work(g, &g->load[i], (now - last) / 1e9);
		last = now;
		pthread_mutex_unlock(&g->lock);
	} while (!stop);
	return NULL;
}

void fake_start(struct fake_guest *g)
{
	g->stop = false;
	pthread_create(&g->thread, NULL, guest_thread, g);
}

void fake_stop(struct fake_guest *g)
{
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

static int fake_pause(void *opaque)
{
	struct fake_guest *g = opaque;
	uint64_t i;

	g->pauses++;
	if (g->fail_pause)
		return g->fail_pause;
	pthread_mutex_lock(&g->lock);
	for (i = 0; i < g->burst; i++)
		write_page(g, g->pages / 4 + i, false);
	g->paused = true;
	g->paused_at = now_ns();
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

static int fake_sample(void *ctx, struct kvmx_vm_sample *sample)
{
	struct kvmx_point *points = (struct kvmx_point *)(uintptr_t)sample->points;
	uint64_t begin = now_ns(), words, word, t;
	struct fake_guest *g = ctx;
	uint32_t i;

	words = (g->pages + 63) / 64;
	for (word = 0; word < words; word++)
		__atomic_store_n(&g->sampled[word], 0, __ATOMIC_SEQ_CST);
	for (i = 0; i < sample->nr_points; i++) {
		t = max_u64(sample->duration_ns >> (sample->nr_points - 1 - i), NSEC_PER_MSEC);
		while (now_ns() < begin + t)
			usleep((begin + t - now_ns()) / 1000 + 1);
		points[i].time_ns = now_ns() - begin;
		points[i].pages = 0;
		for (word = 0; word < words; word++)
			points[i].pages += __builtin_popcountll(g->sampled[word]);
	}
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
	usleep(g->harvest_us);
	h->nr_runs = 0;
	h->nr_pages = 0;
	h->status = 0;
	h->cursor = 0;
	for (; page < g->pages; page++) {
		uint64_t bit = 1ULL << (page % 64), old;
		uint32_t class = KVMX_CLASS_NORMAL;

		if (!(page % 64) && !__atomic_load_n(&g->dirty[page / 64], __ATOMIC_SEQ_CST)) {
			page += 63;
			continue;
		}
		if (h->nr_runs == room) {
			h->status = KVMX_HARVEST_MORE;
			h->cursor = page;
			return 0;
		}
		old = __atomic_fetch_and(&g->dirty[page / 64], ~bit, __ATOMIC_SEQ_CST);
		if (!(old & bit))
			continue;
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

/* the destination */

struct fake_dest *fake_dest_new(uint64_t pages)
{
	struct fake_dest *d = shared(sizeof(*d));

	d->pages = pages;
	d->mem = shared(pages * PAGE_BYTES);
	two_regions(d->regions, d->mem, pages);
	d->nr_regions = 2;
	return d;
}

void fake_dest_free(struct fake_dest *d)
{
	munmap(d->mem, d->pages * PAGE_BYTES);
	munmap(d, sizeof(*d));
}

static int dest_load(void *opaque, const void *data, size_t len)
{
	static uint8_t want[FAKE_STATE];
	struct fake_dest *d = opaque;

	fake_state(want, sizeof(want));
	d->state_good = len && len <= sizeof(want) && !memcmp(want, data, len);
	return d->fail_load;
}

static int dest_run(void *opaque)
{
	struct fake_dest *d = opaque;

	if (d->fail_run)
		return d->fail_run;
	d->ran_at = now_ns();
	d->runs++;
	return 0;
}

static void dest_discard(void *opaque)
{
	struct fake_dest *d = opaque;

	d->discards++;
}

static const struct kvmx_migrate_dest_ops dest_ops = {
	.load_state = dest_load,
	.run = dest_run,
	.discard = dest_discard,
};

int fake_receive(struct fake_dest *d, int fd)
{
	struct kvmx_migrate_dest dest = {
		.ops = &dest_ops,
		.opaque = d,
		.regions = d->regions,
		.nr_regions = d->nr_regions,
		.flags = KVMX_DEST_ZEROED,
		.fd = fd,
		.peer_timeout_ns = 20 * NSEC_PER_SEC,
	};

	return kvmx_migrate_receive(&dest, &d->report);
}

static void *dest_thread(void *arg)
{
	struct fake_dest *d = arg;

	fake_receive(d, d->fd);
	return NULL;
}

void fake_receive_start(struct fake_dest *d, int fd)
{
	d->fd = fd;
	pthread_create(&d->thread, NULL, dest_thread, d);
}

void fake_receive_wait(struct fake_dest *d)
{
	pthread_join(d->thread, NULL);
}

/* the link */

static bool put_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

static void pace(uint64_t *free_at, uint64_t rate, size_t len)
{
	struct timespec ts;
	uint64_t now = now_ns();

	if (!rate)
		return;
	/* Waking up late must not make the link slower; it may catch up for a few ms. */
	*free_at = max_u64(*free_at, now - 5 * NSEC_PER_MSEC) + len * NSEC_PER_SEC / rate;
	ts.tv_sec = *free_at / NSEC_PER_SEC;
	ts.tv_nsec = *free_at % NSEC_PER_SEC;
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static bool forward(struct fake_relay *r, uint64_t *free_at)
{
	static __thread char buf[16384];
	size_t want = min_u64(sizeof(buf), r->die_after - r->forwarded);
	ssize_t n;

	if (!want)
		return false;
	n = recv(r->inner[0], buf, want, 0);
	if (n <= 0)
		return false;
	if (r->flip_at >= r->forwarded && r->flip_at < r->forwarded + n)
		buf[r->flip_at - r->forwarded] ^= 4;
	pace(free_at, r->rate, n);
	r->forwarded += n;
	return put_all(r->inner[1], buf, n) && r->forwarded < r->die_after;
}

static bool backward(struct fake_relay *r)
{
	char buf[512];
	ssize_t n = recv(r->inner[1], buf, sizeof(buf), 0);

	return n > 0 && put_all(r->inner[0], buf, n);
}

static void *relay_thread(void *arg)
{
	struct pollfd pfd[2] = { { .events = POLLIN }, { .events = POLLIN } };
	struct fake_relay *r = arg;
	uint64_t free_at = 0;

	pfd[0].fd = r->inner[0];
	pfd[1].fd = r->inner[1];
	while (poll(pfd, 2, -1) > 0) {
		if (pfd[1].revents && !backward(r))
			break;
		if (pfd[0].revents && !forward(r, &free_at))
			break;
	}
	shutdown(r->inner[0], SHUT_RDWR);
	shutdown(r->inner[1], SHUT_RDWR);
	return NULL;
}

void fake_relay_start(struct fake_relay *r, uint64_t rate, uint64_t die_after, uint64_t flip_at)
{
	int left[2], right[2], size = 64 * 1024, i;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, left) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, right)) {
		perror("socketpair");
		abort();
	}
	for (i = 0; i < 2; i++)
		setsockopt(right[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	r->fd[0] = left[0];
	r->fd[1] = right[0];
	r->inner[0] = left[1];
	r->inner[1] = right[1];
	r->rate = rate;
	r->die_after = die_after;
	r->flip_at = flip_at;
	r->forwarded = 0;
	pthread_create(&r->thread, NULL, relay_thread, r);
}

void fake_relay_stop(struct fake_relay *r)
{
	int i;

	for (i = 0; i < 2; i++) {
		shutdown(r->inner[i], SHUT_RDWR);
		shutdown(r->fd[i], SHUT_RDWR);
	}
	pthread_join(r->thread, NULL);
	for (i = 0; i < 2; i++) {
		close(r->inner[i]);
		close(r->fd[i]);
	}
}
