// SPDX-License-Identifier: LGPL-2.1
/*
 * Streams that are wrong in one respect each, with all checksums right: refused, for that reason,
 * before anything outside of the guest's memory is touched and before the guest runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stream.h"
#include "kselftest_harness.h"

#define ROOM	(4U << 20)

FIXTURE(stream)
{
	uint8_t *buf;
	uint8_t *at;
	uint8_t *chunk;
	struct stream out;
	struct kvmx_region regions[2];
	struct layout layout;
	struct kvmx_migrate_dest dest;
	struct kvmx_migrate_report report;
	struct stream_end end;
	int loads;
	int runs;
	int discards;
	int fail_run;
};

#define STREAM	FIXTURE_DATA(stream)

static int on_load(void *opaque, const void *data, size_t len)
{
	STREAM *s = opaque;

	(void)data;
	(void)len;
	s->loads++;
	return 0;
}

static int on_run(void *opaque)
{
	STREAM *s = opaque;

	if (!s->fail_run)
		s->runs++;
	return s->fail_run;
}

static void on_discard(void *opaque)
{
	STREAM *s = opaque;

	s->discards++;
}

static const struct kvmx_migrate_dest_ops ops = {
	.load_state = on_load,
	.run = on_run,
	.discard = on_discard,
};

FIXTURE_SETUP(stream)
{
	uint8_t *mem = mmap(NULL, 16 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)mem);
	/* 4 pages and 2 pages, with nothing around them that could be written. */
	ASSERT_EQ(0, mprotect(mem + PAGE_BYTES, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE));
	ASSERT_EQ(0, mprotect(mem + 8 * PAGE_BYTES, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE));
	self->regions[0] = (struct kvmx_region){ .gfn = 0, .npages = 4, .hva = mem + PAGE_BYTES };
	self->regions[1] = (struct kvmx_region){ .gfn = 256, .npages = 2,
						 .hva = mem + 8 * PAGE_BYTES };
	ASSERT_EQ(0, layout_init(&self->layout, self->regions, 2, &self->report));
	self->buf = malloc(ROOM);
	ASSERT_NE(NULL, self->buf);
	self->at = self->buf + STREAM_PREAMBLE;
	stream_put_preamble(self->buf);
	self->out.dir = STREAM_FORWARD;
	self->dest = (struct kvmx_migrate_dest){
		.ops = &ops, .opaque = self, .regions = self->regions, .nr_regions = 2,
		.max_state = 2000000,
	};
	self->end.total_pages = 6;
}

FIXTURE_TEARDOWN(stream)
{
	munmap((uint8_t *)self->regions[0].hva - PAGE_BYTES, 16 * PAGE_BYTES);
	layout_free(&self->layout);
	free(self->buf);
}

static void begin(STREAM *s)
{
	s->chunk = s->at;
	s->at += STREAM_HEADER;
}

static void seal(STREAM *s, uint32_t type, uint32_t count)
{
	stream_seal(&s->out, s->chunk, type, s->at - s->chunk - STREAM_HEADER, count);
}

static void hello(STREAM *s)
{
	begin(s);
	s->at += stream_put_hello(s->at, &s->layout, STREAM_HELLO_FILE, 1);
	seal(s, CHUNK_HELLO, 0);
}

static void run_head(STREAM *s, uint64_t gfn, uint32_t npages, uint16_t as, uint16_t kind)
{
	struct stream_run run = { .gfn = gfn, .npages = npages, .as = as, .kind = kind };

	stream_put_run(s->at, &run);
	s->at += STREAM_RUN;
}

static void zeroes(STREAM *s, uint64_t gfn, uint32_t npages)
{
	begin(s);
	run_head(s, gfn, npages, 0, PAGE_ZERO);
	seal(s, CHUNK_PAGES, 1);
	s->end.zero_pages += npages;
}

static void raw(STREAM *s, uint32_t type, uint32_t len, uint32_t count)
{
	begin(s);
	memset(s->at, 7, len);
	s->at += len;
	seal(s, type, count);
}

static void state(STREAM *s, uint32_t len)
{
	raw(s, CHUNK_STATE, len, 0);
	s->end.state_bytes += len;
}

static void end(STREAM *s)
{
	s->end.chunks = s->out.seq;
	s->end.chain = s->out.chain;
	begin(s);
	stream_put_end(s->at, &s->end);
	s->at += STREAM_END;
	seal(s, CHUNK_END, 0);
}

static void start(STREAM *s)
{
	hello(s);
	zeroes(s, 0, 4);
	zeroes(s, 256, 2);
}

static int receive(STREAM *s)
{
	int ret;

	s->dest.fd = memfd_create("stream", 0);
	if (write(s->dest.fd, s->buf, s->at - s->buf) != s->at - s->buf)
		return 1;
	lseek(s->dest.fd, 0, SEEK_SET);
	ret = kvmx_migrate_receive(&s->dest, &s->report);
	close(s->dest.fd);
	return ret;
}

