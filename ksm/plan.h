/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What to do next, and why. Plain integer functions: nothing is done here.
 *
 * Reasons are KVMX_KSM_WHY_*, decisions KVMX_KSM_DO_* of the UAPI.
 */
#ifndef KVMX_KSM_PLAN_H
#define KVMX_KSM_PLAN_H

#include <linux/kvmx.h>
#include <linux/types.h>

#define KVMX_KSM_NO_DOMAIN	0xffffffffU

/**
 * struct kvmx_ksm_plan_in_vm - a VM
 * @domain: index in kvmx_ksm_plan_in.domain. In shared mode all VMs have the same. A VM without
 *	one may not merge
 * @mode: KVMX_KSM_OFF, _AUTO or _ALWAYS
 * @weight: in 1/100, at least 1
 * @live: its memory may merge now
 * @sampled: the counts below are known
 * @migrating: it has a tracker with KVMX_TRACKER_MIGRATION
 * @evicted: it caused a storm of copies on write a short time ago
 * @is_new: it, or memory of it, is live since the last epoch began and has never been scanned
 * @pages: pages in memslots
 * @present: pages in memory
 * @scan: pages that ksmd would visit: those of mappings that KSM takes and that nobody has pinned
 * @shared: pages in mappings that KSM does not take
 * @pinned: pages pinned for DMA
 * @excluded: pages in mappings that are kept away from KSM
 * @unstable: pages that changed between two looks
 * @mergeable: as kvmx_ksm_est_vm.mergeable
 * @err: as kvmx_ksm_est_vm.err
 * @merged: pages of KSM's now
 * @freed: of @mergeable, pages that are freed now
 * @left: of @mergeable, pages that the last epoch it took part in did not free although it made all
 *	its scans: they are not expected of the next one, either, even if the VM is unmerged
 * @cow: merged pages found written to since the last epoch
 * @todo: out: KVMX_KSM_DO_*
 * @why: out: KVMX_KSM_WHY_*
 * @why_arg: out: the number that comes with @why
 * @gain: out: pages that the next epoch would free in it
 * @cost_ns: out: CPU time that it would cost
 * @evict: out: with DO_UNMERGE: it is to be evicted for its copies on write
 */
struct kvmx_ksm_plan_in_vm {
	u32 domain;
	u32 mode;
	u32 weight;
	bool live;
	bool sampled;
	bool migrating;
	bool evicted;
	bool is_new;
	u64 pages;
	u64 present;
	u64 scan;
	u64 shared;
	u64 pinned;
	u64 excluded;
	u64 unstable;
	u64 mergeable;
	u64 err;
	u64 merged;
	u64 freed;
	u64 left;
	u64 cow;
	u32 todo;
	u32 why;
	u64 why_arg;
	u64 gain;
	u64 cost_ns;
	bool evict;
};

/**
 * struct kvmx_ksm_plan_domain - a trust domain
 * @allowed: it may be live. Only one domain is allowed if the policy names one
 * @value: out: pages that are free if it is live, times their weights
 */
struct kvmx_ksm_plan_domain {
	bool allowed;
	u64 value;
};

/**
 * struct kvmx_ksm_plan_in - the host
 * @policy: with all defaults filled in; its domain is to be found in @domain
 * @visit_ns: CPU time of a visit of a page by ksmd
 * @available: bytes of memory available (si_mem_available)
 * @nr_foreign: other processes with mergeable memory
 * @knobs_lost: somebody else has written to a knob
 * @smart: ksmd skips pages in a way that kvmx cannot switch off
 * @vm: the VMs; the out fields are set
 * @nr_vm: entries of @vm
 * @domain: the domains; the out fields are set
 * @nr_domain: entries of @domain
 * @live_domain: the domain that is live: pages of its VMs may be merged; KVMX_KSM_NO_DOMAIN: none
 */
struct kvmx_ksm_plan_in {
	struct kvmx_ksm_policy policy;
	u64 visit_ns;
	u64 available;
	u32 nr_foreign;
	bool knobs_lost;
	bool smart;
	struct kvmx_ksm_plan_in_vm *vm;
	u32 nr_vm;
	struct kvmx_ksm_plan_domain *domain;
	u32 nr_domain;
	u32 live_domain;
};

/**
 * struct kvmx_ksm_plan_out - what to do
 * @domain: the domain to be live then. If it is another one than now, all VMs of the one that is
 *	live have KVMX_KSM_DO_UNMERGE, which is done wholly before anything is admitted
 * @epoch: an epoch pays
 * @scans: full scans it takes: 2, or 3 if pages are new to ksmd; up to twice as many are made as
 *	long as they pay
 * @why: KVMX_KSM_WHY_*: why there is an epoch, or why not
 * @why_arg: the number that comes with @why
 * @pressure: less than the memory target is available
 * @cpu_permille: the CPU budget that follows
 * @gain: pages that the epoch would free
 * @cost_ns: CPU time that it would cost
 * @unmerge: pages of KSM's to be unmerged first
 */
struct kvmx_ksm_plan_out {
	u32 domain;
	bool epoch;
	u32 scans;
	u32 why;
	u64 why_arg;
	bool pressure;
	u32 cpu_permille;
	u64 gain;
	u64 cost_ns;
	u64 unmerge;
};

/**
 * struct kvmx_ksm_progress - how far an epoch is
 * @plan: what it is about
 * @policy: as in the plan
 * @scans: full scans made since it began
 * @freed: pages freed since it began, 0 if it has become less
 * @freed_lately: of these, in the last two full scans that have ended and since
 * @cpu_ns: CPU time of ksmd since it began
 * @cow: merged pages that were written to since it began, on the whole host
 * @disturbed: KVMX_KSM_WHY_KNOBS, _FOREIGN, _MIGRATION or _CHANGED if that has happened, else 0
 * @disturbed_arg: the number that comes with it
 */
struct kvmx_ksm_progress {
	const struct kvmx_ksm_plan_out *plan;
	const struct kvmx_ksm_policy *policy;
	u32 scans;
	u64 freed;
	u64 freed_lately;
	u64 cpu_ns;
	u64 cow;
	u32 disturbed;
	u64 disturbed_arg;
};

/**
 * struct kvmx_ksm_pace - how ksmd is driven
 * @pages: pages_to_scan
 * @sleep_ms: sleep_millisecs
 */
struct kvmx_ksm_pace {
	u32 pages;
	u32 sleep_ms;
};

void kvmx_ksm_policy_fill(struct kvmx_ksm_policy *policy);
int kvmx_ksm_policy_check(const struct kvmx_ksm_policy *policy);
void kvmx_ksm_plan_make(struct kvmx_ksm_plan_in *in, struct kvmx_ksm_plan_out *out);
bool kvmx_ksm_epoch_over(const struct kvmx_ksm_progress *p, u32 *why, u64 *why_arg);
struct kvmx_ksm_pace kvmx_ksm_pace(u64 visit_ns, u32 cpu_permille, u64 used_ns, u64 wall_ns);
u64 kvmx_ksm_next_look(const struct kvmx_ksm_policy *policy, u64 last_ns, u64 last_cost_ns,
		       u32 idle_looks);

#endif /* KVMX_KSM_PLAN_H */
