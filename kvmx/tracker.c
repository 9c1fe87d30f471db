// SPDX-License-Identifier: GPL-2.0
/*
 * Trackers: consumers of dirty pages, and what makes pages dirty besides the guest.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "core.h"
#include "ksm.h"
#include "log.h"

static atomic_t kvmx_tracker_ids = ATOMIC_INIT(0);

/**
 * kvmx_tracker_drop() - free the sets of a tracker
 * @t: the tracker
 *
 * Context: under kvmx_vm.lock, before kvmx_vm.slots changes.
 */
void kvmx_tracker_drop(struct kvmx_tracker *t)
{
	u32 i;

	lockdep_assert_held(&t->vm->lock);
	if (!t->pend)
		return;
	for (i = 0; i < t->vm->slots->nr; i++)
		kvmx_pend_free(t->pend[i]);
	kvfree(t->pend);
	t->pend = NULL;
}

/* KSM stays out of the way of a migration. */
static void count_migration(struct kvmx_tracker *t, int by)
{
	struct kvmx_vm *vm = t->vm;

	lockdep_assert_held(&vm->lock);
	if (!t->migration)
		return;
	WRITE_ONCE(vm->nr_migrations, vm->nr_migrations + by);
	kvmx_ksm_kick();
}

static int tracker_release(struct inode *inode, struct file *file)
{
	struct kvmx_tracker *t = file->private_data;
	struct kvmx_vm *vm = t->vm;
	bool settle = false;

	mutex_lock(&vm->lock);
	kvmx_tracker_drop(t);
	list_del(&t->node);
	vm->nr_trackers--;
	count_migration(t, -1);
	if (!vm->nr_trackers && vm->logging && !kvmx_vm_dead(vm)) {
		/* Closed by another process, or on exit: KVM wants the VMM's address space. */
		settle = current->mm != vm->mm;
		if (!settle)
			kvmx_log_end(vm);
	}
	kvmx_event(vm, KVMX_EVENT_TRACKERS, vm->nr_trackers);
	mutex_unlock(&vm->lock);
	kfree(t);
	/* The tracker's reference goes to the work, unless that is on its way already. */
	if (!settle || !queue_work(kvmx_settle_wq, &vm->settle))
		kvmx_vm_put(vm);
	return 0;
}

static __poll_t tracker_poll(struct file *file, struct poll_table_struct *pt)
{
	struct kvmx_tracker *t = file->private_data;

	poll_wait(file, &t->vm->bell.wait, pt);
	return kvmx_vm_dead(t->vm) ? EPOLLHUP : 0;
}

static const struct file_operations tracker_fops = {
	.owner = THIS_MODULE,
	.release = tracker_release,
	.poll = tracker_poll,
	.unlocked_ioctl = kvmx_tracker_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct kvmx_tracker *tracker_alloc(struct kvmx_vm *vm, bool clean)
{
	struct kvmx_tracker *t;
	u32 i;

	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t)
		return NULL;
	t->vm = vm;
	t->id = atomic_inc_return(&kvmx_tracker_ids);
	t->pend = kvcalloc(max(vm->slots->nr, 1U), sizeof(*t->pend), GFP_KERNEL_ACCOUNT);
	if (!t->pend)
		goto free;
	for (i = 0; i < vm->slots->nr; i++) {
		t->pend[i] = kvmx_pend_alloc(vm->slots->slot[i].npages);
		if (!t->pend[i])
			goto free;
		if (!clean)
			kvmx_pend_fill(t->pend[i]);
	}
	return t;
free:
	kvmx_tracker_drop(t);
	kfree(t);
	return NULL;
}

/* Makes kvmx the one that logs. */
static int begin(struct kvmx_vm *vm)
{
	struct kvmx_slots *s;

	s = kvmx_slots_get(vm->kvm);
	if (IS_ERR(s))
		return PTR_ERR(s);
	if (kvmx_log_foreign(s)) {
		kvmx_slots_free(s);
		return -EBUSY;
	}
	kvmx_slots_free(vm->slots);
	vm->slots = s;
	return kvmx_log_begin(vm);
}

/**
 * kvmx_tracker_create() - KVMX_TRACKER_CREATE
 * @vm: the VM
 * @flags: KVMX_TRACKER_*
 *
 * Context: in the VMM's address space, under kvmx_vm.lock.
 * Return: a new fd, or an error as documented in the UAPI.
 */
int kvmx_tracker_create(struct kvmx_vm *vm, u32 flags)
{
	bool clean = flags & KVMX_TRACKER_CLEAN;
	struct kvmx_tracker *t;
	int ret;

	lockdep_assert_held(&vm->lock);
	if (vm->sampling)
		return -EBUSY;
	if (vm->nr_trackers == KVMX_MAX_TRACKERS)
		return -EUSERS;
	/* Logging may still be on if the last tracker was closed elsewhere a moment ago. */
	ret = vm->logging ? kvmx_slots_sync(vm) : begin(vm);
	if (ret)
		return ret;
	/* What was written until now goes to the others. */
	ret = clean ? kvmx_collect_all(vm) : 0;
	if (ret)
		goto end;
	ret = -ENOMEM;
	t = tracker_alloc(vm, clean);
	if (!t)
		goto end;
	t->migration = flags & KVMX_TRACKER_MIGRATION;
	ret = anon_inode_getfd("[kvmx-tracker]", &tracker_fops, t, O_RDWR | O_CLOEXEC);
	if (ret < 0)
		goto free;
	kref_get(&vm->ref);
	list_add_tail(&t->node, &vm->trackers);
	vm->nr_trackers++;
	count_migration(t, 1);
	kvmx_event(vm, KVMX_EVENT_TRACKERS, vm->nr_trackers);
	return ret;
free:
	kvmx_tracker_drop(t);
	kfree(t);
end:
	if (!vm->nr_trackers)
		kvmx_log_end(vm);
	return ret;
}

/**
 * kvmx_add_runs() - make pages dirty
 * @only: for this tracker
 * @vm: or, if @only is NULL, for all trackers of this VM
 * @runs: which; none is empty or wraps
 * @nr: entries in @runs
 *
 * Context: under kvmx_vm.lock. Any address space.
 * Return: how many of the pages lie in no memslot, and were ignored.
 */
u64 kvmx_add_runs(struct kvmx_tracker *only, struct kvmx_vm *vm, const struct kvmx_run *runs,
		  u32 nr)
{
	const struct kvmx_slots *s = vm->slots;
	struct kvmx_tracker *t;
	u64 dropped = 0;
	u32 i, j;

	lockdep_assert_held(&vm->lock);
	for (i = 0; i < nr; i++) {
		u32 as = runs[i].slot >> 16;
		gfn_t gfn = runs[i].gfn, end = gfn + runs[i].npages;

		/* Who is being killed will not miss a dirty page. */
		if (fatal_signal_pending(current))
			break;
		cond_resched();
		dropped += runs[i].npages;
		for (j = kvmx_slots_find(s, as, gfn); j < s->nr; j++) {
			const struct kvmx_mslot *m = &s->slot[j];
			gfn_t from = max(gfn, m->gfn), to = min(end, m->gfn + m->npages);

			if (m->id >> 16 != as || m->gfn >= end)
				break;
			dropped -= to - from;
			list_for_each_entry(t, &vm->trackers, node) {
				if (!only || t == only)
					kvmx_pend_add(t->pend[j], from - m->gfn, to - from);
			}
		}
	}
	return dropped;
}
