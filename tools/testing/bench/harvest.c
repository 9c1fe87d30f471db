// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs to learn which pages were written: kvmx beside each way KVM has by itself. All
 * VMs share their memory and take turns, so that whatever disturbs the machine hits them alike.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/far.h"
#include "lib/rig.h"
#include "lib/rows.h"
#include "lib/stat.h"

#define TURNS 9

/**
 * struct race - guests of one shape, all ways beside one another
 * @nr_slots: memslots
 * @slot_pages: pages of each
 * @count: pages the guest writes before each harvest
 * @stride: pages from one to the next
 * @ways: who takes part, a bit each
 */
struct race {
	uint32_t nr_slots;
	uint64_t slot_pages;
	uint32_t count;
	uint64_t stride;
	unsigned int ways;
};

static double medians[NR_WAYS];

static double turn(struct rig *rig, const struct race *race)
{
	uint64_t pages;
	double ns;

	must("guest", far_touch(&rig->vm, RIG_BASE, race->count, race->stride * PAGE_SIZE));
	pages = rig_harvest(rig, &ns);
	/* The guest's own program and its tables may come with them. */
	if (pages < race->count || pages > race->count + VM_CODE_PAGES) {
		fprintf(stderr, "%s: %lu pages instead of %u\n", way_names[rig->way], pages,
			race->count);
		die("harvest", EPROTO);
	}
	return ns;
}

static void run(uint32_t nr_slots, uint64_t slot_pages, uint32_t count, uint64_t stride,
		unsigned int ways)
{
	const struct race shape = { nr_slots, slot_pages, count, stride, ways }, *race = &shape;
	uint64_t bytes = nr_slots * slot_pages * PAGE_SIZE;
	static struct rig rigs[NR_WAYS];
	double ns[NR_WAYS][TURNS];
	void *memory = rig_memory(bytes);
	int i, way;

	for (way = 0; way < NR_WAYS; way++)
		if (race->ways & 1 << way)
			rig_make(&rigs[way], way, race->nr_slots, race->slot_pages, memory);
	/* The first turn, which finds every page unmapped, does not count. */
	for (i = -1; i < TURNS; i++)
		for (way = 0; way < NR_WAYS; way++)
			if (race->ways & 1 << way)
				ns[way][i < 0 ? 0 : i] = turn(&rigs[way], race);
	for (way = 0; way < NR_WAYS; way++) {
		if (!(race->ways & 1 << way))
			continue;
		medians[way] = median(ns[way], TURNS);
		rig_free(&rigs[way]);
	}
	munmap(memory, bytes);
}

#define BITMAP_WAYS (1 << WAY_KVMX | 1 << WAY_GET_CLEAR | 1 << WAY_TUNED | 1 << WAY_TUNED_PIECES)

/* Against GET and CLEAR as VMMs use them, and against the best that could be made of them. */
static void against_clear(const char *what, double need, bool known)
{
	int way = medians[WAY_TUNED] < medians[WAY_TUNED_PIECES] ? WAY_TUNED : WAY_TUNED_PIECES;

	row_faster(what, way_names[WAY_GET_CLEAR], medians[WAY_KVMX], medians[WAY_GET_CLEAR],
		   need, known);
	row_faster(what, way_names[way], medians[WAY_KVMX], medians[way], 0, false);
}

static void against(const char *what, enum way ours, enum way rival, double need, bool known)
{
	row_faster(what, way_names[rival], medians[ours], medians[rival], need, known);
}

/*
 * All in a corner, as a working set is, or as far from one another as can be. In the latter case
 * KVM's part of the work, one CLEAR or reset for each page, is most of it and the same for all.
 */
static void many_slots(void)
{
	static const struct {
		const char *what;
		const char *ring;
		uint64_t stride;
		bool far;
	} spreads[] = {
		{ "harvest 64 x 4 GiB, 256 dirty, one slot", "ring 256 GiB, 256 dirty, one slot",
		  16, false },
		{ "harvest 64 x 4 GiB, 256 dirty, all slots", "ring 256 GiB, 256 dirty, all slots",
		  GIB / PAGE_SIZE, true },
	};
	unsigned int i;

	for (i = 0; i < sizeof(spreads) / sizeof(spreads[0]); i++) {
		run(64, 4 * GIB / PAGE_SIZE, 256, spreads[i].stride,
		    BITMAP_WAYS | 1 << WAY_GET | 1 << WAY_KVMX_RING | 1 << WAY_RING);
		against_clear(spreads[i].what, 2, false);
		against(spreads[i].what, WAY_KVMX, WAY_GET, 4, spreads[i].far);
		against(spreads[i].ring, WAY_KVMX_RING, WAY_GET, 20, spreads[i].far);
		against(spreads[i].ring, WAY_KVMX_RING, WAY_RING, 0, false);
	}
	run(500, 64 * MIB / PAGE_SIZE, 256, 16, BITMAP_WAYS);
	against_clear("harvest 500 x 64 MiB, 256 dirty, few slots", 2.5, false);
	run(500, 64 * MIB / PAGE_SIZE, 256, 500 * 64 * MIB / 256 / PAGE_SIZE, BITMAP_WAYS);
	against_clear("harvest 500 x 64 MiB, 256 dirty, 256 slots", 2.5, true);
}

static void one_slot(void)
{
	enum { PAGES = 256 * MIB / PAGE_SIZE };

	run(1, PAGES, PAGES / 100, 100, BITMAP_WAYS);
	against_clear("harvest one slot, 1 % dirty", 0.95, false);
	/* Every other page: as many runs as there can be. */
	run(1, PAGES, PAGES / 2, 2, BITMAP_WAYS);
	against_clear("harvest one slot, 50 % dirty, every other", 0.95, false);
	run(1, PAGES, PAGES / 2, 1, BITMAP_WAYS);
	against_clear("harvest one slot, 50 % dirty, one half", 0.95, false);
	run(1, PAGES, PAGES, 1, BITMAP_WAYS);
	against_clear("harvest one slot, 100 % dirty", 0.95, false);
}

int main(void)
{
	pin_cpu(0);
	rows_open("/out/harvest.json");
	many_slots();
	one_slot();
	rows_close();
	return 0;
}
