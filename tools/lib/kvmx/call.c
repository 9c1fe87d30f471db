// SPDX-License-Identifier: LGPL-2.1
/* One function per ioctl. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <kvmx/kvmx.h>

static int call(int fd, unsigned long nr, void *arg)
{
	int ret = ioctl(fd, nr, arg);

	return ret < 0 ? -errno : ret;
}

int kvmx_open(void)
{
	int fd = open("/dev/kvmx", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int kvmx_info(int sys_fd, struct kvmx_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return call(sys_fd, KVMX_INFO, info);
}

int kvmx_feature(int sys_fd, uint32_t feature, uint64_t *value)
{
	struct kvmx_feature arg = { .size = sizeof(arg), .feature = feature };
	int ret = call(sys_fd, KVMX_FEATURE, &arg);

	if (!ret)
		*value = arg.value;
	return ret;
}

int kvmx_vm_open(int sys_fd, int vm_fd, const uint8_t uuid[KVMX_UUID_LEN], const char *label)
{
	struct kvmx_vm_open arg = { .size = sizeof(arg), .vm_fd = vm_fd };

	if (uuid)
		memcpy(arg.uuid, uuid, sizeof(arg.uuid));
	if (label) {
		/* The kernel would see a cut label as a good one. */
		if (strlen(label) >= sizeof(arg.label))
			return -EINVAL;
		strcpy(arg.label, label);
	}
	return call(sys_fd, KVMX_VM_OPEN, &arg);
}

int kvmx_vm_info(int fd, struct kvmx_vm_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return call(fd, KVMX_VM_INFO, info);
}

int kvmx_vm_slots(int fd, struct kvmx_slot **slots)
{
	struct kvmx_vm_slots arg = {
		.size = sizeof(arg),
		.slot_size = sizeof(struct kvmx_slot),
	};
	struct kvmx_slot *array = NULL, *larger;
	int ret;

	*slots = NULL;
	for (;;) {
		arg.slots = (uintptr_t)array;
		ret = call(fd, KVMX_VM_SLOTS, &arg);
		if (ret != -ENOSPC)
			break;
		larger = reallocarray(array, arg.nr_slots, sizeof(*array));
		if (!larger) {
			ret = -ENOMEM;
			break;
		}
		array = larger;
	}
	if (ret < 0 || !arg.nr_slots) {
		free(array);
		return ret;
	}
	*slots = array;
	return arg.nr_slots;
}

int kvmx_vm_mark(int fd, const struct kvmx_run *runs, size_t nr_runs, uint64_t *dropped)
{
	uint64_t sum = 0;
	int ret = 0;

	while (nr_runs) {
		struct kvmx_vm_mark arg = {
			.size = sizeof(arg),
			.runs = (uintptr_t)runs,
			.nr_runs = nr_runs < KVMX_MAX_RUNS ? nr_runs : KVMX_MAX_RUNS,
			.run_size = sizeof(*runs),
		};

		ret = call(fd, KVMX_VM_MARK, &arg);
		if (ret)
			break;
		sum += arg.dropped;
		runs += arg.nr_runs;
		nr_runs -= arg.nr_runs;
	}
	if (dropped)
		*dropped = sum;
	return ret;
}

int kvmx_vm_mark_range(int fd, uint32_t as, uint64_t gfn, uint32_t npages)
{
	struct kvmx_run run = { .gfn = gfn, .npages = npages, .slot = as << 16 };

	return kvmx_vm_mark(fd, &run, 1, NULL);
}

int kvmx_vm_sample(int fd, struct kvmx_vm_sample *sample)
{
	sample->size = sizeof(*sample);
	sample->point_size = sizeof(struct kvmx_point);
	return call(fd, KVMX_VM_SAMPLE, sample);
}

int kvmx_vm_stats(int fd, struct kvmx_vm_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	return call(fd, KVMX_VM_STATS, stats);
}

int kvmx_tracker_create(int fd, uint32_t flags)
{
	struct kvmx_tracker_create arg = { .size = sizeof(arg), .flags = flags };

	return call(fd, KVMX_TRACKER_CREATE, &arg);
}

int kvmx_harvest(int fd, struct kvmx_harvest *harvest)
{
	harvest->size = sizeof(*harvest);
	harvest->run_size = sizeof(struct kvmx_run);
	return call(fd, KVMX_HARVEST, harvest);
}

int kvmx_restore(int fd, const struct kvmx_run *runs, size_t nr_runs, uint64_t *dropped)
{
	uint64_t sum = 0;
	int ret = 0;

	while (nr_runs) {
		struct kvmx_restore arg = {
			.size = sizeof(arg),
			.runs = (uintptr_t)runs,
			.nr_runs = nr_runs < KVMX_MAX_RUNS ? nr_runs : KVMX_MAX_RUNS,
			.run_size = sizeof(*runs),
		};

		ret = call(fd, KVMX_RESTORE, &arg);
		if (ret)
			break;
		sum += arg.dropped;
		runs += arg.nr_runs;
		nr_runs -= arg.nr_runs;
	}
	if (dropped)
		*dropped = sum;
	return ret;
}

