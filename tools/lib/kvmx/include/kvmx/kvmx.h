/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * libkvmx: one function per ioctl of kvmx.ko.
 *
 * Every function returns 0, a file descriptor or a count where it says so, and a negative errno
 * value on failure; none of them touches errno's value on purpose or prints anything. They keep no
 * state and may be called from any thread. <linux/kvmx.h> says what each ioctl does and which
 * errors it gives; the comments here only say what these functions add.
 */
#ifndef _KVMX_KVMX_H
#define _KVMX_KVMX_H

#include <stddef.h>
#include <stdint.h>
#include <linux/kvmx.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/**
 * kvmx_open() - open /dev/kvmx
 *
 * Return: a system fd (O_CLOEXEC), or a negative errno value: -ENOENT if the module is not loaded,
 * -EACCES if the caller may not use it.
 */
int kvmx_open(void);

/**
 * kvmx_info() - ask what this kvmx can do
 * @sys_fd: what kvmx_open() gave
 * @info: filled in
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_info(int sys_fd, struct kvmx_info *info);

/**
 * kvmx_feature() - ask about one feature
 * @sys_fd: what kvmx_open() gave
 * @feature: KVMX_FEAT_*
 * @value: filled in; 0 if this host does not offer the feature
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_feature(int sys_fd, uint32_t feature, uint64_t *value);

/**
 * kvmx_vm_open() - get a handle on a VM
 * @sys_fd: what kvmx_open() gave
 * @vm_fd: the VM, as KVM_CREATE_VM gave it
 * @uuid: its UUID, or NULL to leave it as it is
 * @label: a name for people, or NULL to leave it as it is
 *
 * Return: a kvmx VM fd, or a negative errno value: -EINVAL also for a @label that is too long.
 */
int kvmx_vm_open(int sys_fd, int vm_fd, const uint8_t uuid[KVMX_UUID_LEN], const char *label);

/**
 * kvmx_vm_info() - ask about a VM
 * @fd: a kvmx VM fd
 * @info: filled in
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_vm_info(int fd, struct kvmx_vm_info *info);

/**
 * kvmx_vm_slots() - list the memslots of a VM
 * @fd: a kvmx VM fd
 * @slots: set to an array that the caller has to free(), or to NULL if there are none
 *
 * Asks again for as long as memslots are added faster than memory is made for them.
 *
 * Return: the number of memslots, or a negative errno value.
 */
int kvmx_vm_slots(int fd, struct kvmx_slot **slots);

/**
 * kvmx_vm_mark() - tell kvmx that the VMM has written to guest memory
 * @fd: a kvmx VM fd
 * @runs: what was written; the address space is in the upper 16 bits of slot
 * @nr_runs: entries in @runs, any number
 * @dropped: NULL, or set to the number of pages that lie in no memslot
 *
 * Call it after the write. More than KVMX_MAX_RUNS runs are passed on in several calls.
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_vm_mark(int fd, const struct kvmx_run *runs, size_t nr_runs, uint64_t *dropped);

/**
 * kvmx_vm_mark_range() - tell kvmx that the VMM has written to one range of guest memory
 * @fd: a kvmx VM fd
 * @as: KVM's address space, 0 outside of SMM
 * @gfn: first guest frame
 * @npages: number of pages
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_vm_mark_range(int fd, uint32_t as, uint64_t gfn, uint32_t npages);

/**
 * kvmx_vm_sample() - measure the dirty curve before any migration
 * @fd: a kvmx VM fd
 * @sample: in and out; this function sets size and point_size
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_vm_sample(int fd, struct kvmx_vm_sample *sample);

/**
 * kvmx_vm_stats() - read the counters of a VM
 * @fd: a kvmx VM fd
 * @stats: filled in
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_vm_stats(int fd, struct kvmx_vm_stats *stats);

/**
 * kvmx_tracker_create() - make a consumer of dirty pages
 * @fd: a kvmx VM fd
 * @flags: 0 or KVMX_TRACKER_CLEAN
 *
 * Return: a tracker fd, or a negative errno value.
 */
int kvmx_tracker_create(int fd, uint32_t flags);

