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
#include "lib/kx.h"
#include "lib/peer.h"
#include "lib/util.h"
#include "lib/vm.h"

#define KNOBS "/sys/kernel/mm/ksm/"
#define PAGES 1024UL
#define PEERS 4
#define WAIT_MS 60000
#define TIMEOUT 120

static const uint8_t red[KVMX_UUID_LEN] = { 0xed };
static const uint8_t blue[KVMX_UUID_LEN] = { 0xb1 };

FIXTURE(ksm) {
	int sys;
	struct peer peer[PEERS];
	char knobs[8][32];
	int kvm_refs;
};

static const char * const knob_names[] = {
	"run", "pages_to_scan", "sleep_millisecs", "smart_scan", "advisor_mode",
};

/* Empty if this kernel does not have it */
static void read_knob(const char *name, char *value, size_t size)
{
	char path[96];
	FILE *file;

	value[0] = '\0';
	snprintf(path, sizeof(path), KNOBS "%s", name);
	file = fopen(path, "r");
	if (!file)
		return;
	if (!fgets(value, size, file))
		value[0] = '\0';
	fclose(file);
}

static long knob(const char *name)
{
	char value[32];

	read_knob(name, value, sizeof(value));
	return value[0] ? atol(value) : -1;
}

static int set_knob(const char *name, const char *value)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), KNOBS "%s", name);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	fputs(value, file);
	return fclose(file) ? -errno : 0;
}

static long vm_counter(const char *name)
{
	char line[128];
	long value = -1;
	FILE *file = fopen("/proc/vmstat", "r");

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ' ')
			value = atol(line + strlen(name));
	}
	if (file)
		fclose(file);
	return value;
}

static struct kvmx_ksm_policy quick(void)
{
	return (struct kvmx_ksm_policy){
		.mode = KVMX_KSM_HOST_ON,
		.cpu_permille = 1000,
		.idle_permille = 1000,
		.interval_ns = 500000000,
		.settle_ns = 100000000,
		/* The test bed's CPU is an emulated one. */
		.page_ns = 100000000,
	};
}

static int host_set(int sys, const struct kvmx_ksm_policy *policy, uint32_t flags)
{
	struct kvmx_ksm_host_set arg = KX_ARG(kvmx_ksm_host_set, .flags = flags,
					      .policy = *policy);

	return kx_ioctl(sys, KVMX_KSM_HOST_SET, &arg);
}

static int host_off(int sys)
{
	struct kvmx_ksm_policy policy = { .mode = KVMX_KSM_HOST_OFF };

	return host_set(sys, &policy, 0);
}

static struct kvmx_ksm_host_get host_get(int sys)
{
	struct kvmx_ksm_host_get arg = KX_ARG(kvmx_ksm_host_get);
	int ret = kx_ioctl(sys, KVMX_KSM_HOST_GET, &arg);

	if (ret)
		ksft_print_msg("HOST_GET: %d\n", ret);
	return arg;
}

static int vm_set(const struct peer *p, uint32_t mode, const uint8_t *domain, uint32_t flags)
{
	struct kvmx_vm_ksm_set arg = KX_ARG(kvmx_vm_ksm_set, .mode = mode, .flags = flags);

	if (domain) {
		arg.flags |= KVMX_VM_KSM_DOMAIN;
		memcpy(arg.domain, domain, sizeof(arg.domain));
	}
	return kx_ioctl(p->handle, KVMX_VM_KSM_SET, &arg);
}

static struct kvmx_vm_ksm_get vm_get(const struct peer *p)
{
	struct kvmx_vm_ksm_get arg = KX_ARG(kvmx_vm_ksm_get);
	int ret = kx_ioctl(p->handle, KVMX_VM_KSM_GET, &arg);

	if (ret)
		ksft_print_msg("VM_KSM_GET: %d\n", ret);
	return arg;
}

#define SAY(_name, _value) ksft_print_msg("  %-12s %llu\n", (_name), (unsigned long long)(_value))

/* What a test that fails is asked next. */
static void show(const struct peer *p)
{
	struct kvmx_vm_ksm_get g = vm_get(p);

	ksft_print_msg("VM: mode %u, state %u, why %u\n", g.mode, g.state, g.why);
	SAY("why_arg", g.why_arg);
	SAY("pages", g.pages);
	SAY("present", g.present_pages);
	SAY("mergeable", g.mergeable_pages);
	SAY("+-", g.mergeable_err);
	SAY("merged", g.merged_pages);
	SAY("zero", g.zero_pages);
	SAY("volatile", g.volatile_pages);
	SAY("pinned", g.pinned_pages);
	SAY("excluded", g.excluded_pages);
	SAY("shared", g.shared_pages);
}

