// SPDX-License-Identifier: LGPL-2.1
/*
 * Gives a device to a VM, a step at a time, and takes it back.
 *
 * The order is forced: VFIO hands out a device only of a viable group in a container with an
 * IOMMU; kvmx_vfio_pci.ko wants to know the VM by then, for leases; memory is mapped last, since
 * it costs most, and the device is silent until its VMM switches bus mastering on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "assign.h"

int assign_fail(struct kvmx_assign_vm *vm, int err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(vm->reason, sizeof(vm->reason), fmt, args);
	va_end(args);
	return err;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int get_state(struct kvmx_assign_vm *vm)
{
	struct kvmx_assign_state *state = vm->state;

	if (state)
		return 0;
	state = calloc(1, sizeof(*state));
	if (!state)
		return assign_fail(vm, -ENOMEM, "out of memory");
	state->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (state->container < 0) {
		int err = -errno;

		free(state);
		return assign_fail(vm, err, "/dev/vfio/vfio: %s", strerror(-err));
	}
	vm->state = state;
	return 0;
}

static void put_state(struct kvmx_assign_vm *vm)
{
	struct kvmx_assign_state *state = vm->state;

	if (!state || state->devices || state->groups)
		return;
	close_fd(&state->container);
	free(state->routes);
	free(state->map);
	free(state);
	vm->state = NULL;
}

/* KVM learns of the group, and VFIO of the VM: without that no lease can be checked. */
static int tell_kvm(struct kvmx_assign_vm *vm, const struct group *g, uint64_t what)
{
	int32_t fd = g->fd;
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = what,
		.addr = (uintptr_t)&fd,
	};

	return ioctl(vm->kvm_vfio_fd, KVM_SET_DEVICE_ATTR, &attr) ? -errno : 0;
}

static int have_kvm_vfio(struct kvmx_assign_vm *vm)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	int err;

	if (vm->kvm_vfio_fd >= 0)
		return 0;
	if (!ioctl(vm->kvm_fd, KVM_CREATE_DEVICE, &create)) {
		vm->kvm_vfio_fd = create.fd;
		return 0;
	}
	err = -errno;
	return assign_fail(vm, err, "cannot make KVM's VFIO device: %s%s", strerror(-err),
			   err == -EBUSY ? " (the VM has one: give it in kvm_vfio_fd)" : "");
}

static int open_group(struct kvmx_assign_vm *vm, int nr, int *fd)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/dev/vfio/%d", nr);
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0) {
		err = -errno;
		return assign_fail(vm, err, "%s: %s%s", path, strerror(-err),
				   err == -EBUSY ? " (another process has this group)" : "");
	}
	if (ioctl(*fd, VFIO_GROUP_GET_STATUS, &status))
		err = assign_fail(vm, -errno, "%s: %m", path);
	else if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		err = assign_blame(vm, nr);
	else
		return 0;
	close_fd(fd);
	return err;
}

/* The first group decides what IOMMU it is. */
static int join_container(struct kvmx_assign_vm *vm, struct group *g)
{
	struct kvmx_assign_state *state = vm->state;
	bool first = !state->groups;

	if (ioctl(g->fd, VFIO_GROUP_SET_CONTAINER, &state->container))
		return assign_fail(vm, -errno, "IOMMU group %d: cannot join the others: %m", g->nr);
	if (first && ioctl(state->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
		int err = assign_fail(vm, -errno, "IOMMU group %d: cannot use the IOMMU: %m%s",
				      g->nr, errno == EPERM ?
				      " (is interrupt remapping on?)" : "");

		ioctl(g->fd, VFIO_GROUP_UNSET_CONTAINER);
		return err;
	}
	return 0;
}

static int get_group(struct kvmx_assign_vm *vm, int nr, struct group **result)
{
	struct group *g;
	int err;

	for (g = vm->state->groups; g && g->nr != nr; g = g->next)
		;
	if (g)
		goto found;
	g = calloc(1, sizeof(*g));
	if (!g)
		return assign_fail(vm, -ENOMEM, "out of memory");
	g->nr = nr;
	err = open_group(vm, nr, &g->fd);
	if (err)
		goto free_group;
	err = join_container(vm, g);
	if (err)
		goto close_group;
	err = tell_kvm(vm, g, KVM_DEV_VFIO_GROUP_ADD);
	if (err) {
		assign_fail(vm, err, "IOMMU group %d: KVM does not take it: %s", nr,
			    strerror(-err));
		goto leave_container;
	}
	g->next = vm->state->groups;
	vm->state->groups = g;
found:
	g->devices++;
	*result = g;
	return 0;
leave_container:
	ioctl(g->fd, VFIO_GROUP_UNSET_CONTAINER);
close_group:
	close_fd(&g->fd);
free_group:
	free(g);
	return err;
}

static void put_group(struct kvmx_assign_vm *vm, struct group *g)
{
	struct group **link;

	if (--g->devices)
		return;
	for (link = &vm->state->groups; *link != g; link = &(*link)->next)
		;
	*link = g->next;
	/* With the last group the IOMMU goes, and with it the mappings: unmap before. */
	if (!vm->state->groups)
		assign_dma_drop(vm);
	tell_kvm(vm, g, KVM_DEV_VFIO_GROUP_DEL);
	ioctl(g->fd, VFIO_GROUP_UNSET_CONTAINER);
	close_fd(&g->fd);
	free(g);
}

static const char *refusal(int err)
{
	switch (err) {
	case -EACCES:
		return " (it is leased, and this VM has no UUID)";
	case -EPERM:
		return " (it is leased for another VM, or nobody vouches for this one's UUID)";
	case -EBUSY:
		return " (it is open already, or another VM of its lease has a device)";
	default:
		return "";
	}
}

static int open_device(struct assigned *d)
{
	struct kvmx_device *dev = &d->dev;
	struct vfio_device_info info = { .argsz = sizeof(info) };
	int err;

	/* Resets it, too, if it can be: whoever had it before does not shine through. */
	dev->fd = ioctl(d->group->fd, VFIO_GROUP_GET_DEVICE_FD, dev->bdf);
	if (dev->fd < 0) {
		err = -errno;
		return assign_fail(dev->vm, err, "%s: %s%s", dev->bdf, strerror(-err),
				   refusal(err));
	}
	if (!ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &info)) {
		dev->can_reset = info.flags & VFIO_DEVICE_FLAGS_RESET;
		return 0;
	}
	err = assign_fail(dev->vm, -errno, "%s: %m", dev->bdf);
	close_fd(&dev->fd);
	return err;
}

