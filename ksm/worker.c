// SPDX-License-Identifier: GPL-2.0
/*
 * The worker: the one thread that looks at memory, has mappings changed and lets ksmd run. It has
 * nothing to do while the policy is off, and wakes up now and then otherwise to see whether
 * somebody else has written to a knob.
 */
#include <linux/capability.h>
#include <linux/completion.h>
#include <linux/freezer.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/ratelimit.h>
#include <linux/sched/mm.h>
#include <linux/wait.h>

#include "arith.h"
#include "ksm.h"

#define CHECK_NS	(2 * NSEC_PER_SEC)
#define AGAIN_NS	(10 * NSEC_PER_SEC)
#define SLICE_NS	(10 * NSEC_PER_MSEC)
#define EVICT_NS	(600 * NSEC_PER_SEC)
/* A storm: this many writes to merged pages, and at least an eighth of those merged. */
#define STORM_PAGES	1024

struct kvmx_ksm kvmx_ksm = {
	.act = __MUTEX_INITIALIZER(kvmx_ksm.act),
	.lock = __MUTEX_INITIALIZER(kvmx_ksm.lock),
	.list_lock = __SPIN_LOCK_UNLOCKED(kvmx_ksm.list_lock),
	.procs = LIST_HEAD_INIT(kvmx_ksm.procs),
	.wait = __WAIT_QUEUE_HEAD_INITIALIZER(kvmx_ksm.wait),
};

/* What the worker remembers between two turns; but for @leave nobody else looks at it. */
static struct {
	u64 next_look;
	u32 idle_looks;
	u64 cow_seen;
	u32 knobs;
	bool foreign;	/* as the last event says */
	u32 cut;	/* why the last epoch ended */
	bool retry;
	bool again;	/* also with the policy off there is something to come back for */
	bool leave;	/* the module goes */
} self;

static DECLARE_COMPLETION(left);

/**
 * kvmx_ksm_kick() - the worker has something to look at
 */
void kvmx_ksm_kick(void)
{
	WRITE_ONCE(kvmx_ksm.kicked, true);
	wake_up_all(&kvmx_ksm.wait);
}

/**
 * kvmx_ksm_stopping() - whether the worker shall stop what it does
 *
 * Context: the worker.
 * Return: whether it shall: the module or the policy goes.
 */
bool kvmx_ksm_stopping(void)
{
	return READ_ONCE(self.leave) || READ_ONCE(kvmx_ksm.unbound);
}

/**
 * kvmx_ksm_sleep() - sleep, but not longer than it is worth
 * @ns: time
 *
 * Context: the worker. Ends early if kvmx_ksm_stopping(), or if ksmd runs and shall stand still.
 */
void kvmx_ksm_sleep(u64 ns)
{
	wait_event_freezable_timeout(kvmx_ksm.wait, kvmx_ksm_stopping() ||
				     (READ_ONCE(kvmx_ksm.in_epoch) &&
				      atomic_read(&kvmx_ksm.holds)),
				     max(nsecs_to_jiffies(ns), 1UL));
}

/**
 * kvmx_ksm_toll_start() - begin to keep to a CPU budget
 * @toll: the account
 * @permille: of one CPU
 *
 * Context: the worker.
 */
void kvmx_ksm_toll_start(struct kvmx_ksm_toll *toll, u32 permille)
{
	toll->permille = max(permille, 1U);
	toll->wall = ktime_get_ns();
	toll->cpu = current->se.sum_exec_runtime;
}

/**
 * kvmx_ksm_toll_pay() - sleep if the budget is used up
 * @toll: the account
 *
 * Context: the worker.
 */
void kvmx_ksm_toll_pay(struct kvmx_ksm_toll *toll)
{
	u64 used = current->se.sum_exec_runtime - toll->cpu;
	u64 wall = ktime_get_ns() - toll->wall, due = kvmx_muldiv(used, 1000, toll->permille);

	/* Not for less than a slice, or it would sleep all the time. */
	if (due > wall + SLICE_NS)
		kvmx_ksm_sleep(due - wall);
}

/**
 * kvmx_ksm_host_state() - say what the worker does
 * @state: KVMX_KSM_HOST_STATE_*
 */
void kvmx_ksm_host_state(u32 state)
{
	WRITE_ONCE(kvmx_ksm.state, state);
}

