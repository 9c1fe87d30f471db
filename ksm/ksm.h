/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The scanning policy over KSM: what its files share.
 *
 * KSM works on address spaces, so kvmx_ksm_proc is one per address space: the VMs of one process
 * are one to KSM, with one setting.
 *
 * Locks, outermost first:
 *
 *	kvmx_ksm.act	mutex; whoever changes what may merge: the worker between epochs, an ioctl
 *			that unmerges. Held for as long as that takes, by nobody while ksmd runs
 *	kvmx_ksm.lock	mutex; settings, results and counters. Never held for long
 *	knobs.lock	mutex; the knobs. May be held for a batch of ksmd, which takes KSM's own
 *			lock and then mmap_lock: so not under either of them, nor kvmx_ksm.lock
 *	mmap_lock	of a VMM, for a mapping or a few pages at a time
 *	kvmx_ksm.list_lock	spinlock; the list of address spaces
 *
 * kvmx_vm.lock is not taken under any of these: a VMM may hold it for as long as it likes.
 *
 * What a VMM's memory is like (the ranges of kvmx_ksm_proc, @live) changes under kvmx_ksm.act.
 */
#ifndef KVMX_KSM_H
#define KVMX_KSM_H

#include <linux/mm_types.h>
#include <linux/sched.h>

#include "core.h"
#include "estimate.h"
#include "plan.h"
#include "ranges.h"

enum {
	KVMX_KNOB_PAGES,
	KVMX_KNOB_SLEEP,
	KVMX_KNOB_SMART,
	KVMX_KNOB_ADVISOR,
	KVMX_KNOB_RUN,
	KVMX_KNOB_FULL_SCANS,
	KVMX_KNOB_SCANNED,
	KVMX_KNOB_SHARING,
	KVMX_KNOB_MAX_SHARING,
	KVMX_KNOB_ZERO_PAGES,
	KVMX_KNOB_ZERO_SHARING,
	KVMX_KNOB_NR
};

/**
 * struct kvmx_ksm_look - what the sampler has counted
 * @present: pages in memory
 * @zero: full of zeroes
 * @merged: KSM's
 * @huge: part of a huge page
 * @pinned: pinned for DMA
 * @shared: in mappings that KSM does not take
 * @excluded: in mappings that are kept away from KSM
 * @scan: that ksmd would visit
 */
struct kvmx_ksm_look {
	u64 present;
	u64 zero;
	u64 merged;
	u64 huge;
	u64 pinned;
	u64 shared;
	u64 excluded;
	u64 scan;
};

/**
 * struct kvmx_ksm_guess - what follows from a look, see struct kvmx_ksm_est_vm
 * @mergeable: pages that could be freed
 * @err: half of the 95 % confidence interval
 * @unstable: pages that change
 */
struct kvmx_ksm_guess {
	u64 mergeable;
	u64 err;
	u64 unstable;
};

/**
 * struct kvmx_ksm_sum - the same for a domain, see struct kvmx_ksm_estimate
 * @mergeable: pages that could be freed
 * @err: half of the 95 % confidence interval
 * @copies: pages that KSM would merge
 */
struct kvmx_ksm_sum {
	u64 mergeable;
	u64 err;
	u64 copies;
};

/**
 * struct kvmx_ksm_pin - a KVMX_VM_KSM_PIN
 * @node: in kvmx_ksm_proc.pins
 * @vm: whose
 * @gfn: first guest frame
 * @npages: pages
 */
struct kvmx_ksm_pin {
	struct list_head node;
	struct kvmx_vm *vm;
	u64 gfn;
	u64 npages;
};

