/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kvmx's ioctls with their usual arguments. All give 0 or a file descriptor, or -errno.
 */
#ifndef SELFTEST_KVMX_KX_H
#define SELFTEST_KVMX_KX_H

#include <linux/kvmx.h>
#include <stdbool.h>
#include <stdint.h>

/* For literals and locals: sets size, and the ioctl sees nothing uninitialised. */
#define KX_ARG(type, ...) ((struct type){ .size = sizeof(struct type), ##__VA_ARGS__ })

int kx_ioctl(int fd, unsigned long nr, void *arg);

int kx_system(void);
/* A VM handle, by way of a system fd of its own. */
int kx_vm(int kvm_vm_fd);
int kx_tracker(int vm, uint32_t flags);

int kx_info(int vm, struct kvmx_vm_info *info);
int kx_vm_stats(int vm, struct kvmx_vm_stats *stats);
/* The last tracker went elsewhere, and a work item is at it: wait up to three seconds. */
bool kx_logging_ends(int vm);
int kx_slots(int vm, struct kvmx_slot *slots, uint32_t *nr);
int kx_tracker_stats(int tracker, struct kvmx_tracker_stats *stats);
int kx_mark(int vm, const struct kvmx_run *runs, uint32_t nr, uint64_t *dropped);
int kx_mark_pages(int vm, uint64_t gfn, uint32_t npages);
int kx_restore(int tracker, const struct kvmx_run *runs, uint32_t nr, uint64_t *dropped);
int kx_collect(int tracker);
int kx_sample(int vm, uint32_t nr_samples, uint64_t duration_ns, struct kvmx_point *points,
	      struct kvmx_vm_sample *sample);
/* Reads one event; -EAGAIN if there is none and the fd does not block */
int kx_event(int vm, struct kvmx_event *event);
void kx_nonblock(int fd);
/* A VM handle that gives the VM a UUID, all bytes of it @uuid */
int kx_vm_uuid(int kvm_vm_fd, uint8_t uuid);

/* Devices. @uuid as above; @nr 0 with RELEASE: all */
int kx_lease(uint8_t uuid, const struct kvmx_pci_addr *addr, uint32_t nr, uint32_t uid,
	     uint32_t flags);
int kx_unlease(uint8_t uuid, const struct kvmx_pci_addr *addr, uint32_t nr, uint32_t flags);
int kx_leases(struct kvmx_lease *leases, uint32_t room, uint32_t *nr);
int kx_dma(int vm, bool declare, uint64_t gfn, uint64_t npages, uint32_t flags);
int kx_quiesce(int vm, uint32_t flags, struct kvmx_vm_quiesce *q);
int kx_resume(int vm);
/* How many, or -errno */
int kx_devices(int vm, struct kvmx_vm_device *devices, uint32_t room);

#endif
