/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How much KSM could free, from a sample of contents. No kernel state is touched here: plain
 * integer functions. See DOC in estimate.c.
 */
#ifndef KVMX_KSM_ESTIMATE_H
#define KVMX_KSM_ESTIMATE_H

#include <linux/types.h>

/* contents that wait to be sorted in; the longest piece of work is moving the array once */
#define KVMX_KSM_SKETCH_TAIL	512
#define KVMX_KSM_SKETCH_MIN		(2 * KVMX_KSM_SKETCH_TAIL)
#define KVMX_KSM_SKETCH_MAX		64960	/* 1 MiB with all that belongs to it */
#define KVMX_KSM_SKETCH_MAX_PAGE	((1ULL << 40) - 1)
#define KVMX_KSM_SKETCH_MAX_COPIES	((1U << 23) - 1)

/**
 * struct kvmx_ksm_content - a content that a VM has
 * @hash: of the content
 * @page: one of the pages that have it, any with the same probability
 * @copies: pages that have it
 * @changed: @page had another content later
 */
struct kvmx_ksm_content {
	u64 hash;
	u64 page : 40;
	u64 copies : 23;
	u64 changed : 1;
};

/**
 * struct kvmx_ksm_sketch - the contents of a VM with the lowest hashes
 * @limit: contents with hashes below it are here; U64_MAX: all are
 * @pages: pages added
 * @zero: pages with only zeroes, counted by the sampler
 * @rnd: state of the random numbers
 * @cap: size of @e
 * @nr: contents in @e, in order of their hashes
 * @nr_tail: contents in @tail
 * @tail: contents that are not sorted in yet
 * @e: contents
 */
struct kvmx_ksm_sketch {
	u64 limit;
	u64 pages;
	u64 zero;
	u64 rnd;
	u32 cap;
	u32 nr;
	u32 nr_tail;
	struct kvmx_ksm_content tail[KVMX_KSM_SKETCH_TAIL];
	struct kvmx_ksm_content e[];
};

size_t kvmx_ksm_sketch_bytes(u32 cap);
void kvmx_ksm_sketch_init(struct kvmx_ksm_sketch *s, u32 cap, u64 seed);
void kvmx_ksm_sketch_add(struct kvmx_ksm_sketch *s, u64 hash, u64 page);
void kvmx_ksm_sketch_end(struct kvmx_ksm_sketch *s);
void kvmx_ksm_sketch_changed(struct kvmx_ksm_sketch *s, u32 i);

/* private: a sum over contents, as what is added and what is subtracted, and its variance */
struct kvmx_ksm_est_sum {
	u64 plus;
	u64 minus;
	__int128 var;
};

/**
 * struct kvmx_ksm_est_vm - a VM's part in an estimate
 * @s: its sketch, complete
 * @mergeable: out: pages that could be freed in this VM: of a content that has n copies, of which
 *	the VM has k, and that takes s pages when merged, (n - s) * k / n. Those that are freed
 *	already are included, here and everywhere
 * @err: out: half of the 95 % confidence interval of @mergeable
 * @alone: out: @mergeable if the VM shared with nobody but itself
 * @unstable: out: pages whose content does not last until the second look
 */
struct kvmx_ksm_est_vm {
	const struct kvmx_ksm_sketch *s;
	u64 mergeable;
	u64 err;
	u64 alone;
	u64 unstable;
	/* private: */
	struct kvmx_ksm_est_sum sum;
	u64 sum_alone;
	u64 sum_unstable;
	u64 several;
	u64 several_changed;
	u64 several_squares;
	u32 pos;
	u32 class;
	u32 heap;
	u32 next;
};

#define KVMX_KSM_EST_CLASSES	12

/* private: VMs whose sketches have about the same limit, and what they have of a content */
struct kvmx_ksm_est_class {
	u64 limit;
	u64 stable;
	u64 unstable;
};

/* private: a content as it is known to the classes up to one */
struct kvmx_ksm_est_step {
	u64 limit;
	u64 copies;
	u64 kept;
	u32 class;
};

/**
 * struct kvmx_ksm_estimate - how much a set of VMs that may share with each other can free
 * @vm: the VMs
 * @nr: how many
 * @max_sharing: pages that one KSM page stands for at most (KSM's max_page_sharing)
 * @zero_free: pages full of zeroes take no memory when merged (KSM's use_zero_pages)
 * @pages: out: pages looked at
 * @mergeable: out: pages that could be freed
 * @err: out: half of the 95 % confidence interval of @mergeable
 * @zero: out: of @mergeable, pages full of zeroes
 * @contents: out: pages that the merged contents would take
 * @copies: out: pages that have a twin: those that KSM would merge, @mergeable + @contents
 */
struct kvmx_ksm_estimate {
	struct kvmx_ksm_est_vm *vm;
	u32 nr;
	u32 max_sharing;
	bool zero_free;
	u64 pages;
	u64 mergeable;
	u64 err;
	u64 zero;
	u64 contents;
	u64 copies;
	/* private: */
	struct kvmx_ksm_est_sum sum;
	struct kvmx_ksm_est_sum twins;
	u32 nr_heap;
	u32 nr_steps;
	struct kvmx_ksm_est_step step[KVMX_KSM_EST_CLASSES];
	struct kvmx_ksm_est_class class[KVMX_KSM_EST_CLASSES];
};

void kvmx_ksm_estimate_begin(struct kvmx_ksm_estimate *est, struct kvmx_ksm_est_vm *vm, u32 nr,
			     u32 max_sharing, bool zero_free);
bool kvmx_ksm_estimate_step(struct kvmx_ksm_estimate *est, u32 contents);
void kvmx_ksm_estimate_end(struct kvmx_ksm_estimate *est);

#endif /* KVMX_KSM_ESTIMATE_H */
