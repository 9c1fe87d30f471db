// SPDX-License-Identifier: GPL-2.0
/*
 * Each memory allocation and each user copy of each call fails once. The call gives ENOMEM or
 * EFAULT or does without, leaves nothing behind, and works when it is repeated. That no memory is
 * left behind is for the kernel to say, when all tests are over.
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/ksm.h"
#include "lib/pass.h"
#include "lib/sweep.h"

#define DATA_PAGES 64
#define DIRTY 8
#define SWEEP_TIMEOUT 180

FIXTURE(fail) {
	struct vm vm;
	int sys;
	int handle;
	int tracker;
	int fd;		/* what a call is to close */
	bool ring;
	struct kvmx_run run[DATA_PAGES + VM_CODE_PAGES];
	struct kvmx_point point[KVMX_MAX_POINTS];
	int refs;
	int kvm_refs;
};

FIXTURE_VARIANT(fail) {
	uint32_t ring_bytes;
};

FIXTURE_VARIANT_ADD(fail, bitmap) {
	.ring_bytes = 0,
};

FIXTURE_VARIANT_ADD(fail, ring) {
	.ring_bytes = VM_RING_BYTES,
};

FIXTURE_SETUP(fail)
{
	if (sweep_missing())
		SKIP(return, "%s", sweep_missing());
	ASSERT_TRUE(module_refs_become(0));
	self->kvm_refs = kvm_refs();
	ASSERT_EQ(0, sweep_init());
	ASSERT_EQ(0, vm_create(&self->vm, variant->ring_bytes));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	self->ring = variant->ring_bytes;
	self->sys = kx_system();
	ASSERT_LE(0, self->sys);
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
	self->tracker = -1;
	self->fd = -1;
}

FIXTURE_TEARDOWN(fail)
{
	if (sweep_missing())
		return;
	close(self->tracker);
	close(self->handle);
	close(self->sys);
	vm_destroy(&self->vm);
	EXPECT_TRUE(module_refs_become(0));
	EXPECT_TRUE(kvm_refs_become(self->kvm_refs));
}

#define DATA FIXTURE_DATA(fail)

#define SWEEP(...) \
	ASSERT_EQ(0, sweep_run(&(struct sweep){ __VA_ARGS__ }, self))

static void close_it(void *data, int ret)
{
	(void)data;
	close(ret);
}

static int close_fd(void *data)
{
	DATA *self = data;
	int ret;

	/* Repeated after an error it would close what is not there. */
	if (self->fd < 0)
		return 0;
	ret = close(self->fd) ? -errno : 0;
	self->fd = -1;
	return ret;
}

/* The system fd */

static int open_system(void *data)
{
	(void)data;
	return kx_system();
}

static int before_close_system(void *data)
{
	DATA *self = data;

	self->fd = kx_system();
	return self->fd < 0 ? self->fd : 0;
}

static int open_vm(void *data)
{
	DATA *self = data;
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open, .vm_fd = self->vm.fd, .label = "swept");

	return kx_ioctl(self->sys, KVMX_VM_OPEN, &arg);
}

static int before_close_vm(void *data)
{
	DATA *self = data;

	self->fd = kx_vm(self->vm.fd);
	return self->fd < 0 ? self->fd : 0;
}

/* The object itself comes and goes with its first and last handle. */
static int no_handle(void *data)
{
	DATA *self = data;

	close(self->handle);
	self->handle = -1;
	return 0;
}

static int before_close_last(void *data)
{
	no_handle(data);
	return before_close_vm(data);
}

static int info(void *data)
{
	DATA *self = data;
	struct kvmx_info arg = KX_ARG(kvmx_info);

	return kx_ioctl(self->sys, KVMX_INFO, &arg);
}

static int feature(void *data)
{
	DATA *self = data;
	struct kvmx_feature arg = KX_ARG(kvmx_feature, .feature = KVMX_FEAT_KSM);

	return kx_ioctl(self->sys, KVMX_FEATURE, &arg);
}

static int predict_on(int fd, struct kvmx_point *point, uint32_t nr)
{
	struct kvmx_predict arg = KX_ARG(kvmx_predict, .bandwidth = 1 << 30,
					 .allowed_ns = 300000000, .page_bytes = 4096,
					 .min_permille = 100, .total_pages = 100000,
					 .remaining_pages = ~0ULL, .points = (uintptr_t)point,
					 .nr_points = nr, .point_size = sizeof(*point));

	arg.flags = nr ? KVMX_PREDICT_POINTS : 0;
	return kx_ioctl(fd, KVMX_PREDICT, &arg);
}

static int predict_points(void *data)
{
	struct kvmx_point point[] = { { 1000000, 100 }, { 2000000, 150 } };
	DATA *self = data;

	return predict_on(self->sys, point, 2);
}

