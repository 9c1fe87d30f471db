// SPDX-License-Identifier: GPL-2.0
/*
 * Others open a VM in the very moment its VMM dies.
 *
 * Registering with an address space of many mappings takes a while, and openers keep each other
 * waiting for its lock. So it is often gone before they are through, and its last user is one of
 * them.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "lib/fdpass.h"
#include "lib/kx.h"
#include "lib/vm.h"

#define ROUNDS 20
#define OPENERS 4
#define MAPPINGS 1000
#define MAX_LIFE_US 6000

struct opener {
	pthread_t thread;
	int cpu;
	int sys;
	int kvm_fd;
	bool wait;	/* keep what is open, and see it die */
	uint64_t opened;
	uint64_t dead;
	int error;
};

FIXTURE(dying) {
	int refs;
	int kvm_refs;
	int sys;
	char *mappings;
	struct opener opener[OPENERS];
};

FIXTURE_VARIANT(dying) {
	bool killed;
	bool wait;
};

FIXTURE_VARIANT_ADD(dying, killed) {
	.killed = true,
};

FIXTURE_VARIANT_ADD(dying, exits) {
	.killed = false,
};

FIXTURE_VARIANT_ADD(dying, killed_under_handles) {
	.killed = true,
	.wait = true,
};

FIXTURE_SETUP(dying)
{
	int i;

	self->refs = module_refs();
	ASSERT_EQ(0, self->refs);
	self->kvm_refs = kvm_refs();
	ASSERT_LE(0, self->kvm_refs);
	self->sys = kx_system();
	ASSERT_LE(0, self->sys);
	/* The VMMs inherit them. Neighbours of different rights stay apart. */
	self->mappings = mmap(NULL, MAPPINGS * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	ASSERT_NE(MAP_FAILED, self->mappings);
	for (i = 0; i < MAPPINGS; i += 2)
		ASSERT_EQ(0, mprotect(self->mappings + i * PAGE_SIZE, PAGE_SIZE, PROT_NONE));
}

/* Whoever opened what: nothing of it stays, and the module can go. */
FIXTURE_TEARDOWN(dying)
{
	munmap(self->mappings, MAPPINGS * PAGE_SIZE);
	close(self->sys);
	EXPECT_TRUE(module_refs_become(self->refs))
		TH_LOG("module has %d users", module_refs());
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs))
		TH_LOG("KVM has %d users", kvm_refs());
	EXPECT_EQ(0, module_unload());
	EXPECT_EQ(0, module_load());
}

static void vmm_main(int sock)
{
	struct vm vm;
	char byte;

	pin_cpu(VCPU_CPU);
	if (vm_create_bare(&vm, 0) || send_fd(sock, vm.fd))
		_exit(1);
	_exit(read(sock, &byte, 1) != 1);
}

/* A handle of a VM that may be dead by now: then it says so, in every way. */
static int look(struct opener *o, int handle)
{
	struct kvmx_vm_stats stats;
	struct kvmx_vm_info info;
	int ret;

	if (o->wait && !poll_for(handle, POLLHUP, 5000))
		return -ETIMEDOUT;
	ret = kx_info(handle, &info);
	if (!ret)
		return o->wait ? -EPROTO : 0;
	if (ret != -ENODEV)
		return ret;
	o->dead++;
	if (!poll_for(handle, POLLHUP, 5000))
		return -ETIMEDOUT;
	ret = kx_tracker(handle, 0);
	if (ret != -ENODEV)
		return ret < 0 ? ret : -EPROTO;
	return kx_vm_stats(handle, &stats);
}

static void *opener_thread(void *data)
{
	struct opener *o = data;
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open, .vm_fd = o->kvm_fd);
	int handle;

	pin_cpu(o->cpu);
	while (!o->error) {
		handle = kx_ioctl(o->sys, KVMX_VM_OPEN, &arg);
		if (handle == -ENODEV)
			break;
		if (handle < 0) {
			o->error = handle;
			break;
		}
		o->opened++;
		o->error = look(o, handle);
		close(handle);
	}
	return NULL;
}

TEST_F_TIMEOUT(dying, opened_meanwhile, 60)
{
	struct opener *end = self->opener + OPENERS, *o;
	uint32_t seed = 1969, round;
	uint64_t opened = 0, dead = 0;
	int sock[2], status, kvm_fd;
	pid_t child;

	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
		child = fork();
		if (!child)
			vmm_main(sock[1]);
		kvm_fd = recv_fd(sock[0]);
		ASSERT_LE(0, kvm_fd);
		for (o = self->opener; o < end; o++) {
			*o = (struct opener){ .cpu = (o - self->opener) % 2, .sys = self->sys,
					      .kvm_fd = kvm_fd, .wait = variant->wait };
			ASSERT_EQ(0, pthread_create(&o->thread, NULL, opener_thread, o));
		}
		usleep(next_random(&seed) % MAX_LIFE_US);
		ASSERT_TRUE(variant->killed ? !kill(child, SIGKILL) : write(sock[0], "", 1) == 1);
		for (o = self->opener; o < end; o++) {
			ASSERT_EQ(0, pthread_join(o->thread, NULL));
			ASSERT_EQ(0, o->error)
				TH_LOG("round %u", round);
			opened += o->opened;
			dead += o->dead;
		}
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_TRUE(variant->killed ? WIFSIGNALED(status) : !status);
		close(kvm_fd);
		close(sock[0]);
		close(sock[1]);
	}
	EXPECT_LT(0, opened);
	if (variant->wait)
		EXPECT_EQ(opened, dead);
}

TEST_HARNESS_MAIN
