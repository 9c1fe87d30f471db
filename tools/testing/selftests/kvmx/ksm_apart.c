// SPDX-License-Identifier: GPL-2.0
/*
 * Trust domains: while domains are switched, VMs come, go and are killed, somebody looks all the
 * time whether a page frame is in two domains.
 */
#include <kselftest_harness.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "lib/ksm.h"
#include "lib/kx.h"
#include "lib/util.h"

#define PAGES 512UL
#define TIMEOUT 120
#define ACTS 40
#define DOMAINS 3
/* Pages that are equal between two looks at them, so often, are so. */
#define CONFIRM 3

static const uint8_t uuid[DOMAINS][KVMX_UUID_LEN] = { { 0xed }, { 0xb1 }, { 0x64 } };

/* A VMM and its domain do not change while @lock is held. */
static struct {
	pthread_mutex_t lock;
	struct ksm_bed bed;
	uint32_t domain[KSM_PEERS];
	atomic_bool stop;
	uint64_t rounds;
	uint64_t together;	/* pages shared within a domain, over all rounds */
	uint64_t apart;		/* pages shared across domains: there must be none */
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The frame may be freed by one and taken by the other between two looks: look again. */
static bool confirmed(const struct peer *a, const struct peer *b, uint32_t i, uint32_t j)
{
	uint64_t pfn = peer_pfn(a, 0, i);
	int n;

	for (n = 0; n < CONFIRM; n++)
		if (!pfn || peer_pfn(b, 0, j) != pfn || peer_pfn(a, 0, i) != pfn)
			return false;
	return true;
}

/* Contents are the same page by page in all VMMs, but KSM may take any copy for any. */
static uint64_t count_equal(const struct peer *a, const struct peer *b)
{
	uint64_t sum = 0;
	uint32_t i, j;

	if (peer_shared(a, 0, b, 0) <= 0)
		return 0;
	for (i = 0; i < PAGES; i++) {
		if (confirmed(a, b, i, i)) {
			sum++;
			continue;
		}
		/* Of eight pages in a row all are alike. */
		for (j = i & ~7U; j < (i | 7U) + 1; j++)
			sum += j != i && confirmed(a, b, i, j);
	}
	return sum;
}

static void look_once(void)
{
	uint32_t i, j;
	uint64_t nr;

	for (i = 0; i < KSM_PEERS; i++) {
		for (j = i + 1; j < KSM_PEERS; j++) {
			pthread_mutex_lock(&all.lock);
			if (all.bed.peer[i].pid > 0 && all.bed.peer[j].pid > 0) {
				nr = count_equal(&all.bed.peer[i], &all.bed.peer[j]);
				if (all.domain[i] == all.domain[j])
					all.together += nr;
				else
					all.apart += nr;
			}
			pthread_mutex_unlock(&all.lock);
		}
	}
	all.rounds++;
}

static void *look(void *unused)
{
	(void)unused;
	while (!atomic_load(&all.stop)) {
		look_once();
		sleep_ms(1);
	}
	return NULL;
}

static int start(uint32_t i, uint32_t domain)
{
	static const uint64_t pages[] = { PAGES };
	struct peer *p = &all.bed.peer[i];
	uint32_t page;
	int ret;

	all.domain[i] = domain;
	ret = peer_start(p, 1, pages, MEM_ANON);
	for (page = 0; !ret && page < PAGES; page += 8)
		ret = peer_fill(p, 0, page, 8, PEER_SAME | (page / 8 + 1));
	return ret ?: ksm_vm_set(p, KVMX_KSM_ALWAYS, uuid[domain], 0);
}

/* One thing an administrator, or fate, may do. */
static int act(uint32_t *seed, struct kvmx_ksm_policy *policy)
{
	uint32_t i = next_random(seed) % KSM_PEERS, domain = next_random(seed) % DOMAINS;
	struct peer *p = &all.bed.peer[i];
	int ret = 0;

	switch (next_random(seed) % 4) {
	case 0:
	case 1:
		/* Another domain becomes live. */
		memcpy(policy->domain, uuid[domain], KVMX_UUID_LEN);
		return ksm_host_set(all.bed.sys, policy, 0);
	case 2:
		/* A VMM is killed, and a new one comes. */
		pthread_mutex_lock(&all.lock);
		peer_kill(p);
		ret = start(i, domain);
		pthread_mutex_unlock(&all.lock);
		return ret;
	default:
		/* A VM moves to another domain. Until the call returns it is in both, or none. */
		pthread_mutex_lock(&all.lock);
		ret = ksm_vm_set(p, KVMX_KSM_AUTO, uuid[domain], 0);
		all.domain[i] = domain;
		pthread_mutex_unlock(&all.lock);
		return ret;
	}
}

FIXTURE(apart) {
	pthread_t thread;
};

FIXTURE_SETUP(apart)
{
	uint32_t i;

	ASSERT_EQ(0, ksm_bed_open(&all.bed));
	for (i = 0; i < KSM_PEERS; i++)
		ASSERT_EQ(0, start(i, i % DOMAINS));
}

FIXTURE_TEARDOWN(apart)
{
	EXPECT_TRUE(ksm_bed_close(&all.bed));
}

/* Who looks would see it. */
TEST_F_TIMEOUT(apart, shared, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();

	policy.domains = KVMX_KSM_SHARED;
	ASSERT_TRUE(ksm_epoch_passes(all.bed.sys, &policy));
	look_once();
	EXPECT_LT(PAGES, all.apart);
}

TEST_F_TIMEOUT(apart, always, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	uint32_t seed = 4711, i;

	policy.interval_ns = 100000000;
	policy.settle_ns = 20000000;
	ASSERT_EQ(0, ksm_host_set(all.bed.sys, &policy, 0));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, look, NULL));
	for (i = 0; i < ACTS; i++) {
		EXPECT_EQ(0, act(&seed, &policy));
		/* Sometimes there is time for an epoch, sometimes it is cut short. */
		sleep_ms(next_random(&seed) % 600);
	}
	atomic_store(&all.stop, true);
	pthread_join(self->thread, NULL);
	ksft_print_msg("%llu rounds, pages together %llu, apart %llu\n",
		       (unsigned long long)all.rounds, (unsigned long long)all.together,
		       (unsigned long long)all.apart);
	ksm_show_host(all.bed.sys);
	EXPECT_EQ(0, all.apart);
	EXPECT_LE(20, all.rounds);
	EXPECT_LT(PAGES, all.together);
	EXPECT_LE(3, ksm_host_get(all.bed.sys).switches);
}

TEST_HARNESS_MAIN