TEST_F_TIMEOUT(fail, system, SWEEP_TIMEOUT)
{
	SWEEP("open", .call = open_system, .after = close_it);
	SWEEP("close", .before = before_close_system, .call = close_fd);
	SWEEP("INFO", .call = info);
	SWEEP("FEATURE", .call = feature);
	SWEEP("PREDICT", .call = predict_points);
	SWEEP("VM_OPEN", .call = open_vm, .after = close_it);
	SWEEP("VM_OPEN, first", .before = no_handle, .call = open_vm, .after = close_it);
	SWEEP("close of a VM", .before = before_close_vm, .call = close_fd);
	SWEEP("close of a VM, last", .before = before_close_last, .call = close_fd);
}

/* The VM fd */

static int vm_info(void *data)
{
	DATA *self = data;
	struct kvmx_vm_info arg;

	return kx_info(self->handle, &arg);
}

static int vm_slots(void *data)
{
	struct kvmx_slot slots[8];
	uint32_t nr = 8;
	DATA *self = data;

	return kx_slots(self->handle, slots, &nr);
}

static int vm_stats(void *data)
{
	DATA *self = data;
	struct kvmx_vm_stats arg;

	return kx_vm_stats(self->handle, &arg);
}

static int vm_mark(void *data)
{
	DATA *self = data;

	return kx_mark_pages(self->handle, VM_DATA_GFN, DIRTY);
}

static int vm_sample_ring_too(void *data)
{
	DATA *self = data;
	struct kvmx_vm_sample arg;
	int ret;

	ret = kx_sample(self->handle, 32, 1000000, self->point, &arg);
	/* With the dirty ring it cannot be done, and says so. */
	return self->ring && ret == -EOPNOTSUPP ? 0 : ret;
}

static int vm_predict(void *data)
{
	DATA *self = data;
	int ret = predict_on(self->handle, NULL, 0);

	return self->ring && ret == -ENODATA ? 0 : ret;
}

static int dma_declare(void *data)
{
	DATA *self = data;

	return kx_dma(self->handle, true, VM_DATA_GFN + 2, 4, 0);
}

static int dma_withdraw(void *data)
{
	DATA *self = data;

	return kx_dma(self->handle, false, VM_DATA_GFN + 2, 4, 0);
}

static void after_declare(void *data, int ret)
{
	(void)ret;
	dma_withdraw(data);
}

static int tracker_create(void *data)
{
	DATA *self = data;

	return kx_tracker(self->handle, KVMX_TRACKER_CLEAN);
}

/* Whatever the sweep left behind: nobody tracks, so nothing is logged. */
static void not_logged(struct __test_metadata *_metadata, DATA *self)
{
	struct kvmx_vm_info info;
	int fd;

	/* Logging that could not be switched off is the next tracker's, which can. */
	fd = tracker_create(self);
	ASSERT_LE(0, fd);
	close(fd);
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(0, info.nr_trackers);
	EXPECT_EQ(0, info.state & KVMX_VM_LOGGING);
}

TEST_F_TIMEOUT(fail, vm, SWEEP_TIMEOUT)
{
	SWEEP("VM_INFO", .call = vm_info);
	SWEEP("VM_SLOTS", .call = vm_slots);
	SWEEP("VM_STATS", .call = vm_stats);
	SWEEP("VM_MARK, no tracker", .call = vm_mark);
	SWEEP("VM_SAMPLE", .call = vm_sample_ring_too);
	SWEEP("PREDICT on a VM", .call = vm_predict);
	SWEEP("DMA_DECLARE", .call = dma_declare, .after = after_declare);
	SWEEP("DMA_WITHDRAW", .before = dma_declare, .call = dma_withdraw);
	SWEEP("TRACKER_CREATE", .call = tracker_create, .after = close_it);
	not_logged(_metadata, self);
}

/* The tracker fd */

static int dirty_some(void *data)
{
	DATA *self = data;
	int err;

	err = vcpu_touch(&self->vm.vcpu[0], VM_DATA, DIRTY, PAGE_SIZE, 1);
	return err ?: kx_mark_pages(self->handle, VM_DATA_GFN + DIRTY, DIRTY);
}

static int harvest(DATA *self, uint32_t flags)
{
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .flags = flags,
					 .runs = (uintptr_t)self->run,
					 .nr_runs = DATA_PAGES + VM_CODE_PAGES,
					 .run_size = sizeof(self->run[0]));
	int ret;

	do {
		ret = kx_ioctl(self->tracker, KVMX_HARVEST, &arg);
	} while (!ret && arg.status & KVMX_HARVEST_MORE);
	if (ret)
		return ret;
	/* What was written must come, if not the first time then the second. */
	return arg.nr_pages < 2 * DIRTY ? -EBADMSG : 0;
}

static int harvest_all(void *data)
{
	return harvest(data, 0);
}

