// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces with VMs: their lifetime, and where their guests' memory lies.
 *
 * The object holds its VMs, so that a setting can outlive the VM's fds. The worker lets go of it
 * when the VMM has exited, or when nobody has a VM of it open and nobody asked to keep it.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "ksm.h"
#include "trace.h"

static atomic_t proc_ids = ATOMIC_INIT(0);

static struct kvmx_ksm_proc *find(const struct mm_struct *mm)
{
	struct kvmx_ksm_proc *p;

	lockdep_assert_held(&kvmx_ksm.act);
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		if (p->mm == mm)
			return p;
	}
	return NULL;
}

static struct kvmx_ksm_proc *make(struct mm_struct *mm, pid_t pid)
{
	struct kvmx_ksm_proc *p;

	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return NULL;
	mmgrab(mm);
	p->mm = mm;
	p->pid = pid;
	p->id = atomic_inc_return(&proc_ids);
	p->weight = 100;
	INIT_LIST_HEAD(&p->vms);
	INIT_LIST_HEAD(&p->pins);
	mutex_lock(&kvmx_ksm.lock);
	spin_lock(&kvmx_ksm.list_lock);
	list_add_tail(&p->node, &kvmx_ksm.procs);
	spin_unlock(&kvmx_ksm.list_lock);
	mutex_unlock(&kvmx_ksm.lock);
	return p;
}

static void link_vm(struct kvmx_ksm_proc *p, struct kvmx_vm *vm, struct file *file)
{
	kref_get(&vm->ref);
	vm->ksm_file = get_file(file);
	mutex_lock(&kvmx_ksm.lock);
	list_add_tail(&vm->ksm_node, &p->vms);
	WRITE_ONCE(vm->ksm, p);
	mutex_unlock(&kvmx_ksm.lock);
}

/* The VM is not in a list any more, and perhaps freed. */
static void put_vm(struct kvmx_vm *vm)
{
	struct file *file = vm->ksm_file;

	vm->ksm_file = NULL;
	kvmx_vm_put(vm);
	if (file)
		fput(file);
}

/**
 * kvmx_ksm_vm_dead() - a VM has died: don't keep what KVM holds for it
 * @vm: the VM
 *
 * The worker lets go of the rest, but not before a look or an epoch is over. Devices that are
 * passed through, for one, should not be taken for that long.
 *
 * Context: may sleep for as long as others change what may merge; no lock held.
 */
void kvmx_ksm_vm_dead(struct kvmx_vm *vm)
{
	struct file *file;

	if (!READ_ONCE(vm->ksm))
		return;
	mutex_lock(&kvmx_ksm.act);
	file = vm->ksm_file;
	vm->ksm_file = NULL;
	mutex_unlock(&kvmx_ksm.act);
	if (file)
		fput(file);
}

/**
 * kvmx_ksm_proc_get() - the object for a VM's address space, made if need be
 * @vm: the VM
 * @file: its file, held
 *
 * Context: under kvmx_ksm.act, which keeps it.
 * Return: the object, or ERR_PTR(-ENOMEM).
 */
struct kvmx_ksm_proc *kvmx_ksm_proc_get(struct kvmx_vm *vm, struct file *file)
{
	struct kvmx_ksm_proc *p = vm->ksm;

	lockdep_assert_held(&kvmx_ksm.act);
	if (p)
		return p;
	/* The VM holds what is left of its address space; that of the object may go under us. */
	p = find(vm->kvm->mm) ?: make(vm->kvm->mm, vm->kvm->userspace_pid);
	if (!p)
		return ERR_PTR(-ENOMEM);
	link_vm(p, vm, file);
	return p;
}

/* Memory of the pages of a memslot that lie between two guest frames. */
static int add_slot(struct kvmx_ksm_ranges *to, const struct kvmx_mslot *m, u64 gfn, u64 end)
{
	u64 from = max_t(u64, gfn, m->gfn), until = min_t(u64, end, m->gfn + m->npages);

	if (from >= until)
		return 0;
	return kvmx_ksm_ranges_add(to, m->hva + ((from - m->gfn) << PAGE_SHIFT),
				   m->hva + ((until - m->gfn) << PAGE_SHIFT));
}

