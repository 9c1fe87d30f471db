// SPDX-License-Identifier: GPL-2.0

#include <fcntl.h>
#include <linux/kcov.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cover.h"

#define ENTRIES (64UL << 10)

static __thread unsigned long *trace;

bool cover_open(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	void *map;

	if (fd < 0)
		return false;
	if (ioctl(fd, KCOV_INIT_TRACE, ENTRIES))
		goto close;
	map = mmap(NULL, ENTRIES * sizeof(*trace), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		goto close;
	/* The mapping keeps it open; but the tracing ends with the descriptor, so that stays. */
	if (ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		goto unmap;
	trace = map;
	return true;
unmap:
	munmap(map, ENTRIES * sizeof(*trace));
close:
	close(fd);
	return false;
}

void cover_begin(void)
{
	if (trace)
		__atomic_store_n(&trace[0], 0, __ATOMIC_RELAXED);
}

/* An edge is a place and the one before it. */
unsigned int cover_end(struct cover *cover)
{
	unsigned long n, i, last = 0;
	unsigned int fresh = 0;
	uint32_t bit;

	if (!trace)
		return 0;
	n = __atomic_load_n(&trace[0], __ATOMIC_RELAXED);
	for (i = 1; i <= n && i < ENTRIES; i++) {
		bit = ((trace[i] ^ (last << 5)) * 0x9e3779b97f4a7c15UL) >> 48;
		last = trace[i];
		if (__atomic_load_n(&cover->seen[bit], __ATOMIC_RELAXED))
			continue;
		__atomic_store_n(&cover->seen[bit], 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&cover->bits, 1, __ATOMIC_RELAXED);
		fresh++;
	}
	return fresh;
}
