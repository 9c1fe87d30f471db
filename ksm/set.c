// SPDX-License-Identifier: GPL-2.0
/*
 * What users say: settings of a VM, the host's policy, memory that is about to be pinned.
 *
 * What has to be unmerged is unmerged here, in the caller's time and with its signals; what may
 * merge is left to the worker.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "ksm.h"

static atomic64_t last_key = ATOMIC64_INIT(0);

static const u8 none[KVMX_UUID_LEN];

static bool same(const u8 *a, const u8 *b)
{
	return !memcmp(a, b, KVMX_UUID_LEN);
}

static bool is_none(const u8 *uuid)
{
	return !memchr_inv(uuid, 0, KVMX_UUID_LEN);
}

/* The number for a domain: that of another VM in it, or a new one. */
static u64 key_of(const struct kvmx_ksm_proc *self, const u8 *domain)
{
	const struct kvmx_ksm_proc *p;

	lockdep_assert_held(&kvmx_ksm.act);
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		if (p != self && p->key && !is_none(domain) && same(p->domain, domain))
			return p->key;
	}
	return atomic64_inc_return(&last_key);
}

static void store(struct kvmx_ksm_proc *p, u32 mode, u32 weight, bool keep, const u8 *domain,
		  u64 key)
{
	mutex_lock(&kvmx_ksm.lock);
	if (p->mode != mode || p->key != key)
		p->left = 0;
	WRITE_ONCE(p->mode, mode);
	p->weight = weight;
	p->keep = keep;
	if (p->domain != domain)
		memcpy(p->domain, domain, sizeof(p->domain));
	p->key = key;
	mutex_unlock(&kvmx_ksm.lock);
}

/* What has to be done to memory before a setting holds. */
static int unmerge_for(struct kvmx_ksm_proc *p, u32 mode, bool moved)
{
	if (mode == KVMX_KSM_UNSET)
		return kvmx_ksm_proc_restore(p);
	if (mode == KVMX_KSM_OFF || (moved && p->live))
		return kvmx_ksm_proc_unmerge(p);
	return 0;
}

static void begin_state(struct kvmx_ksm_proc *p)
{
	bool on = kvmx_ksm.policy.mode == KVMX_KSM_HOST_ON;

	if (p->mode == KVMX_KSM_UNSET)
		kvmx_ksm_proc_state(p, KVMX_KSM_STATE_UNSET, KVMX_KSM_WHY_NONE, 0);
	else if (p->mode == KVMX_KSM_OFF)
		kvmx_ksm_proc_state(p, KVMX_KSM_STATE_OFF, KVMX_KSM_WHY_MODE, 0);
	else if (!p->live)
		kvmx_ksm_proc_state(p, KVMX_KSM_STATE_WAITING, on ? KVMX_KSM_WHY_SAMPLING :
								    KVMX_KSM_WHY_HOST_OFF, 0);
}

static void want_look(void)
{
	mutex_lock(&kvmx_ksm.lock);
	kvmx_ksm.want_look = kvmx_ksm.policy.mode == KVMX_KSM_HOST_ON;
	mutex_unlock(&kvmx_ksm.lock);
}

/* What puts others at a disadvantage, or lets a VM into a domain. What it has is not asked for. */
static bool wants_more(const struct kvmx_ksm_proc *p, const struct kvmx_vm_ksm_set *a,
		       const u8 *domain)
{
	return (a->mode == KVMX_KSM_ALWAYS && p->mode != KVMX_KSM_ALWAYS) ||
	       (a->weight > 100 && a->weight > p->weight) ||
	       (!is_none(domain) && !same(domain, p->domain));
}

