// SPDX-License-Identifier: GPL-2.0
/* What has to fit before anything is loaded, and the vCPUs' common time stamp counter. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "cpuid.h"
#include "state.h"
#include "vm.h"

#define MSR_IA32_TSC	0x10
#define MAX_CPUID	256

struct config_state {
	u32 vcpus;
	u32 disks;
	u64 memory;
	u32 paused;		/* by a person: stays so over there */
	u32 __reserved;
};

struct tsc_state {
	u64 khz;
	u64 tsc;			/* vCPU 0's, when it was saved */
	s64 offset[MAX_VCPUS];		/* each one's, in relation to vCPU 0's */
};

static u32 count_one(const struct vm *vm)
{
	(void)vm;
	return 1;
}

static int save_config(struct vm *vm, u32 i, struct blob_writer *blob)
{
	const struct config_state config = {
		.vcpus = vm->vcpus.nr,
		.disks = vm->nr_disks,
		.memory = vm->mem.size,
		.paused = !!(vcpus_paused(&vm->vcpus) & PAUSE_USER),
	};

	(void)i;
	blob_put(blob, &config, sizeof(config));
	return 0;
}

static int load_config(struct vm *vm, u32 i, const void *data, size_t len)
{
	const struct config_state *config = data;

	(void)i;
	if (len != sizeof(*config) || config->paused > 1 || config->__reserved)
		return -EPROTO;
	if (config->vcpus != vm->vcpus.nr)
		return fail(EXDEV, "the guest has %u vCPUs: give --cpus %u", config->vcpus,
			    config->vcpus);
	if (config->disks != vm->nr_disks)
		return fail(EXDEV, "the guest has %u disks: give as many --disk", config->disks);
	if (config->memory != vm->mem.size)
		return fail(EXDEV, "the guest has %llu MiB: give --memory %lluM",
			    config->memory / MIB, config->memory / MIB);
	if (config->paused)
		vcpus_ask_pause(&vm->vcpus, PAUSE_USER);
	return 0;
}

static int save_cpuid(struct vm *vm, u32 i, struct blob_writer *blob)
{
	(void)i;
	blob_put(blob, vm->cpuid->entries, vm->cpuid->nent * sizeof(vm->cpuid->entries[0]));
	return 0;
}

static int load_cpuid(struct vm *vm, u32 i, const void *data, size_t len)
{
	struct kvm_cpuid2 *theirs;
	int err;

	(void)i;
	if (len % sizeof(theirs->entries[0]) || len / sizeof(theirs->entries[0]) > MAX_CPUID)
		return -EPROTO;
	theirs = malloc(sizeof(*theirs) + len);
	if (!theirs)
		return -ENOMEM;
	theirs->nent = len / sizeof(theirs->entries[0]);
	memcpy(theirs->entries, data, len);
	err = cpuid_check(vm->cpuid, theirs);
	free(theirs);
	return err;
}

static int tsc_offset_attr(int fd, unsigned long request, s64 *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (unsigned long)offset,
	};

	return ioctl(fd, request, &attr) ? -errno : 0;
}

static int read_tsc(int fd, u64 *tsc)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = { .head.nmsrs = 1, .entry.index = MSR_IA32_TSC };

	if (ioctl(fd, KVM_GET_MSRS, &msrs) != 1)
		return -EIO;
	*tsc = msrs.entry.data;
	return 0;
}

static int save_tsc(struct vm *vm, u32 i, struct blob_writer *blob)
{
	struct tsc_state state = { };
	int fd = vm->vcpus.vcpu[0].fd;
	int khz = ioctl(fd, KVM_GET_TSC_KHZ, 0);
	s64 first = 0;
	int err;

	(void)i;
	if (khz < 0)
		return -errno;
	state.khz = khz;
	err = read_tsc(fd, &state.tsc);
	if (!err)
		err = tsc_offset_attr(fd, KVM_GET_DEVICE_ATTR, &first);
	for (i = 0; i < vm->vcpus.nr && !err; i++) {
		err = tsc_offset_attr(vm->vcpus.vcpu[i].fd, KVM_GET_DEVICE_ATTR, &state.offset[i]);
		state.offset[i] -= first;
	}
	blob_put(blob, &state, sizeof(state));
	return err;
}

static int set_khz(struct vm *vm, u64 khz)
{
	u32 i;
	int now;

	for (i = 0; i < vm->vcpus.nr; i++) {
		now = ioctl(vm->vcpus.vcpu[i].fd, KVM_GET_TSC_KHZ, 0);
		if (now < 0)
			return -errno;
		if ((u64)now != khz && ioctl(vm->vcpus.vcpu[i].fd, KVM_SET_TSC_KHZ, khz))
			return fail(EXDEV, "the guest's TSC runs at %llu kHz, this host's at %d",
				    khz, now);
	}
	return 0;
}

/*
 * By offsets and not by MSR_IA32_TSC: writes to that one are fitted by KVM to what other vCPUs
 * have if they are less than a second away, which on a young VM means: to nearly zero.
 * The guest's time stands still while nobody runs it.
 */
static int load_tsc(struct vm *vm, u32 i, const void *data, size_t len)
{
	const struct tsc_state *state = data;
	int fd = vm->vcpus.vcpu[0].fd;
	s64 offset, now;
	u64 tsc;
	int err;

	(void)i;
	if (len != sizeof(*state) || !state->khz || state->khz > 100000000)
		return -EPROTO;
	err = set_khz(vm, state->khz);
	if (!err)
		err = tsc_offset_attr(fd, KVM_GET_DEVICE_ATTR, &now);
	if (!err)
		err = read_tsc(fd, &tsc);
	/* Unsigned, as the counter wraps. */
	for (i = 0; i < vm->vcpus.nr && !err; i++) {
		offset = state->tsc - (tsc - (u64)now) + (u64)state->offset[i];
		err = tsc_offset_attr(vm->vcpus.vcpu[i].fd, KVM_SET_DEVICE_ATTR, &offset);
	}
	return err;
}

const struct state_item state_machine_items[] = {
	{ STATE_CONFIG, "machine", count_one, save_config, load_config },
	{ STATE_CPUID, "CPUID", count_one, save_cpuid, load_cpuid },
	{ STATE_TSC, "TSC", count_one, save_tsc, load_tsc },
	{ }
};