/**
 * kvmx_harvest() - take the dirty pages
 * @fd: a tracker fd
 * @harvest: in and out; this function sets size and run_size
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_harvest(int fd, struct kvmx_harvest *harvest);

/**
 * kvmx_restore() - give back pages that were taken and not delivered
 * @fd: a tracker fd
 * @runs: the pages; the address space is in the upper 16 bits of slot
 * @nr_runs: entries in @runs, any number
 * @dropped: NULL, or set to the number of pages that lie in no memslot any more
 *
 * More than KVMX_MAX_RUNS runs are passed on in several calls.
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_restore(int fd, const struct kvmx_run *runs, size_t nr_runs, uint64_t *dropped);

/**
 * kvmx_tracker_stats() - read the counters of a tracker
 * @fd: a tracker fd
 * @stats: filled in
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_tracker_stats(int fd, struct kvmx_tracker_stats *stats);

/**
 * kvmx_tracker_curve() - read the dirty curve that a tracker's harvests have shown
 * @fd: a tracker fd
 * @points: room for the curve
 * @nr_points: room in @points, 1 to KVMX_MAX_POINTS
 * @total_pages: NULL, or set to the number of pages in the memslots
 *
 * Return: the number of points, or a negative errno value.
 */
int kvmx_tracker_curve(int fd, struct kvmx_point *points, uint32_t nr_points,
		       uint64_t *total_pages);

/**
 * kvmx_predict() - ask how a live migration would end
 * @fd: a system fd, a kvmx VM fd or a tracker fd
 * @predict: in and out; this function sets size and point_size
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_predict(int fd, struct kvmx_predict *predict);

/**
 * kvmx_ksm_host_set() - set what holds for merging on the whole host
 * @sys_fd: a system fd
 * @policy: the policy; a number that is 0 stands for its default
 * @flags: KVMX_KSM_HOST_BIND, KVMX_KSM_HOST_TAKE
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_ksm_host_set(int sys_fd, const struct kvmx_ksm_policy *policy, uint32_t flags);

/**
 * kvmx_ksm_host_get() - read policy, estimate and counters
 * @sys_fd: a system fd
 * @host: filled in
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_ksm_host_get(int sys_fd, struct kvmx_ksm_host_get *host);

/**
 * kvmx_ksm_plan() - ask what would be merged next, and why
 * @sys_fd: a system fd
 * @flags: KVMX_KSM_PLAN_FRESH
 * @plan: filled in
 * @vms: set to an array that the caller frees, or NULL after an error
 *
 * Return: the number of entries in @vms, or a negative errno value.
 */
int kvmx_ksm_plan(int sys_fd, uint32_t flags, struct kvmx_ksm_plan *plan,
		  struct kvmx_ksm_plan_vm **vms);

/**
 * kvmx_vm_ksm_set() - say whether a VM's memory may be merged
 * kvmx_lease_acquire() - keep devices for a VM
 * @sys_fd: what kvmx_open() gave
 * @uuid: UUID of the VM
 * @devices: the devices
 * @nr_devices: entries in @devices
 * @uid: a user whose VMs may give themselves this UUID, or KVMX_LEASE_NO_UID
 * @flags: 0 or KVMX_LEASE_FORCE
 *
 * Return: how many devices the UUID has leased now, or a negative errno value.
 */
int kvmx_lease_acquire(int sys_fd, const uint8_t uuid[KVMX_UUID_LEN],
		       const struct kvmx_pci_addr *devices, uint32_t nr_devices, uint32_t uid,
		       uint32_t flags);

/**
 * kvmx_lease_release() - let leased devices go
 * @sys_fd: what kvmx_open() gave
 * @uuid: UUID of the VM
 * @devices: the devices, or NULL for all
 * @nr_devices: entries in @devices, or 0
 * @flags: 0 or KVMX_LEASE_FORCE
 *
 * Return: how many devices were released, or a negative errno value.
 */
int kvmx_lease_release(int sys_fd, const uint8_t uuid[KVMX_UUID_LEN],
		       const struct kvmx_pci_addr *devices, uint32_t nr_devices, uint32_t flags);

/**
 * kvmx_lease_list() - list all leased devices
 * @sys_fd: what kvmx_open() gave
 * @leases: set to an array that the caller frees with free(3), or NULL if there is none
 *
 * Return: how many there are, or a negative errno value.
 */
int kvmx_lease_list(int sys_fd, struct kvmx_lease **leases);