static void claim(struct kvmx_ksm_hold *hold)
{
	hold->urgent = true;
	atomic_inc(&kvmx_ksm.holds);
	wake_up_all(&kvmx_ksm.wait);
}

static void unclaim(const struct kvmx_ksm_hold *hold)
{
	if (hold->urgent)
		atomic_dec(&kvmx_ksm.holds);
	kvmx_ksm_kick();
}

/* Whether the caller may end an epoch. */
static bool may_claim(struct ratelimit_state *limit)
{
	return !limit || capable(CAP_SYS_ADMIN) || __ratelimit(limit);
}

/**
 * kvmx_ksm_hold() - have ksmd stand still, and nobody else change what may merge
 * @hold: the claim
 * @limit: how often the caller may end an epoch; NULL: always
 *
 * Return: 0, with kvmx_ksm.act held until kvmx_ksm_release(); -EINTR.
 */
int kvmx_ksm_hold(struct kvmx_ksm_hold *hold, struct ratelimit_state *limit)
{
	hold->urgent = false;
	for (;;) {
		if (READ_ONCE(kvmx_ksm.in_epoch) && !hold->urgent && may_claim(limit))
			claim(hold);
		if (wait_event_killable(kvmx_ksm.wait, !READ_ONCE(kvmx_ksm.in_epoch)) ||
		    mutex_lock_killable(&kvmx_ksm.act))
			break;
		if (!READ_ONCE(kvmx_ksm.in_epoch))
			return 0;
		/* The worker was faster. */
		mutex_unlock(&kvmx_ksm.act);
	}
	unclaim(hold);
	return -EINTR;
}

/**
 * kvmx_ksm_release() - let it go on
 * @hold: the claim
 */
void kvmx_ksm_release(struct kvmx_ksm_hold *hold)
{
	mutex_unlock(&kvmx_ksm.act);
	unclaim(hold);
}

static void say_why(u32 why, u64 why_arg)
{
	mutex_lock(&kvmx_ksm.lock);
	kvmx_ksm.why = why;
	kvmx_ksm.why_arg = why_arg;
	mutex_unlock(&kvmx_ksm.lock);
}

static bool managed(const struct kvmx_ksm_proc *p)
{
	return p->mode != KVMX_KSM_UNSET;
}

/*
 * Memory that the VMM itself has made mergeable must not get into ksmd's trees before its VM is
 * admitted, or after it was refused.
 */
static void take_in(void)
{
	bool on = kvmx_ksm.policy.mode == KVMX_KSM_HOST_ON;
	struct kvmx_ksm_proc *p;
	bool any;

	lockdep_assert_held(&kvmx_ksm.act);
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		if (!managed(p) || (!on && p->mode != KVMX_KSM_OFF))
			continue;
		if ((p->live && p->mode != KVMX_KSM_OFF) || !mmget_not_zero(p->mm))
			continue;
		any = kvmx_ksm_vma_any(p->mm);
		mmput(p->mm);
		if (any && kvmx_ksm_proc_unmerge(p)) {
			WRITE_ONCE(p->live, true);
			self.again = true;
		}
	}
}

/* Pinned memory leaves; memory that is new in a VM that may merge comes. */
static int adjust(struct kvmx_ksm_proc *p)
{
	int err = 0;
	u32 i;

	for (i = 0; i < p->found.nr && !err; i++)
		err = kvmx_ksm_vma_unmerge(p, p->found.r[i].start, p->found.r[i].end);
	for (i = 0; i < p->pinned.nr && !err; i++)
		err = kvmx_ksm_vma_unmerge(p, p->pinned.r[i].start, p->pinned.r[i].end);
	return err ?: kvmx_ksm_vma_admit(p);
}

static void evict(struct kvmx_ksm_proc *p)
{
	mutex_lock(&kvmx_ksm.lock);
	p->evicted_until = ktime_get_ns() + EVICT_NS;
	kvmx_ksm.counters.evictions++;
	mutex_unlock(&kvmx_ksm.lock);
	kvmx_bell_ring(&kvmx_sys_bell, KVMX_EVENT_KSM_EVICTED, p->pid);
}

static void tell_state(struct kvmx_ksm_proc *p, const struct kvmx_ksm_plan_in_vm *v)
{
	u32 state = KVMX_KSM_STATE_REFUSED;

	if (p->mode == KVMX_KSM_OFF)
		state = KVMX_KSM_STATE_OFF;
	else if (p->live)
		state = KVMX_KSM_STATE_LIVE;
	else if (v->why == KVMX_KSM_WHY_COW)
		state = KVMX_KSM_STATE_EVICTED;
	else if (!p->sampled)
		state = KVMX_KSM_STATE_WAITING;
	kvmx_ksm_proc_state(p, state, v->why, v->why_arg);
}

