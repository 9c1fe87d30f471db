// SPDX-License-Identifier: GPL-2.0
/*
 * PREDICT through the ioctl: the verdicts on curves that leave no doubt, where the curve comes
 * from, and the extremes. The arithmetic itself has unit tests.
 */
#include <errno.h>
#include <kselftest_harness.h>

#include "lib/pass.h"

#define SECOND 1000000000ULL
#define MS 1000000ULL
#define PAGES_PER_GIB (GIB / PAGE_SIZE)

FIXTURE(predict) {
	int sys;
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_predict arg;
};

FIXTURE_SETUP(predict)
{
	self->sys = kx_system();
	ASSERT_LE(0, self->sys);
	/* 1 GiB over a link of 100 MB/s, at most 300 ms of pause. */
	self->arg = KX_ARG(kvmx_predict, .flags = KVMX_PREDICT_POINTS, .bandwidth = 100000000,
			   .allowed_ns = 300 * MS, .fixed_ns = 20 * MS, .page_bytes = 4096,
			   .min_permille = 1000, .points = (uintptr_t)self->points,
			   .nr_points = 3, .point_size = sizeof(struct kvmx_point),
			   .total_pages = PAGES_PER_GIB, .remaining_pages = ~0ULL);
}

FIXTURE_TEARDOWN(predict)
{
	close(self->sys);
}

/* The same number of pages in every second, until all of @most are dirty. */
static void constant_rate(struct kvmx_point *points, uint64_t per_second, uint64_t most)
{
	static const uint64_t ms[] = { 10, 100, 1000 };
	uint64_t pages;
	int i;

	for (i = 0; i < 3; i++) {
		pages = per_second * ms[i] / 1000;
		points[i].time_ns = ms[i] * MS;
		points[i].pages = pages < most ? pages : most;
	}
}

#define PREDICT() ASSERT_EQ(0, kx_ioctl(self->sys, KVMX_PREDICT, &self->arg))

static bool near(uint64_t want, uint64_t seen, unsigned int percent)
{
	uint64_t slack = want / 100 * percent;

	if (seen >= want - slack && seen <= want + slack)
		return true;
	fprintf(stderr, "# want %llu, seen %llu\n", (unsigned long long)want,
		(unsigned long long)seen);
	return false;
}

TEST_F(predict, idle_guest)
{
	constant_rate(self->points, 0, 0);
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	EXPECT_EQ(1000, self->arg.vcpu_permille);
	EXPECT_TRUE(near(GIB, self->arg.bytes, 1));
	/* 1 GiB at 100 MB/s, and the pause's fixed part. */
	EXPECT_TRUE(near(GIB * 10 + 20 * MS, self->arg.total_ns, 1));
	EXPECT_LE(20 * MS, self->arg.pause_ns);
	EXPECT_GE(25 * MS, self->arg.pause_ns);
	EXPECT_TRUE(near(GIB * 10 + 20 * MS, self->arg.offline_ns, 1));
}

/* 4000 pages are written all the time: 164 ms of sending, and the fixed part. */
TEST_F(predict, hot_set)
{
	constant_rate(self->points, 1000000, 4000);
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	EXPECT_TRUE(near(4000 * 40960 + 20 * MS, self->arg.pause_ns, 5));
	EXPECT_LE(GIB + 4000 * PAGE_SIZE, self->arg.bytes);
	EXPECT_LE(self->arg.pause_ns, self->arg.total_ns);
	/* The same once more with a pause that is too long. */
	self->arg.allowed_ns = 150 * MS;
	PREDICT();
	EXPECT_NE(KVMX_VERDICT_CONVERGES, self->arg.verdict);
}

/* Deferring what is written all the time saves sending it over and over again. */
TEST_F(predict, deferred_hot_set)
{
	uint64_t bytes;

	constant_rate(self->points, 1000000, 4000);
	PREDICT();
	bytes = self->arg.bytes;
	self->arg.flags |= KVMX_PREDICT_DEFER;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	EXPECT_GE(bytes, self->arg.bytes);
	EXPECT_GE(300 * MS, self->arg.pause_ns);
}

/* Twice as fast as the link, all over the memory: only offline, or with slower vCPUs. */
TEST_F(predict, too_fast)
{
	constant_rate(self->points, 50000, ~0ULL);
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_OFFLINE, self->arg.verdict);
	EXPECT_TRUE(near(GIB * 10 + 20 * MS, self->arg.offline_ns, 1));
	self->arg.min_permille = 1;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_THROTTLE, self->arg.verdict);
	EXPECT_GT(1000, self->arg.vcpu_permille);
	EXPECT_LE(1, self->arg.vcpu_permille);
	EXPECT_GE(300 * MS, self->arg.pause_ns);
	/* At the speed it names it does converge, but a tenth below it is not allowed. */
	self->arg.min_permille = self->arg.vcpu_permille;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_THROTTLE, self->arg.verdict);
}

