// SPDX-License-Identifier: GPL-2.0
/*
 * A look at the memory of all VMs that may merge: first for what is pinned, then for contents,
 * each twice with time in between; and the estimate that follows.
 */
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "arith.h"
#include "ksm.h"
#include "trace.h"

/* Contents that the estimator compares in one go. */
#define STEP	512

struct look {
	struct kvmx_ksm_subject *sub;
	u32 nr;
};

static int copy_ranges(struct kvmx_ksm_ranges *to, const struct kvmx_ksm_ranges *from)
{
	kvmx_ksm_ranges_free(to);
	if (!from->nr)
		return 0;
	to->r = kvcalloc(from->nr, sizeof(*to->r), GFP_KERNEL);
	if (!to->r)
		return -ENOMEM;
	memcpy(to->r, from->r, from->nr * sizeof(*to->r));
	to->nr = from->nr;
	to->room = from->nr;
	return 0;
}

static bool wanted(const struct kvmx_ksm_proc *p)
{
	return (p->mode == KVMX_KSM_AUTO || p->mode == KVMX_KSM_ALWAYS) && !kvmx_ksm_proc_dead(p);
}

static u32 sketch_room(const struct kvmx_ksm_proc *p)
{
	return clamp_t(u64, p->pages + KVMX_KSM_SKETCH_TAIL, KVMX_KSM_SKETCH_MIN,
		       KVMX_KSM_SKETCH_MAX);
}

static void free_subject(struct kvmx_ksm_subject *sub)
{
	kvmx_ksm_ranges_free(&sub->slots);
	kvmx_ksm_ranges_free(&sub->pinned);
	kvmx_ksm_ranges_free(&sub->found);
	kfree(sub->suspect);
	kvfree(sub->sketch);
	memset(sub, 0, sizeof(*sub));
}

static int fill_subject(struct kvmx_ksm_subject *sub, struct kvmx_ksm_proc *p)
{
	int err;

	sub->p = p;
	err = kvmx_ksm_proc_refresh(p);
	if (err)
		return err;
	sub->sketch = kvzalloc(kvmx_ksm_sketch_bytes(sketch_room(p)), GFP_KERNEL);
	if (!sub->sketch)
		return -ENOMEM;
	kvmx_ksm_sketch_init(sub->sketch, sketch_room(p), get_random_u64());
	err = copy_ranges(&sub->slots, &p->slots);
	if (!err)
		err = copy_ranges(&sub->pinned, &p->pinned);
	if (!err)
		err = copy_ranges(&sub->found, &p->found);
	return err;
}

/* Who is to be looked at. The objects stay: it is the worker that lets go of them. */
static int begin(struct look *l)
{
	struct kvmx_ksm_proc *p;
	int err = -ENOMEM;
	u32 nr = 0;

	mutex_lock(&kvmx_ksm.act);
	list_for_each_entry(p, &kvmx_ksm.procs, node)
		nr += wanted(p);
	l->sub = kvcalloc(max(nr, 1U), sizeof(*l->sub), GFP_KERNEL);
	if (!l->sub)
		goto unlock;
	err = 0;
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		if (l->nr == nr || !wanted(p))
			continue;
		/* A VMM's cgroup may be full: that is no reason not to look at the others. */
		if (fill_subject(&l->sub[l->nr], p))
			free_subject(&l->sub[l->nr]);
		else
			l->nr++;
	}
unlock:
	mutex_unlock(&kvmx_ksm.act);
	return err;
}

static void end(struct look *l)
{
	u32 i;

	for (i = 0; l->sub && i < l->nr; i++)
		free_subject(&l->sub[i]);
	kvfree(l->sub);
}

static u64 look_bytes(const struct look *l)
{
	u64 sum = l->nr * sizeof(*l->sub);
	u32 i;

	for (i = 0; i < l->nr; i++)
		sum += kvmx_ksm_sketch_bytes(l->sub[i].sketch->cap) +
		       l->sub[i].nr_suspects * sizeof(*l->sub[i].suspect);
	return sum;
}

