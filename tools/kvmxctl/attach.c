// SPDX-License-Identifier: GPL-2.0
/*
 * Gets at the VMs and trackers of processes that need not know kvmx.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <kvmx/kvmx.h>

#include "attach.h"
#include "refusal.h"

#define TRACKER_NAME	"[kvmx-tracker]"

enum ctl_exit attach_system(int *sys_fd, struct ctl_error *err)
{
	*sys_fd = kvmx_open();
	if (*sys_fd >= 0)
		return CTL_OK;
	ctl_fail_errno(err, -*sys_fd, "/dev/kvmx");
	switch (*sys_fd) {
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		err->code = CTL_NO_KVMX;
		ctl_hint(err, "kvmx is not loaded: insmod kvmx.ko (or modprobe kvmx)");
		break;
	case -EACCES:
	case -EPERM:
		ctl_hint(err, "run it as root, or as a user that may open /dev/kvmx");
		break;
	}
	return err->code;
}

/* Why the kernel would not let us at another process' fds. */
static void hint_ptrace(int pid, struct ctl_error *err)
{
	struct refusal facts;

	refusal_gather(pid, &facts);
	refusal_explain(&facts, err);
}

static enum ctl_exit steal_fd(int pidfd, const struct found_vm *found, int fd, int *copy,
			      struct ctl_error *err)
{
	int error;

	*copy = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (*copy >= 0)
		return CTL_OK;
	error = errno;
	ctl_fail_errno(err, error, "cannot get file descriptor %d of process %d", fd, found->pid);
	if (err->code == CTL_DENIED)
		hint_ptrace(found->pid, err);
	else if (error == EBADF)
		err->code = CTL_NO_VM;
	return err->code;
}

enum ctl_exit attach_found(struct attached *att, int sys_fd, const struct found_vm *found,
			   struct ctl_error *err)
{
	enum ctl_exit rc;
	int kvm_fd;

	att->found = *found;
	att->sys_fd = sys_fd;
	att->pidfd = syscall(SYS_pidfd_open, found->pid, 0);
	if (att->pidfd < 0)
		return ctl_fail_errno(err, errno, "process %d", found->pid);
	rc = steal_fd(att->pidfd, found, found->fd, &kvm_fd, err);
	if (rc)
		goto close_pidfd;
	att->vm_fd = kvmx_vm_open(sys_fd, kvm_fd, NULL, NULL);
	/* Held for long it would keep the VM from going when its VMM closes it. */
	close(kvm_fd);
	if (att->vm_fd < 0) {
		rc = ctl_fail_errno(err, -att->vm_fd, "cannot open the VM of process %d",
				    found->pid);
		goto close_pidfd;
	}
	return CTL_OK;

close_pidfd:
	close(att->pidfd);
	return rc;
}

void detach(struct attached *att)
{
	close(att->vm_fd);
	close(att->pidfd);
}

enum ctl_exit attach_refused(int pid, struct ctl_error *err)
{
	ctl_fail_errno(err, EACCES, "cannot look into process %d", pid);
	hint_ptrace(pid, err);
	return err->code;
}

static enum ctl_exit find_error(int error, const struct target *target, struct ctl_error *err)
{
	int pid = target->pid;

	switch (error) {
	case ENOENT:
	case ESRCH:
		ctl_fail(err, CTL_NO_VM, "there is no process %d", pid);
		ctl_hint(err, "see kvmxctl vm list");
		break;
	case EACCES:
	case EPERM:
		attach_refused(pid, err);
		break;
	default:
		ctl_fail_errno(err, error, "cannot look into process %d", pid);
	}
	return err->code;
}

static enum ctl_exit choose_vm(const struct found_vms *found, const struct target *target,
			       struct found_vm *vm, struct ctl_error *err)
{
	int pid = target->pid;
	size_t i;

	if (!found->nr) {
		ctl_fail(err, CTL_NO_VM, "process %d holds no KVM VM", pid);
		ctl_hint(err, "see kvmxctl vm list");
		return err->code;
	}
	if (target->fd < 0) {
		*vm = found->vms[0];
		if (found->nr == 1)
			return CTL_OK;
		ctl_fail(err, CTL_USAGE, "process %d holds %zu VMs", pid, found->nr);
		ctl_hint(err, "name one of them, as %d:%d; see kvmxctl vm list", pid,
			 found->vms[0].fd);
		return err->code;
	}
	for (i = 0; i < found->nr; i++) {
		if (found->vms[i].fd == target->fd) {
			*vm = found->vms[i];
			return CTL_OK;
		}
	}
	ctl_fail(err, CTL_NO_VM, "file descriptor %d of process %d is no VM that vm list shows",
		 target->fd, pid);
	ctl_hint(err, "see kvmxctl vm list");
	return err->code;
}

enum ctl_exit attach_target(struct attached *att, const struct target *target,
			    struct ctl_error *err)
{
	struct found_vms found;
	struct found_vm vm;
	enum ctl_exit rc;
	int sys_fd, error;

	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	error = find_vms_of(target->pid, &found);
	if (error) {
		rc = find_error(-error, target, err);
		goto close_system;
	}
	rc = choose_vm(&found, target, &vm, err);
	att->only_vm = found.nr == 1;
	found_free(&found);
	if (rc)
		goto close_system;
	rc = attach_found(att, sys_fd, &vm, err);
	if (rc)
		goto close_system;
	return CTL_OK;

close_system:
	close(sys_fd);
	return rc;
}

void detach_target(struct attached *att)
{
	detach(att);
	close(att->sys_fd);
}

enum ctl_exit attach_tracker(const struct attached *att, int fd, int *tracker,
			     struct ctl_error *err)
{
	return steal_fd(att->pidfd, &att->found, fd, tracker, err);
}

enum ctl_exit attach_find_trackers(const struct attached *att, int fds[KVMX_MAX_TRACKERS],
				   int *nr, struct ctl_error *err)
{
	int pid = att->found.pid;

	*nr = find_anon_fds(pid, TRACKER_NAME, fds, KVMX_MAX_TRACKERS);
	if (*nr < 0)
		return ctl_fail_errno(err, -*nr, "cannot look into process %d", pid);
	if (*nr > 0 && !att->only_vm) {
		*nr = 0;
		return ctl_fail(err, CTL_UNSUPPORTED,
				"process %d holds several VMs: whose tracker is whose cannot be told",
				pid);
	}
	if (*nr > KVMX_MAX_TRACKERS)
		*nr = KVMX_MAX_TRACKERS;
	return CTL_OK;
}

bool attach_alive(const struct attached *att)
{
	struct pollfd pfd = { .fd = att->pidfd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 0;
}
