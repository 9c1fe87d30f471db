// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/util.h"
#include "lib/vcpu.h"
#include "lib/vm.h"

#define SIG_KICK SIGUSR1
#define DONE_PORT 0x10

#define CODE_TOUCH 0x1000
#define CODE_PEEK 0x1100
#define CODE_RANDOM 0x1200

/* edi: where, ecx: how often, edx: stride, ebx: value */
static const uint8_t code_touch[] = {
	0x89, 0x1f,			/* 1: mov %ebx,(%edi) */
	0x43,				/*    inc %ebx */
	0x01, 0xd7,			/*    add %edx,%edi */
	0x49,				/*    dec %ecx */
	0x75, 0xf8,			/*    jnz 1b */
	0xe6, DONE_PORT,		/*    out %al,$DONE_PORT */
	0xeb, 0xfe,			/* 2: jmp 2b */
};

/* edi: where, ecx: how often, edx: stride */
static const uint8_t code_peek[] = {
	0x8b, 0x07,			/* 1: mov (%edi),%eax */
	0x01, 0xd7,			/*    add %edx,%edi */
	0x49,				/*    dec %ecx */
	0x75, 0xf9,			/*    jnz 1b */
	0xe6, DONE_PORT,		/*    out %al,$DONE_PORT */
	0xeb, 0xfe,			/* 2: jmp 2b */
};

/* eax: seed, edi: where, ebp: mask of the offset, ebx: value, esi: delay */
static const uint8_t code_random[] = {
	0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00,	/* 1: imul $1664525,%eax,%eax */
	0x05, 0x5f, 0xf3, 0x6e, 0x3c,		/*    add $1013904223,%eax */
	0x89, 0xc2,				/*    mov %eax,%edx */
	0xc1, 0xea, 0x04,			/*    shr $4,%edx */
	0x21, 0xea,				/*    and %ebp,%edx */
	0x89, 0x1c, 0x17,			/*    mov %ebx,(%edi,%edx) */
	0x43,					/*    inc %ebx */
	0x89, 0xf1,				/*    mov %esi,%ecx */
	0x49,					/* 2: dec %ecx */
	0x75, 0xfd,				/*    jnz 2b */
	0xeb, 0xe3,				/*    jmp 1b */
};

static void on_kick(int sig)
{
	(void)sig;
}

void vcpu_load_programs(char *code)
{
	memcpy(code + CODE_TOUCH, code_touch, sizeof(code_touch));
	memcpy(code + CODE_PEEK, code_peek, sizeof(code_peek));
	memcpy(code + CODE_RANDOM, code_random, sizeof(code_random));
}

