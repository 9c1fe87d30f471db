/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_FIND_H
#define KVMXCTL_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "identity.h"

/* A VM as procfs shows it: a process that holds a fd of it. */
struct found_vm {
	pid_t pid;
	int fd;			/* -1: a VMM by its name, which may not be looked into */
	unsigned int vcpu_fds;	/* that the process holds, of all its VMs */
	char vmm[64];		/* name of the program */
	struct identity id;
};

struct found_vms {
	struct found_vm *vms;
	size_t nr;
	unsigned int hidden;	/* processes that could not be looked into */
};

/*
 * All VMs, one entry each: of several processes that hold one (a VMM hands it to a helper) the
 * one with most vCPUs. And processes that seem to be VMMs but may not be looked into. Returns 0 or
 * -errno; release with found_free().
 */
int find_vms(struct found_vms *found);
/* The VMs that a process holds. */
int find_vms_of(pid_t pid, struct found_vms *found);
void found_free(struct found_vms *found);

/*
 * The fds of a process that are anonymous inodes called @name. Returns how many there are, of
 * which the first @max are stored, or -errno.
 */
int find_anon_fds(pid_t pid, const char *name, int *fds, size_t max);

#endif
