// SPDX-License-Identifier: LGPL-2.1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#include "hash.h"
#include "sim.h"
#include "sim-pipe.h"
#include "sim-wrap.h"

#define TICK_NS		500000
#define STACK_BYTES	(512 * 1024)
/* Nothing is free: a loop that only looks at the clock must come to its end, too. */
#define LOOK_NS		20
#define CALL_NS		2000	/* a system call that moves bytes */
#define BEGIN_NS	(1000 * 1000000000ULL)
/* Longer than any test means to be: something waits for what will never come. */
#define LIMIT_NS	(1000 * 1000000000ULL)

/* The source, which is whoever called sim_begin(), and what it spawned. */
enum { SOURCE, DEST, NR_TASKS };

struct task {
	ucontext_t context;
	void *stack;
	const void *bottom;
	size_t size;
	void *fake_stack;
	void (*fn)(void *arg);
	void *arg;
	bool alive;
	uint64_t debt;		/* work done and not yet accounted for */
	uint64_t until;		/* waits until then ... */
	int fd;			/* ... or for @events on this one, -1: none */
	short events;
};

static struct {
	bool active;
	uint64_t now;
	uint64_t next_tick;
	void (*tick)(void *ctx, uint64_t ns);
	void *tick_ctx;
	struct sim_costs costs;
	uint64_t seed;
	struct task task[NR_TASKS];
	unsigned int current;
	bool connected;
	int fd[2];
	struct sim_pipe pipe[2];	/* there, and back */
} sim;

/* the link */

static struct sim_pipe *pipe_from(int fd)
{
	return &sim.pipe[fd == sim.fd[0] ? 0 : 1];
}

static struct sim_pipe *pipe_to(int fd)
{
	return &sim.pipe[fd == sim.fd[0] ? 1 : 0];
}

static bool simulated(int fd)
{
	return sim.active && sim.connected && (fd == sim.fd[0] || fd == sim.fd[1]);
}

static short events_of(int fd)
{
	const struct sim_pipe *out = pipe_from(fd), *in = pipe_to(fd);
	short events = 0;

	if (sim_pipe_readable(in))
		events |= POLLIN;
	if (sim_pipe_writable(out))
		events |= POLLOUT;
	if (out->dead || (out->gone && in->closed))
		events |= POLLHUP;
	return events;
}

static void pump(void)
{
	int i;

	for (i = 0; sim.connected && i < 2; i++)
		sim_pipe_pump(&sim.pipe[i], sim.now);
	/* What dies in one direction is dead in the other. */
	if (sim.connected && sim.pipe[0].dead)
		for (i = 0; i < 2; i++)
			sim_pipe_kill(&sim.pipe[i]);
}

void sim_connect(const struct sim_link *link, int fd[2])
{
	int i;

	/* Real ones, for what the library asks of a socket besides bytes. */
	if (sim.connected || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sim.fd)) {
		perror("sim_connect");
		abort();
	}
	for (i = 0; i < 2; i++) {
		sim_pipe_init(&sim.pipe[i], link, sim.seed + i);
		fd[i] = sim.fd[i];
	}
	sim.connected = true;
}

void sim_break(uint64_t die_after, uint64_t flip_at)
{
	sim.pipe[0].die_after = die_after;
	sim.pipe[0].flip_at = flip_at;
}

uint64_t sim_forwarded(void)
{
	return sim.pipe[0].arrived;
}

void sim_disconnect(void)
{
	int i;

	sim.connected = false;
	for (i = 0; i < 2; i++) {
		sim_pipe_free(&sim.pipe[i]);
		close(sim.fd[i]);
	}
}

/* time */