static int add_vm(const struct kvmx_ksm_proc *p, struct kvmx_vm *vm, struct kvmx_ksm_ranges *slots,
		  struct kvmx_ksm_ranges *pinned)
{
	const struct kvmx_ksm_pin *pin;
	struct kvmx_slots *s;
	int err;
	u32 i;

	if (kvmx_vm_dead(vm))
		return 0;
	s = kvmx_slots_get(vm->kvm);
	err = PTR_ERR_OR_ZERO(s);
	if (err)
		return err;
	for (i = 0; i < s->nr && !err; i++) {
		err = add_slot(slots, &s->slot[i], 0, U64_MAX);
		list_for_each_entry(pin, &p->pins, node) {
			if (!err && pin->vm == vm)
				err = add_slot(pinned, &s->slot[i], pin->gfn,
					       pin->gfn + pin->npages);
		}
	}
	kvmx_slots_free(s);
	return err;
}

/**
 * kvmx_ksm_gfn_check() - whether any of some guest frames lies in a memslot
 * @vm: the VM
 * @gfn: the first
 * @npages: how many
 *
 * Context: under kvmx_ksm.act; kvmx_ksm_proc_get() was called for the VM.
 * Return: 0 if one does, -EINVAL if none does, -ENODEV, or -ENOMEM.
 */
int kvmx_ksm_gfn_check(struct kvmx_vm *vm, u64 gfn, u64 npages)
{
	struct kvmx_slots *s;
	int err = -EINVAL;
	u32 i;

	if (kvmx_vm_dead(vm))
		return -ENODEV;
	s = kvmx_slots_get(vm->kvm);
	if (IS_ERR(s))
		return PTR_ERR(s);
	for (i = 0; i < s->nr && err; i++) {
		if (gfn < s->slot[i].gfn + s->slot[i].npages && s->slot[i].gfn < gfn + npages)
			err = 0;
	}
	kvmx_slots_free(s);
	return err;
}

/**
 * kvmx_ksm_proc_refresh() - find out again where memory lies
 * @p: the object
 *
 * Context: under kvmx_ksm.act.
 * Return: 0, or -ENOMEM and nothing has changed.
 */
int kvmx_ksm_proc_refresh(struct kvmx_ksm_proc *p)
{
	struct kvmx_ksm_ranges slots = {}, pinned = {};
	struct kvmx_ksm_payer payer;
	struct kvmx_vm *vm;
	int err = 0;

	lockdep_assert_held(&kvmx_ksm.act);
	kvmx_ksm_payer_begin(&payer, p->mm);
	/* VMs come and go under act alone: the list is safe without the inner lock. */
	list_for_each_entry(vm, &p->vms, ksm_node) {
		err = add_vm(p, vm, &slots, &pinned);
		if (err)
			break;
	}
	if (!err) {
		swap(p->slots, slots);
		swap(p->pinned, pinned);
		p->pages = kvmx_ksm_ranges_bytes(&p->slots) >> PAGE_SHIFT;
	}
	kvmx_ksm_payer_end(&payer);
	kvmx_ksm_ranges_free(&slots);
	kvmx_ksm_ranges_free(&pinned);
	return err;
}

/**
 * kvmx_ksm_proc_dead() - whether the VMM is gone
 * @p: the object
 *
 * Return: whether it is.
 */
bool kvmx_ksm_proc_dead(const struct kvmx_ksm_proc *p)
{
	return !atomic_read(&p->mm->mm_users);
}

/**
 * kvmx_ksm_proc_migrations() - how many trackers with the migration flag there are
 * @p: the object
 *
 * Context: under kvmx_ksm.act or kvmx_ksm.lock.
 * Return: the number.
 */
u32 kvmx_ksm_proc_migrations(const struct kvmx_ksm_proc *p)
{
	struct kvmx_vm *vm;
	u32 nr = 0;

	list_for_each_entry(vm, &p->vms, ksm_node)
		nr += READ_ONCE(vm->nr_migrations);
	return nr;
}

