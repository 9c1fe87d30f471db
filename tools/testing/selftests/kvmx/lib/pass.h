/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whole passes of HARVEST, each answer checked against the rules of the UAPI, and shadow copies
 * that are kept up to date from nothing but those answers.
 */
#ifndef SELFTEST_KVMX_PASS_H
#define SELFTEST_KVMX_PASS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/kx.h"
#include "lib/vm.h"

/* Guest frames that a pass can note: 4 GiB in two address spaces. */
#define PASS_GFNS 0x100000UL
#define PASS_SPACES 2

struct pass {
	uint8_t *seen[PASS_SPACES];	/* by gfn: 0, or page class + 1 */
	uint64_t pages;
	uint64_t by_class[5];
	uint32_t calls;
	uint32_t runs;
	uint32_t status;		/* of all calls, or'ed */
	/* How to call: */
	uint32_t flags;
	uint32_t room;			/* runs per call */
	uint64_t max_pages;
	/* Called for each answer before the next call; not 0: give up with that */
	int (*on_runs)(struct pass *pass, const struct kvmx_run *runs, uint32_t nr);
	void *data;
};

int pass_init(struct pass *pass);
void pass_fini(struct pass *pass);

/* One pass. -EPROTO if an answer broke a rule: which one is printed. */
int pass_run(struct pass *pass, int tracker);

bool pass_has(struct pass *pass, uint64_t gfn);
/* How many of these pages were returned */
uint64_t pass_count(struct pass *pass, uint64_t gfn, uint64_t npages);
uint64_t pass_count_class(struct pass *pass, uint64_t gfn, uint64_t npages, uint32_t page_class);

/* A copy of each slot of @vm, made of what passes return. */
struct shadow {
	struct vm *vm;
	char *copy[VM_MAX_SLOTS];	/* as vm->slot[] */
	int tracker;
	struct pass pass;
	/* Give back every n-th run as if its send had failed; 0: none */
	uint32_t fail_every;
	uint32_t count;
	uint64_t restored;
};

int shadow_init(struct shadow *shadow, struct vm *vm, int tracker);
void shadow_fini(struct shadow *shadow);
/* One pass, what it returned copied. */
int shadow_update(struct shadow *shadow);
/* Passes until one returns nothing: for VMs at rest. */
int shadow_settle(struct shadow *shadow);
/* How many pages of slots that are there now differ; the first is printed. */
uint64_t shadow_differs(struct shadow *shadow);

#endif
