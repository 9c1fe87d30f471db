// SPDX-License-Identifier: GPL-2.0
#include <math.h>

#include "guest.h"

#define HOT_PERIOD_MS	10

u64 rnd_next(struct rnd *r)
{
	u64 z;

	/* splitmix64: any seed will do, 0 included */
	r->state += 0x9e3779b97f4a7c15ULL;
	z = r->state;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

u64 rnd_below(struct rnd *r, u64 limit)
{
	return (u64)(((__uint128_t)rnd_next(r) * limit) >> 64);
}

u64 rnd_scale(struct rnd *r, unsigned int bits)
{
	return rnd_next(r) >> (64 - 1 - rnd_below(r, bits));
}

double rnd_real(struct rnd *r)
{
	return ldexp(rnd_next(r) >> 11, -53);
}

static double random_pages(u32 pages, u32 rate, double t)
{
	return pages ? pages * (1 - exp(-t * rate / pages)) : 0;
}

double load_pages(const struct load *load, u64 t_ns)
{
	double t = t_ns / 1e9;

	return fmin(load->hot, load->hot * t * 1000 / HOT_PERIOD_MS) +
	       random_pages(load->uniform, load->uniform_rate, t) +
	       random_pages(load->warm, load->warm_rate, t) +
	       fmin(load->stream, load->stream_rate * t) + fmin(load->grow, load->grow_rate * t);
}

void load_points(const struct load *load, struct kvmx_point *pt, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		pt[i].time_ns = MS << i;
		pt[i].pages = lround(load_pages(load, pt[i].time_ns));
	}
}

/* how many of the events that come at @rate a second fall into millisecond @now */
static u32 due(u64 now, u32 rate)
{
	return (now + 1) * rate / 1000 - now * rate / 1000;
}

static void in_order(struct guest *g, u32 base, u32 pages, u32 rate, bool again)
{
	u64 n = g->now_ms * rate / 1000;
	u32 i;

	for (i = due(g->now_ms, rate); pages && i; i--, n++) {
		if (again || n < pages)
			g->dirty(g->arg, base + n % pages);
	}
}

static void at_random(struct guest *g, u32 base, u32 pages, u32 rate)
{
	u32 i;

	for (i = due(g->now_ms, rate); pages && i; i--)
		g->dirty(g->arg, base + rnd_below(&g->rnd, pages));
}

void guest_step(struct guest *g)
{
	const struct load *load = g->load;
	u32 base = 0;

	in_order(g, base, load->hot, load->hot * 1000 / HOT_PERIOD_MS, true);
	base += load->hot;
	at_random(g, base, load->uniform, load->uniform_rate);
	base += load->uniform;
	at_random(g, base, load->warm, load->warm_rate);
	base += load->warm;
	in_order(g, base, load->stream, load->stream_rate, true);
	base += load->stream;
	in_order(g, base, load->grow, load->grow_rate, false);
	g->now_ms++;
}
