// SPDX-License-Identifier: GPL-2.0
/*
 * Counters.
 */
#include <linux/sched.h>

#include "core.h"
#include "log.h"

static u64 pend_bytes(const struct kvmx_tracker *t)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; t->pend && i < t->vm->slots->nr; i++)
		sum += kvmx_pend_bytes(t->pend[i]) + sizeof(t->pend[i]);
	return sum;
}

/**
 * kvmx_stats_vm() - KVMX_VM_STATS
 * @h: the handle
 * @s: out: all but size and flags
 *
 * Context: under kvmx_vm.lock; the VM may be dead.
 */
void kvmx_stats_vm(struct kvmx_handle *h, struct kvmx_vm_stats *s)
{
	const struct kvmx_vm *vm = h->vm;
	const struct kvmx_tracker *t;

	lockdep_assert_held(&vm->lock);
	s->harvests = vm->stats.harvests;
	s->collected_pages = vm->stats.collected_pages;
	s->clear_calls = vm->stats.clear_calls;
	s->marked_pages = vm->stats.marked_pages;
	s->slot_changes = vm->stats.slot_changes;
	s->log_disturbed = vm->stats.log_disturbed;
	s->samples = vm->stats.samples;
	s->predictions = vm->stats.predictions;
	s->bytes = sizeof(*vm) + sizeof(*h) * kvmx_vm_handles(vm);
	if (vm->words)
		s->bytes += KVMX_SEG_WORDS * sizeof(long);
	if (vm->slots)
		s->bytes += struct_size(vm->slots, slot, vm->slots->nr) +
			    vm->slots->nr * sizeof(u32);
	list_for_each_entry(t, &vm->trackers, node)
		s->bytes += sizeof(*t) + pend_bytes(t);
	s->events_lost = READ_ONCE(h->queue.lost);
}

/**
 * kvmx_stats_tracker() - KVMX_TRACKER_STATS
 * @t: the tracker
 * @s: out: all but size and flags
 *
 * Context: under kvmx_vm.lock.
 */
void kvmx_stats_tracker(struct kvmx_tracker *t, struct kvmx_tracker_stats *s)
{
	u32 i;

	lockdep_assert_held(&t->vm->lock);
	s->backend = t->vm->ring ? KVMX_BACKEND_RING : KVMX_BACKEND_BITMAP;
	s->passes = t->stats.passes;
	s->harvested_pages = t->stats.harvested_pages;
	s->absent_pages = t->stats.absent_pages;
	s->restored_pages = t->stats.restored_pages;
	s->last_pass_pages = t->stats.last_pages;
	s->last_interval_ns = t->stats.last_interval;
	s->bytes = sizeof(*t) + pend_bytes(t);
	s->pending_pages = 0;
	s->overreported_pages = t->stats.over;
	for (i = 0; i < t->vm->slots->nr; i++) {
		s->pending_pages += kvmx_pend_count(t->pend[i]);
		s->overreported_pages += t->pend[i]->over;
		cond_resched();
	}
}
