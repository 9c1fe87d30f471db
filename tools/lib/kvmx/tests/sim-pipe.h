/* SPDX-License-Identifier: LGPL-2.1 */
/* One direction of a simulated link: bytes that take their time. */
#ifndef _LIBKVMX_TESTS_SIM_PIPE_H
#define _LIBKVMX_TESTS_SIM_PIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "sim.h"

#define SIM_FLIGHT	4096	/* packets on the way */

struct sim_pipe {
	struct sim_link link;
	uint64_t die_after;
	uint64_t flip_at;
	uint64_t seed;
	uint8_t *ring;
	uint64_t size;
	/* bytes that went in, left the sender, came to the receiver and were taken there */
	uint64_t written;
	uint64_t left;
	uint64_t arrived;
	uint64_t taken;
	uint64_t free_at;	/* when the next packet can leave */
	struct {
		uint64_t end;
		uint64_t at;
	} flight[SIM_FLIGHT];
	uint32_t first;
	uint32_t nr;
	bool closed;		/* nothing more is written */
	bool gone;		/* nothing more is read */
	bool dead;		/* the link is broken */
};

void sim_pipe_init(struct sim_pipe *p, const struct sim_link *link, uint64_t seed);
void sim_pipe_free(struct sim_pipe *p);
/* Let happen what has happened by @now. */
void sim_pipe_pump(struct sim_pipe *p, uint64_t now);
/* When something happens next; SIM_NEVER: nothing does by itself. */
uint64_t sim_pipe_next(const struct sim_pipe *p, uint64_t now);
void sim_pipe_kill(struct sim_pipe *p);

/* As send(2) and recv(2), with errno. */
ssize_t sim_pipe_write(struct sim_pipe *p, const void *buf, size_t len);
ssize_t sim_pipe_read(struct sim_pipe *p, void *buf, size_t len);
bool sim_pipe_readable(const struct sim_pipe *p);
bool sim_pipe_writable(const struct sim_pipe *p);

#endif /* _LIBKVMX_TESTS_SIM_PIPE_H */
