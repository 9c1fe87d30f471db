// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/far.h"

#define DONE_PORT 0x10
#define CODE 0x2000
#define CODE_SCATTER 0x2100
#define PML4 0x4000
#define PDPT 0x5000
#define NR_PDPT 2

#define PTE_TABLE 0x27UL	/* present, writable, user, accessed: nothing left to be written */
#define PTE_1G 0xe7UL		/* the same with dirty and page size */

#define MULTIPLIER 6364136223846793005UL
#define INCREMENT 1442695040888963407UL

/* rdi: where, ecx: how often, rdx: stride */
static const uint8_t code_touch[] = {
	0x89, 0x0f,			/* 1: mov %ecx,(%rdi) */
	0x48, 0x01, 0xd7,		/*    add %rdx,%rdi */
	0xff, 0xc9,			/*    dec %ecx */
	0x75, 0xf7,			/*    jnz 1b */
	0xe6, DONE_PORT,		/*    out %al,$DONE_PORT */
	0xeb, 0xfe,			/* 2: jmp 2b */
};

/* rax: seed, rdi: where, ecx: how often, r8: multiplier, r9: increment, r10: mask of the offset */
static const uint8_t code_scatter[] = {
	0x49, 0x0f, 0xaf, 0xc0,		/* 1: imul %r8,%rax */
	0x4c, 0x01, 0xc8,		/*    add %r9,%rax */
	0x48, 0x89, 0xc2,		/*    mov %rax,%rdx */
	0x48, 0xc1, 0xea, 0x14,		/*    shr $20,%rdx */
	0x4c, 0x21, 0xd2,		/*    and %r10,%rdx */
	0x89, 0x0c, 0x17,		/*    mov %ecx,(%rdi,%rdx) */
	0xff, 0xc9,			/*    dec %ecx */
	0x75, 0xe8,			/*    jnz 1b */
	0xe6, DONE_PORT,		/*    out %al,$DONE_PORT */
	0xeb, 0xfe,			/* 2: jmp 2b */
};

static void map_all(char *memory)
{
	uint64_t *pml4 = (uint64_t *)(memory + PML4), *pdpt = (uint64_t *)(memory + PDPT);
	uint64_t i;

	for (i = 0; i < NR_PDPT; i++)
		pml4[i] = (PDPT + i * PAGE_SIZE) | PTE_TABLE;
	for (i = 0; i < NR_PDPT * 512; i++)
		pdpt[i] = i << 30 | PTE_1G;
}

/* Without it KVM takes the guest for one with 36 address bits. */
static int set_cpuid(struct vm *vm)
{
	enum { ENTRIES = 256 };
	struct kvm_cpuid2 *cpuid;
	int ret = 0;

	cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));
	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = ENTRIES;
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) ||
	    ioctl(vm->vcpu[0].fd, KVM_SET_CPUID2, cpuid))
		ret = -errno;
	free(cpuid);
	return ret;
}

int far_init(struct vm *vm)
{
	struct kvm_sregs sregs;
	int ret;

	ret = set_cpuid(vm);
	if (ret)
		return ret;
	memcpy(vm->slot[0].hva + CODE, code_touch, sizeof(code_touch));
	memcpy(vm->slot[0].hva + CODE_SCATTER, code_scatter, sizeof(code_scatter));
	map_all(vm->slot[0].hva);
	if (ioctl(vm->vcpu[0].fd, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cr3 = PML4;
	sregs.cr4 |= 1 << 5;			/* PAE */
	sregs.cr0 |= 1UL << 31 | 1;		/* PG, PE */
	sregs.efer |= 1 << 8 | 1 << 10;		/* LME, LMA */
	sregs.cs.l = 1;
	sregs.cs.db = 0;
	return ioctl(vm->vcpu[0].fd, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

/* 1: the program is through, 0: go on, else -errno or an exit reason */
static int run_once(struct vm *vm, struct vcpu *vcpu)
{
	if (ioctl(vcpu->fd, KVM_RUN, 0))
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		return 1;
	case KVM_EXIT_INTR:
		return 0;
	case KVM_EXIT_DIRTY_RING_FULL:
		return vm->ring_full ? vm->ring_full(vm->ring_full_data) : -ENOSPC;
	default:
		return vcpu->run->exit_reason;
	}
}

static int run_here(struct vm *vm, struct kvm_regs *regs)
{
	struct vcpu *vcpu = &vm->vcpu[0];
	int ret;

	regs->rflags = 2;
	if (ioctl(vcpu->fd, KVM_SET_REGS, regs))
		return -errno;
	do {
		ret = run_once(vm, vcpu);
	} while (!ret);
	if (ret != 1)
		return ret;
	return ioctl(vcpu->fd, KVM_GET_REGS, regs) ? -errno : 0;
}

struct job {
	struct vm *vm;
	struct kvm_regs *regs;
	int ret;
};

static void *run_thread(void *data)
{
	struct job *job = data;

	pin_cpu(VCPU_CPU);
	job->ret = run_here(job->vm, job->regs);
	return NULL;
}

/* As in a real VMM, who harvests is another thread than who runs the vCPU, on another CPU. */
static int run(struct vm *vm, struct kvm_regs *regs)
{
	struct job job = { .vm = vm, .regs = regs };
	pthread_t thread;
	int ret;

	ret = pthread_create(&thread, NULL, run_thread, &job);
	if (ret)
		return -ret;
	pthread_join(thread, NULL);
	return job.ret;
}

int far_touch(struct vm *vm, uint64_t gpa, uint32_t count, uint64_t stride)
{
	return run(vm, &(struct kvm_regs){ .rip = CODE, .rdi = gpa, .rcx = count, .rdx = stride });
}

int far_scatter(struct vm *vm, uint64_t gpa, uint32_t count, uint32_t pages, uint64_t *seed)
{
	struct kvm_regs regs = {
		.rip = CODE_SCATTER, .rax = *seed, .rdi = gpa, .rcx = count,
		.r8 = MULTIPLIER, .r9 = INCREMENT, .r10 = (pages - 1) * PAGE_SIZE,
	};
	int ret;

	ret = run(vm, &regs);
	*seed = regs.rax;
	return ret;
}

uint32_t far_random(uint64_t *seed, uint32_t pages)
{
	*seed = *seed * MULTIPLIER + INCREMENT;
	return (*seed >> 20 & (pages - 1) * PAGE_SIZE) / PAGE_SIZE;
}
