// SPDX-License-Identifier: GPL-2.0
/*
 * Other processes whose memory KSM may merge: they would meet the live domain's in ksmd's trees.
 */
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "ksm.h"
#include "compat/mm.h"

#define AT_ONCE	32

/* Whether kvmx knows an address space, and, if asked so, wants its memory to merge now. */
static bool managed(const struct mm_struct *mm, bool live)
{
	const struct kvmx_ksm_proc *p;
	bool found = false;

	spin_lock(&kvmx_ksm.list_lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		found = p->mm == mm && READ_ONCE(p->mode) != KVMX_KSM_UNSET &&
			(!live || READ_ONCE(p->live));
		if (found)
			break;
	}
	spin_unlock(&kvmx_ksm.list_lock);
	return found;
}

/* The address space of a process that KSM knows and kvmx does not, held. */
static struct mm_struct *suspicious(struct task_struct *leader, bool live)
{
	struct mm_struct *mm = NULL;
	struct task_struct *t;

	/* The leader may have exited before its threads. */
	for_each_thread(leader, t) {
		task_lock(t);
		if (t->mm && !(t->flags & PF_KTHREAD)) {
			mm = t->mm;
			if (!kvmx_mm_mergeable(mm) || managed(mm, live) || !mmget_not_zero(mm))
				mm = NULL;
			task_unlock(t);
			break;
		}
		task_unlock(t);
	}
	return mm;
}

/* Takes up to AT_ONCE address spaces of processes with a number above @pid. */
static u32 collect(struct mm_struct **mm, pid_t *pid, bool live)
{
	struct task_struct *p;
	pid_t last = *pid;
	u32 nr = 0;

	rcu_read_lock();
	/* Processes are listed as they were made, which is by number but for a wrap. */
	for_each_process(p) {
		if (p->pid <= *pid)
			continue;
		if (nr == AT_ONCE)
			break;
		mm[nr] = suspicious(p, live);
		if (mm[nr]) {
			nr++;
			last = max(last, p->pid);
		}
	}
	rcu_read_unlock();
	*pid = last;
	return nr;
}

/**
 * kvmx_ksm_foreign() - count processes with mergeable memory that kvmx does not manage
 * @live: count also those it does and whose memory shall not merge now
 *
 * Context: may sleep.
 * Return: the number.
 */
u32 kvmx_ksm_foreign(bool live)
{
	struct mm_struct *mm[AT_ONCE];
	u32 i, nr, sum = 0;
	pid_t pid = 0;

	do {
		nr = collect(mm, &pid, live);
		for (i = 0; i < nr; i++) {
			/* KSM forgets about address spaces late. */
			sum += kvmx_ksm_vma_any(mm[i]);
			mmput(mm[i]);
		}
		cond_resched();
	} while (nr == AT_ONCE);
	return sum;
}
