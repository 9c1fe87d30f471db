// SPDX-License-Identifier: GPL-2.0
/*
 * The scanning policy over KSM: what merges, what must not, and what is left behind. What is
 * merged is told by page frame numbers, not by counters.
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "lib/fdpass.h"
#include "lib/ksm.h"
#include "lib/kx.h"
#include "lib/peer.h"
#include "lib/util.h"
#include "lib/vm.h"

#define PAGES 1024UL
#define TIMEOUT 120

static const uint8_t red[KVMX_UUID_LEN] = { 0xed };
static const uint8_t blue[KVMX_UUID_LEN] = { 0xb1 };

FIXTURE(ksm) {
	struct ksm_bed bed;
};

FIXTURE_SETUP(ksm)
{
	ASSERT_EQ(0, ksm_bed_open(&self->bed));
}

FIXTURE_TEARDOWN(ksm)
{
	EXPECT_TRUE(ksm_bed_close(&self->bed));
}

#define START(_i, ...) \
do { \
	static const uint64_t _pages[] = { __VA_ARGS__ }; \
	ASSERT_EQ(0, peer_start(&self->bed.peer[_i], ARRAY_SIZE(_pages), _pages, MEM_ANON)); \
} while (0)

/* Two VMs of a domain with the same contents share all of them, and part again. */
TEST_F_TIMEOUT(ksm, merges, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0], *b = &self->bed.peer[1];
	struct kvmx_vm_ksm_get g;

	START(0, PAGES);
	START(1, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 7));
	ASSERT_EQ(0, peer_fill(b, 0, 0, PAGES, 7));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, red, 0));
	ASSERT_EQ(0, ksm_vm_set(b, KVMX_KSM_AUTO, red, 0));
	/* Nothing happens before the host's policy is on. */
	sleep_ms(300);
	EXPECT_FALSE(peer_mergeable(a, 0));
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	ksm_show_vm(a);
	ksm_show_host(self->bed.sys);
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, b, 0));
	EXPECT_EQ(0, ksm_knob("run"));
	g = ksm_vm_get(a);
	EXPECT_EQ(KVMX_KSM_STATE_LIVE, g.state);
	EXPECT_EQ(PAGES, g.present_pages);
	EXPECT_EQ(PAGES / 2, g.mergeable_pages);
	EXPECT_EQ(0, g.mergeable_err);
	EXPECT_LE(PAGES - 4, g.merged_pages);
	EXPECT_EQ(0, peer_verify(a, 0, 0, PAGES, 7));

	ASSERT_EQ(0, ksm_vm_set(b, KVMX_KSM_OFF, red, 0));
	EXPECT_FALSE(peer_mergeable(b, 0));
	EXPECT_EQ(0, peer_merged(b, 0));
	EXPECT_EQ(0, peer_shared(a, 0, b, 0));
	ASSERT_EQ(0, ksm_host_off(self->bed.sys));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_EQ(0, peer_verify(a, 0, 0, PAGES, 7));
	EXPECT_EQ(0, peer_verify(b, 0, 0, PAGES, 7));
}

/* KSM left to itself: what the following test is about. */
TEST_F_TIMEOUT(ksm, poison_of_stock, TIMEOUT)
{
	struct peer *a = &self->bed.peer[0];
	long scans, cow;

	START(0, 1, 4095);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 1, PEER_SAME | 5));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 4095, PEER_SAME | 5));
	ASSERT_EQ(0, peer_pin(a, 0, 0, 1));
	ASSERT_EQ(0, peer_madvise(a, 0, MADV_MERGEABLE));
	ASSERT_EQ(0, peer_madvise(a, 1, MADV_MERGEABLE));
	cow = ksm_vm_counter("cow_ksm");
	scans = ksm_knob("full_scans");
	ASSERT_EQ(0, ksm_set_knob("run", "1"));
	ASSERT_EQ(0, ksm_set_knob("pages_to_scan", "5000"));
	while (ksm_knob("full_scans") < scans + 4)
		sleep_ms(5);
	ASSERT_EQ(0, ksm_set_knob("run", "0"));
	ASSERT_EQ(0, ksm_set_knob("pages_to_scan", self->bed.knobs[1]));
	ksft_print_msg("merged %ld, copies on write %ld\n", peer_merged(a, 1),
		       ksm_vm_counter("cow_ksm") - cow);
	EXPECT_EQ(0, peer_merged(a, 1));
	EXPECT_LE(cow + 1000, ksm_vm_counter("cow_ksm"));
}

