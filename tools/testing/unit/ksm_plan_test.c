// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>

#include <linux/minmax.h>

#include "arith.h"
#include "guest.h"
#include "kselftest_harness.h"
#include "plan.h"

#define ROUNDS		200000
#define MAX_VMS		6
#define MAX_DOMAINS	3
#define GIB_PAGES	262144ULL
#define GIB		(4096 * GIB_PAGES)
#define AUTO		KVMX_KSM_AUTO
#define ALWAYS		KVMX_KSM_ALWAYS
#define LEAVE		KVMX_KSM_DO_LEAVE
#define ADMIT		KVMX_KSM_DO_ADMIT
#define UNMERGE		KVMX_KSM_DO_UNMERGE
#define NO_DOMAIN	KVMX_KSM_NO_DOMAIN

struct host {
	struct kvmx_ksm_plan_in in;
	struct kvmx_ksm_plan_in_vm vm[MAX_VMS];
	struct kvmx_ksm_plan_domain domain[MAX_DOMAINS];
	struct kvmx_ksm_plan_out out;
};

/* VMs of 1 GiB of which a quarter can be freed, each in domain 0, nothing live; a visit is 2 us */
static void host_init(struct host *h, u32 nr_vm, u32 nr_domain)
{
	u32 i;

	memset(h, 0, sizeof(*h));
	h->in = (struct kvmx_ksm_plan_in) {
		.policy = { .mode = KVMX_KSM_HOST_ON, .page_ns = 100000 },
		.visit_ns = 2000,
		.available = 8 * GIB,
		.nr_vm = nr_vm,
		.nr_domain = nr_domain,
		.live_domain = NO_DOMAIN,
	};
	kvmx_ksm_policy_fill(&h->in.policy);
	for (i = 0; i < nr_vm; i++) {
		h->vm[i] = (struct kvmx_ksm_plan_in_vm) {
			.mode = AUTO,
			.weight = 100,
			.sampled = true,
			.pages = GIB_PAGES,
			.present = GIB_PAGES,
			.scan = GIB_PAGES,
			.mergeable = GIB_PAGES / 4,
		};
	}
	for (i = 0; i < nr_domain; i++)
		h->domain[i].allowed = true;
}

static void plan(struct host *h)
{
	u32 i;

	h->in.vm = h->vm;
	h->in.domain = h->domain;
	memset(&h->out, 0xa5, sizeof(h->out));
	for (i = 0; i < h->in.nr_vm; i++) {
		h->vm[i].todo = 77;
		h->vm[i].why = 77;
	}
	kvmx_ksm_plan_make(&h->in, &h->out);
}

/* what comes of a plan as far as the planner can know */
static void carry_out(struct host *h)
{
	struct kvmx_ksm_plan_in_vm *vm;
	u32 i;

	for (i = 0; i < h->in.nr_vm; i++) {
		vm = &h->vm[i];
		if (vm->todo == UNMERGE) {
			vm->live = false;
			vm->is_new = false;
			vm->evicted |= vm->evict;
			vm->merged = 0;
			vm->freed = 0;
			vm->cow = 0;
		} else if (vm->todo == ADMIT) {
			vm->live = true;
			vm->is_new = true;
		}
	}
	h->in.live_domain = h->out.domain;
}

/* the epoch has freed all but @left of each VM */
static void carry_out_epoch(struct host *h, u64 left)
{
	struct kvmx_ksm_plan_in_vm *vm;
	u32 i;

	for (i = 0; i < h->in.nr_vm; i++) {
		vm = &h->vm[i];
		if (!vm->live)
			continue;
		vm->is_new = false;
		vm->left = left;
		vm->freed = vm->mergeable - left;
		vm->merged = vm->freed;
	}
}

static bool is_live_after(const struct kvmx_ksm_plan_in_vm *vm)
{
	return vm->todo == ADMIT || (vm->live && vm->todo != UNMERGE);
}

