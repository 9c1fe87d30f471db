// SPDX-License-Identifier: GPL-2.0
/*
 * An epoch: ksmd runs at full speed within the CPU budget, until it has done what it was to do.
 */
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "arith.h"
#include "ksm.h"
#include "trace.h"

/* How often to look at what ksmd does: often enough not to let it run far over the end. */
#define TICK_MIN	(4 * NSEC_PER_MSEC)
#define TICK_MAX	(200 * NSEC_PER_MSEC)
#define FOREIGN_NS	(100 * NSEC_PER_MSEC)

/* ksmd has nothing to scan: longer than two of the longest pauses that it is ever told to make. */
#define STALL_NS	(130 * NSEC_PER_SEC)

/*
 * A batch of ksmd ends where a scan of all memory does. If that takes no longer than this, or is of
 * so few pages, each scan is a batch of its own, with a pause in which the next can be prevented.
 */
#define SHORT_SCAN_NS	(100 * NSEC_PER_MSEC)
#define SHORT_SCAN_PAGES	8192
#define SHORT_PAUSE_MS	24

struct counts {
	u64 freed;
	u64 zero;
	u64 scans;
	u64 scanned;
	u64 cow;
	u64 cpu;
	u64 wall;
};

/* Pages of zeroes that KSM has freed and counted. */
static u64 counted_zero(void)
{
	return kvmx_knobs_read(KVMX_KNOB_ZERO_PAGES, 0) ?
	       kvmx_knobs_read(KVMX_KNOB_ZERO_SHARING, 0) : 0;
}

/**
 * kvmx_ksm_freed() - pages that KSM has freed, on the whole host
 *
 * Return: the number.
 */
u64 kvmx_ksm_freed(void)
{
	/* Pages of zeroes are counted apart, and cost nothing. */
	return kvmx_knobs_read(KVMX_KNOB_SHARING, 0) + counted_zero();
}

/**
 * kvmx_ksm_cow_events() - merged pages that were written to, on the whole host
 *
 * Return: the number since the host was started.
 */
u64 kvmx_ksm_cow_events(void)
{
	unsigned long *events;
	u64 cow = 0;

	events = kcalloc(NR_VM_EVENT_ITEMS, sizeof(*events), GFP_KERNEL);
	if (events) {
		all_vm_events(events);
		cow = events[COW_KSM];
	}
	kfree(events);
	return cow;
}

/* Pages that KSM has merged are among them, the kernel's own page of zeroes is not. */
static u64 anon_pages(const struct kvmx_ksm_proc *p)
{
	return get_mm_counter(p->mm, MM_ANONPAGES);
}

static void count_anon(void)
{
	struct kvmx_ksm_proc *p;

	mutex_lock(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		p->anon = anon_pages(p);
		p->zeroed = 0;
	}
	mutex_unlock(&kvmx_ksm.lock);
}

/*
 * To merge a page of a huge one ksmd splits that. Since Linux 6.12 a split gives back all pages of
 * zeroes in it, and maps the kernel's own there: they are freed as foretold, but KSM does not count
 * them. They are missing from the VMM's anonymous pages; not more of them than the look has found,
 * as a VMM may give back memory itself. @counted of these are in KSM's count.
 */
static u64 count_zeroed(u64 counted)
{
	struct kvmx_ksm_proc *p;
	u64 sum = 0, rest;

	mutex_lock(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		p->zeroed = 0;
		if (p->live && !kvmx_ksm_proc_dead(p))
			p->zeroed = min(kvmx_sub(p->anon, anon_pages(p)), p->look.zero);
		sum += p->zeroed;
	}
	rest = kvmx_sub(sum, counted);
	if (counted) {
		list_for_each_entry(p, &kvmx_ksm.procs, node)
			p->zeroed = kvmx_muldiv(p->zeroed, rest, max(sum, 1ULL));
	}
	mutex_unlock(&kvmx_ksm.lock);
	return rest;
}

static void count(struct counts *c)
{
	c->zero = counted_zero();
	c->freed = kvmx_ksm_freed();
	c->scans = kvmx_knobs_read(KVMX_KNOB_FULL_SCANS, 0);
	c->scanned = kvmx_knobs_read(KVMX_KNOB_SCANNED, 0);
	c->cow = kvmx_ksm_cow_events();
	c->cpu = kvmx_knobs_ksmd_ns();
	c->wall = ktime_get_ns();
}

/* Pages that ksmd has mappings of, to know what a scan costs. */
static u64 scan_pages(void)
{
	const struct kvmx_ksm_proc *p;
	u64 sum = 0;

	mutex_lock(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node)
		sum += p->live ? p->look.scan : 0;
	mutex_unlock(&kvmx_ksm.lock);
	return sum;
}