static void show_host(int sys)
{
	struct kvmx_ksm_host_get g = host_get(sys);

	ksft_print_msg("host: state %u, why %u, stopped %u, knobs %u %s\n", g.state, g.why,
		       g.stopped, g.knobs, g.knob);
	SAY("why_arg", g.why_arg);
	SAY("VMs", g.nr_vms);
	SAY("live", g.nr_live);
	SAY("foreign", g.nr_foreign);
	SAY("mergeable", g.mergeable_pages);
	SAY("+-", g.mergeable_err);
	SAY("freed", g.freed_pages);
	SAY("gain", g.gain_pages);
	SAY("cost ns", g.cost_ns);
	SAY("epochs", g.epochs);
	SAY("looks", g.samples);
	SAY("scans", g.full_scans);
	SAY("visits", g.scanned_pages);
	SAY("merged", g.epoch_merged_pages);
	SAY("ksmd ns", g.ksmd_ns);
	SAY("kvmx ns", g.kvmx_ns);
	SAY("looks ns", g.sample_ns);
	SAY("lock ns", g.longest_lock_ns);
	SAY("bytes", g.bytes);
	SAY("peak", g.peak_bytes);
}

/* Waits until there were this many epochs, and kvmx has nothing to do. */
static bool epochs_become(int sys, uint64_t epochs)
{
	struct kvmx_ksm_host_get g;
	int ms;

	for (ms = 0; ms < WAIT_MS; ms += 20) {
		g = host_get(sys);
		if (g.epochs >= epochs && g.state == KVMX_KSM_HOST_STATE_IDLE)
			return true;
		sleep_ms(20);
	}
	show_host(sys);
	return false;
}

/* Sets a policy, and waits for an epoch. */
static bool epoch_passes(int sys, const struct kvmx_ksm_policy *policy)
{
	uint64_t epochs = host_get(sys).epochs;
	int ret = host_set(sys, policy, 0);

	if (ret)
		ksft_print_msg("HOST_SET: %d\n", ret);
	return !ret && epochs_become(sys, epochs + 1);
}

/* Waits for this many more looks to be over. */
static bool looks_pass(int sys, uint64_t looks)
{
	uint64_t begin = host_get(sys).samples;
	struct kvmx_ksm_host_get g;
	int ms;

	for (ms = 0; ms < WAIT_MS; ms += 20) {
		g = host_get(sys);
		if (g.samples >= begin + looks && g.state == KVMX_KSM_HOST_STATE_IDLE)
			return true;
		sleep_ms(20);
	}
	show_host(sys);
	return false;
}

FIXTURE_SETUP(ksm)
{
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(knob_names); i++)
		read_knob(knob_names[i], self->knobs[i], sizeof(self->knobs[i]));
	self->kvm_refs = kvm_refs();
	self->sys = kx_system();
	ASSERT_LE(0, self->sys);
}

FIXTURE_TEARDOWN(ksm)
{
	char now[32];
	uint32_t i;

	for (i = 0; i < PEERS; i++)
		peer_stop(&self->peer[i]);
	EXPECT_EQ(0, host_off(self->sys));
	close(self->sys);
	EXPECT_TRUE(module_refs_become(0));
	/* What a dead VMM leaves goes a little later. */
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs));
	for (i = 0; i < ARRAY_SIZE(knob_names); i++) {
		read_knob(knob_names[i], now, sizeof(now));
		EXPECT_STREQ(self->knobs[i], now);
	}
}

#define START(_i, ...) \
do { \
	static const uint64_t _pages[] = { __VA_ARGS__ }; \
	ASSERT_EQ(0, peer_start(&self->peer[_i], ARRAY_SIZE(_pages), _pages, MEM_ANON)); \
} while (0)

