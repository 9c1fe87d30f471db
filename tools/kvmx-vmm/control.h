/* SPDX-License-Identifier: GPL-2.0 */
/* The control socket: one command a line, one line of JSON as the answer. */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include <poll.h>

#include "util.h"

#define CONTROL_MAX_CLIENTS	8
#define CONTROL_LINE		4200	/* a path and a word */

struct job;
struct vm;

struct control_client {
	int fd;			/* -1: free */
	bool waits;		/* for the migration to end; no new command until then */
	size_t len;
	char line[CONTROL_LINE];
};

struct control {
	struct vm *vm;
	struct job *job;
	int listen_fd;
	const char *path;
	struct control_client clients[CONTROL_MAX_CLIENTS];
};

int control_init(struct control *control, struct vm *vm, struct job *job, const char *path);
void control_destroy(struct control *control);

/* Fill in what to poll; at most 1 + CONTROL_MAX_CLIENTS entries. Returns how many. */
unsigned int control_poll(const struct control *control, struct pollfd *fds);
void control_handle(struct control *control, const struct pollfd *fds, unsigned int nr);

/* Answer who waits for the migration that has just ended. */
void control_job_ended(struct control *control, int result);

/* The other end: send a command, print the answer. Returns the exit status. */
int control_ask(const char *path, const char *command);

#endif