int kvmx_tracker_stats(int fd, struct kvmx_tracker_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	return call(fd, KVMX_TRACKER_STATS, stats);
}

int kvmx_tracker_curve(int fd, struct kvmx_point *points, uint32_t nr_points,
		       uint64_t *total_pages)
{
	struct kvmx_tracker_curve arg = {
		.size = sizeof(arg),
		.nr_points = nr_points,
		.point_size = sizeof(*points),
		.points = (uintptr_t)points,
	};
	int ret = call(fd, KVMX_TRACKER_CURVE, &arg);

	if (ret < 0)
		return ret;
	if (total_pages)
		*total_pages = arg.total_pages;
	return arg.nr_points;
}

int kvmx_predict(int fd, struct kvmx_predict *predict)
{
	predict->size = sizeof(*predict);
	predict->point_size = sizeof(struct kvmx_point);
	return call(fd, KVMX_PREDICT, predict);
}

int kvmx_lease_acquire(int sys_fd, const uint8_t uuid[KVMX_UUID_LEN],
		       const struct kvmx_pci_addr *devices, uint32_t nr_devices, uint32_t uid,
		       uint32_t flags)
{
	struct kvmx_lease_acquire arg = {
		.size = sizeof(arg),
		.flags = flags,
		.devices = (uintptr_t)devices,
		.nr_devices = nr_devices,
		.device_size = sizeof(*devices),
		.uid = uid,
	};
	int ret;

	memcpy(arg.uuid, uuid, sizeof(arg.uuid));
	ret = call(sys_fd, KVMX_LEASE_ACQUIRE, &arg);
	return ret < 0 ? ret : (int)arg.nr_leased;
}

int kvmx_lease_release(int sys_fd, const uint8_t uuid[KVMX_UUID_LEN],
		       const struct kvmx_pci_addr *devices, uint32_t nr_devices, uint32_t flags)
{
	struct kvmx_lease_release arg = {
		.size = sizeof(arg),
		.flags = flags,
		.devices = (uintptr_t)devices,
		.nr_devices = nr_devices,
		.device_size = sizeof(*devices),
	};
	int ret;

	memcpy(arg.uuid, uuid, sizeof(arg.uuid));
	ret = call(sys_fd, KVMX_LEASE_RELEASE, &arg);
	return ret < 0 ? ret : (int)arg.nr_released;
}

int kvmx_lease_list(int sys_fd, struct kvmx_lease **leases)
{
	struct kvmx_lease_list arg = { .size = sizeof(arg), .lease_size = sizeof(**leases) };
	struct kvmx_lease *array = NULL, *larger;
	int ret;

	*leases = NULL;
	for (;;) {
		arg.leases = (uintptr_t)array;
		ret = call(sys_fd, KVMX_LEASE_LIST, &arg);
		if (ret != -ENOSPC)
			break;
		larger = reallocarray(array, arg.nr_leases, sizeof(*array));
		if (!larger) {
			ret = -ENOMEM;
			break;
		}
		array = larger;
	}
	if (ret < 0 || !arg.nr_leases) {
		free(array);
		return ret;
	}
	*leases = array;
	return arg.nr_leases;
}

int kvmx_dev_report(int sys_fd, struct kvmx_dev_report *report, struct kvmx_dev_member **members)
{
	struct kvmx_dev_member *array = NULL, *larger;
	uint32_t nr = 0;
	int ret;

	*members = NULL;
	report->size = sizeof(*report);
	report->member_size = sizeof(*array);
	for (;;) {
		report->members = (uintptr_t)array;
		report->nr_members = nr;
		ret = call(sys_fd, KVMX_DEV_REPORT, report);
		if (ret != -ENOSPC)
			break;
		nr = report->nr_members;
		larger = reallocarray(array, nr, sizeof(*array));
		if (!larger) {
			ret = -ENOMEM;
			break;
		}
		array = larger;
	}
	report->members = 0;
	if (ret < 0) {
		free(array);
		return ret;
	}
	*members = array;
	return report->nr_members;
}

int kvmx_dma_declare(int fd, uint32_t as, uint64_t gfn, uint64_t npages, uint32_t flags)
{
	struct kvmx_dma_declare arg = {
		.size = sizeof(arg),
		.flags = flags,
		.gfn = gfn,
		.npages = npages,
		.slot = as << 16,
	};

	return call(fd, KVMX_DMA_DECLARE, &arg);
}

int kvmx_dma_withdraw(int fd, uint32_t as, uint64_t gfn, uint64_t npages, uint32_t flags)
{
	struct kvmx_dma_withdraw arg = {
		.size = sizeof(arg),
		.flags = flags,
		.gfn = gfn,
		.npages = npages,
		.slot = as << 16,
	};

	return call(fd, KVMX_DMA_WITHDRAW, &arg);
}