static void random_host(struct host *h, struct rnd *r)
{
	struct kvmx_ksm_plan_in_vm *vm;
	u32 bits = rnd_below(r, 4) ? 20 : 34, i;
	u32 nr_domain = rnd_below(r, 5) ? 1 + rnd_below(r, MAX_DOMAINS) : 0;

	host_init(h, rnd_below(r, MAX_VMS + 1), nr_domain);
	h->in.policy.domains = rnd_below(r, 2);
	h->in.policy.foreign = rnd_below(r, 2);
	h->in.policy.page_ns = rnd_scale(r, rnd_below(r, 8) ? 24 : 64);
	h->in.policy.memory_target = rnd_below(r, 3) ? 0 : rnd_scale(r, 40);
	h->in.policy.epoch_ns = rnd_scale(r, 64);
	h->in.policy.reserve = rnd_scale(r, 30);
	h->in.visit_ns = rnd_scale(r, 14);
	h->in.available = rnd_scale(r, 46);
	h->in.nr_foreign = rnd_below(r, 10) ? 0 : 3;
	h->in.knobs_lost = !rnd_below(r, 20);
	if (h->in.nr_domain && rnd_below(r, 2))
		h->in.live_domain = rnd_below(r, h->in.nr_domain);
	for (i = 0; i < h->in.nr_domain; i++)
		h->domain[i].allowed = rnd_below(r, 8);
	for (i = 0; i < h->in.nr_vm; i++) {
		vm = &h->vm[i];
		vm->domain = h->in.nr_domain && rnd_below(r, 20) ? rnd_below(r, h->in.nr_domain) :
								     NO_DOMAIN;
		vm->mode = KVMX_KSM_OFF + (rnd_below(r, 10) ? 1 : 2 * rnd_below(r, 2));
		vm->weight = rnd_below(r, 4) ? 100 : 1 + rnd_below(r, KVMX_KSM_MAX_WEIGHT);
		vm->sampled = rnd_below(r, 16);
		vm->migrating = !rnd_below(r, 16);
		vm->evicted = !rnd_below(r, 16);
		vm->pages = rnd_scale(r, bits);
		vm->present = rnd_below(r, vm->pages + 1);
		vm->scan = rnd_below(r, 8) ? rnd_below(r, vm->pages + 1) : 0;
		vm->shared = rnd_below(r, vm->pages - vm->scan + 1);
		vm->excluded = vm->pages - vm->scan - vm->shared;
		vm->pinned = rnd_below(r, vm->pages + 1);
		vm->unstable = rnd_below(r, vm->present + 1);
		vm->mergeable = rnd_below(r, vm->present + 1);
		vm->err = rnd_below(r, 2) ? 0 : rnd_below(r, vm->mergeable / 4 + 1);
		vm->left = rnd_below(r, 4) ? 0 : rnd_below(r, vm->mergeable + 1);
		vm->live = vm->domain != NO_DOMAIN && vm->domain == h->in.live_domain &&
			   rnd_below(r, 2);
		if (!vm->live)
			continue;
		vm->is_new = !rnd_below(r, 3);
		vm->merged = vm->is_new ? 0 : rnd_below(r, vm->scan + 1);
		vm->freed = min(vm->merged, rnd_below(r, vm->mergeable + 1));
		vm->cow = rnd_below(r, 4) ? 0 : rnd_scale(r, 20);
	}
}

TEST(defaults)
{
	struct kvmx_ksm_policy p = {};

	EXPECT_EQ(0, kvmx_ksm_policy_check(&p));
	kvmx_ksm_policy_fill(&p);
	EXPECT_EQ(200, p.cpu_permille);
	EXPECT_EQ(500, p.pressure_permille);
	EXPECT_EQ(1, p.idle_permille);
	EXPECT_EQ(0, p.memory_target);
	EXPECT_EQ(64 << 20, p.reserve);
	EXPECT_EQ(1000000, p.page_ns);
	EXPECT_EQ(600 * SEC, p.epoch_ns);
	EXPECT_EQ(30 * SEC, p.interval_ns);
	EXPECT_EQ(SEC, p.settle_ns);
	EXPECT_EQ(0, kvmx_ksm_policy_check(&p));
	p = (struct kvmx_ksm_policy) { .cpu_permille = 700 };
	kvmx_ksm_policy_fill(&p);
	EXPECT_EQ(700, p.pressure_permille);
}

