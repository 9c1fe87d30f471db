/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the calls of a program work on: a process that is a VMM, its VM and its descriptors.
 */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/vdev.h"
#include "lib/vm.h"

enum fd_kind {
	FD_SYSTEM,
	FD_VM,
	FD_TRACKER,
	FD_KVM_VM,
	FD_DEVICE,
	FD_CONTAINER,
	FD_KINDS,
};

#define WORLD_FDS 24
#define WORLD_SLOTS 6
#define WORLD_SLOT_PAGES 256
#define WORLD_BUFFER (1UL << 20)

struct world {
	struct vm vm;
	/* Descriptors by kind: taken, replaced and closed by any thread at any time. */
	int fd[FD_KINDS][WORLD_FDS];
	char *mem;		/* guest memory, all slots */
	char *buffer;		/* for arguments of any length; behind it is nothing */
	char *readonly;
	struct vdev device;	/* not open if this machine has none */
	bool has_device;
	bool guest;		/* runs one: see do_guest() */
};

/* 0 or -errno */
int world_open(struct world *w, bool guest, bool device);
/* A descriptor, mostly of that kind; -1 if there is none. */
int world_fd(struct world *w, enum fd_kind kind, uint32_t pick);
/* Keeps a new one, in the place of an old one if need be. */
void world_keep(struct world *w, enum fd_kind kind, int fd, uint32_t pick);
void world_close(struct world *w, enum fd_kind kind, uint32_t pick);

#endif
