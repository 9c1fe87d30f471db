// SPDX-License-Identifier: GPL-2.0
/*
 * Events: read and poll of a VM fd, and logging that somebody else disturbs.
 */
#include <errno.h>
#include <kselftest_harness.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/fdpass.h"
#include "lib/pass.h"

#define DATA_PAGES 256
#define NEW_GFN (VM_DATA_GFN + 0x10000)
#define KEPT_EVENTS 64

FIXTURE(event) {
	struct vm vm;
	struct pass pass;
	int handle;
	int tracker;
};

FIXTURE_SETUP(event)
{
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	ASSERT_EQ(0, pass_init(&self->pass));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	kx_nonblock(self->handle);
	self->tracker = -1;
}

FIXTURE_TEARDOWN(event)
{
	close(self->tracker);
	close(self->handle);
	vm_destroy(&self->vm);
	pass_fini(&self->pass);
}

#define OPEN(_flags) \
do { \
	self->tracker = kx_tracker(self->handle, (_flags)); \
	ASSERT_LE(0, self->tracker); \
} while (0)

#define PASS() ASSERT_EQ(0, pass_run(&self->pass, self->tracker))

/* The next event of a type, or NULL if there is none. */
static const struct kvmx_event *next_of(int handle, uint32_t type)
{
	static struct kvmx_event event;

	while (!kx_event(handle, &event))
		if (event.type == type)
			return &event;
	return NULL;
}

TEST_F(event, read_and_poll)
{
	uint64_t before = now_ns();
	struct kvmx_event event[4];
	int second;

	memset(event, 0xa5, sizeof(event));
	EXPECT_FALSE(poll_for(self->handle, POLLIN, 0));
	EXPECT_EQ(-EAGAIN, kx_event(self->handle, &event[0]));
	OPEN(0);
	second = kx_tracker(self->handle, 0);
	ASSERT_LE(0, second);
	EXPECT_TRUE(poll_for(self->handle, POLLIN, 0));
	/* Less than one event: nothing is taken. */
	ASSERT_EQ(-1, read(self->handle, event, sizeof(event[0]) - 1));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(-1, read(self->handle, event, 0));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(-1, read(self->handle, map_before_hole(8), sizeof(event[0])));
	EXPECT_EQ(EFAULT, errno);
	/* Only whole ones, as many as there is room for. */
	ASSERT_EQ(sizeof(event[0]), read(self->handle, event, 2 * sizeof(event[0]) - 1));
	EXPECT_EQ(KVMX_EVENT_TRACKERS, event[0].type);
	EXPECT_EQ(sizeof(event[0]), event[0].size);
	EXPECT_EQ(1, event[0].arg);
	EXPECT_LE(before, event[0].time_ns);
	EXPECT_GE(now_ns(), event[0].time_ns);
	EXPECT_TRUE(all_bytes(&event[1], 0xa5, sizeof(event) - sizeof(event[0])));
	EXPECT_TRUE(poll_for(self->handle, POLLIN, 0));
	close(second);
	ASSERT_EQ(2 * sizeof(event[0]), read(self->handle, event, sizeof(event)));
	EXPECT_EQ(2, event[0].arg);
	EXPECT_EQ(1, event[1].arg);
	EXPECT_LE(event[0].time_ns, event[1].time_ns);
	EXPECT_FALSE(poll_for(self->handle, POLLIN, 0));
	EXPECT_EQ(-EAGAIN, kx_event(self->handle, &event[0]));
}

/* Some of the events cannot be delivered: they are not lost. */
TEST_F(event, fault_halfway)
{
	struct kvmx_event *event = map_before_hole(sizeof(*event));
	int second = kx_tracker(self->handle, 0), third = kx_tracker(self->handle, 0);
	int args = 0;
	ssize_t n;

	ASSERT_LE(0, second);
	ASSERT_LE(0, third);
	n = read(self->handle, event, 2 * sizeof(*event));
	if (n == sizeof(*event))
		args += event->arg;
	else
		EXPECT_EQ(-1, n);
	while (!kx_event(self->handle, event))
		args += event->arg;
	EXPECT_EQ(1 + 2, args);
	close(second);
	close(third);
}

