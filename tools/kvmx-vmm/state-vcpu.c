// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "state.h"
#include "vm.h"

#define MSR_CHUNK		64
#define MAX_MSRS		4096

#define MSR_IA32_TSC		0x10
#define MSR_KVM_WALL_CLOCK	0x11
#define MSR_IA32_TSC_DEADLINE	0x6e0
#define MSR_HYPERV_FIRST	0x40000000
#define MSR_HYPERV_LAST		0x400001ff
#define MSR_KVM_WALL_CLOCK_NEW	0x4b564d00

static u32 count_vcpus(const struct vm *vm)
{
	return vm->vcpus.nr;
}

static int save_ioctl(struct vm *vm, u32 i, struct blob_writer *blob, unsigned long request,
		      void *buf, size_t len)
{
	memset(buf, 0, len);
	if (ioctl(vm->vcpus.vcpu[i].fd, request, buf))
		return -errno;
	blob_put(blob, buf, len);
	return 0;
}

/* The copy is for alignment and because KVM_SET_* take pointers to what is not const. */
static int load_ioctl(struct vm *vm, u32 i, const void *data, size_t data_len,
		      unsigned long request, void *buf, size_t len)
{
	if (data_len != len)
		return -EPROTO;
	memcpy(buf, data, len);
	return ioctl(vm->vcpus.vcpu[i].fd, request, buf) ? -errno : 0;
}

/* A struct that KVM gives and takes as it is. */
#define SIMPLE_ITEM(name, type, get, set)						\
static int save_##name(struct vm *vm, u32 i, struct blob_writer *blob)			\
{											\
	type buf;									\
											\
	return save_ioctl(vm, i, blob, get, &buf, sizeof(buf));				\
}											\
											\
static int load_##name(struct vm *vm, u32 i, const void *data, size_t len)		\
{											\
	type buf;									\
											\
	return load_ioctl(vm, i, data, len, set, &buf, sizeof(buf));			\
}

SIMPLE_ITEM(sregs, struct kvm_sregs2, KVM_GET_SREGS2, KVM_SET_SREGS2)
SIMPLE_ITEM(regs, struct kvm_regs, KVM_GET_REGS, KVM_SET_REGS)
SIMPLE_ITEM(xcrs, struct kvm_xcrs, KVM_GET_XCRS, KVM_SET_XCRS)
SIMPLE_ITEM(lapic, struct kvm_lapic_state, KVM_GET_LAPIC, KVM_SET_LAPIC)
SIMPLE_ITEM(mp_state, struct kvm_mp_state, KVM_GET_MP_STATE, KVM_SET_MP_STATE)
SIMPLE_ITEM(debugregs, struct kvm_debugregs, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS)
SIMPLE_ITEM(events, struct kvm_vcpu_events, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS)

/*
 * Asking for these two changes others: a pending fault puts its address into CR2, a startup IPI
 * moves the vCPU. So they are asked for before anything is saved.
 */
int state_settle(struct vm *vm)
{
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	u32 i;

	for (i = 0; i < vm->vcpus.nr; i++)
		if (ioctl(vm->vcpus.vcpu[i].fd, KVM_GET_MP_STATE, &mp_state) ||
		    ioctl(vm->vcpus.vcpu[i].fd, KVM_GET_VCPU_EVENTS, &events))
			return -errno;
	return 0;
}

static size_t xsave_len(struct vm *vm)
{
	/* Larger than struct kvm_xsave where there are features like AMX. */
	return ioctl(vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
}

static int save_xsave(struct vm *vm, u32 i, struct blob_writer *blob)
{
	size_t len = xsave_len(vm);
	void *buf = malloc(len);
	int err;

	if (!buf)
		return -ENOMEM;
	err = save_ioctl(vm, i, blob, KVM_GET_XSAVE2, buf, len);
	free(buf);
	return err;
}

static int load_xsave(struct vm *vm, u32 i, const void *data, size_t data_len)
{
	size_t len = xsave_len(vm);
	void *buf = malloc(len);
	int err;

	if (!buf)
		return -ENOMEM;
	err = load_ioctl(vm, i, data, data_len, KVM_SET_XSAVE, buf, len);
	free(buf);
	return err;
}

/*
 * The TSC is set by its offset (state-machine.c). The wall clock MSRs are doorbells: a write makes
 * KVM write the time of day into guest memory, and there is nothing to keep. Hyper-V's are not
 * offered to the guest, and some change as one looks.
 */
static bool is_state(u32 msr)
{
	return msr != MSR_IA32_TSC && msr != MSR_KVM_WALL_CLOCK && msr != MSR_KVM_WALL_CLOCK_NEW &&
	       (msr < MSR_HYPERV_FIRST || msr > MSR_HYPERV_LAST);
}

static struct kvm_msr_list *get_msr_list(struct vm *vm)
{
	struct kvm_msr_list *list;

	list = calloc(1, sizeof(*list) + MAX_MSRS * sizeof(list->indices[0]));
	if (!list)
		return NULL;
	list->nmsrs = MAX_MSRS;
	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, list)) {
		free(list);
		return NULL;
	}
	return list;
}

