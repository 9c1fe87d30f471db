/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * A machine whose time is only a number. Between sim_begin() and sim_end() the clock that the
 * library reads stands still while a program computes, and is moved on by what things are said to
 * cost. The source is the test itself and the destination a coroutine, so all runs in one thread,
 * in an order that depends on nothing but the numbers: the same binary gives the same figures on
 * any machine, however busy it is.
 *
 * The library knows nothing of it: the tests are linked with --wrap for the few functions by which
 * it sees time and the link (see the Makefile). Descriptors that are not the simulated link's, and
 * everything after sim_end(), go to the real ones.
 */
#ifndef _LIBKVMX_TESTS_SIM_H
#define _LIBKVMX_TESTS_SIM_H

#include <stdbool.h>
#include <stdint.h>

#define SIM_NEVER	(~0ULL)

/* A link with a queue at the sender's side and a window, as TCP has. All of it may be 0. */
struct sim_link {
	uint64_t rate;		/* bytes per second; 0: as fast as memory */
	uint64_t latency_ns;	/* one way */
	uint32_t wobble;	/* percent by which the time of each packet may be off */
	uint32_t queue;		/* bytes not yet sent that a socket holds at most */
};

/* What work takes. */
struct sim_costs {
	uint32_t copy_ns;	/* copying a page, on either side */
	uint32_t hash_ns;	/* hashing a page */
};

void sim_begin(const struct sim_costs *costs, uint64_t seed);
void sim_end(void);
bool sim_active(void);

/* fd[0] is the source's end, fd[1] the destination's. One link at a time. */
void sim_connect(const struct sim_link *link, int fd[2]);
/* The link dies after so many bytes, a bit is turned over in that one; SIM_NEVER: not. */
void sim_break(uint64_t die_after, uint64_t flip_at);
/* Bytes that came out at the destination's end. */
uint64_t sim_forwarded(void);
void sim_disconnect(void);

/* @fn is called every half millisecond, which is @ns, whoever has the CPU. */
void sim_tick(void (*fn)(void *ctx, uint64_t ns), void *ctx);
/* Run @fn beside the caller, in the same simulated time. */
void sim_spawn(void (*fn)(void *arg), void *arg);
/* Wait for its end. */
void sim_join(void);
void sim_sleep(uint64_t ns);

#endif /* _LIBKVMX_TESTS_SIM_H */
