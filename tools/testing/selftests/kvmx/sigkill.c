// SPDX-License-Identifier: GPL-2.0
/*
 * A VMM that does everything at once in several threads is killed at a random moment, again and
 * again. Nothing of it may remain.
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "lib/fdpass.h"
#include "lib/pass.h"

#define DATA_PAGES 512
#define KILLS 60
#define MAX_LIFE_MS 60

FIXTURE(sigkill) {
	int refs;
	int kvm_refs;
};

FIXTURE_VARIANT(sigkill) {
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(sigkill, bitmap) {
	.ring_bytes = 0,
};

FIXTURE_VARIANT_ADD(sigkill, ring) {
	.ring_bytes = VM_RING_BYTES,
};

FIXTURE_SETUP(sigkill)
{
	self->refs = module_refs();
	ASSERT_EQ(0, self->refs);
	self->kvm_refs = kvm_refs();
	ASSERT_LE(0, self->kvm_refs);
}

FIXTURE_TEARDOWN(sigkill)
{
	EXPECT_TRUE(module_refs_become(self->refs))
		TH_LOG("module has %d users", module_refs());
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs))
		TH_LOG("KVM has %d users", kvm_refs());
}

/* Shared by all threads of a VMM; fds change under the others' hands, on purpose. */
static struct vm vm;
static int system_fd;
static int handle;
static int trackers[4] = { -1, -1, -1, -1 };

static int collect_for_vcpu(void *data)
{
	uint32_t i;

	(void)data;
	for (i = 0; i < ARRAY_SIZE(trackers); i++)
		if (!kx_collect(trackers[i]))
			return 0;
	/* None at the moment: come again. */
	sleep_ms(1);
	return 0;
}

static void *trackers_come_and_go(void *data)
{
	uint32_t seed = (uintptr_t)data;
	int old;

	for (;;) {
		old = __atomic_exchange_n(&trackers[next_random(&seed) % ARRAY_SIZE(trackers)],
					  kx_tracker(handle, next_random(&seed) & 1),
					  __ATOMIC_SEQ_CST);
		if (old >= 0)
			close(old);
	}
	return NULL;
}

static void *harvest_and_restore(void *data)
{
	uint32_t seed = (uintptr_t)data;
	struct kvmx_run runs[64];
	struct kvmx_harvest arg;
	uint64_t cursor = 0;
	int tracker;

	for (;;) {
		tracker = trackers[next_random(&seed) % ARRAY_SIZE(trackers)];
		arg = KX_ARG(kvmx_harvest, .flags = next_random(&seed) % 8,
			     .runs = (uintptr_t)runs, .nr_runs = 1 + next_random(&seed) % 64,
			     .run_size = sizeof(runs[0]), .cursor = cursor);
		cursor = 0;
		if (!kx_ioctl(tracker, KVMX_HARVEST, &arg)) {
			cursor = arg.cursor;
			kx_restore(tracker, runs, arg.nr_runs, NULL);
		}
		kx_collect(tracker);
	}
	return NULL;
}

static void *ask_and_mark(void *data)
{
	struct kvmx_predict predict = KX_ARG(kvmx_predict, .page_bytes = 4096,
					     .min_permille = 500, .bandwidth = 1000000,
					     .remaining_pages = ~0ULL);
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_tracker_curve curve;
	struct kvmx_tracker_stats tracker_stats;
	struct kvmx_vm_stats stats;
	struct kvmx_vm_slots slots;
	struct kvmx_slot list[8];
	struct kvmx_event event;
	struct kvmx_vm_info info;
	uint32_t seed = (uintptr_t)data;
	int fd, tracker;

	for (;;) {
		kx_info(handle, &info);
		kx_vm_stats(handle, &stats);
		slots = KX_ARG(kvmx_vm_slots, .slots = (uintptr_t)list, .nr_slots = 8,
			       .slot_size = sizeof(list[0]));
		kx_ioctl(handle, KVMX_VM_SLOTS, &slots);
		kx_mark_pages(handle, VM_DATA_GFN + next_random(&seed) % DATA_PAGES, 10);
		tracker = trackers[next_random(&seed) % ARRAY_SIZE(trackers)];
		kx_tracker_stats(tracker, &tracker_stats);
		curve = KX_ARG(kvmx_tracker_curve, .nr_points = KVMX_MAX_POINTS,
			       .point_size = sizeof(points[0]), .points = (uintptr_t)points);
		kx_ioctl(tracker, KVMX_TRACKER_CURVE, &curve);
		kx_ioctl(tracker, KVMX_PREDICT, &predict);
		kx_ioctl(handle, KVMX_PREDICT, &predict);
		kx_event(handle, &event);
		fd = kx_vm(vm.fd);
		poll_for(fd, POLLIN, 0);
		close(fd);
	}
	return NULL;
}