TEST_F(predict, points_in_any_order)
{
	struct kvmx_predict sorted;
	struct kvmx_point tmp;

	constant_rate(self->points, 10000, 60000);
	PREDICT();
	sorted = self->arg;
	tmp = self->points[0];
	self->points[0] = self->points[2];
	self->points[2] = tmp;
	PREDICT();
	EXPECT_EQ(0, memcmp(&sorted, &self->arg, sizeof(sorted)));
}

TEST_F(predict, remaining_pages)
{
	uint64_t all;

	constant_rate(self->points, 1000, 100000);
	PREDICT();
	all = self->arg.bytes;
	self->arg.remaining_pages = PAGES_PER_GIB / 4;
	PREDICT();
	EXPECT_GT(all / 2, self->arg.bytes);
	EXPECT_TRUE(near(GIB / 4 * 10 + 20 * MS, self->arg.offline_ns, 1));
	self->arg.remaining_pages = 0;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	EXPECT_GE(25 * MS, self->arg.pause_ns);
}

TEST_F(predict, no_bandwidth)
{
	constant_rate(self->points, 1000, 100000);
	self->arg.bandwidth = 0;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_OFFLINE, self->arg.verdict);
	EXPECT_EQ(KVMX_PREDICT_NEVER, self->arg.offline_ns);
	self->arg.min_permille = 1;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_OFFLINE, self->arg.verdict);
	EXPECT_EQ(KVMX_PREDICT_NEVER, self->arg.offline_ns);
}

TEST_F(predict, endless_bandwidth)
{
	constant_rate(self->points, 1000000, PAGES_PER_GIB);
	self->arg.bandwidth = ~0ULL;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	EXPECT_GE(25 * MS, self->arg.pause_ns);
}

TEST_F(predict, allowed_pause_without_end)
{
	constant_rate(self->points, 1000000, PAGES_PER_GIB);
	self->arg.allowed_ns = ~0ULL;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	EXPECT_LE(self->arg.pause_ns, self->arg.total_ns);
}

/* The pause's fixed part alone is longer than allowed: nothing helps. */
TEST_F(predict, fixed_part_too_long)
{
	constant_rate(self->points, 0, 0);
	self->arg.fixed_ns = 301 * MS;
	self->arg.min_permille = 1;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_OFFLINE, self->arg.verdict);
	EXPECT_TRUE(near(GIB * 10 + 301 * MS, self->arg.offline_ns, 1));
	self->arg.fixed_ns = ~0ULL;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_OFFLINE, self->arg.verdict);
	EXPECT_EQ(KVMX_PREDICT_NEVER, self->arg.offline_ns);
}

/* 64 TiB at 400 Gbit/s: 1407 s for all of it. */
TEST_F(predict, huge_guest)
{
	const uint64_t pages = 64ULL << 28, seconds = 1407;

	self->arg.total_pages = pages;
	self->arg.bandwidth = 50000000000ULL;
	constant_rate(self->points, 0, 0);
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	EXPECT_TRUE(near(pages * PAGE_SIZE, self->arg.bytes, 1));
	EXPECT_TRUE(near(seconds * SECOND, self->arg.total_ns, 1));
	EXPECT_TRUE(near(seconds * SECOND, self->arg.offline_ns, 1));
	/* Half the link's rate. */
	constant_rate(self->points, 6000000, ~0ULL);
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	EXPECT_LT(pages * PAGE_SIZE, self->arg.bytes);
	EXPECT_LT(seconds * SECOND, self->arg.total_ns);
	/* Everything at once, through a modem. */
	constant_rate(self->points, pages, ~0ULL);
	self->arg.bandwidth = 1;
	self->arg.page_bytes = 65536;
	self->arg.min_permille = 1;
	PREDICT();
	EXPECT_EQ(KVMX_VERDICT_OFFLINE, self->arg.verdict);
	EXPECT_EQ(KVMX_PREDICT_NEVER, self->arg.offline_ns);
	/* No VM has so many pages, and no curve so many points: still an answer. */
	self->arg.total_pages = ~0ULL;
	self->arg.bandwidth = ~0ULL;
	self->points[2].pages = ~0ULL;
	self->points[2].time_ns = ~0ULL;
	if (!kx_ioctl(self->sys, KVMX_PREDICT, &self->arg))
		EXPECT_GE(KVMX_VERDICT_OFFLINE, self->arg.verdict);
}

