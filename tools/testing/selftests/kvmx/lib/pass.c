// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/pass.h"

#define DEFAULT_ROOM 1024
/* A run is never cut short of this to obey max_pages. */
#define RUN_GRAIN 64
#define POISON 0xa5

static void *zeroed(size_t bytes)
{
	void *p;

	/* Not calloc(): untouched parts of these large tables must cost nothing. */
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

int pass_init(struct pass *pass)
{
	memset(pass, 0, sizeof(*pass));
	pass->room = DEFAULT_ROOM;
	pass->seen[0] = zeroed(PASS_GFNS * PASS_SPACES);
	if (!pass->seen[0])
		return -ENOMEM;
	pass->seen[1] = pass->seen[0] + PASS_GFNS;
	return 0;
}

void pass_fini(struct pass *pass)
{
	munmap(pass->seen[0], PASS_GFNS * PASS_SPACES);
}

static int broken(const char *rule, uint64_t a, uint64_t b)
{
	fprintf(stderr, "# HARVEST: %s (%#llx, %#llx)\n", rule, (unsigned long long)a,
		(unsigned long long)b);
	return -EPROTO;
}

struct position {
	uint32_t as;
	uint64_t gfn;
};

static int note_run(struct pass *pass, const struct kvmx_run *run, struct position *pos)
{
	uint32_t as = run->slot >> 16;
	uint64_t gfn;

	if (!run->npages)
		return broken("empty run", run->gfn, run->slot);
	if (run->__reserved)
		return broken("reserved field of a run is not zero", run->gfn, run->__reserved);
	if (run->page_class > KVMX_CLASS_DMA)
		return broken("unknown class", run->gfn, run->page_class);
	if (as >= PASS_SPACES || run->gfn + run->npages > PASS_GFNS)
		return broken("run out of any memslot", run->gfn, run->slot);
	if (as < pos->as || (as == pos->as && run->gfn < pos->gfn))
		return broken("runs out of order, or a page twice", run->gfn, pos->gfn);
	for (gfn = run->gfn; gfn < run->gfn + run->npages; gfn++)
		pass->seen[as][gfn] = run->page_class + 1;
	pass->by_class[run->page_class] += run->npages;
	pos->as = as;
	pos->gfn = run->gfn + run->npages;
	return 0;
}

static int check_answer(struct pass *pass, const struct kvmx_harvest *arg,
			const struct kvmx_run *runs, struct position *pos)
{
	bool more = arg->status & KVMX_HARVEST_MORE;
	uint64_t pages = 0;
	uint32_t i;
	int ret;

	if (arg->nr_runs > pass->room)
		return broken("more runs than room", arg->nr_runs, pass->room);
	for (i = 0; i < arg->nr_runs; i++) {
		ret = note_run(pass, &runs[i], pos);
		if (ret)
			return ret;
		pages += runs[i].npages;
	}
	if (pages != arg->nr_pages)
		return broken("nr_pages is not the sum of the runs", arg->nr_pages, pages);
	if (pass->max_pages && pages > pass->max_pages &&
	    pages - pass->max_pages >= 2 * RUN_GRAIN)
		return broken("far more than max_pages", pages, pass->max_pages);
	if (more != !!arg->cursor)
		return broken("MORE and the cursor contradict", arg->status, arg->cursor);
	if (arg->__reserved)
		return broken("reserved field is not zero", arg->__reserved, 0);
	if (!all_bytes(&runs[arg->nr_runs], POISON,
		       (pass->room - arg->nr_runs) * sizeof(*runs)))
		return broken("wrote behind the last run", arg->nr_runs, pass->room);
	pass->pages += pages;
	pass->runs += arg->nr_runs;
	return 0;
}

int pass_run(struct pass *pass, int tracker)
{
	struct kvmx_harvest arg = { 0 };
	struct position pos = { 0 };
	struct kvmx_run *runs;
	int ret;

	runs = malloc(pass->room * sizeof(*runs));
	if (!runs)
		return -ENOMEM;
	madvise(pass->seen[0], PASS_GFNS * PASS_SPACES, MADV_DONTNEED);
	memset(pass->by_class, 0, sizeof(pass->by_class));
	pass->pages = 0;
	pass->runs = 0;
	pass->calls = 0;
	pass->status = 0;
	do {
		arg = KX_ARG(kvmx_harvest, .flags = pass->flags, .runs = (uintptr_t)runs,
			     .nr_runs = pass->room, .run_size = sizeof(*runs),
			     .cursor = arg.cursor, .max_pages = pass->max_pages,
			     .nr_pages = ~0ULL, .status = ~0U);
		memset(runs, POISON, pass->room * sizeof(*runs));
		ret = kx_ioctl(tracker, KVMX_HARVEST, &arg);
		if (ret)
			break;
		pass->calls++;
		pass->status |= arg.status;
		ret = check_answer(pass, &arg, runs, &pos);
		if (!ret && pass->on_runs)
			ret = pass->on_runs(pass, runs, arg.nr_runs);
	} while (!ret && arg.cursor);
	free(runs);
	return ret;
}

bool pass_has(struct pass *pass, uint64_t gfn)
{
	return pass->seen[0][gfn];
}

uint64_t pass_count(struct pass *pass, uint64_t gfn, uint64_t npages)
{
	uint64_t i, n = 0;

	for (i = 0; i < npages; i++)
		n += !!pass->seen[0][gfn + i];
	return n;
}

uint64_t pass_count_class(struct pass *pass, uint64_t gfn, uint64_t npages, uint32_t page_class)
{
	uint64_t i, n = 0;

	for (i = 0; i < npages; i++)
		n += pass->seen[0][gfn + i] == page_class + 1;
	return n;
}

static int copy_run(struct shadow *shadow, const struct kvmx_run *run)
{
	struct vm_slot *slot = vm_slot_of(shadow->vm, run->slot >> 16, run->gfn);
	size_t offset;
	char *to;

	if (!slot || run->gfn + run->npages > slot->gfn + slot->npages)
		return broken("run is not in one memslot", run->gfn, run->npages);
	if (slot->id != run->slot)
		return broken("run names another memslot", run->slot, slot->id);
	offset = (run->gfn - slot->gfn) * PAGE_SIZE;
	to = shadow->copy[slot - shadow->vm->slot] + offset;
	if (run->page_class == KVMX_CLASS_ABSENT)
		memset(to, 0, run->npages * PAGE_SIZE);
	else
		memcpy(to, slot->hva + offset, run->npages * PAGE_SIZE);
	return 0;
}

static int shadow_runs(struct pass *pass, const struct kvmx_run *runs, uint32_t nr)
{
	struct shadow *shadow = pass->data;
	uint64_t dropped;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < nr && !ret; i++) {
		if (shadow->fail_every && ++shadow->count % shadow->fail_every == 0) {
			ret = kx_restore(shadow->tracker, &runs[i], 1, &dropped);
			if (!ret && dropped)
				ret = broken("RESTORE dropped pages", runs[i].gfn, dropped);
			shadow->restored += runs[i].npages;
		} else {
			ret = copy_run(shadow, &runs[i]);
		}
	}
	return ret;
}