static bool ready(const struct task *t)
{
	return sim.now >= t->until || (t->fd >= 0 && events_of(t->fd) & (t->events | POLLHUP));
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Nobody can go on: to the next moment at which something happens. */
static void advance(void)
{
	uint64_t next = sim.tick ? sim.next_tick : SIM_NEVER;
	int i;

	for (i = 0; i < NR_TASKS; i++)
		if (sim.task[i].alive)
			next = earlier(next, sim.task[i].until);
	for (i = 0; sim.connected && i < 2; i++)
		next = earlier(next, sim_pipe_next(&sim.pipe[i], sim.now));
	if (next > BEGIN_NS + LIMIT_NS) {
		fprintf(stderr, "simulation: everybody waits for something that never comes\n");
		abort();
	}
	if (next > sim.now)
		sim.now = next;
	if (sim.tick && sim.now >= sim.next_tick) {
		sim.next_tick = sim.now + TICK_NS;
		sim.tick(sim.tick_ctx, TICK_NS);
	}
	pump();
}

static void switch_to(unsigned int to)
{
	struct task *from = &sim.task[sim.current], *next = &sim.task[to];
	volatile bool there = false;

	sim.current = to;
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_start_switch_fiber(from->alive ? &from->fake_stack : NULL, next->bottom,
				       next->size);
#endif
	/* swapcontext(3), but for ASan's warning that it might not cope with it. */
	getcontext(&from->context);
	if (!there) {
		there = true;
		setcontext(&next->context);
	}
#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

/* Wait until @until or for @events; the other one goes on meanwhile. */
static void block(uint64_t until, int fd, short events)
{
	unsigned int other = !sim.current;
	struct task *me = &sim.task[sim.current];

	me->until = until;
	me->fd = fd;
	me->events = events;
	for (;;) {
		if (sim.task[other].alive && ready(&sim.task[other])) {
			switch_to(other);
			/* It came back because we are. */
			return;
		}
		if (ready(me))
			return;
		advance();
	}
}

/* Whoever looks at the clock or the link has done its work by then. */
static void settle(void)
{
	struct task *me = &sim.task[sim.current];
	uint64_t debt = me->debt;

	me->debt = 0;
	if (debt)
		block(sim.now + debt, -1, 0);
}

static void work(uint64_t ns)
{
	if (sim.active)
		sim.task[sim.current].debt += ns;
}

void sim_begin(const struct sim_costs *costs, uint64_t seed)
{
	/* In real time, which it is about. */
	hash_choose();
	memset(&sim, 0, sizeof(sim));
	sim.now = BEGIN_NS;
	sim.next_tick = BEGIN_NS + TICK_NS;
	sim.costs = *costs;
	sim.seed = seed;
	sim.task[SOURCE].alive = true;
	sim.active = true;
}

void sim_end(void)
{
	sim.active = false;
}

bool sim_active(void)
{
	return sim.active;
}

void sim_tick(void (*fn)(void *ctx, uint64_t ns), void *ctx)
{
	sim.tick = fn;
	sim.tick_ctx = ctx;
	sim.next_tick = sim.now + TICK_NS;
}

static void dest_main(void)
{
	struct task *me = &sim.task[DEST];

#ifdef __SANITIZE_ADDRESS__
	__sanitizer_finish_switch_fiber(NULL, &sim.task[SOURCE].bottom, &sim.task[SOURCE].size);
#endif
	me->fn(me->arg);
	settle();
	me->alive = false;
	while (!ready(&sim.task[SOURCE]))
		advance();
	switch_to(SOURCE);
}

void sim_spawn(void (*fn)(void *arg), void *arg)
{
	struct task *t = &sim.task[DEST];

	memset(t, 0, sizeof(*t));
	t->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (t->stack == MAP_FAILED || getcontext(&t->context)) {
		perror("sim_spawn");
		abort();
	}
	t->bottom = t->stack;
	t->size = STACK_BYTES;
	t->context.uc_stack.ss_sp = t->stack;
	t->context.uc_stack.ss_size = STACK_BYTES;
	t->fn = fn;
	t->arg = arg;
	t->alive = true;
	makecontext(&t->context, dest_main, 0);
}

void sim_join(void)
{
	struct task *t = &sim.task[DEST];

	settle();
	while (t->alive) {
		/* For as long as it takes: whatever it waits for comes first. */
		sim.task[SOURCE].until = SIM_NEVER;
		sim.task[SOURCE].fd = -1;
		if (ready(t)) {
			sim.task[SOURCE].until = t->until;
			switch_to(DEST);
		} else {
			advance();
		}
	}
	if (t->stack)
		munmap(t->stack, STACK_BYTES);
	t->stack = NULL;
}

void sim_sleep(uint64_t ns)
{
	work(ns);
	settle();
}

/* what the library sees */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (!sim.active)
		return __real_clock_gettime(clock, ts);
	work(LOOK_NS);
	settle();
	ts->tv_sec = sim.now / 1000000000;
	ts->tv_nsec = sim.now % 1000000000;
	return 0;
}

int __wrap_ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout,
		 const sigset_t *mask)
{
	const struct timespec none = { 0 };
	uint64_t until;
	int ready_now;

	if (!sim.active || nfds != 1)
		return __real_ppoll(fds, nfds, timeout, mask);
	settle();
	until = sim.now + timeout->tv_sec * 1000000000ULL + timeout->tv_nsec;
	if (!simulated(fds->fd)) {
		ready_now = __real_ppoll(fds, nfds, &none, mask);
		if (!ready_now)
			block(until, -1, 0);
		return ready_now;
	}
	block(until, fds->fd, fds->events);
	fds->revents = events_of(fds->fd) & (fds->events | POLLHUP);
	return !!fds->revents;
}

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
	ssize_t n;

	if (!simulated(fd))
		return __real_send(fd, buf, len, flags);
	work(CALL_NS);
	settle();
	n = sim_pipe_write(pipe_from(fd), buf, len);
	pump();
	return n;
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
	ssize_t n;

	if (!simulated(fd))
		return __real_recv(fd, buf, len, flags);
	work(CALL_NS);
	settle();
	n = sim_pipe_read(pipe_to(fd), buf, len);
	pump();
	return n;
}

int __wrap_shutdown(int fd, int how)
{
	if (!simulated(fd))
		return __real_shutdown(fd, how);
	settle();
	if (how != SHUT_RD)
		pipe_from(fd)->closed = true;
	if (how != SHUT_WR)
		pipe_to(fd)->gone = true;
	pump();
	return 0;
}

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned int flags)
{
	if (!sim.active)
		return __real_getrandom(buf, len, flags);
	memset(buf, sim.seed, len);
	return len;
}

uint64_t __wrap_page_copy(void *to, const void *page)
{
	work(sim.costs.copy_ns);
	return __real_page_copy(to, page);
}

void __wrap_hash_page(const void *page, uint64_t *low, uint64_t *high)
{
	work(sim.costs.hash_ns);
	__real_hash_page(page, low, high);
}