/**
 * struct kvmx_ksm_proc - an address space with VMs
 * @node: in kvmx_ksm.procs, under list_lock and act to change it
 * @mm: pinned by the VMs
 * @vms: the VMs, referenced; under kvmx_ksm.lock
 * @id: a number for traces, and the domain of one that has none
 * @pid: the VMM's process, as its first VM was created
 * @mode: KVMX_KSM_*; this and the following up to @look under kvmx_ksm.lock
 * @weight: as set
 * @keep: as set
 * @domain: as set
 * @key: a number for the domain: equal for those with the same UUID, unique for those without
 * @state: KVMX_KSM_STATE_*
 * @why: KVMX_KSM_WHY_*
 * @why_arg: the number that comes with it
 * @pages: pages in memslots
 * @sampled: @look and @est are of use
 * @look: the last look
 * @est: the estimate that followed
 * @freed: pages freed, as far as known
 * @anon: its anonymous pages when the epoch began; the worker's
 * @zeroed: pages of zeroes that have left memory since the last look, see kvmx_ksm_epoch(); under
 *	kvmx_ksm.lock
 * @left: pages that could be freed and that the last epoch did not free
 * @merged: KSM's count of merged pages, as of the last epoch or look
 * @scanned: pages the sampler has looked at
 * @sample_ns: CPU time of that
 * @sample_time: when the last look was over
 * @cow: merged pages found written to
 * @cow_new: of these, since the last epoch
 * @unmerged: pages unmerged
 * @evicted_until: no admission before
 * @pins: under act
 * @nr_pins: entries of @pins
 * @slots: memory of the memslots; this and the following under act
 * @pinned: memory of PINs
 * @found: mappings in which pinned memory was found
 * @made: mappings that kvmx has made mergeable
 * @taken: mappings that the VMM had made mergeable and kvmx has not left so
 * @pruned: entries of @made, @taken and @found that were left when they were last pruned
 * @live: its memory may merge or be merged; read with READ_ONCE()
 * @is_new: memory of it has become mergeable and has not been scanned by an epoch
 * @touched: memory of it was unmerged since, which KSM's count does not tell from a write
 */
struct kvmx_ksm_proc {
	struct list_head node;
	struct mm_struct *mm;
	struct list_head vms;
	u32 id;
	pid_t pid;
	u32 mode;
	u32 weight;
	bool keep;
	u8 domain[KVMX_UUID_LEN];
	u64 key;
	u32 state;
	u32 why;
	u64 why_arg;
	u64 pages;
	bool sampled;
	struct kvmx_ksm_look look;
	struct kvmx_ksm_guess est;
	u64 freed;
	u64 anon;
	u64 zeroed;
	u64 left;
	u64 merged;
	u64 scanned;
	u64 sample_ns;
	u64 sample_time;
	u64 cow;
	u64 cow_new;
	u64 unmerged;
	u64 evicted_until;
	struct list_head pins;
	u32 nr_pins;
	struct kvmx_ksm_ranges slots;
	struct kvmx_ksm_ranges pinned;
	struct kvmx_ksm_ranges found;
	struct kvmx_ksm_ranges made;
	struct kvmx_ksm_ranges taken;
	u32 pruned;
	bool live;
	bool is_new;
	bool touched;
};

/**
 * struct kvmx_ksm_toll - keeps the worker within its CPU budget
 * @permille: of one CPU
 * @wall: when it began
 * @cpu: the worker's CPU time then
 */
struct kvmx_ksm_toll {
	u32 permille;
	u64 wall;
	u64 cpu;
};

/**
 * struct kvmx_ksm - the policy of this host
 * @act: see above
 * @lock: protects the rest, but what is said to be otherwise
 * @list_lock: protects @procs as well
 * @procs: address spaces
 * @policy: in force, defaults filled in
 * @binder: the system fd that the policy goes with, or NULL
 * @worker: the thread
 * @wait: of the worker, and of those who wait for it
 * @kicked: the worker has something to look at
 * @holds: who wants ksmd to stand still
 * @want_look: memory is to be looked at now
 * @looks_begun: looks that have begun, the one under way included
 * @looks: looks that are over, for those who wait for one
 * @in_epoch: ksmd runs for kvmx; becomes true under @act
 * @unbound: @binder was closed: the policy is to be switched off
 * @state: KVMX_KSM_HOST_STATE_*
 * @why: KVMX_KSM_WHY_*
 * @why_arg: the number that comes with it
 * @stopped: why the last epoch ended
 * @live: the key of the domain that is live; 0: none. Under @act
 * @live_uuid: its UUID, or all zero
 * @nr_foreign: other processes with mergeable memory
 * @pressure: less than the memory target is available
 * @domain: the estimate of the live domain, or the one that would be
 * @estimate_time: when it was made
 * @plan: the last plan
 * @visit_ns: CPU time of a visit by ksmd
 * @toll: of the worker
 * @counters: see struct kvmx_ksm_host_get
 * @cow_base: KSM's count of copies on write when the policy was switched on
 * @look_bytes: memory that a look under way holds; read with READ_ONCE()
 */
