// SPDX-License-Identifier: GPL-2.0
/*
 * ksm_pfns PID...: how much memory processes share, told by page frame numbers: for each two of
 * them a line "PID PID PAGES", and for each a line "PID merged PAGES", how many of its pages are
 * mapped elsewhere, too. It looks at what is large, private and anonymous, as the memory of guests.
 * The kernel's own page of zeroes does not count; it is in a line "PID zero PAGES".
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE		4096UL
#define LARGE		(16UL << 20)
#define MAX_PROCS	16
#define PRESENT		(1ULL << 63)
#define EXCLUSIVE	(1ULL << 56)
#define PFN		((1ULL << 55) - 1)

struct proc {
	int pid;
	uint64_t *entry;
	size_t nr;
};

static uint64_t zero_pfn;

static int open_of(int pid, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void read_range(struct proc *p, int pagemap, uint64_t start, uint64_t end)
{
	size_t nr = (end - start) / PAGE, bytes = nr * sizeof(*p->entry), done = 0;
	ssize_t n;

	p->entry = realloc(p->entry, (p->nr + nr) * sizeof(*p->entry));
	if (!p->entry)
		err(1, NULL);
	while (done < bytes) {
		n = pread(pagemap, (char *)&p->entry[p->nr] + done, bytes - done,
			  start / PAGE * sizeof(*p->entry) + done);
		if (n <= 0)
			err(1, "pagemap of %d", p->pid);
		done += n;
	}
	p->nr += nr;
}

static void read_proc(struct proc *p)
{
	int pagemap = open_of(p->pid, "pagemap", O_RDONLY);
	FILE *maps = fdopen(open_of(p->pid, "maps", O_RDONLY), "r");
	unsigned long long start, end, inode;
	char line[512], perms[8];

	p->nr = 0;
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%llx-%llx %7s %*s %*s %llu", &start, &end, perms, &inode) != 4)
			errx(1, "cannot make sense of: %s", line);
		if (end - start >= LARGE && !inode && !strcmp(perms, "rw-p"))
			read_range(p, pagemap, start, end);
	}
	fclose(maps);
	close(pagemap);
}

static uint64_t pfn_of(uint64_t entry)
{
	uint64_t pfn = entry & PRESENT ? entry & PFN : 0;

	return pfn == zero_pfn ? 0 : pfn;
}

static void find_zero_pfn(void)
{
	volatile char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct proc self = { .pid = getpid() };
	int pagemap = open_of(self.pid, "pagemap", O_RDONLY);

	if (page == MAP_FAILED || page[0])
		err(1, "mmap");
	read_range(&self, pagemap, (uintptr_t)page, (uintptr_t)page + PAGE);
	zero_pfn = self.entry[0] & PFN;
	if (!zero_pfn)
		errx(1, "page frame numbers are hidden: run it as root");
	close(pagemap);
	free(self.entry);
}

static int compare(const void *a, const void *b)
{
	const uint64_t *l = a, *r = b;

	return *l < *r ? -1 : *l > *r;
}

/* Sorted */
static uint64_t *pfns_of(const struct proc *p)
{
	uint64_t *pfn = malloc(p->nr * sizeof(*pfn) + 1);
	size_t i;

	if (!pfn)
		err(1, NULL);
	for (i = 0; i < p->nr; i++)
		pfn[i] = pfn_of(p->entry[i]);
	qsort(pfn, p->nr, sizeof(*pfn), compare);
	return pfn;
}

static size_t count_equal(const struct proc *a, const struct proc *b)
{
	uint64_t *pfn = pfns_of(b), one;
	size_t i, sum = 0;

	for (i = 0; i < a->nr; i++) {
		one = pfn_of(a->entry[i]);
		sum += one && bsearch(&one, pfn, b->nr, sizeof(one), compare);
	}
	free(pfn);
	return sum;
}

static size_t count_merged(const struct proc *p)
{
	size_t i, sum = 0;

	for (i = 0; i < p->nr; i++)
		sum += pfn_of(p->entry[i]) && !(p->entry[i] & EXCLUSIVE);
	return sum;
}

static size_t count_zero(const struct proc *p)
{
	size_t i, sum = 0;

	for (i = 0; i < p->nr; i++)
		sum += p->entry[i] & PRESENT && (p->entry[i] & PFN) == zero_pfn;
	return sum;
}

int main(int argc, char **argv)
{
	struct proc proc[MAX_PROCS] = { 0 };
	int i, j, nr = argc - 1;

	if (nr < 1 || nr > MAX_PROCS)
		errx(1, "usage: ksm_pfns PID... (at most %d)", MAX_PROCS);
	find_zero_pfn();
	for (i = 0; i < nr; i++) {
		proc[i].pid = atoi(argv[i + 1]);
		read_proc(&proc[i]);
		if (!proc[i].nr)
			errx(1, "process %d has no large mapping", proc[i].pid);
	}
	for (i = 0; i < nr; i++) {
		printf("%d merged %zu\n", proc[i].pid, count_merged(&proc[i]));
		printf("%d zero %zu\n", proc[i].pid, count_zero(&proc[i]));
		for (j = i + 1; j < nr; j++)
			printf("%d %d %zu\n", proc[i].pid, proc[j].pid,
			       count_equal(&proc[i], &proc[j]));
	}
	return 0;
}