TEST(ranges)
{
	static const struct {
		struct kvmx_ksm_policy policy;
		int ret;
	} cases[] = {
		{ { .mode = 1, .domains = 1, .foreign = 1 }, 0 },
		{ { .mode = 2 }, -EINVAL },
		{ { .domains = 2 }, -EINVAL },
		{ { .foreign = 2 }, -EINVAL },
		{ { .cpu_permille = 1000 }, 0 },
		{ { .cpu_permille = 1001 }, -EINVAL },
		{ { .cpu_permille = 300, .pressure_permille = 300 }, 0 },
		{ { .cpu_permille = 300, .pressure_permille = 299 }, -EINVAL },
		{ { .pressure_permille = 199 }, -EINVAL },
		{ { .pressure_permille = 1000 }, 0 },
		{ { .pressure_permille = 1001 }, -EINVAL },
		{ { .idle_permille = 1000 }, 0 },
		{ { .idle_permille = 1001 }, -EINVAL },
		{ { .interval_ns = 100 * MS }, 0 },
		{ { .interval_ns = 100 * MS - 1 }, -EINVAL },
		{ { .settle_ns = MS }, 0 },
		{ { .settle_ns = MS - 1 }, -EINVAL },
		{ { .settle_ns = 60 * SEC }, 0 },
		{ { .settle_ns = 60 * SEC + 1 }, -EINVAL },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		EXPECT_EQ(cases[i].ret, kvmx_ksm_policy_check(&cases[i].policy));
}

TEST(nobody)
{
	struct host h;

	host_init(&h, 0, 0);
	plan(&h);
	EXPECT_EQ(NO_DOMAIN, h.out.domain);
	EXPECT_FALSE(h.out.epoch);
	EXPECT_EQ(KVMX_KSM_WHY_NO_VM, h.out.why);
	EXPECT_EQ(0, h.out.cost_ns);
}

/* admitted, merged, and then there is nothing to do until something changes */
TEST(life)
{
	struct host h;

	host_init(&h, 2, 1);
	plan(&h);
	EXPECT_EQ(ADMIT, h.vm[0].todo);
	EXPECT_EQ(KVMX_KSM_WHY_GAIN, h.vm[0].why);
	EXPECT_EQ(GIB_PAGES / 4, h.vm[0].why_arg);
	EXPECT_EQ(GIB_PAGES / 4, h.vm[0].gain);
	EXPECT_EQ(3 * GIB_PAGES * 2000, h.vm[0].cost_ns);
	EXPECT_EQ(0, h.out.domain);
	EXPECT_TRUE(h.out.epoch);
	EXPECT_EQ(3, h.out.scans);
	EXPECT_EQ(GIB_PAGES / 2, h.out.gain);
	EXPECT_EQ(6 * GIB_PAGES * 2000, h.out.cost_ns);
	EXPECT_EQ(KVMX_KSM_WHY_GAIN, h.out.why);
	carry_out(&h);
	carry_out_epoch(&h, 0);
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	EXPECT_EQ(KVMX_KSM_WHY_REACHED, h.vm[0].why);
	EXPECT_FALSE(h.out.epoch);
	EXPECT_EQ(KVMX_KSM_WHY_REACHED, h.out.why);
	/* what one epoch did not do, the next will not, either */
	carry_out_epoch(&h, GIB_PAGES / 8);
	plan(&h);
	EXPECT_FALSE(h.out.epoch);
	EXPECT_EQ(KVMX_KSM_WHY_REACHED, h.out.why);
	/* new pages, first too few of them; their price is 100 us, three visits of 2 us each */
	h.vm[0].mergeable += 2 * GIB_PAGES * 6 / 100 - 1;
	plan(&h);
	EXPECT_FALSE(h.out.epoch);
	EXPECT_EQ(KVMX_KSM_WHY_NO_GAIN, h.out.why);
	EXPECT_EQ(2 * GIB_PAGES * 6 / 100 - 1, h.out.why_arg);
	h.vm[0].mergeable += 2;
	plan(&h);
	EXPECT_TRUE(h.out.epoch);
	EXPECT_EQ(2, h.out.scans);
	EXPECT_EQ(4 * GIB_PAGES * 2000, h.out.cost_ns);
	/* under pressure a single page will do, and the budget is larger */
	h.vm[0].mergeable = h.vm[0].freed + h.vm[0].left + 1;
	h.in.policy.memory_target = h.in.available + 1;
	plan(&h);
	EXPECT_TRUE(h.out.epoch);
	EXPECT_TRUE(h.out.pressure);
	EXPECT_EQ(500, h.out.cpu_permille);
	h.in.policy.memory_target--;
	plan(&h);
	EXPECT_FALSE(h.out.epoch);
	EXPECT_FALSE(h.out.pressure);
	EXPECT_EQ(200, h.out.cpu_permille);
}

/* why a VM is refused, in the order of precedence: each case adds something to the ones before */
TEST(reasons)
{
	struct kvmx_ksm_plan_in_vm *vm;
	struct host h;

	host_init(&h, 1, 1);
	vm = &h.vm[0];
	vm->mergeable = 10;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_NO_GAIN, vm->why);
	EXPECT_EQ(10, vm->why_arg);
	EXPECT_EQ(LEAVE, vm->todo);
	EXPECT_EQ(KVMX_KSM_WHY_NO_VM, h.out.why);

	vm->unstable = GIB_PAGES / 2 + 1;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_VOLATILE, vm->why);
	EXPECT_EQ(500, vm->why_arg);

	vm->shared = GIB_PAGES * 3 / 4;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_SHARED, vm->why);
	EXPECT_EQ(750, vm->why_arg);

	vm->pinned = GIB_PAGES * 97 / 100 + 1;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_PINNED, vm->why);
	EXPECT_EQ(970, vm->why_arg);

	/* nothing of that matters if the rest is worth it */
	vm->mergeable = GIB_PAGES / 4;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_GAIN, vm->why);

	vm->scan = 0;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_PINNED, vm->why);
	vm->scan = GIB_PAGES;

	vm->evicted = true;
	vm->cow = 5;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_COW, vm->why);
	EXPECT_EQ(5, vm->why_arg);

	vm->sampled = false;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_SAMPLING, vm->why);
	EXPECT_EQ(KVMX_KSM_WHY_SAMPLING, h.out.why);

	vm->migrating = true;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_MIGRATION, vm->why);

	h.in.nr_foreign = 7;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_FOREIGN, vm->why);
	EXPECT_EQ(7, vm->why_arg);
	EXPECT_EQ(KVMX_KSM_WHY_FOREIGN, h.out.why);
	h.in.policy.foreign = KVMX_KSM_FOREIGN_ALLOW;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_MIGRATION, vm->why);
	h.in.policy.foreign = KVMX_KSM_FOREIGN_REFUSE;
	h.in.policy.domains = KVMX_KSM_SHARED;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_MIGRATION, vm->why);

	h.in.knobs_lost = true;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_KNOBS, vm->why);
	EXPECT_EQ(KVMX_KSM_WHY_KNOBS, h.out.why);

	vm->mode = KVMX_KSM_OFF;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_MODE, vm->why);
	EXPECT_EQ(LEAVE, vm->todo);
	vm->live = true;
	h.in.live_domain = 0;
	plan(&h);
	EXPECT_EQ(UNMERGE, vm->todo);
}

TEST(error_is_no_gain)
{
	struct host h;

	host_init(&h, 1, 1);
	h.vm[0].err = GIB_PAGES / 4;
	plan(&h);
	EXPECT_EQ(KVMX_KSM_WHY_NO_GAIN, h.vm[0].why);
	h.vm[0].err--;
	plan(&h);
	EXPECT_EQ(ADMIT, h.vm[0].todo);
}

TEST(weight)
{
	struct host h;

	host_init(&h, 1, 1);
	/* 6 us for a page's visits, 100 us for a page freed */
	h.vm[0].mergeable = GIB_PAGES * 6 / 100 + 1;
	plan(&h);
	EXPECT_EQ(ADMIT, h.vm[0].todo);
	h.vm[0].weight = 99;
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	EXPECT_EQ(KVMX_KSM_WHY_NO_GAIN, h.vm[0].why);
	h.vm[0].mergeable = GIB_PAGES * 6 / 1000 + 1;
	h.vm[0].weight = 1000;
	plan(&h);
	EXPECT_EQ(ADMIT, h.vm[0].todo);
	EXPECT_TRUE(h.out.epoch);
}