struct kvmx_ksm {
	struct mutex act;	/* see above */
	struct mutex lock;	/* see above */
	spinlock_t list_lock;	/* see above */
	struct list_head procs;
	struct kvmx_ksm_policy policy;
	struct kvmx_sys *binder;
	struct task_struct *worker;
	wait_queue_head_t wait;
	bool kicked;
	atomic_t holds;
	bool want_look;
	u64 looks_begun;
	u64 looks;
	bool in_epoch;
	bool unbound;
	u32 state;
	u32 why;
	u64 why_arg;
	u32 stopped;
	u64 live;
	u8 live_uuid[KVMX_UUID_LEN];
	u32 nr_foreign;
	bool pressure;
	struct kvmx_ksm_sum domain;
	u64 estimate_time;
	struct kvmx_ksm_plan_out plan;
	u64 visit_ns;
	struct kvmx_ksm_toll toll;
	struct {
		u64 epochs;
		u64 samples;
		u64 switches;
		u64 evictions;
		u64 scanned;
		u64 full_scans;
		u64 epoch_merged;
		u64 ksmd_ns;
		u64 sample_ns;
		u64 longest_lock_ns;
		u64 peak_bytes;
	} counters;
	u64 cow_base;
	u64 look_bytes;
};

/**
 * struct kvmx_ksm_hold - a claim to have ksmd stand still
 * @urgent: an epoch has to end for it; else it waits for the end
 */
struct kvmx_ksm_hold {
	bool urgent;
};

extern struct kvmx_ksm kvmx_ksm;

/* knobs.c */
int kvmx_knobs_init(void);
void kvmx_knobs_exit(void);
bool kvmx_knobs_present(void);
int kvmx_knobs_take(void);
void kvmx_knobs_give(void);
u32 kvmx_knobs_state(char name[KVMX_KSM_KNOB_LEN]);
bool kvmx_knobs_check(void);
int kvmx_knobs_drive(u32 pages, u32 sleep_ms);
void kvmx_knobs_rest(void);
u64 kvmx_knobs_read(u32 knob, u64 missing);
bool kvmx_knobs_has(u32 knob);
u64 kvmx_knobs_ksmd_ns(void);

/**
 * struct kvmx_ksm_payer - whose cgroup pays
 * @memcg: the VMM's
 * @old: who paid before
 */
struct kvmx_ksm_payer {
	struct mem_cgroup *memcg;
	struct mem_cgroup *old;
};

/* payer.c */
void kvmx_ksm_payer_begin(struct kvmx_ksm_payer *payer, struct mm_struct *mm);
void kvmx_ksm_payer_end(struct kvmx_ksm_payer *payer);
bool kvmx_ksm_payer_room(const struct kvmx_ksm_payer *payer, u32 pages);

/* vma.c */
int kvmx_ksm_vma_admit(struct kvmx_ksm_proc *p);
int kvmx_ksm_vma_unmerge(struct kvmx_ksm_proc *p, unsigned long start, unsigned long end);
int kvmx_ksm_vma_restore(struct kvmx_ksm_proc *p);
bool kvmx_ksm_vma_any(struct mm_struct *mm);
bool kvmx_ksm_vma_next(struct mm_struct *mm, unsigned long addr, struct kvmx_ksm_range *range,
		       bool *takes);

/* foreign.c */
u32 kvmx_ksm_foreign(bool live);

/**
 * struct kvmx_ksm_suspect - a mapping with pinned memory
 * @range: the mapping, as far as it belongs to memslots
 * @addr: some of the pinned pages
 * @nr: entries of @addr; 0: memory was pinned before and is not any more
 */
struct kvmx_ksm_suspect {
	struct kvmx_ksm_range range;
	unsigned long addr[8];
	u32 nr;
};

#define KVMX_KSM_SUSPECTS	256	/* of one address space; others wait for the next look */

/**
 * struct kvmx_ksm_subject - an address space that is looked at
 * @p: whose
 * @slots: copy of kvmx_ksm_proc.slots
 * @pinned: copy of kvmx_ksm_proc.pinned
 * @found: copy of kvmx_ksm_proc.found
 * @look: what was counted
 * @sketch: contents
 * @suspect: mappings with pinned memory
 * @nr_suspects: entries of @suspect
 * @scanned: pages looked at
 * @ns: CPU time of that
 * @gone: the VMM has exited, or there was no memory for it
 */
