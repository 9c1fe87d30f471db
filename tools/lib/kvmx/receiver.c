// SPDX-License-Identifier: LGPL-2.1
/*
 * The destination's side. The stream is not trusted: every number in it is checked before it is
 * used, and the guest runs only if all of it was there and right.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "conn.h"

#define DEFAULT_STATE		(64ULL << 20)
#define DEFAULT_TIMEOUT_NS	(30 * NSEC_PER_SEC)
#define PROGRESS_EVERY_NS	(100 * NSEC_PER_MSEC)

struct receiver {
	const struct kvmx_migrate_dest *dest;
	struct kvmx_migrate_report *report;
	struct layout layout;
	struct conn conn;
	bool connected;
	bool file;
	uint64_t session;
	uint64_t *covered;		/* pages that were received at least once */
	uint64_t nr_covered;
	uint8_t *state;
	uint64_t state_len;
	uint64_t max_state;
	uint64_t start;
	uint64_t last_progress;
	bool run;
};

static int progress(struct receiver *r, uint32_t phase)
{
	struct kvmx_migrate_progress p = {
		.phase = phase,
		.vcpu_permille = 1000,
		.needed_permille = 1000,
		.total_pages = r->layout.total,
		.pending_pages = r->layout.total - r->nr_covered,
		.bytes = r->conn.link.received,
	};
	uint64_t now = now_ns();

	if (!r->dest->ops->progress)
		return 0;
	if (phase == KVMX_PHASE_REPEAT && now - r->last_progress < PROGRESS_EVERY_NS)
		return 0;
	r->last_progress = now;
	p.elapsed_ns = now - r->start;
	if (r->dest->ops->progress(r->dest->opaque, &p))
		return fail(r->report, -ECANCELED, "canceled");
	return 0;
}

static int bad(struct receiver *r, const char *why)
{
	return fail(r->report, -EPROTO, "chunk %" PRIu64 ": %s", r->conn.in.seq - 1, why);
}

static int get_greeting(struct receiver *r)
{
	uint8_t preamble[STREAM_PREAMBLE], answer[8];
	struct stream_hello hello = { 0 };
	struct chunk chunk;
	uint32_t version;
	const char *wrong;
	uint64_t gfn;
	int ret;

	ret = link_recv(&r->conn.link, preamble, sizeof(preamble));
	if (ret)
		return fail(r->report, ret, "nothing came: %s", strerror(-ret));
	wrong = stream_check_preamble(preamble, &version);
	if (wrong)
		return fail(r->report, -EPROTO, "%s (%u, this is %u)", wrong, version,
			    STREAM_VERSION);
	ret = conn_get(&r->conn, &chunk);
	if (ret)
		return ret;
	if (chunk.type != CHUNK_HELLO || chunk.count)
		return bad(r, "there was no greeting");
	wrong = stream_get_hello(conn_payload(&r->conn), chunk.length, &r->layout, &hello, &gfn);
	if (wrong)
		return fail(r->report, -EPROTO, "%s (%u regions, gfn 0x%" PRIx64 ")", wrong,
			    hello.nr_regions, gfn);
	r->file = hello.flags & STREAM_HELLO_FILE;
	r->session = hello.session;
	if (r->file)
		return 0;
	if (r->conn.link.kind != LINK_SOCKET)
		return fail(r->report, -EPROTO, "the source wants answers, and this is a file");
	put_le64(answer, hello.session);
	return conn_put_small(&r->conn, CHUNK_ACCEPT, answer, sizeof(answer), NULL);
}

static void cover(struct receiver *r, uint64_t idx)
{
	if (bit_test(r->covered, idx))
		return;
	bit_set(r->covered, idx);
	r->nr_covered++;
}

static void zero_page(struct receiver *r, uint64_t idx, void *page)
{
	/* Untouched memory that reads as zeroes shall stay untouched. */
	if (r->dest->flags & KVMX_DEST_ZEROED && !bit_test(r->covered, idx))
		return;
	if (page_mask(page))
		memset(page, 0, PAGE_BYTES);
}

/* One page of a run; the payload used, or -1 if there is not enough. */
static int64_t get_page(struct receiver *r, uint16_t kind, uint64_t idx, void *page,
			const uint8_t *data, uint32_t room)
{
	uint32_t used = 0;

	switch (kind) {
	case PAGE_DATA:
		if (room < PAGE_BYTES)
			return -1;
		page_copy(page, data);
		used = PAGE_BYTES;
		break;
	case PAGE_LINES:
		used = page_get_lines(page, data, room);
		if (!used)
			return -1;
		break;
	case PAGE_ZERO:
		zero_page(r, idx, page);
		break;
	}
	cover(r, idx);
	return used;
}

