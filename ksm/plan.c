// SPDX-License-Identifier: GPL-2.0
/*
 * What KSM is to do next, and why. Pure: compiled for the kernel and for the unit tests alike.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/kvmx.h>

#include "arith.h"
#include "plan.h"

/**
 * DOC: What is worth merging
 *
 * The operator says what CPU time the freeing of a page may cost (page_ns). A VM may merge if what
 * it gains, at that price and times its weight, is more than what ksmd takes to go through all its
 * memory three times. A VM that merges already may go on with half of that, counting what is freed
 * already: so nobody goes in and out. What is within the error of the estimate is no gain, nor is
 * what an epoch has left over.
 *
 * ksmd cannot be told to leave out a VM, and what it merges it merges with all. So all VMs that may
 * merge take part in an epoch, and it pays if all of them together gain more than all cost, by the
 * same rule; those with mode ALWAYS do not count as a cost. There is none as long as one of them is
 * being migrated. Below the memory target any gain pays.
 *
 * Only one trust domain may be live at a time. The one that can free most is it, by weight. To make
 * another one live, all that is merged has to be unmerged: only if the other one can free a quarter
 * more, and there is memory for it.
 *
 * None of this depends on the order of the VMs, and nothing more is to do if it is asked again when
 * all has been done. Of two domains that are worth the same, the one with the lower number wins.
 *
 * Pages are at most 2^34 for 64 TiB, and amounts of pages times weight or time saturate.
 */

#define NSEC_PER_MSEC	1000000ULL

#define MAX_PERMILLE	1000
#define PAGE_BYTES	4096
#define FULL_WEIGHT	100

/* ksmd merges what it sees unchanged a second time; a VM may come when a scan is half done */
#define SCANS		2
#define SCANS_NEW	3

/* of what an epoch is to free, the part that further scans are made for */
#define MUCH_LEFT	16

/* pages written to after merging, before it is called a storm */
#define STORM_PAGES	1024
#define STORM_SHARE	4

/* mode ALWAYS: what an epoch is made for */
#define ALWAYS_PAGES	64
#define ALWAYS_SHARE	100

/* a batch of ksmd cannot be stopped, so it is short; but sleeps are rounded up to a few ms */
#define BATCH_NS	(5 * NSEC_PER_MSEC)
#define MAX_BATCH_NS	(50 * NSEC_PER_MSEC)
#define SLEEP_NS	(4 * NSEC_PER_MSEC)
#define MAX_SLEEP_MS	60000
#define EVEN_NS		(1000 * NSEC_PER_MSEC)
#define MAX_PAGES	1000000

#define MAX_BACKOFF	6

#define MIN_INTERVAL_NS	(100 * NSEC_PER_MSEC)
#define MIN_SETTLE_NS	NSEC_PER_MSEC
#define MAX_SETTLE_NS	(60000 * NSEC_PER_MSEC)

/**
 * kvmx_ksm_policy_fill() - fill in the defaults
 * @policy: a policy in which 0 stands for the default; none is left but for memory_target
 */
void kvmx_ksm_policy_fill(struct kvmx_ksm_policy *policy)
{
	if (!policy->cpu_permille)
		policy->cpu_permille = 200;
	if (!policy->pressure_permille)
		policy->pressure_permille = max(policy->cpu_permille, 500U);
	if (!policy->idle_permille)
		policy->idle_permille = 1;
	if (!policy->reserve)
		policy->reserve = 64ULL << 20;
	if (!policy->page_ns)
		policy->page_ns = NSEC_PER_MSEC;
	if (!policy->epoch_ns)
		policy->epoch_ns = 600000 * NSEC_PER_MSEC;
	if (!policy->interval_ns)
		policy->interval_ns = 30000 * NSEC_PER_MSEC;
	if (!policy->settle_ns)
		policy->settle_ns = 1000 * NSEC_PER_MSEC;
}

/**
 * kvmx_ksm_policy_check() - whether all numbers of a policy are in their ranges
 * @policy: as it was given, or with the defaults filled in
 *
 * Return: 0 or -EINVAL.
 */