/* Two VMs of a domain with the same contents share all of them, and part again. */
TEST_F_TIMEOUT(ksm, merges, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0], *b = &self->peer[1];
	struct kvmx_vm_ksm_get g;

	START(0, PAGES);
	START(1, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 7));
	ASSERT_EQ(0, peer_fill(b, 0, 0, PAGES, 7));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, red, 0));
	ASSERT_EQ(0, vm_set(b, KVMX_KSM_AUTO, red, 0));
	/* Nothing happens before the host's policy is on. */
	sleep_ms(300);
	EXPECT_FALSE(peer_mergeable(a, 0));
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	show(a);
	show_host(self->sys);
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, b, 0));
	EXPECT_EQ(0, knob("run"));
	g = vm_get(a);
	EXPECT_EQ(KVMX_KSM_STATE_LIVE, g.state);
	EXPECT_EQ(PAGES, g.present_pages);
	EXPECT_EQ(PAGES / 2, g.mergeable_pages);
	EXPECT_EQ(0, g.mergeable_err);
	EXPECT_LE(PAGES - 4, g.merged_pages);
	EXPECT_EQ(0, peer_verify(a, 0, 0, PAGES, 7));

	ASSERT_EQ(0, vm_set(b, KVMX_KSM_OFF, red, 0));
	EXPECT_FALSE(peer_mergeable(b, 0));
	EXPECT_EQ(0, peer_merged(b, 0));
	EXPECT_EQ(0, peer_shared(a, 0, b, 0));
	ASSERT_EQ(0, host_off(self->sys));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_EQ(0, peer_verify(a, 0, 0, PAGES, 7));
	EXPECT_EQ(0, peer_verify(b, 0, 0, PAGES, 7));
}

/* One pinned page that ksmd would visit first keeps 4095 equal ones apart, but not with kvmx. */
TEST_F_TIMEOUT(ksm, poison, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];
	long cow;

	START(0, 1, 4095);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 1, PEER_SAME | 5));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 4095, PEER_SAME | 5));
	ASSERT_EQ(0, peer_pin(a, 0, 0, 1));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	cow = vm_counter("cow_ksm");
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	show(a);
	show_host(self->sys);
	EXPECT_LE(4090, peer_merged(a, 1));
	EXPECT_EQ(cow, vm_counter("cow_ksm"));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_EQ(1, vm_get(a).pinned_pages);
	EXPECT_EQ(1, vm_get(a).excluded_pages);
	/* When it is not pinned any more, it comes back. */
	ASSERT_EQ(0, peer_unpin(a));
	ASSERT_TRUE(looks_pass(self->sys, 2));
	EXPECT_TRUE(peer_mergeable(a, 0));
}

/* The same, pinned when all is merged already, and by an announcement. */
TEST_F_TIMEOUT(ksm, pin, TIMEOUT)
{
	struct kvmx_vm_ksm_pin arg = KX_ARG(kvmx_vm_ksm_pin, .gfn = VM_DATA_GFN, .npages = 16);
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];

	START(0, 256, 256);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 256, 3));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 256, 3));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	EXPECT_LE(250, peer_shared(a, 0, a, 1));
	ASSERT_EQ(0, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_TRUE(peer_mergeable(a, 1));
	ASSERT_TRUE(looks_pass(self->sys, 2));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_EQ(256, vm_get(a).excluded_pages);
	arg.flags = KVMX_VM_KSM_UNPIN;
	arg.npages = 15;
	EXPECT_EQ(-EINVAL, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	arg.npages = 16;
	EXPECT_EQ(0, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	ASSERT_TRUE(looks_pass(self->sys, 1));
	EXPECT_TRUE(peer_mergeable(a, 0));
	arg.flags = 0;
	arg.gfn = 1;
	EXPECT_EQ(-EINVAL, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
}

/* Two domains with the same contents never share, and only one merges at a time. */
TEST_F_TIMEOUT(ksm, domains, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *p = self->peer;
	uint64_t epochs;
	uint32_t i, j;

	for (i = 0; i < 4; i++) {
		START(i, PAGES);
		ASSERT_EQ(0, peer_fill(&p[i], 0, 0, PAGES, 9));
		ASSERT_EQ(0, vm_set(&p[i], KVMX_KSM_AUTO, i < 2 ? red : blue, 0));
	}
	memcpy(policy.domain, red, sizeof(red));
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[0], 0, &p[1], 0));
	for (i = 0; i < 2; i++)
		for (j = 2; j < 4; j++)
			EXPECT_EQ(0, peer_shared(&p[i], 0, &p[j], 0));
	EXPECT_EQ(0, peer_merged(&p[2], 0));
	EXPECT_EQ(KVMX_KSM_WHY_DOMAIN, vm_get(&p[2]).why);
	EXPECT_EQ(0, memcmp(host_get(self->sys).live_domain, red, sizeof(red)));

	memcpy(policy.domain, blue, sizeof(blue));
	epochs = host_get(self->sys).epochs;
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	EXPECT_EQ(0, peer_merged(&p[0], 0));
	EXPECT_EQ(0, peer_merged(&p[1], 0));
	ASSERT_TRUE(epochs_become(self->sys, epochs + 1));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[2], 0, &p[3], 0));
	for (i = 0; i < 2; i++)
		for (j = 2; j < 4; j++)
			EXPECT_EQ(0, peer_shared(&p[i], 0, &p[j], 0));
	EXPECT_EQ(0, memcmp(host_get(self->sys).live_domain, blue, sizeof(blue)));
	show_host(self->sys);

	/* With the tenants' consent they share all. */
	policy.domains = KVMX_KSM_SHARED;
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[0], 0, &p[3], 0));
	policy.domains = KVMX_KSM_STRICT;
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	for (i = 0; i < 2; i++)
		for (j = 2; j < 4; j++)
			EXPECT_EQ(0, peer_shared(&p[i], 0, &p[j], 0));
}