#define EXPECT_REFUSED(_err, _why) do { \
	EXPECT_EQ(_err, receive(self)); \
	EXPECT_NE(NULL, strstr(self->report.reason, _why)) \
		TH_LOG("%s", self->report.reason); \
	EXPECT_EQ(0, self->runs); \
	EXPECT_EQ(1, self->discards); \
	EXPECT_EQ(KVMX_MIGRATE_FAILED, self->report.outcome); \
} while (0)

/* Else the others would prove nothing. */
TEST_F(stream, good)
{
	start(self);
	state(self, 100);
	end(self);
	EXPECT_EQ(0, receive(self)) TH_LOG("%s", self->report.reason);
	EXPECT_EQ(1, self->runs);
	EXPECT_EQ(0, self->discards);
	EXPECT_EQ(6, self->report.zero_pages);
	EXPECT_EQ(100, self->report.state_bytes);
}

TEST_F(stream, page_missing)
{
	hello(self);
	zeroes(self, 0, 4);
	zeroes(self, 257, 1);
	state(self, 100);
	end(self);
	EXPECT_REFUSED(-EPROTO, "1 pages were never sent");
	EXPECT_EQ(0, self->loads);
}

TEST_F(stream, page_twice_for_one_missing)
{
	hello(self);
	zeroes(self, 0, 4);
	zeroes(self, 257, 1);
	zeroes(self, 257, 1);
	state(self, 100);
	end(self);
	EXPECT_REFUSED(-EPROTO, "never sent");
}

TEST_F(stream, pages_outside)
{
	static const struct {
		uint64_t gfn;
		uint32_t npages;
		uint16_t as;
		uint16_t kind;
	} bad[] = {
		{ 4, 1, 0, PAGE_DATA }, { 3, 2, 0, PAGE_DATA }, { 255, 1, 0, PAGE_ZERO },
		{ 258, 1, 0, PAGE_ZERO }, { 0, 5, 0, PAGE_ZERO }, { 0, ~0U, 0, PAGE_ZERO },
		{ ~0ULL, 1, 0, PAGE_DATA }, { ~0ULL - 1, 4, 0, PAGE_LINES },
		{ 0, 1, 1, PAGE_ZERO }, { 0, 1, 0xffff, PAGE_DATA },
		{ 1ULL << 52, 1, 0, PAGE_DATA },
		{ 0, 0, 0, PAGE_ZERO }, { 0, 1, 0, 0 }, { 0, 1, 0, PAGE_ZERO + 1 },
		{ 0, 1, 0, 0xffff },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		self->at = self->buf + STREAM_PREAMBLE;
		self->out = (struct stream){ .dir = STREAM_FORWARD };
		self->discards = 0;
		start(self);
		begin(self);
		run_head(self, bad[i].gfn, bad[i].npages, bad[i].as, bad[i].kind);
		memset(self->at, 1, 2 * PAGE_BYTES);
		self->at += 2 * PAGE_BYTES;
		seal(self, CHUNK_PAGES, 1);
		EXPECT_REFUSED(-EPROTO, "pages that do not exist");
	}
}

TEST_F(stream, pages_cut_short)
{
	uint32_t len;

	for (len = 1; len < STREAM_RUN + PAGE_BYTES; len += 37) {
		self->at = self->buf + STREAM_PREAMBLE;
		self->out = (struct stream){ .dir = STREAM_FORWARD };
		self->discards = 0;
		start(self);
		begin(self);
		run_head(self, 0, 1, 0, len % 2 ? PAGE_DATA : PAGE_LINES);
		memset(self->at, 0xff, PAGE_BYTES);
		self->at = self->chunk + STREAM_HEADER + len;
		seal(self, CHUNK_PAGES, 1);
		EXPECT_REFUSED(-EPROTO, "cut short");
	}
}

TEST_F(stream, number_of_runs)
{
	start(self);
	begin(self);
	run_head(self, 0, 1, 0, PAGE_ZERO);
	seal(self, CHUNK_PAGES, 2);
	EXPECT_REFUSED(-EPROTO, "number of runs");
}

TEST_F(stream, totals)
{
	uint64_t *field[] = { &self->end.data_pages, &self->end.zero_pages,
			      &self->end.state_bytes, &self->end.total_pages };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(field); i++) {
		self->at = self->buf + STREAM_PREAMBLE;
		self->out = (struct stream){ .dir = STREAM_FORWARD };
		self->end = (struct stream_end){ .total_pages = 6 };
		self->discards = 0;
		start(self);
		state(self, 100);
		++*field[i];
		end(self);
		EXPECT_REFUSED(-EPROTO, "totals");
	}
}

TEST_F(stream, chain)
{
	start(self);
	state(self, 100);
	/* As if a chunk had been something else when END was made. */
	self->out.chain ^= 1;
	end(self);
	EXPECT_REFUSED(-EPROTO, "whole stream");
}