/* Has each of them sampled, and accounts for it. */
static int for_each(struct look *l, int (*sample)(struct kvmx_ksm_subject *sub))
{
	u32 i;

	kvmx_ksm_host_state(KVMX_KSM_HOST_STATE_SAMPLING);
	kvmx_ksm_toll_start(&kvmx_ksm.toll, kvmx_ksm.policy.cpu_permille);
	for (i = 0; i < l->nr; i++) {
		struct kvmx_ksm_subject *sub = &l->sub[i];
		u64 cpu = current->se.sum_exec_runtime;
		int err = sample(sub);

		sub->ns += current->se.sum_exec_runtime - cpu;
		if (err == -ESRCH)
			sub->gone = true;
		else if (err)
			return err;
	}
	return 0;
}

static bool suspects(const struct look *l)
{
	u32 i;

	for (i = 0; i < l->nr && !l->sub[i].nr_suspects; i++)
		;
	return i < l->nr;
}

/* Mappings with pinned memory stay away from KSM, those without may come back. */
static int keep_found(struct kvmx_ksm_subject *sub)
{
	struct kvmx_ksm_payer payer;
	int err = 0;
	u32 i;

	kvmx_ksm_payer_begin(&payer, sub->p->mm);
	for (i = 0; i < sub->nr_suspects && !err; i++) {
		const struct kvmx_ksm_range *r = &sub->suspect[i].range;

		if (sub->suspect[i].nr)
			err = kvmx_ksm_ranges_add(&sub->p->found, r->start, r->end);
		else
			err = kvmx_ksm_ranges_del(&sub->p->found, r->start, r->end);
	}
	kvmx_ksm_payer_end(&payer);
	return err ?: copy_ranges(&sub->found, &sub->p->found);
}

/* One for which there is no memory is left out of this look. */
static void keep_all_found(struct look *l)
{
	u32 i;

	mutex_lock(&kvmx_ksm.act);
	for (i = 0; i < l->nr; i++) {
		if (keep_found(&l->sub[i]))
			l->sub[i].gone = true;
	}
	mutex_unlock(&kvmx_ksm.act);
}

static void settle(void)
{
	kvmx_ksm_host_state(KVMX_KSM_HOST_STATE_SETTLING);
	kvmx_ksm_sleep(kvmx_ksm.policy.settle_ns);
}

static int find_pins(struct look *l)
{
	int err;

	err = for_each(l, kvmx_ksm_sample_pins);
	if (err || !suspects(l))
		return err;
	settle();
	err = for_each(l, kvmx_ksm_sample_judge);
	if (!err)
		keep_all_found(l);
	return err;
}

/* Of what could be freed in it, what is, as the merged pages tell that were seen. */
static u64 freed(const struct kvmx_ksm_proc *p, const struct kvmx_ksm_estimate *e)
{
	if (!READ_ONCE(p->live) || !e->copies)
		return 0;
	return min(p->est.mergeable, kvmx_muldiv(p->look.merged, e->mergeable, e->copies));
}

static void store(const struct kvmx_ksm_subject *sub, const struct kvmx_ksm_est_vm *vm,
		  const struct kvmx_ksm_estimate *e)
{
	struct kvmx_ksm_proc *p = sub->p;
	u64 counted = kvmx_ksm_proc_merged(p), gone;

	lockdep_assert_held(&kvmx_ksm.lock);
	p->look = sub->look;
	p->est.mergeable = vm->mergeable;
	p->est.err = vm->err;
	p->est.unstable = vm->unstable;
	p->freed = freed(p, e);
	/* They are not in this look. */
	p->zeroed = 0;
	p->sampled = true;
	p->sample_time = ktime_get_ns();
	/* KSM still counts what was written to since its visit, and what kvmx has unmerged. */
	gone = kvmx_sub(counted, p->look.merged);
	if (!p->touched && gone > p->cow_new) {
		p->cow += gone - p->cow_new;
		p->cow_new = gone;
	}
	p->merged = p->look.merged;
}

/* What is shown for the host is the live domain's, or that which could free most. */
static void show(const struct kvmx_ksm_estimate *e, bool live, struct kvmx_ksm_sum *best)
{
	if (!live && (kvmx_ksm.live || e->mergeable < best->mergeable))
		return;
	best->mergeable = e->mergeable;
	best->err = e->err;
	best->copies = e->copies;
}