/**
 * kvmx_ksm_live_update() - find out which domain is live
 *
 * Context: under kvmx_ksm.act.
 */
void kvmx_ksm_live_update(void)
{
	const struct kvmx_ksm_proc *p, *first = NULL;
	bool changed;
	u32 nr = 0;
	u64 key;

	lockdep_assert_held(&kvmx_ksm.act);
	mutex_lock(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		if (!p->live || !managed(p))
			continue;
		first = first ?: p;
		nr++;
	}
	key = first ? first->key : 0;
	changed = key != kvmx_ksm.live;
	kvmx_ksm.live = key;
	if (first)
		memcpy(kvmx_ksm.live_uuid, first->domain, sizeof(kvmx_ksm.live_uuid));
	else
		memset(kvmx_ksm.live_uuid, 0, sizeof(kvmx_ksm.live_uuid));
	kvmx_ksm.counters.switches += changed && first;
	mutex_unlock(&kvmx_ksm.lock);
	if (changed)
		kvmx_bell_ring(&kvmx_sys_bell, KVMX_EVENT_KSM_DOMAIN, nr);
}

/* First all that is to be unmerged, then, if that went well, what may merge. */
static int apply(const struct kvmx_ksm_plan_in *in, const struct kvmx_ksm_plan_out *out,
		 struct kvmx_ksm_proc **procs)
{
	struct kvmx_ksm_proc *p;
	int err = 0;
	u32 i;

	lockdep_assert_held(&kvmx_ksm.act);
	for (i = 0; i < in->nr_vm; i++) {
		p = procs[i];
		if (in->vm[i].todo != KVMX_KSM_DO_UNMERGE || !p->live)
			continue;
		err = kvmx_ksm_proc_unmerge(p);
		if (err) {
			in->vm[i].why = err == -ENOMEM ? KVMX_KSM_WHY_NO_MEMORY :
							 KVMX_KSM_WHY_ERROR;
			break;
		}
		if (in->vm[i].evict)
			evict(p);
	}
	for (i = 0; i < in->nr_vm; i++) {
		p = procs[i];
		/* Whatever the plan says: no two domains at a time. */
		if (p->live && in->vm[i].domain != out->domain)
			err = err ?: -EBUSY;
	}
	for (i = 0; i < in->nr_vm && !err; i++) {
		p = procs[i];
		if (in->vm[i].todo != KVMX_KSM_DO_ADMIT && !p->live)
			continue;
		/* What one VM lacks must not keep the others from merging. */
		if (adjust(p) == -ENOMEM)
			in->vm[i].why = KVMX_KSM_WHY_NO_MEMORY;
	}
	for (i = 0; i < in->nr_vm; i++)
		tell_state(procs[i], &in->vm[i]);
	kvmx_ksm_live_update();
	return err;
}

static void mark_merging(struct kvmx_ksm_proc **procs, u32 nr, bool merging)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		struct kvmx_ksm_proc *p = procs[i];

		if (p->live)
			kvmx_ksm_proc_state(p, merging ? KVMX_KSM_STATE_MERGING :
							 KVMX_KSM_STATE_LIVE,
					    p->why, p->why_arg);
	}
}

/* Plans, changes mappings and lets ksmd run. Returns whether it has. */
static bool act(void)
{
	struct kvmx_ksm_plan_out out;
	struct kvmx_ksm_proc **procs;
	struct kvmx_ksm_plan_in in;
	bool epoch = false;
	int err;

	kvmx_ksm_host_state(KVMX_KSM_HOST_STATE_CHANGING);
	mutex_lock(&kvmx_ksm.act);
	err = kvmx_ksm_decide(false, &in, &out, &procs);
	if (err) {
		say_why(err == -ENODATA ? KVMX_KSM_WHY_NO_VM : KVMX_KSM_WHY_ERROR, -err);
		goto unlock;
	}
	err = apply(&in, &out, procs);
	mutex_lock(&kvmx_ksm.lock);
	kvmx_ksm.plan = out;
	kvmx_ksm.pressure = out.pressure;
	mutex_unlock(&kvmx_ksm.lock);
	if (err)
		say_why(err == -ENOMEM ? KVMX_KSM_WHY_NO_MEMORY : KVMX_KSM_WHY_ERROR, -err);
	else
		say_why(out.why, out.why_arg);
	epoch = out.epoch && !err;
	if (epoch) {
		mark_merging(procs, in.nr_vm, true);
		/* Whoever takes act from now on sees it, and waits for the end. */
		WRITE_ONCE(kvmx_ksm.in_epoch, true);
	}
unlock:
	mutex_unlock(&kvmx_ksm.act);
	if (epoch) {
		self.cut = kvmx_ksm_epoch(&out, in.visit_ns);
		/* The worker alone lets go of them: they are all still there. */
		mark_merging(procs, in.nr_vm, false);
	}
	kvmx_ksm_decide_free(&in, procs);
	return epoch;
}

