// SPDX-License-Identifier: GPL-2.0
/*
 * The VM object: one per VM however many handles, in other processes, and when the VM dies.
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "lib/fdpass.h"
#include "lib/pass.h"

#define DATA_PAGES 256

FIXTURE(vm) {
	struct vm vm;
	int refs;
	int kvm_refs;
	int handle;
};

FIXTURE_VARIANT(vm) {
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(vm, bitmap) {
	.ring_bytes = 0,
};

FIXTURE_VARIANT_ADD(vm, ring) {
	.ring_bytes = VM_RING_BYTES,
};

FIXTURE_SETUP(vm)
{
	self->refs = module_refs();
	ASSERT_EQ(0, self->refs);
	self->kvm_refs = kvm_refs();
	ASSERT_LE(0, self->kvm_refs);
	ASSERT_EQ(0, vm_create(&self->vm, variant->ring_bytes));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
}

FIXTURE_TEARDOWN(vm)
{
	close(self->handle);
	vm_destroy(&self->vm);
	EXPECT_TRUE(module_refs_become(self->refs));
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs));
}

TEST_F(vm, handles_share_one_object)
{
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open, .vm_fd = self->vm.fd, .uuid = "0123456789",
					 .label = "one");
	struct kvmx_vm_info info, other;
	int sys = kx_system(), second;
	struct vm vm;

	second = kx_ioctl(sys, KVMX_VM_OPEN, &arg);
	ASSERT_LE(0, second);
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_STREQ("one", info.label);
	EXPECT_EQ(0, memcmp(arg.uuid, info.uuid, KVMX_UUID_LEN));
	EXPECT_EQ(2, info.nr_handles);
	ASSERT_EQ(0, kx_info(second, &other));
	EXPECT_EQ(0, memcmp(&info, &other, sizeof(info)));
	EXPECT_EQ(FD_CLOEXEC, fcntl(second, F_GETFD));
	close(second);
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(1, info.nr_handles);
	EXPECT_STREQ("one", info.label);

	/* Another VM is another object. */
	ASSERT_EQ(0, vm_create(&vm, 0));
	second = kx_vm(vm.fd);
	ASSERT_LE(0, second);
	ASSERT_EQ(0, kx_info(second, &info));
	EXPECT_STREQ("", info.label);
	EXPECT_EQ(1, info.nr_handles);
	close(second);
	vm_destroy(&vm);
	close(sys);
}

/* With the last handle everything that was given is forgotten. */
TEST_F(vm, last_handle_ends_the_object)
{
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open, .vm_fd = self->vm.fd, .label = "old");
	int sys = kx_system();

	close(kx_ioctl(sys, KVMX_VM_OPEN, &arg));
	close(self->handle);
	EXPECT_TRUE(module_refs_become(self->refs + 1));
	strcpy(arg.label, "new");
	self->handle = kx_ioctl(sys, KVMX_VM_OPEN, &arg);
	EXPECT_LE(0, self->handle);
	close(sys);
}

TEST_F(vm, info)
{
	struct kvmx_vm_info info;
	uint64_t generation;

	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(2, info.nr_slots);
	EXPECT_EQ(VM_CODE_PAGES + DATA_PAGES, info.nr_pages);
	EXPECT_EQ(1, info.nr_vcpus);
	EXPECT_EQ(0, info.nr_trackers);
	EXPECT_EQ(variant->ring_bytes, info.ring_bytes);
	EXPECT_EQ(variant->ring_bytes ? KVMX_VM_RING : 0, info.state);

	generation = info.generation;
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(generation, info.generation);
#define CHANGED(_nr_slots) \
do { \
	generation = info.generation; \
	ASSERT_EQ(0, kx_info(self->handle, &info)); \
	EXPECT_NE(generation, info.generation); \
	EXPECT_EQ((_nr_slots), info.nr_slots); \
} while (0)
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, VM_DATA_GFN + 4096, 3, MEM_ANON, 0));
	CHANGED(3);
	EXPECT_EQ(VM_CODE_PAGES + DATA_PAGES + 3, info.nr_pages);
	ASSERT_EQ(0, vm_move_slot(&self->vm, 2, VM_DATA_GFN + 8192));
	CHANGED(3);
	ASSERT_EQ(0, vm_set_flags(&self->vm, 2, KVM_MEM_LOG_DIRTY_PAGES));
	CHANGED(3);
	EXPECT_TRUE(info.state & KVMX_VM_LOGGED_BY_VMM);
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	CHANGED(2);
	EXPECT_FALSE(info.state & KVMX_VM_LOGGED_BY_VMM);