int kvmx_ksm_policy_check(const struct kvmx_ksm_policy *policy)
{
	struct kvmx_ksm_policy p = *policy;

	kvmx_ksm_policy_fill(&p);
	if (p.mode > KVMX_KSM_HOST_ON || p.domains > KVMX_KSM_SHARED ||
	    p.foreign > KVMX_KSM_FOREIGN_ALLOW)
		return -EINVAL;
	if (p.cpu_permille > MAX_PERMILLE || p.idle_permille > MAX_PERMILLE)
		return -EINVAL;
	if (p.pressure_permille < p.cpu_permille || p.pressure_permille > MAX_PERMILLE)
		return -EINVAL;
	if (p.interval_ns < MIN_INTERVAL_NS)
		return -EINVAL;
	if (p.settle_ns < MIN_SETTLE_NS || p.settle_ns > MAX_SETTLE_NS)
		return -EINVAL;
	return 0;
}

static u64 cost_of(const struct kvmx_ksm_plan_in *in, u64 pages, u32 scans)
{
	return kvmx_muldiv(kvmx_muldiv(pages, scans, 1), in->visit_ns, 1);
}

/* what pages are worth, given as pages times weight */
static u64 worth_of(const struct kvmx_ksm_plan_in *in, u64 weighted)
{
	return kvmx_muldiv(weighted, in->policy.page_ns, FULL_WEIGHT);
}

static u64 weighted(const struct kvmx_ksm_plan_in_vm *vm, u64 pages)
{
	return kvmx_muldiv(pages, vm->weight, 1);
}

static u32 permille(u64 part, u64 all)
{
	return all ? kvmx_muldiv(min(part, all), MAX_PERMILLE, all) : 0;
}

static void decide(struct kvmx_ksm_plan_in_vm *vm, u32 todo, u32 why, u64 why_arg)
{
	vm->todo = todo;
	vm->why = why;
	vm->why_arg = why_arg;
}

/* it may not merge: unmerge it if it does */
static void refuse(struct kvmx_ksm_plan_in_vm *vm, u32 why, u64 why_arg)
{
	decide(vm, vm->live ? KVMX_KSM_DO_UNMERGE : KVMX_KSM_DO_LEAVE, why, why_arg);
}

static void leave(struct kvmx_ksm_plan_in_vm *vm, u32 why, u64 why_arg)
{
	decide(vm, KVMX_KSM_DO_LEAVE, why, why_arg);
}

static bool may_not_meet(const struct kvmx_ksm_plan_in *in)
{
	return in->nr_foreign && in->policy.domains == KVMX_KSM_STRICT &&
	       in->policy.foreign == KVMX_KSM_FOREIGN_REFUSE;
}

static bool is_storm(const struct kvmx_ksm_plan_in_vm *vm)
{
	return vm->live && vm->mode != KVMX_KSM_ALWAYS && vm->cow > STORM_PAGES &&
	       vm->cow > vm->merged / STORM_SHARE;
}

/* why there is no gain: what takes most of the memory */
static void explain(struct kvmx_ksm_plan_in_vm *vm)
{
	u64 away = max(vm->pinned, vm->excluded);

	if (away > vm->pages / 2)
		refuse(vm, KVMX_KSM_WHY_PINNED, permille(away, vm->pages));
	else if (vm->shared > vm->pages / 2)
		refuse(vm, KVMX_KSM_WHY_SHARED, permille(vm->shared, vm->pages));
	else if (vm->unstable > vm->present / 2)
		refuse(vm, KVMX_KSM_WHY_VOLATILE, permille(vm->unstable, vm->present));
	else
		refuse(vm, KVMX_KSM_WHY_NO_GAIN, vm->gain);
}

/* whether it gains more than it costs; what is freed already counts for a VM that merges */
static bool is_worth(const struct kvmx_ksm_plan_in *in, const struct kvmx_ksm_plan_in_vm *vm)
{
	u64 pages = vm->live ? kvmx_sub(vm->mergeable, vm->left) : vm->gain;
	u64 worth = worth_of(in, weighted(vm, pages));

	if (vm->mode == KVMX_KSM_ALWAYS)
		return true;
	if (!pages)
		return false;
	if (in->available < in->policy.memory_target)
		return true;
	return (vm->live ? kvmx_add(worth, worth) : worth) >= cost_of(in, vm->scan, SCANS_NEW);
}