/* One pinned page that ksmd would visit first keeps 4095 equal ones apart, but not with kvmx. */
TEST_F_TIMEOUT(ksm, poison, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];
	long cow;

	START(0, 1, 4095);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 1, PEER_SAME | 5));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 4095, PEER_SAME | 5));
	ASSERT_EQ(0, peer_pin(a, 0, 0, 1));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	cow = ksm_vm_counter("cow_ksm");
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	ksm_show_vm(a);
	ksm_show_host(self->bed.sys);
	EXPECT_LE(4090, peer_merged(a, 1));
	EXPECT_EQ(cow, ksm_vm_counter("cow_ksm"));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_EQ(1, ksm_vm_get(a).pinned_pages);
	EXPECT_EQ(1, ksm_vm_get(a).excluded_pages);
	/* When it is not pinned any more, it comes back. */
	ASSERT_EQ(0, peer_unpin(a));
	ASSERT_TRUE(ksm_looks_pass(self->bed.sys, 2));
	EXPECT_TRUE(peer_mergeable(a, 0));
}

/* The same, pinned when all is merged already, and by an announcement. */
TEST_F_TIMEOUT(ksm, pin, TIMEOUT)
{
	struct kvmx_vm_ksm_pin arg = KX_ARG(kvmx_vm_ksm_pin, .gfn = VM_DATA_GFN, .npages = 16);
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];

	START(0, 256, 256);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 256, 3));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 256, 3));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE(250, peer_shared(a, 0, a, 1));
	ASSERT_EQ(0, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_TRUE(peer_mergeable(a, 1));
	ASSERT_TRUE(ksm_looks_pass(self->bed.sys, 2));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_EQ(256, ksm_vm_get(a).excluded_pages);
	arg.flags = KVMX_VM_KSM_UNPIN;
	arg.npages = 15;
	EXPECT_EQ(-EINVAL, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	arg.npages = 16;
	EXPECT_EQ(0, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	/* A look that is under way does not know of it. */
	ASSERT_TRUE(ksm_looks_pass(self->bed.sys, 2));
	EXPECT_TRUE(peer_mergeable(a, 0));
	arg.flags = 0;
	arg.gfn = 1;
	EXPECT_EQ(-EINVAL, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
}

/* Two domains with the same contents never share, and only one merges at a time. */
TEST_F_TIMEOUT(ksm, domains, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *p = self->bed.peer;
	uint64_t epochs;
	uint32_t i, j;

	for (i = 0; i < 4; i++) {
		START(i, PAGES);
		ASSERT_EQ(0, peer_fill(&p[i], 0, 0, PAGES, 9));
		ASSERT_EQ(0, ksm_vm_set(&p[i], KVMX_KSM_AUTO, i < 2 ? red : blue, 0));
	}
	memcpy(policy.domain, red, sizeof(red));
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[0], 0, &p[1], 0));
	for (i = 0; i < 2; i++)
		for (j = 2; j < 4; j++)
			EXPECT_EQ(0, peer_shared(&p[i], 0, &p[j], 0));
	EXPECT_EQ(0, peer_merged(&p[2], 0));
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, ksm_vm_get(&p[2]).why);
	EXPECT_EQ(0, memcmp(ksm_host_get(self->bed.sys).live_domain, red, sizeof(red)));

	memcpy(policy.domain, blue, sizeof(blue));
	epochs = ksm_host_get(self->bed.sys).epochs;
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	EXPECT_EQ(0, peer_merged(&p[0], 0));
	EXPECT_EQ(0, peer_merged(&p[1], 0));
	ASSERT_TRUE(ksm_epochs_become(self->bed.sys, epochs + 1));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[2], 0, &p[3], 0));
	for (i = 0; i < 2; i++)
		for (j = 2; j < 4; j++)
			EXPECT_EQ(0, peer_shared(&p[i], 0, &p[j], 0));
	EXPECT_EQ(0, memcmp(ksm_host_get(self->bed.sys).live_domain, blue, sizeof(blue)));
	ksm_show_host(self->bed.sys);

	/* With the tenants' consent they share all. */
	policy.domains = KVMX_KSM_SHARED;
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[0], 0, &p[3], 0));
	policy.domains = KVMX_KSM_STRICT;
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	for (i = 0; i < 2; i++)
		for (j = 2; j < 4; j++)
			EXPECT_EQ(0, peer_shared(&p[i], 0, &p[j], 0));
}

