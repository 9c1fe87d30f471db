// SPDX-License-Identifier: LGPL-2.1
/* What the link carries, what a page costs, how long answers take. */
#include <math.h>

#include "sender.h"

#define HALF_LIFE_NS	(700 * NSEC_PER_MSEC)
#define PING_EVERY_NS	(150 * NSEC_PER_MSEC)
/* The first bytes only fill queues on the way: they say nothing about the link. */
#define WARM_UP_NS	(80 * NSEC_PER_MSEC)
#define CHUNK_NS	(6 * NSEC_PER_MSEC)
#define CHUNK_PAGES	60
#define STOP_NS		(1500 * 1000)
#define STOP_PAGES	300

void measure_begin(struct sender *s)
{
	s->mark_ns = now_ns();
	if (!s->sending_since)
		s->sending_since = s->mark_ns;
	s->mark_bytes = s->conn.link.sent;
	s->mark_same = s->report->same_pages;
	s->mark_queue = s->queue_ns;
	s->idle = false;
}

static void rate_add(struct rate *r, double amount, double ns)
{
	double keep = exp2(-ns / HALF_LIFE_NS);

	r->amount = r->amount * keep + amount;
	r->ns = r->ns * keep + ns;
}

/* Account for the slice that ends now, if the link was what held us up in it. */
void measure_link(struct sender *s, uint64_t now)
{
	double bytes = s->conn.link.sent - s->mark_bytes;
	uint64_t same = s->report->same_pages - s->mark_same, bandwidth;

	measure_queue(s, now);
	/* What only filled the queue did not go over the link. */
	bytes -= ((double)s->queue_ns - s->mark_queue) * measure_bandwidth(s) / NSEC_PER_SEC;
	if (now > s->mark_ns && !s->idle && same * 64 * 8 < bytes &&
	    now - s->sending_since > WARM_UP_NS)
		rate_add(&s->link, fmax(bytes, 0), now - s->mark_ns);
	bandwidth = measure_bandwidth(s);
	if (bandwidth) {
		s->chunk_max = bandwidth * CHUNK_NS / NSEC_PER_SEC / PAGE_BYTES;
		s->chunk_max = max_u64(min_u64(s->chunk_max, CHUNK_PAGES), 2);
	}
	measure_begin(s);
}

uint64_t measure_bandwidth(const struct sender *s)
{
	uint64_t limit = s->policy->bandwidth, bandwidth;

	if (s->link.ns < 50 * NSEC_PER_MSEC)
		return limit;
	bandwidth = s->link.amount / s->link.ns * NSEC_PER_SEC;
	return limit ? min_u64(bandwidth, limit) : max_u64(bandwidth, 1);
}

/*
 * What it takes to stop the guest, save and load its state, if the VMM does not say: not known
 * before it was done, but some hundred system calls and page copies on any host, be it emulated.
 */
static void guess_stop(struct sender *s)
{
	if (s->policy->fixed_ns || s->report->aborts)
		return;
	s->stop_ns = STOP_NS + STOP_PAGES * s->page_cpu;
	s->load_ns = s->stop_ns;
}

void measure_stop(struct sender *s, uint64_t stop_ns, uint64_t state_bytes)
{
	s->state_bytes = state_bytes;
	s->stop_ns = stop_ns;
	/* Loading is the same in reverse. */
	s->load_ns = max_u64(s->policy->fixed_ns / 2, stop_ns);
}

/* Look at some of what is pending: what would it cost to send it? */
void measure_pending(struct sender *s, uint32_t samples)
{
	uint64_t idx[512], begin = now_ns();
	double bytes = 0, weight;
	uint32_t n, i;

	n = pages_spread(&s->pages, samples < ARRAY_SIZE(idx) ? samples : ARRAY_SIZE(idx), idx);
	if (!n)
		return;
	for (i = 0; i < n; i++) {
		uint32_t cost;

		cost = tx_page_cost(s, tx_page_copy(s, idx[i], s->page));
		if (s->content && pages_sent(&s->pages, idx[i]) &&
		    pages_same(&s->pages, idx[i], pages_hash(s->page)))
			continue;
		bytes += cost + (cost ? STREAM_RUN / 2 : 1);
	}
	weight = n / (n + 32.);
	s->page_cost += (bytes / n - s->page_cost) * weight;
	s->page_cpu += ((double)(now_ns() - begin) / n - s->page_cpu) * (s->page_cpu ? weight : 1);
	guess_stop(s);
}

/* Called for each page of a harvest: watch one of them now and then. */
void measure_probe(struct sender *s, uint64_t idx)
{
	struct probe *p;

	if (!s->content || s->probe_skip--)
		return;
	p = &s->probe[now_ns() / 64 % SENDER_PROBES];
	s->probe_skip = 16 + now_ns() % 16;
	if (p->used)
		return;
	p->idx = idx;
	p->quantum = s->pages.heat.now;
	tx_page_copy(s, idx, s->page);
	p->hash = pages_hash(s->page);
	p->used = true;
}

