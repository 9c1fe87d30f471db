// SPDX-License-Identifier: GPL-2.0
/*
 * What users see: state, counters, and the plan.
 */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ksm.h"

/**
 * kvmx_ksm_vm_get() - KVMX_VM_KSM_GET
 * @vm: the VM
 * @a: out: all but size
 *
 * Return: 0; -EINTR.
 */
int kvmx_ksm_vm_get(struct kvmx_vm *vm, struct kvmx_vm_ksm_get *a)
{
	const struct kvmx_ksm_proc *p;

	memset_after(a, 0, size);
	if (mutex_lock_killable(&kvmx_ksm.lock))
		return -EINTR;
	p = vm->ksm;
	if (!p)
		goto unlock;
	a->flags = p->keep ? KVMX_VM_KSM_KEEP : 0;
	a->mode = p->mode;
	a->weight = p->weight;
	memcpy(a->domain, p->domain, sizeof(a->domain));
	a->state = p->state;
	a->why = p->why;
	a->why_arg = p->why_arg;
	a->pages = p->pages;
	a->present_pages = p->look.present;
	a->mergeable_pages = p->est.mergeable;
	a->mergeable_err = p->est.err;
	a->merged_pages = p->state == KVMX_KSM_STATE_MERGING ? p->mm->ksm_merging_pages : p->merged;
	a->zero_pages = p->look.zero;
	a->volatile_pages = p->est.unstable;
	a->pinned_pages = p->look.pinned;
	a->huge_pages = p->look.huge;
	a->shared_pages = p->look.shared;
	a->excluded_pages = p->look.excluded;
	a->scanned_pages = p->scanned;
	a->sample_ns = p->sample_ns;
	a->sample_time_ns = p->sample_time;
	a->cow_pages = p->cow;
	a->unmerged_pages = p->unmerged;
unlock:
	mutex_unlock(&kvmx_ksm.lock);
	return 0;
}

static void sum_up(struct kvmx_ksm_host_get *a)
{
	const struct kvmx_ksm_proc *p;

	lockdep_assert_held(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		if (p->mode == KVMX_KSM_UNSET || list_empty(&p->vms))
			continue;
		a->nr_vms++;
		a->nr_live += p->live;
		a->pages += p->pages;
		a->present_pages += p->look.present;
		a->zero_pages += p->look.zero;
		a->volatile_pages += p->est.unstable;
		a->pinned_pages += p->look.pinned;
		a->huge_pages += p->look.huge;
		a->shared_pages += p->look.shared;
		a->freed_pages += p->zeroed;
		a->merged_pages += p->state == KVMX_KSM_STATE_MERGING ?
				   p->mm->ksm_merging_pages : p->merged;
	}
}

/**
 * kvmx_ksm_host_get() - KVMX_KSM_HOST_GET
 * @sys: the caller's fd
 * @a: out: all but size
 *
 * Return: 0; -EINTR.
 */
int kvmx_ksm_host_get(struct kvmx_sys *sys, struct kvmx_ksm_host_get *a)
{
	u64 freed = kvmx_ksm_freed(), cow = kvmx_ksm_cow_events();
	bool on;

	memset_after(a, 0, size);
	a->knobs = kvmx_knobs_state(a->knob);
	a->kvmx_ns = READ_ONCE(kvmx_ksm.worker->se.sum_exec_runtime);
	a->events_lost = READ_ONCE(sys->queue.lost);
	a->freed_pages = freed;
	if (mutex_lock_killable(&kvmx_ksm.lock))
		return -EINTR;
	on = kvmx_ksm.policy.mode == KVMX_KSM_HOST_ON;
	a->flags = kvmx_ksm.binder ? KVMX_KSM_HOST_BIND : 0;
	a->policy = kvmx_ksm.policy;
	a->state = READ_ONCE(kvmx_ksm.state);
	a->why = kvmx_ksm.why;
	a->why_arg = kvmx_ksm.why_arg;
	a->under_pressure = kvmx_ksm.pressure;
	memcpy(a->live_domain, kvmx_ksm.live_uuid, sizeof(a->live_domain));
	sum_up(a);
	a->nr_foreign = READ_ONCE(kvmx_ksm.nr_foreign);
	a->stopped = kvmx_ksm.stopped;
	a->mergeable_pages = kvmx_ksm.domain.mergeable;
	a->mergeable_err = kvmx_ksm.domain.err;
	a->estimate_time_ns = kvmx_ksm.estimate_time;
	a->gain_pages = kvmx_ksm.plan.gain;
	a->cost_ns = kvmx_ksm.plan.cost_ns;
	a->epochs = kvmx_ksm.counters.epochs;
	a->samples = kvmx_ksm.counters.samples;
	a->switches = kvmx_ksm.counters.switches;
	a->evictions = kvmx_ksm.counters.evictions;
	a->scanned_pages = kvmx_ksm.counters.scanned;
	a->full_scans = kvmx_ksm.counters.full_scans;
	a->epoch_merged_pages = kvmx_ksm.counters.epoch_merged;
	a->ksmd_ns = kvmx_ksm.counters.ksmd_ns;
	a->sample_ns = kvmx_ksm.counters.sample_ns;
	a->cow_pages = on ? cow - kvmx_ksm.cow_base : 0;
	a->longest_lock_ns = READ_ONCE(kvmx_ksm.counters.longest_lock_ns);
	a->bytes = kvmx_ksm_bytes() + READ_ONCE(kvmx_ksm.look_bytes);
	a->peak_bytes = max(kvmx_ksm.counters.peak_bytes, a->bytes);
	mutex_unlock(&kvmx_ksm.lock);
	return 0;
}