/* what becomes of a VM if its domain is live; true if it may merge */
static bool judge(const struct kvmx_ksm_plan_in *in, struct kvmx_ksm_plan_in_vm *vm)
{
	vm->evict = false;
	vm->cost_ns = cost_of(in, vm->scan, SCANS_NEW);
	vm->gain = kvmx_sub(kvmx_sub(vm->mergeable, vm->freed), vm->left);
	if (vm->gain <= vm->err)
		vm->gain = 0;

	if (vm->mode != KVMX_KSM_AUTO && vm->mode != KVMX_KSM_ALWAYS) {
		refuse(vm, KVMX_KSM_WHY_MODE, 0);
	} else if (in->knobs_lost) {
		leave(vm, KVMX_KSM_WHY_KNOBS, 0);
	} else if (may_not_meet(in)) {
		leave(vm, KVMX_KSM_WHY_FOREIGN, in->nr_foreign);
	} else if (vm->migrating) {
		leave(vm, KVMX_KSM_WHY_MIGRATION, 1);
		return vm->live;
	} else if (!vm->sampled) {
		leave(vm, KVMX_KSM_WHY_SAMPLING, 0);
		return vm->live;
	} else if (vm->evicted || is_storm(vm)) {
		vm->evict = vm->live;
		refuse(vm, KVMX_KSM_WHY_COW, vm->cow);
	} else if (!vm->scan || !is_worth(in, vm)) {
		explain(vm);
	} else {
		decide(vm, vm->live ? KVMX_KSM_DO_LEAVE : KVMX_KSM_DO_ADMIT,
		       KVMX_KSM_WHY_GAIN, vm->gain);
		if (vm->mode == KVMX_KSM_ALWAYS)
			vm->why = KVMX_KSM_WHY_MODE;
		else if (!vm->gain)
			vm->why = KVMX_KSM_WHY_REACHED;
		return true;
	}
	return false;
}

/* what a VM that may merge adds to the value of its domain: at least something */
static u64 value_of(const struct kvmx_ksm_plan_in_vm *vm)
{
	u64 pages = vm->live ? kvmx_sub(vm->mergeable, vm->left) : vm->gain;

	return max(weighted(vm, pages), 1ULL);
}

/* what stands in the way of unmerging the live domain, or 0 */
static u32 cannot_leave(const struct kvmx_ksm_plan_in *in, u64 *arg)
{
	const struct kvmx_ksm_plan_in_vm *vm;
	u64 merged = 0, migrating = 0;

	for (vm = in->vm; vm < in->vm + in->nr_vm; vm++) {
		if (vm->domain != in->live_domain || !vm->live || vm->todo == KVMX_KSM_DO_UNMERGE)
			continue;
		merged = kvmx_add(merged, vm->merged);
		migrating += vm->migrating;
	}
	if (migrating) {
		*arg = migrating;
		return KVMX_KSM_WHY_MIGRATION;
	}
	*arg = kvmx_add(kvmx_muldiv(merged, PAGE_BYTES, 1), in->policy.reserve);
	return merged && *arg > in->available ? KVMX_KSM_WHY_NO_MEMORY : 0;
}

static u32 best_domain(const struct kvmx_ksm_plan_in *in)
{
	u32 i, best = KVMX_KSM_NO_DOMAIN;

	for (i = 0; i < in->nr_domain; i++) {
		if (!in->domain[i].allowed || !in->domain[i].value)
			continue;
		if (best == KVMX_KSM_NO_DOMAIN || in->domain[i].value > in->domain[best].value)
			best = i;
	}
	return best;
}