struct msr_chunk {
	struct kvm_msrs head;
	struct kvm_msr_entry entries[MSR_CHUNK];
};

/* KVM stops at an MSR that this CPU does not have: go on behind it. */
static int save_chunk(int fd, struct msr_chunk *chunk, u32 nr, struct blob_writer *blob)
{
	struct msr_chunk part;
	u32 done = 0;
	int n;

	while (done < nr) {
		memset(&part, 0, sizeof(part));
		part.head.nmsrs = nr - done;
		memcpy(part.entries, chunk->entries + done, (nr - done) * sizeof(part.entries[0]));
		n = ioctl(fd, KVM_GET_MSRS, &part);
		if (n < 0)
			return -errno;
		blob_put(blob, part.entries, n * sizeof(part.entries[0]));
		done += n;
		if (done < nr)
			done++;
	}
	return 0;
}

static int save_msrs(struct vm *vm, u32 i, struct blob_writer *blob)
{
	struct kvm_msr_list *list = get_msr_list(vm);
	struct msr_chunk chunk = { };
	int err = 0;
	u32 k, nr = 0;

	if (!list)
		return -errno;
	for (k = 0; k < list->nmsrs && !err; k++) {
		if (is_state(list->indices[k]))
			chunk.entries[nr++].index = list->indices[k];
		if (nr == MSR_CHUNK || k == list->nmsrs - 1) {
			err = save_chunk(vm->vcpus.vcpu[i].fd, &chunk, nr, blob);
			nr = 0;
		}
	}
	free(list);
	return err;
}

/* Some can be read and not written; that does no harm if it is what we have here, too. */
static int check_same(int fd, const struct kvm_msr_entry *entry)
{
	struct msr_chunk ours = { .head.nmsrs = 1, .entries = { { .index = entry->index } } };

	if (ioctl(fd, KVM_GET_MSRS, &ours) == 1 && ours.entries[0].data == entry->data)
		return 0;
	return fail(EXDEV, "this host cannot set MSR %#x to %#llx", entry->index, entry->data);
}

static int set_msrs(int fd, const struct kvm_msr_entry *entries, size_t nr)
{
	struct msr_chunk chunk;
	size_t done = 0, now;
	int n, err = 0;

	while (done < nr && !err) {
		now = nr - done < MSR_CHUNK ? nr - done : MSR_CHUNK;
		memset(&chunk, 0, sizeof(chunk));
		chunk.head.nmsrs = now;
		memcpy(chunk.entries, entries + done, now * sizeof(*entries));
		n = ioctl(fd, KVM_SET_MSRS, &chunk);
		if (n < 0)
			return -errno;
		done += n;
		if ((size_t)n < now)
			err = check_same(fd, &entries[done++]);
	}
	return err;
}

static int load_msrs(struct vm *vm, u32 i, const void *data, size_t len)
{
	const struct kvm_msr_entry *entries = data, *deadline = NULL;
	size_t nr = len / sizeof(*entries), k;
	int fd = vm->vcpus.vcpu[i].fd;
	int err;

	if (len % sizeof(*entries) || nr > MAX_MSRS)
		return -EPROTO;
	for (k = 0; k < nr; k++) {
		if (!is_state(entries[k].index))
			return -EPROTO;
		if (entries[k].index == MSR_IA32_TSC_DEADLINE)
			deadline = &entries[k];
	}
	err = set_msrs(fd, entries, nr);
	/* Once more: what else was set may have disarmed the timer. */
	return err || !deadline ? err : set_msrs(fd, deadline, 1);
}

/*
 * Order: SREGS has CR4 and APIC_BASE, which the others are checked against. The LAPIC's timer mode
 * decides if a TSC deadline is taken. Events last: other calls drop pending ones.
 */
const struct state_item state_vcpu_items[] = {
	{ STATE_SREGS, "segment and control registers of vCPU", count_vcpus, save_sregs,
	  load_sregs },
	{ STATE_REGS, "registers of vCPU", count_vcpus, save_regs, load_regs },
	{ STATE_XCRS, "XCRs of vCPU", count_vcpus, save_xcrs, load_xcrs },
	{ STATE_XSAVE, "FPU of vCPU", count_vcpus, save_xsave, load_xsave },
	{ STATE_LAPIC, "local APIC of vCPU", count_vcpus, save_lapic, load_lapic },
	{ STATE_MSRS, "MSRs of vCPU", count_vcpus, save_msrs, load_msrs },
	{ STATE_MP_STATE, "run state of vCPU", count_vcpus, save_mp_state, load_mp_state },
	{ STATE_DEBUGREGS, "debug registers of vCPU", count_vcpus, save_debugregs,
	  load_debugregs },
	{ STATE_EVENTS, "pending events of vCPU", count_vcpus, save_events, load_events },
	{ }
};
