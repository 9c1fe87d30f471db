// SPDX-License-Identifier: GPL-2.0
/*
 * VM_SAMPLE: the curve against the truth, and that it leaves no trace.
 */
#include <errno.h>
#include <kselftest_harness.h>

#include "lib/pass.h"

#define DATA_PAGES 8192
#define SAMPLES 4096
#define DURATION_NS 400000000ULL
#define MAX_DURATION_NS (8 * DURATION_NS)
#define MS 1000000ULL

FIXTURE(sample) {
	struct vm vm;
	int handle;
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_vm_sample sample;
};

FIXTURE_SETUP(sample)
{
	ASSERT_EQ(0, vm_create(&self->vm, 0));
	ASSERT_EQ(0, vm_add_slot(&self->vm, 1, VM_DATA_GFN, DATA_PAGES, MEM_ANON, 0));
	/* All memory is there, as in a guest that has been running for a while. */
	ASSERT_EQ(0, vcpu_touch(&self->vm.vcpu[0], VM_DATA, DATA_PAGES, PAGE_SIZE, 1));
	self->handle = kx_vm(self->vm.fd);
	ASSERT_LE(0, self->handle);
}

FIXTURE_TEARDOWN(sample)
{
	close(self->handle);
	vm_destroy(&self->vm);
}

static void check_points(struct __test_metadata *_metadata, const struct kvmx_vm_sample *sample,
			 const struct kvmx_point *points)
{
	uint32_t i;

	ASSERT_LE(1, sample->nr_points);
	ASSERT_GE(KVMX_MAX_POINTS, sample->nr_points);
	for (i = 0; i < sample->nr_points; i++) {
		EXPECT_LT(i ? points[i - 1].time_ns : 0, points[i].time_ns);
		EXPECT_LE(i ? points[i - 1].pages : 0, points[i].pages);
		EXPECT_GE(sample->total_pages, points[i].pages);
	}
}

/*
 * The guest goes round and round in a part of its memory. On a machine that is too busy for it to
 * come round within the longest interval, a longer one must show all that it writes.
 */
static void fraction(struct __test_metadata *_metadata, struct vm *vm, int handle, uint32_t pages)
{
	struct kvmx_point points[KVMX_MAX_POINTS];
	uint64_t duration = DURATION_NS;
	struct kvmx_vm_sample sample;
	double truth, seen, error;
	struct kvmx_vm_info info;

	if (pages) {
		ASSERT_EQ(0, vcpu_program_sweep(&vm->vcpu[0], VM_DATA, pages, 1));
		ASSERT_EQ(0, vcpu_start(&vm->vcpu[0]));
	}
	for (;;) {
		ASSERT_EQ(0, kx_sample(handle, SAMPLES, duration, points, &sample));
		check_points(_metadata, &sample, points);
		EXPECT_EQ(SAMPLES, sample.nr_samples);
		EXPECT_EQ(DATA_PAGES + VM_CODE_PAGES, sample.total_pages);
		EXPECT_LE(duration, points[sample.nr_points - 1].time_ns);
		truth = (double)pages / sample.total_pages;
		seen = (double)points[sample.nr_points - 1].pages / sample.total_pages;
		/* Four standard errors, and the page that the guest runs from. */
		error = 4.0 * 0.5 / 64 + 0.002;
		if (seen >= truth - error || duration == MAX_DURATION_NS)
			break;
		duration *= 2;
	}
	if (pages)
		ASSERT_EQ(0, vcpu_stop(&vm->vcpu[0]));
	EXPECT_LE(truth - error, seen)
		TH_LOG("%u pages: seen %u of 1000", pages, (unsigned int)(seen * 1000));
	EXPECT_GE(truth + error, seen)
		TH_LOG("%u pages: seen %u of 1000", pages, (unsigned int)(seen * 1000));
	/* sqrt(F(1-F)/K) is at most 0.5/64 with 4096 samples: 8 in 1000, rounded up. */
	EXPECT_GE(9, sample.err_permille);
	if (pages > DATA_PAGES / 8)
		EXPECT_LE(3, sample.err_permille);
	ASSERT_EQ(0, kx_info(handle, &info));
	EXPECT_EQ(0, info.state);
}

TEST_F(sample, fractions)
{
	static const uint32_t parts[] = { 0, DATA_PAGES / 16, DATA_PAGES / 4, DATA_PAGES / 2,
					  DATA_PAGES * 3 / 4 };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		fraction(_metadata, &self->vm, self->handle, parts[i]);
}

/* A known number of pages per time: the curve rises until all that is written was. */
TEST_F(sample, curve_rises)
{
	struct kvmx_vm_sample *sample = &self->sample;

	ASSERT_EQ(0, vcpu_program_random(&self->vm.vcpu[0], VM_DATA, DATA_PAGES, 20000, 1));
	ASSERT_EQ(0, vcpu_start(&self->vm.vcpu[0]));
	ASSERT_EQ(0, kx_sample(self->handle, SAMPLES, 256 * MS, self->points, sample));
	ASSERT_EQ(0, vcpu_stop(&self->vm.vcpu[0]));
	check_points(_metadata, sample, self->points);
	/* Each interval is half the next: 256, 128, ... down to 1 ms. */
	EXPECT_LE(5, sample->nr_points);
	EXPECT_GE(9, sample->nr_points);
	EXPECT_LT(self->points[0].pages * 2, self->points[sample->nr_points - 1].pages);
}

