// SPDX-License-Identifier: LGPL-2.1
#include <errno.h>
#include <stdlib.h>

#include "sim-pipe.h"

#define PACKET		4096
#define MEMORY_RATE	1000000000
#define DEFAULT_QUEUE	(160 * 1024)
#define LEAST_WINDOW	(64 * 1024)

void sim_pipe_init(struct sim_pipe *p, const struct sim_link *link, uint64_t seed)
{
	memset(p, 0, sizeof(*p));
	p->link = *link;
	if (!p->link.rate)
		p->link.rate = MEMORY_RATE;
	if (!p->link.queue)
		p->link.queue = DEFAULT_QUEUE;
	p->seed = seed * 2 + 88172645463325252ULL;
	p->die_after = SIM_NEVER;
	p->flip_at = SIM_NEVER;
	p->size = p->link.queue + 2 * LEAST_WINDOW +
		  p->link.rate / 1000000 * (p->link.latency_ns / 1000) * 2;
	p->ring = malloc(p->size);
	if (!p->ring)
		abort();
}

void sim_pipe_free(struct sim_pipe *p)
{
	free(p->ring);
	p->ring = NULL;
}

/* How much the receiver's side takes: what is on the way at any time, and a bit. */
static uint64_t window(const struct sim_pipe *p)
{
	return p->size - p->link.queue - LEAST_WINDOW;
}

static uint64_t next_packet(const struct sim_pipe *p)
{
	uint64_t len = p->written - p->left;

	if (len > PACKET)
		len = PACKET;
	if (!len || p->dead || p->nr == SIM_FLIGHT || p->left - p->taken + len > window(p))
		return 0;
	return len;
}

static uint64_t duration(struct sim_pipe *p, uint64_t len)
{
	uint64_t ns = len * 1000000000 / p->link.rate;

	if (!p->link.wobble)
		return ns;
	p->seed ^= p->seed << 13;
	p->seed ^= p->seed >> 7;
	p->seed ^= p->seed << 17;
	return ns * (100 - p->link.wobble + p->seed % (2 * p->link.wobble + 1)) / 100;
}

static void arrive(struct sim_pipe *p, uint64_t now)
{
	while (p->nr && p->flight[p->first].at <= now) {
		p->arrived = p->flight[p->first].end;
		p->first = (p->first + 1) % SIM_FLIGHT;
		p->nr--;
	}
	if (p->arrived >= p->die_after) {
		p->arrived = p->die_after;
		p->dead = true;
	}
}

static void leave(struct sim_pipe *p, uint64_t now)
{
	uint64_t len;

	while (p->free_at <= now && (len = next_packet(p))) {
		uint32_t slot = (p->first + p->nr++) % SIM_FLIGHT;

		p->left += len;
		p->free_at = now + duration(p, len);
		p->flight[slot].end = p->left;
		p->flight[slot].at = p->free_at + p->link.latency_ns;
	}
}

void sim_pipe_pump(struct sim_pipe *p, uint64_t now)
{
	if (p->dead)
		return;
	arrive(p, now);
	leave(p, now);
}

uint64_t sim_pipe_next(const struct sim_pipe *p, uint64_t now)
{
	uint64_t next = SIM_NEVER;

	if (p->dead)
		return next;
	if (p->nr)
		next = p->flight[p->first].at;
	if (next_packet(p) && p->free_at < next)
		next = p->free_at > now ? p->free_at : now;
	return next;
}

void sim_pipe_kill(struct sim_pipe *p)
{
	p->dead = true;
}

ssize_t sim_pipe_write(struct sim_pipe *p, const void *buf, size_t len)
{
	uint64_t room = p->link.queue - (p->written - p->left), i;
	const uint8_t *from = buf;

	if (p->gone || p->closed || p->dead) {
		errno = EPIPE;
		return -1;
	}
	if (!room) {
		errno = EAGAIN;
		return -1;
	}
	if (len > room)
		len = room;
	for (i = 0; i < len;) {
		uint64_t at = (p->written + i) % p->size, n = p->size - at;

		if (n > len - i)
			n = len - i;
		memcpy(p->ring + at, from + i, n);
		i += n;
	}
	if (p->flip_at >= p->written && p->flip_at < p->written + len)
		p->ring[p->flip_at % p->size] ^= 4;
	p->written += len;
	return len;
}

ssize_t sim_pipe_read(struct sim_pipe *p, void *buf, size_t len)
{
	uint64_t there = p->arrived - p->taken, i;
	uint8_t *to = buf;

	if (!there || p->gone) {
		/* The end of the stream, once all before it was taken. */
		if (p->dead || p->gone || (p->closed && p->arrived == p->written))
			return 0;
		errno = EAGAIN;
		return -1;
	}
	if (len > there)
		len = there;
	for (i = 0; i < len;) {
		uint64_t at = (p->taken + i) % p->size, n = p->size - at;

		if (n > len - i)
			n = len - i;
		memcpy(to + i, p->ring + at, n);
		i += n;
	}
	p->taken += len;
	return len;
}

bool sim_pipe_readable(const struct sim_pipe *p)
{
	return p->arrived > p->taken || p->dead || p->gone ||
	       (p->closed && p->arrived == p->written);
}

/* As with TCP: not before there is room worth while. */
bool sim_pipe_writable(const struct sim_pipe *p)
{
	return p->gone || p->closed || p->dead ||
	       p->written - p->left <= p->link.queue / 3 * 2;
}
