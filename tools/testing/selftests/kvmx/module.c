// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading: refused while anything is in use, complete otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/fdpass.h"
#include "lib/pass.h"

#define CYCLES 20
#define DATA_PAGES 64

FIXTURE(module) {
	struct vm vm;
};

FIXTURE_SETUP(module)
{
	ASSERT_LE(0, module_refs());
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
}

FIXTURE_TEARDOWN(module)
{
	vm_destroy(&self->vm);
	/* Whatever went wrong: the next test wants it loaded. */
	if (module_refs() < 0)
		EXPECT_EQ(0, module_load());
}

static bool device_there(void)
{
	struct stat st;

	return !stat("/dev/kvmx", &st) && S_ISCHR(st.st_mode);
}

static bool unload_refused(void)
{
	return module_unload() == -EWOULDBLOCK && module_refs() > 0;
}

static bool unload_soon(void)
{
	uint64_t end = deadline_ns(5);
	int ret;

	/* Trailing work holds a reference for a moment. */
	while ((ret = module_unload()) == -EWOULDBLOCK && now_ns() < end)
		sleep_ms(2);
	return !ret;
}

static void use_everything(struct __test_metadata *_metadata, struct vm *vm)
{
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_vm_sample sample;
	int handle, tracker;
	struct pass pass;

	handle = kx_vm(vm->fd);
	ASSERT_LE(0, handle);
	ASSERT_EQ(0, kx_sample(handle, 16, 1000000, points, &sample));
	tracker = kx_tracker(handle, 0);
	ASSERT_LE(0, tracker);
	ASSERT_EQ(0, pass_init(&pass));
	ASSERT_EQ(0, pass_run(&pass, tracker));
	EXPECT_EQ(DATA_PAGES + VM_CODE_PAGES, pass.pages);
	pass_fini(&pass);
	close(tracker);
	close(handle);
}

TEST_F(module, busy_with_a_system_fd)
{
	int sys = kx_system();

	ASSERT_LE(0, sys);
	EXPECT_TRUE(unload_refused());
	close(sys);
	EXPECT_TRUE(unload_soon());
}

TEST_F(module, busy_with_a_handle)
{
	int handle = kx_vm(self->vm.fd);

	ASSERT_LE(0, handle);
	EXPECT_TRUE(unload_refused());
	close(handle);
	EXPECT_TRUE(unload_soon());
}

/* The tracker alone: its VM's handle is closed. */
TEST_F(module, busy_with_a_tracker)
{
	int handle = kx_vm(self->vm.fd), tracker = kx_tracker(handle, 0);

	ASSERT_LE(0, tracker);
	close(handle);
	EXPECT_TRUE(unload_refused());
	close(tracker);
	EXPECT_TRUE(unload_soon());
	EXPECT_EQ(-ENOENT, vm_get_dirty_log(&self->vm, 1));
}

/* The handle of a VM that is dead. */
TEST_F(module, busy_with_a_dead_vm)
{
	int sock[2], handle, status;
	static struct vm vm;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
	child = fork();
	if (!child) {
		if (vm_create(&vm, 0) || send_fd(sock[1], kx_vm(vm.fd)))
			_exit(1);
		pause();
	}
	handle = recv_fd(sock[0]);
	ASSERT_LE(0, handle);
	ASSERT_EQ(0, kill(child, SIGKILL));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(poll_for(handle, POLLHUP, 5000));
	EXPECT_TRUE(unload_refused());
	close(handle);
	EXPECT_TRUE(unload_soon());
}

/* The very moment after the last close by another process, which leaves work behind. */
TEST_F(module, unload_right_after_foreign_close)
{
	int handle, tracker, status, i;
	pid_t child;

	for (i = 0; i < CYCLES; i++) {
		handle = kx_vm(self->vm.fd);
		tracker = kx_tracker(handle, 0);
		ASSERT_LE(0, tracker);
		child = fork();
		if (!child)
			_exit(0);
		close(tracker);
		close(handle);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_TRUE(unload_soon());
		ASSERT_EQ(0, module_load());
	}
}

TEST_F(module, gone_and_back)
{
	int i;

	for (i = 0; i < CYCLES; i++) {
		use_everything(_metadata, &self->vm);
		ASSERT_TRUE(unload_soon());
		EXPECT_EQ(-1, module_refs());
		EXPECT_FALSE(device_there());
		EXPECT_EQ(-ENOENT, kx_system());
		ASSERT_EQ(0, module_load());
		EXPECT_TRUE(device_there());
		EXPECT_EQ(-EEXIST, module_load());
		EXPECT_EQ(0, module_refs());
	}
	use_everything(_metadata, &self->vm);
}

TEST_HARNESS_MAIN