static void *sample(void *data)
{
	struct kvmx_point points[KVMX_MAX_POINTS];
	uint32_t seed = (uintptr_t)data;
	struct kvmx_vm_sample arg;
	uint32_t i;
	int old;

	for (;;) {
		/* Only without trackers it gets anywhere. */
		for (i = 0; i < ARRAY_SIZE(trackers); i++) {
			old = __atomic_exchange_n(&trackers[i], -1, __ATOMIC_SEQ_CST);
			if (old >= 0)
				close(old);
		}
		kx_sample(handle, 64, 1000000 + next_random(&seed) % 5000000, points, &arg);
		sleep_ms(5);
	}
	return NULL;
}

/* The UAPI wants the VMM to serialize these. A VMM that does not must not hurt the host. */
static void *slots_come_and_go(void *data)
{
	(void)data;
	for (;;) {
		vm_remove_slot(&vm, 2);
		sleep_ms(1);
		vm_restore_slot(&vm, 2);
		sleep_ms(1);
	}
	return NULL;
}

static void vmm_main(int sock, uint32_t ring_bytes, uint32_t seed)
{
	static void *(*const work[])(void *) = {
		trackers_come_and_go, harvest_and_restore, ask_and_mark, sample,
		slots_come_and_go, harvest_and_restore,
	};
	pthread_t thread;
	int watched;
	uint32_t i;

	if (vm_create(&vm, ring_bytes) ||
	    vm_add_slot(&vm, 1, VM_DATA_GFN, DATA_PAGES / 2, MEM_ANON, 0) ||
	    vm_add_slot(&vm, 2, VM_DATA_GFN + DATA_PAGES / 2, DATA_PAGES / 2, MEM_ANON, 0))
		_exit(1);
	vm.ring_full = collect_for_vcpu;
	system_fd = kx_system();
	handle = kx_vm(vm.fd);
	kx_nonblock(handle);
	trackers[0] = kx_tracker(handle, 0);
	/* One that none of the threads closes. */
	watched = dup(trackers[0]);
	if (sock >= 0 && (send_fd(sock, handle) || send_fd(sock, watched)))
		_exit(4);
	if (vcpu_program_random(&vm.vcpu[0], VM_DATA, DATA_PAGES, 500, seed) ||
	    vcpu_start(&vm.vcpu[0]))
		_exit(2);
	for (i = 0; i < ARRAY_SIZE(work); i++)
		if (pthread_create(&thread, NULL, work[i], (void *)(uintptr_t)(seed + i + 1)))
			_exit(3);
	for (;;)
		pause();
}

/* Nobody else holds anything. */
TEST_F_TIMEOUT(sigkill, random_moment, 90)
{
	uint32_t seed = 2023, i;
	int status;
	pid_t child;

	for (i = 0; i < KILLS; i++) {
		child = fork();
		if (!child)
			vmm_main(-1, variant->ring_bytes, i + 1);
		/* From its very first step on. */
		sleep_ms(next_random(&seed) % (i % 2 ? MAX_LIFE_MS * 3 : MAX_LIFE_MS));
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status))
			TH_LOG("VMM %u gave up by itself: %#x", i, status);
	}
	EXPECT_TRUE(module_refs_become(self->refs));
}

/* Another process holds a handle and a tracker, and keeps using them meanwhile. */
TEST_F_TIMEOUT(sigkill, with_others_watching, 60)
{
	struct kvmx_tracker_stats tracker_stats;
	struct kvmx_vm_stats stats, later;
	int sock[2], seen, tracker, status;
	struct kvmx_vm_info info;
	uint32_t seed = 77, i;
	struct pass pass;
	uint64_t end;
	pid_t child;

	ASSERT_EQ(0, pass_init(&pass));
	pass.flags = KVMX_HARVEST_PEEK;
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock));
		child = fork();
		if (!child)
			vmm_main(sock[1], variant->ring_bytes, i + 1);
		seen = recv_fd(sock[0]);
		tracker = recv_fd(sock[0]);
		ASSERT_LE(0, seen);
		end = now_ns() + next_random(&seed) % MAX_LIFE_MS * 1000000ULL;
		do {
			ASSERT_EQ(0, kx_info(seen, &info));
			ASSERT_EQ(0, kx_tracker_stats(tracker, &tracker_stats));
			ASSERT_EQ(0, kx_mark_pages(seen, VM_DATA_GFN, 1));
		} while (now_ns() < end);
		ASSERT_EQ(0, kill(child, SIGKILL));
		while (!kx_info(seen, &info))
			kx_mark_pages(seen, VM_DATA_GFN, 1);
		EXPECT_EQ(-ENODEV, kx_info(seen, &info));
		EXPECT_TRUE(poll_for(seen, POLLHUP, 5000));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_EQ(-ENODEV, pass_run(&pass, tracker));
		close(tracker);
		EXPECT_EQ(0, kx_vm_stats(seen, &stats));
		sleep_ms(5);
		EXPECT_EQ(0, kx_vm_stats(seen, &later));
		EXPECT_EQ(stats.harvests, later.harvests);
		EXPECT_EQ(stats.clear_calls, later.clear_calls);
		close(seen);
		close(sock[0]);
		close(sock[1]);
	}
}

TEST_HARNESS_MAIN
