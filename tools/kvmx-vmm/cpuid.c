// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "cpuid.h"
#include "util.h"

#define MAX_ENTRIES	256

#define LEAF1_ECX_VMX		(1U << 5)
#define LEAF1_ECX_TSC_DEADLINE	(1U << 24)
#define LEAF1_ECX_HYPERVISOR	(1U << 31)
#define LEAF1_EDX_HTT		(1U << 28)
#define AMD_ECX_SVM		(1U << 2)
#define AMD_ECX_TOPOEXT		(1U << 22)

static struct kvm_cpuid2 *alloc_cpuid(void)
{
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + MAX_ENTRIES * sizeof(cpuid->entries[0]));
	if (cpuid)
		cpuid->nent = MAX_ENTRIES;
	return cpuid;
}

/* Each vCPU is a package of its own: nothing to say about cores, threads and shared caches. */
static void adapt_entry(struct kvm_cpuid_entry2 *e, bool tsc_deadline)
{
	switch (e->function) {
	case 0x1:
		e->ebx &= 0x0000ffff;
		e->ebx |= 1 << 16;
		e->ecx &= ~LEAF1_ECX_VMX;
		e->ecx |= LEAF1_ECX_HYPERVISOR;
		if (tsc_deadline)
			e->ecx |= LEAF1_ECX_TSC_DEADLINE;
		e->edx &= ~LEAF1_EDX_HTT;
		break;
	case 0x4:
	case 0x8000001d:
		e->eax &= 0x3fff;
		break;
	case 0xa:	/* no performance counters: see KVM_CAP_PMU_CAPABILITY */
		e->eax = 0;
		e->ebx = 0;
		e->ecx = 0;
		e->edx = 0;
		break;
	case 0xb:
	case 0x1f:
		e->eax = 0;
		e->ebx = 0;
		e->ecx = e->index;
		e->edx = 0;
		break;
	case 0x80000001:
		e->ecx &= ~(AMD_ECX_SVM | AMD_ECX_TOPOEXT);
		break;
	case 0x80000008:
		e->ecx = 0;
		break;
	case 0x8000001e:
		e->eax = 0;
		e->ebx = 0;
		e->ecx = 0;
		break;
	}
}

static void set_id(struct kvm_cpuid_entry2 *e, u32 id)
{
	switch (e->function) {
	case 0x1:
		e->ebx |= id << 24;
		break;
	case 0xb:
	case 0x1f:
		e->edx = id;
		break;
	case 0x8000001e:
		e->eax = id;
		e->ebx = id;
		break;
	}
}

int cpuid_get(int kvm_fd, struct kvm_cpuid2 **result)
{
	bool tsc_deadline = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	struct kvm_cpuid2 *cpuid = alloc_cpuid();
	u32 i;

	if (!cpuid)
		return -ENOMEM;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid)) {
		free(cpuid);
		return fail(errno, "KVM_GET_SUPPORTED_CPUID: %m");
	}
	for (i = 0; i < cpuid->nent; i++)
		adapt_entry(&cpuid->entries[i], tsc_deadline);
	*result = cpuid;
	return 0;
}

int cpuid_set(const struct kvm_cpuid2 *cpuid, unsigned int id, int vcpu_fd)
{
	struct kvm_cpuid2 *own = alloc_cpuid();
	int err = 0;
	u32 i;

	if (!own)
		return -ENOMEM;
	own->nent = cpuid->nent;
	memcpy(own->entries, cpuid->entries, cpuid->nent * sizeof(cpuid->entries[0]));
	for (i = 0; i < own->nent; i++)
		set_id(&own->entries[i], id);
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, own))
		err = fail(errno, "KVM_SET_CPUID2: %m");
	free(own);
	return err;
}

static const struct kvm_cpuid_entry2 *find_entry(const struct kvm_cpuid2 *cpuid,
						 const struct kvm_cpuid_entry2 *like)
{
	u32 i;

	for (i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == like->function &&
		    cpuid->entries[i].index == like->index)
			return &cpuid->entries[i];
	return NULL;
}

/* Equal, not "at least": the guest may rely on a feature's absence as well (errata, XSAVE size). */
int cpuid_check(const struct kvm_cpuid2 *ours, const struct kvm_cpuid2 *theirs)
{
	const struct kvm_cpuid_entry2 *a, *b;
	u32 i;

	for (i = 0; i < theirs->nent; i++) {
		b = &theirs->entries[i];
		a = find_entry(ours, b);
		if (!a || a->eax != b->eax || a->ebx != b->ebx || a->ecx != b->ecx ||
		    a->edx != b->edx)
			return fail(EXDEV, "this host's CPU or KVM differs in CPUID %#x.%u",
				    b->function, b->index);
	}
	return ours->nent == theirs->nent ? 0 :
	       fail(EXDEV, "this host's CPU or KVM has CPUID leaves that the source's lacks");
}
