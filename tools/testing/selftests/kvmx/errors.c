// SPDX-License-Identifier: GPL-2.0
/*
 * Each documented error of each ioctl, with input that is valid but for one thing, and that a
 * refused call changes nothing.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "lib/fdpass.h"
#include "lib/pass.h"

#define DATA_PAGES 64
#define OTHER_GFN (VM_DATA_GFN + 4096)

FIXTURE(errors) {
	struct vm vm;
	int sys;
	int handle;
	struct kvmx_run runs[DATA_PAGES];
	struct kvmx_slot slots[8];
	struct kvmx_point points[KVMX_MAX_POINTS];
};

FIXTURE_SETUP(errors)
{
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	self->sys = kx_system();
	ASSERT_LE(0, self->sys);
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
}

FIXTURE_TEARDOWN(errors)
{
	close(self->handle);
	close(self->sys);
	vm_destroy(&self->vm);
}

/* Take the valid argument, spoil it by the statements, and see the error. */
#define REFUSED(_error, _fd, _nr, _valid, ...) \
do { \
	__typeof__(_valid) arg = (_valid); \
\
	__VA_ARGS__; \
	EXPECT_EQ(-(_error), kx_ioctl((_fd), (_nr), &arg)) \
		TH_LOG("with %s", #__VA_ARGS__); \
} while (0)

#define ACCEPTED(_fd, _nr, _valid, ...) REFUSED(0, _fd, _nr, _valid, ##__VA_ARGS__)

/* All but the code pages, which the guest may have run from meanwhile, are clean. */
static uint64_t dirty_data(struct pass *pass, int tracker)
{
	pass->flags = KVMX_HARVEST_PEEK;
	if (pass_run(pass, tracker))
		return ~0ULL;
	return pass_count(pass, VM_DATA_GFN, DATA_PAGES);
}

TEST_F(errors, vm_open)
{
	struct kvmx_vm_open valid = KX_ARG(kvmx_vm_open, .vm_fd = self->vm.fd);
	int null = open("/dev/null", O_RDWR), event = eventfd(0, 0), closed = dup(null);
	int gone = open("/dev/kvmx", O_RDWR | O_PATH);

	close(closed);
#define OPEN(_error, ...) REFUSED(_error, self->sys, KVMX_VM_OPEN, valid, ##__VA_ARGS__)
	OPEN(EBADF, arg.vm_fd = -1);
	OPEN(EBADF, arg.vm_fd = closed);
	OPEN(EBADF, arg.vm_fd = 0x7fffffff);
	OPEN(EBADF, arg.vm_fd = gone);
	OPEN(EINVAL, arg.vm_fd = null);
	OPEN(EINVAL, arg.vm_fd = event);
	OPEN(EINVAL, arg.vm_fd = self->vm.kvm);
	OPEN(EINVAL, arg.vm_fd = self->vm.vcpu[0].fd);
	OPEN(EINVAL, arg.vm_fd = self->sys);
	OPEN(EINVAL, arg.vm_fd = self->handle);
	OPEN(EINVAL, memset(arg.label, 'a', KVMX_LABEL_LEN));
	OPEN(EINVAL, strcpy(arg.label, "two\nlines"));
	OPEN(EINVAL, strcpy(arg.label, "del\x7f"));
	OPEN(EINVAL, strcpy(arg.label, "\x1f"));
	OPEN(EINVAL, strcpy(arg.label, "h\xf6her"));
#undef OPEN
	close(gone);
	close(event);
	close(null);
}

/* UUID and label are given once, each on its own, and all or nothing. */
TEST_F(errors, vm_open_identity)
{
	struct kvmx_vm_open valid = KX_ARG(kvmx_vm_open, .vm_fd = self->vm.fd);
	struct kvmx_vm_info info;
	int fd;

#define OPEN(_error, ...) REFUSED(_error, self->sys, KVMX_VM_OPEN, valid, ##__VA_ARGS__)
	strcpy(valid.label, "~ first !");
	fd = kx_ioctl(self->sys, KVMX_VM_OPEN, &valid);
	ASSERT_LE(0, fd);
	close(fd);
	OPEN(EEXIST, strcpy(arg.label, "second"));
	OPEN(EEXIST, strcpy(arg.label, "second"), arg.uuid[3] = 7);
	OPEN(EEXIST, strcpy(arg.label, "~ first"));
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_STREQ("~ first !", info.label);
	EXPECT_TRUE(all_bytes(info.uuid, 0, KVMX_UUID_LEN));

	valid.uuid[15] = 9;
	fd = kx_ioctl(self->sys, KVMX_VM_OPEN, &valid);
	ASSERT_LE(0, fd);
	close(fd);
	OPEN(EEXIST, arg.uuid[0] = 1);
	OPEN(EEXIST, arg.uuid[0] = 1, arg.label[0] = '\0');
#undef OPEN
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(9, info.uuid[15]);
	EXPECT_TRUE(all_bytes(info.uuid, 0, 15));
	EXPECT_EQ(1, info.nr_handles);

	/* Empty means "leave it": never a mismatch. */
	fd = kx_vm(self->vm.fd);
	ASSERT_LE(0, fd);
	close(fd);
}

/* A label as long as can be, from the VM's own process, which needs no capability. */
TEST_F(errors, vm_open_without_capability)
{
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open, .vm_fd = self->vm.fd);
	struct kvmx_vm_info info;
	pid_t child;
	int status;
	int fd;

	memset(arg.label, 'x', KVMX_LABEL_LEN - 1);
	child = fork();
	if (!child) {
		/* Another process: may with CAP_SYS_ADMIN only. */
		EXPECT_EQ(0, drop_capabilities());
		EXPECT_EQ(-EPERM, kx_ioctl(self->sys, KVMX_VM_OPEN, &arg));
		arg.uuid[0] = 1;
		arg.label[0] = '\0';
		EXPECT_EQ(-EPERM, kx_ioctl(self->sys, KVMX_VM_OPEN, &arg));
		arg.uuid[0] = 0;
		fd = kx_ioctl(self->sys, KVMX_VM_OPEN, &arg);
		EXPECT_LE(0, fd);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ('\0', info.label[0]);
	EXPECT_TRUE(all_bytes(info.uuid, 0, KVMX_UUID_LEN));

	ASSERT_EQ(0, drop_capabilities());
	fd = kx_ioctl(self->sys, KVMX_VM_OPEN, &arg);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, kx_info(fd, &info));
	EXPECT_EQ(KVMX_LABEL_LEN - 1, strlen(info.label));
	close(fd);
}