FIXTURE(phase) {
	struct ksm_bed bed;
};

FIXTURE_VARIANT(phase) {
	int scans;
};

FIXTURE_VARIANT_ADD(phase, s0) { .scans = 0 };
FIXTURE_VARIANT_ADD(phase, s1) { .scans = 1 };
FIXTURE_VARIANT_ADD(phase, s2) { .scans = 2 };
FIXTURE_VARIANT_ADD(phase, s3) { .scans = 3 };
FIXTURE_VARIANT_ADD(phase, s4) { .scans = 4 };
FIXTURE_VARIANT_ADD(phase, s5) { .scans = 5 };
FIXTURE_VARIANT_ADD(phase, s6) { .scans = 6 };
FIXTURE_VARIANT_ADD(phase, s7) { .scans = 7 };
FIXTURE_VARIANT_ADD(phase, s8) { .scans = 8 };

FIXTURE_SETUP(phase)
{
	ASSERT_EQ(0, ksm_bed_open(&self->bed));
}

FIXTURE_TEARDOWN(phase)
{
	EXPECT_TRUE(ksm_bed_close(&self->bed));
}

/* ksmd has visited the first VM's pages until it is tired of them when the second VM comes. */
TEST_F_TIMEOUT(phase, late, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0], *b = &self->bed.peer[1];
	uint64_t before;
	long scans;

	START(0, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 11));
	ASSERT_EQ(0, peer_madvise(a, 0, MADV_MERGEABLE));
	scans = ksm_knob("full_scans");
	if (variant->scans) {
		ASSERT_EQ(0, ksm_set_knob("pages_to_scan", "100000"));
		ASSERT_EQ(0, ksm_set_knob("run", "1"));
		while (ksm_knob("full_scans") < scans + variant->scans)
			sleep_ms(2);
		ASSERT_EQ(0, ksm_set_knob("run", "0"));
		ASSERT_EQ(0, ksm_set_knob("pages_to_scan", "100"));
	}
	START(1, PAGES);
	ASSERT_EQ(0, peer_fill(b, 0, 0, PAGES, 11));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, red, 0));
	ASSERT_EQ(0, ksm_vm_set(b, KVMX_KSM_AUTO, red, 0));
	before = ksm_host_get(self->bed.sys).full_scans;
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, b, 0));
	EXPECT_GE(before + 4, ksm_host_get(self->bed.sys).full_scans);
	/* The VMM has made it mergeable, so it stays so. */
	ASSERT_EQ(0, ksm_host_off(self->bed.sys));
	EXPECT_TRUE(peer_mergeable(a, 0));
	EXPECT_FALSE(peer_mergeable(b, 0));
}

/* Without a mode, and with UNSET again, a VM is as its VMM has made it. */
TEST_F_TIMEOUT(ksm, unset, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];
	uint64_t epochs;

	START(0, 64, 64);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 64, 1));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 64, 1));
	ASSERT_EQ(0, peer_madvise(a, 0, MADV_MERGEABLE));
	policy.foreign = KVMX_KSM_FOREIGN_ALLOW;
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	sleep_ms(300);
	EXPECT_TRUE(peer_mergeable(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 1));
	EXPECT_EQ(KVMX_KSM_STATE_UNSET, ksm_vm_get(a).state);
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_OFF, NULL, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
	epochs = ksm_host_get(self->bed.sys).epochs;
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	ASSERT_TRUE(ksm_epochs_become(self->bed.sys, epochs + 1));
	EXPECT_TRUE(peer_mergeable(a, 1));
	EXPECT_LE(60, peer_shared(a, 0, a, 1));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_UNSET, NULL, 0));
	EXPECT_TRUE(peer_mergeable(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 1));
	EXPECT_EQ(0, peer_merged(a, 1));
}

