// SPDX-License-Identifier: GPL-2.0
/*
 * A link of a known bandwidth: takes one connection at a UNIX socket and carries it on to
 * another UNIX socket, the bytes of the caller no faster than told. It can also damage or cut
 * the stream, as links do.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC	1000000000ULL
/* Small, as is the time that may be made up for: the pause at the end must not find them full. */
#define CHUNK		32768
#define BURST_NS	20000000ULL
#define NOWHERE		UINT64_MAX

struct pipe {
	int from;
	int to;
	char buf[CHUNK];
	size_t head;
	size_t len;
	uint64_t rate;
	uint64_t next_ns;	/* when the next byte may go */
	uint64_t bytes;
	uint64_t flip_at;
	uint64_t cut_at;
	bool ended;
};

static const char help[] =
"usage: relay --listen PATH --to PATH [OPTION]...\n"
"  --rate BYTES   per second from the caller on (default: as fast as it goes)\n"
"  --flip BYTE    invert a bit of that byte of the caller's stream\n"
"  --cut BYTE     close both ends there\n"
"Ends with the connection; prints how many bytes went each way.\n";

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int unix_socket(const char *path, struct sockaddr_un *addr)
{
	int fd;

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(addr->sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(addr->sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	return fd;
}

static int take_call(const char *path)
{
	struct sockaddr_un addr;
	int fd, call;

	fd = unix_socket(path, &addr);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1))
		die(path);
	call = accept(fd, NULL, NULL);
	if (call < 0)
		die(path);
	close(fd);
	unlink(path);
	return call;
}

static int call_on(const char *path)
{
	struct sockaddr_un addr;
	int fd, small = CHUNK;

	fd = unix_socket(path, &addr);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die(path);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	return fd;
}

/* Nanoseconds until a byte may go. */
static uint64_t pipe_wait(struct pipe *p, uint64_t now)
{
	return p->rate && p->next_ns > now ? p->next_ns - now : 0;
}

static void pipe_charge(struct pipe *p, size_t n, uint64_t now)
{
	p->bytes += n;
	if (!p->rate)
		return;
	if (p->next_ns + BURST_NS < now)
		p->next_ns = now - BURST_NS;
	p->next_ns += n * NSEC_PER_SEC / p->rate;
}

/* False when the connection is to be given up. */
static bool pipe_fill(struct pipe *p)
{
	uint64_t end;
	ssize_t n;

	n = read(p->from, p->buf, sizeof(p->buf));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (!n) {
		p->ended = true;
		shutdown(p->to, SHUT_WR);
		return true;
	}
	end = p->bytes + n;
	if (p->flip_at >= p->bytes && p->flip_at < end)
		p->buf[p->flip_at - p->bytes] ^= 0x10;
	p->head = 0;
	p->len = n;
	return true;
}

static bool pipe_drain(struct pipe *p, uint64_t now)
{
	ssize_t n;

	n = send(p->to, p->buf + p->head, p->len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	p->head += n;
	p->len -= n;
	pipe_charge(p, n, now);
	return p->bytes < p->cut_at;
}

static bool pipe_turn(struct pipe *p, short in, short out)
{
	uint64_t now = now_ns();

	if (p->len && (out & (POLLOUT | POLLERR | POLLHUP)) && !pipe_wait(p, now))
		return pipe_drain(p, now);
	if (!p->len && !p->ended && (in & (POLLIN | POLLERR | POLLHUP)))
		return pipe_fill(p);
	return true;
}

/* What a pipe waits for, at its two ends; a time if it waits for that. */
static void pipe_wish(struct pipe *p, struct pollfd *in, struct pollfd *out, uint64_t *wait)
{
	uint64_t ns;

	if (!p->len) {
		in->events |= p->ended ? 0 : POLLIN;
		return;
	}
	ns = pipe_wait(p, now_ns());
	if (!ns)
		out->events |= POLLOUT;
	else if (ns < *wait)
		*wait = ns;
}

static void relay(struct pipe *there, struct pipe *back)
{
	while (!there->ended || !back->ended) {
		struct pollfd fds[2] = { { .fd = there->from }, { .fd = there->to } };
		uint64_t wait = NSEC_PER_SEC;
		struct timespec ts;

		pipe_wish(there, &fds[0], &fds[1], &wait);
		pipe_wish(back, &fds[1], &fds[0], &wait);
		/* An end that hung up and is not wanted now would wake us for nothing. */
		fds[0].fd = fds[0].events ? fds[0].fd : -1;
		fds[1].fd = fds[1].events ? fds[1].fd : -1;
		ts.tv_sec = wait / NSEC_PER_SEC;
		ts.tv_nsec = wait % NSEC_PER_SEC;
		if (ppoll(fds, 2, &ts, NULL) < 0 && errno != EINTR)
			die("poll");
		if (!pipe_turn(there, fds[0].revents, fds[1].revents) ||
		    !pipe_turn(back, fds[1].revents, fds[0].revents))
			return;
	}
}

static uint64_t parse_number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (end == text || *end) {
		fprintf(stderr, "relay: '%s' is not a number\n", text);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "to", required_argument, NULL, 't' },
		{ "rate", required_argument, NULL, 'r' },
		{ "flip", required_argument, NULL, 'f' },
		{ "cut", required_argument, NULL, 'c' },
		{ }
	};
	static struct pipe there = { .flip_at = NOWHERE, .cut_at = NOWHERE };
	static struct pipe back = { .flip_at = NOWHERE, .cut_at = NOWHERE };
	const char *listen_at = NULL, *to = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			listen_at = optarg;
			break;
		case 't':
			to = optarg;
			break;
		case 'r':
			there.rate = parse_number(optarg);
			break;
		case 'f':
			there.flip_at = parse_number(optarg);
			break;
		case 'c':
			there.cut_at = parse_number(optarg);
			break;
		default:
			fputs(help, stderr);
			return 2;
		}
	}
	if (!listen_at || !to || optind != argc) {
		fputs(help, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	there.from = take_call(listen_at);
	there.to = call_on(to);
	back.from = there.to;
	back.to = there.from;
	relay(&there, &back);
	printf("there %llu back %llu\n", (unsigned long long)there.bytes,
	       (unsigned long long)back.bytes);
	return 0;
}
