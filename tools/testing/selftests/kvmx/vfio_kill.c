// SPDX-License-Identifier: GPL-2.0
/*
 * Devices taken away at any moment: by the VMM's death, by unbinding, by unloading. Nothing may
 * remain, and the device must be usable again. Needs a machine with devices (run -D).
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/kx.h"
#include "lib/pass.h"
#include "lib/vdev.h"
#include "lib/vm.h"

#define ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define PAGES 64
#define KILLS 30
#define MAX_LIFE_MS 300
#define OURS 0x44

FIXTURE(taken) {
	int refs;
	int kvm_refs;
};

FIXTURE_SETUP(taken)
{
	/* What a test that failed has left behind */
	kx_unlease(OURS, NULL, 0, KVMX_LEASE_FORCE);
	/* One is kvmx_vfio_pci's. */
	self->refs = module_refs();
	ASSERT_EQ(1, self->refs);
	self->kvm_refs = kvm_refs();
	ASSERT_LE(0, self->kvm_refs);
}

FIXTURE_TEARDOWN(taken)
{
	kx_unlease(OURS, NULL, 0, KVMX_LEASE_FORCE);
	EXPECT_TRUE(module_refs_become(self->refs))
		TH_LOG("module has %d users", module_refs());
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs))
		TH_LOG("KVM has %d users", kvm_refs());
}

/* Shared by the threads of a VMM. */
static struct vm vm;
static struct vdev edu;
static int handle, tracker;

static void *quiesces(void *data)
{
	struct kvmx_vm_quiesce q;

	(void)data;
	for (;;) {
		kx_quiesce(handle, KVMX_QUIESCE_TRUST, &q);
		kx_resume(handle);
	}
	return NULL;
}

static void *changes_config(void *data)
{
	(void)data;
	for (;;) {
		vdev_set_command(&edu, ON);
		vdev_bus_master(&edu, false);
		vdev_set_command(&edu, PCI_COMMAND_MEMORY);
		vdev_bus_master(&edu, true);
		vdev_reset(&edu);
	}
	return NULL;
}

static void *declares(void *data)
{
	uint32_t seed = 1;

	(void)data;
	for (;;) {
		uint64_t gfn = VM_DATA_GFN + next_random(&seed) % PAGES;

		kx_dma(handle, true, gfn, 1, 0);
		kx_dma(handle, false, gfn, 1, 0);
	}
	return NULL;
}

static void *harvests(void *data)
{
	struct pass pass;

	(void)data;
	if (pass_init(&pass))
		return NULL;
	pass.room = 64;
	for (;;)
		pass_run(&pass, tracker);
	return NULL;
}

static void *opens(void *data)
{
	(void)data;
	for (;;) {
		struct kvmx_vm_quiesce q;
		int other = kx_vm_uuid(vm.fd, OURS);

		kx_dma(other, true, VM_DATA_GFN, PAGES, 0);
		kx_quiesce(other, 0, &q);
		close(other);
	}
	return NULL;
}

static void *(*const threads[])(void *) = {
	quiesces, changes_config, declares, harvests, opens,
};

static void vmm(int ready)
{
	int efd = eventfd(0, EFD_NONBLOCK), err, tries = 0;
	pthread_t thread;
	unsigned int i;

	if (vm_create(&vm, 0) || vm_add_slot(&vm, 1, VM_DATA_GFN, PAGES, MEM_ANON, 0))
		_exit(251);
	handle = kx_vm_uuid(vm.fd, OURS);
	tracker = kx_tracker(handle, KVMX_TRACKER_CLEAN);
	if (tracker < 0)
		_exit(252);
	/*
	 * The one before is dead, but a worker may have been in its address space, where its
	 * device was mapped: then that is closed a moment later.
	 */
	do {
		err = vdev_open(&edu, VDEV_EDU, vm.fd);
	} while (err == -EBUSY && tries++ < 100 && !usleep(20000));
	if (err)
		_exit(-err);
	if (vdev_map(&edu, vm_hva(&vm, 0, VM_DATA_GFN), VM_DATA, PAGES * PAGE_SIZE) ||
	    vdev_irqs(&edu, VFIO_PCI_MSI_IRQ_INDEX, &efd, 1))
		_exit(253);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		if (pthread_create(&thread, NULL, threads[i], NULL))
			_exit(254);
	}
	if (write(ready, "x", 1) != 1)
		_exit(255);
	for (;;) {
		edu_raise(&edu);
		edu_ack(&edu);
		edu_dma(&edu, VM_DATA, 0, 64, true);
	}
}

