// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "cpuid.h"
#include "migration.h"
#include "vm.h"

#define KICK_SIGNAL	SIGRTMIN
/* Long enough for the guest to get something done, short enough not to look like a hang. */
#define THROTTLE_PERIOD	(20 * NSEC_PER_MSEC)

enum verdict { GO_ON, PARK, REST, QUIT };

static __thread struct kvm_run *this_run;

/*
 * A signal that comes just before KVM_RUN would be lost if it only interrupted the call; this
 * flag makes the call return at once.
 */
static void on_kick(int sig)
{
	(void)sig;
	if (this_run)
		this_run->immediate_exit = 1;
}

static void kick_all(struct vcpus *vcpus)
{
	unsigned int i;

	for (i = 0; i < vcpus->nr; i++)
		if (vcpus->vcpu[i].started)
			pthread_kill(vcpus->vcpu[i].thread, KICK_SIGNAL);
	pthread_cond_broadcast(&vcpus->cond);
}

static enum verdict decide(const struct vcpus *vcpus, u64 now)
{
	if (vcpus->quit)
		return QUIT;
	if (vcpus->pause)
		return PARK;
	return now < vcpus->rest_until ? REST : GO_ON;
}

/*
 * immediate_exit is set under the lock, as are the things it depends on: who changes them
 * afterwards sends a signal afterwards.
 */
static enum verdict prepare(struct vcpu *vcpu)
{
	struct vcpus *vcpus = &vcpu->vm->vcpus;
	enum verdict verdict;

	pthread_mutex_lock(&vcpus->lock);
	verdict = decide(vcpus, now_ns());
	vcpu->run->immediate_exit = verdict != GO_ON;
	pthread_mutex_unlock(&vcpus->lock);
	return verdict;
}

static void park(struct vcpus *vcpus)
{
	pthread_mutex_lock(&vcpus->lock);
	vcpus->nr_parked++;
	pthread_cond_broadcast(&vcpus->cond);
	while (vcpus->pause && !vcpus->quit)
		pthread_cond_wait(&vcpus->cond, &vcpus->lock);
	vcpus->nr_parked--;
	pthread_mutex_unlock(&vcpus->lock);
}

static void rest(struct vcpus *vcpus)
{
	struct timespec until;

	pthread_mutex_lock(&vcpus->lock);
	while (decide(vcpus, now_ns()) == REST) {
		until.tv_sec = vcpus->rest_until / NSEC_PER_SEC;
		until.tv_nsec = vcpus->rest_until % NSEC_PER_SEC;
		pthread_cond_timedwait(&vcpus->cond, &vcpus->lock, &until);
	}
	pthread_mutex_unlock(&vcpus->lock);
}

static void on_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	char *data = (char *)run + run->io.data_offset;
	bool write = run->io.direction == KVM_EXIT_IO_OUT;
	u32 i;

	pthread_mutex_lock(&vcpu->vm->dev_lock);
	for (i = 0; i < run->io.count; i++)
		bus_access(&vcpu->vm->pio, run->io.port, data + i * run->io.size, run->io.size,
			   write);
	pthread_mutex_unlock(&vcpu->vm->dev_lock);
}

static void on_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	pthread_mutex_lock(&vcpu->vm->dev_lock);
	bus_access(&vcpu->vm->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len,
		   run->mmio.is_write);
	pthread_mutex_unlock(&vcpu->vm->dev_lock);
}

static void on_trouble(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs = { };

	ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	say("vCPU %u at %#llx: KVM exit %u, detail %#llx", vcpu->id, regs.rip, run->exit_reason,
	    run->exit_reason == KVM_EXIT_INTERNAL_ERROR ? (u64)run->internal.suberror :
	    (u64)run->fail_entry.hardware_entry_failure_reason);
	vm_end(vcpu->vm, EXIT_TROUBLE);
}