TEST(always)
{
	struct host h;

	host_init(&h, 2, 1);
	h.vm[0].mode = ALWAYS;
	h.vm[0].mergeable = 0;
	h.vm[1].mergeable = 0;
	plan(&h);
	EXPECT_EQ(ADMIT, h.vm[0].todo);
	EXPECT_EQ(KVMX_KSM_WHY_MODE, h.vm[0].why);
	EXPECT_EQ(LEAVE, h.vm[1].todo);
	EXPECT_TRUE(h.out.epoch);
	EXPECT_EQ(KVMX_KSM_WHY_MODE, h.out.why);
	carry_out(&h);
	carry_out_epoch(&h, 0);
	plan(&h);
	EXPECT_FALSE(h.out.epoch);
	EXPECT_EQ(KVMX_KSM_WHY_NO_GAIN, h.out.why);
	h.vm[0].mergeable = 63;
	plan(&h);
	EXPECT_FALSE(h.out.epoch);
	h.vm[0].mergeable++;
	plan(&h);
	EXPECT_TRUE(h.out.epoch);
	EXPECT_EQ(2, h.out.scans);
	/* a storm does not matter */
	h.vm[0].cow = 1000000;
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	/* its cost is not held against the others */
	h.vm[0].mergeable = 0;
	h.vm[0].scan = 100 * GIB_PAGES;
	h.vm[1].mergeable = GIB_PAGES / 4;
	h.vm[1].live = true;
	plan(&h);
	EXPECT_TRUE(h.out.epoch);
}

TEST(storm)
{
	struct host h;

	host_init(&h, 2, 1);
	plan(&h);
	carry_out(&h);
	carry_out_epoch(&h, 0);
	h.vm[0].cow = h.vm[0].merged / 4;
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	h.vm[0].cow++;
	plan(&h);
	EXPECT_EQ(UNMERGE, h.vm[0].todo);
	EXPECT_TRUE(h.vm[0].evict);
	EXPECT_EQ(KVMX_KSM_WHY_COW, h.vm[0].why);
	EXPECT_EQ(h.vm[0].cow, h.vm[0].why_arg);
	EXPECT_EQ(h.vm[0].merged, h.out.unmerge);
	EXPECT_EQ(LEAVE, h.vm[1].todo);
	EXPECT_FALSE(h.vm[1].evict);
	/* a few are no storm, however little was merged */
	h.vm[0].merged = 0;
	h.vm[0].cow = 1024;
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	h.vm[0].cow++;
	plan(&h);
	EXPECT_EQ(UNMERGE, h.vm[0].todo);
	carry_out(&h);
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	EXPECT_EQ(KVMX_KSM_WHY_COW, h.vm[0].why);
}

/* a VM that is live takes part in every epoch, so there is none while it is being migrated */
TEST(migration)
{
	struct host h;

	host_init(&h, 3, 1);
	h.vm[2].migrating = true;
	plan(&h);
	EXPECT_TRUE(h.out.epoch);
	EXPECT_EQ(LEAVE, h.vm[2].todo);
	carry_out(&h);
	h.vm[1].migrating = true;
	plan(&h);
	EXPECT_FALSE(h.out.epoch);
	EXPECT_EQ(KVMX_KSM_WHY_MIGRATION, h.out.why);
	EXPECT_EQ(1, h.out.why_arg);
	EXPECT_EQ(LEAVE, h.vm[1].todo);
	EXPECT_EQ(KVMX_KSM_WHY_MIGRATION, h.vm[1].why);
}

TEST(domains)
{
	struct host h;
	u64 need;

	host_init(&h, 4, 2);
	h.vm[2].domain = 1;
	h.vm[3].domain = 1;
	/* of two that are worth the same, the first */
	plan(&h);
	EXPECT_EQ(0, h.out.domain);
	EXPECT_EQ(ADMIT, h.vm[1].todo);
	EXPECT_EQ(LEAVE, h.vm[2].todo);
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, h.vm[2].why);
	EXPECT_EQ(GIB_PAGES / 2, h.out.gain);
	carry_out(&h);
	carry_out_epoch(&h, 0);
	/* a quarter more is not enough, a page more is */
	h.vm[3].mergeable += GIB_PAGES / 8;
	plan(&h);
	EXPECT_EQ(0, h.out.domain);
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, h.vm[3].why);
	h.vm[3].mergeable++;
	plan(&h);
	EXPECT_EQ(1, h.out.domain);
	EXPECT_EQ(UNMERGE, h.vm[0].todo);
	EXPECT_EQ(UNMERGE, h.vm[1].todo);
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, h.vm[1].why);
	EXPECT_EQ(ADMIT, h.vm[2].todo);
	EXPECT_EQ(ADMIT, h.vm[3].todo);
	EXPECT_EQ(GIB_PAGES / 2, h.out.unmerge);
	EXPECT_TRUE(h.out.epoch);
	/* if there is memory to unmerge */
	need = GIB / 2 + h.in.policy.reserve;
	h.in.available = need;
	plan(&h);
	EXPECT_EQ(1, h.out.domain);
	h.in.available--;
	plan(&h);
	EXPECT_EQ(0, h.out.domain);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	EXPECT_EQ(LEAVE, h.vm[2].todo);
	EXPECT_EQ(KVMX_KSM_WHY_NO_MEMORY, h.vm[2].why);
	EXPECT_EQ(need, h.vm[2].why_arg);
	EXPECT_EQ(0, h.out.unmerge);
	h.in.available++;
	/* and none is being migrated */
	h.vm[0].migrating = true;
	plan(&h);
	EXPECT_EQ(0, h.out.domain);
	EXPECT_EQ(KVMX_KSM_WHY_MIGRATION, h.vm[2].why);
	h.vm[0].migrating = false;
	/* a policy that names the other one is obeyed whatever it gains */
	h.vm[3].mergeable = GIB_PAGES / 4;
	h.vm[2].mergeable = GIB_PAGES / 8;
	h.domain[0].allowed = false;
	plan(&h);
	EXPECT_EQ(1, h.out.domain);
	EXPECT_EQ(UNMERGE, h.vm[0].todo);
	h.in.available--;
	plan(&h);
	EXPECT_EQ(0, h.out.domain);
	EXPECT_FALSE(h.out.epoch);
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, h.out.why);
	EXPECT_EQ(KVMX_KSM_WHY_NO_MEMORY, h.vm[3].why);
	h.in.available++;
	h.domain[1].allowed = false;
	plan(&h);
	EXPECT_EQ(NO_DOMAIN, h.out.domain);
	EXPECT_EQ(UNMERGE, h.vm[0].todo);
	EXPECT_EQ(LEAVE, h.vm[3].todo);
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, h.vm[3].why);
}