#undef CHANGED
	ASSERT_EQ(0, vm_add_vcpu(&self->vm));
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(2, info.nr_vcpus);
}

TEST_F(vm, tracking_shows_in_info)
{
	struct kvmx_vm_info info;
	int tracker, second;

	tracker = kx_tracker(self->handle, 0);
	second = kx_tracker(self->handle, 0);
	ASSERT_LE(0, tracker);
	ASSERT_LE(0, second);
	EXPECT_EQ(FD_CLOEXEC, fcntl(tracker, F_GETFD));
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(2, info.nr_trackers);
	EXPECT_TRUE(info.state & KVMX_VM_LOGGING);
	EXPECT_FALSE(info.state & KVMX_VM_LOGGED_BY_VMM);
	close(tracker);
	close(second);
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(0, info.nr_trackers);
	EXPECT_FALSE(info.state & KVMX_VM_LOGGING);
}

/* A handle keeps the VM as a duplicate of its fd would. */
TEST_F(vm, handle_outlives_kvm_fds)
{
	struct kvmx_vm_info info;
	struct pass pass;
	int tracker;

	tracker = kx_tracker(self->handle, 0);
	ASSERT_LE(0, tracker);
	ASSERT_EQ(0, pass_init(&pass));
	close(self->vm.fd);
	close(self->vm.kvm);
	vcpu_fini(&self->vm.vcpu[0]);
	self->vm.nr_vcpus = 0;
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(2, info.nr_slots);
	ASSERT_EQ(0, pass_run(&pass, tracker));
	EXPECT_EQ(VM_CODE_PAGES + DATA_PAGES, pass.pages);
	EXPECT_FALSE(poll_for(self->handle, POLLHUP, 0));
	/* Trackers do not need the handle they were made by, either. */
	close(self->handle);
	ASSERT_EQ(0, pass_run(&pass, tracker));
	close(tracker);
	EXPECT_TRUE(module_refs_become(self->refs));
}

/* What the calls need in the VMM's address space goes again with the last that needs it. */
TEST_F(vm, no_scratch_mapping_left)
{
	static char before[65536], after[65536];
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_vm_sample sample;
	struct kvmx_harvest arg;
	struct kvmx_run run;
	int tracker, i;

	ASSERT_LT(0, read_maps(before, sizeof(before)));
	for (i = 0; i < 3; i++) {
		tracker = kx_tracker(self->handle, 0);
		ASSERT_LE(0, tracker);
		ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA, DATA_PAGES, PAGE_SIZE, 1));
		arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)&run, .nr_runs = 1,
			     .run_size = sizeof(run));
		ASSERT_EQ(0, kx_ioctl(tracker, KVMX_HARVEST, &arg));
		EXPECT_EQ(1, arg.nr_runs);
		close(tracker);
		if (!variant->ring_bytes)
			ASSERT_EQ(0, kx_sample(self->handle, 8, 1000000, points, &sample));
	}
	/* Gone with the last user, or else with the last handle. */
	close(self->handle);
	ASSERT_LT(0, read_maps(after, sizeof(after)));
	EXPECT_EQ(0, strcmp(before, after))
		TH_LOG("before:\n%s\nafter:\n%s", before, after);
}

