// SPDX-License-Identifier: GPL-2.0
/*
 * Leased devices go to the VM they are kept for, and to nobody else. Needs a machine with devices
 * (run -D).
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "lib/fdpass.h"
#include "lib/kx.h"
#include "lib/vdev.h"
#include "lib/vm.h"

#define OURS 0x11
#define THEIRS 0x22
#define NOBODY 65534
#define RACES 40

FIXTURE(lease) {
	struct vm vm;
	struct vm other;
	struct kvmx_pci_addr edu;
	struct kvmx_pci_addr pair[2];
	struct kvmx_pci_addr nvme;
};

static struct kvmx_pci_addr addr_of(enum vdev_kind kind)
{
	char bdf[VDEV_BDF_LEN] = "";

	/* Not there: no address at all, which every test notices. */
	vdev_find(kind, bdf);
	return vdev_addr(bdf);
}

FIXTURE_SETUP(lease)
{
	/* What a test that failed has left behind. */
	kx_unlease(OURS, NULL, 0, KVMX_LEASE_FORCE);
	kx_unlease(THEIRS, NULL, 0, KVMX_LEASE_FORCE);
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	ASSERT_EQ(0, vm_create(&self->other, 0));
	self->edu = addr_of(VDEV_EDU);
	self->pair[0] = addr_of(VDEV_PAIR1);
	self->pair[1] = addr_of(VDEV_PAIR2);
	self->nvme = addr_of(VDEV_NVME);
}

FIXTURE_TEARDOWN(lease)
{
	kx_unlease(OURS, NULL, 0, KVMX_LEASE_FORCE);
	kx_unlease(THEIRS, NULL, 0, KVMX_LEASE_FORCE);
	vm_destroy(&self->other);
	vm_destroy(&self->vm);
}

/* What opening a device gives; it is closed again. */
static int try_open(enum vdev_kind kind, int vm_fd)
{
	struct vdev v;
	int err;

	err = vdev_open(&v, kind, vm_fd);
	if (!err)
		vdev_close(&v);
	return err;
}

TEST_F(lease, matrix)
{
	int kx;

	/* Without a lease anybody may. */
	EXPECT_EQ(0, try_open(VDEV_EDU, -1));
	EXPECT_EQ(0, try_open(VDEV_EDU, self->vm.fd));
	ASSERT_EQ(1, kx_lease(OURS, &self->edu, 1, KVMX_LEASE_NO_UID, 0));
	/* No VM, a VM nobody knows, one without a UUID */
	EXPECT_EQ(-EACCES, try_open(VDEV_EDU, -1));
	EXPECT_EQ(-EACCES, try_open(VDEV_EDU, self->vm.fd));
	kx = kx_vm(self->vm.fd);
	ASSERT_LE(0, kx);
	EXPECT_EQ(-EACCES, try_open(VDEV_EDU, self->vm.fd));
	close(kx);
	/* Another one's, and ours */
	kx = kx_vm_uuid(self->other.fd, THEIRS);
	ASSERT_LE(0, kx);
	EXPECT_EQ(-EPERM, try_open(VDEV_EDU, self->other.fd));
	close(kx);
	kx = kx_vm_uuid(self->vm.fd, OURS);
	ASSERT_LE(0, kx);
	EXPECT_EQ(0, try_open(VDEV_EDU, self->vm.fd));
	EXPECT_EQ(0, try_open(VDEV_EDU, self->vm.fd));
	/* Other devices are free. */
	EXPECT_EQ(0, try_open(VDEV_NVME, -1));
	close(kx);
	/* The handle is closed, and with it nobody knows the VM. */
	EXPECT_EQ(-EACCES, try_open(VDEV_EDU, self->vm.fd));
	EXPECT_EQ(1, kx_unlease(OURS, NULL, 0, 0));
	EXPECT_EQ(0, try_open(VDEV_EDU, -1));
}

