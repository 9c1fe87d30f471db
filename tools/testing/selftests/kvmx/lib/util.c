// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/util.h"

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

unsigned int time_scale(void)
{
	const char *text = getenv("KVMX_TIME_SCALE");
	int scale = text ? atoi(text) : 1;

	return scale > 0 ? scale : 1;
}

uint64_t deadline_ns(unsigned int seconds)
{
	return now_ns() + seconds * time_scale() * 1000000000ULL;
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

void pin_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* A machine with one CPU has no other: then everything shares it. */
	sched_setaffinity(0, sizeof(set), &set);
}

uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

void *map_before_hole(size_t bytes)
{
	size_t len = (bytes + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	char *p;

	p = mmap(NULL, len + PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		 -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (mprotect(p + len, PAGE_SIZE, PROT_NONE))
		return NULL;
	return p + len - bytes;
}

void *map_readonly(const void *data, size_t bytes)
{
	char *p;

	p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	memcpy(p, data, bytes);
	return mprotect(p, PAGE_SIZE, PROT_READ) ? NULL : p;
}

bool all_bytes(const void *data, int value, size_t bytes)
{
	const unsigned char *p = data;

	while (bytes--)
		if (*p++ != (unsigned char)value)
			return false;
	return true;
}

ssize_t read_maps(char *buf, size_t size)
{
	size_t used = 0;
	ssize_t n;
	int fd;

	fd = open("/proc/self/maps", O_RDONLY);
	if (fd < 0)
		return -errno;
	while (used < size - 1) {
		n = read(fd, buf + used, size - 1 - used);
		if (n <= 0)
			break;
		used += n;
	}
	close(fd);
	buf[used] = '\0';
	return used;
}

static int refs_of(const char *module)
{
	char path[64];
	int refs = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", module);
	file = fopen(path, "r");
	if (!file)
		return -1;
	if (fscanf(file, "%d", &refs) != 1)
		refs = -1;
	fclose(file);
	return refs;
}

static bool refs_become(int (*refs)(void), int want)
{
	uint64_t end = deadline_ns(5);

	while (refs() != want) {
		if (now_ns() > end)
			return false;
		sleep_ms(5);
	}
	return true;
}

int module_refs(void)
{
	return refs_of("kvmx");
}

bool module_refs_become(int want)
{
	return refs_become(module_refs, want);
}

int kvm_refs(void)
{
	int refs = refs_of("kvm_amd");

	return refs < 0 ? refs_of("kvm_intel") : refs;
}

bool kvm_refs_become(int want)
{
	return refs_become(kvm_refs, want);
}

int module_load(void)
{
	int fd, ret;

	fd = open(MODULE_FILE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

int module_unload(void)
{
	return syscall(SYS_delete_module, "kvmx", O_NONBLOCK) ? -errno : 0;
}

bool poll_for(int fd, short events, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	return poll(&pfd, 1, timeout_ms * (int)time_scale()) == 1 && (pfd.revents & events);
}