/* The fewest visits that the scans are known to have taken, where KSM does not count them. */
static u64 visits(const struct counts *from, const struct counts *to, u64 pages)
{
	if (kvmx_knobs_has(KVMX_KNOB_SCANNED))
		return to->scanned - from->scanned;
	return (to->scans - from->scans) * pages;
}

static u32 migrating(void)
{
	const struct kvmx_ksm_proc *p;
	u32 nr = 0;

	mutex_lock(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node)
		nr += p->live && kvmx_ksm_proc_migrations(p);
	mutex_unlock(&kvmx_ksm.lock);
	return nr;
}

/* A VMM whose memory may merge has exited. If it was the last, ksmd would not run any more. */
static bool any_dead(void)
{
	const struct kvmx_ksm_proc *p;
	bool any = false;

	mutex_lock(&kvmx_ksm.lock);
	list_for_each_entry(p, &kvmx_ksm.procs, node)
		any |= p->live && kvmx_ksm_proc_dead(p);
	mutex_unlock(&kvmx_ksm.lock);
	return any;
}

/* Whether other processes with mergeable memory end an epoch. */
static bool refuses(void)
{
	return kvmx_ksm.policy.domains == KVMX_KSM_STRICT &&
	       kvmx_ksm.policy.foreign == KVMX_KSM_FOREIGN_REFUSE;
}

/* Whether something has happened that ends the epoch at once. */
static u32 disturbed(u64 *foreign_at, u64 now, u64 *arg)
{
	*arg = 0;
	if (!kvmx_knobs_check())
		return KVMX_KSM_WHY_KNOBS;
	if (kvmx_ksm_stopping() || atomic_read(&kvmx_ksm.holds) || any_dead())
		return KVMX_KSM_WHY_CHANGED;
	*arg = migrating();
	if (*arg)
		return KVMX_KSM_WHY_MIGRATION;
	if (refuses() && now >= *foreign_at) {
		*foreign_at = now + FOREIGN_NS;
		*arg = kvmx_ksm_foreign(true);
		if (*arg)
			return KVMX_KSM_WHY_FOREIGN;
	}
	return 0;
}

static u64 tick(const struct kvmx_ksm_plan_out *plan, const struct counts *begin,
		const struct counts *now, u64 pages, u64 visit_ns)
{
	u64 scans = max_t(u64, plan->scans, now->scans - begin->scans + 1);
	u64 cpu = now->cpu - begin->cpu, all = scans * pages * visit_ns, left;
	u64 gone = now->wall - begin->wall;

	/* An eighth of the time that is left, as ksmd has gone so far. */
	left = all > cpu ? all - cpu : 0;
	left = div64_u64(left * 1000, max(plan->cpu_permille, 1U)) / 8;
	/* At first not much is known of how fast ksmd is. */
	left = min(left, gone / 8);
	return clamp_t(u64, left, TICK_MIN, refuses() ? FOREIGN_NS : TICK_MAX);
}

static u32 budget(const struct kvmx_ksm_plan_out *plan)
{
	const struct kvmx_ksm_policy *policy = &kvmx_ksm.policy;
	long available = si_mem_available();

	if (available >= 0 && (u64)available << PAGE_SHIFT < policy->memory_target)
		return policy->pressure_permille;
	return plan->pressure ? policy->cpu_permille : plan->cpu_permille;
}

static struct kvmx_ksm_pace pace(u64 pages, u64 visit_ns, u32 permille, u64 used, u64 wall)
{
	struct kvmx_ksm_pace p = kvmx_ksm_pace(visit_ns, permille, used, wall);
	u64 scan_ns = pages * visit_ns;

	if (scan_ns > SHORT_SCAN_NS && pages > SHORT_SCAN_PAGES)
		return p;
	p.sleep_ms = max3(p.sleep_ms, (u32)SHORT_PAUSE_MS,
			  (u32)div64_u64(scan_ns * (1000 - permille),
					 (u64)max(permille, 1U) * NSEC_PER_MSEC));
	p.pages = 2 * pages;
	return p;
}

/* Whether ksmd has done nothing for so long that it will not; @moved is when it last had. */
static bool stalled(struct counts *moved, const struct counts *now)
{
	if (now->scans != moved->scans || now->scanned != moved->scanned || now->cpu != moved->cpu)
		*moved = *now;
	return now->wall - moved->wall > STALL_NS;
}

/*
 * The same, with what has been freed since @begin and KSM does not count. As it began KSM may still
 * have counted what was unmerged or written to since its last visit: nothing is freed before that
 * is gone.
 */
static void count_since(struct counts *c, struct counts *begin)
{
	count(c);
	c->freed += count_zeroed(kvmx_sub(c->zero, begin->zero));
	begin->freed = min(begin->freed, c->freed);
}

static u32 run(const struct kvmx_ksm_plan_out *plan, u64 visit_ns, struct counts *begin,
	       struct counts *now, u64 *why_arg)
{
	struct kvmx_ksm_progress p = { .plan = plan, .policy = &kvmx_ksm.policy };
	u64 pages = scan_pages(), foreign_at = 0;
	u64 scans = begin->scans, at_scan[3] = {};
	struct counts moved = *begin;
	struct kvmx_ksm_pace speed;
	u32 why;