/* which domain is to be live; @wanted is the one that would be but for @why */
static u32 choose_domain(const struct kvmx_ksm_plan_in *in, u32 *wanted, u32 *why, u64 *arg)
{
	u32 live = in->live_domain, best = best_domain(in);
	const struct kvmx_ksm_plan_domain *d;

	*wanted = best;
	*why = 0;
	if (live >= in->nr_domain || live == best)
		return best;
	d = &in->domain[live];
	if (d->allowed) {
		if (best == KVMX_KSM_NO_DOMAIN)
			return live;
		if (in->domain[best].value <= kvmx_add(d->value, d->value / 4)) {
			*wanted = live;
			return live;
		}
	}
	*why = cannot_leave(in, arg);
	return *why ? live : best;
}

/* all is known but which domain is live: VMs of the others may not merge */
static void settle_domain(struct kvmx_ksm_plan_in *in, struct kvmx_ksm_plan_out *out)
{
	struct kvmx_ksm_plan_in_vm *vm;
	u32 wanted, why;
	u64 arg = 0;

	out->domain = choose_domain(in, &wanted, &why, &arg);
	for (vm = in->vm; vm < in->vm + in->nr_vm; vm++) {
		if (vm->domain == out->domain && vm->domain < in->nr_domain) {
			/* it would have to go, but cannot */
			if (why && !in->domain[vm->domain].allowed && vm->todo == KVMX_KSM_DO_ADMIT)
				leave(vm, KVMX_KSM_WHY_DOMAIN, 0);
		} else if (vm->live && vm->todo != KVMX_KSM_DO_UNMERGE) {
			decide(vm, KVMX_KSM_DO_UNMERGE, KVMX_KSM_WHY_DOMAIN, 0);
		} else if (vm->todo == KVMX_KSM_DO_ADMIT) {
			leave(vm, KVMX_KSM_WHY_DOMAIN, 0);
			if (why && vm->domain == wanted)
				leave(vm, why, arg);
		}
	}
}

/* what all VMs that take part gain and cost */
struct total {
	u32 nr;
	u32 nr_unsampled;
	u32 nr_migrating;
	bool is_new;
	bool always;
	u64 pages;
	u64 auto_pages;
	u64 auto_gain;
	u64 gain;
	u64 weighted;
	u64 freed;
};

static void add_vm(struct total *t, const struct kvmx_ksm_plan_in_vm *vm)
{
	bool is_new = vm->is_new || vm->todo == KVMX_KSM_DO_ADMIT;

	t->nr++;
	t->nr_migrating += vm->migrating;
	t->is_new |= is_new;
	t->pages = kvmx_add(t->pages, vm->scan);
	t->gain = kvmx_add(t->gain, vm->gain);
	t->weighted = kvmx_add(t->weighted, weighted(vm, vm->gain));
	t->freed = kvmx_add(t->freed, vm->freed);
	if (vm->mode != KVMX_KSM_ALWAYS) {
		t->auto_pages = kvmx_add(t->auto_pages, vm->scan);
		t->auto_gain = kvmx_add(t->auto_gain, vm->gain);
	} else {
		t->always |= is_new || vm->gain >= max_t(u64, ALWAYS_PAGES,
							 vm->mergeable / ALWAYS_SHARE);
	}
}

static bool pays(const struct kvmx_ksm_plan_in *in, const struct total *t)
{
	if (t->always)
		return true;
	if (t->gain && in->available < in->policy.memory_target)
		return true;
	return t->auto_gain &&
	       worth_of(in, t->weighted) >= cost_of(in, t->auto_pages, SCANS_NEW);
}

static void settle_epoch(const struct kvmx_ksm_plan_in *in, const struct total *t,
			 struct kvmx_ksm_plan_out *out)
{
	out->why_arg = 0;
	if (in->knobs_lost) {
		out->why = KVMX_KSM_WHY_KNOBS;
	} else if (may_not_meet(in)) {
		out->why = KVMX_KSM_WHY_FOREIGN;
		out->why_arg = in->nr_foreign;
	} else if (!t->nr) {
		out->why = t->nr_unsampled ? KVMX_KSM_WHY_SAMPLING : KVMX_KSM_WHY_NO_VM;
	} else if (t->nr_migrating) {
		out->why = KVMX_KSM_WHY_MIGRATION;
		out->why_arg = t->nr_migrating;
	} else if (!in->domain[out->domain].allowed) {
		out->why = KVMX_KSM_WHY_DOMAIN;
	} else if (!pays(in, t)) {
		out->why = t->gain || !t->freed ? KVMX_KSM_WHY_NO_GAIN : KVMX_KSM_WHY_REACHED;
		out->why_arg = t->gain;
	} else if (out->cost_ns > in->policy.epoch_ns) {
		out->why = KVMX_KSM_WHY_COST;
		out->why_arg = out->cost_ns;
	} else {
		out->epoch = true;
		out->why = t->gain ? KVMX_KSM_WHY_GAIN : KVMX_KSM_WHY_MODE;
		out->why_arg = t->gain;
	}
}