/**
 * kvmx_ksm_proc_merged() - KSM's own count of merged pages
 * @p: the object
 *
 * KSM counts when it visits a page: what was written to or unmerged since is still counted.
 *
 * Return: the number; 0 if none of its memory may be merged.
 */
u64 kvmx_ksm_proc_merged(struct kvmx_ksm_proc *p)
{
	return READ_ONCE(p->live) ? READ_ONCE(p->mm->ksm_merging_pages) : 0;
}

/**
 * kvmx_ksm_proc_state() - say what happens to it
 * @p: the object
 * @state: KVMX_KSM_STATE_*
 * @why: KVMX_KSM_WHY_*
 * @why_arg: the number that comes with it
 */
void kvmx_ksm_proc_state(struct kvmx_ksm_proc *p, u32 state, u32 why, u64 why_arg)
{
	struct kvmx_vm *vm;
	bool changed;

	mutex_lock(&kvmx_ksm.lock);
	changed = p->state != state || p->why != why;
	p->state = state;
	p->why = why;
	p->why_arg = why_arg;
	if (changed) {
		trace_kvmx_ksm_state(p->id, state, why, why_arg);
		list_for_each_entry(vm, &p->vms, ksm_node)
			kvmx_event(vm, KVMX_EVENT_KSM, (u64)state << 32 | why);
	}
	mutex_unlock(&kvmx_ksm.lock);
}

/**
 * kvmx_ksm_proc_unmerge() - unmerge all of its memory
 * @p: the object
 *
 * Context: under kvmx_ksm.act.
 * Return: 0; -ENOMEM or -ERESTARTSYS: some of it may be unmerged.
 */
int kvmx_ksm_proc_unmerge(struct kvmx_ksm_proc *p)
{
	u64 merged = p->sampled ? p->look.merged : kvmx_ksm_proc_merged(p);
	int err;

	lockdep_assert_held(&kvmx_ksm.act);
	err = kvmx_ksm_vma_unmerge(p, 0, TASK_SIZE_MAX);
	if (err && err != -ESRCH)
		return err;
	mutex_lock(&kvmx_ksm.lock);
	p->unmerged += merged;
	p->look.merged = 0;
	p->freed = 0;
	p->zeroed = 0;
	p->merged = 0;
	p->cow_new = 0;
	WRITE_ONCE(p->live, false);
	mutex_unlock(&kvmx_ksm.lock);
	return 0;
}

/**
 * kvmx_ksm_proc_restore() - make its mappings again what the VMM made them
 * @p: the object
 *
 * But for those of PINs, which stay unmerged until they are undone.
 *
 * Context: under kvmx_ksm.act.
 * Return: 0; -ENOMEM or -ERESTARTSYS: some are still mergeable that were not.
 */
int kvmx_ksm_proc_restore(struct kvmx_ksm_proc *p)
{
	int err = kvmx_ksm_proc_refresh(p);

	return err ?: kvmx_ksm_vma_restore(p);
}

static void forget(struct kvmx_ksm_proc *p)
{
	struct kvmx_ksm_pin *pin, *next_pin;
	struct kvmx_vm *vm, *next;
	LIST_HEAD(vms);

	mutex_lock(&kvmx_ksm.lock);
	spin_lock(&kvmx_ksm.list_lock);
	list_del(&p->node);
	spin_unlock(&kvmx_ksm.list_lock);
	list_splice_init(&p->vms, &vms);
	list_for_each_entry(vm, &vms, ksm_node)
		WRITE_ONCE(vm->ksm, NULL);
	mutex_unlock(&kvmx_ksm.lock);
	list_for_each_entry_safe(vm, next, &vms, ksm_node) {
		list_del_init(&vm->ksm_node);
		put_vm(vm);
	}
	list_for_each_entry_safe(pin, next_pin, &p->pins, node)
		kfree(pin);
	kvmx_ksm_ranges_free(&p->slots);
	kvmx_ksm_ranges_free(&p->pinned);
	kvmx_ksm_ranges_free(&p->found);
	kvmx_ksm_ranges_free(&p->made);
	kvmx_ksm_ranges_free(&p->taken);
	mmdrop(p->mm);
	kfree(p);
}

