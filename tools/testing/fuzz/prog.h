/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs, short sequences of calls, and the corpus of those that were worth keeping. Nothing here
 * knows what a call means.
 */
#ifndef FUZZ_PROG_H
#define FUZZ_PROG_H

#include <stdint.h>

#define PROG_CALLS 16
#define CALL_WORDS 12
#define CORPUS_MAX 4096

struct call {
	uint16_t op;
	uint16_t fd;
	uint32_t word[CALL_WORDS];
};

struct prog {
	uint32_t nr;
	struct call call[PROG_CALLS];
};

/*
 * Workers are killed at any moment: an entry is written first and counted then, and nobody ever
 * waits for anybody.
 */
struct corpus {
	uint32_t reserved;
	uint32_t valid[CORPUS_MAX];
	struct prog prog[CORPUS_MAX];
};

void prog_random(struct prog *p, uint32_t *rnd, uint32_t nr_ops);
void prog_mutate(struct prog *p, const struct corpus *c, uint32_t *rnd, uint32_t nr_ops);
/* A random one; 0 if there is none yet. */
int corpus_pick(const struct corpus *c, uint32_t *rnd, struct prog *p);
void corpus_add(struct corpus *c, const struct prog *p);
/* How many programs were read or written; -errno */
int corpus_load(struct corpus *c, const char *file, uint32_t nr_ops);
int corpus_save(const struct corpus *c, const char *file, uint32_t nr_ops);

#endif