FIXTURE(phase) {
	int sys;
	struct peer peer[2];
	int kvm_refs;
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
	self->kvm_refs = kvm_refs();
	self->sys = kx_system();
	ASSERT_LE(0, self->sys);
}

FIXTURE_TEARDOWN(phase)
{
	peer_stop(&self->peer[0]);
	peer_stop(&self->peer[1]);
	EXPECT_EQ(0, host_off(self->sys));
	close(self->sys);
	EXPECT_TRUE(module_refs_become(0));
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs));
}

/* ksmd has visited the first VM's pages until it is tired of them when the second VM comes. */
TEST_F_TIMEOUT(phase, late, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0], *b = &self->peer[1];
	uint64_t before;
	long scans;

	START(0, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 11));
	ASSERT_EQ(0, peer_madvise(a, 0, MADV_MERGEABLE));
	scans = knob("full_scans");
	if (variant->scans) {
		ASSERT_EQ(0, set_knob("pages_to_scan", "100000"));
		ASSERT_EQ(0, set_knob("run", "1"));
		while (knob("full_scans") < scans + variant->scans)
			sleep_ms(2);
		ASSERT_EQ(0, set_knob("run", "0"));
		ASSERT_EQ(0, set_knob("pages_to_scan", "100"));
	}
	START(1, PAGES);
	ASSERT_EQ(0, peer_fill(b, 0, 0, PAGES, 11));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, red, 0));
	ASSERT_EQ(0, vm_set(b, KVMX_KSM_AUTO, red, 0));
	before = host_get(self->sys).full_scans;
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, b, 0));
	EXPECT_GE(before + 4, host_get(self->sys).full_scans);
	/* The VMM has made it mergeable, so it stays so. */
	ASSERT_EQ(0, host_off(self->sys));
	EXPECT_TRUE(peer_mergeable(a, 0));
	EXPECT_FALSE(peer_mergeable(b, 0));
}

/* Without a mode, and with UNSET again, a VM is as its VMM has made it. */
TEST_F_TIMEOUT(ksm, unset, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];
	uint64_t epochs;

	START(0, 64, 64);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 64, 1));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 64, 1));
	ASSERT_EQ(0, peer_madvise(a, 0, MADV_MERGEABLE));
	policy.foreign = KVMX_KSM_FOREIGN_ALLOW;
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	sleep_ms(300);
	EXPECT_TRUE(peer_mergeable(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 1));
	EXPECT_EQ(KVMX_KSM_STATE_UNSET, vm_get(a).state);
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_OFF, NULL, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
	epochs = host_get(self->sys).epochs;
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	ASSERT_TRUE(epochs_become(self->sys, epochs + 1));
	EXPECT_TRUE(peer_mergeable(a, 1));
	EXPECT_LE(60, peer_shared(a, 0, a, 1));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_UNSET, NULL, 0));
	EXPECT_TRUE(peer_mergeable(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 1));
	EXPECT_EQ(0, peer_merged(a, 1));
}

/* Somebody else's mergeable memory keeps a strict policy from merging anything. */
TEST_F_TIMEOUT(ksm, foreign, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0], *other = &self->peer[1];

	START(0, PAGES, PAGES);
	START(1, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(other, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_madvise(other, 0, MADV_MERGEABLE));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	EXPECT_EQ(-EBUSY, host_set(self->sys, &policy, 0));
	EXPECT_EQ(KVMX_KSM_HOST_OFF, host_get(self->sys).policy.mode);
	ASSERT_EQ(0, peer_madvise(other, 0, MADV_UNMERGEABLE));
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	ASSERT_EQ(0, peer_madvise(other, 0, MADV_MERGEABLE));
	sleep_ms(1000);
	EXPECT_EQ(0, peer_shared(a, 0, other, 0));
	ASSERT_EQ(0, host_off(self->sys));
	policy.foreign = KVMX_KSM_FOREIGN_ALLOW;
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, other, 0));
	EXPECT_EQ(1, host_get(self->sys).nr_foreign);
}

