/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_SLOTS_H
#define KVMXCTL_SLOTS_H

#include <stddef.h>
#include <stdint.h>

#include <linux/kvmx.h>

#define GUEST_PAGE	4096ULL

/* A stretch of the VMM's address space that holds guest memory. */
struct mem_range {
	uint64_t hva;
	uint64_t npages;
};

/*
 * The memory behind memslots, each page once although several slots may show it (QEMU gives SMM
 * an address space of its own with all memory in it again), without slots that have any of
 * @without (KVMX_SLOT_*). @ranges has room for @nr. Returns how many ranges there are.
 */
size_t slots_memory(const struct kvmx_slot *slots, size_t nr, uint32_t without,
		    struct mem_range *ranges);
uint64_t ranges_pages(const struct mem_range *ranges, size_t nr);
/* The address of page number @page of the ranges, which must have that many. */
uint64_t ranges_hva(const struct mem_range *ranges, uint64_t page);

#endif
