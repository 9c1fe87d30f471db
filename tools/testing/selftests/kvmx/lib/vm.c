// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/vm.h"

int vm_enable_cap(struct vm *vm, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &enable) ? -errno : 0;
}

int vm_create_bare(struct vm *vm, uint32_t ring_bytes)
{
	int ret;

	memset(vm, 0, sizeof(*vm));
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		return -errno;
	vm->fd = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->fd < 0) {
		ret = -errno;
		goto err_kvm;
	}
	if (ring_bytes) {
		ret = vm_enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, ring_bytes);
		if (ret)
			goto err_vm;
	}
	return 0;

err_vm:
	close(vm->fd);
err_kvm:
	close(vm->kvm);
	return ret;
}

int vm_create(struct vm *vm, uint32_t ring_bytes)
{
	int ret;

	ret = vm_create_bare(vm, ring_bytes);
	if (ret)
		return ret;
	ret = vm_add_slot(vm, 0, 0, VM_CODE_PAGES, MEM_ANON, 0);
	if (ret)
		goto err_destroy;
	vcpu_load_programs(vm->slot[0].hva);
	ret = vm_add_vcpu(vm);
	if (ret)
		goto err_destroy;
	return 0;

err_destroy:
	vm_destroy(vm);
	return ret;
}

void vm_destroy(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_fini(&vm->vcpu[i]);
	vm->nr_vcpus = 0;
	close(vm->fd);
	close(vm->kvm);
	for (i = 0; i < vm->nr_slots; i++)
		if (vm->slot[i].owned)
			munmap(vm->slot[i].hva, vm->slot[i].mapped);
	vm->nr_slots = 0;
}

int vm_add_vcpu(struct vm *vm)
{
	int ret;

	if (vm->nr_vcpus == VM_MAX_VCPUS)
		return -ENOSPC;
	ret = vcpu_init(&vm->vcpu[vm->nr_vcpus], vm, vm->nr_vcpus);
	if (!ret)
		vm->nr_vcpus++;
	return ret;
}

static int set_region(struct vm *vm, struct vm_slot *slot, uint64_t npages)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot->id,
		.flags = slot->flags,
		.guest_phys_addr = slot->gfn * PAGE_SIZE,
		.memory_size = npages * PAGE_SIZE,
		.userspace_addr = (uintptr_t)slot->hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

struct vm_slot *vm_slot(struct vm *vm, uint32_t id)
{
	int i;

	for (i = 0; i < vm->nr_slots; i++)
		if (vm->slot[i].id == id)
			return &vm->slot[i];
	return NULL;
}

/* A number that was used before may come back with other memory. */
static struct vm_slot *claim_slot(struct vm *vm, uint32_t id)
{
	struct vm_slot *slot = vm_slot(vm, id);

	if (slot) {
		if (slot->present)
			return NULL;
		if (slot->owned)
			munmap(slot->hva, slot->mapped);
	} else {
		if (vm->nr_slots == VM_MAX_SLOTS)
			return NULL;
		slot = &vm->slot[vm->nr_slots++];
	}
	memset(slot, 0, sizeof(*slot));
	slot->id = id;
	return slot;
}

int vm_map_slot(struct vm *vm, uint32_t id, uint64_t gfn, uint64_t npages, void *hva,
		uint32_t flags)
{
	struct vm_slot *slot = claim_slot(vm, id);

	if (!slot)
		return -EEXIST;
	slot->gfn = gfn;
	slot->npages = npages;
	slot->hva = hva;
	slot->flags = flags;
	return vm_restore_slot(vm, id);
}

int vm_add_slot(struct vm *vm, uint32_t id, uint64_t gfn, uint64_t npages, enum mem_kind kind,
		uint32_t flags)
{
	size_t bytes = npages * PAGE_SIZE;
	struct vm_slot *slot;
	void *hva;
	int ret;

	hva = mem_map(kind, bytes);
	if (!hva)
		return -errno;
	ret = vm_map_slot(vm, id, gfn, npages, hva, flags);
	if (ret) {
		munmap(hva, bytes);
		return ret;
	}
	slot = vm_slot(vm, id);
	slot->owned = true;
	slot->mapped = bytes;
	return 0;
}

