// SPDX-License-Identifier: LGPL-2.1
/*
 * Who has the guest? The link is cut after every number of bytes that matters, bits are turned
 * over, each side misbehaves in every way: there is always exactly one guest or, after GO, a
 * source that knows that it does not know; and a guest that stayed has lost nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "fake.h"
#include "kselftest_harness.h"

#define GUEST_PAGES	600
#define FILLED		90
#define NEVER		(~0ULL)

FIXTURE(guest)
{
	struct fake_guest g;
	struct fake_dest d;
	struct kvmx_migrate_policy policy;
	struct kvmx_migrate_source source;
	struct dirty_source dirty;
	struct kvmx_migrate_report report;
	uint64_t forwarded;
	int ret;
};

FIXTURE_VARIANT(guest)
{
	uint32_t mode;
	bool content;
};

FIXTURE_VARIANT_ADD(guest, live) { .mode = KVMX_MODE_LIVE, .content = true };
FIXTURE_VARIANT_ADD(guest, live_no_content) { .mode = KVMX_MODE_LIVE };
FIXTURE_VARIANT_ADD(guest, plain) { .mode = KVMX_MODE_PLAIN };
FIXTURE_VARIANT_ADD(guest, offline) { .mode = KVMX_MODE_OFFLINE };

FIXTURE_SETUP(guest)
{
	const struct sim_costs costs = { .copy_ns = 1000, .hash_ns = 600 };

	fake_init(&self->g, GUEST_PAGES, FILLED);
	self->g.load[0] = (struct fake_load){ .pattern = FAKE_UNIFORM, .first = 20,
					      .pages = 100, .rate = 400 };
	/* More than fits into one chunk. */
	self->g.state_len = FAKE_STATE;
	kvmx_migrate_policy_init(&self->policy);
	self->policy.mode = variant->mode;
	self->policy.flags = variant->content ? 0 : KVMX_POLICY_NO_CONTENT;
	self->policy.sample_ns = 0;
	self->policy.slice_ns = 10 * NSEC_PER_MSEC;
	self->policy.peer_timeout_ns = 2 * NSEC_PER_SEC;
	self->source = (struct kvmx_migrate_source){
		.ops = &fake_ops, .opaque = &self->g, .regions = self->g.regions,
		.nr_regions = 2,
	};
	self->dirty = (struct dirty_source){ .ops = &fake_dirty_ops, .ctx = &self->g };
	fake_dest_init(&self->d, GUEST_PAGES);
	sim_begin(&costs, 1);
	fake_start(&self->g);
}

FIXTURE_TEARDOWN(guest)
{
	fake_stop(&self->g);
	sim_end();
	fake_free(&self->g);
	fake_dest_free(&self->d);
}

#define GUEST	FIXTURE_DATA(guest)

static void forget(GUEST *self)
{
	memset(self->d.mem, 0, GUEST_PAGES * PAGE_BYTES);
	self->d.runs = 0;
	self->d.discards = 0;
	self->g.pauses = 0;
	self->g.resumes = 0;
	self->g.released = 0;
	self->g.stops = 0;
}

/* From here to there, over a link that breaks. */
static void move(GUEST *self, uint64_t die_after, uint64_t flip_at)
{
	const struct sim_link link = { .latency_ns = 50000 };
	int fd[2];

	forget(self);
	sim_connect(&link, fd);
	sim_break(die_after, flip_at);
	fake_receive_start(&self->d, fd[1]);
	self->source.fd = fd[0];
	self->ret = migrate_send_from(&self->source, &self->policy, &self->dirty, &self->report);
	if (self->ret)
		shutdown(fd[0], SHUT_RDWR);
	fake_receive_wait(&self->d);
	self->forwarded = sim_forwarded();
	sim_disconnect();
}

static bool same_memory(const GUEST *self)
{
	return !memcmp(self->g.mem, self->d.mem, GUEST_PAGES * PAGE_BYTES);
}

