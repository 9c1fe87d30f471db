/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A KVM virtual machine: memslots and their memory. Functions give 0, or -errno.
 */
#ifndef SELFTEST_KVMX_VM_H
#define SELFTEST_KVMX_VM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/mem.h"
#include "lib/util.h"
#include "lib/vcpu.h"

#define VM_MAX_VCPUS 4
#define VM_MAX_SLOTS 640

/* The guests' programs lie here, in slot 0. Tests put their data from VM_DATA on. */
#define VM_CODE_PAGES 16
#define VM_DATA (16 * MIB)
#define VM_DATA_GFN (VM_DATA / PAGE_SIZE)

/* What must be given to KVM in one piece before there are vCPUs. */
#define VM_RING_ENTRIES 4096
#define VM_RING_BYTES (VM_RING_ENTRIES * sizeof(struct kvm_dirty_gfn))

struct vm_slot {
	uint32_t id;		/* address space << 16 | id */
	uint32_t flags;		/* KVM_MEM_* */
	uint64_t gfn;
	uint64_t npages;
	char *hva;
	bool present;
	bool owned;		/* vm_destroy() unmaps the memory */
	size_t mapped;
};

struct vm {
	int kvm;
	int fd;
	int nr_vcpus;
	int nr_slots;
	struct vcpu vcpu[VM_MAX_VCPUS];
	struct vm_slot slot[VM_MAX_SLOTS];
	/* Called by a vCPU thread on KVM_EXIT_DIRTY_RING_FULL; 0 to go on. */
	int (*ring_full)(void *data);
	void *ring_full_data;
};

/* @ring_bytes 0: no dirty ring. A VM with no memory at all. */
int vm_create_bare(struct vm *vm, uint32_t ring_bytes);
/* The same with slot 0, the guests' programs, and one vCPU. */
int vm_create(struct vm *vm, uint32_t ring_bytes);
void vm_destroy(struct vm *vm);

int vm_add_vcpu(struct vm *vm);
int vm_enable_cap(struct vm *vm, uint32_t cap, uint64_t arg);

/* New memory of a kind at @gfn. @id as in struct vm_slot. */
int vm_add_slot(struct vm *vm, uint32_t id, uint64_t gfn, uint64_t npages, enum mem_kind kind,
		uint32_t flags);
/* Memory that is there already; it stays the caller's. */
int vm_map_slot(struct vm *vm, uint32_t id, uint64_t gfn, uint64_t npages, void *hva,
		uint32_t flags);
/* Memory stays mapped in the VMM until vm_destroy(), for vm_restore_slot(). */
int vm_remove_slot(struct vm *vm, uint32_t id);
int vm_restore_slot(struct vm *vm, uint32_t id);
int vm_move_slot(struct vm *vm, uint32_t id, uint64_t gfn);
int vm_set_flags(struct vm *vm, uint32_t id, uint32_t flags);

/* KVM_GET_DIRTY_LOG: how many bits are set, or -errno */
long vm_get_dirty_log(struct vm *vm, uint32_t id);
/*
 * How KVM's manual dirty log protection is set, as the VMM finds out by logging a memslot by
 * itself: 0 or KVM_DIRTY_LOG_* flags, or -errno. The first three pages are written.
 */
int vm_observe_manual_protect(struct vm *vm, uint32_t id);

struct vm_slot *vm_slot(struct vm *vm, uint32_t id);
/* NULL if no slot of the address space has it */
struct vm_slot *vm_slot_of(struct vm *vm, uint32_t as, uint64_t gfn);
char *vm_hva(struct vm *vm, uint32_t as, uint64_t gfn);
uint64_t vm_pages(struct vm *vm);

#endif
