/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The same VM with each of the ways to find out what it has written. Whatever fails ends the
 * program.
 */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include <linux/kvmx.h>
#include <stdint.h>

#include "lib/vm.h"

#define RIG_BASE (4 * GIB)		/* where a rig's memory begins for the guest */
#define RIG_RUNS KVMX_MAX_RUNS

enum way {
	WAY_KVMX,
	WAY_KVMX_RING,
	WAY_GET,		/* KVM_GET_DIRTY_LOG, which clears, as Firecracker and others */
	WAY_GET_CLEAR,		/* GET, then CLEAR of each GiB that has a dirty page, as QEMU */
	WAY_TUNED,		/* the same with a faster scan, and CLEAR from first to last word */
	WAY_TUNED_PIECES,	/* as tuned, with a CLEAR of its own beyond every long gap */
	WAY_RING,		/* the rings drained in user space */
	NR_WAYS
};

struct rig {
	enum way way;
	struct vm vm;
	uint32_t nr_slots;	/* without slot 0, the guest's program */
	uint64_t slot_pages;
	int handle;
	int tracker;
	unsigned long *bitmap;
	struct kvm_dirty_gfn *ring;
	uint32_t ring_pos;
	struct kvmx_run *runs;
	uint32_t nr_runs;
};

extern const char * const way_names[NR_WAYS];

/* Memory for the guests of several rigs: sparse, with pages of 4 KiB. */
void *rig_memory(uint64_t bytes);

void rig_make(struct rig *rig, enum way way, uint32_t nr_slots, uint64_t slot_pages, void *memory);
void rig_free(struct rig *rig);

/* Into rig->runs. Returns pages; ns is how long that took. */
uint64_t rig_harvest(struct rig *rig, double *ns);

#endif