/* With CAP_SYS_ADMIN any process that has the VM's fd may. */
TEST_F(errors, vm_open_by_administrator)
{
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open, .vm_fd = self->vm.fd, .label = "admin's");
	struct kvmx_vm_info info;
	pid_t child;
	int status;

	child = fork();
	if (!child) {
		EXPECT_LE(0, kx_ioctl(self->sys, KVMX_VM_OPEN, &arg));
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_STREQ("admin's", info.label);
}

TEST_F(errors, no_fd_left)
{
	struct rlimit old, few;
	struct kvmx_vm_info info;
	int next = dup(0), tracker;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	few = old;
	few.rlim_cur = next;
	close(next);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &few));
	REFUSED(EMFILE, self->sys, KVMX_VM_OPEN, KX_ARG(kvmx_vm_open, .vm_fd = self->vm.fd));
	REFUSED(EMFILE, self->handle, KVMX_TRACKER_CREATE, KX_ARG(kvmx_tracker_create));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(1, info.nr_handles);
	EXPECT_EQ(0, info.nr_trackers);
	EXPECT_EQ(0, info.state);
	tracker = kx_tracker(self->handle, 0);
	EXPECT_LE(0, tracker);
	close(tracker);
}

TEST_F(errors, vm_slots)
{
	struct kvmx_vm_slots valid = KX_ARG(kvmx_vm_slots, .slots = (uintptr_t)self->slots,
					    .nr_slots = 8,
					    .slot_size = sizeof(struct kvmx_slot));
	struct kvmx_vm_slots small = valid;

#define SLOTS(_error, ...) REFUSED(_error, self->handle, KVMX_VM_SLOTS, valid, ##__VA_ARGS__)
	SLOTS(EINVAL, arg.slot_size = 0);
	SLOTS(EINVAL, arg.slot_size--);
	SLOTS(EINVAL, arg.slot_size = 8);
	memset(self->slots, 0xa5, sizeof(self->slots));
	SLOTS(ENOSPC, arg.nr_slots = 0);
	SLOTS(ENOSPC, arg.nr_slots = 1);
	SLOTS(ENOSPC, arg.nr_slots = 0, arg.slots = 0);
	small.nr_slots = 1;
	EXPECT_EQ(-ENOSPC, kx_ioctl(self->handle, KVMX_VM_SLOTS, &small));
	EXPECT_EQ(2, small.nr_slots);
	EXPECT_TRUE(all_bytes(self->slots, 0xa5, sizeof(self->slots)));
	SLOTS(0, arg.nr_slots = 2);
#undef SLOTS
	EXPECT_TRUE(all_bytes(&self->slots[2], 0xa5, sizeof(self->slots[0]) * 6));
}

