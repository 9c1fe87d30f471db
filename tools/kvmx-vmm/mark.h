/* SPDX-License-Identifier: GPL-2.0 */
/* What devices write into guest memory is not seen by KVM's log: tell kvmx. */
#ifndef VMM_MARK_H
#define VMM_MARK_H

#include <linux/kvmx.h>

#include "util.h"

#define MARKS_MAX	64

struct vm;

struct marks {
	struct kvmx_run runs[MARKS_MAX];
	unsigned int nr;
};

/* To be called after the write; it counts once marks_flush() was called. */
void marks_add(struct vm *vm, struct marks *marks, u64 gpa, u64 len);
void marks_flush(struct vm *vm, struct marks *marks);

#endif
