// SPDX-License-Identifier: GPL-2.0
/*
 * Watches the processors of the host: was it the guest that stood still, or all that runs there?
 *
 *	ticks FILE
 *
 * A thread on each processor sleeps for a short time, over and over. If its timer comes much too
 * late, a line "CPU FROM_NS TO_NS" is appended to FILE: what it slept, by the clock of heartbeats.
 *
 * QEMU 7.2's emulation of VMRUN sets its flag for a virtual interrupt without the lock, and so at
 * times undoes the flag that a timer sets at that moment. All timers of that processor are dead
 * then until something else interrupts it: for seconds, in which the guests there stand still.
 * So another thread wakes these up at times, which takes an interrupt. That does not help a guest
 * that has lost an interrupt of its own, or a vCPU that nobody wakes.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC	1000000000LL
#define NSEC_PER_MSEC	1000000LL
#define TICK_NS		(50 * NSEC_PER_MSEC)
#define WAKE_NS		(200 * NSEC_PER_MSEC)
/* Less than the above, to see most of what it mends; an emulated timer is always a bit late. */
#define LATE_NS		(120 * NSEC_PER_MSEC)
#define MAX_CPUS	64
#define PRIORITY	1

struct watcher {
	int cpu;
	sem_t wake;
};

static int file;
static struct watcher watchers[MAX_CPUS];

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static struct timespec to_timespec(long long ns)
{
	return (struct timespec){ .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC };
}

static void report(const struct watcher *w, long long from, long long to)
{
	dprintf(file, "%d %lld %lld\n", w->cpu, from, to);
}

/* Woken by the other thread, it looks whether its own timer should have come before. */
static void *watch(void *arg)
{
	struct watcher *w = arg;
	long long from, due, now;
	struct timespec until;

	for (;;) {
		from = now_ns();
		due = from + TICK_NS;
		until = to_timespec(due);
		do {
			while (sem_clockwait(&w->wake, CLOCK_MONOTONIC, &until) && errno == EINTR)
				;
			now = now_ns();
		} while (now < due);
		if (now - due > LATE_NS)
			report(w, from, now);
	}
	return NULL;
}

static int start(struct watcher *w)
{
	struct sched_param param = { .sched_priority = PRIORITY };
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t cpus;
	int ret;

	CPU_ZERO(&cpus);
	CPU_SET(w->cpu, &cpus);
	sem_init(&w->wake, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &param);
	ret = pthread_create(&thread, &attr, watch, w);
	pthread_attr_destroy(&attr);
	return ret;
}

int main(int argc, char **argv)
{
	long nr = sysconf(_SC_NPROCESSORS_ONLN);
	struct timespec pause = to_timespec(WAKE_NS);
	int i, ret;

	if (argc != 2)
		return 2;
	if (nr > MAX_CPUS)
		nr = MAX_CPUS;
	file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (file < 0) {
		perror(argv[1]);
		return 1;
	}
	for (i = 0; i < nr; i++) {
		watchers[i].cpu = i;
		ret = start(&watchers[i]);
		if (ret) {
			fprintf(stderr, "ticks: CPU %d: %s\n", i, strerror(ret));
			return 1;
		}
	}
	for (;;) {
		nanosleep(&pause, NULL);
		for (i = 0; i < nr; i++)
			sem_post(&watchers[i].wake);
	}
}