static void bad_runs(struct __test_metadata *_metadata, struct kvmx_run *runs, int fd,
		     unsigned long nr)
{
	/* RESTORE's argument has the same layout. */
	struct kvmx_vm_mark valid = KX_ARG(kvmx_vm_mark, .runs = (uintptr_t)runs, .nr_runs = 2,
					   .run_size = sizeof(*runs));
	struct kvmx_run good[2] = {
		{ .gfn = VM_DATA_GFN, .npages = 1 }, { .gfn = VM_DATA_GFN + 2, .npages = 1 },
	};
	struct kvmx_run *hole;

	static_assert(sizeof(struct kvmx_vm_mark) == sizeof(struct kvmx_restore), "one layout");
#define RUNS(_error, ...) \
do { \
	memcpy(runs, good, sizeof(good)); \
	REFUSED(_error, fd, nr, valid, __VA_ARGS__); \
} while (0)
	RUNS(EINVAL, arg.nr_runs = 0);
	RUNS(EINVAL, arg.nr_runs = KVMX_MAX_RUNS + 1);
	RUNS(EINVAL, arg.nr_runs = ~0U);
	RUNS(EINVAL, arg.run_size = 0);
	RUNS(EINVAL, arg.run_size--);
	RUNS(EINVAL, arg.run_size = 8);
	RUNS(EINVAL, runs[1].npages = 0);
	RUNS(EINVAL, runs[1].gfn = ~0ULL, runs[1].npages = 2);
	RUNS(EINVAL, runs[1].gfn = ~0ULL - 5, runs[1].npages = ~0U);
	RUNS(EOPNOTSUPP, runs[1].__reserved = 1);
	RUNS(EFAULT, arg.runs = 0);
	/* The second run is not readable. */
	hole = map_before_hole(sizeof(*runs));
	*hole = good[0];
	RUNS(EFAULT, arg.runs = (uintptr_t)hole);
#undef RUNS
}

/* Among them runs whose first part is good: it must not have been taken. */
TEST_F(errors, vm_mark)
{
	int tracker = kx_tracker(self->handle, KVMX_TRACKER_CLEAN);
	struct pass pass;

	ASSERT_LE(0, tracker);
	ASSERT_EQ(0, pass_init(&pass));
	bad_runs(_metadata, self->runs, self->handle, KVMX_VM_MARK);
	EXPECT_EQ(0, dirty_data(&pass, tracker));
	self->runs[0] = (struct kvmx_run){ .gfn = VM_DATA_GFN, .npages = 1, .slot = 0xffff,
					   .page_class = 99 };
	ASSERT_EQ(0, kx_mark(self->handle, self->runs, 1, NULL));
	EXPECT_EQ(1, dirty_data(&pass, tracker));
	close(tracker);
	/* Checked without a tracker, too. */
	bad_runs(_metadata, self->runs, self->handle, KVMX_VM_MARK);
	EXPECT_EQ(0, kx_mark_pages(self->handle, VM_DATA_GFN, 1));
}

