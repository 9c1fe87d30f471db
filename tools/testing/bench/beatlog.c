// SPDX-License-Identifier: GPL-2.0
/*
 * Takes the time of a guest's heartbeats: beatlog PIPE FILE. Each byte that comes out of the pipe
 * becomes a line "NANOSECONDS BYTE PID" in the file, as kvmx-vmm --heartbeat writes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	struct sched_param param = { .sched_priority = 50 };
	unsigned char beats[64];
	int in, out;
	ssize_t n, i;

	if (argc != 3) {
		fprintf(stderr, "usage: beatlog PIPE FILE\n");
		return 2;
	}
	/* Late is wrong here: the sender must not keep us from looking at the clock. */
	sched_setscheduler(0, SCHED_FIFO, &param);
	in = open(argv[1], O_RDONLY);
	out = open(argv[2], O_WRONLY | O_APPEND | O_CREAT, 0644);
	if (in < 0 || out < 0) {
		fprintf(stderr, "beatlog: %s\n", strerror(errno));
		return 1;
	}
	while ((n = read(in, beats, sizeof(beats))) > 0)
		for (i = 0; i < n; i++)
			dprintf(out, "%llu %u %d\n", now_ns(), beats[i], getpid());
	return n ? 1 : 0;
}