static void fill_vm(struct kvmx_ksm_plan_vm *to, const struct kvmx_ksm_plan_in_vm *v,
		    const struct kvmx_ksm_proc *p)
{
	struct kvmx_vm *vm;

	/* There may be none left if its memory could not be unmerged. */
	if (!list_empty(&p->vms)) {
		vm = list_first_entry(&p->vms, struct kvmx_vm, ksm_node);
		/* An opener may be giving it a name; kvmx_vm.lock is not to be waited for here. */
		spin_lock(&vm->bell.lock);
		memcpy(to->uuid, vm->uuid, sizeof(to->uuid));
		memcpy(to->label, vm->label, sizeof(to->label));
		spin_unlock(&vm->bell.lock);
	}
	memcpy(to->domain, p->domain, sizeof(to->domain));
	to->pid = p->pid;
	to->mode = p->mode;
	to->state = p->state;
	to->todo = v->todo;
	to->why = v->why;
	to->why_arg = v->why_arg;
	to->pages = v->scan;
	to->mergeable_pages = v->mergeable;
	to->merged_pages = v->merged;
	to->gain_pages = v->gain;
	to->cost_ns = v->cost_ns;
}

/* Without ksm.act, which the worker may need. */
static int fresh_look(void)
{
	u64 before;
	int err;

	mutex_lock(&kvmx_ksm.lock);
	/* One that is under way does not count: it may be past what has changed. */
	before = kvmx_ksm.looks_begun;
	kvmx_ksm.want_look = true;
	mutex_unlock(&kvmx_ksm.lock);
	kvmx_ksm_kick();
	err = wait_event_killable(kvmx_ksm.wait, READ_ONCE(kvmx_ksm.looks) > before);
	return err ? -EINTR : 0;
}

static struct kvmx_ksm_plan_vm *list_vms(const struct kvmx_ksm_plan_in *in,
					 struct kvmx_ksm_proc **procs)
{
	struct kvmx_ksm_plan_vm *list;
	u32 i;

	list = kvcalloc(in->nr_vm, sizeof(*list), GFP_KERNEL_ACCOUNT);
	for (i = 0; list && i < in->nr_vm; i++)
		fill_vm(&list[i], &in->vm[i], procs[i]);
	return list;
}

static void fill_plan(struct kvmx_ksm_plan *a, const struct kvmx_ksm_plan_in *in,
		      const struct kvmx_ksm_plan_out *out, struct kvmx_ksm_proc **procs)
{
	u32 i;

	a->epoch = out->epoch;
	a->scans = out->scans;
	a->why = out->why;
	a->why_arg = out->why_arg;
	a->gain_pages = out->gain;
	a->cost_ns = out->cost_ns;
	a->unmerge_pages = out->unmerge;
	memset(a->domain, 0, sizeof(a->domain));
	for (i = 0; i < in->nr_vm; i++) {
		if (in->vm[i].domain == out->domain &&
		    in->policy.domains == KVMX_KSM_STRICT)
			memcpy(a->domain, procs[i]->domain, sizeof(a->domain));
	}
}

/**
 * kvmx_ksm_plan() - KVMX_KSM_PLAN
 * @call: the call; its struct kvmx_ksm_plan is valid
 *
 * Return: 0, or an error as documented in the UAPI.
 */
int kvmx_ksm_plan(struct kvmx_call *call)
{
	struct kvmx_ksm_plan *a = call->arg;
	struct kvmx_ksm_plan_vm *list = NULL;
	struct kvmx_ksm_plan_out out;
	struct kvmx_ksm_plan_in in;
	struct kvmx_ksm_proc **procs;
	u32 room = a->nr_vms;
	int err;

	err = a->flags & KVMX_KSM_PLAN_FRESH ? fresh_look() : 0;
	if (err)
		return err;
	/* With the policy off nobody else counts them. */
	if (READ_ONCE(kvmx_ksm.policy.mode) == KVMX_KSM_HOST_OFF)
		WRITE_ONCE(kvmx_ksm.nr_foreign, kvmx_ksm_foreign(false));
	if (mutex_lock_killable(&kvmx_ksm.act))
		return -EINTR;
	err = kvmx_ksm_decide(true, &in, &out, &procs);
	if (!err) {
		list = list_vms(&in, procs);
		fill_plan(a, &in, &out, procs);
		err = list ? 0 : -ENOMEM;
	}
	a->nr_vms = in.nr_vm;
	kvmx_ksm_decide_free(&in, procs);
	mutex_unlock(&kvmx_ksm.act);
	if (err)
		return err;
	err = -EFAULT;
	if (a->nr_vms <= room &&
	    copy_to_user(u64_to_user_ptr(a->vms), list, a->nr_vms * sizeof(*list)))
		goto free;
	err = kvmx_call_put(call);
	if (!err && a->nr_vms > room)
		err = -ENOSPC;
free:
	kvfree(list);
	return err;
}