TEST_F(errors, restore)
{
	int tracker = kx_tracker(self->handle, KVMX_TRACKER_CLEAN);
	struct pass pass;

	ASSERT_LE(0, tracker);
	ASSERT_EQ(0, pass_init(&pass));
	bad_runs(_metadata, self->runs, tracker, KVMX_RESTORE);
	EXPECT_EQ(0, dirty_data(&pass, tracker));
	self->runs[0] = (struct kvmx_run){ .gfn = VM_DATA_GFN, .npages = 1, .slot = 0xffff,
					   .page_class = 99 };
	ASSERT_EQ(0, kx_restore(tracker, self->runs, 1, NULL));
	EXPECT_EQ(1, dirty_data(&pass, tracker));
	close(tracker);
}

TEST_F(errors, vm_sample)
{
	struct kvmx_vm_sample valid = KX_ARG(kvmx_vm_sample, .nr_samples = 8, .nr_points = 4,
					     .duration_ns = 2000000,
					     .points = (uintptr_t)self->points,
					     .point_size = sizeof(struct kvmx_point));
	struct kvmx_vm_info info;
	pid_t child;
	int status;
	int tracker;

#define SAMPLE(_error, ...) REFUSED(_error, self->handle, KVMX_VM_SAMPLE, valid, ##__VA_ARGS__)
	SAMPLE(EINVAL, arg.nr_samples = 0);
	SAMPLE(EINVAL, arg.nr_samples = KVMX_MAX_SAMPLES + 1);
	SAMPLE(EINVAL, arg.nr_points = 0);
	SAMPLE(EINVAL, arg.nr_points = KVMX_MAX_POINTS + 1);
	SAMPLE(EINVAL, arg.duration_ns = 999999);
	SAMPLE(EINVAL, arg.duration_ns = 0);
	SAMPLE(EINVAL, arg.duration_ns = KVMX_MAX_SAMPLE_NS + 1);
	SAMPLE(EINVAL, arg.duration_ns = ~0ULL);
	SAMPLE(EINVAL, arg.point_size = 0);
	SAMPLE(EINVAL, arg.point_size--);
	SAMPLE(EOPNOTSUPP, arg.__reserved = 1);
	SAMPLE(EFAULT, arg.points = 0);

	tracker = kx_tracker(self->handle, 0);
	ASSERT_LE(0, tracker);
	SAMPLE(EBUSY, arg.flags = 0);
	close(tracker);
	ASSERT_EQ(0, vm_set_flags(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES));
	SAMPLE(EBUSY, arg.flags = 0);
	ASSERT_EQ(0, vm_set_flags(&self->vm, 1, 0));

	child = fork();
	if (!child) {
		SAMPLE(EXDEV, arg.flags = 0);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(0, info.state);
	SAMPLE(0, arg.flags = 0);
#undef SAMPLE
}

TEST_F(errors, tracker_create)
{
	struct kvmx_tracker_create valid = KX_ARG(kvmx_tracker_create);
	int tracker[KVMX_MAX_TRACKERS], i, status;
	struct kvmx_vm_info info;
	pid_t child;

#define CREATE(_error, ...) \
	REFUSED(_error, self->handle, KVMX_TRACKER_CREATE, valid, ##__VA_ARGS__)
	child = fork();
	if (!child) {
		CREATE(EXDEV, arg.flags = 0);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));

	ASSERT_EQ(0, vm_set_flags(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES));
	CREATE(EBUSY, arg.flags = 0);
	CREATE(EBUSY, arg.flags = KVMX_TRACKER_CLEAN);
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(KVMX_VM_LOGGED_BY_VMM, info.state);
	ASSERT_EQ(0, vm_set_flags(&self->vm, 1, 0));

	for (i = 0; i < KVMX_MAX_TRACKERS; i++) {
		tracker[i] = kx_tracker(self->handle, 0);
		ASSERT_LE(0, tracker[i]);
	}
	CREATE(EUSERS, arg.flags = 0);
#undef CREATE
	close(tracker[3]);
	tracker[3] = kx_tracker(self->handle, 0);
	EXPECT_LE(0, tracker[3]);
	for (i = 0; i < KVMX_MAX_TRACKERS; i++)
		close(tracker[i]);
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(0, info.nr_trackers);
	EXPECT_EQ(0, info.state);
}

TEST_F(errors, harvest)
{
	struct kvmx_harvest valid = KX_ARG(kvmx_harvest, .runs = (uintptr_t)self->runs,
					   .nr_runs = DATA_PAGES,
					   .run_size = sizeof(struct kvmx_run));
	struct kvmx_harvest collect = KX_ARG(kvmx_harvest, .flags = KVMX_HARVEST_COLLECT,
					     .run_size = sizeof(struct kvmx_run));
	int tracker = kx_tracker(self->handle, KVMX_TRACKER_CLEAN), status;
	struct kvmx_harvest *readonly;
	struct pass pass;
	pid_t child;

	ASSERT_LE(0, tracker);
	ASSERT_EQ(0, pass_init(&pass));
	ASSERT_EQ(0, kx_mark_pages(self->handle, VM_DATA_GFN, 8));
#define HARVEST(_error, ...) REFUSED(_error, tracker, KVMX_HARVEST, valid, ##__VA_ARGS__)
	HARVEST(EINVAL, arg.nr_runs = 0);
	HARVEST(EINVAL, arg.nr_runs = KVMX_MAX_RUNS + 1);
	HARVEST(EINVAL, arg.run_size = 0);
	HARVEST(EINVAL, arg.run_size--);
	HARVEST(EOPNOTSUPP, arg.__reserved = 1);
	HARVEST(EFAULT, arg.runs = 0);
	REFUSED(EINVAL, tracker, KVMX_HARVEST, collect, arg.nr_runs = 1);
	REFUSED(EINVAL, tracker, KVMX_HARVEST, collect, arg.cursor = 1);

	child = fork();
	if (!child) {
		HARVEST(EXDEV, arg.flags = 0);
		HARVEST(EXDEV, arg.flags = KVMX_HARVEST_ABSENT);
		REFUSED(EXDEV, tracker, KVMX_HARVEST, collect, arg.flags |= 0);
		HARVEST(0, arg.flags = KVMX_HARVEST_PEEK);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));

	/* All runs can be written, only the counts that belong to them cannot. */
	readonly = map_readonly(&valid, sizeof(valid));
	ASSERT_NE(NULL, readonly);
	EXPECT_EQ(-EFAULT, kx_ioctl(tracker, KVMX_HARVEST, readonly));

	/* None of these took anything. */
	EXPECT_EQ(8, dirty_data(&pass, tracker));
	HARVEST(0, arg.flags = 0);
#undef HARVEST
	EXPECT_EQ(0, dirty_data(&pass, tracker));
	close(tracker);
}