TEST_F(taken, vmm_killed)
{
	uint32_t seed = 99;
	int i, status, ready[2];
	struct kvmx_pci_addr addr;
	char bdf[VDEV_BDF_LEN], byte;
	pid_t pid;

	/* Leased, so that each VMM has to be gone before the next one gets it. */
	ASSERT_EQ(0, vdev_find(VDEV_EDU, bdf));
	addr = vdev_addr(bdf);
	ASSERT_EQ(1, kx_lease(OURS, &addr, 1, KVMX_LEASE_NO_UID, 0));
	for (i = 0; i < KILLS; i++) {
		ASSERT_EQ(0, pipe(ready));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			vmm(ready[1]);
		close(ready[1]);
		EXPECT_EQ(1, read(ready[0], &byte, 1));
		close(ready[0]);
		sleep_ms(next_random(&seed) % MAX_LIFE_MS);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status))
			TH_LOG("exit status %d after %d kills", WEXITSTATUS(status), i);
	}
	/* As above: the last one's device is closed in a moment. */
	for (i = 0; i < 100 && kx_unlease(OURS, NULL, 0, 0) == -EBUSY; i++)
		sleep_ms(20);
	EXPECT_LT(i, 100);
}

/* Unbinding waits for whoever has the device, after asking for it. */
TEST_F(taken, unbound_while_open)
{
	int efd = eventfd(0, EFD_NONBLOCK), status, kx;
	struct kvmx_vm_quiesce q;
	uint64_t count;
	struct vdev v;
	struct vm own;
	pid_t pid;

	ASSERT_LE(0, efd);
	ASSERT_EQ(0, vm_create(&own, 0));
	kx = kx_vm(own.fd);
	ASSERT_LE(0, kx);
	ASSERT_EQ(0, vdev_open(&v, VDEV_EDU, own.fd));
	ASSERT_EQ(0, vdev_irqs(&v, VFIO_PCI_REQ_IRQ_INDEX, &efd, 1));
	ASSERT_EQ(0, kx_quiesce(kx, 0, &q));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		vdev_close(&v);
		close(kx);
		vm_destroy(&own);
		_exit(vdev_bind(v.bdf, "") != 0);
	}
	ASSERT_TRUE(poll_for(efd, POLLIN, 5000));
	EXPECT_EQ(8, read(efd, &count, 8));
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	/* It still works meanwhile. */
	EXPECT_EQ(1, kx_resume(kx));
	EXPECT_EQ(0, vdev_set_command(&v, ON));
	vdev_close(&v);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_EQ(0, kx_quiesce(kx, 0, &q));
	EXPECT_EQ(0, q.nr_devices);
	close(kx);
	EXPECT_EQ(0, vdev_open(&v, VDEV_EDU, own.fd));
	vdev_close(&v);
	vm_destroy(&own);
	close(efd);
}

static int unload(void)
{
	return syscall(SYS_delete_module, "kvmx_vfio_pci", O_NONBLOCK) ? -errno : 0;
}

static int load(void)
{
	int fd = open("/lib/kvmx/kvmx_vfio_pci.ko", O_RDONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, "", 0))
		ret = -errno;
	close(fd);
	return ret;
}

TEST_F(taken, unloaded)
{
	struct kvmx_feature f = KX_ARG(kvmx_feature, .feature = KVMX_FEAT_DEVICE);
	struct kvmx_vm_quiesce q;
	int sys = kx_system(), kx;
	struct vdev v;
	struct vm own;

	ASSERT_LE(0, sys);
	ASSERT_EQ(0, vm_create(&own, 0));
	kx = kx_vm(own.fd);
	ASSERT_LE(0, kx);
	ASSERT_EQ(0, vdev_open(&v, VDEV_EDU, own.fd));
	EXPECT_EQ(-EAGAIN, unload());
	ASSERT_EQ(0, kx_quiesce(kx, 0, &q));
	vdev_close(&v);
	/* Without it, and with a quiesce in force */
	ASSERT_EQ(0, unload());
	ASSERT_EQ(0, kx_ioctl(sys, KVMX_FEATURE, &f));
	EXPECT_EQ(0, f.value);
	EXPECT_EQ(-EOPNOTSUPP, kx_quiesce(kx, 0, &q));
	EXPECT_EQ(-EOPNOTSUPP, kx_resume(kx));
	EXPECT_EQ(-EOPNOTSUPP, kx_leases(NULL, 0, &(uint32_t){ 0 }));
	EXPECT_EQ(0, kx_dma(kx, true, 0, 1, 0));
	ASSERT_EQ(0, load());
	ASSERT_EQ(0, kx_ioctl(sys, KVMX_FEATURE, &f));
	EXPECT_EQ(1, f.value);
	ASSERT_EQ(0, vdev_open(&v, VDEV_EDU, own.fd));
	EXPECT_EQ(1, kx_resume(kx));
	vdev_close(&v);
	close(kx);
	close(sys);
	vm_destroy(&own);
}

TEST_HARNESS_MAIN