TEST_F(event, each_handle_has_its_own)
{
	int other = kx_vm(self->vm.fd);
	struct kvmx_event event;

	ASSERT_LE(0, other);
	kx_nonblock(other);
	OPEN(0);
	ASSERT_EQ(0, kx_event(self->handle, &event));
	ASSERT_EQ(0, kx_event(other, &event));
	EXPECT_EQ(KVMX_EVENT_TRACKERS, event.type);
	EXPECT_EQ(-EAGAIN, kx_event(other, &event));
	close(other);
	/* One that comes later has missed what was before. */
	other = kx_vm(self->vm.fd);
	kx_nonblock(other);
	EXPECT_EQ(-EAGAIN, kx_event(other, &event));
	close(other);
}

TEST_F(event, old_ones_are_lost_and_counted)
{
	int other = kx_vm(self->vm.fd), tracker, i, n = 0;
	struct kvmx_vm_stats stats;
	struct kvmx_event event;

	ASSERT_LE(0, other);
	for (i = 0; i < KEPT_EVENTS; i++) {
		tracker = kx_tracker(self->handle, 0);
		ASSERT_LE(0, tracker);
		close(tracker);
		if (i == KEPT_EVENTS / 2 - 1) {
			ASSERT_EQ(0, kx_vm_stats(self->handle, &stats));
			EXPECT_EQ(0, stats.events_lost);
		}
	}
	ASSERT_EQ(0, kx_vm_stats(self->handle, &stats));
	EXPECT_EQ(KEPT_EVENTS, stats.events_lost);
	while (!kx_event(self->handle, &event)) {
		/* The oldest that is left: a tracker came. */
		EXPECT_EQ(n % 2 ? 0 : 1, event.arg);
		n++;
	}
	EXPECT_EQ(KEPT_EVENTS, n);
	ASSERT_EQ(0, kx_vm_stats(other, &stats));
	EXPECT_EQ(KEPT_EVENTS, stats.events_lost);
	close(other);
}

static void *late_tracker(void *data)
{
	sleep_ms(100);
	return (void *)(intptr_t)kx_tracker(*(int *)data, 0);
}

TEST_F(event, read_and_poll_wait)
{
	int waiting = kx_vm(self->vm.fd);
	struct kvmx_event event;
	pthread_t thread;
	uint64_t start;
	void *tracker;

	ASSERT_LE(0, waiting);
	start = now_ns();
	ASSERT_EQ(0, pthread_create(&thread, NULL, late_tracker, &self->handle));
	EXPECT_EQ(0, kx_event(waiting, &event));
	EXPECT_LE(90000000, now_ns() - start);
	EXPECT_EQ(KVMX_EVENT_TRACKERS, event.type);
	pthread_join(thread, &tracker);
	close((intptr_t)tracker);
	EXPECT_EQ(0, kx_event(waiting, &event));

	start = now_ns();
	ASSERT_EQ(0, pthread_create(&thread, NULL, late_tracker, &self->handle));
	EXPECT_TRUE(poll_for(waiting, POLLIN, 5000));
	EXPECT_LE(90000000, now_ns() - start);
	pthread_join(thread, &tracker);
	close((intptr_t)tracker);
	close(waiting);
}

static void on_alarm(int sig)
{
	(void)sig;
}

TEST_F(event, read_is_interrupted)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int waiting = kx_vm(self->vm.fd);
	struct kvmx_event event;
	timer_t timer;
	struct itimerspec when = { .it_value = { .tv_nsec = 50000000 } };

	ASSERT_LE(0, waiting);
	sigaction(SIGALRM, &action, NULL);
	ASSERT_EQ(0, timer_create(CLOCK_MONOTONIC, NULL, &timer));
	ASSERT_EQ(0, timer_settime(timer, 0, &when, NULL));
	EXPECT_EQ(-EINTR, kx_event(waiting, &event));
	close(waiting);
}