/* A child of the VMM has the same fds, but is not the VMM. */
TEST_F(vm, fork_of_the_vmm)
{
	int tracker = kx_tracker(self->handle, 0), status;
	struct kvmx_vm_info info;
	struct pass pass;
	pid_t child;

	ASSERT_LE(0, tracker);
	ASSERT_EQ(0, pass_init(&pass));
	child = fork();
	if (!child) {
		EXPECT_EQ(0, kx_info(self->handle, &info));
		EXPECT_EQ(-EXDEV, kx_tracker(self->handle, 0));
		EXPECT_EQ(-EXDEV, pass_run(&pass, tracker));
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	sleep_ms(20);
	EXPECT_FALSE(poll_for(self->handle, POLLHUP, 0));
	EXPECT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(0, pass_run(&pass, tracker));
	EXPECT_EQ(VM_CODE_PAGES + DATA_PAGES, pass.pages);
	close(tracker);
}

enum vmm_end { END_KILL, END_EXIT, END_EXEC };

struct vmm {
	pid_t pid;
	int sock;
	int kvm_fd;
	int handle;	/* opened by the VMM */
	int tracker;
};

/* A VMM in a process of its own, with a vCPU that writes all the time. */
static void vmm_main(int sock, uint32_t ring_bytes)
{
	static struct vm vm;
	char how = 0;
	int handle;

	if (vm_create(&vm, ring_bytes))
		_exit(1);
	if (vm_add_slot(&vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0))
		_exit(2);
	/* Nobody touches this: it is there to be accounted for. */
	if (vm_add_slot(&vm, 2, 4 * GIB / PAGE_SIZE, 4 * GIB / PAGE_SIZE, MEM_RESERVE, 0))
		_exit(2);
	handle = kx_vm(vm.fd);
	if (send_fd(sock, vm.fd) || send_fd(sock, handle) ||
	    send_fd(sock, kx_tracker(handle, 0)))
		_exit(3);
	vcpu_program_random(&vm.vcpu[0], VM_DATA, DATA_PAGES, 1000, 1);
	if (vcpu_start(&vm.vcpu[0]))
		_exit(4);
	if (read(sock, &how, 1) != 1)
		_exit(5);
	if (how == END_EXEC)
		execl("/bin/sleep", "sleep", "20", NULL);
	_exit(0);
}

static int vmm_start(struct vmm *vmm, uint32_t ring_bytes)
{
	int sock[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
		return -errno;
	vmm->pid = fork();
	if (!vmm->pid) {
		close(sock[0]);
		vmm_main(sock[1], ring_bytes);
	}
	close(sock[1]);
	vmm->sock = sock[0];
	vmm->kvm_fd = recv_fd(vmm->sock);
	vmm->handle = recv_fd(vmm->sock);
	vmm->tracker = recv_fd(vmm->sock);
	return vmm->tracker < 0 ? vmm->tracker : 0;
}

static void vmm_end(struct vmm *vmm, enum vmm_end how)
{
	char byte = how;

	if (how == END_KILL)
		kill(vmm->pid, SIGKILL);
	else if (write(vmm->sock, &byte, 1) != 1)
		kill(vmm->pid, SIGKILL);
}

FIXTURE(death) {
	struct vmm vmm;
	int refs;
	int kvm_refs;
	int sys;
	int handle;
};

FIXTURE_VARIANT(death) {
	enum vmm_end how;
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(death, killed) {
	.how = END_KILL,
};

FIXTURE_VARIANT_ADD(death, exited) {
	.how = END_EXIT,
};

FIXTURE_VARIANT_ADD(death, executed_another) {
	.how = END_EXEC,
};

FIXTURE_VARIANT_ADD(death, killed_with_ring) {
	.how = END_KILL,
	.ring_bytes = VM_RING_BYTES,
};

FIXTURE_SETUP(death)
{
	self->refs = module_refs();
	ASSERT_EQ(0, self->refs);
	self->kvm_refs = kvm_refs();
	ASSERT_LE(0, self->kvm_refs);
	ASSERT_EQ(0, vmm_start(&self->vmm, variant->ring_bytes));
	self->sys = kx_system();
	ASSERT_LE(0, self->sys);
	self->handle = kx_vm(self->vmm.kvm_fd);
	ASSERT_LE(0, self->handle);
}

FIXTURE_TEARDOWN(death)
{
	int status;

	close(self->handle);
	close(self->vmm.handle);
	close(self->vmm.tracker);
	close(self->vmm.kvm_fd);
	close(self->sys);
	kill(self->vmm.pid, SIGKILL);
	waitpid(self->vmm.pid, &status, 0);
	EXPECT_TRUE(module_refs_become(self->refs))
		TH_LOG("module has %d users", module_refs());
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs));
}

TEST_F(death, of_the_vmm)
{
	struct kvmx_run runs[4] = { { .gfn = VM_DATA_GFN, .npages = 1 } };
	struct kvmx_predict predict = KX_ARG(kvmx_predict, .page_bytes = 1, .min_permille = 1,
					     .remaining_pages = ~0ULL);
	struct kvmx_tracker_curve curve = KX_ARG(kvmx_tracker_curve, .nr_points = 1);
	struct kvmx_vm_open open = KX_ARG(kvmx_vm_open, .vm_fd = self->vmm.kvm_fd);
	struct kvmx_tracker_stats tracker_stats;
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_vm_slots slots = KX_ARG(kvmx_vm_slots);
	struct kvmx_harvest harvest;
	struct kvmx_vm_sample sample;
	struct kvmx_vm_stats stats;
	struct kvmx_vm_info info;
	int fds[2] = { self->handle, self->vmm.handle }, i;

	EXPECT_FALSE(poll_for(self->handle, POLLHUP, 0));
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(2, info.nr_handles);
	EXPECT_EQ(1, info.nr_trackers);
	vmm_end(&self->vmm, variant->how);

	slots.slot_size = sizeof(struct kvmx_slot);
	predict.points = (uintptr_t)points;
	predict.point_size = sizeof(points[0]);
	curve.points = (uintptr_t)points;
	curve.point_size = sizeof(points[0]);
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(poll_for(fds[i], POLLHUP, 5000));
		EXPECT_EQ(-ENODEV, kx_info(fds[i], &info));
		EXPECT_EQ(-ENODEV, kx_ioctl(fds[i], KVMX_VM_SLOTS, &slots));
		EXPECT_EQ(-ENODEV, kx_mark(fds[i], runs, 1, NULL));
		EXPECT_EQ(-ENODEV, kx_sample(fds[i], 1, 1000000, points, &sample));
		EXPECT_EQ(-ENODEV, kx_tracker(fds[i], 0));
		EXPECT_EQ(-ENODEV, kx_ioctl(fds[i], KVMX_PREDICT, &predict));
		EXPECT_EQ(0, kx_vm_stats(fds[i], &stats));
	}
	EXPECT_EQ(-ENODEV, kx_ioctl(self->sys, KVMX_VM_OPEN, &open));
	harvest = KX_ARG(kvmx_harvest, .runs = (uintptr_t)runs, .nr_runs = 4,
			 .run_size = sizeof(runs[0]));
	EXPECT_EQ(-ENODEV, kx_ioctl(self->vmm.tracker, KVMX_HARVEST, &harvest));
	harvest.flags = KVMX_HARVEST_PEEK;
	EXPECT_EQ(-ENODEV, kx_ioctl(self->vmm.tracker, KVMX_HARVEST, &harvest));
	EXPECT_EQ(-ENODEV, kx_collect(self->vmm.tracker));
	EXPECT_EQ(-ENODEV, kx_restore(self->vmm.tracker, runs, 1, NULL));
	EXPECT_EQ(-ENODEV, kx_tracker_stats(self->vmm.tracker, &tracker_stats));
	EXPECT_EQ(-ENODEV, kx_ioctl(self->vmm.tracker, KVMX_TRACKER_CURVE, &curve));
	EXPECT_EQ(-ENODEV, kx_ioctl(self->vmm.tracker, KVMX_PREDICT, &predict));
	/* Input is checked before the patient's health. */
	EXPECT_EQ(-ENOTTY, kx_ioctl(self->handle, KVMX_HARVEST, &harvest));
}