/* Somebody else's mergeable memory keeps a strict policy from merging anything. */
TEST_F_TIMEOUT(ksm, foreign, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0], *other = &self->bed.peer[1];

	START(0, PAGES, PAGES);
	START(1, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(other, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_madvise(other, 0, MADV_MERGEABLE));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	EXPECT_EQ(-EBUSY, ksm_host_set(self->bed.sys, &policy, 0));
	EXPECT_EQ(KVMX_KSM_HOST_OFF, ksm_host_get(self->bed.sys).policy.mode);
	ASSERT_EQ(0, peer_madvise(other, 0, MADV_UNMERGEABLE));
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	ASSERT_EQ(0, peer_madvise(other, 0, MADV_MERGEABLE));
	sleep_ms(1000);
	EXPECT_EQ(0, peer_shared(a, 0, other, 0));
	ASSERT_EQ(0, ksm_host_off(self->bed.sys));
	policy.foreign = KVMX_KSM_FOREIGN_ALLOW;
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, other, 0));
	EXPECT_EQ(1, ksm_host_get(self->bed.sys).nr_foreign);
}

/* Who writes to a knob gets all of them, until kvmx is told to take them again. */
TEST_F_TIMEOUT(ksm, knobs, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct kvmx_event event;
	bool seen = false;

	kx_nonblock(self->bed.sys);
	ASSERT_EQ(0, ksm_set_knob("sleep_millisecs", "33"));
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	EXPECT_TRUE(ksm_knobs_become(self->bed.sys, KVMX_KSM_KNOBS_OWNED));
	ASSERT_EQ(0, ksm_set_knob("pages_to_scan", "123"));
	ASSERT_TRUE(ksm_knobs_become(self->bed.sys, KVMX_KSM_KNOBS_LOST));
	EXPECT_STREQ("pages_to_scan", ksm_host_get(self->bed.sys).knob);
	EXPECT_EQ(123, ksm_knob("pages_to_scan"));
	EXPECT_EQ(33, ksm_knob("sleep_millisecs"));
	while (!kx_event(self->bed.sys, &event))
		seen |= event.type == KVMX_EVENT_KSM_KNOBS && event.arg == KVMX_KSM_KNOBS_LOST;
	EXPECT_TRUE(seen);
	/* Not without being told to. */
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	EXPECT_EQ(KVMX_KSM_KNOBS_LOST, ksm_host_get(self->bed.sys).knobs);
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, KVMX_KSM_HOST_TAKE));
	EXPECT_EQ(KVMX_KSM_KNOBS_OWNED, ksm_host_get(self->bed.sys).knobs);
	ASSERT_EQ(0, ksm_host_off(self->bed.sys));
	EXPECT_EQ(123, ksm_knob("pages_to_scan"));
	ASSERT_EQ(0, ksm_set_knob("pages_to_scan", "100"));
	ASSERT_EQ(0, ksm_set_knob("sleep_millisecs", "20"));
}

/* A policy that is bound to an fd goes with it. */
TEST_F_TIMEOUT(ksm, bind, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];
	int sys = kx_system(), ms;
	uint64_t epochs;

	START(0, PAGES, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	epochs = ksm_host_get(self->bed.sys).epochs;
	ASSERT_EQ(0, ksm_host_set(sys, &policy, KVMX_KSM_HOST_BIND));
	ASSERT_TRUE(ksm_epochs_become(self->bed.sys, epochs + 1));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, a, 1));
	close(sys);
	for (ms = 0; ms < 10000 && ksm_host_get(self->bed.sys).policy.mode; ms += 20)
		sleep_ms(20);
	EXPECT_EQ(KVMX_KSM_HOST_OFF, ksm_host_get(self->bed.sys).policy.mode);
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
}

/* A VM that is being migrated is left alone. */
TEST_F_TIMEOUT(ksm, migration, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];
	uint64_t epochs;

	START(0, PAGES, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, peer_track(a, KVMX_TRACKER_MIGRATION));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	epochs = ksm_host_get(self->bed.sys).epochs;
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	ASSERT_TRUE(ksm_looks_pass(self->bed.sys, 2));
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_EQ(epochs, ksm_host_get(self->bed.sys).epochs);
	EXPECT_EQ(KVMX_KSM_WHY_MIGRATION, ksm_vm_get(a).why);
	ASSERT_EQ(0, peer_untrack(a));
	ASSERT_TRUE(ksm_epochs_become(self->bed.sys, epochs + 1));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, a, 1));
}

FIXTURE(not_taken) {
	struct ksm_bed bed;
};

FIXTURE_VARIANT(not_taken) {
	enum mem_kind kind;
};