/* One run; the payload used, or 0 if it is no good. */
static uint32_t get_run(struct receiver *r, const uint8_t *p, uint32_t room)
{
	uint32_t used = STREAM_RUN, i;
	const struct kvmx_region *region;
	struct stream_run run;
	uint64_t idx;
	char *page;

	if (room < STREAM_RUN)
		return 0;
	stream_get_run(p, &run);
	if (run.kind < PAGE_DATA || run.kind > PAGE_ZERO || !run.npages)
		return 0;
	region = layout_find(&r->layout, run.as, run.gfn);
	if (!region || run.npages > region->npages - (run.gfn - region->gfn))
		return 0;
	idx = layout_index(&r->layout, region, run.gfn);
	page = layout_page(&r->layout, region, idx);
	for (i = 0; i < run.npages; i++) {
		int64_t n = get_page(r, run.kind, idx + i, page + (uint64_t)i * PAGE_BYTES,
				     p + used, room - used);

		if (n < 0)
			return 0;
		used += n;
	}
	if (run.kind == PAGE_ZERO)
		r->report->zero_pages += run.npages;
	else
		r->report->data_pages += run.npages;
	return used;
}

static int get_pages(struct receiver *r, const struct chunk *chunk)
{
	const uint8_t *p = conn_payload(&r->conn);
	uint32_t left = chunk->length, runs;

	if (r->state_len)
		return bad(r, "pages after the device state");
	for (runs = 0; left; runs++) {
		uint32_t used = get_run(r, p, left);

		if (!used)
			return bad(r, "pages that do not exist or are cut short");
		p += used;
		left -= used;
	}
	return runs == chunk->count ? 0 : bad(r, "the number of runs is wrong");
}

static int get_state(struct receiver *r, const struct chunk *chunk)
{
	uint8_t *larger;

	if (chunk->count || !chunk->length)
		return bad(r, "an empty piece of device state");
	if (chunk->length > r->max_state - r->state_len)
		return bad(r, "the device state is too large");
	/* By what has really come, never by what is announced. */
	larger = realloc(r->state, r->state_len + chunk->length);
	if (!larger)
		return fail(r->report, -ENOMEM, "no memory for the device state");
	memcpy(larger + r->state_len, conn_payload(&r->conn), chunk->length);
	r->state = larger;
	r->state_len += chunk->length;
	return 0;
}

static int answer_ping(struct receiver *r, const struct chunk *chunk)
{
	if (chunk->count || chunk->length != 8 || r->file)
		return bad(r, "a malformed ping");
	return conn_put_small(&r->conn, CHUNK_PONG, conn_payload(&r->conn), 8, NULL);
}

/* @chain: over all chunks before this one */
static int check_end(struct receiver *r, const struct chunk *chunk, uint64_t chain)
{
	const struct kvmx_migrate_report *report = r->report;
	struct stream_end end;

	if (chunk->count || chunk->length != STREAM_END)
		return bad(r, "a malformed end");
	stream_get_end(conn_payload(&r->conn), &end);
	if (end.chunks != chunk->seq || end.chain != chain)
		return bad(r, "the checksum over the whole stream is wrong");
	if (end.data_pages != report->data_pages || end.zero_pages != report->zero_pages ||
	    end.state_bytes != r->state_len || end.total_pages != r->layout.total)
		return bad(r, "the totals at the end are wrong");
	if (r->nr_covered != r->layout.total)
		return fail(r->report, -EPROTO, "%" PRIu64 " pages were never sent",
			    r->layout.total - r->nr_covered);
	if (r->file && !link_at_end(&r->conn.link))
		return bad(r, "there is more after the end");
	return 0;
}

static int get_guest(struct receiver *r)
{
	struct chunk chunk;
	int ret;

	for (;;) {
		uint64_t chain = r->conn.in.chain;

		ret = progress(r, KVMX_PHASE_REPEAT);
		if (!ret)
			ret = conn_get(&r->conn, &chunk);
		if (ret)
			return ret;
		switch (chunk.type) {
		case CHUNK_PAGES:
			ret = get_pages(r, &chunk);
			break;
		case CHUNK_STATE:
			ret = get_state(r, &chunk);
			break;
		case CHUNK_PING:
			ret = answer_ping(r, &chunk);
			break;
		case CHUNK_END:
			return check_end(r, &chunk, chain);
		default:
			ret = bad(r, "a chunk of an unknown kind");
		}
		if (ret)
			return ret;
	}
}