#define EXPECT_MOVED() do { \
	EXPECT_EQ(0, self->ret) \
		TH_LOG("%s / %s", self->report.reason, self->d.report.reason); \
	EXPECT_EQ(KVMX_MIGRATE_DONE, self->report.outcome); \
	EXPECT_EQ(KVMX_MIGRATE_DONE, self->d.report.outcome); \
	EXPECT_EQ(1, self->d.runs); \
	EXPECT_EQ(0, self->d.discards); \
	EXPECT_TRUE(self->d.state_good); \
	EXPECT_TRUE(self->g.paused); \
	EXPECT_EQ(self->g.pauses, self->g.resumes + 1); \
	EXPECT_TRUE(same_memory(self)); \
} while (0)

#define EXPECT_STAYED() do { \
	EXPECT_GT(0, self->ret); \
	EXPECT_EQ(KVMX_MIGRATE_FAILED, self->report.outcome); \
	EXPECT_EQ(self->ret, self->report.error); \
	EXPECT_NE(0, self->report.reason[0]); \
	EXPECT_EQ(0, self->d.runs); \
	EXPECT_EQ(1, self->d.discards); \
	EXPECT_NE(KVMX_MIGRATE_DONE, self->d.report.outcome); \
	EXPECT_FALSE(self->g.paused); \
	EXPECT_EQ(self->g.pauses, self->g.resumes); \
	EXPECT_EQ(0, self->g.released); \
	EXPECT_EQ(1, self->g.stops); \
} while (0)

/* Having stayed, it can still be moved, and nothing is missing. */
#define EXPECT_MOVABLE() do { \
	move(self, NEVER, NEVER); \
	EXPECT_MOVED(); \
	fake_ops.resume(&self->g); \
} while (0)

TEST_F(guest, moves)
{
	move(self, NEVER, NEVER);
	EXPECT_MOVED();
	EXPECT_EQ(1, self->g.released);
	EXPECT_EQ(1, self->g.stops);
	EXPECT_EQ(GUEST_PAGES, self->report.total_pages);
	EXPECT_EQ(FAKE_STATE, self->d.report.state_bytes);
	EXPECT_EQ(self->report.data_pages, self->d.report.data_pages);
	EXPECT_EQ(self->report.zero_pages, self->d.report.zero_pages);
	EXPECT_LE(FILLED, self->report.data_pages);
	EXPECT_LE(self->report.bytes, self->d.report.bytes);
}

/* The link dies anywhere. */
TEST_F(guest, link_dies)
{
	unsigned int unknown = 0, stayed = 0;
	uint64_t total, at, step;

	move(self, NEVER, NEVER);
	ASSERT_EQ(0, self->ret);
	total = self->forwarded;
	for (at = 0; at < total + 3; at += step) {
		fake_ops.resume(&self->g);
		move(self, at, NEVER);
		/* END and GO are looked at more closely than pages. */
		step = at < total - 200 ? total / 23 + 1 : 5;
		if (self->report.outcome == KVMX_MIGRATE_UNKNOWN) {
			EXPECT_EQ(-EREMCHG, self->ret);
			EXPECT_TRUE(self->g.paused);
			EXPECT_EQ(0, self->g.released);
			unknown++;
		} else if (self->ret) {
			EXPECT_STAYED();
			stayed++;
		} else {
			EXPECT_MOVED();
		}
	}
	EXPECT_LT(20, stayed);
	fake_ops.resume(&self->g);
	EXPECT_MOVABLE();
}

/* A bit is turned over anywhere. */
TEST_F(guest, bits_flip)
{
	uint64_t total, at;

	move(self, NEVER, NEVER);
	ASSERT_EQ(0, self->ret);
	total = self->forwarded;
	/* Not GO itself: when that is damaged, the source cannot know. */
	for (at = 0; at + 100 < total; at += at < 200 || at > total - 200 ? 9 : total / 23 + 1) {
		fake_ops.resume(&self->g);
		move(self, NEVER, at);
		/* Live streams are not all of one length: this one was shorter. */
		if (self->forwarded <= at)
			continue;
		EXPECT_EQ(0, self->d.runs);
		if (self->report.outcome == KVMX_MIGRATE_UNKNOWN)
			continue;
		EXPECT_STAYED();
	}
	fake_ops.resume(&self->g);
	EXPECT_MOVABLE();
}