TEST(domain_without_memory_to_give_back)
{
	struct host h;

	/* three VMs with a domain each; the third is worth a little more than the first */
	host_init(&h, 3, 3);
	h.vm[1].domain = 1;
	h.vm[2].domain = 2;
	h.vm[1].mergeable *= 2;
	h.vm[2].mergeable += 10;
	h.vm[0].live = true;
	h.in.live_domain = 0;
	h.in.available = 0;
	/* nothing is merged yet, so there is nothing to lose */
	plan(&h);
	EXPECT_EQ(1, h.out.domain);
	EXPECT_EQ(UNMERGE, h.vm[0].todo);
	/* the third does not wait for memory */
	h.vm[0].merged = 1;
	plan(&h);
	EXPECT_EQ(0, h.out.domain);
	EXPECT_EQ(KVMX_KSM_WHY_NO_MEMORY, h.vm[1].why);
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, h.vm[2].why);
	/* a storm is a storm in any domain */
	h.in.available = GIB;
	h.vm[0].cow = 10000;
	plan(&h);
	EXPECT_EQ(1, h.out.domain);
	EXPECT_EQ(KVMX_KSM_WHY_COW, h.vm[0].why);
	EXPECT_TRUE(h.vm[0].evict);
	h.vm[0].cow = 0;
	/* by weight the third is worth most */
	h.vm[2].weight = 200;
	plan(&h);
	EXPECT_EQ(2, h.out.domain);
	/* while a VM cannot be judged, what it was worth last counts */
	h.vm[2].domain = NO_DOMAIN;
	h.vm[1].mergeable = h.vm[0].mergeable;
	h.vm[0].migrating = true;
	plan(&h);
	EXPECT_EQ(0, h.out.domain);
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, h.vm[1].why);
	EXPECT_EQ(LEAVE, h.vm[2].todo);
	h.vm[0].migrating = false;
	h.vm[0].sampled = false;
	plan(&h);
	EXPECT_EQ(0, h.out.domain);
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, h.vm[1].why);
	EXPECT_EQ(KVMX_KSM_WHY_SAMPLING, h.vm[0].why);
}

/* who is in stays for half of what it takes to get in */
TEST(hysteresis)
{
	struct host h;

	host_init(&h, 1, 1);
	h.vm[0].live = true;
	h.in.live_domain = 0;
	h.vm[0].mergeable = GIB_PAGES * 3 / 100 + 1;
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	EXPECT_FALSE(h.out.epoch);
	h.vm[0].freed = h.vm[0].mergeable;
	h.vm[0].merged = h.vm[0].freed;
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	h.vm[0].mergeable -= 2;
	plan(&h);
	EXPECT_EQ(UNMERGE, h.vm[0].todo);
	EXPECT_EQ(KVMX_KSM_WHY_NO_GAIN, h.vm[0].why);
	EXPECT_FALSE(h.vm[0].evict);
	/* below the memory target everybody is in who gains anything */
	h.in.policy.memory_target = h.in.available + 1;
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	host_init(&h, 1, 1);
	h.vm[0].mergeable = 1;
	h.in.policy.memory_target = h.in.available + 1;
	plan(&h);
	EXPECT_EQ(ADMIT, h.vm[0].todo);
	EXPECT_TRUE(h.out.epoch);
	h.vm[0].mergeable = 0;
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
}

TEST(too_dear_to_be_finished)
{
	struct host h;

	host_init(&h, 1, 1);
	h.in.policy.epoch_ns = 3 * GIB_PAGES * 2000;
	plan(&h);
	EXPECT_TRUE(h.out.epoch);
	h.in.policy.epoch_ns--;
	plan(&h);
	EXPECT_FALSE(h.out.epoch);
	EXPECT_EQ(KVMX_KSM_WHY_COST, h.out.why);
	EXPECT_EQ(h.out.cost_ns, h.out.why_arg);
}