FIXTURE_VARIANT_ADD(not_taken, memfd) { .kind = MEM_MEMFD };
FIXTURE_VARIANT_ADD(not_taken, hugetlb) { .kind = MEM_HUGETLB };

FIXTURE_SETUP(not_taken)
{
	ASSERT_EQ(0, ksm_bed_open(&self->bed));
}

FIXTURE_TEARDOWN(not_taken)
{
	EXPECT_TRUE(ksm_bed_close(&self->bed));
}

/* Memory KSM does not take is reported as such. */
TEST_F_TIMEOUT(not_taken, reported, TIMEOUT)
{
	static const uint64_t pages[] = { 512 };
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];

	if (variant->kind == MEM_HUGETLB)
		ASSERT_EQ(0, mem_reserve_huge(2 * HUGE_SIZE));
	ASSERT_EQ(0, peer_start(a, 1, pages, variant->kind));
	ASSERT_EQ(0, peer_fill(a, 0, 0, 512, PEER_SAME | 1));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	ASSERT_TRUE(ksm_looks_pass(self->bed.sys, 1));
	EXPECT_EQ(512, ksm_vm_get(a).shared_pages);
	EXPECT_EQ(KVMX_KSM_WHY_SHARED, ksm_vm_get(a).why);
	EXPECT_EQ(KVMX_KSM_STATE_REFUSED, ksm_vm_get(a).state);
	EXPECT_EQ(0, ksm_vm_get(a).mergeable_pages);
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_EQ(0, peer_verify(a, 0, 0, 512, PEER_SAME | 1));
}

/* What changes all the time is seen, and zeroes are counted. */
TEST_F_TIMEOUT(ksm, counts, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];
	struct kvmx_vm_ksm_get g;

	START(0, 512, 256, 256, 64);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 512, 21));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 256, PEER_ZERO));
	ASSERT_EQ(0, peer_fill(a, 2, 0, 256, 22));
	ASSERT_EQ(0, peer_churn(a, 2, 0, 256));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	ASSERT_TRUE(ksm_looks_pass(self->bed.sys, 1));
	ksm_show_vm(a);
	g = ksm_vm_get(a);
	EXPECT_EQ(512 + 256 + 256 + 64, g.pages);
	/* The last mapping was never touched, and looking at it has not changed that. */
	EXPECT_EQ(512 + 256 + 256, g.present_pages);
	EXPECT_EQ(0, peer_pfn(a, 3, 0));
	EXPECT_EQ(256, g.zero_pages);
	EXPECT_EQ(256, g.volatile_pages);
	EXPECT_EQ(255, g.mergeable_pages);
}

/* Unmerging what does not fit is refused, and nobody is killed for memory. */
TEST_F_TIMEOUT(ksm, no_memory, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *p = self->bed.peer;
	int i;

	for (i = 0; i < 2; i++) {
		START(i, PAGES);
		ASSERT_EQ(0, peer_fill(&p[i], 0, 0, PAGES, 9));
		ASSERT_EQ(0, ksm_vm_set(&p[i], KVMX_KSM_AUTO, red, 0));
	}
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[0], 0, &p[1], 0));
	/* More than there is must stay free. */
	policy.reserve = 1ULL << 50;
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	EXPECT_EQ(-ENOMEM, ksm_vm_set(&p[0], KVMX_KSM_OFF, red, 0));
	EXPECT_EQ(KVMX_KSM_AUTO, ksm_vm_get(&p[0]).mode);
	EXPECT_EQ(-ENOMEM, ksm_vm_set(&p[0], KVMX_KSM_AUTO, blue, 0));
	EXPECT_EQ(-ENOMEM, ksm_host_off(self->bed.sys));
	EXPECT_EQ(KVMX_KSM_HOST_ON, ksm_host_get(self->bed.sys).policy.mode);
	memcpy(policy.domain, blue, sizeof(blue));
	EXPECT_EQ(-ENOMEM, ksm_host_set(self->bed.sys, &policy, 0));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[0], 0, &p[1], 0));
	memset(policy.domain, 0, sizeof(policy.domain));
	policy.reserve = 0;
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	EXPECT_EQ(0, ksm_vm_set(&p[0], KVMX_KSM_OFF, red, 0));
	EXPECT_EQ(0, peer_shared(&p[0], 0, &p[1], 0));
}