/* After a harvest: those of them that were written again, do they differ? */
void measure_probes(struct sender *s)
{
	unsigned int stamp = s->pages.heat.stamp;
	uint32_t i;

	if (!s->content)
		return;
	for (i = 0; i < SENDER_PROBES; i++) {
		struct probe *p = &s->probe[i];
		struct page_entry now;
		double weight;
		uint32_t cost;
		bool changed;

		/* One put in just now was not written again yet. */
		if (!p->used || p->quantum == s->pages.heat.now ||
		    (pages_stamp(&s->pages, p->idx) & 0xff) != stamp)
			continue;
		cost = tx_page_cost(s, tx_page_copy(s, p->idx, s->page)) + STREAM_RUN / 2;
		now = pages_hash(s->page);
		changed = now.low != p->hash.low || now.high != p->hash.high;
		/* The first few count for more: there is nothing better to go by. */
		weight = fmax(1. / 64, 1. / (4 + ++s->probes));
		s->dirty_changed += ((changed ? 1 : 0) - s->dirty_changed) * weight;
		s->dirty_cost += (cost - s->dirty_cost) * weight;
		p->used = false;
	}
}

/* What the ping was behind of in the queues is what they hold when they are full. */
static void see_pong(struct sender *s)
{
	uint64_t took = s->conn.pong_ns - s->ping_ns, queued;

	s->ping_seen = s->ping;
	s->rtt_ns = min_u64(s->rtt_ns, took);
	queued = took - s->rtt_ns;
	/* A side that was slow for once is no queue. */
	if (queued > s->full_ns)
		s->full_ns = s->full_ns ? (s->full_ns + queued) / 2 : queued;
	else if (s->ping_full)
		s->full_ns = (s->full_ns * 3 + queued) / 4;
}

void measure_queue(struct sender *s, uint64_t now)
{
	uint64_t bytes = s->conn.link.sent - s->queue_bytes, bandwidth = measure_bandwidth(s);
	uint64_t gone = now - s->queue_at;

	s->queue_at = now;
	s->queue_bytes = s->conn.link.sent;
	s->queue_ns -= min_u64(s->queue_ns, gone);
	if (bandwidth)
		s->queue_ns += (double)bytes / bandwidth * NSEC_PER_SEC;
	if (s->conn.link.blocked || s->queue_ns > s->full_ns)
		s->queue_ns = s->full_ns;
	s->conn.link.blocked = false;
}

int measure_ping(struct sender *s, uint64_t now)
{
	uint8_t payload[8];
	int ret;

	if (s->conn.pong == s->ping && s->ping_seen != s->ping)
		see_pong(s);
	if (s->conn.link.kind != LINK_SOCKET || s->ping_seen != s->ping ||
	    now - s->ping_ns < PING_EVERY_NS)
		return 0;
	ret = tx_flush(s);
	if (ret)
		return ret;
	put_le64(payload, ++s->ping);
	s->ping_ns = now_ns();
	measure_queue(s, s->ping_ns);
	s->ping_full = s->queue_ns == s->full_ns;
	return conn_put_small(&s->conn, CHUNK_PING, payload, sizeof(payload), NULL);
}

/* A guest so small that the link was never the bottleneck: it carries at least what it did. */
static double least_bandwidth(const struct sender *s)
{
	uint64_t elapsed = now_ns() - s->sending_since;

	if (elapsed < 2 * WARM_UP_NS)
		return 0;
	return (double)s->conn.link.sent / (elapsed + s->queue_ns) * NSEC_PER_SEC;
}

/* What goes over the link takes, at the bandwidth there is. */
static double wire(const struct sender *s, double bytes)
{
	double bandwidth = measure_bandwidth(s);

	if (!bandwidth)
		bandwidth = least_bandwidth(s);
	return bandwidth ? bytes / bandwidth * NSEC_PER_SEC : INFINITY;
}

/* END to READY and GO to RUNNING. A file says nothing. */
static uint64_t answers(const struct sender *s)
{
	if (s->conn.link.kind != LINK_SOCKET)
		return 0;
	return s->load_ns + 2 * s->rtt_ns;
}

/* From the pause to the first page that is sent in it. */
static uint64_t before_rest(const struct sender *s, double pages)
{
	return s->stop_ns + s->harvest_ns + candidates_ns(s) +
	       fmin(pages, HANDOVER_SAMPLES) * s->page_cpu;
}

uint64_t measure_fixed(const struct sender *s)
{
	double state = wire(s, s->state_bytes);

	/* What is queued goes out meanwhile. */
	return max_u64(before_rest(s, HANDOVER_SAMPLES), s->queue_ns) + answers(s) +
	       (isinf(state) ? 0 : state);
}

uint64_t measure_rest(const struct sender *s, double pages)
{
	double time = wire(s, pages * s->page_cost + s->state_bytes);

	if (isinf(time))
		return KVMX_PREDICT_NEVER;
	return s->queue_ns + fmax(time, pages * s->page_cpu) + answers(s) + 1;
}

uint64_t measure_pause(const struct sender *s, double pages)
{
	uint64_t stop = before_rest(s, pages);
	uint64_t rest = measure_rest(s, pages + candidates_pages(s));

	if (rest == KVMX_PREDICT_NEVER)
		return rest;
	return rest + (stop > s->queue_ns ? stop - s->queue_ns : 0);
}