static int set_locked(struct kvmx_vm *vm, struct file *file, const struct kvmx_vm_ksm_set *a)
{
	struct kvmx_ksm_proc *p;
	const u8 *domain;
	bool moved;
	u64 key;
	int err;

	p = kvmx_ksm_proc_get(vm, file);
	if (IS_ERR(p))
		return PTR_ERR(p);
	domain = a->flags & KVMX_VM_KSM_DOMAIN ? a->domain : p->domain;
	/* The setting as a whole is forgotten. */
	if (a->mode == KVMX_KSM_UNSET && !(a->flags & KVMX_VM_KSM_DOMAIN))
		domain = none;
	moved = !same(domain, p->domain);
	if (wants_more(p, a, domain) && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = kvmx_ksm_proc_refresh(p);
	if (!err)
		err = unmerge_for(p, a->mode, moved);
	/* A signal is no refusal: the worker does the rest. */
	if (err && err != -ERESTARTSYS)
		return err;
	key = moved || !p->key ? key_of(p, domain) : p->key;
	store(p, a->mode, a->weight ?: 100, a->flags & KVMX_VM_KSM_KEEP, domain, key);
	if (a->mode == KVMX_KSM_UNSET) {
		mutex_lock(&kvmx_ksm.lock);
		WRITE_ONCE(p->live, p->live && err);
		p->sampled = false;
		mutex_unlock(&kvmx_ksm.lock);
	}
	begin_state(p);
	want_look();
	return err;
}

/**
 * kvmx_ksm_vm_set() - KVMX_VM_KSM_SET
 * @vm: the VM
 * @a: the argument, valid
 *
 * Return: 0, or an error as documented in the UAPI.
 */
int kvmx_ksm_vm_set(struct kvmx_vm *vm, const struct kvmx_vm_ksm_set *a)
{
	struct kvmx_ksm_hold hold;
	struct file *file;
	int err;

	if (!kvmx_knobs_present())
		return -EOPNOTSUPP;
	/* Here, since kvmx_vm.lock may be waited for, and others wait for kvmx_ksm.act. */
	file = kvmx_vm_file_get(vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = kvmx_ksm_hold(&hold, &vm->ksm_limit);
	if (err)
		goto put;
	err = kvmx_vm_dead(vm) ? -ENODEV : set_locked(vm, file, a);
	kvmx_ksm_release(&hold);
put:
	fput(file);
	return err;
}

static struct kvmx_ksm_pin *find_pin(struct kvmx_ksm_proc *p, const struct kvmx_vm *vm,
				     const struct kvmx_vm_ksm_pin *a)
{
	struct kvmx_ksm_pin *pin;

	list_for_each_entry(pin, &p->pins, node) {
		if (pin->vm == vm && pin->gfn == a->gfn && pin->npages == a->npages)
			return pin;
	}
	return NULL;
}

static void drop_pin(struct kvmx_ksm_proc *p, struct kvmx_ksm_pin *pin)
{
	list_del(&pin->node);
	p->nr_pins--;
	kfree(pin);
}

/* Without a setting, or with the policy off, it is the VMM's wish that counts. */
static bool as_made(const struct kvmx_ksm_proc *p)
{
	return p->mode == KVMX_KSM_UNSET ||
	       (p->mode != KVMX_KSM_OFF && kvmx_ksm.policy.mode == KVMX_KSM_HOST_OFF);
}

static int take_pins(struct kvmx_ksm_proc *p)
{
	int err = kvmx_ksm_proc_refresh(p);
	u32 i;

	for (i = 0; i < p->pinned.nr && !err; i++)
		err = kvmx_ksm_vma_unmerge(p, p->pinned.r[i].start, p->pinned.r[i].end);
	return err;
}

static int unpin(struct kvmx_ksm_proc *p, struct kvmx_vm *vm, const struct kvmx_vm_ksm_pin *a)
{
	struct kvmx_ksm_pin *pin = find_pin(p, vm, a);
	int err;

	if (!pin)
		return -EINVAL;
	list_del_init(&pin->node);
	err = as_made(p) ? kvmx_ksm_proc_restore(p) : kvmx_ksm_proc_refresh(p);
	if (err) {
		/* Some may be mergeable again. If this fails, too, the next look tries again. */
		list_add(&pin->node, &p->pins);
		take_pins(p);
		return err;
	}
	drop_pin(p, pin);
	return 0;
}

static int pin(struct kvmx_ksm_proc *p, struct kvmx_vm *vm, const struct kvmx_vm_ksm_pin *a)
{
	struct kvmx_ksm_pin *pin;
	int err;

	err = kvmx_ksm_gfn_check(vm, a->gfn, a->npages);
	if (err)
		return err;
	if (p->nr_pins >= KVMX_KSM_MAX_PINS)
		return -ENOSPC;
	pin = kzalloc(sizeof(*pin), GFP_KERNEL_ACCOUNT);
	if (!pin)
		return -ENOMEM;
	pin->vm = vm;
	pin->gfn = a->gfn;
	pin->npages = a->npages;
	list_add(&pin->node, &p->pins);
	p->nr_pins++;
	err = take_pins(p);
	if (!err)
		return 0;
	drop_pin(p, pin);
	/* Some of it may have been taken already. If that fails, too, the next look tries again. */
	if (as_made(p))
		kvmx_ksm_proc_restore(p);
	else
		kvmx_ksm_proc_refresh(p);
	return err;
}

/**
 * kvmx_ksm_vm_pin() - KVMX_VM_KSM_PIN
 * @vm: the VM
 * @a: the argument, valid
 *
 * Return: 0, or an error as documented in the UAPI.
 */
int kvmx_ksm_vm_pin(struct kvmx_vm *vm, const struct kvmx_vm_ksm_pin *a)
{
	struct kvmx_ksm_proc *p;
	struct kvmx_ksm_hold hold;
	struct file *file;
	int err;

	if (!kvmx_knobs_present())
		return -EOPNOTSUPP;
	file = kvmx_vm_file_get(vm);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = kvmx_ksm_hold(&hold, &vm->ksm_limit);
	if (err)
		goto put;
	err = -ENODEV;
	if (kvmx_vm_dead(vm))
		goto release;
	p = kvmx_ksm_proc_get(vm, file);
	err = PTR_ERR_OR_ZERO(p);
	if (err)
		goto release;
	err = a->flags & KVMX_VM_KSM_UNPIN ? unpin(p, vm, a) : pin(p, vm, a);
	want_look();
release:
	kvmx_ksm_release(&hold);
put:
	fput(file);
	return err;
}

/* Unmerges what may not be live any more under another policy. */
static int leave_domains(const struct kvmx_ksm_policy *new)
{
	const struct kvmx_ksm_policy *old = &kvmx_ksm.policy;
	bool apart = old->domains == KVMX_KSM_SHARED && new->domains == KVMX_KSM_STRICT;
	struct kvmx_ksm_proc *p;
	int err = 0;

	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		bool out = new->domains == KVMX_KSM_STRICT && !is_none(new->domain) &&
			   !same(new->domain, p->domain);

		if (!err && p->live && (apart || out)) {
			err = kvmx_ksm_proc_unmerge(p);
			if (!err)
				kvmx_ksm_proc_state(p, KVMX_KSM_STATE_REFUSED,
						    KVMX_KSM_WHY_DOMAIN, 0);
		}
	}
	return err;
}

static int switch_on(const struct kvmx_ksm_policy *new, bool take)
{
	bool refuse = new->domains == KVMX_KSM_STRICT && new->foreign == KVMX_KSM_FOREIGN_REFUSE;
	u32 knobs = kvmx_knobs_state(NULL);
	int err;

	if (refuse && kvmx_ksm_foreign(false))
		return -EBUSY;
	err = leave_domains(new);
	if (err)
		return err;
	if (knobs == KVMX_KSM_KNOBS_FREE || (knobs == KVMX_KSM_KNOBS_LOST && take))
		err = kvmx_knobs_take();
	return err;
}

/**
 * kvmx_ksm_switch_off() - make memory and knobs again what they were
 * @force: whatever happens; what cannot be unmerged now stays mergeable
 *
 * Context: under kvmx_ksm.act; ksmd stands still.
 * Return: 0; -ENOMEM or -ERESTARTSYS, unless @force.
 */
int kvmx_ksm_switch_off(bool force)
{
	struct kvmx_ksm_proc *p;
	int err;

	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		if (p->mode == KVMX_KSM_OFF || p->mode == KVMX_KSM_UNSET)
			continue;
		err = kvmx_ksm_proc_restore(p);
		if (err && !force)
			return err;
		if (!err)
			WRITE_ONCE(p->live, false);
		kvmx_ksm_proc_state(p, KVMX_KSM_STATE_REFUSED, KVMX_KSM_WHY_HOST_OFF, 0);
	}
	kvmx_knobs_give();
	return 0;
}