static void handle_exit(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_IO:
		on_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		on_mmio(vcpu);
		break;
	case KVM_EXIT_DIRTY_RING_FULL:
		if (migrate_ring_full(vm))
			vm_end(vm, EXIT_TROUBLE);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		say("the guest ended by a triple fault");
		vm_end(vm, EXIT_TRIPLE_FAULT);
		break;
	default:
		on_trouble(vcpu);
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vcpus *vcpus = &vcpu->vm->vcpus;
	enum verdict verdict;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	pthread_setname_np(pthread_self(), name);
	this_run = vcpu->run;
	while ((verdict = prepare(vcpu)) != QUIT) {
		/*
		 * Also on the way to a stop: with immediate_exit set this completes the last
		 * exit's input and output, without which registers and memory are not what the
		 * guest would see.
		 */
		if (!ioctl(vcpu->fd, KVM_RUN, 0)) {
			handle_exit(vcpu);
		} else if (errno == EAGAIN || errno == EINTR) {
			if (verdict == PARK)
				park(vcpus);
			else if (verdict == REST)
				rest(vcpus);
		} else {
			say("vCPU %u: KVM_RUN: %m", vcpu->id);
			vm_end(vcpu->vm, EXIT_TROUBLE);
			park(vcpus);
		}
	}
	return NULL;
}

static int create_vcpu(struct vcpu *vcpu, const struct kvm_cpuid2 *cpuid)
{
	struct vcpus *vcpus = &vcpu->vm->vcpus;

	vcpu->fd = ioctl(vcpu->vm->fd, KVM_CREATE_VCPU, vcpu->id);
	if (vcpu->fd < 0)
		return fail(errno, "KVM_CREATE_VCPU: %m");
	vcpu->run = mmap(NULL, vcpus->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return fail(errno, "cannot map a vCPU: %m");
	}
	return cpuid_set(cpuid, vcpu->id, vcpu->fd);
}

static int start_vcpu(struct vcpu *vcpu)
{
	int pin = vcpu->vm->opt->pin;
	cpu_set_t cpus;
	int err;

	err = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
	if (err)
		return fail(err, "cannot start a vCPU thread: %s", strerror(err));
	vcpu->started = true;
	if (pin < 0)
		return 0;
	CPU_ZERO(&cpus);
	CPU_SET(pin, &cpus);
	err = pthread_setaffinity_np(vcpu->thread, sizeof(cpus), &cpus);
	return err ? fail(err, "--pin %d: %s", pin, strerror(err)) : 0;
}

static void init_sync(struct vcpus *vcpus)
{
	struct sigaction action = { .sa_handler = on_kick };
	pthread_condattr_t attr;

	sigaction(KICK_SIGNAL, &action, NULL);
	pthread_mutex_init(&vcpus->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&vcpus->cond, &attr);
	pthread_condattr_destroy(&attr);
}

int vcpus_init(struct vcpus *vcpus, struct vm *vm)
{
	unsigned int i;
	int err = 0;

	vcpus->vm = vm;
	vcpus->pause = PAUSE_START;
	vcpus->permille = 1000;
	vcpus->run_size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	init_sync(vcpus);
	err = cpuid_get(vm->kvm_fd, &vm->cpuid);
	for (i = 0; i < vm->opt->vcpus && !err; i++) {
		struct vcpu *vcpu = &vcpus->vcpu[vcpus->nr++];

		vcpu->vm = vm;
		vcpu->id = i;
		err = create_vcpu(vcpu, vm->cpuid);
	}
	for (i = 0; i < vcpus->nr && !err; i++)
		err = start_vcpu(&vcpus->vcpu[i]);
	return err;
}

void vcpus_destroy(struct vcpus *vcpus)
{
	unsigned int i;

	if (!vcpus->vm)
		return;
	pthread_mutex_lock(&vcpus->lock);
	vcpus->quit = true;
	kick_all(vcpus);
	pthread_mutex_unlock(&vcpus->lock);
	if (vcpus->throttle_started)
		pthread_join(vcpus->throttle_thread, NULL);
	for (i = 0; i < vcpus->nr; i++) {
		struct vcpu *vcpu = &vcpus->vcpu[i];

		if (vcpu->started)
			pthread_join(vcpu->thread, NULL);
		if (vcpu->run)
			munmap(vcpu->run, vcpus->run_size);
		if (vcpu->fd >= 0)
			close(vcpu->fd);
	}
	pthread_cond_destroy(&vcpus->cond);
	pthread_mutex_destroy(&vcpus->lock);
	free(vcpus->vm->cpuid);
	vcpus->vm = NULL;
}