TEST_F(sample, few_points_and_pages)
{
	struct kvmx_vm_sample arg = KX_ARG(kvmx_vm_sample, .nr_samples = KVMX_MAX_SAMPLES,
					   .nr_points = 2, .duration_ns = 20 * MS,
					   .points = (uintptr_t)self->points,
					   .point_size = sizeof(struct kvmx_point));

	memset(self->points, 0xa5, sizeof(self->points));
	ASSERT_EQ(0, kx_ioctl(self->handle, KVMX_VM_SAMPLE, &arg));
	/* More samples than pages: fewer are watched, each once. */
	EXPECT_GE(DATA_PAGES + VM_CODE_PAGES, arg.nr_samples);
	EXPECT_LT(0, arg.nr_samples);
	EXPECT_GE(2, arg.nr_points);
	EXPECT_LT(0, arg.nr_points);
	EXPECT_LE(20 * MS, self->points[arg.nr_points - 1].time_ns);
	EXPECT_TRUE(all_bytes(self->points + arg.nr_points, 0xa5,
			      (KVMX_MAX_POINTS - arg.nr_points) * sizeof(self->points[0])));
}

TEST_F(sample, takes_as_long_as_said)
{
	struct kvmx_vm_stats stats;
	uint64_t start = now_ns();

	ASSERT_EQ(0, kx_sample(self->handle, 64, 150 * MS, self->points, &self->sample));
	EXPECT_LE(150 * MS, now_ns() - start);
	ASSERT_EQ(0, kx_sample(self->handle, 64, MS, self->points, &self->sample));
	EXPECT_EQ(1, self->sample.nr_points);
	ASSERT_EQ(0, kx_vm_stats(self->handle, &stats));
	EXPECT_EQ(2, stats.samples);
	EXPECT_EQ(0, stats.harvests);
}

struct sampler {
	int handle;
	int ret;
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_vm_sample sample;
};

static void *sampler_thread(void *data)
{
	struct sampler *s = data;

	s->ret = kx_sample(s->handle, 64, 300 * MS, s->points, &s->sample);
	return NULL;
}

/* While one sleeps: others are told so, and what needs no logging is not held up. */
TEST_F(sample, others_meanwhile)
{
	struct sampler sampler = { .handle = self->handle };
	struct kvmx_vm_info info;
	uint64_t start;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, sampler_thread, &sampler));
	sleep_ms(100);
	start = now_ns();
	EXPECT_EQ(0, kx_info(self->handle, &info));
	EXPECT_TRUE(info.state & KVMX_VM_SAMPLING);
	EXPECT_FALSE(info.state & KVMX_VM_LOGGED_BY_VMM);
	EXPECT_EQ(-EBUSY, kx_sample(self->handle, 64, MS, self->points, &self->sample));
	EXPECT_EQ(-EBUSY, kx_tracker(self->handle, 0));
	EXPECT_EQ(0, kx_mark_pages(self->handle, VM_DATA_GFN, 1));
	EXPECT_GT(150 * MS, now_ns() - start);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, sampler.ret);
	ASSERT_EQ(0, kx_info(self->handle, &info));
	EXPECT_EQ(0, info.state);
	EXPECT_EQ(0, kx_sample(self->handle, 64, MS, self->points, &self->sample));
}

/* The handle goes while a sample sleeps on it. */
TEST_F(sample, handle_closed_meanwhile)
{
	struct sampler sampler = { .handle = self->handle };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, sampler_thread, &sampler));
	sleep_ms(50);
	close(self->handle);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, sampler.ret);
	EXPECT_EQ(-ENOENT, vm_get_dirty_log(&self->vm, 1));
	self->handle = kx_vm(self->vm.fd);
	EXPECT_LE(0, self->handle);
}

/* Slots that go or come during a sample do it no harm. */
TEST_F(sample, slots_change_meanwhile)
{
	struct sampler sampler = { .handle = self->handle };
	pthread_t thread;
	int i;

	ASSERT_EQ(0, vm_add_slot(&self->vm, 2, VM_DATA_GFN + 0x10000, 1024, MEM_ANON, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, sampler_thread, &sampler));
	for (i = 0; i < 10; i++) {
		sleep_ms(20);
		ASSERT_EQ(0, vm_remove_slot(&self->vm, 2));
		sleep_ms(5);
		ASSERT_EQ(0, vm_restore_slot(&self->vm, 2));
	}
	pthread_join(thread, NULL);
	EXPECT_EQ(0, sampler.ret);
	EXPECT_EQ(-ENOENT, vm_get_dirty_log(&self->vm, 1));
	EXPECT_EQ(-ENOENT, vm_get_dirty_log(&self->vm, 2));
}

/* Read-only memory cannot get dirty: alone it is nothing to sample. */
TEST_F(sample, readonly_memory_only)
{
	struct vm vm;
	int handle;

	ASSERT_EQ(0, vm_create_bare(&vm, 0));
	ASSERT_EQ(0, vm_add_slot(&vm, 0, 0, 16, MEM_ANON, KVM_MEM_READONLY));
	handle = kx_vm(vm.fd);
	ASSERT_LE(0, handle);
	EXPECT_EQ(-ENODATA, kx_sample(handle, 8, MS, self->points, &self->sample));
	close(handle);
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