/* Whatever stands in a cursor: an answer by the rules, never a crash. */
TEST_F(errors, harvest_strange_cursors)
{
	static const uint64_t cursors[] = { 1, 63, 64, VM_DATA_GFN, VM_DATA_GFN + DATA_PAGES,
		1ULL << 32, 1ULL << 52, 1ULL << 63, ~0ULL, ~0ULL - 1, 0x8000000000000001ULL };
	struct kvmx_harvest arg;
	uint32_t i, k;
	int tracker;

	tracker = kx_tracker(self->handle, 0);
	ASSERT_LE(0, tracker);
	for (i = 0; i < ARRAY_SIZE(cursors); i++) {
		arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)self->runs, .nr_runs = DATA_PAGES,
			     .run_size = sizeof(struct kvmx_run), .cursor = cursors[i],
			     .flags = KVMX_HARVEST_PEEK);
		if (kx_ioctl(tracker, KVMX_HARVEST, &arg))
			continue;
		ASSERT_GE(DATA_PAGES, arg.nr_runs);
		for (k = 0; k < arg.nr_runs; k++)
			EXPECT_NE(NULL, vm_hva(&self->vm, 0, self->runs[k].gfn));
	}
	close(tracker);
}

TEST_F(errors, tracker_curve)
{
	struct kvmx_tracker_curve valid = KX_ARG(kvmx_tracker_curve, .nr_points = 4,
						 .point_size = sizeof(struct kvmx_point),
						 .points = (uintptr_t)self->points);
	int tracker = kx_tracker(self->handle, 0);
	struct pass pass;

	ASSERT_LE(0, tracker);
	ASSERT_EQ(0, pass_init(&pass));
#define CURVE(_error, ...) REFUSED(_error, tracker, KVMX_TRACKER_CURVE, valid, ##__VA_ARGS__)
	CURVE(ENODATA, arg.flags = 0);
	ASSERT_EQ(0, pass_run(&pass, tracker));
	CURVE(ENODATA, arg.flags = 0);
	sleep_ms(2);
	ASSERT_EQ(0, pass_run(&pass, tracker));
	CURVE(0, arg.flags = 0);
	CURVE(EINVAL, arg.nr_points = 0);
	CURVE(EINVAL, arg.nr_points = KVMX_MAX_POINTS + 1);
	CURVE(EINVAL, arg.point_size = 0);
	CURVE(EINVAL, arg.point_size--);
	CURVE(EFAULT, arg.points = 0);
#undef CURVE
	close(tracker);
}

