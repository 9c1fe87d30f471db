// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps two VMs with a vCPU for as long as a test machine runs: one with an interrupt controller,
 * one without.
 *
 * With the first VM and vCPU of a kind the host kernel rewrites its own code (jump labels in the
 * scheduler, on the way into a guest), and with the last ones back. QEMU 7.2's emulation can then
 * keep on running the int3 that stands there meanwhile, on both CPUs, for ever. With one of each
 * more than the tests have there is no first and no last one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int make_vm(int kvm, int irqchip)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);

	if (vm < 0 || (irqchip && ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0) ||
	    ioctl(vm, KVM_CREATE_VCPU, 0) < 0) {
		perror("keep: KVM");
		return 1;
	}
	return 0;
}

static int make_vms(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0) {
		perror("keep: /dev/kvm");
		return 1;
	}
	return make_vm(kvm, 0) || make_vm(kvm, 1);
}

int main(void)
{
	int ready[2];
	char byte;

	/* The VM belongs to the process that makes it: that one must stay. */
	if (pipe2(ready, O_CLOEXEC))
		return 1;
	switch (fork()) {
	case -1:
		return 1;
	case 0:
		if (make_vms() || write(ready[1], "", 1) != 1)
			return 1;
		close(ready[1]);
		setsid();
		return pause();
	default:
		/* What starts next finds the VM there. */
		close(ready[1]);
		return read(ready[0], &byte, 1) == 1 ? 0 : 1;
	}
}
