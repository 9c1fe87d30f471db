// SPDX-License-Identifier: LGPL-2.1
/* What to do about an error: what strerror(3) cannot know. */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

static const struct {
	unsigned long nr;	/* ~0UL: any ioctl */
	int err;
	const char *text;
} hints[] = {
	{ 0, ENOENT, "kvmx.ko is not loaded: modprobe kvmx" },
	{ 0, EACCES, "the device /dev/kvmx is not open to this user: ask for its group" },
	{ KVMX_VM_OPEN, EBADF, "the VM's file descriptor is not open" },
	{ KVMX_VM_OPEN, EINVAL, "this is not the fd of a KVM VM, or the label is not printable" },
	{ KVMX_VM_OPEN, EPERM, "UUID and label are for the process that created the VM to give" },
	{ KVMX_VM_OPEN, EEXIST, "the VM was given another UUID or label before; leave them out" },
	{ KVMX_VM_MARK, EINVAL, "a run is empty or wraps around; no page was marked" },
	{ KVMX_RESTORE, EINVAL, "a run is empty or wraps around; no page was restored" },
	{ KVMX_VM_SAMPLE, EBUSY, "a tracker or a sample is active, or the VMM logs by itself" },
	{ KVMX_VM_SAMPLE, EOPNOTSUPP,
	  "the VMM has enabled the dirty ring, which cannot be sampled: use a tracker's curve" },
	{ KVMX_VM_SAMPLE, ENODATA, "the VM has no memory that could be sampled" },
	{ KVMX_TRACKER_CREATE, EBUSY,
	  "the VMM logs dirty pages by itself, or a sample is under way: stop that, try again" },
	{ KVMX_TRACKER_CREATE, EUSERS, "the VM has as many trackers as it may: close one" },
	{ KVMX_TRACKER_CURVE, ENODATA, "harvest at least twice before asking for the curve" },
	{ KVMX_PREDICT, ENODATA, "there is no dirty curve yet: sample the VM, or harvest twice" },
	{ ~0UL, EXDEV, "only a thread of the process that created the VM may do this" },
	{ ~0UL, ENODEV, "the VM is dead" },
	{ ~0UL, ENOTTY, "this file descriptor is of another kind, or not kvmx's" },
	{ ~0UL, E2BIG, "this program is newer than the kvmx.ko that is loaded" },
	{ ~0UL, EOPNOTSUPP, "this kvmx.ko or this host does not offer that" },
};

const char *kvmx_hint(unsigned long ioctl_nr, int err)
{
	size_t i;

	err = abs(err);
	for (i = 0; i < ARRAY_SIZE(hints); i++) {
		if (hints[i].err != err)
			continue;
		if (hints[i].nr == ioctl_nr || (hints[i].nr == ~0UL && ioctl_nr))
			return hints[i].text;
	}
	return NULL;
}