static int load_state(struct receiver *r)
{
	uint64_t begin = now_ns();
	int ret = r->dest->ops->load_state(r->dest->opaque, r->state, r->state_len);

	r->report->state_ns = now_ns() - begin;
	r->report->state_bytes = r->state_len;
	if (ret)
		return fail(r->report, ret, "the device state could not be loaded: %s",
			    strerror(-ret));
	return 0;
}

static int await_go(struct receiver *r)
{
	struct chunk chunk;
	uint8_t ready[8];
	int ret;

	put_le64(ready, r->conn.in.chain);
	ret = conn_put_small(&r->conn, CHUNK_READY, ready, sizeof(ready), NULL);
	if (!ret)
		ret = conn_get(&r->conn, &chunk);
	if (ret)
		return ret;
	if (chunk.type != CHUNK_GO || chunk.count || chunk.length != 8 ||
	    memcmp(conn_payload(&r->conn), ready, sizeof(ready)))
		return bad(r, "there was no GO");
	return 0;
}

static int run_guest(struct receiver *r)
{
	uint8_t running[8];
	int ret;

	ret = r->dest->ops->run(r->dest->opaque);
	if (ret)
		return fail(r->report, ret, "the guest could not be run: %s", strerror(-ret));
	r->run = true;
	r->report->outcome = KVMX_MIGRATE_DONE;
	if (!r->file) {
		put_le64(running, r->session);
		/* The guest runs: whether the source gets to know it changes nothing here. */
		conn_put_small(&r->conn, CHUNK_RUNNING, running, sizeof(running), NULL);
	}
	return 0;
}

static int receive(struct receiver *r)
{
	int ret = progress(r, KVMX_PHASE_CONNECT);

	if (!ret)
		ret = get_greeting(r);
	if (!ret)
		ret = get_guest(r);
	if (!ret)
		ret = progress(r, KVMX_PHASE_READY);
	if (!ret)
		ret = load_state(r);
	if (!ret && !r->file)
		ret = await_go(r);
	return ret ? ret : run_guest(r);
}

/* Tell the source why, if it listens. */
static void refuse(struct receiver *r)
{
	if (r->conn.link.kind != LINK_SOCKET || r->file)
		return;
	/* A source that does not read shall not hold us up. */
	r->conn.link.timeout = NSEC_PER_SEC;
	conn_put_small(&r->conn, CHUNK_ERROR, r->report->reason, strlen(r->report->reason), NULL);
	shutdown(r->dest->fd, SHUT_WR);
}

static int receiver_init(struct receiver *r)
{
	const struct kvmx_migrate_dest *dest = r->dest;
	uint64_t timeout = dest->peer_timeout_ns ? dest->peer_timeout_ns : DEFAULT_TIMEOUT_NS;
	int ret;

	r->start = now_ns();
	r->max_state = dest->max_state ? dest->max_state : DEFAULT_STATE;
	if (dest->flags & ~KVMX_DEST_ZEROED)
		return fail(r->report, -EINVAL, "unknown flags");
	ret = layout_init(&r->layout, dest->regions, dest->nr_regions, r->report);
	if (ret)
		return ret;
	r->report->total_pages = r->layout.total;
	r->covered = calloc((r->layout.total + 63) / 64, sizeof(*r->covered));
	if (!r->covered)
		return fail(r->report, -ENOMEM, "no memory");
	r->report->table_bytes = (r->layout.total + 63) / 64 * sizeof(*r->covered);
	ret = conn_init_dest(&r->conn, dest->fd, timeout, r->report);
	if (!ret)
		r->connected = true;
	return ret;
}

int kvmx_migrate_receive(const struct kvmx_migrate_dest *dest, struct kvmx_migrate_report *report)
{
	struct kvmx_migrate_report unread;
	struct receiver r = { .dest = dest, .report = report ? report : &unread };
	int ret;

	memset(r.report, 0, sizeof(*r.report));
	r.report->vcpu_permille = 1000;
	ret = receiver_init(&r);
	if (!ret)
		ret = receive(&r);
	if (ret && r.connected)
		refuse(&r);
	if (!r.run && dest->ops->discard)
		dest->ops->discard(dest->opaque);
	r.report->total_ns = now_ns() - r.start;
	if (r.connected) {
		r.report->bytes = r.conn.link.received;
		if (!ret)
			progress(&r, KVMX_PHASE_DONE);
		conn_exit(&r.conn);
	}
	layout_free(&r.layout);
	free(r.covered);
	free(r.state);
	if (!ret)
		r.report->reason[0] = 0;
	r.report->error = ret;
	return ret;
}