TEST_F(guest, damaged_go)
{
	uint64_t total;

	self->g.load[0].pattern = FAKE_IDLE;
	self->g.no_save_write = true;
	self->policy.mode = KVMX_MODE_OFFLINE;
	move(self, NEVER, NEVER);
	ASSERT_EQ(0, self->ret);
	total = self->forwarded;
	fake_ops.resume(&self->g);
	move(self, NEVER, total - 3);
	EXPECT_EQ(-EREMCHG, self->ret);
	EXPECT_EQ(KVMX_MIGRATE_UNKNOWN, self->report.outcome);
	EXPECT_EQ(0, self->d.runs);
	EXPECT_EQ(1, self->d.discards);
	EXPECT_TRUE(self->g.paused);
	EXPECT_EQ(0, self->g.released);
}

TEST_F(guest, source_fails)
{
	self->g.fail_pause = -EIO;
	move(self, NEVER, NEVER);
	EXPECT_EQ(-EIO, self->ret);
	EXPECT_EQ(0, self->g.resumes);
	EXPECT_EQ(0, self->d.runs);
	self->g.fail_pause = 0;

	self->g.fail_save = -ENOSPC;
	move(self, NEVER, NEVER);
	EXPECT_EQ(-ENOSPC, self->ret);
	EXPECT_STAYED();
	self->g.fail_save = 0;

	if (variant->mode != KVMX_MODE_OFFLINE) {
		self->g.fail_start = -EBUSY;
		move(self, NEVER, NEVER);
		EXPECT_EQ(-EBUSY, self->ret);
		EXPECT_STAYED();
		self->g.fail_start = 0;

		self->g.fail_harvest = 2;
		move(self, NEVER, NEVER);
		EXPECT_EQ(-EFAULT, self->ret);
		EXPECT_STAYED();
		self->g.fail_harvest = 0;
	}
	EXPECT_MOVABLE();
}

TEST_F(guest, destination_fails)
{
	self->d.fail_load = -EINVAL;
	move(self, NEVER, NEVER);
	EXPECT_EQ(-EREMOTEIO, self->ret);
	EXPECT_NE(NULL, strstr(self->report.reason, "device state could not be loaded"));
	EXPECT_STAYED();
	self->d.fail_load = 0;

	/* After GO it is too late to take it back. */
	self->d.fail_run = -EIO;
	move(self, NEVER, NEVER);
	EXPECT_EQ(-EREMCHG, self->ret);
	EXPECT_EQ(KVMX_MIGRATE_UNKNOWN, self->report.outcome);
	EXPECT_NE(NULL, strstr(self->report.reason, "could not be run"));
	EXPECT_TRUE(self->g.paused);
	EXPECT_EQ(0, self->g.released);
	EXPECT_EQ(0, self->d.runs);
	self->d.fail_run = 0;
	fake_ops.resume(&self->g);
	EXPECT_MOVABLE();
}

TEST_F(guest, other_layout)
{
	self->d.regions[1].npages--;
	move(self, NEVER, NEVER);
	EXPECT_EQ(-EREMOTEIO, self->ret);
	EXPECT_NE(NULL, strstr(self->report.reason, "layouts differ"));
	EXPECT_STAYED();
	EXPECT_EQ(0, self->g.pauses);
	self->d.regions[1].npages++;
	self->d.regions[0].as = 1;
	move(self, NEVER, NEVER);
	EXPECT_STAYED();
	self->d.regions[0].as = 0;
	EXPECT_MOVABLE();
}

TEST_F(guest, cancel)
{
	int phase;

	for (phase = KVMX_PHASE_CONNECT; phase <= KVMX_PHASE_READY; phase++) {
		self->g.cancel_phase = phase;
		move(self, NEVER, NEVER);
		/* Not all of them are gone through by all modes. */
		if (!self->ret) {
			EXPECT_MOVED();
			fake_ops.resume(&self->g);
			continue;
		}
		EXPECT_EQ(-ECANCELED, self->ret);
		EXPECT_STAYED();
	}
	self->g.cancel_phase = -1;
	EXPECT_MOVABLE();
}