int kvmx_vm_quiesce(int fd, uint32_t flags, uint32_t *nr_unproven)
{
	struct kvmx_vm_quiesce arg = { .size = sizeof(arg), .flags = flags };
	int ret = call(fd, KVMX_VM_QUIESCE, &arg);

	if (ret < 0)
		return ret;
	if (nr_unproven)
		*nr_unproven = arg.nr_unproven;
	return arg.nr_devices;
}

int kvmx_vm_resume(int fd)
{
	struct kvmx_vm_resume arg = { .size = sizeof(arg) };
	int ret = call(fd, KVMX_VM_RESUME, &arg);

	return ret < 0 ? ret : (int)arg.nr_devices;
}

int kvmx_vm_devices(int fd, struct kvmx_vm_device **devices)
{
	struct kvmx_vm_devices arg = { .size = sizeof(arg), .device_size = sizeof(**devices) };
	struct kvmx_vm_device *array = NULL, *larger;
	int ret;

	*devices = NULL;
	for (;;) {
		arg.devices = (uintptr_t)array;
		ret = call(fd, KVMX_VM_DEVICES, &arg);
		if (ret != -ENOSPC)
			break;
		larger = reallocarray(array, arg.nr_devices, sizeof(*array));
		if (!larger) {
			ret = -ENOMEM;
			break;
		}
		array = larger;
	}
	if (ret < 0 || !arg.nr_devices) {
		free(array);
		return ret;
	}
	*devices = array;
	return arg.nr_devices;
}

int kvmx_ksm_host_set(int sys_fd, const struct kvmx_ksm_policy *policy, uint32_t flags)
{
	struct kvmx_ksm_host_set arg = {
		.size = sizeof(arg),
		.flags = flags,
		.policy = *policy,
	};

	return call(sys_fd, KVMX_KSM_HOST_SET, &arg);
}

int kvmx_ksm_host_get(int sys_fd, struct kvmx_ksm_host_get *host)
{
	memset(host, 0, sizeof(*host));
	host->size = sizeof(*host);
	return call(sys_fd, KVMX_KSM_HOST_GET, host);
}

int kvmx_ksm_plan(int sys_fd, uint32_t flags, struct kvmx_ksm_plan *plan,
		  struct kvmx_ksm_plan_vm **vms)
{
	struct kvmx_ksm_plan_vm *array = NULL, *larger;
	uint32_t nr = 0;
	int ret;

	*vms = NULL;
	for (;;) {
		memset(plan, 0, sizeof(*plan));
		plan->size = sizeof(*plan);
		plan->flags = flags;
		plan->vms = (uintptr_t)array;
		plan->nr_vms = nr;
		plan->vm_size = sizeof(*array);
		ret = call(sys_fd, KVMX_KSM_PLAN, plan);
		if (ret != -ENOSPC)
			break;
		/* Room for some more: VMs come and go. */
		nr = plan->nr_vms + 4;
		larger = realloc(array, nr * sizeof(*array));
		if (!larger) {
			ret = -ENOMEM;
			break;
		}
		array = larger;
		/* What was asked for was seen when the first answer did not fit. */
		flags &= ~KVMX_KSM_PLAN_FRESH;
	}
	if (ret < 0) {
		free(array);
		return ret;
	}
	*vms = array;
	return plan->nr_vms;
}

int kvmx_vm_ksm_set(int fd, uint32_t mode, uint32_t weight, const uint8_t domain[KVMX_UUID_LEN],
		    uint32_t flags)
{
	struct kvmx_vm_ksm_set arg = {
		.size = sizeof(arg),
		.flags = flags,
		.mode = mode,
		.weight = weight,
	};

	if (domain) {
		arg.flags |= KVMX_VM_KSM_DOMAIN;
		memcpy(arg.domain, domain, sizeof(arg.domain));
	}
	return call(fd, KVMX_VM_KSM_SET, &arg);
}

int kvmx_vm_ksm_get(int fd, struct kvmx_vm_ksm_get *ksm)
{
	memset(ksm, 0, sizeof(*ksm));
	ksm->size = sizeof(*ksm);
	return call(fd, KVMX_VM_KSM_GET, ksm);
}

int kvmx_vm_ksm_pin(int fd, uint64_t gfn, uint64_t npages, uint32_t flags)
{
	struct kvmx_vm_ksm_pin arg = {
		.size = sizeof(arg),
		.flags = flags,
		.gfn = gfn,
		.npages = npages,
	};

	return call(fd, KVMX_VM_KSM_PIN, &arg);
}

int kvmx_read_event(int fd, struct kvmx_event *event, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t len;
	int ret;

	/* read(2) would block: the fd may be shared, so O_NONBLOCK is not ours to set. */
	ret = poll(&pfd, 1, timeout_ms);
	if (ret < 0)
		return -errno;
	if (!ret)
		return -EAGAIN;
	len = read(fd, event, sizeof(*event));
	if (len < 0)
		return -errno;
	return len > 0;
}
