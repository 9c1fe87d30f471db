// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/kx.h"
#include "world.h"

static int guest_memory(struct world *w)
{
	uint64_t bytes = WORLD_SLOT_PAGES * PAGE_SIZE;
	uint32_t i;
	int err;

	w->mem = mmap(NULL, WORLD_SLOTS * bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->mem == MAP_FAILED)
		return -errno;
	for (i = 0; i < WORLD_SLOTS; i++) {
		err = vm_map_slot(&w->vm, i + 1, VM_DATA_GFN + i * WORLD_SLOT_PAGES,
				  WORLD_SLOT_PAGES, w->mem + i * bytes, 0);
		if (err)
			return err;
	}
	return 0;
}

int world_open(struct world *w, bool guest, bool device)
{
	uint32_t i;
	int err;

	memset(w->fd, -1, sizeof(w->fd));
	w->guest = guest;
	w->buffer = map_before_hole(WORLD_BUFFER);
	w->readonly = map_readonly("read-only", 10);
	if (!w->buffer || !w->readonly)
		return -ENOMEM;
	err = vm_create(&w->vm, next_random(&(uint32_t){ getpid() * 2 + 1 }) & 1 ?
			VM_RING_BYTES : 0);
	if (!err)
		err = guest_memory(w);
	if (err)
		return err;
	w->fd[FD_KVM_VM][0] = w->vm.fd;
	w->fd[FD_SYSTEM][0] = kx_system();
	for (i = 0; i < 2; i++) {
		w->fd[FD_VM][i] = kx_vm(w->vm.fd);
		kx_nonblock(w->fd[FD_VM][i]);
	}
	w->fd[FD_TRACKER][0] = kx_tracker(w->fd[FD_VM][0], 0);
	if (!device)
		return 0;
	/* The last worker that had it may not be gone yet. */
	for (i = 0; i < 50 && !w->has_device; i++) {
		w->has_device = !vdev_open(&w->device, VDEV_NVME, w->vm.fd);
		if (!w->has_device)
			sleep_ms(20);
	}
	if (w->has_device) {
		w->fd[FD_DEVICE][0] = w->device.fd;
		w->fd[FD_CONTAINER][0] = w->device.container;
	}
	return 0;
}

int world_fd(struct world *w, enum fd_kind kind, uint32_t pick)
{
	uint32_t i;
	int fd;

	/* Now and then one that does not fit. */
	if (pick % 61 == 0)
		kind = pick / 61 % FD_KINDS;
	for (i = 0; i < WORLD_FDS; i++) {
		fd = __atomic_load_n(&w->fd[kind][(pick + i) % WORLD_FDS], __ATOMIC_RELAXED);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

void world_keep(struct world *w, enum fd_kind kind, int fd, uint32_t pick)
{
	/* Places 0 stay: the VM, and what everything else comes from. */
	uint32_t at = 1 + pick % (WORLD_FDS - 1);
	int old = __atomic_exchange_n(&w->fd[kind][at], fd, __ATOMIC_RELAXED);

	if (old >= 0)
		close(old);
}

void world_close(struct world *w, enum fd_kind kind, uint32_t pick)
{
	world_keep(w, kind, -1, pick);
}