/* what a plan has to be, whatever the host is like */
TEST(rules)
{
	u32 i, k, nr, nr_new, seen_epoch = 0, seen_switch = 0, seen_admit = 0, seen_unmerge = 0;
	struct kvmx_ksm_plan_in_vm *vm;
	struct rnd r = { 1 };
	u64 pages, gain, worth, unmerge;
	struct host h;
	bool blocked, always;

	for (i = 0; i < ROUNDS; i++) {
		random_host(&h, &r);
		plan(&h);
		blocked = h.in.knobs_lost || (h.in.nr_foreign && !h.in.policy.domains &&
					      !h.in.policy.foreign);
		pages = 0;
		gain = 0;
		worth = 0;
		unmerge = 0;
		nr = 0;
		nr_new = 0;
		always = false;
		for (k = 0; k < h.in.nr_vm; k++) {
			vm = &h.vm[k];
			ASSERT_NE(KVMX_KSM_WHY_NONE, vm->why);
			ASSERT_LE(vm->why, KVMX_KSM_WHY_ERROR);
			ASSERT_LE(vm->gain, vm->mergeable);
			ASSERT_TRUE(vm->todo != UNMERGE || vm->live);
			ASSERT_TRUE(!vm->evict || vm->todo == UNMERGE);
			if (vm->todo == UNMERGE)
				unmerge += vm->merged;
			seen_unmerge += vm->todo == UNMERGE;
			if (vm->todo == ADMIT) {
				seen_admit++;
				ASSERT_FALSE(vm->live || vm->migrating || vm->evicted || blocked);
				ASSERT_TRUE(vm->sampled && vm->scan);
				ASSERT_TRUE(h.domain[vm->domain].allowed);
			}
			if (!is_live_after(vm))
				continue;
			ASSERT_NE(KVMX_KSM_OFF, vm->mode);
			/* only one domain is live */
			ASSERT_EQ(h.out.domain, vm->domain);
			ASSERT_FALSE(vm->migrating && h.out.epoch);
			nr++;
			nr_new += vm->is_new || vm->todo == ADMIT;
			always |= vm->mode == ALWAYS;
			pages += vm->scan;
			gain += vm->gain;
			worth = kvmx_add(worth, kvmx_muldiv(kvmx_muldiv(vm->gain, vm->weight, 1),
							    h.in.policy.page_ns, 100));
		}
		ASSERT_EQ(gain, h.out.gain);
		ASSERT_EQ(unmerge, h.out.unmerge);
		ASSERT_EQ(nr_new ? 3 : 2, h.out.scans);
		ASSERT_EQ(kvmx_muldiv(pages * h.out.scans, h.in.visit_ns, 1), h.out.cost_ns);
		ASSERT_NE(KVMX_KSM_WHY_NONE, h.out.why);
		seen_switch += h.in.live_domain != NO_DOMAIN && h.out.domain != h.in.live_domain &&
			       h.out.domain != NO_DOMAIN;
		if (!h.out.epoch)
			continue;
		seen_epoch++;
		ASSERT_FALSE(blocked);
		ASSERT_GT(nr, 0);
		ASSERT_TRUE(h.domain[h.out.domain].allowed);
		ASSERT_LE(h.out.cost_ns, h.in.policy.epoch_ns);
		/* it pays; rounding of each VM aside */
		if (!always && !h.out.pressure)
			ASSERT_GE(kvmx_add(worth, nr), h.out.cost_ns);
	}
	/* the rules were put to the test */
	EXPECT_GT(seen_epoch, ROUNDS / 10);
	EXPECT_GT(seen_switch, ROUNDS / 100);
	EXPECT_GT(seen_admit, ROUNDS / 10);
	EXPECT_GT(seen_unmerge, ROUNDS / 10);
}

/* the order of the VMs does not matter */
TEST(order)
{
	struct kvmx_ksm_plan_in_vm tmp;
	struct rnd r = { 2 };
	struct host a, b;
	u32 i, k, n, at[MAX_VMS], swap;

	for (i = 0; i < ROUNDS / 4; i++) {
		random_host(&a, &r);
		b = a;
		for (k = 0; k < MAX_VMS; k++)
			at[k] = k;
		for (k = b.in.nr_vm; k > 1; k--) {
			n = rnd_below(&r, k);
			tmp = b.vm[n];
			b.vm[n] = b.vm[k - 1];
			b.vm[k - 1] = tmp;
			swap = at[n];
			at[n] = at[k - 1];
			at[k - 1] = swap;
		}
		plan(&a);
		plan(&b);
		ASSERT_EQ(0, memcmp(&a.out, &b.out, sizeof(a.out)));
		for (k = 0; k < a.in.nr_vm; k++)
			ASSERT_EQ(0, memcmp(&a.vm[at[k]], &b.vm[k], sizeof(tmp)));
	}
}

/* when a plan is carried out, nothing is left to do but the epoch */
TEST(idempotent)
{
	struct rnd r = { 3 };
	struct host a, b;
	u32 i, k;

	for (i = 0; i < ROUNDS; i++) {
		random_host(&a, &r);
		plan(&a);
		b = a;
		carry_out(&b);
		plan(&b);
		for (k = 0; k < b.in.nr_vm; k++)
			ASSERT_EQ(LEAVE, b.vm[k].todo);
		ASSERT_EQ(a.out.domain, b.out.domain);
		ASSERT_EQ(a.out.epoch, b.out.epoch);
		ASSERT_EQ(a.out.gain, b.out.gain);
		ASSERT_EQ(a.out.cost_ns, b.out.cost_ns);
		ASSERT_EQ(0, b.out.unmerge);
	}
}