static bool unsampled(void)
{
	const struct kvmx_ksm_proc *p;
	bool any = false;

	mutex_lock(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node)
		any |= (p->mode == KVMX_KSM_AUTO || p->mode == KVMX_KSM_ALWAYS) && !p->sampled &&
		       !kvmx_ksm_proc_dead(p);
	mutex_unlock(&kvmx_ksm.lock);
	return any;
}

static u64 merged(void)
{
	const struct kvmx_ksm_proc *p;
	u64 sum = 0;

	mutex_lock(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node)
		sum += p->live ? p->merged : 0;
	mutex_unlock(&kvmx_ksm.lock);
	return sum;
}

static bool storm(void)
{
	u64 now = kvmx_ksm_cow_events(), new = now - self.cow_seen;

	return new >= STORM_PAGES && new >= merged() / 8;
}

/* Memory has become scarce, or plentiful again, since the last plan. */
static bool pressure_changed(void)
{
	long available = si_mem_available();
	bool now = available >= 0 &&
		   (u64)available << PAGE_SHIFT < READ_ONCE(kvmx_ksm.policy.memory_target);

	return now && !READ_ONCE(kvmx_ksm.pressure);
}

static bool look_due(void)
{
	bool wanted;

	mutex_lock(&kvmx_ksm.lock);
	wanted = kvmx_ksm.want_look;
	mutex_unlock(&kvmx_ksm.lock);
	return wanted || self.retry || unsampled() || ktime_get_ns() >= self.next_look || storm() ||
	       pressure_changed();
}

static int look(void)
{
	u64 cpu = current->se.sum_exec_runtime;
	int err;

	mutex_lock(&kvmx_ksm.lock);
	kvmx_ksm.want_look = false;
	kvmx_ksm.looks_begun++;
	mutex_unlock(&kvmx_ksm.lock);
	err = kvmx_ksm_look();
	self.cow_seen = kvmx_ksm_cow_events();
	self.next_look = kvmx_ksm_next_look(&kvmx_ksm.policy, ktime_get_ns(),
					    current->se.sum_exec_runtime - cpu, self.idle_looks);
	mutex_lock(&kvmx_ksm.lock);
	kvmx_ksm.looks++;
	mutex_unlock(&kvmx_ksm.lock);
	wake_up_all(&kvmx_ksm.wait);
	return err;
}

static void tell_knobs(void)
{
	u32 state = kvmx_knobs_state(NULL);

	if (state != self.knobs)
		kvmx_bell_ring(&kvmx_sys_bell, KVMX_EVENT_KSM_KNOBS, state);
	self.knobs = state;
}

static void count_foreign(void)
{
	u32 nr = kvmx_ksm_foreign(false);

	if (!!nr != self.foreign)
		kvmx_bell_ring(&kvmx_sys_bell, KVMX_EVENT_KSM_FOREIGN, nr);
	self.foreign = nr;
	WRITE_ONCE(kvmx_ksm.nr_foreign, nr);
}

/* What kept an epoch from being made, or cut it short, is over. */
static bool obstacle_gone(void)
{
	u32 why = self.cut ?: kvmx_ksm.why, nr = 0;
	const struct kvmx_ksm_proc *p;

	if (why == KVMX_KSM_WHY_CHANGED)
		return true;
	if (why == KVMX_KSM_WHY_FOREIGN)
		return !READ_ONCE(kvmx_ksm.nr_foreign);
	if (why != KVMX_KSM_WHY_MIGRATION)
		return false;
	mutex_lock(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node)
		nr += kvmx_ksm_proc_migrations(p);
	mutex_unlock(&kvmx_ksm.lock);
	return !nr;
}