TEST_F(guest, memory_outside)
{
	/* The VMM has forgotten half of its memory. */
	self->source.nr_regions = 1;
	self->source.regions = &self->g.regions[1];
	self->d.nr_regions = 1;
	self->d.regions[0] = self->d.regions[1];
	move(self, NEVER, NEVER);
	/* Offline nobody asks kvmx, so nobody notices. */
	if (variant->mode != KVMX_MODE_OFFLINE) {
		EXPECT_EQ(-ESTALE, self->ret);
		EXPECT_STAYED();
		self->policy.flags |= KVMX_POLICY_PARTIAL;
		move(self, NEVER, NEVER);
		EXPECT_LE(GUEST_PAGES / 2, self->report.ignored_pages);
	}
	EXPECT_EQ(0, self->ret);
	EXPECT_EQ(0, memcmp(self->g.mem, self->d.mem, GUEST_PAGES / 2 * PAGE_BYTES));
}

/* A destination that stops reading, or never says a word. */
TEST_F(guest, dead_peer)
{
	const struct sim_link link = { 0 };
	uint64_t begin = now_ns();
	int fd[2];

	sim_connect(&link, fd);
	self->policy.peer_timeout_ns = 300 * NSEC_PER_MSEC;
	self->source.fd = fd[0];
	self->ret = migrate_send_from(&self->source, &self->policy, &self->dirty, &self->report);
	EXPECT_EQ(-ETIMEDOUT, self->ret);
	EXPECT_EQ(KVMX_MIGRATE_FAILED, self->report.outcome);
	EXPECT_FALSE(self->g.paused);
	EXPECT_GT(310 * NSEC_PER_MSEC, now_ns() - begin);
	sim_disconnect();
}

/* A destination made by hand: it can lie. */
struct liar {
	int fd;
	int kind;	/* what to do after END */
	struct kvmx_migrate_report report;
};

enum {
	LIE_WRONG_READY,
	LIE_EARLY_READY,
	LIE_EARLY_RUNNING,
	LIE_TWO_READY,
	LIE_NOISE,
	LIE_GONE_BEFORE_GO,
	LIE_GONE_AFTER_GO,
	LIE_SILENT,
	LIE_SILENT_AFTER_GO,
	LIE_NR,
	NO_LIE = LIE_NR,	/* but in a hurry: gone as soon as the guest runs */
};

static void answer(struct conn *c, uint32_t type, uint64_t value)
{
	uint8_t payload[8];

	put_le64(payload, value);
	conn_put_small(c, type, payload, sizeof(payload), NULL);
}

static void lie(struct liar *l, struct conn *c)
{
	struct chunk chunk;

	switch (l->kind) {
	case LIE_WRONG_READY:
		answer(c, CHUNK_READY, c->in.chain ^ 1);
		break;
	case LIE_EARLY_RUNNING:
		answer(c, CHUNK_RUNNING, 0);
		break;
	case LIE_TWO_READY:
		answer(c, CHUNK_READY, c->in.chain);
		answer(c, CHUNK_READY, c->in.chain);
		break;
	case LIE_NOISE:
		link_send(&c->link, "this is no chunk, this is noise.", 32, NULL);
		break;
	case LIE_GONE_BEFORE_GO:
		answer(c, CHUNK_READY, c->in.chain);
		return;
	case LIE_GONE_AFTER_GO:
		answer(c, CHUNK_READY, c->in.chain);
		conn_get(c, &chunk);
		return;
	case LIE_SILENT_AFTER_GO:
		answer(c, CHUNK_READY, c->in.chain);
		break;
	case NO_LIE:
		answer(c, CHUNK_READY, c->in.chain);
		if (!conn_get(c, &chunk))
			answer(c, CHUNK_RUNNING, 0);
		return;
	}
	/* Until the source has had enough. */
	while (!conn_get(c, &chunk))
		;
}

