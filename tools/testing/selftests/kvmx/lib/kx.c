// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/kx.h"
#include "lib/util.h"

int kx_ioctl(int fd, unsigned long nr, void *arg)
{
	int ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

int kx_system(void)
{
	int fd = open("/dev/kvmx", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int kx_vm(int kvm_vm_fd)
{
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open, .vm_fd = kvm_vm_fd);
	int sys, ret;

	sys = kx_system();
	if (sys < 0)
		return sys;
	ret = kx_ioctl(sys, KVMX_VM_OPEN, &arg);
	close(sys);
	return ret;
}

int kx_tracker(int vm, uint32_t flags)
{
	struct kvmx_tracker_create arg = KX_ARG(kvmx_tracker_create, .flags = flags);

	return kx_ioctl(vm, KVMX_TRACKER_CREATE, &arg);
}

int kx_info(int vm, struct kvmx_vm_info *info)
{
	*info = KX_ARG(kvmx_vm_info);
	return kx_ioctl(vm, KVMX_VM_INFO, info);
}

int kx_vm_stats(int vm, struct kvmx_vm_stats *stats)
{
	*stats = KX_ARG(kvmx_vm_stats);
	return kx_ioctl(vm, KVMX_VM_STATS, stats);
}

bool kx_logging_ends(int vm)
{
	uint64_t end = deadline_ns(3);
	struct kvmx_vm_info info;

	do {
		if (kx_info(vm, &info))
			return false;
		if (!(info.state & KVMX_VM_LOGGING))
			return true;
		sleep_ms(5);
	} while (now_ns() < end);
	return false;
}

int kx_slots(int vm, struct kvmx_slot *slots, uint32_t *nr)
{
	struct kvmx_vm_slots arg = KX_ARG(kvmx_vm_slots, .slots = (uintptr_t)slots,
					  .nr_slots = *nr, .slot_size = sizeof(*slots));
	int ret = kx_ioctl(vm, KVMX_VM_SLOTS, &arg);

	*nr = arg.nr_slots;
	return ret;
}

int kx_tracker_stats(int tracker, struct kvmx_tracker_stats *stats)
{
	*stats = KX_ARG(kvmx_tracker_stats);
	return kx_ioctl(tracker, KVMX_TRACKER_STATS, stats);
}

int kx_mark(int vm, const struct kvmx_run *runs, uint32_t nr, uint64_t *dropped)
{
	struct kvmx_vm_mark arg = KX_ARG(kvmx_vm_mark, .runs = (uintptr_t)runs, .nr_runs = nr,
					 .run_size = sizeof(*runs));
	int ret;

	ret = kx_ioctl(vm, KVMX_VM_MARK, &arg);
	if (dropped)
		*dropped = arg.dropped;
	return ret;
}

int kx_mark_pages(int vm, uint64_t gfn, uint32_t npages)
{
	struct kvmx_run run = { .gfn = gfn, .npages = npages };

	return kx_mark(vm, &run, 1, NULL);
}

int kx_restore(int tracker, const struct kvmx_run *runs, uint32_t nr, uint64_t *dropped)
{
	struct kvmx_restore arg = KX_ARG(kvmx_restore, .runs = (uintptr_t)runs, .nr_runs = nr,
					 .run_size = sizeof(*runs));
	int ret;

	ret = kx_ioctl(tracker, KVMX_RESTORE, &arg);
	if (dropped)
		*dropped = arg.dropped;
	return ret;
}

int kx_collect(int tracker)
{
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .flags = KVMX_HARVEST_COLLECT,
					 .run_size = sizeof(struct kvmx_run));

	return kx_ioctl(tracker, KVMX_HARVEST, &arg);
}

int kx_sample(int vm, uint32_t nr_samples, uint64_t duration_ns, struct kvmx_point *points,
	      struct kvmx_vm_sample *sample)
{
	*sample = KX_ARG(kvmx_vm_sample, .nr_samples = nr_samples, .nr_points = KVMX_MAX_POINTS,
			 .duration_ns = duration_ns, .points = (uintptr_t)points,
			 .point_size = sizeof(*points));
	return kx_ioctl(vm, KVMX_VM_SAMPLE, sample);
}

int kx_event(int vm, struct kvmx_event *event)
{
	ssize_t n = read(vm, event, sizeof(*event));

	if (n < 0)
		return -errno;
	return n == sizeof(*event) ? 0 : -EIO;
}

void kx_nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int kx_vm_uuid(int kvm_vm_fd, uint8_t uuid)
{
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open, .vm_fd = kvm_vm_fd);
	int sys = kx_system(), ret;

	if (sys < 0)
		return sys;
	memset(arg.uuid, uuid, sizeof(arg.uuid));
	ret = kx_ioctl(sys, KVMX_VM_OPEN, &arg);
	close(sys);
	return ret;
}