static int flat_protected_mode(int fd)
{
	struct kvm_segment seg = {
		.limit = 0xffffffff, .selector = 8, .type = 11,
		.present = 1, .db = 1, .s = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	if (ioctl(fd, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cr0 |= 1;
	sregs.cs = seg;
	seg.type = 3;
	seg.selector = 16;
	sregs.ds = seg;
	sregs.es = seg;
	sregs.fs = seg;
	sregs.gs = seg;
	sregs.ss = seg;
	return ioctl(fd, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

int vcpu_init(struct vcpu *vcpu, struct vm *vm, int id)
{
	struct sigaction action = { .sa_handler = on_kick };
	int ret;

	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->vm = vm;
	/* No SA_RESTART: the kick has to get KVM_RUN out of the kernel. */
	sigaction(SIG_KICK, &action, NULL);
	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, id);
	if (vcpu->fd < 0)
		return -errno;
	vcpu->run_size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		ret = -errno;
		goto err_close;
	}
	ret = flat_protected_mode(vcpu->fd);
	if (ret)
		goto err_unmap;
	return 0;

err_unmap:
	munmap(vcpu->run, vcpu->run_size);
err_close:
	close(vcpu->fd);
	return ret;
}

void vcpu_fini(struct vcpu *vcpu)
{
	vcpu_stop(vcpu);
	munmap(vcpu->run, vcpu->run_size);
	close(vcpu->fd);
}

/* 1: the program is through, 0: go on, else -errno or the exit reason */
static int run_once(struct vcpu *vcpu)
{
	if (ioctl(vcpu->fd, KVM_RUN, 0))
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		return 1;
	case KVM_EXIT_MMIO:
		/* A write to where a slot has just been removed. */
		vcpu->exits_mmio++;
		return 0;
	case KVM_EXIT_INTR:
		return 0;
	case KVM_EXIT_DIRTY_RING_FULL:
		vcpu->exits_full++;
		if (vcpu->vm->ring_full)
			return vcpu->vm->ring_full(vcpu->vm->ring_full_data);
		return vcpu->run->exit_reason;
	default:
		return vcpu->run->exit_reason;
	}
}

static int set_regs(struct vcpu *vcpu, struct kvm_regs regs)
{
	regs.rflags = 2;
	regs.rsp = 0x8000;
	return ioctl(vcpu->fd, KVM_SET_REGS, &regs) ? -errno : 0;
}

/* To its end, on this thread but on the vCPUs' CPU. */
static int run_program(struct vcpu *vcpu, struct kvm_regs regs)
{
	int ret;

	ret = set_regs(vcpu, regs);
	if (ret)
		return ret;
	pin_cpu(VCPU_CPU);
	vcpu->run->immediate_exit = 0;
	do {
		ret = run_once(vcpu);
	} while (!ret);
	pin_cpu(0);
	return ret == 1 ? 0 : ret;
}

int vcpu_touch(struct vcpu *vcpu, uint32_t gpa, uint32_t count, uint32_t stride, uint32_t value)
{
	return run_program(vcpu, (struct kvm_regs){
		.rip = CODE_TOUCH, .rdi = gpa, .rcx = count, .rdx = stride, .rbx = value });
}

int vcpu_peek(struct vcpu *vcpu, uint32_t gpa, uint32_t count, uint32_t stride)
{
	return run_program(vcpu, (struct kvm_regs){
		.rip = CODE_PEEK, .rdi = gpa, .rcx = count, .rdx = stride });
}

int vcpu_program_sweep(struct vcpu *vcpu, uint32_t gpa, uint32_t pages, uint32_t value)
{
	vcpu->again = true;
	return set_regs(vcpu, (struct kvm_regs){ .rip = CODE_TOUCH, .rdi = gpa, .rcx = pages,
						 .rdx = PAGE_SIZE, .rbx = value });
}

int vcpu_program_random(struct vcpu *vcpu, uint32_t gpa, uint32_t pages, uint32_t delay,
			uint32_t seed)
{
	vcpu->again = false;
	return set_regs(vcpu, (struct kvm_regs){
		.rip = CODE_RANDOM, .rax = seed * 2654435761U, .rdi = gpa,
		.rbp = (pages - 1) * PAGE_SIZE | 0xffc, .rbx = seed << 28, .rsi = delay });
}

static void *vcpu_thread(void *data)
{
	struct vcpu *vcpu = data;
	struct kvm_regs regs;
	int ret = 0;

	pin_cpu(VCPU_CPU);
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs)) {
		vcpu->error = -errno;
		return NULL;
	}
	while (!__atomic_load_n(&vcpu->stop, __ATOMIC_ACQUIRE)) {
		ret = run_once(vcpu);
		if (ret == 1 && vcpu->again)
			ret = set_regs(vcpu, regs);
		if (ret)
			break;
	}
	vcpu->error = ret == 1 ? 0 : ret;
	return NULL;
}

int vcpu_start(struct vcpu *vcpu)
{
	int ret;

	vcpu->stop = false;
	vcpu->error = 0;
	vcpu->run->immediate_exit = 0;
	ret = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	vcpu->running = !ret;
	return -ret;
}

int vcpu_stop(struct vcpu *vcpu)
{
	if (!vcpu->running)
		return 0;
	__atomic_store_n(&vcpu->stop, true, __ATOMIC_RELEASE);
	/* Not yet in KVM_RUN: this makes it leave at once. Inside: the signal does. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, SIG_KICK);
	pthread_join(vcpu->thread, NULL);
	vcpu->running = false;
	return vcpu->error;
}
