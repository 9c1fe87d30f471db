// SPDX-License-Identifier: GPL-2.0
/*
 * What keeps an emulated test machine going, for as long as it runs.
 *
 * Two VMs with a vCPU: one with an interrupt controller, one without.
 * With the first VM and vCPU of a kind the host kernel rewrites its own code (jump labels in the
 * scheduler, on the way into a guest), and with the last ones back. QEMU 7.2's emulation can then
 * keep on running the int3 that stands there meanwhile, on both CPUs, for ever. With one of each
 * more than the tests have there is no first and no last one.
 *
 * And a thread on each CPU that wakes the other. QEMU's emulation of SVM changes the word of
 * pending interrupts on the way into a guest and out of it without the lock that others change it
 * under: an interrupt that comes at that moment is in the local APIC, but the CPU is not told
 * until the next one comes. If that was its timer's, an idle CPU and all guests on it sleep for
 * seconds, until some other CPU happens to want something of it. Now one does at least every 20
 * ms.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CPUS		2
#define PERIOD_MS	20

static int bell[CPUS];

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

/* Real time, so that to be woken takes an interrupt even if the CPU is busy. */
static int settle_on(uintptr_t cpu)
{
	const struct sched_param param = { .sched_priority = 1 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) ||
	    sched_setscheduler(0, SCHED_FIFO, &param)) {
		perror("keep: CPU");
		return 1;
	}
	return 0;
}

/* Wakes the other CPU whenever nobody has woken this one for a while. */
static void *wake(void *data)
{
	uintptr_t cpu = (uintptr_t)data;
	struct pollfd own = { .fd = bell[cpu], .events = POLLIN };
	eventfd_t value;

	if (settle_on(cpu))
		return NULL;
	for (;;) {
		if (poll(&own, 1, PERIOD_MS) > 0)
			eventfd_read(own.fd, &value);
		else
			eventfd_write(bell[!cpu], 1);
	}
}

static int start_wakers(void)
{
	pthread_t thread;
	uintptr_t cpu;

	for (cpu = 0; cpu < CPUS; cpu++) {
		bell[cpu] = eventfd(0, EFD_CLOEXEC);
		if (bell[cpu] < 0) {
			perror("keep: eventfd");
			return 1;
		}
	}
	for (cpu = 0; cpu < CPUS; cpu++) {
		if (pthread_create(&thread, NULL, wake, (void *)cpu)) {
			fprintf(stderr, "keep: no thread\n");
			return 1;
		}
	}
	return 0;
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
		if (make_vms() || start_wakers() || write(ready[1], "", 1) != 1)
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
