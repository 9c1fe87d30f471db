/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vCPUs and the three little programs that they run: 32 bit protected mode, no paging.
 */
#ifndef SELFTEST_KVMX_VCPU_H
#define SELFTEST_KVMX_VCPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* All vCPU threads run here, everything else on CPU 0: see the runner's documentation. */
#define VCPU_CPU 1

struct kvm_run;
struct vm;

struct vcpu {
	int fd;
	struct kvm_run *run;
	size_t run_size;
	struct vm *vm;
	pthread_t thread;
	bool running;
	bool stop;
	bool again;		/* start the program anew when it is through */
	int error;		/* -errno, or the exit reason nobody expected */
	uint64_t exits_full;	/* KVM_EXIT_DIRTY_RING_FULL */
	uint64_t exits_mmio;
};

int vcpu_init(struct vcpu *vcpu, struct vm *vm, int id);
void vcpu_fini(struct vcpu *vcpu);
/* Put the programs where the guest will find them. */
void vcpu_load_programs(char *code);

/*
 * Write @value, @value + 1, ... to @count places from @gpa on, @stride bytes apart. Returns
 * when the guest is through, 0 or -errno or an exit reason.
 */
int vcpu_touch(struct vcpu *vcpu, uint32_t gpa, uint32_t count, uint32_t stride, uint32_t value);
/* Read instead of write. */
int vcpu_peek(struct vcpu *vcpu, uint32_t gpa, uint32_t count, uint32_t stride);

/* Set up endless programs for vcpu_start(): the pages over and over again, in order, ... */
int vcpu_program_sweep(struct vcpu *vcpu, uint32_t gpa, uint32_t pages, uint32_t value);
/* ... or at random, pages a power of two, @delay turns of an empty loop between two writes. */
int vcpu_program_random(struct vcpu *vcpu, uint32_t gpa, uint32_t pages, uint32_t delay,
			uint32_t seed);

/* Run on a thread. A vCPU that was stopped goes on where it was. */
int vcpu_start(struct vcpu *vcpu);
/* 0, or what went wrong since vcpu_start() */
int vcpu_stop(struct vcpu *vcpu);

#endif