static void unlink_device(struct assigned *d)
{
	struct assigned **link;

	for (link = &d->dev.vm->state->devices; *link != d; link = &(*link)->next)
		;
	*link = d->next;
}

/* VFIO would open it again for the same process. */
static bool has(const struct kvmx_assign_vm *vm, const char *bdf)
{
	const struct assigned *d;

	for (d = vm->state ? vm->state->devices : NULL; d; d = d->next) {
		if (!strcmp(d->dev.bdf, bdf))
			return true;
	}
	return false;
}

static int set_up(struct assigned *d)
{
	int err;

	err = assign_regions(d);
	if (!err)
		err = assign_irqs(d);
	return err ? err : assign_dma_sync(d->dev.vm);
}

int kvmx_assign(struct kvmx_assign_vm *vm, const char *bdf, struct kvmx_device **device)
{
	struct assigned *d;
	int err, group;

	vm->reason[0] = '\0';
	d = calloc(1, sizeof(*d));
	if (!d)
		return assign_fail(vm, -ENOMEM, "out of memory");
	d->dev.vm = vm;
	err = assign_find(vm, bdf, d->dev.bdf, &group);
	if (!err && has(vm, d->dev.bdf))
		err = assign_fail(vm, -EBUSY, "%s: this VM has it already", d->dev.bdf);
	if (!err)
		err = get_state(vm);
	if (err)
		goto free_device;
	err = have_kvm_vfio(vm);
	if (!err)
		err = get_group(vm, group, &d->group);
	if (err)
		goto put_state;
	err = open_device(d);
	if (err)
		goto put_group;
	d->next = vm->state->devices;
	vm->state->devices = d;
	err = set_up(d);
	if (err)
		goto close_device;
	*device = &d->dev;
	return 0;
close_device:
	assign_regions_drop(d);
	unlink_device(d);
	close_fd(&d->dev.fd);
put_group:
	put_group(vm, d->group);
put_state:
	put_state(vm);
free_device:
	free(d);
	return err;
}

void kvmx_unassign(struct kvmx_device *device)
{
	struct kvmx_assign_vm *vm;
	struct assigned *d;

	if (!device)
		return;
	d = assigned_of(device);
	vm = device->vm;
	assign_irqs_drop(d);
	assign_regions_drop(d);
	unlink_device(d);
	/* Stops its DMA, and resets it if it can be. */
	close_fd(&device->fd);
	put_group(vm, d->group);
	put_state(vm);
	free(d);
}

int kvmx_assign_sync(struct kvmx_assign_vm *vm)
{
	return vm->state ? assign_dma_sync(vm) : 0;
}

int kvmx_device_reset(struct kvmx_device *device)
{
	if (!device->can_reset)
		return assign_fail(device->vm, -EOPNOTSUPP, "%s: no reset for it alone",
				   device->bdf);
	if (ioctl(device->fd, VFIO_DEVICE_RESET))
		return assign_fail(device->vm, -errno, "%s: cannot be reset: %m", device->bdf);
	return 0;
}