static bool knobs_become(int sys, uint32_t state)
{
	int ms;

	for (ms = 0; ms < 10000; ms += 20) {
		if (host_get(sys).knobs == state)
			return true;
		sleep_ms(20);
	}
	return false;
}

/* Who writes to a knob gets all of them, until kvmx is told to take them again. */
TEST_F_TIMEOUT(ksm, knobs, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct kvmx_event event;
	bool seen = false;

	kx_nonblock(self->sys);
	ASSERT_EQ(0, set_knob("sleep_millisecs", "33"));
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	EXPECT_TRUE(knobs_become(self->sys, KVMX_KSM_KNOBS_OWNED));
	ASSERT_EQ(0, set_knob("pages_to_scan", "123"));
	ASSERT_TRUE(knobs_become(self->sys, KVMX_KSM_KNOBS_LOST));
	EXPECT_STREQ("pages_to_scan", host_get(self->sys).knob);
	EXPECT_EQ(123, knob("pages_to_scan"));
	EXPECT_EQ(33, knob("sleep_millisecs"));
	while (!kx_event(self->sys, &event))
		seen |= event.type == KVMX_EVENT_KSM_KNOBS && event.arg == KVMX_KSM_KNOBS_LOST;
	EXPECT_TRUE(seen);
	/* Not without being told to. */
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	EXPECT_EQ(KVMX_KSM_KNOBS_LOST, host_get(self->sys).knobs);
	ASSERT_EQ(0, host_set(self->sys, &policy, KVMX_KSM_HOST_TAKE));
	EXPECT_EQ(KVMX_KSM_KNOBS_OWNED, host_get(self->sys).knobs);
	ASSERT_EQ(0, host_off(self->sys));
	EXPECT_EQ(123, knob("pages_to_scan"));
	ASSERT_EQ(0, set_knob("pages_to_scan", "100"));
	ASSERT_EQ(0, set_knob("sleep_millisecs", "20"));
}

/* A policy that is bound to an fd goes with it. */
TEST_F_TIMEOUT(ksm, bind, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];
	int sys = kx_system(), ms;
	uint64_t epochs;

	START(0, PAGES, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	epochs = host_get(self->sys).epochs;
	ASSERT_EQ(0, host_set(sys, &policy, KVMX_KSM_HOST_BIND));
	ASSERT_TRUE(epochs_become(self->sys, epochs + 1));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, a, 1));
	close(sys);
	for (ms = 0; ms < 10000 && host_get(self->sys).policy.mode; ms += 20)
		sleep_ms(20);
	EXPECT_EQ(KVMX_KSM_HOST_OFF, host_get(self->sys).policy.mode);
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
}

/* A VM that is being migrated is left alone. */
TEST_F_TIMEOUT(ksm, migration, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];
	uint64_t epochs;

	START(0, PAGES, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, peer_track(a, KVMX_TRACKER_MIGRATION));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	epochs = host_get(self->sys).epochs;
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	ASSERT_TRUE(looks_pass(self->sys, 2));
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_EQ(epochs, host_get(self->sys).epochs);
	EXPECT_EQ(KVMX_KSM_WHY_MIGRATION, vm_get(a).why);
	ASSERT_EQ(0, peer_untrack(a));
	ASSERT_TRUE(epochs_become(self->sys, epochs + 1));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, a, 1));
}

/* Memory KSM does not take is reported as such. */
TEST_F_TIMEOUT(ksm, shared_memory, TIMEOUT)
{
	static const uint64_t pages[] = { 256 };
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];

	ASSERT_EQ(0, peer_start(a, 1, pages, MEM_MEMFD));
	ASSERT_EQ(0, peer_fill(a, 0, 0, 256, PEER_SAME | 1));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	ASSERT_TRUE(looks_pass(self->sys, 1));
	EXPECT_EQ(256, vm_get(a).shared_pages);
	EXPECT_EQ(KVMX_KSM_WHY_SHARED, vm_get(a).why);
	EXPECT_EQ(KVMX_KSM_STATE_REFUSED, vm_get(a).state);
	EXPECT_EQ(0, vm_get(a).mergeable_pages);
}

