/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_GUEST_VM_H
#define KVMXCTL_GUEST_VM_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A VM as small as can be: one vCPU that writes to pages it chooses by a generator whose seed
 * it is given, so that it is known from outside which pages it must have written to.
 */
struct guest_vm {
	int vm_fd;
	int vcpu_fd;
	struct kvm_run *run;
	uint8_t *memory;
	uint32_t nr_pages;	/* a power of two */
	bool logging;
};

/* All of these end the program if anything fails. */
void guest_vm_create(struct guest_vm *vm, uint32_t mib, bool shared);
/* Writes @value to @nr of the first @pages pages (a power of two); returns the next seed. */
uint32_t guest_vm_write(struct guest_vm *vm, uint32_t seed, uint32_t nr, uint32_t pages,
			uint32_t value);
/* The page that the guest takes after @seed, which it moves on. */
uint32_t guest_vm_next(uint32_t *seed, uint32_t pages);
void guest_vm_log(struct guest_vm *vm, bool on);
/* KVM_GET_DIRTY_LOG: a bit for each page. */
void guest_vm_bitmap(struct guest_vm *vm, uint64_t *bitmap);

#endif
