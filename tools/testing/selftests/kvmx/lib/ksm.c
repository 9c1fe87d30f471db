// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/ksm.h"
#include "lib/kx.h"
#include "lib/util.h"

#define KNOBS "/sys/kernel/mm/ksm/"
#define ARRAY_SIZE(_a) (sizeof(_a) / sizeof((_a)[0]))

static const char * const knob_names[KSM_KNOBS] = {
	"run", "pages_to_scan", "sleep_millisecs", "smart_scan", "advisor_mode",
};

/* Empty if this kernel does not have it */
void ksm_read_knob(const char *name, char *value, size_t size)
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

long ksm_knob(const char *name)
{
	char value[32];

	ksm_read_knob(name, value, sizeof(value));
	return value[0] ? atol(value) : -1;
}

int ksm_set_knob(const char *name, const char *value)
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

long ksm_vm_counter(const char *name)
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

struct kvmx_ksm_policy ksm_quick(void)
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

int ksm_host_set(int sys, const struct kvmx_ksm_policy *policy, uint32_t flags)
{
	struct kvmx_ksm_host_set arg = KX_ARG(kvmx_ksm_host_set, .flags = flags,
					      .policy = *policy);

	return kx_ioctl(sys, KVMX_KSM_HOST_SET, &arg);
}

int ksm_host_off(int sys)
{
	struct kvmx_ksm_policy policy = { .mode = KVMX_KSM_HOST_OFF };

	return ksm_host_set(sys, &policy, 0);
}

struct kvmx_ksm_host_get ksm_host_get(int sys)
{
	struct kvmx_ksm_host_get arg = KX_ARG(kvmx_ksm_host_get);
	int ret = kx_ioctl(sys, KVMX_KSM_HOST_GET, &arg);

	if (ret)
		printf("# HOST_GET: %d\n", ret);
	return arg;
}

int ksm_vm_set(const struct peer *p, uint32_t mode, const uint8_t *domain, uint32_t flags)
{
	struct kvmx_vm_ksm_set arg = KX_ARG(kvmx_vm_ksm_set, .mode = mode, .flags = flags);

	if (domain) {
		arg.flags |= KVMX_VM_KSM_DOMAIN;
		memcpy(arg.domain, domain, sizeof(arg.domain));
	}
	return kx_ioctl(p->handle, KVMX_VM_KSM_SET, &arg);
}

struct kvmx_vm_ksm_get ksm_vm_get(const struct peer *p)
{
	struct kvmx_vm_ksm_get arg = KX_ARG(kvmx_vm_ksm_get);
	int ret = kx_ioctl(p->handle, KVMX_VM_KSM_GET, &arg);

	if (ret)
		printf("# VM_KSM_GET: %d\n", ret);
	return arg;
}

static void say(const char *name, unsigned long long value)
{
	printf("#   %-12s %llu\n", name, value);
}

/* What a test that fails is asked next. */
void ksm_show_vm(const struct peer *p)
{
	struct kvmx_vm_ksm_get g = ksm_vm_get(p);

	printf("# VM: mode %u, state %u, why %u\n", g.mode, g.state, g.why);
	say("why_arg", g.why_arg);
	say("pages", g.pages);
	say("present", g.present_pages);
	say("mergeable", g.mergeable_pages);
	say("+-", g.mergeable_err);
	say("merged", g.merged_pages);
	say("zero", g.zero_pages);
	say("volatile", g.volatile_pages);
	say("pinned", g.pinned_pages);
	say("excluded", g.excluded_pages);
	say("shared", g.shared_pages);
}

void ksm_show_host(int sys)
{
	struct kvmx_ksm_host_get g = ksm_host_get(sys);

	printf("# host: state %u, why %u, stopped %u, knobs %u %s\n", g.state, g.why, g.stopped,
	       g.knobs, g.knob);
	say("why_arg", g.why_arg);
	say("VMs", g.nr_vms);
	say("live", g.nr_live);
	say("foreign", g.nr_foreign);
	say("mergeable", g.mergeable_pages);
	say("+-", g.mergeable_err);
	say("freed", g.freed_pages);
	say("gain", g.gain_pages);
	say("cost ns", g.cost_ns);
	say("epochs", g.epochs);
	say("looks", g.samples);
	say("scans", g.full_scans);
	say("visits", g.scanned_pages);
	say("merged", g.epoch_merged_pages);
	say("ksmd ns", g.ksmd_ns);
	say("kvmx ns", g.kvmx_ns);
	say("looks ns", g.sample_ns);
	say("lock ns", g.longest_lock_ns);
	say("bytes", g.bytes);
	say("peak", g.peak_bytes);
}