int vm_remove_slot(struct vm *vm, uint32_t id)
{
	struct vm_slot *slot = vm_slot(vm, id);
	int ret;

	ret = set_region(vm, slot, 0);
	if (!ret)
		slot->present = false;
	return ret;
}

int vm_restore_slot(struct vm *vm, uint32_t id)
{
	struct vm_slot *slot = vm_slot(vm, id);
	int ret;

	ret = set_region(vm, slot, slot->npages);
	if (!ret)
		slot->present = true;
	return ret;
}

int vm_move_slot(struct vm *vm, uint32_t id, uint64_t gfn)
{
	struct vm_slot *slot = vm_slot(vm, id);
	uint64_t old = slot->gfn;
	int ret;

	slot->gfn = gfn;
	ret = set_region(vm, slot, slot->npages);
	if (ret)
		slot->gfn = old;
	return ret;
}

int vm_set_flags(struct vm *vm, uint32_t id, uint32_t flags)
{
	struct vm_slot *slot = vm_slot(vm, id);
	uint32_t old = slot->flags;
	int ret;

	slot->flags = flags;
	ret = set_region(vm, slot, slot->npages);
	if (ret)
		slot->flags = old;
	return ret;
}

long vm_get_dirty_log(struct vm *vm, uint32_t id)
{
	struct vm_slot *slot = vm_slot(vm, id);
	struct kvm_dirty_log log = { .slot = id };
	unsigned long *words, nr = (slot->npages + 63) / 64, i;
	long bits = 0;

	words = calloc(nr, sizeof(*words));
	if (!words)
		return -ENOMEM;
	log.dirty_bitmap = words;
	if (ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log))
		bits = -errno;
	for (i = 0; i < nr && bits >= 0; i++)
		bits += __builtin_popcountl(words[i]);
	free(words);
	return bits;
}

int vm_observe_manual_protect(struct vm *vm, uint32_t id)
{
	struct vm_slot *slot = vm_slot(vm, id);
	long first, written, again;
	int ret;

	ret = vm_set_flags(vm, id, slot->flags | KVM_MEM_LOG_DIRTY_PAGES);
	if (ret)
		return ret;
	first = vm_get_dirty_log(vm, id);
	ret = vcpu_touch(&vm->vcpu[0], slot->gfn * PAGE_SIZE, 3, PAGE_SIZE, 0);
	written = vm_get_dirty_log(vm, id);
	again = vm_get_dirty_log(vm, id);
	vm_set_flags(vm, id, slot->flags & ~KVM_MEM_LOG_DIRTY_PAGES);
	if (ret)
		return ret;
	/* Set at first, nothing written: INITIALLY_SET. Read without being reset: manual. */
	if (first == (long)slot->npages && again == first)
		return KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
	if (first || written < 3)
		return -EIO;
	return again ? KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE : 0;
}

struct vm_slot *vm_slot_of(struct vm *vm, uint32_t as, uint64_t gfn)
{
	struct vm_slot *slot;

	for (slot = vm->slot; slot < vm->slot + vm->nr_slots; slot++)
		if (slot->present && slot->id >> 16 == as && gfn >= slot->gfn &&
		    gfn - slot->gfn < slot->npages)
			return slot;
	return NULL;
}

char *vm_hva(struct vm *vm, uint32_t as, uint64_t gfn)
{
	struct vm_slot *slot = vm_slot_of(vm, as, gfn);

	return slot ? slot->hva + (gfn - slot->gfn) * PAGE_SIZE : NULL;
}

uint64_t vm_pages(struct vm *vm)
{
	uint64_t pages = 0;
	int i;

	for (i = 0; i < vm->nr_slots; i++)
		if (vm->slot[i].present)
			pages += vm->slot[i].npages;
	return pages;
}
