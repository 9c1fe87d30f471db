// SPDX-License-Identifier: LGPL-2.1
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "conn.h"

static int conn_init(struct conn *c, int fd, uint64_t limit, uint64_t timeout, uint32_t room,
		     struct kvmx_migrate_report *report)
{
	int ret;

	memset(c, 0, sizeof(*c));
	c->report = report;
	c->room = room;
	c->chunk = malloc(STREAM_HEADER + room);
	if (!c->chunk)
		return fail(report, -ENOMEM, "no memory for a chunk");
	ret = link_init(&c->link, fd, limit, timeout);
	if (ret) {
		free(c->chunk);
		return fail(report, ret, "the connection's file descriptor cannot be used: %s",
			    strerror(-ret));
	}
	return 0;
}

static int readable(void *ctx)
{
	return conn_poll(ctx);
}

int conn_init_source(struct conn *c, int fd, uint64_t limit, uint64_t timeout, uint32_t room,
		     struct kvmx_migrate_report *report)
{
	int ret = conn_init(c, fd, limit, timeout, room, report);

	if (ret)
		return ret;
	c->out.dir = STREAM_FORWARD;
	c->in.dir = STREAM_BACK;
	c->need = STREAM_HEADER;
	if (c->link.kind == LINK_SOCKET) {
		c->link.readable = readable;
		c->link.ctx = c;
	}
	return 0;
}

int conn_init_dest(struct conn *c, int fd, uint64_t timeout, struct kvmx_migrate_report *report)
{
	int ret = conn_init(c, fd, 0, timeout, STREAM_CHUNK_MAX, report);

	if (ret)
		return ret;
	c->out.dir = STREAM_BACK;
	c->in.dir = STREAM_FORWARD;
	return 0;
}

void conn_exit(struct conn *c)
{
	link_exit(&c->link);
	free(c->chunk);
}

static int send_failed(struct conn *c, int ret)
{
	/* The peer may have said why before it went: that is worth more than EPIPE. */
	if ((ret == -EPIPE || ret == -ECONNRESET) && c->link.readable)
		conn_poll(c);
	if (ret == -ETIMEDOUT)
		return fail(c->report, ret, "the other side has stopped reading");
	return fail(c->report, ret, "sending failed: %s", strerror(-ret));
}

/* An answer is one only after the question. */
static void expect(struct conn *c, uint32_t type)
{
	if (type == CHUNK_HELLO)
		c->expected |= CONN_BIT(CHUNK_ACCEPT);
	else if (type == CHUNK_END)
		c->expected |= CONN_BIT(CHUNK_READY);
	else if (type == CHUNK_GO)
		c->expected |= CONN_BIT(CHUNK_RUNNING);
}

int conn_put(struct conn *c, uint32_t type, uint32_t length, uint32_t count)
{
	int ret;

	stream_seal(&c->out, c->chunk, type, length, count);
	expect(c, type);
	ret = link_send(&c->link, c->chunk, STREAM_HEADER + length, NULL);
	return ret ? send_failed(c, ret) : 0;
}

int conn_put_small(struct conn *c, uint32_t type, const void *payload, uint32_t length,
		   size_t *sent)
{
	uint8_t buf[STREAM_HEADER + CONN_BACK_MAX];
	int ret;

	memcpy(buf + STREAM_HEADER, payload, length);
	stream_seal(&c->out, buf, type, length, 0);
	expect(c, type);
	ret = link_send(&c->link, buf, STREAM_HEADER + length, sent);
	return ret ? send_failed(c, ret) : 0;
}

static int recv_failed(struct conn *c, int ret)
{
	if (ret == -ECONNRESET)
		return fail(c->report, ret, "the stream ended too early");
	if (ret == -ETIMEDOUT)
		return fail(c->report, ret, "the source has fallen silent");
	return fail(c->report, ret, "receiving failed: %s", strerror(-ret));
}