int shadow_init(struct shadow *shadow, struct vm *vm, int tracker)
{
	int i;

	memset(shadow, 0, sizeof(*shadow));
	if (pass_init(&shadow->pass))
		return -ENOMEM;
	shadow->vm = vm;
	shadow->tracker = tracker;
	shadow->pass.on_runs = shadow_runs;
	shadow->pass.data = shadow;
	for (i = 0; i < vm->nr_slots; i++) {
		shadow->copy[i] = zeroed(vm->slot[i].npages * PAGE_SIZE);
		if (!shadow->copy[i])
			return -ENOMEM;
		/* Nothing is right until a pass has returned it. */
		memset(shadow->copy[i], POISON, vm->slot[i].npages * PAGE_SIZE);
	}
	return 0;
}

void shadow_fini(struct shadow *shadow)
{
	int i;

	for (i = 0; i < shadow->vm->nr_slots; i++)
		munmap(shadow->copy[i], shadow->vm->slot[i].npages * PAGE_SIZE);
	pass_fini(&shadow->pass);
}

int shadow_update(struct shadow *shadow)
{
	return pass_run(&shadow->pass, shadow->tracker);
}

int shadow_settle(struct shadow *shadow)
{
	int ret;

	do {
		ret = shadow_update(shadow);
	} while (!ret && shadow->pass.pages);
	return ret;
}

uint64_t shadow_differs(struct shadow *shadow)
{
	struct vm_slot *slot = shadow->vm->slot;
	uint64_t page, differs = 0;
	int i;

	for (i = 0; i < shadow->vm->nr_slots; i++, slot++) {
		if (!slot->present)
			continue;
		for (page = 0; page < slot->npages; page++) {
			if (!memcmp(shadow->copy[i] + page * PAGE_SIZE,
				    slot->hva + page * PAGE_SIZE, PAGE_SIZE))
				continue;
			if (!differs++)
				fprintf(stderr, "# slot %#x gfn %#llx differs\n", slot->id,
					(unsigned long long)(slot->gfn + page));
		}
	}
	return differs;
}