/* Every verdict keeps the rules, whatever the input. */
TEST_F(predict, random_input)
{
	uint32_t seed = 815, i, k;
	struct kvmx_predict *arg = &self->arg;
	int ret;

	for (i = 0; i < 3000; i++) {
		arg->bandwidth = 1ULL << next_random(&seed) % 64;
		arg->allowed_ns = 1ULL << next_random(&seed) % 64;
		arg->fixed_ns = next_random(&seed) % 4 ? 0 : 1ULL << next_random(&seed) % 64;
		arg->page_bytes = 1 + next_random(&seed) % 65536;
		arg->min_permille = 1 + next_random(&seed) % 1000;
		arg->total_pages = 1 + next_random(&seed) % (1U << next_random(&seed) % 31);
		arg->remaining_pages = next_random(&seed) % 2 ? ~0ULL : arg->total_pages / 2;
		arg->nr_points = 1 + next_random(&seed) % KVMX_MAX_POINTS;
		arg->flags = KVMX_PREDICT_POINTS | (next_random(&seed) & KVMX_PREDICT_DEFER);
		for (k = 0; k < arg->nr_points; k++) {
			self->points[k].time_ns = 1 + next_random(&seed);
			self->points[k].pages = next_random(&seed) % arg->total_pages;
		}
		ret = kx_ioctl(self->sys, KVMX_PREDICT, arg);
		ASSERT_EQ(0, ret)
			TH_LOG("input %u", i);
		ASSERT_LE(KVMX_VERDICT_CONVERGES, arg->verdict);
		ASSERT_GE(KVMX_VERDICT_OFFLINE, arg->verdict);
		if (arg->verdict != KVMX_VERDICT_OFFLINE)
			ASSERT_GE(arg->allowed_ns, arg->pause_ns);
		if (arg->verdict == KVMX_VERDICT_CONVERGES)
			ASSERT_EQ(1000, arg->vcpu_permille);
		if (arg->verdict == KVMX_VERDICT_THROTTLE) {
			ASSERT_LE(arg->min_permille, arg->vcpu_permille);
			ASSERT_GT(1000, arg->vcpu_permille);
		}
		ASSERT_LE(arg->fixed_ns, arg->offline_ns);
		ASSERT_LE(arg->pause_ns, arg->total_ns);
	}
}

/* On a VM the curve is the last VM_SAMPLE's, on a tracker its own; pages are the VM's. */
TEST_F(predict, without_points)
{
	struct kvmx_vm_sample sample;
	struct kvmx_vm_stats stats;
	int handle, tracker, i;
	struct pass pass;
	struct vm vm;

	ASSERT_EQ(0, vm_create(&vm, 0));
	ASSERT_EQ(0, vm_add_slot(&vm, 1, VM_DATA_GFN, 2048, MEM_ANON, 0));
	ASSERT_EQ(0, pass_init(&pass));
	handle = kx_vm(vm.fd);
	ASSERT_LE(0, handle);
	self->arg.flags = 0;
	self->arg.points = 0;
	self->arg.nr_points = 0;
	self->arg.point_size = 0;
	self->arg.total_pages = 0;
	EXPECT_EQ(-EINVAL, kx_ioctl(self->sys, KVMX_PREDICT, &self->arg));
	EXPECT_EQ(-ENODATA, kx_ioctl(handle, KVMX_PREDICT, &self->arg));
	ASSERT_EQ(0, kx_sample(handle, 512, 10 * MS, self->points, &sample));
	ASSERT_EQ(0, kx_ioctl(handle, KVMX_PREDICT, &self->arg));
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	EXPECT_TRUE(near((2048 + VM_CODE_PAGES) * PAGE_SIZE, self->arg.bytes, 5));

	tracker = kx_tracker(handle, 0);
	ASSERT_LE(0, tracker);
	self->arg.total_pages = 0;
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ENODATA, kx_ioctl(tracker, KVMX_PREDICT, &self->arg));
		ASSERT_EQ(0, pass_run(&pass, tracker));
		sleep_ms(20);
	}
	ASSERT_EQ(0, kx_ioctl(tracker, KVMX_PREDICT, &self->arg));
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	/* All of it written within 20 ms, and a slow link: there is no way. */
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vcpu_touch(&vm.vcpu[0], VM_DATA, 2048, PAGE_SIZE, 1));
		ASSERT_EQ(0, pass_run(&pass, tracker));
		sleep_ms(1);
	}
	self->arg.bandwidth = 1000000;
	ASSERT_EQ(0, kx_ioctl(tracker, KVMX_PREDICT, &self->arg));
	EXPECT_EQ(KVMX_VERDICT_OFFLINE, self->arg.verdict);
	/* The sample's curve is still that of an idle guest. */
	ASSERT_EQ(0, kx_ioctl(handle, KVMX_PREDICT, &self->arg));
	EXPECT_EQ(KVMX_VERDICT_CONVERGES, self->arg.verdict);
	ASSERT_EQ(0, kx_vm_stats(handle, &stats));
	EXPECT_EQ(4, stats.predictions);
	close(tracker);
	close(handle);
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