static int on_system(unsigned long nr, void *arg)
{
	int sys = kx_system(), ret;

	if (sys < 0)
		return sys;
	ret = kx_ioctl(sys, nr, arg);
	close(sys);
	return ret;
}

int kx_lease(uint8_t uuid, const struct kvmx_pci_addr *addr, uint32_t nr, uint32_t uid,
	     uint32_t flags)
{
	struct kvmx_lease_acquire arg = KX_ARG(kvmx_lease_acquire, .flags = flags, .uid = uid,
					       .devices = (uintptr_t)addr, .nr_devices = nr,
					       .device_size = sizeof(*addr));
	int ret;

	memset(arg.uuid, uuid, sizeof(arg.uuid));
	ret = on_system(KVMX_LEASE_ACQUIRE, &arg);
	return ret < 0 ? ret : (int)arg.nr_leased;
}

int kx_unlease(uint8_t uuid, const struct kvmx_pci_addr *addr, uint32_t nr, uint32_t flags)
{
	struct kvmx_lease_release arg = KX_ARG(kvmx_lease_release, .flags = flags,
					       .devices = (uintptr_t)addr, .nr_devices = nr,
					       .device_size = sizeof(*addr));
	int ret;

	memset(arg.uuid, uuid, sizeof(arg.uuid));
	ret = on_system(KVMX_LEASE_RELEASE, &arg);
	return ret < 0 ? ret : (int)arg.nr_released;
}

int kx_leases(struct kvmx_lease *leases, uint32_t room, uint32_t *nr)
{
	struct kvmx_lease_list arg = KX_ARG(kvmx_lease_list, .leases = (uintptr_t)leases,
					    .nr_leases = room, .lease_size = sizeof(*leases));
	int ret = on_system(KVMX_LEASE_LIST, &arg);

	*nr = arg.nr_leases;
	return ret;
}

int kx_dma(int vm, bool declare, uint64_t gfn, uint64_t npages, uint32_t flags)
{
	/* Both have the same arguments. */
	struct kvmx_dma_declare arg = KX_ARG(kvmx_dma_declare, .flags = flags, .gfn = gfn,
					     .npages = npages);

	return kx_ioctl(vm, declare ? KVMX_DMA_DECLARE : KVMX_DMA_WITHDRAW, &arg);
}

int kx_quiesce(int vm, uint32_t flags, struct kvmx_vm_quiesce *q)
{
	*q = KX_ARG(kvmx_vm_quiesce, .flags = flags);
	return kx_ioctl(vm, KVMX_VM_QUIESCE, q);
}

int kx_resume(int vm)
{
	struct kvmx_vm_resume arg = KX_ARG(kvmx_vm_resume);
	int ret = kx_ioctl(vm, KVMX_VM_RESUME, &arg);

	return ret < 0 ? ret : (int)arg.nr_devices;
}

int kx_devices(int vm, struct kvmx_vm_device *devices, uint32_t room)
{
	struct kvmx_vm_devices arg = KX_ARG(kvmx_vm_devices, .devices = (uintptr_t)devices,
					    .nr_devices = room, .device_size = sizeof(*devices));
	int ret = kx_ioctl(vm, KVMX_VM_DEVICES, &arg);

	return ret < 0 ? ret : (int)arg.nr_devices;
}