	for (;;) {
		count_since(now, begin);
		p.scans = now->scans - begin->scans;
		p.freed = now->freed - begin->freed;
		if (now->scans != scans) {
			scans = now->scans;
			at_scan[0] = at_scan[1];
			at_scan[1] = at_scan[2];
			at_scan[2] = p.freed;
		}
		p.freed_lately = kvmx_sub(p.freed, at_scan[0]);
		p.cpu_ns = now->cpu - begin->cpu;
		p.cow = now->cow - begin->cow;
		p.disturbed = disturbed(&foreign_at, now->wall, &p.disturbed_arg);
		if (kvmx_ksm_epoch_over(&p, &why, why_arg))
			return why;
		if (stalled(&moved, now))
			return KVMX_KSM_WHY_NO_VM;
		if (visits(begin, now, pages) > 1000)
			visit_ns = div64_u64(p.cpu_ns, visits(begin, now, pages)) + 1;
		speed = pace(pages, visit_ns, budget(plan), p.cpu_ns, now->wall - begin->wall);
		if (kvmx_knobs_drive(speed.pages, speed.sleep_ms))
			return KVMX_KSM_WHY_KNOBS;
		kvmx_ksm_sleep(tick(plan, begin, now, pages, visit_ns));
	}
}

static void conclude(const struct counts *begin, const struct counts *end, u32 why, u64 pages)
{
	u64 seen = visits(begin, end, pages), cpu = end->cpu - begin->cpu;
	u64 freed = end->freed - begin->freed;
	const struct kvmx_ksm_sum *d = &kvmx_ksm.domain;
	struct kvmx_ksm_proc *p;

	mutex_lock(&kvmx_ksm.lock);
	kvmx_ksm.stopped = why;
	kvmx_ksm.counters.epochs++;
	kvmx_ksm.counters.full_scans += end->scans - begin->scans;
	kvmx_ksm.counters.scanned += end->scanned - begin->scanned;
	kvmx_ksm.counters.epoch_merged += freed;
	kvmx_ksm.counters.ksmd_ns += cpu;
	if (seen > 1000)
		kvmx_ksm.visit_ns = div64_u64(cpu, seen) + 1;
	list_for_each_entry(p, &kvmx_ksm.procs, node) {
		if (!p->live)
			continue;
		p->merged = kvmx_ksm_proc_merged(p);
		p->freed = kvmx_muldiv(p->merged, d->mergeable, max(d->copies, 1ULL));
		p->freed = min(p->est.mergeable, kvmx_add(p->freed, p->zeroed));
		/* What all scans have left, more of them will leave, too. */
		if (why == KVMX_KSM_WHY_SCANS)
			p->left = p->est.mergeable - p->freed;
		/* A scan has brought KSM's count up to date. */
		if (end->scans > begin->scans + 1) {
			p->is_new = false;
			p->touched = false;
			p->cow_new = 0;
		}
	}
	mutex_unlock(&kvmx_ksm.lock);
}

/**
 * kvmx_ksm_epoch() - run an epoch
 * @plan: what for
 * @visit_ns: CPU time of a visit, as far as known
 *
 * Context: the worker; no lock held, and kvmx_ksm.in_epoch has been set.
 * Return: KVMX_KSM_WHY_*: why it has ended.
 */
u32 kvmx_ksm_epoch(const struct kvmx_ksm_plan_out *plan, u64 visit_ns)
{
	struct counts begin, end;
	u64 why_arg = 0, pages = scan_pages();
	u32 why = KVMX_KSM_WHY_CHANGED;

	/* Whoever says so later is seen as the epoch goes on. */
	if (atomic_read(&kvmx_ksm.holds))
		goto out;
	kvmx_ksm_host_state(KVMX_KSM_HOST_STATE_EPOCH);
	kvmx_bell_ring(&kvmx_sys_bell, KVMX_EVENT_KSM_BEGIN, plan->gain);
	count_anon();
	count(&begin);
	why = run(plan, visit_ns, &begin, &end, &why_arg);
	kvmx_knobs_rest();
	count_since(&end, &begin);
	conclude(&begin, &end, why, pages);
	kvmx_bell_ring(&kvmx_sys_bell, KVMX_EVENT_KSM_END,
		       (u64)why << 56 | (end.freed - begin.freed));
	trace_kvmx_ksm_epoch(plan->gain, end.freed - begin.freed, end.scans - begin.scans,
			     end.scanned - begin.scanned, end.cpu - begin.cpu,
			     end.wall - begin.wall, why);
out:
	WRITE_ONCE(kvmx_ksm.in_epoch, false);
	wake_up_all(&kvmx_ksm.wait);
	return why;
}