static int harvest_absent(void *data)
{
	return harvest(data, KVMX_HARVEST_ABSENT);
}

static int harvest_peek(void *data)
{
	return harvest(data, KVMX_HARVEST_PEEK);
}

static int collect(void *data)
{
	DATA *self = data;

	return kx_collect(self->tracker);
}

static void after_collect(void *data, int ret)
{
	(void)ret;
	harvest(data, 0);
}

static int restore(void *data)
{
	struct kvmx_run run = { .gfn = VM_DATA_GFN, .npages = DIRTY, .slot = 1 };
	DATA *self = data;

	return kx_restore(self->tracker, &run, 1, NULL);
}

static int tracker_stats(void *data)
{
	DATA *self = data;
	struct kvmx_tracker_stats arg;

	return kx_tracker_stats(self->tracker, &arg);
}

static int tracker_curve(void *data)
{
	DATA *self = data;
	struct kvmx_tracker_curve arg = KX_ARG(kvmx_tracker_curve, .nr_points = KVMX_MAX_POINTS,
					       .point_size = sizeof(self->point[0]),
					       .points = (uintptr_t)self->point);

	return kx_ioctl(self->tracker, KVMX_TRACKER_CURVE, &arg);
}

static int tracker_predict(void *data)
{
	DATA *self = data;

	return predict_on(self->tracker, NULL, 0);
}

static int before_close_tracker(void *data)
{
	DATA *self = data;

	self->fd = tracker_create(data);
	return self->fd < 0 ? self->fd : 0;
}

/* A memslot comes: the next call has to follow. */
static int slot_changes(void *data)
{
	DATA *self = data;
	int err;

	if (vm_slot(&self->vm, 2))
		vm_remove_slot(&self->vm, 2);
	err = vm_slot(&self->vm, 2) ? vm_restore_slot(&self->vm, 2) :
				      vm_add_slot(&self->vm, 2, 2 * VM_DATA_GFN, 4, MEM_ANON, 0);
	return err ?: dirty_some(data);
}