struct kvmx_ksm_subject {
	struct kvmx_ksm_proc *p;
	struct kvmx_ksm_ranges slots;
	struct kvmx_ksm_ranges pinned;
	struct kvmx_ksm_ranges found;
	struct kvmx_ksm_look look;
	struct kvmx_ksm_sketch *sketch;
	struct kvmx_ksm_suspect *suspect;
	u32 nr_suspects;
	u64 scanned;
	u64 ns;
	bool gone;
};

/* sample.c */
int kvmx_ksm_sample_pins(struct kvmx_ksm_subject *sub);
int kvmx_ksm_sample_judge(struct kvmx_ksm_subject *sub);
int kvmx_ksm_sample_first(struct kvmx_ksm_subject *sub);
int kvmx_ksm_sample_again(struct kvmx_ksm_subject *sub);

/* look.c */
int kvmx_ksm_look(void);

/* epoch.c */
u32 kvmx_ksm_epoch(const struct kvmx_ksm_plan_out *plan, u64 visit_ns);
u64 kvmx_ksm_freed(void);
u64 kvmx_ksm_cow_events(void);

/* proc.c */
struct kvmx_ksm_proc *kvmx_ksm_proc_get(struct kvmx_vm *vm, struct file *file);
void kvmx_ksm_vm_dead(struct kvmx_vm *vm);
int kvmx_ksm_proc_refresh(struct kvmx_ksm_proc *p);
int kvmx_ksm_proc_unmerge(struct kvmx_ksm_proc *p);
int kvmx_ksm_proc_restore(struct kvmx_ksm_proc *p);
u64 kvmx_ksm_proc_merged(struct kvmx_ksm_proc *p);
bool kvmx_ksm_proc_dead(const struct kvmx_ksm_proc *p);
u32 kvmx_ksm_proc_migrations(const struct kvmx_ksm_proc *p);
void kvmx_ksm_proc_state(struct kvmx_ksm_proc *p, u32 state, u32 why, u64 why_arg);
bool kvmx_ksm_reap(bool all);
u64 kvmx_ksm_bytes(void);
int kvmx_ksm_gfn_check(struct kvmx_vm *vm, u64 gfn, u64 npages);

/* decide.c */
int kvmx_ksm_decide(bool as_if, struct kvmx_ksm_plan_in *in, struct kvmx_ksm_plan_out *out,
		    struct kvmx_ksm_proc ***procs);
void kvmx_ksm_decide_free(struct kvmx_ksm_plan_in *in, struct kvmx_ksm_proc **procs);

/* worker.c */
int kvmx_ksm_init(void);
void kvmx_ksm_exit(void);
void kvmx_ksm_kick(void);
void kvmx_ksm_host_state(u32 state);
void kvmx_ksm_live_update(void);
int kvmx_ksm_hold(struct kvmx_ksm_hold *hold, struct ratelimit_state *limit);
void kvmx_ksm_release(struct kvmx_ksm_hold *hold);
bool kvmx_ksm_stopping(void);
void kvmx_ksm_sleep(u64 ns);
void kvmx_ksm_toll_start(struct kvmx_ksm_toll *toll, u32 permille);
void kvmx_ksm_toll_pay(struct kvmx_ksm_toll *toll);

/* set.c */
int kvmx_ksm_vm_set(struct kvmx_vm *vm, const struct kvmx_vm_ksm_set *a);
int kvmx_ksm_vm_pin(struct kvmx_vm *vm, const struct kvmx_vm_ksm_pin *a);
int kvmx_ksm_host_set(struct kvmx_sys *sys, const struct kvmx_ksm_host_set *a);
int kvmx_ksm_switch_off(bool force);
void kvmx_ksm_vm_closed(struct kvmx_vm *vm);
void kvmx_ksm_sys_closed(struct kvmx_sys *sys);

/* get.c */
int kvmx_ksm_vm_get(struct kvmx_vm *vm, struct kvmx_vm_ksm_get *a);
int kvmx_ksm_host_get(struct kvmx_sys *sys, struct kvmx_ksm_host_get *a);
int kvmx_ksm_plan(struct kvmx_call *call);

#endif /* KVMX_KSM_H */
