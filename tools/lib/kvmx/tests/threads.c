// SPDX-License-Identifier: LGPL-2.1
/*
 * In real time: a guest that is a thread, a destination that is another, and a real socket between
 * them. How long it takes depends on the machine, so nothing is said of that; only of what must be
 * so however long it takes.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake.h"
#include "kselftest_harness.h"

#define GUEST_PAGES	PAGES(8)

FIXTURE(threads)
{
	struct fake_guest g;
	struct fake_dest d;
	struct kvmx_migrate_policy policy;
	struct kvmx_migrate_source source;
	struct dirty_source dirty;
	struct kvmx_migrate_report report;
	int fd[2];
};

FIXTURE_SETUP(threads)
{
	fake_init(&self->g, GUEST_PAGES, PAGES(4));
	self->g.load[0] = (struct fake_load){ .pattern = FAKE_UNIFORM, .pages = PAGES(2),
					      .rate = 2000 };
	fake_dest_init(&self->d, GUEST_PAGES);
	kvmx_migrate_policy_init(&self->policy);
	self->policy.flags = KVMX_POLICY_OFFLINE;
	self->policy.peer_timeout_ns = 60 * NSEC_PER_SEC;
	self->policy.sample_ns = 20 * NSEC_PER_MSEC;
	self->policy.slice_ns = 10 * NSEC_PER_MSEC;
	self->policy.max_time_ns = 5 * NSEC_PER_SEC;
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, self->fd));
	self->source = (struct kvmx_migrate_source){
		.ops = &fake_ops, .opaque = &self->g, .regions = self->g.regions,
		.nr_regions = 2, .fd = self->fd[0],
	};
	self->dirty = (struct dirty_source){ .ops = &fake_dirty_ops, .ctx = &self->g };
	fake_start(&self->g);
	fake_receive_start(&self->d, self->fd[1]);
}

FIXTURE_TEARDOWN(threads)
{
	fake_stop(&self->g);
	fake_free(&self->g);
	fake_dest_free(&self->d);
	close(self->fd[0]);
	close(self->fd[1]);
}

/* The guest writes while its pages are copied: whatever was torn has to be sent again. */
TEST_F_TIMEOUT(threads, moves, 120)
{
	EXPECT_EQ(0, migrate_send_from(&self->source, &self->policy, &self->dirty, &self->report))
		TH_LOG("%s", self->report.reason);
	fake_receive_wait(&self->d);
	EXPECT_EQ(KVMX_MIGRATE_DONE, self->report.outcome);
	EXPECT_EQ(KVMX_MIGRATE_DONE, self->d.report.outcome);
	EXPECT_EQ(1, self->d.runs);
	EXPECT_TRUE(self->d.state_good);
	EXPECT_TRUE(self->g.paused);
	EXPECT_EQ(1, self->g.released);
	EXPECT_EQ(0, memcmp(self->g.mem, self->d.mem, GUEST_PAGES * PAGE_BYTES));
}

TEST_F_TIMEOUT(threads, moves_offline, 120)
{
	self->policy.mode = KVMX_MODE_OFFLINE;
	EXPECT_EQ(0, migrate_send_from(&self->source, &self->policy, &self->dirty, &self->report))
		TH_LOG("%s", self->report.reason);
	fake_receive_wait(&self->d);
	EXPECT_EQ(1, self->d.runs);
	EXPECT_TRUE(self->g.paused);
	EXPECT_EQ(0, memcmp(self->g.mem, self->d.mem, GUEST_PAGES * PAGE_BYTES));
}

TEST_F_TIMEOUT(threads, stays_if_it_is_refused, 120)
{
	self->d.fail_load = -EINVAL;
	EXPECT_EQ(-EREMOTEIO, migrate_send_from(&self->source, &self->policy, &self->dirty,
						&self->report));
	fake_receive_wait(&self->d);
	EXPECT_EQ(KVMX_MIGRATE_FAILED, self->report.outcome);
	EXPECT_EQ(0, self->d.runs);
	EXPECT_EQ(1, self->d.discards);
	EXPECT_FALSE(self->g.paused);
	EXPECT_EQ(0, self->g.released);
}

TEST_HARNESS_MAIN