static void liar_main(void *arg)
{
	uint8_t preamble[STREAM_PREAMBLE];
	struct liar *l = arg;
	struct chunk chunk;
	struct conn c;

	if (conn_init_dest(&c, l->fd, 20 * NSEC_PER_SEC, &l->report))
		return;
	if (link_recv(&c.link, preamble, sizeof(preamble)) || conn_get(&c, &chunk))
		goto out;
	answer(&c, CHUNK_ACCEPT, 0);
	if (l->kind == LIE_EARLY_READY)
		answer(&c, CHUNK_READY, c.in.chain);
	while (!conn_get(&c, &chunk)) {
		if (chunk.type == CHUNK_PING)
			answer(&c, CHUNK_PONG, get_le64(conn_payload(&c)));
		if (chunk.type == CHUNK_END) {
			lie(l, &c);
			break;
		}
	}
out:
	conn_exit(&c);
	shutdown(l->fd, SHUT_RDWR);
}

static void move_to_liar(GUEST *self, int kind)
{
	const struct sim_link link = { .latency_ns = 50000 };
	struct liar liar = { .kind = kind };
	int fd[2];

	forget(self);
	sim_connect(&link, fd);
	liar.fd = fd[1];
	sim_spawn(liar_main, &liar);
	self->source.fd = fd[0];
	self->ret = migrate_send_from(&self->source, &self->policy, &self->dirty, &self->report);
	shutdown(fd[0], SHUT_RDWR);
	sim_join();
	sim_disconnect();
}

/* The destination's VMM may close the connection at once: its last word is there nevertheless. */
TEST_F(guest, last_word)
{
	int i;

	for (i = 0; i < 15; i++) {
		move_to_liar(self, NO_LIE);
		EXPECT_EQ(0, self->ret) TH_LOG("%s", self->report.reason);
		EXPECT_EQ(KVMX_MIGRATE_DONE, self->report.outcome);
		EXPECT_EQ(1, self->g.released);
		EXPECT_TRUE(self->g.paused);
		fake_ops.resume(&self->g);
	}
}

TEST_F(guest, lying_destination)
{
	int kind;

	self->policy.peer_timeout_ns = 300 * NSEC_PER_MSEC;
	for (kind = 0; kind < LIE_NR; kind++) {
		move_to_liar(self, kind);
		EXPECT_GT(0, self->ret);
		EXPECT_EQ(0, self->g.released);
		/* It may or may not have seen that the peer is gone when it says GO. */
		if (kind == LIE_GONE_AFTER_GO || kind == LIE_SILENT_AFTER_GO) {
			EXPECT_EQ(KVMX_MIGRATE_UNKNOWN, self->report.outcome)
				TH_LOG("%d: %s", kind, self->report.reason);
		} else if (kind != LIE_GONE_BEFORE_GO && kind != LIE_TWO_READY) {
			EXPECT_EQ(KVMX_MIGRATE_FAILED, self->report.outcome)
				TH_LOG("%d: %s", kind, self->report.reason);
		}
		EXPECT_EQ(self->report.outcome == KVMX_MIGRATE_UNKNOWN, self->g.paused)
			TH_LOG("%d: %s", kind, self->report.reason);
		if (self->g.paused)
			fake_ops.resume(&self->g);
	}
	EXPECT_MOVABLE();
}

