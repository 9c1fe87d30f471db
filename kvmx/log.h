/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMX_LOG_H
#define KVMX_LOG_H

#include "core.h"

#define KVMX_SEG_WORDS	8192UL	/* words of a bitmap that one KVM_CLEAR_DIRTY_LOG takes */

/**
 * struct kvmx_seg - a piece of KVM's bitmap of a memslot, in kvmx_vm.words
 * @first: first word
 * @nr: words, 0 if no bit was set
 * @pages: bits set in them
 * @end_page: page up to which the bitmap was looked at
 */
struct kvmx_seg {
	unsigned long first;
	unsigned long nr;
	u64 pages;
	unsigned long end_page;
};

bool kvmx_log_foreign(const struct kvmx_slots *s);
int kvmx_log_begin(struct kvmx_vm *vm);
int kvmx_log_ring(struct kvmx_vm *vm);
void kvmx_log_end(struct kvmx_vm *vm);
void kvmx_log_settle(struct kvmx_vm *vm);
int kvmx_log_slot(struct kvmx_vm *vm, struct kvmx_mslot *s, bool on);
void kvmx_log_rest(struct kvmx_vm *vm);
u32 kvmx_log_skip(struct kvmx_tracker *t, u32 i, unsigned long *pos);
int kvmx_put_words(u64 __user *to, const void *from, size_t nr);
int kvmx_log_read(struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long from,
		  u64 budget, struct kvmx_seg *seg);
int kvmx_log_peek(struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long from,
		  unsigned long npages);
int kvmx_log_clear(struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long first,
		   unsigned long nr);
bool kvmx_log_test(struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long page);
void kvmx_log_flush(struct kvmx_vm *vm);
void kvmx_ring_peek(struct kvmx_vm *vm);
int kvmx_ring_drain(struct kvmx_vm *vm);

#endif /* KVMX_LOG_H */