/* Waits until there were this many epochs, and kvmx has nothing to do. */
bool ksm_epochs_become(int sys, uint64_t epochs)
{
	struct kvmx_ksm_host_get g;
	int ms;

	for (ms = 0; ms < KSM_WAIT_MS; ms += 20) {
		g = ksm_host_get(sys);
		if (g.epochs >= epochs && g.state == KVMX_KSM_HOST_STATE_IDLE)
			return true;
		sleep_ms(20);
	}
	ksm_show_host(sys);
	return false;
}

/* Sets a policy, and waits for an epoch. */
bool ksm_epoch_passes(int sys, const struct kvmx_ksm_policy *policy)
{
	uint64_t epochs = ksm_host_get(sys).epochs;
	int ret = ksm_host_set(sys, policy, 0);

	if (ret)
		printf("# HOST_SET: %d\n", ret);
	return !ret && ksm_epochs_become(sys, epochs + 1);
}

/* Waits for this many more looks to be over. */
bool ksm_looks_pass(int sys, uint64_t looks)
{
	uint64_t begin = ksm_host_get(sys).samples;
	struct kvmx_ksm_host_get g;
	int ms;

	for (ms = 0; ms < KSM_WAIT_MS; ms += 20) {
		g = ksm_host_get(sys);
		if (g.samples >= begin + looks && g.state == KVMX_KSM_HOST_STATE_IDLE)
			return true;
		sleep_ms(20);
	}
	ksm_show_host(sys);
	return false;
}

bool ksm_state_leaves(int sys, uint32_t state, int ms)
{
	for (; ms > 0; ms -= 20) {
		if (ksm_host_get(sys).state != state)
			return true;
		sleep_ms(20);
	}
	ksm_show_host(sys);
	return false;
}

bool ksm_state_becomes(int sys, uint32_t state)
{
	int ms;

	for (ms = 0; ms < KSM_WAIT_MS; ms += 5) {
		if (ksm_host_get(sys).state == state)
			return true;
		sleep_ms(5);
	}
	ksm_show_host(sys);
	return false;
}

/* With so little time for ksmd an epoch takes many seconds. So do looks, which have no more. */
struct kvmx_ksm_policy ksm_slow(void)
{
	struct kvmx_ksm_policy policy = ksm_quick();

	policy.cpu_permille = 20;
	return policy;
}

bool ksm_knobs_become(int sys, uint32_t state)
{
	int ms;

	for (ms = 0; ms < 10000; ms += 20) {
		if (ksm_host_get(sys).knobs == state)
			return true;
		sleep_ms(20);
	}
	return false;
}

int ksm_bed_open(struct ksm_bed *bed)
{
	uint32_t i;

	for (i = 0; i < KSM_KNOBS; i++)
		ksm_read_knob(knob_names[i], bed->knobs[i], sizeof(bed->knobs[i]));
	bed->kvm_refs = kvm_refs();
	bed->sys = kx_system();
	return bed->sys < 0 ? bed->sys : 0;
}

bool ksm_bed_close(struct ksm_bed *bed)
{
	char now[KSM_KNOB_LEN];
	const char *left = NULL;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(bed->peer); i++)
		peer_stop(&bed->peer[i]);
	if (ksm_host_off(bed->sys))
		left = "the policy";
	close(bed->sys);
	if (!module_refs_become(0))
		left = "references to the module";
	/* What a dead VMM leaves goes a little later. */
	if (!kvm_refs_become(bed->kvm_refs))
		left = "references to KVM";
	for (i = 0; i < KSM_KNOBS; i++) {
		ksm_read_knob(knob_names[i], now, sizeof(now));
		if (strcmp(bed->knobs[i], now))
			left = knob_names[i];
	}
	if (left)
		printf("# left behind or changed: %s\n", left);
	return !left;
}
