/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_ATTACH_H
#define KVMXCTL_ATTACH_H

#include <stdbool.h>

#include <linux/kvmx.h>

#include "args.h"
#include "error.h"
#include "find.h"

/* Handles on a VM of another process. */
struct attached {
	struct found_vm found;
	bool only_vm;	/* of its process */
	int sys_fd;
	int pidfd;
	int vm_fd;	/* kvmx's, not KVM's */
};

/* Opens /dev/kvmx: a system fd in *@sys_fd. */
enum ctl_exit attach_system(int *sys_fd, struct ctl_error *err);

/* Gets a handle on a VM that was found; detach() it. @sys_fd stays the caller's. */
enum ctl_exit attach_found(struct attached *att, int sys_fd, const struct found_vm *found,
			   struct ctl_error *err);
/* The same from the command line's PID[:FD]; opens and closes /dev/kvmx itself. */
enum ctl_exit attach_target(struct attached *att, const struct target *target,
			    struct ctl_error *err);
void detach(struct attached *att);
void detach_target(struct attached *att);

/* A tracker of the VMM, by its fd over there; close() the one that this gives in *@tracker. */
enum ctl_exit attach_tracker(const struct attached *att, int fd, int *tracker,
			     struct ctl_error *err);
/* The fds of the VMM's trackers over there, in *@nr how many; none is no error. */
enum ctl_exit attach_find_trackers(const struct attached *att, int fds[KVMX_MAX_TRACKERS],
				   int *nr, struct ctl_error *err);

/* The error for a process that may not be looked into, with the reason. */
enum ctl_exit attach_refused(int pid, struct ctl_error *err);

/* False once the process has ended. */
bool attach_alive(const struct attached *att);

#endif
