// SPDX-License-Identifier: GPL-2.0
/*
 * The KVM side of the test guest.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest_code.h"
#include "guest_vm.h"

#define MEMORY_SLOT	0
#define CODE_SLOT	1

/* The same as in guest_code.S. */
uint32_t guest_vm_next(uint32_t *seed, uint32_t pages)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8 & (pages - 1);
}

static void set_slot(struct guest_vm *vm, uint32_t slot, uint32_t flags, uint64_t gpa,
		     const void *memory, uint64_t size)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)memory,
	};

	if (ioctl(vm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region))
		err(1, "KVM_SET_USER_MEMORY_REGION");
}

static uint64_t memory_size(const struct guest_vm *vm)
{
	return vm->nr_pages * 4096ULL;
}

/* Pages of 4 KiB alone: a huge page would populate what was never touched. */
static void *map_memory(uint64_t size, bool shared)
{
	int fd = -1, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *memory;

	if (shared) {
		fd = memfd_create("guest", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, size))
			err(1, "memfd");
		flags = MAP_SHARED;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	madvise(memory, size, MADV_NOHUGEPAGE);
	return memory;
}

/* 32 bits, flat, no paging. */
static void set_mode(struct guest_vm *vm)
{
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1,
		.g = 1,
	};
	struct kvm_segment code = data;
	struct kvm_sregs sregs;

	code.selector = 0x8;
	code.type = 11;
	if (ioctl(vm->vcpu_fd, KVM_GET_SREGS, &sregs))
		err(1, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = data;
	sregs.es = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.ss = data;
	sregs.cr0 |= 1;
	if (ioctl(vm->vcpu_fd, KVM_SET_SREGS, &sregs))
		err(1, "KVM_SET_SREGS");
}

void guest_vm_create(struct guest_vm *vm, uint32_t mib, bool shared)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	void *code;

	if (kvm < 0)
		err(1, "/dev/kvm");
	vm->vm_fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm->vm_fd < 0)
		err(1, "KVM_CREATE_VM");
	/* Intel's real mode needs a place for its TSS. */
	ioctl(vm->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000UL);

	vm->nr_pages = mib << 8;
	vm->memory = map_memory(memory_size(vm), shared);
	set_slot(vm, MEMORY_SLOT, 0, 0, vm->memory, memory_size(vm));
	code = map_memory(4096, false);
	memcpy(code, guest_code, guest_code_end - guest_code);
	set_slot(vm, CODE_SLOT, KVM_MEM_READONLY, memory_size(vm), code, 4096);

	vm->vcpu_fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu_fd < 0)
		err(1, "KVM_CREATE_VCPU");
	vm->run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		       MAP_SHARED, vm->vcpu_fd, 0);
	if (vm->run == MAP_FAILED)
		err(1, "mmap of the vCPU");
	set_mode(vm);
	close(kvm);
}

uint32_t guest_vm_write(struct guest_vm *vm, uint32_t seed, uint32_t nr, uint32_t pages,
			uint32_t value)
{
	struct kvm_regs regs = {
		.rax = seed, .rbx = pages - 1, .rcx = nr, .rdx = value,
		.rip = memory_size(vm), .rflags = 2,
	};

	if (ioctl(vm->vcpu_fd, KVM_SET_REGS, &regs))
		err(1, "KVM_SET_REGS");
	if (ioctl(vm->vcpu_fd, KVM_RUN, 0))
		err(1, "KVM_RUN");
	if (vm->run->exit_reason != KVM_EXIT_HLT)
		errx(1, "the guest stopped for reason %u", vm->run->exit_reason);
	if (ioctl(vm->vcpu_fd, KVM_GET_REGS, &regs))
		err(1, "KVM_GET_REGS");
	return regs.rax;
}

void guest_vm_log(struct guest_vm *vm, bool on)
{
	set_slot(vm, MEMORY_SLOT, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, 0, vm->memory,
		 memory_size(vm));
	vm->logging = on;
}

void guest_vm_bitmap(struct guest_vm *vm, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = MEMORY_SLOT, .dirty_bitmap = bitmap };

	if (ioctl(vm->vm_fd, KVM_GET_DIRTY_LOG, &log))
		err(1, "KVM_GET_DIRTY_LOG");
}
