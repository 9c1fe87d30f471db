// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/memfd.h>
#include <xxhash.h>

#include "memory.h"

#define HUGE_SIZE	(2 * MIB)

static void add_range(struct memory *mem, u64 gpa, u64 offset, u64 size)
{
	mem->ranges[mem->nr_ranges++] = (struct memory_range){
		.gpa = gpa, .size = size, .hva = (char *)mem->map + offset,
	};
}

/*
 * An anonymous mapping has no alignment of its own, and THP only takes aligned 2 MiB: reserve
 * more, map over the aligned part, give back the rest.
 */
static void *map_aligned(u64 size, int fd, int flags)
{
	char *area, *map;

	area = mmap(NULL, size + HUGE_SIZE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return MAP_FAILED;
	map = (char *)(((unsigned long)area + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));
	if (map > area)
		munmap(area, map - area);
	if (map < area + HUGE_SIZE)
		munmap(map + size, area + HUGE_SIZE - map);
	if (mmap(map, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) != MAP_FAILED)
		return map;
	munmap(map, size);
	return MAP_FAILED;
}

static int map_shared(struct memory *mem, unsigned int memfd_flags)
{
	int fd, err = 0;

	fd = memfd_create("kvmx-vmm", MFD_CLOEXEC | memfd_flags);
	if (fd < 0)
		return fail(errno, "memfd_create: %m");
	if (ftruncate(fd, mem->size)) {
		err = fail(errno, "cannot size the memory file: %m");
	} else {
		mem->map = map_aligned(mem->size, fd, MAP_SHARED);
		if (mem->map == MAP_FAILED)
			err = fail(errno, memfd_flags & MFD_HUGETLB ?
				   "cannot map huge pages (are there enough in nr_hugepages?): %m" :
				   "cannot map the memory file: %m");
	}
	close(fd);
	return err;
}

int memory_init(struct memory *mem, u64 size, enum memory_kind kind, int thp)
{
	int err = 0;

	memset(mem, 0, sizeof(*mem));
	mem->size = size;
	mem->shared = kind != MEMORY_ANON;
	switch (kind) {
	case MEMORY_ANON:
		mem->map = map_aligned(size, -1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
		if (mem->map == MAP_FAILED)
			err = fail(errno, "cannot map %llu MiB: %m", size / MIB);
		break;
	case MEMORY_MEMFD:
		err = map_shared(mem, 0);
		break;
	case MEMORY_HUGETLB:
		err = map_shared(mem, MFD_HUGETLB | MFD_HUGE_2MB);
		break;
	}
	if (err) {
		mem->map = NULL;
		return err;
	}
	if (thp >= 0 && madvise(mem->map, size, thp ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		say("this kernel has no transparent huge pages: %m");
	if (size <= MEMORY_HOLE_START) {
		add_range(mem, 0, 0, size);
	} else {
		add_range(mem, 0, 0, MEMORY_HOLE_START);
		add_range(mem, MEMORY_HOLE_END, MEMORY_HOLE_START, size - MEMORY_HOLE_START);
	}
	return 0;
}

void memory_destroy(struct memory *mem)
{
	if (mem->map)
		munmap(mem->map, mem->size);
	mem->map = NULL;
}

void *memory_at(const struct memory *mem, u64 gpa, u64 len)
{
	const struct memory_range *range;
	unsigned int i;

	for (i = 0; i < mem->nr_ranges; i++) {
		range = &mem->ranges[i];
		if (gpa >= range->gpa && gpa - range->gpa < range->size &&
		    len <= range->size - (gpa - range->gpa))
			return (char *)range->hva + (gpa - range->gpa);
	}
	return NULL;
}

void memory_hash(const struct memory_range *range, char *hex)
{
	XXH128_hash_t hash = XXH3_128bits(range->hva, range->size);

	snprintf(hex, 33, "%016llx%016llx", (unsigned long long)hash.high64,
		 (unsigned long long)hash.low64);
}

static int write_ranges(const struct memory *mem, const char *path)
{
	unsigned int i;
	int fd, err = 0;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	for (i = 0; i < mem->nr_ranges && !err; i++)
		err = write_full(fd, mem->ranges[i].hva, mem->ranges[i].size);
	if (close(fd) && !err)
		err = -errno;
	return err;
}

int memory_dump(const struct memory *mem, const char *path)
{
	char part[PATH_MAX];
	int err = 0;

	if (snprintf(part, sizeof(part), "%s.part", path) >= (int)sizeof(part))
		err = -ENAMETOOLONG;
	if (!err)
		err = write_ranges(mem, part);
	if (!err && rename(part, path))
		err = -errno;
	return err ? fail(-err, "%s: %s", path, strerror(-err)) : 0;
}

/*
 * A child has all private memory as it is at the fork, whatever is written here later. It must not
 * keep this process's files open: a VM would live on in it.
 */
int memory_dump_behind(const struct memory *mem, const char *path)
{
	pid_t pid;

	if (mem->shared)
		return memory_dump(mem, path);
	pid = fork();
	if (pid < 0)
		return fail(errno, "fork: %m");
	if (pid)
		return 0;
	close_range(STDERR_FILENO + 1, ~0U, 0);
	_exit(memory_dump(mem, path) ? 1 : 0);
}
