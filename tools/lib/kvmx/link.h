/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * The way to the other side: a socket, a pipe or a file. The only place that reads and writes a
 * descriptor. Never blocks for longer than its timeout, never raises SIGPIPE.
 */
#ifndef _LIBKVMX_LINK_H
#define _LIBKVMX_LINK_H

#include <signal.h>
#include <sys/types.h>

#include "internal.h"

enum link_kind {
	LINK_SOCKET,
	LINK_PIPE,
	LINK_FILE,
};

struct link {
	int fd;
	enum link_kind kind;
	uint64_t timeout;	/* without a byte for so long, the peer is dead */
	uint64_t limit;		/* bytes per second, 0: none */
	uint64_t tokens;	/* bytes that may be sent at @refilled */
	uint64_t refilled;
	uint64_t sent;		/* bytes so far */
	uint64_t received;
	bool blocked;		/* the descriptor was full at some time since this was reset */
	/* Called when bytes came from the peer while we wait to send some. */
	int (*readable)(void *ctx);
	void *ctx;
	int old_flags;
	bool restore_flags;
	bool sigpipe_was_pending;
	sigset_t old_mask;
};

int link_init(struct link *link, int fd, uint64_t limit, uint64_t timeout);
void link_exit(struct link *link);

/* All of it, or a negative errno value. *sent, if given: how many bytes went out in any case. */
int link_send(struct link *link, const void *buf, size_t len, size_t *sent);
/* All of it, or a negative errno value: -ECONNRESET at the end of the stream. */
int link_recv(struct link *link, void *buf, size_t len);
/* What there is now, without waiting: bytes, 0 if none, or a negative errno value. */
ssize_t link_try_recv(struct link *link, void *buf, size_t len);
/* Wait for bytes from the peer or until @until: 1, 0 or a negative errno value. */
int link_wait(struct link *link, uint64_t until);
/* True if a file has nothing left. */
bool link_at_end(struct link *link);

#endif /* _LIBKVMX_LINK_H */
