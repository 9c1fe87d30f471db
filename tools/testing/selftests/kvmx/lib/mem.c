// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/mem.h"

#define MAP_RW (PROT_READ | PROT_WRITE)

/* A reservation is cut to an aligned piece: mmap() itself promises no alignment. */
static void *map_aligned(size_t bytes, int flags)
{
	char *raw, *p;

	raw = mmap(NULL, bytes + HUGE_SIZE, MAP_RW, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (raw == MAP_FAILED)
		return NULL;
	p = (char *)(((uintptr_t)raw + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));
	if (p != raw)
		munmap(raw, p - raw);
	munmap(p + bytes, raw + HUGE_SIZE - p);
	return p;
}

static void *map_memfd(size_t bytes)
{
	void *p;
	int fd;

	fd = memfd_create("guest", MFD_CLOEXEC);
	if (fd < 0)
		return NULL;
	p = ftruncate(fd, bytes) ? MAP_FAILED : mmap(NULL, bytes, MAP_RW, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

void *mem_map(enum mem_kind kind, size_t bytes)
{
	void *p;

	switch (kind) {
	case MEM_ANON:
		p = mmap(NULL, bytes, MAP_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return NULL;
		/* A kernel without THP says EINVAL and has only 4 KiB pages anyway. */
		madvise(p, bytes, MADV_NOHUGEPAGE);
		return p;
	case MEM_THP:
		p = map_aligned(bytes, 0);
		if (p)
			madvise(p, bytes, MADV_HUGEPAGE);
		return p;
	case MEM_HUGETLB:
		p = mmap(NULL, bytes, MAP_RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		return p == MAP_FAILED ? NULL : p;
	case MEM_MEMFD:
		return map_memfd(bytes);
	case MEM_RESERVE:
		p = map_aligned(bytes, MAP_NORESERVE);
		/* A page here and there must cost a page, not a huge one. */
		if (p)
			madvise(p, bytes, MADV_NOHUGEPAGE);
		return p;
	}
	errno = EINVAL;
	return NULL;
}

static long read_long(const char *path)
{
	long value = -1;
	FILE *file;

	file = fopen(path, "r");
	if (!file)
		return -1;
	if (fscanf(file, "%ld", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

int mem_reserve_huge(size_t bytes)
{
	static const char total[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
	static const char unused[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
	long want = bytes / HUGE_SIZE, have = read_long(unused);
	FILE *file;

	if (have >= want)
		return 0;
	file = fopen(total, "w");
	if (!file)
		return -errno;
	fprintf(file, "%ld\n", read_long(total) + want - have);
	fclose(file);
	return read_long(unused) >= want ? 0 : -ENOMEM;
}
