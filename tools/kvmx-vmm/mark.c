// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include <kvmx/kvmx.h>

#include "mark.h"
#include "vm.h"

void marks_add(struct vm *vm, struct marks *marks, u64 gpa, u64 len)
{
	u64 first = gpa / PAGE_SIZE;
	u64 end = (gpa + len + PAGE_SIZE - 1) / PAGE_SIZE;
	struct kvmx_run *last;

	/* Not only while we migrate: without a tracker it does nothing, and is cheap. */
	if (vm->kvmx_fd < 0 || !len)
		return;
	if (marks->nr) {
		last = &marks->runs[marks->nr - 1];
		if (first >= last->gfn && end <= last->gfn + last->npages)
			return;
		if (first == last->gfn + last->npages && last->npages < 1 << 20) {
			last->npages += end - first;
			return;
		}
	}
	if (marks->nr == MARKS_MAX)
		marks_flush(vm, marks);
	marks->runs[marks->nr++] = (struct kvmx_run){ .gfn = first, .npages = end - first };
}

void marks_flush(struct vm *vm, struct marks *marks)
{
	int err;

	if (!marks->nr)
		return;
	err = kvmx_vm_mark(vm->kvmx_fd, marks->runs, marks->nr, NULL);
	marks->nr = 0;
	/* A page that migration does not learn of is a corrupt guest over there. */
	if (err) {
		say("cannot mark pages dirty: %s", strerror(-err));
		vm_end(vm, EXIT_TROUBLE);
	}
}