/* The memory of a dead VM goes at once, not when the last handle does. */
TEST_F(death, frees_memory)
{
	struct kvmx_vm_stats stats;
	int i;

	ASSERT_EQ(0, kx_vm_stats(self->handle, &stats));
	EXPECT_LT(64 * 1024, stats.bytes);
	vmm_end(&self->vmm, variant->how);
	ASSERT_TRUE(poll_for(self->handle, POLLHUP, 5000));
	close(self->vmm.tracker);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, kx_vm_stats(self->handle, &stats));
		/* The object itself and its handles are still counted. */
		if (stats.bytes < 4 * PAGE_SIZE)
			break;
		sleep_ms(10);
	}
	EXPECT_GT(4 * PAGE_SIZE, stats.bytes);
}

/* A handle of a dead VM does not keep KVM's VM: that may be gigabytes of page tables. */
TEST_F(death, frees_the_vm)
{
	close(self->vmm.kvm_fd);
	EXPECT_LT(self->kvm_refs, kvm_refs());
	vmm_end(&self->vmm, variant->how);
	ASSERT_TRUE(poll_for(self->handle, POLLHUP, 5000));
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs));
}

/* Nobody but the VMM itself holds anything: its end is the end of it all. */
TEST_F(death, of_the_only_user)
{
	close(self->handle);
	close(self->vmm.handle);
	close(self->vmm.tracker);
	close(self->vmm.kvm_fd);
	EXPECT_LT(self->refs + 1, module_refs());
	vmm_end(&self->vmm, variant->how);
	/* The system fd of the fixture stays. */
	EXPECT_TRUE(module_refs_become(self->refs + 1))
		TH_LOG("module has %d users", module_refs());
}

TEST_HARNESS_MAIN
