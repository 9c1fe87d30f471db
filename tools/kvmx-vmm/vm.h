/* SPDX-License-Identifier: GPL-2.0 */
/* A virtual machine: KVM's part, memory, vCPUs and devices. */
#ifndef VMM_VM_H
#define VMM_VM_H

#include <pthread.h>

#include "bus.h"
#include "device.h"
#include "memory.h"
#include "migration.h"
#include "options.h"
#include "pci.h"
#include "ports.h"
#include "rtc.h"
#include "serial.h"
#include "vcpu.h"
#include "virtio-blk.h"

#define EXIT_TRIPLE_FAULT	124
#define EXIT_TROUBLE		125

#define SERIAL_GSI		4
/* GSI 16 to 23 reach the IOAPIC only: PCI device n has 16 + n % 8. */
#define PCI_FIRST_GSI		16
#define PCI_NR_GSI		8

struct kvm_cpuid2;

struct vm {
	const struct options *opt;
	int kvm_fd;
	int fd;
	int kvmx_fd;		/* kvmx's handle on this VM, or -1: no migration then */
	struct memory mem;
	struct kvm_cpuid2 *cpuid;	/* what all vCPUs say, but for their own id */
	struct vcpus vcpus;

	/* Held for all device emulation, whichever thread it runs in. */
	pthread_mutex_t dev_lock;
	struct bus pio;
	struct bus mmio;
	struct ports ports;
	struct rtc rtc;
	struct serial serial;
	struct pci pci;
	struct virtio_blk *disks[MAX_DISKS];
	unsigned int nr_disks;
	struct host_devices devices;

	struct migration migration;

	/* Readable when the guest has ended; its exit status then. */
	int end_fd;
	int end_status;
};

/* On failure what was made is gone again. */
int vm_init(struct vm *vm, const struct options *opt);
void vm_destroy(struct vm *vm);

/* From any thread; the first caller's status counts. */
void vm_end(struct vm *vm, int status);

void vm_irq(struct vm *vm, u32 gsi, bool level);

#endif
