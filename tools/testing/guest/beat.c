// SPDX-License-Identifier: GPL-2.0
/*
 * The heartbeat: a byte to an I/O port, for the host to take the time of. The guest cannot time
 * its own pauses. A serial port that no driver has open will do for the port.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"

void *beat_thread(void *arg)
{
	unsigned char byte = 0;
	int fd;

	(void)arg;
	/* As outb from user space does not work in a nested guest. */
	fd = open("/dev/port", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fatal("/dev/port: %s", strerror(errno));
	for (;;) {
		if (pwrite(fd, &byte, 1, config.beat_port) != 1)
			fatal("/dev/port: %s", strerror(errno));
		byte++;
		atomic_fetch_add(&stats.beats, 1);
		clock_check("beat");
		sleep_ns(config.beat_ms * NSEC_PER_MSEC);
	}
}