TEST_F(errors, predict)
{
	struct kvmx_point points[2] = { { 1000000, 10 }, { 2000000, 15 } };
	struct kvmx_predict valid = KX_ARG(kvmx_predict, .flags = KVMX_PREDICT_POINTS,
		.bandwidth = 1000000000, .allowed_ns = 300000000, .page_bytes = 4096,
		.min_permille = 1000, .points = (uintptr_t)points, .nr_points = 2,
		.point_size = sizeof(points[0]), .total_pages = 1000, .remaining_pages = ~0ULL);
	int fds[3] = { self->sys, self->handle, kx_tracker(self->handle, 0) }, i;

	ASSERT_LE(0, fds[2]);
	for (i = 0; i < 3; i++) {
#define PREDICT(_error, ...) REFUSED(_error, fds[i], KVMX_PREDICT, valid, ##__VA_ARGS__)
		PREDICT(EINVAL, arg.page_bytes = 0);
		PREDICT(EINVAL, arg.page_bytes = 65537);
		PREDICT(EINVAL, arg.min_permille = 0);
		PREDICT(EINVAL, arg.min_permille = 1001);
		PREDICT(EINVAL, arg.nr_points = 0);
		PREDICT(EINVAL, arg.nr_points = KVMX_MAX_POINTS + 1);
		PREDICT(EINVAL, arg.point_size = 0);
		PREDICT(EINVAL, arg.point_size--);
		PREDICT(EINVAL, arg.remaining_pages = arg.total_pages + 1);
		PREDICT(EINVAL, arg.remaining_pages = ~0ULL - 1);
		PREDICT(EOPNOTSUPP, arg.__reserved = 1);
		PREDICT(EFAULT, arg.points = 0);
		PREDICT(0, arg.remaining_pages = arg.total_pages);
		PREDICT(0, arg.page_bytes = 1);
		PREDICT(0, arg.page_bytes = 65536);
		PREDICT(0, arg.min_permille = 1);
	}
	REFUSED(EINVAL, self->sys, KVMX_PREDICT, valid, arg.total_pages = 0);
	REFUSED(EINVAL, self->sys, KVMX_PREDICT, valid, arg.flags = 0);
	REFUSED(ENODATA, self->handle, KVMX_PREDICT, valid, arg.flags = 0);
	REFUSED(ENODATA, fds[2], KVMX_PREDICT, valid, arg.flags = 0);
	for (i = 1; i < 3; i++)
		PREDICT(0, arg.total_pages = 0);
#undef PREDICT
	close(fds[2]);
}

TEST_F(errors, ring_cannot_sample)
{
	struct kvmx_vm_sample sample;
	struct vm vm;
	int handle;

	ASSERT_EQ(0, vm_create(&vm, VM_RING_BYTES));
	handle = kx_vm(vm.fd);
	ASSERT_LE(0, handle);
	EXPECT_EQ(-EOPNOTSUPP, kx_sample(handle, 8, 1000000, self->points, &sample));
	close(handle);
	vm_destroy(&vm);
}

TEST_F(errors, nothing_to_sample)
{
	struct kvmx_vm_sample sample;
	struct vm vm;
	int handle;

	ASSERT_EQ(0, vm_create_bare(&vm, 0));
	handle = kx_vm(vm.fd);
	ASSERT_LE(0, handle);
	EXPECT_EQ(-ENODATA, kx_sample(handle, 8, 1000000, self->points, &sample));
	close(handle);
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