/* A setting that is to be kept outlives the VM fd, another one does not. */
TEST_F_TIMEOUT(ksm, keep, TIMEOUT)
{
	struct peer *a = &self->bed.peer[0];
	int i, ms, kvm_fd;

	START(0, 64);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, i ? KVMX_VM_KSM_KEEP : 0));
		EXPECT_EQ(1, ksm_host_get(self->bed.sys).nr_vms);
		kvm_fd = peer_vm_fd(a);
		ASSERT_LE(0, kvm_fd);
		close(a->handle);
		for (ms = 0; ms < 2000 && ksm_host_get(self->bed.sys).nr_vms; ms += 20)
			sleep_ms(20);
		EXPECT_EQ(i, ksm_host_get(self->bed.sys).nr_vms);
		a->handle = kx_vm(kvm_fd);
		close(kvm_fd);
		ASSERT_LE(0, a->handle);
		EXPECT_EQ(i ? KVMX_KSM_AUTO : KVMX_KSM_UNSET, ksm_vm_get(a).mode);
	}
}

/* Who writes to what was merged for it is not merged again. */
TEST_F_TIMEOUT(ksm, evicted, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];
	uint64_t evictions;
	int ms;

	START(0, 2 * PAGES, 2 * PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 2 * PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 2 * PAGES, 4));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE((long)(2 * PAGES) - 4, peer_shared(a, 0, a, 1));
	evictions = ksm_host_get(self->bed.sys).evictions;
	ASSERT_EQ(0, peer_churn(a, 1, 0, 2 * PAGES));
	for (ms = 0; ms < KSM_WAIT_MS; ms += 20) {
		if (ksm_host_get(self->bed.sys).evictions != evictions)
			break;
		sleep_ms(20);
	}
	EXPECT_EQ(evictions + 1, ksm_host_get(self->bed.sys).evictions);
	ASSERT_TRUE(ksm_looks_pass(self->bed.sys, 1));
	EXPECT_EQ(KVMX_KSM_STATE_EVICTED, ksm_vm_get(a).state);
	EXPECT_EQ(KVMX_KSM_WHY_COW, ksm_vm_get(a).why);
	EXPECT_LE(2 * PAGES - 16, ksm_vm_get(a).cow_pages);
	EXPECT_FALSE(peer_mergeable(a, 0));
}

/* The module goes while it has merged memory of a VM that nobody has open. */
TEST_F_TIMEOUT(ksm, unload, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];

	START(0, PAGES, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, peer_madvise(a, 0, MADV_MERGEABLE));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, KVMX_VM_KSM_KEEP));
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, a, 1));
	close(a->handle);
	close(self->bed.sys);
	ASSERT_EQ(0, module_unload());
	EXPECT_EQ(0, peer_shared(a, 0, a, 1));
	EXPECT_TRUE(peer_mergeable(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 1));
	EXPECT_EQ(0, ksm_knob("run"));
	EXPECT_EQ(0, peer_verify(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, module_load());
	self->bed.sys = kx_system();
	ASSERT_LE(0, self->bed.sys);
	a->handle = -1;
}

/* Thousands of mappings: what belongs to a memslot may merge, however much it is cut up. */
TEST_F_TIMEOUT(ksm, many_mappings, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];

	START(0, 4 * PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 4 * PAGES, PEER_SAME | 3));
	ASSERT_EQ(0, peer_cut(a, 0));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_TRUE(ksm_epoch_passes(self->bed.sys, &policy));
	EXPECT_LE((long)(4 * PAGES) - 4, peer_merged(a, 0));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_OFF, NULL, 0));
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
}

/* VMMs die at any moment. */
TEST_F_TIMEOUT(ksm, killed, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	int i;

	policy.interval_ns = 100000000;
	policy.settle_ns = 10000000;
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	for (i = 0; i < 24; i++) {
		START(0, PAGES, PAGES);
		ASSERT_EQ(0, peer_fill(&self->bed.peer[0], 0, 0, PAGES, 4));
		ASSERT_EQ(0, peer_fill(&self->bed.peer[0], 1, 0, PAGES, 4));
		ASSERT_EQ(0, ksm_vm_set(&self->bed.peer[0], KVMX_KSM_ALWAYS, NULL,
					i & 1 ? KVMX_VM_KSM_KEEP : 0));
		sleep_ms(i * 13 % 400);
		if (i & 2)
			kill(self->bed.peer[0].pid, SIGKILL);
		if (i & 4)
			ksm_vm_set(&self->bed.peer[0], KVMX_KSM_OFF, NULL, 0);
		peer_kill(&self->bed.peer[0]);
	}
	EXPECT_TRUE(kvm_refs_become(self->bed.kvm_refs));
	EXPECT_EQ(0, ksm_host_get(self->bed.sys).nr_vms);
}