/* with more to gain in the domain that is live, nothing is refused that was not before */
TEST(monotone)
{
	u32 i, k, more = 0, epochs = 0;
	struct rnd r = { 4 };
	struct host a, b;

	for (i = 0; i < ROUNDS; i++) {
		random_host(&a, &r);
		if (!a.in.nr_vm)
			continue;
		b = a;
		plan(&a);
		k = rnd_below(&r, a.in.nr_vm);
		/* an unmerged VM that is kept after all may gain less than it costs */
		if (a.vm[k].domain != a.out.domain || a.vm[k].todo == UNMERGE)
			continue;
		b.vm[k].mergeable += rnd_scale(&r, 34);
		plan(&b);
		ASSERT_EQ(a.out.domain, b.out.domain);
		ASSERT_TRUE(a.vm[k].todo != ADMIT || b.vm[k].todo == ADMIT);
		ASSERT_TRUE(!a.vm[k].live || b.vm[k].todo != UNMERGE);
		ASSERT_GE(b.out.gain, a.out.gain);
		/* one more VM to scan may be too much for the limit */
		if (a.out.epoch && b.out.cost_ns <= b.in.policy.epoch_ns)
			ASSERT_TRUE(b.out.epoch);
		more += b.out.epoch && !a.out.epoch;
		epochs += b.out.epoch;
	}
	EXPECT_GT(more, 100);
	EXPECT_GT(epochs, 1000);
}

/* the largest host: nothing wraps */
TEST(largest)
{
	struct host h;
	u32 i;

	host_init(&h, MAX_VMS, 1);
	h.in.visit_ns = U64_MAX;
	h.in.available = U64_MAX;
	h.in.policy.page_ns = U64_MAX;
	h.in.policy.epoch_ns = U64_MAX;
	h.in.policy.reserve = U64_MAX;
	for (i = 0; i < MAX_VMS; i++) {
		h.vm[i].pages = U64_MAX;
		h.vm[i].present = U64_MAX;
		h.vm[i].scan = U64_MAX;
		h.vm[i].mergeable = U64_MAX;
		h.vm[i].weight = KVMX_KSM_MAX_WEIGHT;
	}
	plan(&h);
	EXPECT_EQ(ADMIT, h.vm[0].todo);
	EXPECT_TRUE(h.out.epoch);
	EXPECT_EQ(U64_MAX, h.out.gain);
	EXPECT_EQ(U64_MAX, h.out.cost_ns);
	for (i = 0; i < MAX_VMS; i++)
		h.vm[i].mergeable = 0;
	plan(&h);
	EXPECT_EQ(LEAVE, h.vm[0].todo);
	EXPECT_EQ(KVMX_KSM_WHY_NO_GAIN, h.vm[0].why);
	EXPECT_FALSE(h.out.epoch);
}

TEST(epoch_over)
{
	struct kvmx_ksm_policy policy = { .page_ns = 1000, .epoch_ns = 1000000 };
	struct kvmx_ksm_plan_out out = { .scans = 3, .gain = 500, .cost_ns = 100000 };
	struct kvmx_ksm_progress p = { .plan = &out, .policy = &policy };
	u32 why;
	u64 arg;

	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.scans = 2;
	p.freed = 499;
	p.cow = 1024;
	/* dearer than was thought, but it still gains more */
	p.cpu_ns = 500000;
	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.cpu_ns++;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_COST, why);
	EXPECT_EQ(500001, arg);
	/* what a plan costs has been allowed */
	out.cost_ns = 400000;
	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.cpu_ns = 600001;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	out.pressure = true;
	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.cpu_ns = 1000000;
	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.cpu_ns++;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_COST, why);
	p.cow++;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_COW, why);
	EXPECT_EQ(1025, arg);
	p.freed++;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_REACHED, why);
	EXPECT_EQ(500, arg);
	p.scans++;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_SCANS, why);
	EXPECT_EQ(3, arg);
	p.disturbed = KVMX_KSM_WHY_MIGRATION;
	p.disturbed_arg = 2;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_MIGRATION, why);
	EXPECT_EQ(2, arg);
	/* writes to what was merged are no storm as long as more is merged */
	p = (struct kvmx_ksm_progress) { .plan = &out, .policy = &policy };
	p.freed = 2000;
	p.cow = 2000;
	out.gain = 5000;
	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.cow++;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_COW, why);
	/* more scans than planned, as long as the last ones and what is left are worth another */
	p = (struct kvmx_ksm_progress) { .plan = &out, .policy = &policy, .scans = 3 };
	out = (struct kvmx_ksm_plan_out) { .scans = 3, .gain = 1600, .cost_ns = 300000 };
	p.freed = 1499;
	p.freed_lately = 101;
	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.freed++;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_SCANS, why);
	EXPECT_EQ(3, arg);
	/* much is left, but it is less than a sixteenth */
	out.gain = 2000;
	p.freed = 1875;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.freed--;
	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.freed_lately--;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.freed_lately = 2000;
	p.scans = 5;
	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
	p.scans++;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_SCANS, why);
	/* but not over budget, nor when all is reached */
	p.scans = 4;
	p.cpu_ns = 2000001;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_COST, why);
	p.cpu_ns = 0;
	p.freed = 2000;
	EXPECT_TRUE(kvmx_ksm_epoch_over(&p, &why, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_SCANS, why);
	/* without an expectation nothing is reached before its scans are made */
	p = (struct kvmx_ksm_progress) { .plan = &out, .policy = &policy, .freed = 10 };
	out.gain = 0;
	EXPECT_FALSE(kvmx_ksm_epoch_over(&p, &why, &arg));
}

