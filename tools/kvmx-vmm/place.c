// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "place.h"

#define HANGUP_MS	1000

static const char *after(const char *place, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(place, prefix, len) ? NULL : place + len;
}

bool place_is_file(const char *place)
{
	return after(place, "file:");
}

static int open_fd(const char *number)
{
	int fd = dup(atoi(number));

	return fd < 0 ? -errno : fd;
}

static int complain(const char *place, int fd)
{
	return fd < 0 ? fail(-fd, "%s: %s", place, strerror(-fd)) : fd;
}

int place_open_to(const char *place)
{
	const char *rest;
	int fd = -EINVAL;

	rest = after(place, "unix:");
	if (rest)
		return complain(place, unix_connect(rest));
	rest = after(place, "fd:");
	if (rest)
		return complain(place, open_fd(rest));
	rest = after(place, "file:");
	if (rest) {
		fd = open(rest, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		fd = fd < 0 ? -errno : fd;
	}
	return complain(place, fd);
}

static int accept_one(const char *path)
{
	int listener = unix_listen(path);
	int fd;

	if (listener < 0)
		return listener;
	do {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	fd = fd < 0 ? -errno : fd;
	close(listener);
	unlink(path);
	return fd;
}

int place_open_from(const char *place)
{
	const char *rest;
	int fd = -EINVAL;

	rest = after(place, "unix:");
	if (rest)
		return complain(place, accept_one(rest));
	rest = after(place, "fd:");
	if (rest)
		return complain(place, open_fd(rest));
	rest = after(place, "file:");
	if (rest) {
		fd = open(rest, O_RDONLY | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	}
	return complain(place, fd);
}

void place_await_hangup(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLRDHUP };

	poll(&pfd, 1, HANGUP_MS);
}