/**
 * kvmx_ksm_host_set() - KVMX_KSM_HOST_SET
 * @sys: the caller's fd
 * @a: the argument; what it says of the policy has yet to be checked
 *
 * Return: 0, or an error as documented in the UAPI.
 */
int kvmx_ksm_host_set(struct kvmx_sys *sys, const struct kvmx_ksm_host_set *a)
{
	struct kvmx_ksm_policy new = a->policy;
	bool on = new.mode == KVMX_KSM_HOST_ON;
	struct kvmx_ksm_hold hold;
	int err;

	if (!kvmx_knobs_present())
		return -EOPNOTSUPP;
	err = kvmx_ksm_policy_check(&new);
	if (err)
		return err;
	kvmx_ksm_policy_fill(&new);
	err = kvmx_ksm_hold(&hold, NULL);
	if (err)
		return err;
	err = on ? switch_on(&new, a->flags & KVMX_KSM_HOST_TAKE) : kvmx_ksm_switch_off(false);
	kvmx_ksm_live_update();
	if (err)
		goto release;
	mutex_lock(&kvmx_ksm.lock);
	if (on && kvmx_ksm.policy.mode == KVMX_KSM_HOST_OFF)
		kvmx_ksm.cow_base = kvmx_ksm_cow_events();
	kvmx_ksm.policy = new;
	kvmx_ksm.binder = on && a->flags & KVMX_KSM_HOST_BIND ? sys : NULL;
	/* The fd that was closed a moment ago had to do with the policy before. */
	WRITE_ONCE(kvmx_ksm.unbound, false);
	kvmx_ksm.why = on ? KVMX_KSM_WHY_SAMPLING : KVMX_KSM_WHY_HOST_OFF;
	kvmx_ksm.why_arg = 0;
	mutex_unlock(&kvmx_ksm.lock);
	want_look();
release:
	kvmx_ksm_release(&hold);
	return err;
}

/**
 * kvmx_ksm_vm_closed() - a VM fd was closed
 * @vm: the VM
 */
void kvmx_ksm_vm_closed(struct kvmx_vm *vm)
{
	if (READ_ONCE(vm->ksm) && !kvmx_vm_handles(vm))
		kvmx_ksm_kick();
}

/**
 * kvmx_ksm_sys_closed() - a system fd is being closed
 * @sys: the fd
 */
void kvmx_ksm_sys_closed(struct kvmx_sys *sys)
{
	mutex_lock(&kvmx_ksm.lock);
	if (kvmx_ksm.binder == sys) {
		kvmx_ksm.binder = NULL;
		WRITE_ONCE(kvmx_ksm.unbound, true);
	}
	mutex_unlock(&kvmx_ksm.lock);
	if (READ_ONCE(kvmx_ksm.unbound))
		kvmx_ksm_kick();
}
