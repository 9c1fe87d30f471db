/* SPDX-License-Identifier: GPL-2.0 */
/* Where a guest goes to or comes from: "unix:PATH", "file:PATH" or "fd:N". */
#ifndef VMM_PLACE_H
#define VMM_PLACE_H

#include "util.h"

/* Without a peer there, a guest has to be paused to go there. */
bool place_is_file(const char *place);

/* A file descriptor, or -errno with a message on stderr. */
int place_open_to(const char *place);
/* Waits for a connection if it is a socket. */
int place_open_from(const char *place);

/* Wait, but not long, until the other end of a socket has hung up. */
void place_await_hangup(int fd);

#endif