/* The policy goes: with the fd it was bound to, or with the module. */
static void switch_off(void)
{
	lockdep_assert_held(&kvmx_ksm.act);
	kvmx_ksm_switch_off(true);
	mutex_lock(&kvmx_ksm.lock);
	kvmx_ksm.policy.mode = KVMX_KSM_HOST_OFF;
	kvmx_ksm.binder = NULL;
	kvmx_ksm.unbound = false;
	kvmx_ksm.why = KVMX_KSM_WHY_HOST_OFF;
	mutex_unlock(&kvmx_ksm.lock);
	kvmx_ksm_live_update();
}

static void turn(void)
{
	bool on, ours;

	mutex_lock(&kvmx_ksm.act);
	if (READ_ONCE(kvmx_ksm.unbound))
		switch_off();
	self.again = kvmx_ksm_reap(false);
	kvmx_ksm_live_update();
	on = kvmx_ksm.policy.mode == KVMX_KSM_HOST_ON;
	take_in();
	mutex_unlock(&kvmx_ksm.act);
	ours = on && kvmx_knobs_check();
	tell_knobs();
	if (on)
		count_foreign();
	if (self.cut != KVMX_KSM_WHY_CHANGED && self.cut != KVMX_KSM_WHY_FOREIGN &&
	    self.cut != KVMX_KSM_WHY_MIGRATION)
		self.cut = 0;
	self.retry = on && obstacle_gone();
	if (self.retry)
		self.cut = 0;
	if ((on && ours && look_due()) || READ_ONCE(kvmx_ksm.want_look)) {
		if (!look() && on && ours)
			self.idle_looks = act() ? 0 : self.idle_looks + 1;
	} else if (on && !ours) {
		say_why(KVMX_KSM_WHY_KNOBS, 0);
	}
	kvmx_ksm_host_state(on ? KVMX_KSM_HOST_STATE_IDLE : KVMX_KSM_HOST_STATE_OFF);
}

static long timeout(void)
{
	u64 now = ktime_get_ns(), next = now + CHECK_NS;

	if (READ_ONCE(kvmx_ksm.policy.mode) == KVMX_KSM_HOST_OFF)
		return self.again ? nsecs_to_jiffies(AGAIN_NS) : MAX_SCHEDULE_TIMEOUT;
	next = min(next, self.next_look);
	return next > now ? nsecs_to_jiffies(next - now) + 1 : 1;
}

static int worker(void *unused)
{
	set_freezable();
	for (;;) {
		wait_event_freezable_timeout(kvmx_ksm.wait, READ_ONCE(self.leave) ||
					     (READ_ONCE(kvmx_ksm.kicked) &&
					      !atomic_read(&kvmx_ksm.holds)), timeout());
		if (READ_ONCE(self.leave))
			break;
		WRITE_ONCE(kvmx_ksm.kicked, false);
		turn();
	}
	/* Here, where no signal of whoever unloads the module ends it early. */
	mutex_lock(&kvmx_ksm.act);
	switch_off();
	kvmx_ksm_reap(true);
	mutex_unlock(&kvmx_ksm.act);
	kthread_complete_and_exit(&left, 0);
}

/**
 * kvmx_ksm_init() - find KSM and start the worker
 *
 * Return: 0, also without KSM; -ENOMEM.
 */
int kvmx_ksm_init(void)
{
	int err;

	err = kvmx_knobs_init();
	if (err)
		return err;
	kvmx_ksm_policy_fill(&kvmx_ksm.policy);
	kvmx_ksm.why = KVMX_KSM_WHY_HOST_OFF;
	kvmx_ksm.worker = kthread_run(worker, NULL, "kvmx-ksm");
	if (!IS_ERR(kvmx_ksm.worker))
		return 0;
	kvmx_knobs_exit();
	return PTR_ERR(kvmx_ksm.worker);
}

/**
 * kvmx_ksm_exit() - stop the worker, which undoes all
 */
void kvmx_ksm_exit(void)
{
	/* kthread_stop() would do it with a signal, and KSM unmerges nothing with one pending. */
	WRITE_ONCE(self.leave, true);
	wake_up_all(&kvmx_ksm.wait);
	wait_for_completion(&left);
	kvmx_knobs_exit();
}