TEST_F_TIMEOUT(fail, tracker, SWEEP_TIMEOUT)
{
	int i;

	self->tracker = tracker_create(self);
	ASSERT_LE(0, self->tracker);
	SWEEP("HARVEST", .before = dirty_some, .call = harvest_all);
	SWEEP("HARVEST with ABSENT", .before = dirty_some, .call = harvest_absent);
	SWEEP("HARVEST with PEEK", .before = dirty_some, .call = harvest_peek);
	SWEEP("HARVEST with COLLECT", .before = dirty_some, .call = collect,
	      .after = after_collect);
	SWEEP("HARVEST of a new memslot", .before = slot_changes, .call = harvest_all);
	SWEEP("RESTORE", .call = restore);
	SWEEP("VM_MARK", .call = vm_mark);
	SWEEP("TRACKER_STATS", .call = tracker_stats);
	/* It takes a few passes to know anything. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, dirty_some(self));
		ASSERT_EQ(0, harvest_all(self));
	}
	SWEEP("TRACKER_CURVE", .call = tracker_curve);
	SWEEP("PREDICT on a tracker", .call = tracker_predict);
	SWEEP("TRACKER_CREATE, second", .call = tracker_create, .after = close_it);
	SWEEP("close of a tracker", .before = before_close_tracker, .call = close_fd);
	close(self->tracker);
	self->tracker = -1;
	SWEEP("close of a tracker, last", .before = before_close_tracker, .call = close_fd);
	not_logged(_metadata, self);
}

/* KSM */

static int ksm_on(void *data)
{
	struct kvmx_ksm_policy policy = ksm_slow();
	DATA *self = data;

	return ksm_host_set(self->sys, &policy, 0);
}

static int ksm_off(void *data)
{
	DATA *self = data;

	return ksm_host_off(self->sys);
}

static void after_on(void *data, int ret)
{
	(void)ret;
	ksm_off(data);
}

static int ksm_get(void *data)
{
	DATA *self = data;
	struct kvmx_ksm_host_get arg = KX_ARG(kvmx_ksm_host_get);

	return kx_ioctl(self->sys, KVMX_KSM_HOST_GET, &arg);
}

static int ksm_plan(void *data)
{
	struct kvmx_ksm_plan_vm vms[4];
	struct kvmx_ksm_plan arg = KX_ARG(kvmx_ksm_plan, .vms = (uintptr_t)vms, .nr_vms = 4,
					  .vm_size = sizeof(vms[0]));
	DATA *self = data;
	int ret;

	ret = kx_ioctl(self->sys, KVMX_KSM_PLAN, &arg);
	/* There is no plan before the first look. */
	return ret == -ENODATA ? 0 : ret;
}

static int vm_ksm_mode(DATA *self, uint32_t mode)
{
	struct kvmx_vm_ksm_set arg = KX_ARG(kvmx_vm_ksm_set, .mode = mode);

	return kx_ioctl(self->handle, KVMX_VM_KSM_SET, &arg);
}

static int vm_ksm_set(void *data)
{
	return vm_ksm_mode(data, KVMX_KSM_AUTO);
}

static int vm_ksm_unset(void *data)
{
	return vm_ksm_mode(data, KVMX_KSM_UNSET);
}

static void after_ksm_set(void *data, int ret)
{
	(void)ret;
	vm_ksm_unset(data);
}

static int vm_ksm_get(void *data)
{
	DATA *self = data;
	struct kvmx_vm_ksm_get arg = KX_ARG(kvmx_vm_ksm_get);

	return kx_ioctl(self->handle, KVMX_VM_KSM_GET, &arg);
}

static int ksm_pin(DATA *self, uint32_t flags)
{
	struct kvmx_vm_ksm_pin arg = KX_ARG(kvmx_vm_ksm_pin, .flags = flags,
					    .gfn = VM_DATA_GFN, .npages = DATA_PAGES);

	return kx_ioctl(self->handle, KVMX_VM_KSM_PIN, &arg);
}

static int vm_ksm_pin(void *data)
{
	return ksm_pin(data, 0);
}

static int vm_ksm_unpin(void *data)
{
	return ksm_pin(data, KVMX_VM_KSM_UNPIN);
}

static void after_pin(void *data, int ret)
{
	(void)ret;
	vm_ksm_unpin(data);
}

TEST_F_TIMEOUT(fail, ksm, SWEEP_TIMEOUT)
{
	SWEEP("VM_KSM_SET", .call = vm_ksm_set, .after = after_ksm_set);
	SWEEP("VM_KSM_SET, off", .before = vm_ksm_set, .call = vm_ksm_unset);
	SWEEP("VM_KSM_GET", .call = vm_ksm_get);
	SWEEP("VM_KSM_PIN", .call = vm_ksm_pin, .after = after_pin);
	SWEEP("VM_KSM_PIN, unpin", .before = vm_ksm_pin, .call = vm_ksm_unpin);
	SWEEP("KSM_HOST_GET", .call = ksm_get);
	SWEEP("KSM_PLAN", .call = ksm_plan);
	SWEEP("KSM_HOST_SET", .call = ksm_on, .after = after_on);
	SWEEP("KSM_HOST_SET, off", .before = ksm_on, .call = ksm_off);
	ASSERT_EQ(0, ksm_on(self));
	ASSERT_EQ(0, vm_ksm_set(self));
	SWEEP("VM_KSM_GET, on", .call = vm_ksm_get);
	SWEEP("KSM_HOST_GET, on", .call = ksm_get);
	SWEEP("KSM_PLAN, on", .call = ksm_plan);
	SWEEP("VM_KSM_PIN, on", .call = vm_ksm_pin, .after = after_pin);
	EXPECT_EQ(0, vm_ksm_unset(self));
	EXPECT_EQ(0, ksm_off(self));
}

/* A VMM with a tracker dies: the process's exit is what is swept. */
static void child_dies(int n, uint32_t ring_bytes)
{
	static struct vm vm;
	int handle;

	if (sweep_init() || vm_create(&vm, ring_bytes) ||
	    vm_add_slot(&vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0))
		_exit(1);
	handle = kx_vm(vm.fd);
	if (kx_tracker(handle, 0) < 0 || kx_dma(handle, true, VM_DATA_GFN, 4, 0) ||
	    sweep_arm(n))
		_exit(1);
	_exit(0);
}

static bool fired_in(pid_t child)
{
	char path[64], text[16] = "";
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/fail-nth", child, child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && atoi(text) == 0;
}

TEST_F_TIMEOUT(fail, death, SWEEP_TIMEOUT)
{
	bool fired = true;
	siginfo_t si;
	pid_t child;
	int refs, n;

	close(self->handle);
	close(self->sys);
	self->handle = -1;
	self->sys = -1;
	ASSERT_TRUE(module_refs_become(0));
	/* With our own VM, its vCPU and /dev/kvm. */
	refs = kvm_refs();
	for (n = 1; fired; n++) {
		child = fork();
		if (!child)
			child_dies(n, variant->ring_bytes);
		ASSERT_EQ(0, waitid(P_PID, child, &si, WEXITED | WNOWAIT));
		fired = fired_in(child);
		ASSERT_EQ(0, waitid(P_PID, child, &si, WEXITED));
		ASSERT_EQ(CLD_EXITED, si.si_code);
		ASSERT_EQ(0, si.si_status);
		ASSERT_TRUE(module_refs_become(0));
		ASSERT_TRUE(kvm_refs_become(refs))
			TH_LOG("injection point %d", n);
	}
	sweep_count("death of a VMM", n - 2, 0);
}

TEST_HARNESS_MAIN