/* Does a setting as somebody without rights would. */
static int unprivileged_set(const struct peer *p, uint32_t mode, uint32_t weight)
{
	struct kvmx_vm_ksm_set arg = KX_ARG(kvmx_vm_ksm_set, .mode = mode, .weight = weight);
	pid_t child = fork();
	int status;

	if (!child) {
		if (drop_capabilities())
			_exit(255);
		_exit(-kx_ioctl(p->handle, KVMX_VM_KSM_SET, &arg));
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -ECHILD;
	return -WEXITSTATUS(status);
}

/* What takes KSM away from others takes a right, unless the VM has it already. */
TEST_F_TIMEOUT(ksm, rights, TIMEOUT)
{
	struct kvmx_vm_ksm_set arg = KX_ARG(kvmx_vm_ksm_set, .mode = KVMX_KSM_ALWAYS,
					    .weight = 300);
	struct peer *a = &self->bed.peer[0];

	START(0, 64);
	EXPECT_EQ(0, unprivileged_set(a, KVMX_KSM_AUTO, 100));
	EXPECT_EQ(-EPERM, unprivileged_set(a, KVMX_KSM_AUTO, 101));
	EXPECT_EQ(-EPERM, unprivileged_set(a, KVMX_KSM_ALWAYS, 0));
	EXPECT_EQ(KVMX_KSM_AUTO, ksm_vm_get(a).mode);
	EXPECT_EQ(100, ksm_vm_get(a).weight);
	ASSERT_EQ(0, kx_ioctl(a->handle, KVMX_VM_KSM_SET, &arg));
	EXPECT_EQ(0, unprivileged_set(a, KVMX_KSM_ALWAYS, 300));
	EXPECT_EQ(-EPERM, unprivileged_set(a, KVMX_KSM_ALWAYS, 301));
	EXPECT_EQ(0, unprivileged_set(a, KVMX_KSM_OFF, 0));
	EXPECT_EQ(-EPERM, unprivileged_set(a, KVMX_KSM_ALWAYS, 0));
}

/* UNSET forgets the domain, too: it takes a right to come back. */
TEST_F_TIMEOUT(ksm, forgets, TIMEOUT)
{
	static const uint8_t none[KVMX_UUID_LEN];
	struct kvmx_vm_ksm_get got;
	struct peer *a = &self->bed.peer[0];

	START(0, 64);
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, red, 0));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_OFF, NULL, 0));
	got = ksm_vm_get(a);
	EXPECT_EQ(0, memcmp(got.domain, red, sizeof(red)));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_UNSET, NULL, 0));
	got = ksm_vm_get(a);
	EXPECT_EQ(0, memcmp(got.domain, none, sizeof(none)));
}

/* A PIN outlasts the setting, and the policy; what the VMM had made comes back with its end. */
TEST_F_TIMEOUT(ksm, pin_stays, TIMEOUT)
{
	struct kvmx_vm_ksm_pin arg = KX_ARG(kvmx_vm_ksm_pin, .gfn = VM_DATA_GFN, .npages = 16);
	struct kvmx_ksm_policy policy = ksm_quick();
	struct peer *a = &self->bed.peer[0];

	START(0, 64, 64);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 64, 1));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 64, 1));
	ASSERT_EQ(0, peer_madvise(a, 0, MADV_MERGEABLE));
	ASSERT_EQ(0, peer_madvise(a, 1, MADV_MERGEABLE));
	ASSERT_EQ(0, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_TRUE(peer_mergeable(a, 1));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_OFF, NULL, 0));
	EXPECT_FALSE(peer_mergeable(a, 1));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_UNSET, NULL, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_TRUE(peer_mergeable(a, 1));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	ASSERT_TRUE(ksm_looks_pass(self->bed.sys, 1));
	ASSERT_EQ(0, ksm_host_off(self->bed.sys));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_TRUE(peer_mergeable(a, 1));
	arg.flags = KVMX_VM_KSM_UNPIN;
	ASSERT_EQ(0, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	EXPECT_TRUE(peer_mergeable(a, 0));
}