/**
 * kvmx_dev_report() - ask for all that matters about a PCI device
 * @sys_fd: what kvmx_open() gave
 * @report: in: addr and flags, all else zero; out: filled in, but members is not
 * @members: set to an array that the caller frees with free(3)
 *
 * Return: how many members there are, the device itself being the first, or a negative errno value.
 */
int kvmx_dev_report(int sys_fd, struct kvmx_dev_report *report, struct kvmx_dev_member **members);

/**
 * kvmx_dma_declare() - say that devices may write to guest memory from now on
 * @fd: a kvmx VM fd
 * @as: KVM's address space, 0 outside of SMM
 * @gfn: first guest frame
 * @npages: number of pages
 * @flags: 0 or KVMX_DMA_ALWAYS
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_dma_declare(int fd, uint32_t as, uint64_t gfn, uint64_t npages, uint32_t flags);

/**
 * kvmx_dma_withdraw() - say that they may not any more
 * @fd: the kvmx VM fd it was declared by
 * @as: as declared
 * @gfn: as declared
 * @npages: as declared
 * @flags: as declared
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_dma_withdraw(int fd, uint32_t as, uint64_t gfn, uint64_t npages, uint32_t flags);

/**
 * kvmx_vm_quiesce() - stop the DMA and the interrupts of a VM's devices
 * @fd: a kvmx VM fd
 * @flags: KVMX_QUIESCE_*
 * @nr_unproven: NULL, or set to how many devices could not prove that they have drained
 *
 * Return: how many devices are quiesced, or a negative errno value.
 */
int kvmx_vm_quiesce(int fd, uint32_t flags, uint32_t *nr_unproven);

/**
 * kvmx_vm_resume() - undo kvmx_vm_quiesce()
 * @fd: a kvmx VM fd
 *
 * Return: how many devices were resumed, or a negative errno value.
 */
int kvmx_vm_resume(int fd);

/**
 * kvmx_vm_devices() - list the devices that are open for a VM
 * @fd: a kvmx VM fd
 * @devices: set to an array that the caller frees with free(3), or NULL if there is none
 *
 * Return: how many there are, or a negative errno value.
 */
int kvmx_vm_devices(int fd, struct kvmx_vm_device **devices);

/**
 * kvmx_read_event() - wait for an event of a VM
 * @fd: a kvmx VM fd
 * @mode: KVMX_KSM_UNSET, _OFF, _AUTO or _ALWAYS
 * @weight: in 1/100, 0 for 100
 * @domain: UUID of the trust domain, all zero for its own, or NULL to leave it
 * @flags: KVMX_VM_KSM_KEEP
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_vm_ksm_set(int fd, uint32_t mode, uint32_t weight, const uint8_t domain[KVMX_UUID_LEN],
		    uint32_t flags);

/**
 * kvmx_vm_ksm_get() - read what is done with a VM's memory, and why
 * @fd: a kvmx VM fd
 * @ksm: filled in
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_vm_ksm_get(int fd, struct kvmx_vm_ksm_get *ksm);

/**
 * kvmx_vm_ksm_pin() - say that memory is about to be pinned for DMA, or is not any more
 * @fd: a kvmx VM fd
 * @gfn: first guest frame
 * @npages: pages, at least 1
 * @flags: 0 or KVMX_VM_KSM_UNPIN
 *
 * Return: 0 or a negative errno value.
 */
int kvmx_vm_ksm_pin(int fd, uint64_t gfn, uint64_t npages, uint32_t flags);

/**
 * kvmx_read_event() - wait for an event of a VM or of the host
 * @fd: a kvmx VM fd, or a system fd opened with CAP_SYS_ADMIN
 * @event: filled in
 * @timeout_ms: how long to wait; 0: not at all; negative: without bound
 *
 * Return: 1 if there was an event, 0 if the VM is dead and no event is left, -EAGAIN if none came
 * in time, or another negative errno value.
 */
int kvmx_read_event(int fd, struct kvmx_event *event, int timeout_ms);

/**
 * kvmx_hint() - say what to do about an error
 * @ioctl_nr: the ioctl that failed, KVMX_*; 0 for opening /dev/kvmx
 * @err: the errno value, of either sign
 *
 * Return: a sentence without a full stop for an error message, or NULL if there is nothing to say
 * that strerror(3) does not.
 */
const char *kvmx_hint(unsigned long ioctl_nr, int err);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* _KVMX_KVMX_H */