/* What changes all the time is seen, and zeroes are counted. */
TEST_F_TIMEOUT(ksm, counts, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];
	struct kvmx_vm_ksm_get g;

	START(0, 512, 256, 256, 64);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 512, 21));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 256, PEER_ZERO));
	ASSERT_EQ(0, peer_fill(a, 2, 0, 256, 22));
	ASSERT_EQ(0, peer_churn(a, 2, 0, 256));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	ASSERT_TRUE(looks_pass(self->sys, 1));
	show(a);
	g = vm_get(a);
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
	struct kvmx_ksm_policy policy = quick();
	struct peer *p = self->peer;
	int i;

	for (i = 0; i < 2; i++) {
		START(i, PAGES);
		ASSERT_EQ(0, peer_fill(&p[i], 0, 0, PAGES, 9));
		ASSERT_EQ(0, vm_set(&p[i], KVMX_KSM_AUTO, red, 0));
	}
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[0], 0, &p[1], 0));
	/* More than there is must stay free. */
	policy.reserve = 1ULL << 50;
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	EXPECT_EQ(-ENOMEM, vm_set(&p[0], KVMX_KSM_OFF, red, 0));
	EXPECT_EQ(KVMX_KSM_AUTO, vm_get(&p[0]).mode);
	EXPECT_EQ(-ENOMEM, vm_set(&p[0], KVMX_KSM_AUTO, blue, 0));
	EXPECT_EQ(-ENOMEM, host_off(self->sys));
	EXPECT_EQ(KVMX_KSM_HOST_ON, host_get(self->sys).policy.mode);
	memcpy(policy.domain, blue, sizeof(blue));
	EXPECT_EQ(-ENOMEM, host_set(self->sys, &policy, 0));
	EXPECT_LE((long)PAGES - 4, peer_shared(&p[0], 0, &p[1], 0));
	memset(policy.domain, 0, sizeof(policy.domain));
	policy.reserve = 0;
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	EXPECT_EQ(0, vm_set(&p[0], KVMX_KSM_OFF, red, 0));
	EXPECT_EQ(0, peer_shared(&p[0], 0, &p[1], 0));
}

/* A setting that is to be kept outlives the VM fd, another one does not. */
TEST_F_TIMEOUT(ksm, keep, TIMEOUT)
{
	struct peer *a = &self->peer[0];
	int i, ms, kvm_fd;

	START(0, 64);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, i ? KVMX_VM_KSM_KEEP : 0));
		EXPECT_EQ(1, host_get(self->sys).nr_vms);
		kvm_fd = peer_vm_fd(a);
		ASSERT_LE(0, kvm_fd);
		close(a->handle);
		for (ms = 0; ms < 2000 && host_get(self->sys).nr_vms; ms += 20)
			sleep_ms(20);
		EXPECT_EQ(i, host_get(self->sys).nr_vms);
		a->handle = kx_vm(kvm_fd);
		close(kvm_fd);
		ASSERT_LE(0, a->handle);
		EXPECT_EQ(i ? KVMX_KSM_AUTO : KVMX_KSM_UNSET, vm_get(a).mode);
	}
}

/* Who writes to what was merged for it is not merged again. */
TEST_F_TIMEOUT(ksm, evicted, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];
	uint64_t evictions;
	int ms;

	START(0, 2 * PAGES, 2 * PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 2 * PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 2 * PAGES, 4));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	EXPECT_LE((long)(2 * PAGES) - 4, peer_shared(a, 0, a, 1));
	evictions = host_get(self->sys).evictions;
	ASSERT_EQ(0, peer_churn(a, 1, 0, 2 * PAGES));
	for (ms = 0; ms < WAIT_MS && host_get(self->sys).evictions == evictions; ms += 20)
		sleep_ms(20);
	EXPECT_EQ(evictions + 1, host_get(self->sys).evictions);
	ASSERT_TRUE(looks_pass(self->sys, 1));
	EXPECT_EQ(KVMX_KSM_STATE_EVICTED, vm_get(a).state);
	EXPECT_EQ(KVMX_KSM_WHY_COW, vm_get(a).why);
	EXPECT_LE(2 * PAGES - 16, vm_get(a).cow_pages);
	EXPECT_FALSE(peer_mergeable(a, 0));
}

/* The module goes while it has merged memory of a VM that nobody has open. */
TEST_F_TIMEOUT(ksm, unload, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];

	START(0, PAGES, PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, peer_madvise(a, 0, MADV_MERGEABLE));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, KVMX_VM_KSM_KEEP));
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	EXPECT_LE((long)PAGES - 4, peer_shared(a, 0, a, 1));
	close(a->handle);
	close(self->sys);
	ASSERT_EQ(0, module_unload());
	EXPECT_EQ(0, peer_shared(a, 0, a, 1));
	EXPECT_TRUE(peer_mergeable(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 1));
	EXPECT_EQ(0, knob("run"));
	EXPECT_EQ(0, peer_verify(a, 1, 0, PAGES, 4));
	ASSERT_EQ(0, module_load());
	self->sys = kx_system();
	ASSERT_LE(0, self->sys);
	a->handle = -1;
}