/* The only VMM that has mergeable memory dies in an epoch: ksmd does not run any more. */
TEST_F_TIMEOUT(ksm, last_dies, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_slow();
	struct peer *a = &self->bed.peer[0];

	START(0, 8 * PAGES, 8 * PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 8 * PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 8 * PAGES, 4));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
	ASSERT_TRUE(ksm_state_becomes(self->bed.sys, KVMX_KSM_HOST_STATE_EPOCH));
	peer_kill(a);
	EXPECT_TRUE(ksm_state_leaves(self->bed.sys, KVMX_KSM_HOST_STATE_EPOCH, 10000));
	EXPECT_EQ(KVMX_KSM_WHY_CHANGED, ksm_host_get(self->bed.sys).stopped);
	EXPECT_EQ(0, ksm_knob("run"));
}

/* The policy goes in the middle of an epoch, and a new one does not go with the old one's fd. */
TEST_F_TIMEOUT(ksm, unbound, TIMEOUT)
{
	struct kvmx_ksm_policy policy = ksm_slow();
	struct peer *a = &self->bed.peer[0];
	int i, sys = kx_system();

	START(0, 8 * PAGES, 8 * PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 8 * PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 8 * PAGES, 4));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	ASSERT_EQ(0, ksm_host_set(sys, &policy, KVMX_KSM_HOST_BIND));
	ASSERT_TRUE(ksm_state_becomes(self->bed.sys, KVMX_KSM_HOST_STATE_EPOCH));
	close(sys);
	EXPECT_TRUE(ksm_state_leaves(self->bed.sys, KVMX_KSM_HOST_STATE_EPOCH, 10000));
	EXPECT_EQ(KVMX_KSM_WHY_CHANGED, ksm_host_get(self->bed.sys).stopped);
	for (i = 0; i < 10000 && ksm_host_get(self->bed.sys).policy.mode; i += 20)
		sleep_ms(20);
	EXPECT_EQ(KVMX_KSM_HOST_OFF, ksm_host_get(self->bed.sys).policy.mode);
	for (i = 0; i < 50; i++) {
		sys = kx_system();
		ASSERT_EQ(0, ksm_host_set(sys, &policy, KVMX_KSM_HOST_BIND));
		close(sys);
		ASSERT_EQ(0, ksm_host_set(self->bed.sys, &policy, 0));
		sleep_ms(20);
		ASSERT_EQ(KVMX_KSM_HOST_ON, ksm_host_get(self->bed.sys).policy.mode);
	}
}

/* With the policy off a fresh plan comes, every time, and knows of other processes. */
TEST_F_TIMEOUT(ksm, plan, TIMEOUT)
{
	struct kvmx_ksm_plan_vm vm;
	struct kvmx_ksm_plan arg;
	struct peer *a = &self->bed.peer[0], *other = &self->bed.peer[1];
	uint64_t looks;
	int i;

	START(0, 64, 64);
	START(1, 64);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 64, 1));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 64, 1));
	ASSERT_EQ(0, ksm_vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	for (i = 0; i < 5; i++) {
		looks = ksm_host_get(self->bed.sys).samples;
		arg = (struct kvmx_ksm_plan)KX_ARG(kvmx_ksm_plan, .flags = KVMX_KSM_PLAN_FRESH,
						   .vms = (uintptr_t)&vm, .nr_vms = 1,
						   .vm_size = sizeof(vm));
		ASSERT_EQ(0, kx_ioctl(self->bed.sys, KVMX_KSM_PLAN, &arg));
		EXPECT_LT(looks, ksm_host_get(self->bed.sys).samples);
		EXPECT_EQ(a->pid, (pid_t)vm.pid);
		EXPECT_NE(KVMX_KSM_WHY_FOREIGN, arg.why);
	}
	ASSERT_EQ(0, peer_madvise(other, 0, MADV_MERGEABLE));
	arg.flags = 0;
	arg.nr_vms = 1;
	ASSERT_EQ(0, kx_ioctl(self->bed.sys, KVMX_KSM_PLAN, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_FOREIGN, arg.why);
	EXPECT_EQ(1, arg.why_arg);
}

TEST_HARNESS_MAIN