int conn_get(struct conn *c, struct chunk *chunk)
{
	const char *wrong;
	int ret;

	ret = link_recv(&c->link, c->chunk, STREAM_HEADER);
	if (ret)
		return recv_failed(c, ret);
	wrong = stream_open(&c->in, c->chunk, chunk);
	if (wrong)
		goto bad;
	ret = link_recv(&c->link, conn_payload(c), chunk->length);
	if (ret)
		return recv_failed(c, ret);
	wrong = stream_check(&c->in, c->chunk, conn_payload(c), chunk);
	if (wrong)
		goto bad;
	return 0;

bad:
	return fail(c->report, -EBADMSG, "chunk %" PRIu64 ": %s", c->in.seq, wrong);
}

/* A reason from the other side: shown to people, so without what could play with a terminal. */
static int peer_error(struct conn *c, const uint8_t *payload, uint32_t length)
{
	char text[CONN_BACK_MAX + 1];
	uint32_t i;

	for (i = 0; i < length && i < CONN_BACK_MAX; i++)
		text[i] = isprint(payload[i]) ? payload[i] : '?';
	text[i] = 0;
	return fail(c->report, -EREMOTEIO, "the destination refused: %.150s", text);
}

static int message(struct conn *c, const struct chunk *chunk)
{
	const uint8_t *payload = c->back + STREAM_HEADER;

	switch (chunk->type) {
	case CHUNK_ERROR:
		return peer_error(c, payload, chunk->length);
	case CHUNK_PONG:
		if (chunk->length != 8)
			break;
		c->pong = get_le64(payload);
		c->pong_ns = now_ns();
		return 0;
	case CHUNK_ACCEPT:
	case CHUNK_READY:
	case CHUNK_RUNNING:
		/* Each is said once; READY must be about the very stream that was sent. */
		if (!(c->expected & CONN_BIT(chunk->type)) || chunk->length != 8)
			break;
		if (chunk->type == CHUNK_READY && get_le64(payload) != c->out.chain)
			break;
		c->expected &= ~CONN_BIT(chunk->type);
		c->got |= CONN_BIT(chunk->type);
		return 0;
	}
	return fail(c->report, -EPROTO, "the destination does not keep to the protocol");
}

int conn_poll(struct conn *c)
{
	struct chunk chunk;
	const char *wrong;
	ssize_t n;
	int ret;

	for (;;) {
		n = link_try_recv(&c->link, c->back + c->have, c->need - c->have);
		if (n == -ECONNRESET)
			return fail(c->report, n, "the destination went away");
		if (n < 0)
			return fail(c->report, n, "receiving failed: %s", strerror(-n));
		if (!n)
			return 0;
		c->have += n;
		if (c->have < c->need)
			continue;
		wrong = stream_open(&c->in, c->back, &chunk);
		if (wrong || chunk.length > CONN_BACK_MAX)
			break;
		if (c->have < STREAM_HEADER + chunk.length) {
			c->need = STREAM_HEADER + chunk.length;
			continue;
		}
		wrong = stream_check(&c->in, c->back, c->back + STREAM_HEADER, &chunk);
		if (wrong)
			break;
		c->have = 0;
		c->need = STREAM_HEADER;
		ret = message(c, &chunk);
		if (ret)
			return ret;
	}
	return fail(c->report, -EPROTO, "the destination's answer is damaged");
}

int conn_await(struct conn *c, enum chunk_type type)
{
	uint64_t deadline = now_ns() + c->link.timeout;
	int ret;

	for (;;) {
		ret = conn_poll(c);
		/* That it is gone now does not unsay it. */
		if (conn_got(c, type))
			return 0;
		if (ret)
			return ret;
		if (now_ns() >= deadline)
			return fail(c->report, -ETIMEDOUT, "the destination does not answer");
		ret = link_wait(&c->link, deadline);
		if (ret < 0 && !conn_got(c, type))
			return ret;
	}
}
