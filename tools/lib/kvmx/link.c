// SPDX-License-Identifier: LGPL-2.1
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link.h"

/*
 * What is in the socket when the guest is paused is part of the pause: enough to keep a fast link
 * busy, and little on a slow one.
 */
#define SOCKET_QUEUE	(128 * 1024)

static int stop_sigpipe(struct link *link)
{
	sigset_t set, pending;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigpending(&pending);
	link->sigpipe_was_pending = sigismember(&pending, SIGPIPE);
	return -pthread_sigmask(SIG_BLOCK, &set, &link->old_mask);
}

static void restore_sigpipe(struct link *link)
{
	const struct timespec none = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	/* The one that we raised ourselves is not for the caller. */
	if (!link->sigpipe_was_pending)
		sigtimedwait(&set, NULL, &none);
	pthread_sigmask(SIG_SETMASK, &link->old_mask, NULL);
}

/* A larger queue only makes the pause longer; a refusal costs nothing else. */
static void limit_queue(int fd)
{
	int size = SOCKET_QUEUE;

	/* TCP's buffer also holds what is on its way, which on a long one must not be so little. */
	if (setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int link_init(struct link *link, int fd, uint64_t limit, uint64_t timeout)
{
	struct stat st;

	memset(link, 0, sizeof(*link));
	link->fd = fd;
	link->limit = limit;
	link->timeout = timeout;
	link->refilled = now_ns();
	if (fstat(fd, &st))
		return -errno;
	if (S_ISSOCK(st.st_mode)) {
		link->kind = LINK_SOCKET;
		limit_queue(fd);
	} else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		link->kind = LINK_PIPE;
		link->old_flags = fcntl(fd, F_GETFL);
		if (link->old_flags < 0 || fcntl(fd, F_SETFL, link->old_flags | O_NONBLOCK))
			return -errno;
		link->restore_flags = true;
	} else {
		link->kind = LINK_FILE;
	}
	return stop_sigpipe(link);
}

void link_exit(struct link *link)
{
	restore_sigpipe(link);
	if (link->restore_flags)
		fcntl(link->fd, F_SETFL, link->old_flags);
}

/* How many of @len bytes the bandwidth limit lets through now; 0: none before *until. */
static size_t allowance(struct link *link, size_t len, uint64_t *until)
{
	uint64_t burst = link->limit / 100 + 4096, now, more, least;

	if (!link->limit)
		return len;
	now = now_ns();
	/* Below a second's worth the product cannot overflow, above it the bucket is full. */
	more = now - link->refilled < NSEC_PER_SEC ?
		(uint64_t)((double)(now - link->refilled) * link->limit / NSEC_PER_SEC) : burst;
	if (link->tokens + more >= burst) {
		link->tokens = burst;
		link->refilled = now;
	} else {
		/* What is less than a byte is kept for the next time. */
		link->tokens += more;
		link->refilled += more * NSEC_PER_SEC / link->limit;
	}
	/* A millisecond's worth: there shall not be a system call for each byte. */
	least = min_u64(len, link->limit / 1000 + 1);
	if (link->tokens < least) {
		*until = now + (least - link->tokens) * NSEC_PER_SEC / link->limit + 1;
		return 0;
	}
	return min_u64(len, link->tokens);
}

static ssize_t put(struct link *link, const void *buf, size_t len)
{
	if (link->kind == LINK_SOCKET)
		return send(link->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	return write(link->fd, buf, len);
}

static ssize_t get(struct link *link, void *buf, size_t len)
{
	if (link->kind == LINK_SOCKET)
		return recv(link->fd, buf, len, MSG_DONTWAIT);
	return read(link->fd, buf, len);
}

/* Wait for @events until @until. Bytes from the peer are passed on meanwhile. */
static int wait_for(struct link *link, short events, uint64_t until)
{
	struct pollfd pfd = { .fd = link->fd, .events = events };
	uint64_t now = now_ns();
	struct timespec ts;
	int ret;

	if (link->readable)
		pfd.events |= POLLIN;
	if (until > now) {
		ts.tv_sec = (until - now) / NSEC_PER_SEC;
		ts.tv_nsec = (until - now) % NSEC_PER_SEC;
	} else {
		memset(&ts, 0, sizeof(ts));
	}
	ret = ppoll(&pfd, 1, &ts, NULL);
	if (ret < 0)
		return errno == EINTR ? 0 : -errno;
	if (link->readable && pfd.revents & (POLLIN | POLLHUP)) {
		ret = link->readable(link->ctx);
		if (ret)
			return ret;
	}
	return !!(pfd.revents & (events | POLLERR | POLLHUP));
}

int link_send(struct link *link, const void *buf, size_t len, size_t *sent)
{
	uint64_t deadline = now_ns() + link->timeout, until = 0;
	const char *p = buf;
	size_t done = 0;
	int ret = 0;

	while (done < len) {
		size_t may = allowance(link, len - done, &until);
		ssize_t n;

		if (!may) {
			ret = wait_for(link, 0, until);
			if (ret < 0)
				break;
			/* Being held back by our own limit is no fault of the peer. */
			deadline = now_ns() + link->timeout;
			continue;
		}
		n = put(link, p + done, may);
		if (n > 0) {
			done += n;
			link->sent += n;
			if (link->limit)
				link->tokens -= n;
			if (done < len)
				deadline = now_ns() + link->timeout;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			ret = -errno;
			break;
		}
		if (now_ns() >= deadline) {
			ret = -ETIMEDOUT;
			break;
		}
		link->blocked = true;
		ret = wait_for(link, POLLOUT, deadline);
		if (ret < 0)
			break;
	}
	if (sent)
		*sent = done;
	return done == len ? 0 : ret;
}

ssize_t link_try_recv(struct link *link, void *buf, size_t len)
{
	ssize_t n;

	do {
		n = get(link, buf, len);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		link->received += n;
		return n;
	}
	if (!n)
		return len ? -ECONNRESET : 0;
	return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

int link_recv(struct link *link, void *buf, size_t len)
{
	uint64_t deadline = now_ns() + link->timeout;
	char *p = buf;
	int ret;

	while (len) {
		ssize_t n = link_try_recv(link, p, len);

		if (n < 0)
			return n;
		if (n) {
			p += n;
			len -= n;
			deadline = now_ns() + link->timeout;
			continue;
		}
		if (now_ns() >= deadline)
			return -ETIMEDOUT;
		ret = link_wait(link, deadline);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int link_wait(struct link *link, uint64_t until)
{
	/* There is always something to be read from a file: that is no reason not to wait. */
	return wait_for(link, link->kind == LINK_FILE ? 0 : POLLIN, until);
}

bool link_at_end(struct link *link)
{
	char c;

	return link->kind != LINK_FILE || link_try_recv(link, &c, 1) == -ECONNRESET;
}