/* The subjects that may share with the one at @from, which stand behind it, change places. */
static u32 gather(struct look *l, u32 from, bool shared)
{
	u32 i, to = from + 1;

	for (i = to; i < l->nr; i++) {
		if (!shared && l->sub[i].p->key != l->sub[from].p->key)
			continue;
		swap(l->sub[i], l->sub[to]);
		to++;
	}
	return to - from;
}

static void estimate_domain(struct look *l, u32 from, u32 nr, struct kvmx_ksm_estimate *e,
			    struct kvmx_ksm_est_vm *vm, struct kvmx_ksm_sum *best)
{
	u32 i;

	memset(vm, 0, nr * sizeof(*vm));
	for (i = 0; i < nr; i++)
		vm[i].s = l->sub[from + i].sketch;
	kvmx_ksm_estimate_begin(e, vm, nr, kvmx_knobs_read(KVMX_KNOB_MAX_SHARING, 256),
				kvmx_knobs_read(KVMX_KNOB_ZERO_PAGES, 0));
	while (kvmx_ksm_estimate_step(e, STEP))
		cond_resched();
	kvmx_ksm_estimate_end(e);
	mutex_lock(&kvmx_ksm.lock);
	for (i = 0; i < nr; i++) {
		if (!l->sub[from + i].gone)
			store(&l->sub[from + i], &vm[i], e);
	}
	show(e, l->sub[from].p->key == kvmx_ksm.live, best);
	mutex_unlock(&kvmx_ksm.lock);
}

static int estimate(struct look *l)
{
	bool shared = kvmx_ksm.policy.domains == KVMX_KSM_SHARED;
	struct kvmx_ksm_sum best = {};
	struct kvmx_ksm_estimate *e;
	struct kvmx_ksm_est_vm *vm;
	int err = -ENOMEM;
	u32 from, nr;

	e = kzalloc(sizeof(*e), GFP_KERNEL);
	vm = kvcalloc(max(l->nr, 1U), sizeof(*vm), GFP_KERNEL);
	if (!e || !vm)
		goto free;
	err = 0;
	for (from = 0; from < l->nr; from += nr) {
		nr = gather(l, from, shared);
		estimate_domain(l, from, nr, e, vm, &best);
	}
	mutex_lock(&kvmx_ksm.lock);
	kvmx_ksm.domain = best;
	kvmx_ksm.estimate_time = ktime_get_ns();
	mutex_unlock(&kvmx_ksm.lock);
free:
	kvfree(vm);
	kfree(e);
	return err;
}

static void account(const struct look *l)
{
	u32 i;

	mutex_lock(&kvmx_ksm.lock);
	for (i = 0; i < l->nr; i++) {
		l->sub[i].p->scanned += l->sub[i].scanned;
		l->sub[i].p->sample_ns += l->sub[i].ns;
		kvmx_ksm.counters.sample_ns += l->sub[i].ns;
	}
	kvmx_ksm.counters.samples++;
	kvmx_ksm.counters.peak_bytes = max(kvmx_ksm.counters.peak_bytes, kvmx_ksm.look_bytes);
	mutex_unlock(&kvmx_ksm.lock);
}

/**
 * kvmx_ksm_look() - look at the memory of all VMs, and estimate what could merge
 *
 * Context: the worker; no lock held.
 * Return: 0; -EINTR if kvmx_ksm_stopping(); -ENOMEM.
 */
int kvmx_ksm_look(void)
{
	u64 begun = ktime_get_ns(), cpu = current->se.sum_exec_runtime;
	struct look l = {};
	int err;

	err = begin(&l);
	if (err)
		goto end;
	WRITE_ONCE(kvmx_ksm.look_bytes, look_bytes(&l));
	err = find_pins(&l);
	if (!err)
		err = for_each(&l, kvmx_ksm_sample_first);
	if (err)
		goto end;
	WRITE_ONCE(kvmx_ksm.look_bytes, look_bytes(&l));
	settle();
	err = for_each(&l, kvmx_ksm_sample_again);
	if (!err)
		err = estimate(&l);
	account(&l);
end:
	trace_kvmx_ksm_look(l.nr, kvmx_ksm.domain.mergeable, kvmx_ksm.domain.err,
			    ktime_get_ns() - begun, current->se.sum_exec_runtime - cpu, err);
	WRITE_ONCE(kvmx_ksm.look_bytes, 0);
	end(&l);
	return err;
}
