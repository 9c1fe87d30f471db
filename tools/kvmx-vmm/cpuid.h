/* SPDX-License-Identifier: GPL-2.0 */
/* What the vCPUs say about themselves. */
#ifndef VMM_CPUID_H
#define VMM_CPUID_H

struct kvm_cpuid2;

/*
 * What this host's KVM can give, less what cannot be migrated and with everything left out that
 * depends on the CPU one happens to ask. To be freed by the caller.
 */
int cpuid_get(int kvm_fd, struct kvm_cpuid2 **cpuid);

/* Give it to a vCPU, with its id filled in. */
int cpuid_set(const struct kvm_cpuid2 *cpuid, unsigned int id, int vcpu_fd);

/* 0 if a guest that was given @theirs finds the same here. */
int cpuid_check(const struct kvm_cpuid2 *ours, const struct kvm_cpuid2 *theirs);

#endif
