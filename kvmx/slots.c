// SPDX-License-Identifier: GPL-2.0
/*
 * What kvmx remembers of a VM's memslots, and how it keeps step with KVM.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "core.h"
#include "log.h"

/**
 * kvmx_slots_generation() - KVM's generation of the memslots
 * @kvm: the VM
 * @gen: out: of each address space, or NULL
 *
 * Context: takes kvm->srcu.
 * Return: the sum over the address spaces.
 */
u64 kvmx_slots_generation(struct kvm *kvm, u64 gen[KVMX_MAX_AS])
{
	u64 sum = 0;
	int as, idx;

	idx = srcu_read_lock(&kvm->srcu);
	for (as = 0; as < kvmx_nr_as(kvm) && as < KVMX_MAX_AS; as++) {
		u64 g = __kvm_memslots(kvm, as)->generation;

		if (gen)
			gen[as] = g;
		sum += g;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return sum;
}

/* KVM's own memslots are not the VMM's, and one that is being deleted is gone. */
static bool is_user_slot(const struct kvm_memory_slot *slot)
{
	return slot->id < KVM_USER_MEM_SLOTS && !(slot->flags & KVM_MEMSLOT_INVALID);
}

/* Takes as many memslots as there is room for. Returns how many there are. */
static u32 snapshot(struct kvm *kvm, struct kvmx_slots *s, u32 room)
{
	struct kvm_memslot_iter iter;
	u32 n = 0;
	int as, idx;

	idx = srcu_read_lock(&kvm->srcu);
	for (as = 0; as < kvmx_nr_as(kvm) && as < KVMX_MAX_AS; as++) {
		struct kvm_memslots *slots = __kvm_memslots(kvm, as);

		if (s)
			s->generation[as] = slots->generation;
		kvm_for_each_memslot_in_gfn_range(&iter, slots, 0, ULLONG_MAX) {
			const struct kvm_memory_slot *slot = iter.slot;

			if (!is_user_slot(slot))
				continue;
			if (n < room) {
				s->slot[n] = (struct kvmx_mslot) {
					.gfn = slot->base_gfn,
					.npages = slot->npages,
					.hva = slot->userspace_addr,
					.id = (u32)as << 16 | slot->id,
					.kvm_flags = slot->flags,
					.ident = slot,
				};
			}
			n++;
		}
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return n;
}

static int cmp_id(const void *a, const void *b, const void *priv)
{
	const struct kvmx_slots *s = priv;
	u32 x = s->slot[*(const u32 *)a].id, y = s->slot[*(const u32 *)b].id;

	return x < y ? -1 : x > y;
}

/**
 * kvmx_slots_get() - take a snapshot of the memslots
 * @kvm: the VM
 *
 * Return: the snapshot, or ERR_PTR(-ENOMEM).
 */
struct kvmx_slots *kvmx_slots_get(struct kvm *kvm)
{
	struct kvmx_slots *s;
	u32 i, n, room = 0;

	/* There may be more by the time there is room for them. */
	for (;;) {
		room = snapshot(kvm, NULL, 0) + 8;
		s = kvzalloc(struct_size(s, slot, room) + room * sizeof(u32), GFP_KERNEL_ACCOUNT);
		if (!s)
			return ERR_PTR(-ENOMEM);
		n = snapshot(kvm, s, room);
		if (n <= room)
			break;
		kvfree(s);
	}
	s->nr = n;
	s->by_id = (void *)&s->slot[room];
	for (i = 0; i < n; i++)
		s->by_id[i] = i;
	sort_r(s->by_id, n, sizeof(u32), cmp_id, NULL, s);
	return s;
}

/**
 * kvmx_slots_free() - free a snapshot
 * @s: the snapshot, or NULL
 */
void kvmx_slots_free(struct kvmx_slots *s)
{
	kvfree(s);
}

/**
 * kvmx_slots_find() - find the memslot that holds a gfn, or the next one after it
 * @s: the memslots
 * @as: address space
 * @gfn: guest frame
 *
 * Return: index of the first memslot that ends after @gfn, or s->nr.
 */
u32 kvmx_slots_find(const struct kvmx_slots *s, u32 as, gfn_t gfn)
{
	u32 lo = 0, hi = s->nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		const struct kvmx_mslot *m = &s->slot[mid];

		if (m->id >> 16 < as || (m->id >> 16 == as && m->gfn + m->npages <= gfn))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/**
 * kvmx_slots_by_id() - find a memslot by its number
 * @s: the memslots
 * @id: address space << 16 | id
 * @index: out: its index
 *
 * Return: the memslot, or NULL.
 */
const struct kvmx_mslot *kvmx_slots_by_id(const struct kvmx_slots *s, u32 id, u32 *index)
{
	u32 lo = 0, hi = s->nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (s->slot[s->by_id[mid]].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == s->nr || s->slot[s->by_id[lo]].id != id)
		return NULL;
	*index = s->by_id[lo];
	return &s->slot[*index];
}

static bool same_place(const struct kvmx_mslot *a, const struct kvmx_mslot *b)
{
	return a->gfn == b->gfn && a->npages == b->npages && a->hva == b->hva;
}

/* A memslot that was made again may lie where the old one lay, but not with what we asked for. */
static bool same_slot(const struct kvmx_mslot *a, const struct kvmx_mslot *b)
{
	return same_place(a, b) && a->ident == b->ident && a->kvm_flags == b->kvm_flags;
}

static void free_pends(struct kvmx_pend **pend, u32 nr)
{
	u32 i;

	if (!pend)
		return;
	for (i = 0; i < nr; i++)
		kvmx_pend_free(pend[i]);
	kvfree(pend);
}

/*
 * Makes the array of sets that a tracker will have: those of memslots that stayed what they were
 * are left NULL, to be moved when nothing can fail any more; the others are wholly dirty.
 */
static struct kvmx_pend **new_pends(const struct kvmx_slots *now, const u32 *from)
{
	struct kvmx_pend **pend;
	u32 i;

	pend = kvcalloc(max(now->nr, 1U), sizeof(*pend), GFP_KERNEL_ACCOUNT);
	if (!pend)
		return NULL;
	for (i = 0; i < now->nr; i++) {
		if (from[i] != U32_MAX)
			continue;
		pend[i] = kvmx_pend_alloc(now->slot[i].npages);
		if (!pend[i]) {
			free_pends(pend, now->nr);
			return NULL;
		}
		kvmx_pend_fill(pend[i]);
	}
	return pend;
}

/* Which memslot of the old ones each of @now is; U32_MAX for a new one. Returns how many differ. */
static u32 match(const struct kvmx_slots *old, struct kvmx_slots *now, u32 *from)
{
	u32 i, j, kept = 0, replaced = 0;

	for (i = 0; i < now->nr; i++) {
		struct kvmx_mslot *s = &now->slot[i];
		const struct kvmx_mslot *o = kvmx_slots_by_id(old, s->id, &j);

		from[i] = U32_MAX;
		if (o && same_slot(o, s)) {
			from[i] = j;
			s->unloggable = o->unloggable;
			kept++;
		} else if (o) {
			replaced++;
		}
	}
	return now->nr - kept + old->nr - kept - replaced;
}

/* Says which memslots the VMM has stopped to log behind our back. */
static void tell_disturbed(struct kvmx_vm *vm, const struct kvmx_slots *now)
{
	u32 i, j;

	for (i = 0; i < now->nr; i++) {
		const struct kvmx_mslot *s = &now->slot[i];
		const struct kvmx_mslot *o = kvmx_slots_by_id(vm->slots, s->id, &j);

		if (!o || !same_place(o, s) ||
		    !(o->kvm_flags & ~s->kvm_flags & KVM_MEM_LOG_DIRTY_PAGES))
			continue;
		vm->stats.log_disturbed++;
		kvmx_event(vm, KVMX_EVENT_DISTURBED, s->id);
	}
}

/* Moves what stays from the old sets to the new, and frees the rest. */
static void adopt(struct kvmx_tracker *t, struct kvmx_pend **pend, const struct kvmx_slots *now,
		  const u32 *from, u32 old_nr)
{
	u32 i;

	for (i = 0; i < now->nr; i++) {
		if (from[i] != U32_MAX)
			swap(pend[i], t->pend[from[i]]);
	}
	for (i = 0; i < old_nr; i++)
		t->stats.over += t->pend[i] ? t->pend[i]->over : 0;
	free_pends(t->pend, old_nr);
	t->pend = pend;
	t->slots_changed = true;
	t->disturbed = true;
}

/* Makes @now the memslots of the VM and of its trackers. Takes @now over, also on an error. */
static int follow(struct kvmx_vm *vm, struct kvmx_slots *now)
{
	struct kvmx_pend **pend[KVMX_MAX_TRACKERS] = { };
	u32 *from, n = 0, i = 0, changed;
	struct kvmx_tracker *t;
	int err = -ENOMEM;

	from = kvmalloc_array(max(now->nr, 1U), sizeof(*from), GFP_KERNEL);
	if (!from)
		goto out;
	changed = match(vm->slots, now, from);
	if (!changed) {
		/* What was switched off and on again looks the same, but huge pages are back. */
		vm->slots->cleared = false;
		memcpy(vm->slots->generation, now->generation, sizeof(now->generation));
		err = 0;
		goto out;
	}
	list_for_each_entry(t, &vm->trackers, node) {
		pend[n] = new_pends(now, from);
		if (!pend[n])
			goto out;
		n++;
	}
	list_for_each_entry(t, &vm->trackers, node) {
		adopt(t, pend[i], now, from, vm->slots->nr);
		pend[i++] = NULL;
	}
	tell_disturbed(vm, now);
	swap(vm->slots, now);
	vm->todo = true;
	vm->stats.slot_changes += changed;
	kvmx_event(vm, KVMX_EVENT_SLOTS, changed);
	err = 0;
out:
	while (n--)
		free_pends(pend[n], now->nr);
	kvmx_slots_free(now);
	kvfree(from);
	return err;
}

/* Switches logging on for memslots that came without. */
static int log_new(struct kvmx_vm *vm)
{
	u32 i;
	int err;

	err = kvmx_log_ring(vm);
	if (err)
		return err;
	for (i = 0; i < vm->slots->nr; i++) {
		err = kvmx_log_slot(vm, &vm->slots->slot[i], true);
		if (err)
			return err;
	}
	vm->todo = false;
	return 0;
}

/*
 * A VMM without vCPUs may still enable the dirty ring; from then on KVM sets no bits. Who knows for
 * how long vCPUs have run since: all is dirty.
 */
static void follow_ring(struct kvmx_vm *vm)
{
	struct kvmx_tracker *t;
	u32 i;

	if (vm->ring || !vm->kvm->dirty_ring_size)
		return;
	list_for_each_entry(t, &vm->trackers, node) {
		for (i = 0; i < vm->slots->nr; i++)
			kvmx_pend_fill(t->pend[i]);
		t->disturbed = true;
	}
	vm->ring = true;
	vm->todo = true;
}

/**
 * kvmx_slots_follow() - bring kvmx_vm.slots and the trackers in step with KVM's memslots
 * @vm: the VM, being logged
 *
 * A memslot that is new, moved, resized or made again is wholly dirty for every tracker. It is not
 * logged yet, which only the VMM can have done: see kvmx_slots_sync().
 *
 * Context: under kvmx_vm.lock. Any address space.
 * Return: 0; on an error nothing is lost and the next call tries again.
 */
int kvmx_slots_follow(struct kvmx_vm *vm)
{
	u64 gen[KVMX_MAX_AS] = { };
	struct kvmx_slots *now;

	lockdep_assert_held(&vm->lock);
	follow_ring(vm);
	kvmx_slots_generation(vm->kvm, gen);
	if (!memcmp(gen, vm->slots->generation, sizeof(gen)))
		return 0;
	now = kvmx_slots_get(vm->kvm);
	return IS_ERR(now) ? PTR_ERR(now) : follow(vm, now);
}

/**
 * kvmx_slots_sync() - as kvmx_slots_follow(), and log the memslots that are new
 * @vm: the VM, being logged
 *
 * Context: in the VMM's address space, under kvmx_vm.lock.
 * Return: 0; on an error nothing is lost and the next call tries again.
 */
int kvmx_slots_sync(struct kvmx_vm *vm)
{
	int err;

	err = kvmx_slots_follow(vm);
	if (err)
		return err;
	return vm->todo ? log_new(vm) : 0;
}