/**
 * kvmx_ksm_plan_make() - what to do with each VM, and whether an epoch pays
 * @in: the host; the out fields are set
 * @out: the plan
 *
 * Where an epoch would cost more than the policy allows there is none, for one that is cut short
 * has cost its time and merged little.
 */
void kvmx_ksm_plan_make(struct kvmx_ksm_plan_in *in, struct kvmx_ksm_plan_out *out)
{
	struct kvmx_ksm_plan_in_vm *vm;
	struct total t = {};
	u32 i;

	*out = (struct kvmx_ksm_plan_out) {
		.pressure = in->available < in->policy.memory_target,
		.cpu_permille = in->policy.cpu_permille,
	};
	if (out->pressure)
		out->cpu_permille = in->policy.pressure_permille;
	for (i = 0; i < in->nr_domain; i++)
		in->domain[i].value = 0;
	for (vm = in->vm; vm < in->vm + in->nr_vm; vm++) {
		if (judge(in, vm) && vm->domain < in->nr_domain)
			in->domain[vm->domain].value = kvmx_add(in->domain[vm->domain].value,
								value_of(vm));
		t.nr_unsampled += vm->why == KVMX_KSM_WHY_SAMPLING;
	}
	settle_domain(in, out);
	for (vm = in->vm; vm < in->vm + in->nr_vm; vm++) {
		if (vm->todo == KVMX_KSM_DO_UNMERGE)
			out->unmerge = kvmx_add(out->unmerge, vm->merged);
		else if (vm->live || vm->todo == KVMX_KSM_DO_ADMIT)
			add_vm(&t, vm);
	}
	out->scans = t.is_new ? SCANS_NEW : SCANS;
	out->gain = t.gain;
	out->cost_ns = cost_of(in, t.pages, out->scans);
	for (vm = in->vm; vm < in->vm + in->nr_vm; vm++) {
		if (vm->todo != KVMX_KSM_DO_UNMERGE && vm->live)
			vm->cost_ns = cost_of(in, vm->scan, out->scans);
	}
	settle_epoch(in, &t, out);
}

/*
 * A page of zeroes that waits for its like in ksmd's tree, and that leaves memory as its huge page
 * is split (Linux 6.12 and later), keeps all others from being found until the next scan. So scans
 * may leave much, some nearly all: another pays if what the last two freed, and what is left, does.
 */
static bool goes_on(const struct kvmx_ksm_progress *p)
{
	u64 left = kvmx_sub(p->plan->gain, p->freed);
	u64 next = kvmx_muldiv(min(left, p->freed_lately), p->policy->page_ns, 1);

	return p->scans < 2 * p->plan->scans && left > p->plan->gain / MUCH_LEFT &&
	       next > kvmx_muldiv(p->plan->cost_ns, 1, p->plan->scans);
}

/**
 * kvmx_ksm_epoch_over() - whether an epoch is over
 * @p: how far it is
 * @why: why it is over
 * @why_arg: the number that comes with @why
 *
 * Return: true if it is.
 */