TEST_F(stream, state_too_large)
{
	int i;

	start(self);
	for (i = 0; i < 3; i++)
		state(self, 700000);
	end(self);
	EXPECT_REFUSED(-EPROTO, "too large");
}

TEST_F(stream, state_empty)
{
	start(self);
	state(self, 0);
	end(self);
	EXPECT_REFUSED(-EPROTO, "empty");
}

TEST_F(stream, pages_after_state)
{
	start(self);
	state(self, 10);
	zeroes(self, 0, 1);
	end(self);
	EXPECT_REFUSED(-EPROTO, "after the device state");
}

TEST_F(stream, end_twice)
{
	start(self);
	state(self, 10);
	end(self);
	end(self);
	EXPECT_REFUSED(-EPROTO, "more after the end");
	EXPECT_EQ(0, self->loads);
}

TEST_F(stream, end_malformed)
{
	start(self);
	raw(self, CHUNK_END, STREAM_END - 1, 0);
	EXPECT_REFUSED(-EPROTO, "malformed end");
}

TEST_F(stream, hello_missing)
{
	zeroes(self, 0, 4);
	EXPECT_REFUSED(-EPROTO, "no greeting");
}

TEST_F(stream, hello_twice)
{
	start(self);
	hello(self);
	EXPECT_REFUSED(-EPROTO, "unknown kind");
}

TEST_F(stream, unknown_chunk)
{
	start(self);
	raw(self, 99, 10, 0);
	EXPECT_REFUSED(-EPROTO, "unknown kind");
}

TEST_F(stream, ping_in_a_file)
{
	start(self);
	raw(self, CHUNK_PING, 8, 0);
	EXPECT_REFUSED(-EPROTO, "malformed ping");
}

TEST_F(stream, answers_wanted_from_a_file)
{
	begin(self);
	self->at += stream_put_hello(self->at, &self->layout, 0, 1);
	seal(self, CHUNK_HELLO, 0);
	EXPECT_REFUSED(-EPROTO, "this is a file");
}

TEST_F(stream, huge_length)
{
	start(self);
	raw(self, CHUNK_PAGES, 100, 0);
	put_le32(self->chunk + 4, 0xffffffff);
	EXPECT_REFUSED(-EBADMSG, "longer than any may be");
}

TEST_F(stream, length_beyond_the_end)
{
	start(self);
	raw(self, CHUNK_PAGES, 100, 0);
	put_le32(self->chunk + 4, STREAM_CHUNK_MAX);
	EXPECT_REFUSED(-ECONNRESET, "ended too early");
}

TEST_F(stream, not_ours)
{
	memset(self->buf, 'x', STREAM_PREAMBLE);
	EXPECT_REFUSED(-EPROTO, "not a kvmx migration stream");
}

TEST_F(stream, empty)
{
	self->at = self->buf;
	EXPECT_REFUSED(-ECONNRESET, "nothing came");
}

TEST_F(stream, zeroes_leave_no_page_behind)
{
	unsigned char resident[4];

	self->dest.flags = KVMX_DEST_ZEROED;
	start(self);
	state(self, 1);
	end(self);
	ASSERT_EQ(0, receive(self));
	ASSERT_EQ(0, mincore(self->regions[0].hva, 4 * PAGE_BYTES, resident));
	EXPECT_EQ(0, resident[0] | resident[1] | resident[2] | resident[3]);
}

TEST_F(stream, zeroes_wipe)
{
	uint8_t *mem = self->regions[0].hva;

	/* What was there before, and what the stream itself put there. */
	mem[5] = 1;
	hello(self);
	begin(self);
	run_head(self, 3, 1, 0, PAGE_DATA);
	memset(self->at, 3, PAGE_BYTES);
	self->at += PAGE_BYTES;
	seal(self, CHUNK_PAGES, 1);
	self->end.data_pages++;
	zeroes(self, 0, 4);
	zeroes(self, 256, 2);
	state(self, 1);
	end(self);
	ASSERT_EQ(0, receive(self)) TH_LOG("%s", self->report.reason);
	EXPECT_EQ(0, mem[5]);
	EXPECT_EQ(0, page_mask(mem + 3 * PAGE_BYTES));
	/* Zeroed or not: a page that came before is wiped. */
	self->dest.flags = KVMX_DEST_ZEROED;
	ASSERT_EQ(0, receive(self));
	EXPECT_EQ(0, page_mask(mem + 3 * PAGE_BYTES));
}

TEST_F(stream, run_fails)
{
	start(self);
	state(self, 1);
	end(self);
	self->fail_run = -EIO;
	EXPECT_REFUSED(-EIO, "could not be run");
}

TEST_F(stream, bad_flags)
{
	self->dest.flags = 2;
	EXPECT_REFUSED(-EINVAL, "unknown flags");
}

TEST_HARNESS_MAIN