void vcpus_ask_pause(struct vcpus *vcpus, unsigned int reason)
{
	pthread_mutex_lock(&vcpus->lock);
	vcpus->pause |= reason;
	kick_all(vcpus);
	pthread_mutex_unlock(&vcpus->lock);
}

void vcpus_pause(struct vcpus *vcpus, unsigned int reason)
{
	vcpus_ask_pause(vcpus, reason);
	pthread_mutex_lock(&vcpus->lock);
	while (vcpus->nr_parked < vcpus->nr && !vcpus->quit)
		pthread_cond_wait(&vcpus->cond, &vcpus->lock);
	pthread_mutex_unlock(&vcpus->lock);
}

/*
 * The guest's clocks went on while it stood still; tell its watchdogs that this was no hang.
 * EINVAL: it does not use KVM's clock.
 */
static void excuse_pause(struct vcpus *vcpus)
{
	unsigned int i;

	for (i = 0; i < vcpus->nr; i++)
		if (ioctl(vcpus->vcpu[i].fd, KVM_KVMCLOCK_CTRL, 0) && errno != EINVAL)
			say("KVM_KVMCLOCK_CTRL: %m");
}

void vcpus_resume(struct vcpus *vcpus, unsigned int reason)
{
	unsigned int left;

	pthread_mutex_lock(&vcpus->lock);
	left = vcpus->pause & ~reason;
	/* Only who parked all of them may use a vCPU's fd: else KVM_RUN would make us wait. */
	if (!left && vcpus->nr_parked == vcpus->nr)
		excuse_pause(vcpus);
	vcpus->pause = left;
	pthread_cond_broadcast(&vcpus->cond);
	pthread_mutex_unlock(&vcpus->lock);
}

unsigned int vcpus_paused(struct vcpus *vcpus)
{
	unsigned int pause;

	pthread_mutex_lock(&vcpus->lock);
	pause = vcpus->pause;
	pthread_mutex_unlock(&vcpus->lock);
	return pause;
}

/* Sends the vCPUs to rest for their share of every period. */
static void *throttle_thread(void *arg)
{
	struct vcpus *vcpus = arg;
	u64 next = now_ns();
	struct timespec until;

	pthread_mutex_lock(&vcpus->lock);
	while (!vcpus->quit) {
		u64 now = now_ns();

		if (vcpus->permille == 1000) {
			pthread_cond_wait(&vcpus->cond, &vcpus->lock);
			next = now_ns();
			continue;
		}
		if (now >= next) {
			next = now + THROTTLE_PERIOD;
			vcpus->rest_until = next - THROTTLE_PERIOD * vcpus->permille / 1000;
			kick_all(vcpus);
		}
		until.tv_sec = next / NSEC_PER_SEC;
		until.tv_nsec = next % NSEC_PER_SEC;
		pthread_cond_timedwait(&vcpus->cond, &vcpus->lock, &until);
	}
	pthread_mutex_unlock(&vcpus->lock);
	return NULL;
}

int vcpus_throttle(struct vcpus *vcpus, unsigned int permille)
{
	int err = 0;

	pthread_mutex_lock(&vcpus->lock);
	vcpus->permille = permille;
	if (permille == 1000)
		vcpus->rest_until = 0;
	else if (!vcpus->throttle_started)
		err = pthread_create(&vcpus->throttle_thread, NULL, throttle_thread, vcpus);
	if (permille < 1000 && !err)
		vcpus->throttle_started = true;
	pthread_cond_broadcast(&vcpus->cond);
	pthread_mutex_unlock(&vcpus->lock);
	return -err;
}