/* To a file and back. */
TEST_F(guest, file)
{
	char path[] = "/tmp/kvmx-test-XXXXXX";
	int fd = mkstemp(path);
	off_t len, at;
	char byte;

	ASSERT_LE(0, fd);
	unlink(path);
	forget(self);
	self->source.fd = fd;
	ASSERT_EQ(0, migrate_send_from(&self->source, &self->policy, &self->dirty, &self->report));
	EXPECT_EQ(KVMX_MIGRATE_DONE, self->report.outcome);
	EXPECT_TRUE(self->g.paused);
	EXPECT_EQ(0, self->g.released);

	lseek(fd, 0, SEEK_SET);
	EXPECT_EQ(0, fake_receive(&self->d, fd));
	EXPECT_EQ(1, self->d.runs);
	EXPECT_TRUE(self->d.state_good);
	EXPECT_TRUE(same_memory(self));

	/* Cut short, anywhere. */
	len = lseek(fd, 0, SEEK_END);
	for (at = len - 1; at > 0; at -= at > len - 300 ? 7 : len / 17) {
		ASSERT_EQ(0, ftruncate(fd, at));
		lseek(fd, 0, SEEK_SET);
		forget(self);
		EXPECT_EQ(-ECONNRESET, fake_receive(&self->d, fd));
		EXPECT_EQ(0, self->d.runs);
		EXPECT_EQ(1, self->d.discards);
	}
	/* Too long, too. */
	fake_ops.resume(&self->g);
	forget(self);
	ASSERT_EQ(0, ftruncate(fd, 0));
	lseek(fd, 0, SEEK_SET);
	ASSERT_EQ(0, migrate_send_from(&self->source, &self->policy, &self->dirty, &self->report));
	ASSERT_EQ(1, write(fd, "", 1));
	lseek(fd, 0, SEEK_SET);
	EXPECT_EQ(-EPROTO, fake_receive(&self->d, fd));
	EXPECT_EQ(0, self->d.runs);
	/* Another version. */
	ASSERT_EQ(0, ftruncate(fd, len));
	byte = STREAM_VERSION + 1;
	ASSERT_EQ(1, pwrite(fd, &byte, 1, 8));
	lseek(fd, 0, SEEK_SET);
	EXPECT_EQ(-EPROTO, fake_receive(&self->d, fd));
	EXPECT_NE(NULL, strstr(self->d.report.reason, "version"));
	EXPECT_EQ(0, self->d.runs);
	close(fd);
}

/* A full disk is no reason to lose a guest. */
TEST_F(guest, full_disk)
{
	int fd = open("/dev/full", O_WRONLY);

	ASSERT_LE(0, fd);
	self->source.fd = fd;
	self->ret = migrate_send_from(&self->source, &self->policy, &self->dirty, &self->report);
	EXPECT_EQ(-ENOSPC, self->ret);
	EXPECT_EQ(KVMX_MIGRATE_FAILED, self->report.outcome);
	EXPECT_FALSE(self->g.paused);
	close(fd);
}

/* A pipe whose reader goes: no SIGPIPE, and no guest lost. */
TEST_F(guest, broken_pipe)
{
	int fd[2];

	ASSERT_EQ(0, pipe(fd));
	close(fd[0]);
	self->source.fd = fd[1];
	self->ret = migrate_send_from(&self->source, &self->policy, &self->dirty, &self->report);
	EXPECT_EQ(-EPIPE, self->ret);
	EXPECT_FALSE(self->g.paused);
	EXPECT_EQ(0, fcntl(fd[1], F_GETFL) & O_NONBLOCK);
	close(fd[1]);
}

TEST_F(guest, bad_policy)
{
	struct kvmx_migrate_policy good = self->policy;

	self->source.fd = -1;
	EXPECT_EQ(-EBADF, migrate_send_from(&self->source, &self->policy, &self->dirty, NULL));
	self->policy.mode = KVMX_MODE_OFFLINE + 1;
	EXPECT_EQ(-EINVAL, migrate_send_from(&self->source, &self->policy, &self->dirty, NULL));
	self->policy = good;
	self->policy.flags = 0x20;
	EXPECT_EQ(-EINVAL, migrate_send_from(&self->source, &self->policy, &self->dirty, NULL));
	self->policy = good;
	self->policy.min_permille = 0;
	EXPECT_EQ(-EINVAL, migrate_send_from(&self->source, &self->policy, &self->dirty, NULL));
	self->policy = good;
	self->policy.slice_ns = 0;
	EXPECT_EQ(-EINVAL, migrate_send_from(&self->source, &self->policy, &self->dirty, NULL));
	self->policy = good;
	self->source.nr_regions = 0;
	EXPECT_EQ(-EINVAL, migrate_send_from(&self->source, &self->policy, &self->dirty, NULL));
	EXPECT_EQ(0, self->g.pauses);
}

TEST_HARNESS_MAIN
