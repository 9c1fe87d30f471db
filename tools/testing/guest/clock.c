// SPDX-License-Identifier: GPL-2.0
/* The guest's clocks: all threads look, and none may see them go back or leap. */
#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "guest.h"

static __u64 read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

__u64 now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void sleep_ns(__u64 ns)
{
	struct timespec ts = {
		.tv_sec = ns / NSEC_PER_SEC,
		.tv_nsec = ns % NSEC_PER_SEC,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

/* The last value is shared by all threads: clocks of different vCPUs must agree, too. */
void clock_check(const char *who)
{
	static const struct {
		clockid_t id;
		const char *name;
	} clocks[] = {
		{ CLOCK_MONOTONIC, "monotonic" },
		{ CLOCK_REALTIME, "realtime" },
		{ CLOCK_BOOTTIME, "boottime" },
	};
	static __u64 last[ARRAY_SIZE(clocks)];
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	__u64 now, before;
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < ARRAY_SIZE(clocks); i++) {
		before = last[i];
		now = read_clock(clocks[i].id);
		last[i] = now;
		if (now < before)
			check_fail("%s: clock %s went back by %llu ns", who, clocks[i].name,
				   (before - now));
		else if (before && now - before > config.jump_ms * NSEC_PER_MSEC)
			check_fail("%s: clock %s leapt by %llu ms", who, clocks[i].name,
				   ((now - before) / NSEC_PER_MSEC));
	}
	pthread_mutex_unlock(&lock);
}
