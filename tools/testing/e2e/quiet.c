// SPDX-License-Identifier: GPL-2.0
/*
 * Catches a silent guest in the act: quiet FILE MS COMMAND
 *
 * Runs the shell command when the file has not grown for so many milliseconds, once per silence.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define NSEC_PER_SEC	1000000000LL
#define NSEC_PER_MSEC	1000000LL

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	const struct timespec interval = { .tv_nsec = 100 * NSEC_PER_MSEC };
	long long limit, since = now_ns();
	bool said = false;
	struct stat st;
	off_t size = 0;

	if (argc != 4)
		return 2;
	limit = atoll(argv[2]) * NSEC_PER_MSEC;
	for (;;) {
		nanosleep(&interval, NULL);
		if (stat(argv[1], &st))
			memset(&st, 0, sizeof(st));
		if (st.st_size != size) {
			size = st.st_size;
			since = now_ns();
			said = false;
		} else if (size && !said && now_ns() - since > limit) {
			said = true;
			if (system(argv[3]))
				fprintf(stderr, "quiet: the command failed\n");
		}
	}
}