/* Thousands of mappings: what belongs to a memslot may merge, however much it is cut up. */
TEST_F_TIMEOUT(ksm, many_mappings, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];

	START(0, 4 * PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 4 * PAGES, PEER_SAME | 3));
	ASSERT_EQ(0, peer_cut(a, 0));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_TRUE(epoch_passes(self->sys, &policy));
	EXPECT_LE((long)(4 * PAGES) - 4, peer_merged(a, 0));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_OFF, NULL, 0));
	EXPECT_EQ(0, peer_merged(a, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
}

/* VMMs die at any moment. */
TEST_F_TIMEOUT(ksm, killed, TIMEOUT)
{
	struct kvmx_ksm_policy policy = quick();
	int i;

	policy.interval_ns = 100000000;
	policy.settle_ns = 10000000;
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	for (i = 0; i < 24; i++) {
		START(0, PAGES, PAGES);
		ASSERT_EQ(0, peer_fill(&self->peer[0], 0, 0, PAGES, 4));
		ASSERT_EQ(0, peer_fill(&self->peer[0], 1, 0, PAGES, 4));
		ASSERT_EQ(0, vm_set(&self->peer[0], KVMX_KSM_ALWAYS, NULL,
				    i & 1 ? KVMX_VM_KSM_KEEP : 0));
		sleep_ms(i * 13 % 400);
		if (i & 2)
			kill(self->peer[0].pid, SIGKILL);
		if (i & 4)
			vm_set(&self->peer[0], KVMX_KSM_OFF, NULL, 0);
		peer_kill(&self->peer[0]);
	}
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs));
	EXPECT_EQ(0, host_get(self->sys).nr_vms);
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
	struct peer *a = &self->peer[0];

	START(0, 64);
	EXPECT_EQ(0, unprivileged_set(a, KVMX_KSM_AUTO, 100));
	EXPECT_EQ(-EPERM, unprivileged_set(a, KVMX_KSM_AUTO, 101));
	EXPECT_EQ(-EPERM, unprivileged_set(a, KVMX_KSM_ALWAYS, 0));
	EXPECT_EQ(KVMX_KSM_AUTO, vm_get(a).mode);
	EXPECT_EQ(100, vm_get(a).weight);
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
	struct peer *a = &self->peer[0];

	START(0, 64);
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, red, 0));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_OFF, NULL, 0));
	got = vm_get(a);
	EXPECT_EQ(0, memcmp(got.domain, red, sizeof(red)));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_UNSET, NULL, 0));
	got = vm_get(a);
	EXPECT_EQ(0, memcmp(got.domain, none, sizeof(none)));
}

/* A PIN outlasts the setting, and the policy; what the VMM had made comes back with its end. */
TEST_F_TIMEOUT(ksm, pin_stays, TIMEOUT)
{
	struct kvmx_vm_ksm_pin arg = KX_ARG(kvmx_vm_ksm_pin, .gfn = VM_DATA_GFN, .npages = 16);
	struct kvmx_ksm_policy policy = quick();
	struct peer *a = &self->peer[0];

	START(0, 64, 64);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 64, 1));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 64, 1));
	ASSERT_EQ(0, peer_madvise(a, 0, MADV_MERGEABLE));
	ASSERT_EQ(0, peer_madvise(a, 1, MADV_MERGEABLE));
	ASSERT_EQ(0, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_TRUE(peer_mergeable(a, 1));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_OFF, NULL, 0));
	EXPECT_FALSE(peer_mergeable(a, 1));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_UNSET, NULL, 0));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_TRUE(peer_mergeable(a, 1));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	ASSERT_TRUE(looks_pass(self->sys, 1));
	ASSERT_EQ(0, host_off(self->sys));
	EXPECT_FALSE(peer_mergeable(a, 0));
	EXPECT_TRUE(peer_mergeable(a, 1));
	arg.flags = KVMX_VM_KSM_UNPIN;
	ASSERT_EQ(0, kx_ioctl(a->handle, KVMX_VM_KSM_PIN, &arg));
	EXPECT_TRUE(peer_mergeable(a, 0));
}

static bool state_leaves(int sys, uint32_t state, int ms)
{
	for (; ms > 0; ms -= 20) {
		if (host_get(sys).state != state)
			return true;
		sleep_ms(20);
	}
	show_host(sys);
	return false;
}

static bool state_becomes(int sys, uint32_t state)
{
	int ms;

	for (ms = 0; ms < WAIT_MS; ms += 5) {
		if (host_get(sys).state == state)
			return true;
		sleep_ms(5);
	}
	show_host(sys);
	return false;
}