/* The VM dies while somebody else waits for its events. */
TEST_F(event, death_ends_the_wait)
{
	struct kvmx_event event;
	int sock[2], handle;
	static struct vm vm;
	pid_t child;
	int status;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	child = fork();
	if (!child) {
		if (vm_create(&vm, 0) || send_fd(sock[1], kx_vm(vm.fd)))
			_exit(1);
		sleep_ms(150);
		_exit(0);
	}
	handle = recv_fd(sock[0]);
	ASSERT_LE(0, handle);
	EXPECT_EQ(0, read(handle, &event, sizeof(event)));
	EXPECT_TRUE(poll_for(handle, POLLHUP, 0));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	/* For good. */
	EXPECT_EQ(0, read(handle, &event, sizeof(event)));
	close(handle);
}

TEST_F(event, slots)
{
	const struct kvmx_event *event;

	OPEN(KVMX_TRACKER_CLEAN);
	PASS();
	EXPECT_EQ(NULL, next_of(self->handle, KVMX_EVENT_SLOTS));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 16, MEM_ANON, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 3, NEW_GFN + 16, 16, MEM_ANON, 0));
	PASS();
	event = next_of(self->handle, KVMX_EVENT_SLOTS);
	ASSERT_NE(NULL, event);
	EXPECT_EQ(2, event->arg);
	ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
	PASS();
	event = next_of(self->handle, KVMX_EVENT_SLOTS);
	ASSERT_NE(NULL, event);
	EXPECT_EQ(1, event->arg);
	PASS();
	EXPECT_EQ(NULL, next_of(self->handle, KVMX_EVENT_SLOTS));
}

/* The VMM switches logging of a memslot off under a tracker: nothing may be lost by that. */
TEST_F(event, disturbed)
{
	const struct kvmx_event *event;
	struct kvmx_vm_stats stats;

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, 0));
	OPEN(KVMX_TRACKER_CLEAN);
	PASS();
	ASSERT_EQ(0, vm_set_flags(&self->vm, 2, 0));
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], NEW_GFN * PAGE_SIZE, 10, PAGE_SIZE, 1));
	PASS();
	EXPECT_EQ(100, pass_count(&self->pass, NEW_GFN, 100));
	EXPECT_EQ(0, pass_count(&self->pass, VM_DATA_GFN, DATA_PAGES));
	event = next_of(self->handle, KVMX_EVENT_DISTURBED);
	ASSERT_NE(NULL, event);
	EXPECT_EQ(2, event->arg);
	ASSERT_EQ(0, kx_vm_stats(self->handle, &stats));
	EXPECT_EQ(1, stats.log_disturbed);
	/* And it is logged again. */
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], NEW_GFN * PAGE_SIZE, 10, PAGE_SIZE, 1));
	PASS();
	EXPECT_EQ(10, pass_count(&self->pass, NEW_GFN, 100));
	EXPECT_EQ(NULL, next_of(self->handle, KVMX_EVENT_DISTURBED));
}

/* Off and on again: the flag looks the same, the bits are gone. */
TEST_F(event, disturbed_twice)
{
	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, NEW_GFN, 100, MEM_ANON, 0));
	OPEN(KVMX_TRACKER_CLEAN);
	PASS();
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], NEW_GFN * PAGE_SIZE, 10, PAGE_SIZE, 1));
	ASSERT_EQ(0, vm_set_flags(&self->vm, 2, 0));
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], (NEW_GFN + 50) * PAGE_SIZE, 10, PAGE_SIZE, 1));
	ASSERT_EQ(0, vm_set_flags(&self->vm, 2, KVM_MEM_LOG_DIRTY_PAGES));
	PASS();
	EXPECT_EQ(10, pass_count(&self->pass, NEW_GFN, 10));
	EXPECT_EQ(10, pass_count(&self->pass, NEW_GFN + 50, 10));
}

TEST_HARNESS_MAIN
