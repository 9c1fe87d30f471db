/* SPDX-License-Identifier: GPL-2.0 */
/* The vCPU threads: what they run, when they stop. */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <pthread.h>

#include "options.h"
#include "util.h"

struct kvm_run;
struct vm;

/* Why the vCPUs stand still. They run when no reason is left. */
#define PAUSE_START	(1U << 0)	/* nothing to run yet */
#define PAUSE_USER	(1U << 1)
#define PAUSE_MIGRATION	(1U << 2)
#define PAUSE_END	(1U << 3)	/* the guest has ended */
#define PAUSE_LOOK	(1U << 4)	/* somebody looks at their state */

/*
 * The guest must not be sent while one of these holds. PAUSE_MIGRATION outlasts a migration with
 * unknown outcome: the guest may run over there, and a second copy would make two of it.
 */
#define PAUSE_NO_SEND	(PAUSE_START | PAUSE_MIGRATION | PAUSE_END)

struct vcpu {
	struct vm *vm;
	unsigned int id;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	bool started;
};

struct vcpus {
	struct vm *vm;
	struct vcpu vcpu[MAX_VCPUS];
	unsigned int nr;
	size_t run_size;

	pthread_mutex_t lock;
	pthread_cond_t cond;	/* anything below has changed */
	unsigned int pause;	/* PAUSE_* */
	unsigned int nr_parked;
	bool quit;
	u64 rest_until;		/* throttled: no vCPU enters the guest before */

	pthread_t throttle_thread;
	bool throttle_started;
	unsigned int permille;	/* of the time that vCPUs may run */
};

/* Makes the vCPUs and their threads, which stand still for PAUSE_START. */
int vcpus_init(struct vcpus *vcpus, struct vm *vm);
void vcpus_destroy(struct vcpus *vcpus);

/* Ask for a pause and return at once: for vCPU threads, which would wait for themselves. */
void vcpus_ask_pause(struct vcpus *vcpus, unsigned int reason);
/* Returns when no vCPU is in KVM_RUN, and every exit's input and output is complete. */
void vcpus_pause(struct vcpus *vcpus, unsigned int reason);
void vcpus_resume(struct vcpus *vcpus, unsigned int reason);
/* PAUSE_* that hold now */
unsigned int vcpus_paused(struct vcpus *vcpus);

/* Let the vCPUs run only @permille of the time; 1000 is full speed. */
int vcpus_throttle(struct vcpus *vcpus, unsigned int permille);

#endif