/* With so little time for ksmd an epoch takes many seconds. So do looks, which have no more. */
static struct kvmx_ksm_policy slow(void)
{
	struct kvmx_ksm_policy policy = quick();

	policy.cpu_permille = 20;
	return policy;
}

/* The only VMM that has mergeable memory dies in an epoch: ksmd does not run any more. */
TEST_F_TIMEOUT(ksm, last_dies, TIMEOUT)
{
	struct kvmx_ksm_policy policy = slow();
	struct peer *a = &self->peer[0];

	START(0, 8 * PAGES, 8 * PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 8 * PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 8 * PAGES, 4));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	ASSERT_EQ(0, host_set(self->sys, &policy, 0));
	ASSERT_TRUE(state_becomes(self->sys, KVMX_KSM_HOST_STATE_EPOCH));
	peer_kill(a);
	EXPECT_TRUE(state_leaves(self->sys, KVMX_KSM_HOST_STATE_EPOCH, 10000));
	EXPECT_EQ(KVMX_KSM_WHY_CHANGED, host_get(self->sys).stopped);
	EXPECT_EQ(0, knob("run"));
}

/* The policy goes in the middle of an epoch, and a new one does not go with the old one's fd. */
TEST_F_TIMEOUT(ksm, unbound, TIMEOUT)
{
	struct kvmx_ksm_policy policy = slow();
	struct peer *a = &self->peer[0];
	int i, sys = kx_system();

	START(0, 8 * PAGES, 8 * PAGES);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 8 * PAGES, 4));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 8 * PAGES, 4));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_ALWAYS, NULL, 0));
	ASSERT_EQ(0, host_set(sys, &policy, KVMX_KSM_HOST_BIND));
	ASSERT_TRUE(state_becomes(self->sys, KVMX_KSM_HOST_STATE_EPOCH));
	close(sys);
	EXPECT_TRUE(state_leaves(self->sys, KVMX_KSM_HOST_STATE_EPOCH, 10000));
	for (i = 0; i < 10000 && host_get(self->sys).policy.mode; i += 20)
		sleep_ms(20);
	EXPECT_EQ(KVMX_KSM_HOST_OFF, host_get(self->sys).policy.mode);
	for (i = 0; i < 50; i++) {
		sys = kx_system();
		ASSERT_EQ(0, host_set(sys, &policy, KVMX_KSM_HOST_BIND));
		close(sys);
		ASSERT_EQ(0, host_set(self->sys, &policy, 0));
		sleep_ms(20);
		ASSERT_EQ(KVMX_KSM_HOST_ON, host_get(self->sys).policy.mode);
	}
}

/* With the policy off a fresh plan comes, every time, and knows of other processes. */
TEST_F_TIMEOUT(ksm, plan, TIMEOUT)
{
	struct kvmx_ksm_plan_vm vm;
	struct kvmx_ksm_plan arg;
	struct peer *a = &self->peer[0], *other = &self->peer[1];
	uint64_t looks;
	int i;

	START(0, 64, 64);
	START(1, 64);
	ASSERT_EQ(0, peer_fill(a, 0, 0, 64, 1));
	ASSERT_EQ(0, peer_fill(a, 1, 0, 64, 1));
	ASSERT_EQ(0, vm_set(a, KVMX_KSM_AUTO, NULL, 0));
	for (i = 0; i < 5; i++) {
		looks = host_get(self->sys).samples;
		arg = (struct kvmx_ksm_plan)KX_ARG(kvmx_ksm_plan, .flags = KVMX_KSM_PLAN_FRESH,
						   .vms = (uintptr_t)&vm, .nr_vms = 1,
						   .vm_size = sizeof(vm));
		ASSERT_EQ(0, kx_ioctl(self->sys, KVMX_KSM_PLAN, &arg));
		EXPECT_LT(looks, host_get(self->sys).samples);
		EXPECT_EQ(a->pid, (pid_t)vm.pid);
		EXPECT_NE(KVMX_KSM_WHY_FOREIGN, arg.why);
	}
	ASSERT_EQ(0, peer_madvise(other, 0, MADV_MERGEABLE));
	arg.flags = 0;
	arg.nr_vms = 1;
	ASSERT_EQ(0, kx_ioctl(self->sys, KVMX_KSM_PLAN, &arg));
	EXPECT_EQ(KVMX_KSM_WHY_FOREIGN, arg.why);
	EXPECT_EQ(1, arg.why_arg);
}

TEST_HARNESS_MAIN