/* Whether somebody still has a VM open: a handle, or, if the setting is kept, the VMM itself. */
static bool vm_open(const struct kvmx_ksm_proc *p, const struct kvmx_vm *vm)
{
	if (kvmx_vm_handles(vm))
		return true;
	if (!p->keep || p->mode == KVMX_KSM_UNSET)
		return false;
	/* One reference is our own, another the VM object's. */
	return !kvmx_vm_dead(vm) && file_count(vm->ksm_file) > 2;
}

/* Of this VM, and of all that nobody has open, whose PINs have ended. */
static void free_pins(struct kvmx_ksm_proc *p, const struct kvmx_vm *vm, bool all)
{
	struct kvmx_ksm_pin *pin, *next;

	list_for_each_entry_safe(pin, next, &p->pins, node) {
		if (!all && pin->vm != vm && kvmx_vm_handles(pin->vm))
			continue;
		list_del(&pin->node);
		p->nr_pins--;
		kfree(pin);
	}
}

/* Lets go of the VMs that nobody has open, unless that is all of them. Returns whether it is. */
static bool close_vms(struct kvmx_ksm_proc *p)
{
	struct kvmx_vm *vm, *next;
	u32 nr = 0;

	list_for_each_entry(vm, &p->vms, ksm_node)
		nr += vm_open(p, vm);
	if (!nr)
		return true;
	list_for_each_entry_safe(vm, next, &p->vms, ksm_node) {
		if (vm_open(p, vm))
			continue;
		/* The last fd may have been closed since they were looked at. */
		free_pins(p, vm, false);
		mutex_lock(&kvmx_ksm.lock);
		list_del_init(&vm->ksm_node);
		WRITE_ONCE(vm->ksm, NULL);
		mutex_unlock(&kvmx_ksm.lock);
		put_vm(vm);
	}
	return list_empty(&p->vms);
}

/**
 * kvmx_ksm_reap() - let go of what is not needed any more
 * @all: the module goes: all of it
 *
 * Context: the worker, under kvmx_ksm.act.
 * Return: whether to come back unasked: nobody tells when a VMM closes a VM that is kept for it, or
 *	when there is memory again.
 */
bool kvmx_ksm_reap(bool all)
{
	struct kvmx_ksm_proc *p, *next;
	bool again = false;
	int err;
	u32 pins;

	lockdep_assert_held(&kvmx_ksm.act);
	list_for_each_entry_safe(p, next, &kvmx_ksm.procs, node) {
		if (kvmx_ksm_proc_dead(p)) {
			forget(p);
			continue;
		}
		pins = p->nr_pins;
		free_pins(p, NULL, all);
		if (!all && !close_vms(p)) {
			if (pins != p->nr_pins)
				kvmx_ksm_proc_refresh(p);
			again |= p->keep;
			continue;
		}
		err = kvmx_ksm_proc_restore(p);
		if (err && !all) {
			again = true;
			continue;
		}
		/* Mergeable is a state that the VMM can live with. */
		if (err)
			pr_warn("kvmx: no memory to unmerge that of VMM %d\n", p->pid);
		forget(p);
	}
	return again;
}

/**
 * kvmx_ksm_bytes() - kernel memory held
 *
 * Context: under kvmx_ksm.act or kvmx_ksm.lock.
 * Return: bytes.
 */
u64 kvmx_ksm_bytes(void)
{
	const struct kvmx_ksm_proc *p;
	u64 sum = 0;

	spin_lock(&kvmx_ksm.list_lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node)
		sum += sizeof(*p) + READ_ONCE(p->nr_pins) * sizeof(struct kvmx_ksm_pin) +
		       sizeof(struct kvmx_ksm_range) *
			       (READ_ONCE(p->slots.room) + READ_ONCE(p->pinned.room) +
				READ_ONCE(p->found.room) + READ_ONCE(p->made.room) +
				READ_ONCE(p->taken.room));
	spin_unlock(&kvmx_ksm.list_lock);
	return sum;
}
