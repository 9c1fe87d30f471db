// SPDX-License-Identifier: GPL-2.0
/*
 * From what is known to the planner's question, and its answer.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "ksm.h"

/* Before anything was measured: a visit costs several times what a look does. */
#define VISITS_PER_LOOK	8
#define VISIT_NS	2000

static u64 visit_ns(void)
{
	u64 ns = 0, pages = 0;
	const struct kvmx_ksm_proc *p;

	lockdep_assert_held(&kvmx_ksm.lock);
	if (kvmx_ksm.visit_ns)
		return kvmx_ksm.visit_ns;
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		ns += p->sample_ns;
		pages += p->scanned;
	}
	return pages ? div64_u64(ns * VISITS_PER_LOOK, pages) + 1 : VISIT_NS;
}

static void fill_vm(struct kvmx_ksm_plan_in_vm *v, const struct kvmx_ksm_proc *p)
{
	v->mode = p->mode;
	v->weight = p->weight;
	v->live = p->live;
	v->sampled = p->sampled;
	v->migrating = kvmx_ksm_proc_migrations(p);
	v->evicted = ktime_get_ns() < p->evicted_until;
	v->is_new = p->is_new;
	v->pages = p->pages;
	v->present = p->look.present;
	v->scan = p->look.scan;
	v->shared = p->look.shared;
	v->pinned = p->look.pinned;
	v->excluded = p->look.excluded;
	v->unstable = p->est.unstable;
	v->mergeable = p->est.mergeable;
	v->err = p->est.err;
	v->merged = p->merged;
	v->freed = min(p->freed, p->est.mergeable);
	v->left = p->left;
	v->cow = p->cow_new;
}

static bool same_uuid(const u8 *a, const u8 *b)
{
	return !memcmp(a, b, KVMX_UUID_LEN);
}

/**
 * kvmx_ksm_decide() - ask the planner
 * @as_if: as if the policy were on
 * @in: out: the question; to be freed with kvmx_ksm_decide_free(), also after an error
 * @out: out: the answer
 * @procs: out: the address spaces, as in kvmx_ksm_plan_in.vm
 *
 * Context: under kvmx_ksm.act.
 * Return: 0; -ENODATA if there is no VM with a mode; -ENOMEM.
 */
int kvmx_ksm_decide(bool as_if, struct kvmx_ksm_plan_in *in, struct kvmx_ksm_plan_out *out,
		    struct kvmx_ksm_proc ***procs)
{
	static const u8 none[KVMX_UUID_LEN];
	struct kvmx_ksm_plan_domain *domain;
	struct kvmx_ksm_plan_in_vm *vm;
	struct kvmx_ksm_proc *p;
	long available = si_mem_available();
	u32 nr = 0, i = 0, j;
	bool shared;

	lockdep_assert_held(&kvmx_ksm.act);
	memset(in, 0, sizeof(*in));
	memset(out, 0, sizeof(*out));
	*procs = NULL;
	list_for_each_entry(p, &kvmx_ksm.procs, node)
		nr += p->mode != KVMX_KSM_UNSET && !kvmx_ksm_proc_dead(p);
	if (!nr)
		return -ENODATA;
	vm = kvcalloc(nr, sizeof(*vm), GFP_KERNEL);
	domain = kvcalloc(nr, sizeof(*domain), GFP_KERNEL);
	*procs = kvcalloc(nr, sizeof(**procs), GFP_KERNEL);
	in->vm = vm;
	in->domain = domain;
	/* What there is, the caller frees. */
	if (!vm || !domain || !*procs)
		return -ENOMEM;
	in->live_domain = KVMX_KSM_NO_DOMAIN;
	/* May take as long as a batch of ksmd. */
	in->knobs_lost = kvmx_knobs_state(NULL) == KVMX_KSM_KNOBS_LOST;
	mutex_lock(&kvmx_ksm.lock);
	shared = kvmx_ksm.policy.domains == KVMX_KSM_SHARED;
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		if (p->mode == KVMX_KSM_UNSET || i == nr || kvmx_ksm_proc_dead(p))
			continue;
		(*procs)[i] = p;
		fill_vm(&vm[i], p);
		for (j = 0; j < i && (*procs)[j]->key != p->key; j++)
			;
		vm[i].domain = shared ? 0 : j < i ? vm[j].domain : in->nr_domain;
		if (vm[i].domain == in->nr_domain) {
			domain[in->nr_domain].allowed =
				shared || same_uuid(kvmx_ksm.policy.domain, none) ||
				same_uuid(kvmx_ksm.policy.domain, p->domain);
			in->nr_domain++;
		}
		if (p->live)
			in->live_domain = vm[i].domain;
		i++;
	}
	in->nr_vm = i;
	in->policy = kvmx_ksm.policy;
	if (as_if)
		in->policy.mode = KVMX_KSM_HOST_ON;
	in->visit_ns = visit_ns();
	in->available = available > 0 ? (u64)available << PAGE_SHIFT : 0;
	in->nr_foreign = kvmx_ksm.nr_foreign;
	mutex_unlock(&kvmx_ksm.lock);
	kvmx_ksm_plan_make(in, out);
	return 0;
}

/**
 * kvmx_ksm_decide_free() - free what kvmx_ksm_decide() has allocated
 * @in: the question
 * @procs: the address spaces
 */
void kvmx_ksm_decide_free(struct kvmx_ksm_plan_in *in, struct kvmx_ksm_proc **procs)
{
	kvfree(in->vm);
	kvfree(in->domain);
	kvfree(procs);
}
