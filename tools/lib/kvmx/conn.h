/* SPDX-License-Identifier: LGPL-2.1 */
/* Whole chunks over a link, in both directions. */
#ifndef _LIBKVMX_CONN_H
#define _LIBKVMX_CONN_H

#include "link.h"
#include "stream.h"

#define CONN_BACK_MAX	256	/* longest payload of a chunk that goes back */

struct conn {
	struct link link;
	struct stream out;
	struct stream in;
	uint8_t *chunk;		/* being built, or received: header and payload */
	uint32_t room;		/* for payload in it */
	struct kvmx_migrate_report *report;

	/* the source's side: what came back */
	uint8_t back[STREAM_HEADER + CONN_BACK_MAX];
	uint32_t have;
	uint32_t need;
	uint32_t expected;	/* bits of the chunk types that may come: CHUNK_ACCEPT is bit 0 */
	uint32_t got;		/* bits of those that came */
	uint64_t pong;		/* number of the last one */
	uint64_t pong_ns;	/* when it came */
};

int conn_init_source(struct conn *c, int fd, uint64_t limit, uint64_t timeout, uint32_t room,
		     struct kvmx_migrate_report *report);
int conn_init_dest(struct conn *c, int fd, uint64_t timeout, struct kvmx_migrate_report *report);
void conn_exit(struct conn *c);

static inline uint8_t *conn_payload(struct conn *c)
{
	return c->chunk + STREAM_HEADER;
}

/* Send the chunk whose payload is in place. */
int conn_put(struct conn *c, uint32_t type, uint32_t length, uint32_t count);
/* Send a small chunk; the one being built stays. *sent, if given: bytes that went out. */
int conn_put_small(struct conn *c, uint32_t type, const void *payload, uint32_t length,
		   size_t *sent);

/* Destination: receive the next chunk. */
int conn_get(struct conn *c, struct chunk *chunk);

/* Source: note what has come back, without waiting. */
int conn_poll(struct conn *c);
/* Source: wait until @type has come back. */
int conn_await(struct conn *c, enum chunk_type type);

#define CONN_BIT(type)	(1U << ((type) - CHUNK_ACCEPT))

static inline bool conn_got(const struct conn *c, enum chunk_type type)
{
	return c->got & CONN_BIT(type);
}

#endif /* _LIBKVMX_CONN_H */
