// SPDX-License-Identifier: GPL-2.0
/*
 * How a harvest's cost grows with the guest's memory when what is dirty stays the same.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "lib/far.h"
#include "lib/rig.h"
#include "lib/rows.h"
#include "lib/stat.h"

#define TURNS 9
#define DIRTY 256
#define STRIDE (16 * PAGE_SIZE)
#define NR_SIZES 3

/* Beyond what four times the bitmap explains: a step, or something worse than linear. */
#define LINEAR (4 * 1.25)
#define FLAT 1.25

/* An emulated EPYC has 40 address bits: the last guest ends at 1 TiB, with RIG_BASE below. */
static const uint64_t sizes[NR_SIZES] = { 64 * GIB, 256 * GIB, FAR_END - RIG_BASE };

/* All sizes take turns. */
static void measure(enum way way, void *memory, double *medians)
{
	static struct rig rigs[NR_SIZES];
	double ns[NR_SIZES][TURNS];
	int i, s;

	for (s = 0; s < NR_SIZES; s++)
		rig_make(&rigs[s], way, sizes[s] / (4 * GIB), 4 * GIB / PAGE_SIZE, memory);
	for (i = -1; i < TURNS; i++) {
		for (s = 0; s < NR_SIZES; s++) {
			must("guest", far_touch(&rigs[s].vm, RIG_BASE, DIRTY, STRIDE));
			if (rig_harvest(&rigs[s], &ns[s][i < 0 ? 0 : i]) < DIRTY)
				die("pages were lost", 0);
		}
	}
	for (s = 0; s < NR_SIZES; s++) {
		medians[s] = median(ns[s], TURNS);
		rig_free(&rigs[s]);
	}
}

static void grows(const char *what, const char *rival, double small, double large, double most)
{
	row_add(&(struct row){
		.what = what, .rival_name = rival, .unit = "us",
		.ours = large / 1000, .rival = small / 1000,
		.figure = large / small, .figure_unit = "x",
		.bound = BOUND_AT_MOST, .need = most,
	});
}

int main(void)
{
	void *memory = rig_memory(sizes[NR_SIZES - 1]);
	double ns[NR_SIZES];

	pin_cpu(0);
	rows_open("/out/growth.json");
	measure(WAY_KVMX, memory, ns);
	grows("growth of a harvest, 256 GiB", "itself, 64 GiB", ns[0], ns[1], LINEAR);
	grows("growth of a harvest, 1 TiB", "itself, 256 GiB", ns[1], ns[2], LINEAR);
	measure(WAY_KVMX_RING, memory, ns);
	grows("growth of a ring harvest, 1 TiB", "itself, 64 GiB", ns[0], ns[2], FLAT);
	rows_close();
	return 0;
}