/* A VM that goes and comes back finds its device; in the meantime nobody gets it. */
TEST_F(lease, restart)
{
	int status, round;
	pid_t pid;

	ASSERT_EQ(1, kx_lease(OURS, &self->edu, 1, KVMX_LEASE_NO_UID, 0));
	for (round = 0; round < 3; round++) {
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct vm vm;
			struct vdev v;

			if (vm_create(&vm, 0) || kx_vm_uuid(vm.fd, OURS) < 0 ||
			    vdev_open(&v, VDEV_EDU, vm.fd))
				_exit(1);
			kill(getpid(), SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
		EXPECT_EQ(-EACCES, try_open(VDEV_EDU, -1));
	}
}

TEST_F(lease, whole_group)
{
	struct kvmx_lease list[4];
	uint32_t nr;
	int kx;

	/* One of a group: both are leased, and only one was asked for. */
	ASSERT_EQ(2, kx_lease(OURS, &self->pair[0], 1, KVMX_LEASE_NO_UID, 0));
	ASSERT_EQ(0, kx_leases(list, 4, &nr));
	ASSERT_EQ(2, nr);
	EXPECT_EQ(0, memcmp(&self->pair[0], &list[0].addr, sizeof(self->pair[0])));
	EXPECT_EQ(0, memcmp(&self->pair[1], &list[1].addr, sizeof(self->pair[1])));
	EXPECT_TRUE(list[0].flags & KVMX_LEASE_ASKED);
	EXPECT_FALSE(list[1].flags & KVMX_LEASE_ASKED);
	EXPECT_EQ(-EACCES, try_open(VDEV_PAIR2, -1));
	EXPECT_EQ(-EACCES, try_open(VDEV_PAIR1, -1));
	kx = kx_vm_uuid(self->vm.fd, OURS);
	ASSERT_LE(0, kx);
	EXPECT_EQ(0, try_open(VDEV_PAIR2, self->vm.fd));
	close(kx);
	EXPECT_EQ(-EBUSY, kx_lease(THEIRS, &self->pair[1], 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(2, kx_unlease(OURS, &self->pair[1], 1, 0));
	ASSERT_EQ(0, kx_leases(list, 4, &nr));
	EXPECT_EQ(0, nr);
}

/* A VM without privileges cannot give itself the UUID of another one. */
TEST_F(lease, forged_uuid)
{
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open);
	int status, to_child[2], sys;
	struct vdev v;
	pid_t pid;

	memset(arg.uuid, OURS, sizeof(arg.uuid));
	ASSERT_EQ(1, kx_lease(OURS, &self->edu, 1, KVMX_LEASE_NO_UID, 0));
	ASSERT_EQ(0, pipe(to_child));
	/* Bound and permitted before: the child may do neither. */
	EXPECT_EQ(-EACCES, vdev_open(&v, VDEV_EDU, -1));
	sys = kx_system();
	ASSERT_LE(0, sys);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct vm vm;
		int kx, err;
		char go;

		if (drop_capabilities() || vm_create(&vm, 0))
			_exit(1);
		arg.vm_fd = vm.fd;
		kx = kx_ioctl(sys, KVMX_VM_OPEN, &arg);
		if (kx < 0)
			_exit(2);
		err = try_open(VDEV_EDU, vm.fd);
		if (err != -EPERM)
			_exit(3);
		/* Our user is let in by now. */
		if (read(to_child[0], &go, 1) != 1)
			_exit(4);
		_exit(try_open(VDEV_EDU, vm.fd) ? 5 : 0);
	}
	sleep_ms(500);
	EXPECT_EQ(1, kx_lease(OURS, &self->edu, 1, getuid(), 0));
	EXPECT_EQ(1, write(to_child[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	close(sys);
	close(to_child[0]);
	close(to_child[1]);
}

TEST_F(lease, privileges)
{
	struct kvmx_lease list[1];
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct kvmx_lease_acquire get =
			KX_ARG(kvmx_lease_acquire, .uuid = { 1 }, .nr_devices = 1,
			       .devices = (uintptr_t)&self->edu,
			       .device_size = sizeof(self->edu), .uid = KVMX_LEASE_NO_UID);
		struct kvmx_lease_release let =
			KX_ARG(kvmx_lease_release, .uuid = { 1 },
			       .device_size = sizeof(self->edu));
		struct kvmx_lease_list ls = KX_ARG(kvmx_lease_list, .nr_leases = 1,
						   .leases = (uintptr_t)list,
						   .lease_size = sizeof(list[0]));
		int sys = kx_system();

		if (sys < 0 || drop_capabilities())
			_exit(1);
		_exit(kx_ioctl(sys, KVMX_LEASE_ACQUIRE, &get) != -EPERM ||
		      kx_ioctl(sys, KVMX_LEASE_RELEASE, &let) != -EPERM ||
		      kx_ioctl(sys, KVMX_LEASE_LIST, &ls) != -EPERM);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(lease, in_use)
{
	struct vdev v;
	int kx, theirs;

	theirs = kx_vm_uuid(self->other.fd, THEIRS);
	ASSERT_LE(0, theirs);
	ASSERT_EQ(0, vdev_open(&v, VDEV_EDU, self->other.fd));
	/* Open for somebody else: not without force, which does not throw it out. */
	EXPECT_EQ(-EBUSY, kx_lease(OURS, &self->edu, 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(1, kx_lease(THEIRS, &self->edu, 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(-EBUSY, kx_unlease(THEIRS, NULL, 0, 0));
	EXPECT_EQ(-EBUSY, kx_lease(OURS, &self->edu, 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(1, kx_lease(OURS, &self->edu, 1, KVMX_LEASE_NO_UID, KVMX_LEASE_FORCE));
	EXPECT_EQ(-ENOENT, kx_unlease(THEIRS, NULL, 0, 0));
	EXPECT_LE(0, vdev_command(&v));
	vdev_close(&v);
	EXPECT_EQ(-EPERM, try_open(VDEV_EDU, self->other.fd));
	kx = kx_vm_uuid(self->vm.fd, OURS);
	ASSERT_LE(0, kx);
	ASSERT_EQ(0, vdev_open(&v, VDEV_EDU, self->vm.fd));
	EXPECT_EQ(-EBUSY, kx_unlease(OURS, NULL, 0, 0));
	EXPECT_EQ(1, kx_unlease(OURS, NULL, 0, KVMX_LEASE_FORCE));
	vdev_close(&v);
	close(kx);
	close(theirs);
}

/* One VM has one of the two; a second VM with that UUID does not get the other lease's device. */
TEST_F(lease, two_vms_of_one_uuid)
{
	struct kvmx_pci_addr both[2] = { self->edu, self->nvme };
	int kx = kx_vm_uuid(self->vm.fd, OURS), again = kx_vm_uuid(self->other.fd, OURS);
	struct vdev v, second;

	ASSERT_LE(0, kx);
	ASSERT_LE(0, again);
	ASSERT_EQ(2, kx_lease(OURS, both, 2, KVMX_LEASE_NO_UID, 0));
	ASSERT_EQ(0, vdev_open(&v, VDEV_EDU, self->vm.fd));
	EXPECT_EQ(-EBUSY, try_open(VDEV_NVME, self->other.fd));
	EXPECT_EQ(0, vdev_open_second(&second, VDEV_NVME, &v));
	vdev_close(&second);
	vdev_close(&v);
	EXPECT_EQ(0, try_open(VDEV_NVME, self->other.fd));
	close(kx);
	close(again);
}

struct racer {
	int vm_fd;
	enum vdev_kind kind;
	pthread_barrier_t *start;
	pthread_barrier_t *end;
	int result;
};

static void *race(void *data)
{
	struct racer *r = data;
	struct vdev v;

	pthread_barrier_wait(r->start);
	r->result = vdev_open(&v, r->kind, r->vm_fd);
	pthread_barrier_wait(r->end);
	if (!r->result)
		vdev_close(&v);
	return NULL;
}

/* Two VMs with the same UUID open the devices of one lease at the same time: never both. */
TEST_F(lease, race)
{
	struct kvmx_pci_addr both[2] = { self->edu, self->nvme };
	int kx = kx_vm_uuid(self->vm.fd, OURS), again = kx_vm_uuid(self->other.fd, OURS);
	pthread_barrier_t start, end;
	pthread_t thread[2];
	int i, won = 0;

	ASSERT_LE(0, kx);
	ASSERT_LE(0, again);
	ASSERT_EQ(2, kx_lease(OURS, both, 2, KVMX_LEASE_NO_UID, 0));
	for (i = 0; i < RACES; i++) {
		struct racer r[2] = {
			{ self->vm.fd, VDEV_EDU, &start, &end, 0 },
			{ self->other.fd, VDEV_NVME, &start, &end, 0 },
		};

		pthread_barrier_init(&start, NULL, 2);
		pthread_barrier_init(&end, NULL, 2);
		ASSERT_EQ(0, pthread_create(&thread[0], NULL, race, &r[0]));
		ASSERT_EQ(0, pthread_create(&thread[1], NULL, race, &r[1]));
		pthread_join(thread[0], NULL);
		pthread_join(thread[1], NULL);
		EXPECT_TRUE(!r[0].result || r[0].result == -EBUSY);
		EXPECT_TRUE(!r[1].result || r[1].result == -EBUSY);
		EXPECT_FALSE(!r[0].result && !r[1].result);
		won += !r[0].result || !r[1].result;
	}
	/* Both may lose one, but not all. */
	EXPECT_LT(0, won);
	close(kx);
	close(again);
}

TEST_F(lease, arguments)
{
	struct kvmx_pci_addr nothing = { .domain = 0xffff, .bus = 0x7f };
	struct kvmx_pci_addr bridge = { 0 }, odd = self->edu;
	struct kvmx_lease list[4];
	uint32_t nr;

	bridge.devfn = 1 << 3;
	odd.__reserved = 1;
	EXPECT_EQ(-ENODEV, kx_lease(OURS, &nothing, 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(-ENODEV, kx_lease(OURS, &bridge, 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(-EOPNOTSUPP, kx_lease(OURS, &odd, 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(-EOPNOTSUPP, kx_lease(OURS, &self->edu, 1, KVMX_LEASE_NO_UID, 2));
	EXPECT_EQ(-EINVAL, kx_lease(0, &self->edu, 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(-EINVAL, kx_lease(OURS, &self->edu, 0, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(-EINVAL, kx_lease(OURS, &self->edu, KVMX_MAX_LEASED + 1, 0, 0));
	EXPECT_EQ(-EFAULT, kx_lease(OURS, NULL, 1, KVMX_LEASE_NO_UID, 0));
	EXPECT_EQ(-ENOENT, kx_unlease(OURS, NULL, 0, 0));
	ASSERT_EQ(1, kx_lease(OURS, &self->edu, 1, 1000, 0));
	EXPECT_EQ(-ENOENT, kx_unlease(OURS, &self->nvme, 1, 0));
	EXPECT_EQ(-ENOENT, kx_unlease(THEIRS, &self->edu, 1, 0));
	EXPECT_EQ(2, kx_lease(OURS, &self->nvme, 1, NOBODY, 0));
	EXPECT_EQ(-ENOSPC, kx_leases(list, 1, &nr));
	EXPECT_EQ(2, nr);
	EXPECT_EQ(0, kx_leases(list, 2, &nr));
	EXPECT_EQ(NOBODY, list[0].uid);
	EXPECT_EQ(NOBODY, list[1].uid);
	EXPECT_EQ(1, kx_unlease(OURS, &self->edu, 1, 0));
	EXPECT_EQ(1, kx_unlease(OURS, &self->nvme, 1, 0));
}

/* Leases outlive bindings, and the module stays while there is one. */
TEST_F(lease, kept)
{
	char bdf[VDEV_BDF_LEN];
	struct kvmx_lease l;
	uint32_t nr;

	ASSERT_EQ(0, vdev_find(VDEV_EDU, bdf));
	ASSERT_EQ(0, vdev_bind(bdf, "kvmx_vfio_pci"));
	ASSERT_EQ(1, kx_lease(OURS, &self->edu, 1, KVMX_LEASE_NO_UID, 0));
	ASSERT_EQ(0, kx_leases(&l, 1, &nr));
	EXPECT_EQ(KVMX_LEASE_ASKED | KVMX_LEASE_DRIVEN, l.flags);
	ASSERT_EQ(0, vdev_bind(bdf, ""));
	ASSERT_EQ(0, kx_leases(&l, 1, &nr));
	EXPECT_EQ(KVMX_LEASE_ASKED, l.flags);
	EXPECT_EQ(-EACCES, try_open(VDEV_EDU, -1));
	EXPECT_NE(0, system("rmmod kvmx_vfio_pci 2> /dev/null"));
	ASSERT_EQ(0, kx_leases(&l, 1, &nr));
	EXPECT_EQ(1, nr);
}

TEST_HARNESS_MAIN
