// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "prog.h"

#define MAGIC 0x6b766d7801000000ULL

static void random_call(struct call *c, uint32_t *rnd, uint32_t nr_ops)
{
	unsigned int i;

	c->op = next_random(rnd) % nr_ops;
	c->fd = next_random(rnd);
	for (i = 0; i < CALL_WORDS; i++)
		c->word[i] = next_random(rnd);
}

void prog_random(struct prog *p, uint32_t *rnd, uint32_t nr_ops)
{
	uint32_t i;

	p->nr = 1 + next_random(rnd) % PROG_CALLS;
	for (i = 0; i < p->nr; i++)
		random_call(&p->call[i], rnd, nr_ops);
}

static void insert_call(struct prog *p, uint32_t *rnd, uint32_t nr_ops)
{
	uint32_t at = next_random(rnd) % (p->nr + 1);

	if (p->nr == PROG_CALLS)
		return;
	memmove(&p->call[at + 1], &p->call[at], (p->nr - at) * sizeof(p->call[0]));
	random_call(&p->call[at], rnd, nr_ops);
	p->nr++;
}

static void drop_call(struct prog *p, uint32_t *rnd)
{
	uint32_t at = next_random(rnd) % p->nr;

	if (p->nr == 1)
		return;
	p->nr--;
	memmove(&p->call[at], &p->call[at + 1], (p->nr - at) * sizeof(p->call[0]));
}

/* The end of another program after the beginning of this one. */
static void splice(struct prog *p, const struct corpus *c, uint32_t *rnd)
{
	struct prog other;
	uint32_t at, from, n;

	if (!corpus_pick(c, rnd, &other))
		return;
	at = next_random(rnd) % (p->nr + 1);
	from = next_random(rnd) % other.nr;
	n = other.nr - from;
	if (n > PROG_CALLS - at)
		n = PROG_CALLS - at;
	if (!n)
		return;
	memcpy(&p->call[at], &other.call[from], n * sizeof(p->call[0]));
	p->nr = at + n;
}

void prog_mutate(struct prog *p, const struct corpus *c, uint32_t *rnd, uint32_t nr_ops)
{
	uint32_t n = 1 + next_random(rnd) % 4;
	struct call *call;

	while (n--) {
		call = &p->call[next_random(rnd) % p->nr];
		switch (next_random(rnd) % 8) {
		case 0:
			insert_call(p, rnd, nr_ops);
			break;
		case 1:
			drop_call(p, rnd);
			break;
		case 2:
			splice(p, c, rnd);
			break;
		case 3:
			call->fd = next_random(rnd);
			break;
		case 4:
			call->word[next_random(rnd) % CALL_WORDS] ^= 1U << next_random(rnd) % 32;
			break;
		default:
			call->word[next_random(rnd) % CALL_WORDS] = next_random(rnd);
		}
	}
}

static uint32_t corpus_nr(const struct corpus *c)
{
	uint32_t nr = __atomic_load_n(&c->reserved, __ATOMIC_ACQUIRE);

	return nr < CORPUS_MAX ? nr : CORPUS_MAX;
}

int corpus_pick(const struct corpus *c, uint32_t *rnd, struct prog *p)
{
	uint32_t nr = corpus_nr(c), i;

	if (!nr)
		return 0;
	i = next_random(rnd) % nr;
	if (!__atomic_load_n(&c->valid[i], __ATOMIC_ACQUIRE))
		return 0;
	*p = c->prog[i];
	return 1;
}

void corpus_add(struct corpus *c, const struct prog *p)
{
	uint32_t i;

	if (__atomic_load_n(&c->reserved, __ATOMIC_RELAXED) >= CORPUS_MAX)
		return;
	i = __atomic_fetch_add(&c->reserved, 1, __ATOMIC_ACQ_REL);
	if (i >= CORPUS_MAX)
		return;
	c->prog[i] = *p;
	__atomic_store_n(&c->valid[i], 1, __ATOMIC_RELEASE);
}

static int sound(const struct prog *p, uint32_t nr_ops)
{
	uint32_t i;

	if (!p->nr || p->nr > PROG_CALLS)
		return 0;
	for (i = 0; i < p->nr; i++)
		if (p->call[i].op >= nr_ops)
			return 0;
	return 1;
}

int corpus_load(struct corpus *c, const char *file, uint32_t nr_ops)
{
	FILE *f = fopen(file, "r");
	uint64_t magic = 0;
	struct prog p;
	int nr = 0;

	if (!f)
		return errno == ENOENT ? 0 : -errno;
	/* That of another table of calls means something else now. */
	if (fread(&magic, sizeof(magic), 1, f) == 1 && magic == (MAGIC | nr_ops)) {
		while (fread(&p, sizeof(p), 1, f) == 1 && sound(&p, nr_ops)) {
			corpus_add(c, &p);
			nr++;
		}
	}
	fclose(f);
	return nr;
}

int corpus_save(const struct corpus *c, const char *file, uint32_t nr_ops)
{
	uint64_t magic = MAGIC | nr_ops;
	FILE *f = fopen(file, "w");
	uint32_t i;
	int nr = 0;

	if (!f)
		return -errno;
	fwrite(&magic, sizeof(magic), 1, f);
	for (i = 0; i < corpus_nr(c); i++) {
		if (!c->valid[i])
			continue;
		fwrite(&c->prog[i], sizeof(c->prog[i]), 1, f);
		nr++;
	}
	return fclose(f) ? -errno : nr;
}