bool kvmx_ksm_epoch_over(const struct kvmx_ksm_progress *p, u32 *why, u64 *why_arg)
{
	const struct kvmx_ksm_plan_out *plan = p->plan;
	u64 worth = kvmx_muldiv(plan->gain, p->policy->page_ns, 1);

	if (p->disturbed) {
		*why = p->disturbed;
		*why_arg = p->disturbed_arg;
	} else if (p->scans >= plan->scans && !goes_on(p)) {
		*why = KVMX_KSM_WHY_SCANS;
		*why_arg = p->scans;
	} else if (plan->gain && p->freed >= plan->gain) {
		*why = KVMX_KSM_WHY_REACHED;
		*why_arg = p->freed;
	} else if (p->cow > STORM_PAGES && p->cow > p->freed) {
		*why = KVMX_KSM_WHY_COW;
		*why_arg = p->cow;
	} else if (p->cpu_ns > p->policy->epoch_ns ||
		   (!plan->pressure && p->cpu_ns > worth &&
		    p->cpu_ns > kvmx_add(plan->cost_ns, plan->cost_ns / 2))) {
		*why = KVMX_KSM_WHY_COST;
		*why_arg = p->cpu_ns;
	} else {
		return false;
	}
	return true;
}

/**
 * kvmx_ksm_pace() - how to drive ksmd within a budget
 * @visit_ns: CPU time of a visit of a page
 * @cpu_permille: the budget, 1 to 1000 of one CPU
 * @used_ns: CPU time used of it so far
 * @wall_ns: time since it began to count
 *
 * What is left of the budget, or has been taken too much, is evened out over the next second, but
 * with at most twice the budget. So it is kept if the pace is asked for at least once a second, to
 * a batch or two; if visits take longer than @visit_ns, to the budget of one second. At 1000 ksmd
 * does not sleep.
 *
 * Return: the pace.
 */
struct kvmx_ksm_pace kvmx_ksm_pace(u64 visit_ns, u32 cpu_permille, u64 used_ns, u64 wall_ns)
{
	u32 busy = clamp(cpu_permille, 1U, 1000U), idle = MAX_PERMILLE - busy;
	u64 batch, credit, sleep, pages;

	visit_ns = max(visit_ns, 1ULL);
	batch = idle ? clamp(SLEEP_NS * busy / idle, BATCH_NS, MAX_BATCH_NS) : BATCH_NS;
	pages = clamp_t(u64, batch / visit_ns, 1, MAX_PAGES);
	batch = kvmx_muldiv(pages, visit_ns, 1);
	credit = kvmx_sub(kvmx_muldiv(kvmx_add(wall_ns, EVEN_NS), busy, MAX_PERMILLE), used_ns);
	credit = min(credit, EVEN_NS / MAX_PERMILLE * min_t(u32, 2 * busy, MAX_PERMILLE));
	if (credit >= batch)
		sleep = kvmx_muldiv_up(EVEN_NS - credit, batch, credit);
	else
		sleep = kvmx_sub(kvmx_muldiv_up(kvmx_add(used_ns, batch), MAX_PERMILLE, busy),
				 kvmx_add(wall_ns, batch));
	sleep = sleep / NSEC_PER_MSEC + !!(sleep % NSEC_PER_MSEC);
	if (idle)
		sleep = clamp_t(u64, sleep, 1, MAX_SLEEP_MS);
	return (struct kvmx_ksm_pace) { .pages = pages, .sleep_ms = idle ? sleep : 0 };
}

/**
 * kvmx_ksm_next_look() - when to look at memory again
 * @policy: with all defaults filled in
 * @last_ns: when the last look was over
 * @last_cost_ns: CPU time it took
 * @idle_looks: how many looks in a row have led to nothing
 *
 * The interval doubles with each look that led to nothing, up to 64 times, and is long enough for
 * looks to take no more than idle_permille.
 *
 * Return: a time on the clock of @last_ns.
 */
u64 kvmx_ksm_next_look(const struct kvmx_ksm_policy *policy, u64 last_ns, u64 last_cost_ns,
		       u32 idle_looks)
{
	u32 doublings = min_t(u32, idle_looks, MAX_BACKOFF);
	u64 interval = kvmx_muldiv(policy->interval_ns, BIT_ULL(doublings), 1);
	u64 least = kvmx_muldiv_up(last_cost_ns, MAX_PERMILLE, policy->idle_permille);

	return kvmx_add(last_ns, max(interval, least));
}
