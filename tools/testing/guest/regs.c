// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps values in registers for as long as it can. It runs whenever nothing else wants to, so
 * that a migration most likely finds them in a vCPU, not in the guest kernel's memory.
 */
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define NR_XMM	16
#define SPINS	3000000UL

static void hold(const __u64 *in, __u64 *out)
{
	unsigned long n = SPINS;

	asm volatile("movups 0x00(%1), %%xmm0\n\t"
		     "movups 0x10(%1), %%xmm1\n\t"
		     "movups 0x20(%1), %%xmm2\n\t"
		     "movups 0x30(%1), %%xmm3\n\t"
		     "movups 0x40(%1), %%xmm4\n\t"
		     "movups 0x50(%1), %%xmm5\n\t"
		     "movups 0x60(%1), %%xmm6\n\t"
		     "movups 0x70(%1), %%xmm7\n\t"
		     "movups 0x80(%1), %%xmm8\n\t"
		     "movups 0x90(%1), %%xmm9\n\t"
		     "movups 0xa0(%1), %%xmm10\n\t"
		     "movups 0xb0(%1), %%xmm11\n\t"
		     "movups 0xc0(%1), %%xmm12\n\t"
		     "movups 0xd0(%1), %%xmm13\n\t"
		     "movups 0xe0(%1), %%xmm14\n\t"
		     "movups 0xf0(%1), %%xmm15\n\t"
		     "mov 0x100(%1), %%r12\n\t"
		     "mov 0x108(%1), %%r13\n\t"
		     "mov 0x110(%1), %%r14\n\t"
		     "mov 0x118(%1), %%r15\n\t"
		     "1: dec %0\n\t"
		     "jnz 1b\n\t"
		     "movups %%xmm0, 0x00(%2)\n\t"
		     "movups %%xmm1, 0x10(%2)\n\t"
		     "movups %%xmm2, 0x20(%2)\n\t"
		     "movups %%xmm3, 0x30(%2)\n\t"
		     "movups %%xmm4, 0x40(%2)\n\t"
		     "movups %%xmm5, 0x50(%2)\n\t"
		     "movups %%xmm6, 0x60(%2)\n\t"
		     "movups %%xmm7, 0x70(%2)\n\t"
		     "movups %%xmm8, 0x80(%2)\n\t"
		     "movups %%xmm9, 0x90(%2)\n\t"
		     "movups %%xmm10, 0xa0(%2)\n\t"
		     "movups %%xmm11, 0xb0(%2)\n\t"
		     "movups %%xmm12, 0xc0(%2)\n\t"
		     "movups %%xmm13, 0xd0(%2)\n\t"
		     "movups %%xmm14, 0xe0(%2)\n\t"
		     "movups %%xmm15, 0xf0(%2)\n\t"
		     "mov %%r12, 0x100(%2)\n\t"
		     "mov %%r13, 0x108(%2)\n\t"
		     "mov %%r14, 0x110(%2)\n\t"
		     "mov %%r15, 0x118(%2)\n\t"
		     : "+r" (n)
		     : "r" (in), "r" (out)
		     : "memory", "cc", "r12", "r13", "r14", "r15",
		       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		       "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

void *regs_thread(void *arg)
{
	__u64 in[2 * NR_XMM + 4], out[2 * NR_XMM + 4], round = 0;
	size_t i;

	(void)arg;
	setpriority(PRIO_PROCESS, syscall(SYS_gettid), 19);
	while (!atomic_load(&stopping)) {
		for (i = 0; i < ARRAY_SIZE(in); i++)
			in[i] = page_mix(round << 8 | i);
		memset(out, 0, sizeof(out));
		hold(in, out);
		if (memcmp(in, out, sizeof(in)))
			check_fail("registers changed in round %llu", round);
		round++;
		atomic_fetch_add(&stats.regs, 1);
	}
	return NULL;
}