/*
 * ksmd as it is: a batch, then a sleep that is rounded up to a tick; it is told its pace every
 * 100 ms. Whether it kept its budget; @got is what it used of it.
 */
static bool drive(u64 visit_ns, u64 real_ns, u32 permille, u64 tick_ns, double *got)
{
	struct kvmx_ksm_pace pace = kvmx_ksm_pace(visit_ns, permille, 0, 0);
	u64 now = 0, used = 0, told = 0, batch, sleep;
	double budget;

	while (now < 60 * SEC) {
		if (now >= told + 100 * MS) {
			pace = kvmx_ksm_pace(visit_ns, permille, used, now);
			told = now;
		}
		batch = pace.pages * real_ns;
		used += batch;
		now += batch;
		budget = (double)now * permille / 1000;
		if (used > 2 * batch + budget + (real_ns > visit_ns ? permille * MS : 0))
			return false;
		sleep = pace.sleep_ms * MS;
		if (sleep)
			now += (sleep / tick_ns + 1) * tick_ns;
	}
	*got = used / budget;
	return true;
}

/* within the budget, whatever the tick is, and if a visit takes other than was thought */
TEST(budget)
{
	static const u32 permille[] = { 1, 10, 50, 200, 500, 800, 950, 1000 };
	static const u64 tick[] = { MS, 4 * MS, 10 * MS };
	static const u64 visit[] = { 100, 2000, 25000 };
	u32 i, k, n;
	double got;

	for (i = 0; i < ARRAY_SIZE(permille); i++) {
		for (k = 0; k < ARRAY_SIZE(tick); k++) {
			for (n = 0; n < ARRAY_SIZE(visit); n++) {
				ASSERT_TRUE(drive(visit[n], visit[n], permille[i], tick[k], &got));
				/* and it gets what it may have, if sleeps are not too coarse */
				if (tick[k] == MS && permille[i] > 1)
					EXPECT_GE(1000 * got, 900);
				ASSERT_TRUE(drive(visit[n], visit[n] * 2, permille[i], tick[k],
						  &got));
				ASSERT_TRUE(drive(visit[n], visit[n] / 2, permille[i], tick[k],
						  &got));
			}
		}
	}
}

TEST(pace)
{
	struct kvmx_ksm_pace pace, more;
	struct rnd r = { 5 };
	u64 visit, used, wall;
	u32 i, permille;

	pace = kvmx_ksm_pace(2000, 200, 0, 0);
	EXPECT_EQ(2500, pace.pages);
	EXPECT_EQ(20, pace.sleep_ms);
	pace = kvmx_ksm_pace(2000, 300, 0, 0);
	EXPECT_EQ(12, pace.sleep_ms);
	/* at most twice the budget to catch up, that is 5 ms and 7.5 ms in turn */
	pace = kvmx_ksm_pace(2000, 200, 0, 100 * SEC);
	EXPECT_EQ(8, pace.sleep_ms);
	pace = kvmx_ksm_pace(2000, 1000, 0, 0);
	EXPECT_EQ(0, pace.sleep_ms);
	for (i = 0; i < ROUNDS; i++) {
		visit = rnd_scale(&r, rnd_below(&r, 8) ? 20 : 64);
		permille = rnd_below(&r, 1100);
		used = rnd_scale(&r, 64);
		wall = rnd_below(&r, 2) ? used * rnd_below(&r, 20) : rnd_scale(&r, 64);
		pace = kvmx_ksm_pace(visit, permille, used, wall);
		ASSERT_GE(pace.pages, 1);
		/* ksmd can be stopped soon */
		ASSERT_LE((pace.pages - 1) * max(visit, 1ULL), 50 * MS);
		ASSERT_LE(pace.sleep_ms, 60000);
		if (permille < 1000)
			ASSERT_GE(pace.sleep_ms, 1);
		/* whoever has used more sleeps longer */
		more = kvmx_ksm_pace(visit, permille, kvmx_add(used, rnd_scale(&r, 64)), wall);
		ASSERT_EQ(pace.pages, more.pages);
		ASSERT_GE(more.sleep_ms, pace.sleep_ms);
	}
}

TEST(next_look)
{
	struct kvmx_ksm_policy p = { .interval_ns = SEC, .idle_permille = 10 };

	EXPECT_EQ(6 * SEC, kvmx_ksm_next_look(&p, 5 * SEC, 0, 0));
	EXPECT_EQ(6 * SEC, kvmx_ksm_next_look(&p, 5 * SEC, 10 * MS, 0));
	EXPECT_EQ(7 * SEC, kvmx_ksm_next_look(&p, 5 * SEC, 20 * MS, 0));
	EXPECT_EQ(7 * SEC, kvmx_ksm_next_look(&p, 5 * SEC, 20 * MS, 1));
	EXPECT_EQ(9 * SEC, kvmx_ksm_next_look(&p, 5 * SEC, 20 * MS, 2));
	EXPECT_EQ(69 * SEC, kvmx_ksm_next_look(&p, 5 * SEC, 0, 6));
	EXPECT_EQ(69 * SEC, kvmx_ksm_next_look(&p, 5 * SEC, 0, ~0U));
	EXPECT_EQ(U64_MAX, kvmx_ksm_next_look(&p, 5 * SEC, U64_MAX, 0));
	EXPECT_EQ(U64_MAX, kvmx_ksm_next_look(&p, U64_MAX - 5, 0, 0));
}

TEST_HARNESS_MAIN
