// SPDX-License-Identifier: LGPL-2.1
/*
 * The memory that devices can reach: that of the memslots, kept in step with them.
 *
 * kvmx is told before memory is mapped, so that no write is missed and KSM has let go of what is
 * about to be pinned, and again after it is unmapped.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "assign.h"

static bool wanted(const struct kvmx_assign_state *state, const struct kvmx_slot *s)
{
	/* What another address space (SMM) has is not what devices see. */
	return !(s->slot >> 16) && s->hva && !assign_is_area(state, s->hva);
}

static bool same(const struct dma_map *m, const struct kvmx_slot *s)
{
	return m->gfn == s->gfn && m->npages == s->npages && m->hva == s->hva &&
	       m->readonly == !!(s->flags & KVMX_SLOT_READONLY);
}

/* One page that is pinned while KSM knows it can keep all others of its content from merging. */
static int keep_from_ksm(struct kvmx_assign_vm *vm, const struct dma_map *m)
{
	int err;

	do
		err = kvmx_vm_ksm_pin(vm->vm_fd, m->gfn, m->npages, 0);
	while (err == -EINTR);
	/* A host without KSM */
	if (!err || err == -EOPNOTSUPP)
		return 0;
	return assign_fail(vm, err, "cannot keep memory at %#llx away from KSM: %s%s",
			   (unsigned long long)m->gfn * PAGE_BYTES, strerror(-err),
			   err == -ENOMEM ? " (it takes memory to unmerge what is merged)" : "");
}

/* If that fails the memory does not merge, which is no harm. */
static void give_to_ksm(struct kvmx_assign_vm *vm, const struct dma_map *m)
{
	while (kvmx_vm_ksm_pin(vm->vm_fd, m->gfn, m->npages, KVMX_VM_KSM_UNPIN) == -EINTR)
		;
}

static int announce(struct kvmx_assign_vm *vm, const struct dma_map *m)
{
	int err = kvmx_dma_declare(vm->vm_fd, 0, m->gfn, m->npages, 0);

	if (!err)
		return 0;
	return assign_fail(vm, err, "cannot declare memory at %#llx for DMA: %s",
			   (unsigned long long)m->gfn * PAGE_BYTES, strerror(-err));
}

static void unmap_memory(struct kvmx_assign_vm *vm, const struct dma_map *m)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg),
		.iova = m->gfn * PAGE_BYTES,
		.size = m->npages * PAGE_BYTES,
	};

	/* What could not be unmapped is still pinned and may be written: nothing is undone then. */
	if (ioctl(vm->state->container, VFIO_IOMMU_UNMAP_DMA, &arg))
		return;
	if (!m->readonly)
		kvmx_dma_withdraw(vm->vm_fd, 0, m->gfn, m->npages, 0);
	give_to_ksm(vm, m);
}

static int map_memory(struct kvmx_assign_vm *vm, const struct dma_map *m)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg),
		.flags = VFIO_DMA_MAP_FLAG_READ | (m->readonly ? 0 : VFIO_DMA_MAP_FLAG_WRITE),
		.vaddr = m->hva,
		.iova = m->gfn * PAGE_BYTES,
		.size = m->npages * PAGE_BYTES,
	};
	int err;

	err = keep_from_ksm(vm, m);
	if (err)
		return err;
	/*
	 * A page that was never written would be pinned as the zero page, which the VMM's first
	 * write replaces (until Linux 6.2). Memory that the VMM cannot write needs no such care.
	 */
	if (m->readonly)
		madvise((void *)(uintptr_t)m->hva, arg.size, MADV_POPULATE_WRITE);
	else
		err = announce(vm, m);
	if (err)
		goto give_back;
	if (!ioctl(vm->state->container, VFIO_IOMMU_MAP_DMA, &arg))
		return 0;
	err = assign_fail(vm, -errno, "cannot map %llu MiB of memory at %#llx for devices: %m%s",
			  (unsigned long long)arg.size >> 20, (unsigned long long)arg.iova,
			  errno == ENOMEM ?
			  " (RLIMIT_MEMLOCK has to allow for all of the guest's memory)" : "");
	if (!m->readonly)
		kvmx_dma_withdraw(vm->vm_fd, 0, m->gfn, m->npages, 0);
give_back:
	give_to_ksm(vm, m);
	return err;
}

/* Keeps what is still as it was. Removes before it adds: a memslot may have moved. */
static void remove_old(struct kvmx_assign_vm *vm, const struct kvmx_slot *slots, uint32_t nr)
{
	struct kvmx_assign_state *state = vm->state;
	uint32_t i, s, kept = 0;

	for (i = 0; i < state->nr_map; i++) {
		for (s = 0; s < nr; s++) {
			if (wanted(state, &slots[s]) && same(&state->map[i], &slots[s]))
				break;
		}
		if (s < nr)
			state->map[kept++] = state->map[i];
		else
			unmap_memory(vm, &state->map[i]);
	}
	state->nr_map = kept;
}

static bool known(const struct kvmx_assign_state *state, uint32_t nr, const struct kvmx_slot *s)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		if (same(&state->map[i], s))
			return true;
	}
	return false;
}

static int add_new(struct kvmx_assign_vm *vm, const struct kvmx_slot *slots, uint32_t nr)
{
	struct kvmx_assign_state *state = vm->state;
	uint32_t s, old = state->nr_map;
	struct dma_map *more;
	int err;

	more = realloc(state->map, (old + nr) * sizeof(*more) + 1);
	if (!more)
		return assign_fail(vm, -ENOMEM, "out of memory");
	state->map = more;
	for (s = 0; s < nr; s++) {
		struct dma_map *m = &state->map[state->nr_map];

		if (!wanted(state, &slots[s]) || known(state, old, &slots[s]))
			continue;
		*m = (struct dma_map){
			.gfn = slots[s].gfn,
			.npages = slots[s].npages,
			.hva = slots[s].hva,
			.readonly = slots[s].flags & KVMX_SLOT_READONLY,
		};
		err = map_memory(vm, m);
		if (err)
			goto undo;
		state->nr_map++;
	}
	return 0;
undo:
	while (state->nr_map > old)
		unmap_memory(vm, &state->map[--state->nr_map]);
	return err;
}

int assign_dma_sync(struct kvmx_assign_vm *vm)
{
	struct kvmx_slot *slots;
	int nr, err;

	nr = kvmx_vm_slots(vm->vm_fd, &slots);
	if (nr < 0)
		return assign_fail(vm, nr, "cannot list the memslots: %s", strerror(-nr));
	remove_old(vm, slots, nr);
	err = add_new(vm, slots, nr);
	free(slots);
	return err;
}

void assign_dma_drop(struct kvmx_assign_vm *vm)
{
	struct kvmx_assign_state *state = vm->state;

	while (state->nr_map)
		unmap_memory(vm, &state->map[--state->nr_map]);
	free(state->map);
	state->map = NULL;
}
