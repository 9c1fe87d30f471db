// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fdpass.h"
#include "lib/kx.h"
#include "lib/peer.h"
#include "lib/vm.h"

#define AREA_GFN(i) (VM_DATA_GFN + (i) * 0x100000UL)
#define WORDS (PAGE_SIZE / sizeof(uint64_t))
#define PAGEMAP_PRESENT (1ULL << 63)
#define PAGEMAP_PFN ((1ULL << 55) - 1)
#define PAGEMAP_EXCLUSIVE (1ULL << 56)

enum op {
	OP_FILL, OP_VERIFY, OP_PIN, OP_UNPIN, OP_CHURN, OP_MADVISE, OP_TRACK, OP_UNTRACK, OP_CUT,
};

struct request {
	uint32_t op;
	uint32_t area;
	uint64_t first;
	uint64_t npages;
	uint32_t arg;
};

/* The VMM's side */

static struct {
	struct vm vm;
	struct peer_area area[PEER_AREAS];
	int tracker;
	int ring;
} self;

static char *page_at(const struct request *r, uint64_t i)
{
	return (char *)(uintptr_t)self.area[r->area].hva + (r->first + i) * PAGE_SIZE;
}

static void content(uint64_t *page, uint32_t seed, uint64_t number)
{
	uint64_t x, i;

	if (seed == PEER_ZERO) {
		memset(page, 0, PAGE_SIZE);
		return;
	}
	x = seed & PEER_SAME ? seed : seed * 1000003ULL + number + 1;
	for (i = 0; i < WORDS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page[i] = x;
	}
}

static int do_fill(const struct request *r)
{
	uint64_t i;

	for (i = 0; i < r->npages; i++)
		content((uint64_t *)page_at(r, i), r->arg, r->first + i);
	return 0;
}

static int do_verify(const struct request *r)
{
	uint64_t want[WORDS], i;

	for (i = 0; i < r->npages; i++) {
		content(want, r->arg, r->first + i);
		if (memcmp(want, page_at(r, i), PAGE_SIZE))
			return -EILSEQ;
	}
	return 0;
}

/* Registered buffers are pinned for long, as a device's would be. */
static int do_pin(const struct request *r)
{
	struct iovec iov = { .iov_base = page_at(r, 0), .iov_len = r->npages * PAGE_SIZE };
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	struct io_uring_params params = { 0 };

	setrlimit(RLIMIT_MEMLOCK, &limit);
	self.ring = syscall(SYS_io_uring_setup, 4, &params);
	if (self.ring < 0)
		return -errno;
	if (syscall(SYS_io_uring_register, self.ring, IORING_REGISTER_BUFFERS, &iov, 1) < 0)
		return -errno;
	return 0;
}

static void *churn(void *data)
{
	struct request *r = data;
	uint64_t i, n = 0;

	for (;;) {
		for (i = 0; i < r->npages; i++)
			*(volatile uint64_t *)page_at(r, i) = ++n;
		sleep_ms(5);
	}
	return NULL;
}

static int do_churn(const struct request *r)
{
	static struct request copies[PEER_AREAS];
	static int nr;
	pthread_t thread;

	copies[nr] = *r;
	return -pthread_create(&thread, NULL, churn, &copies[nr++]);
}

static int do_cut(const struct request *r)
{
	uint64_t i;

	for (i = 0; i < self.area[r->area].npages; i += 2)
		if (madvise(page_at(r, i), PAGE_SIZE, MADV_DONTDUMP))
			return -errno;
	return 0;
}

static int do_track(uint32_t flags)
{
	int handle = kx_vm(self.vm.fd);

	if (handle < 0)
		return handle;
	self.tracker = kx_tracker(handle, flags);
	close(handle);
	return self.tracker < 0 ? self.tracker : 0;
}

static int serve_one(const struct request *r)
{
	switch (r->op) {
	case OP_FILL:
		return do_fill(r);
	case OP_VERIFY:
		return do_verify(r);
	case OP_PIN:
		return do_pin(r);
	case OP_UNPIN:
		return close(self.ring) ? -errno : 0;
	case OP_CHURN:
		return do_churn(r);
	case OP_MADVISE:
		return madvise(page_at(r, 0), self.area[r->area].npages * PAGE_SIZE, r->arg) ?
		       -errno : 0;
	case OP_TRACK:
		return do_track(r->arg);
	case OP_CUT:
		return do_cut(r);
	case OP_UNTRACK:
		return close(self.tracker) ? -errno : 0;
	}
	return -EINVAL;
}

/*
 * One mapping for each area, by address, and with holes in between, so that none are joined. Huge
 * pages are not cut: 6.1 has forgotten a lock there, as it finds itself when asked to look.
 */
static int map_areas(uint32_t nr, const uint64_t *npages, enum mem_kind kind)
{
	uint64_t pages = 0;
	uint32_t i;
	char *at;
	int ret;

	for (i = 0; i < nr; i++)
		pages += npages[i] + 1;
	at = mem_map(kind, pages * PAGE_SIZE);
	if (!at)
		return -errno;
	for (i = 0; i < nr; i++) {
		self.area[i].hva = (uintptr_t)at;
		self.area[i].npages = npages[i];
		at += npages[i] * PAGE_SIZE;
		if (kind != MEM_HUGETLB)
			munmap(at, PAGE_SIZE);
		ret = vm_map_slot(&self.vm, i + 1, AREA_GFN(i), npages[i],
				  at - npages[i] * PAGE_SIZE, 0);
		if (ret)
			return ret;
		at += PAGE_SIZE;
	}
	return 0;
}

static void serve(int sock, uint32_t nr, const uint64_t *npages, enum mem_kind kind)
{
	struct request r;
	int ret;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ret = vm_create_bare(&self.vm, 0);
	if (!ret)
		ret = map_areas(nr, npages, kind);
	if (!ret)
		ret = send_fd(sock, self.vm.fd);
	if (ret || write(sock, &self.vm.fd, sizeof(int)) != sizeof(int) ||
	    write(sock, self.area, sizeof(self.area)) != sizeof(self.area)) {
		fprintf(stderr, "peer: %s\n", strerror(-ret));
		_exit(1);
	}
	while (read(sock, &r, sizeof(r)) == sizeof(r)) {
		ret = serve_one(&r);
		if (write(sock, &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	_exit(0);
}

/* The test's side */

int peer_start(struct peer *p, uint32_t nr_areas, const uint64_t *npages, enum mem_kind kind)
{
	int pair[2], fd;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	p->pid = fork();
	if (p->pid < 0)
		return -errno;
	if (!p->pid) {
		/* Not the test's other fds: they keep its VMs, and other peers, alive. */
		if (dup2(pair[1], 3) != 3 || close_range(4, ~0U, 0))
			_exit(1);
		serve(3, nr_areas, npages, kind);
	}
	close(pair[1]);
	p->sock = pair[0];
	p->nr_areas = nr_areas;
	fd = recv_fd(p->sock);
	if (fd < 0)
		return fd;
	if (recv(p->sock, &p->vm_fd, sizeof(int), MSG_WAITALL) != sizeof(int) ||
	    recv(p->sock, p->area, sizeof(p->area), MSG_WAITALL) != sizeof(p->area))
		return -EPIPE;
	p->handle = kx_vm(fd);
	close(fd);
	if (p->handle < 0)
		return p->handle;
	return 0;
}

void peer_stop(struct peer *p)
{
	if (p->pid <= 0)
		return;
	close(p->sock);
	close(p->handle);
	waitpid(p->pid, NULL, 0);
	p->pid = 0;
}

void peer_kill(struct peer *p)
{
	kill(p->pid, SIGKILL);
	peer_stop(p);
}

static int ask(struct peer *p, const struct request *r)
{
	int ret;

	if (write(p->sock, r, sizeof(*r)) != sizeof(*r) ||
	    recv(p->sock, &ret, sizeof(ret), MSG_WAITALL) != sizeof(ret))
		return -EPIPE;
	return ret;
}

int peer_fill(struct peer *p, uint32_t area, uint64_t first, uint64_t npages, uint32_t seed)
{
	return ask(p, &(struct request){ OP_FILL, area, first, npages, seed });
}

int peer_verify(struct peer *p, uint32_t area, uint64_t first, uint64_t npages, uint32_t seed)
{
	return ask(p, &(struct request){ OP_VERIFY, area, first, npages, seed });
}

int peer_pin(struct peer *p, uint32_t area, uint64_t first, uint64_t npages)
{
	return ask(p, &(struct request){ OP_PIN, area, first, npages, 0 });
}

int peer_unpin(struct peer *p)
{
	return ask(p, &(struct request){ .op = OP_UNPIN });
}

int peer_churn(struct peer *p, uint32_t area, uint64_t first, uint64_t npages)
{
	return ask(p, &(struct request){ OP_CHURN, area, first, npages, 0 });
}

int peer_madvise(struct peer *p, uint32_t area, int advice)
{
	return ask(p, &(struct request){ OP_MADVISE, area, 0, 0, advice });
}

int peer_cut(struct peer *p, uint32_t area)
{
	return ask(p, &(struct request){ .op = OP_CUT, .area = area });
}

int peer_vm_fd(struct peer *p)
{
	int pidfd = syscall(SYS_pidfd_open, p->pid, 0), fd;

	if (pidfd < 0)
		return -errno;
	fd = syscall(SYS_pidfd_getfd, pidfd, p->vm_fd, 0);
	close(pidfd);
	return fd < 0 ? -errno : fd;
}

int peer_track(struct peer *p, uint32_t flags)
{
	return ask(p, &(struct request){ .op = OP_TRACK, .arg = flags });
}

int peer_untrack(struct peer *p)
{
	return ask(p, &(struct request){ .op = OP_UNTRACK });
}

/* The entries of /proc/PID/pagemap of an area, or NULL. */
static uint64_t *entries(const struct peer *p, uint32_t area)
{
	size_t bytes = p->area[area].npages * sizeof(uint64_t);
	uint64_t *entry = malloc(bytes);
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!entry || fd < 0 ||
	    pread(fd, entry, bytes, p->area[area].hva / PAGE_SIZE * sizeof(*entry)) !=
	    (ssize_t)bytes) {
		free(entry);
		entry = NULL;
	}
	if (fd >= 0)
		close(fd);
	return entry;
}

static uint64_t *pfns(const struct peer *p, uint32_t area)
{
	uint64_t *pfn = entries(p, area), i;

	for (i = 0; pfn && i < p->area[area].npages; i++)
		pfn[i] = pfn[i] & PAGEMAP_PRESENT ? pfn[i] & PAGEMAP_PFN : 0;
	return pfn;
}

uint64_t peer_pfn(const struct peer *p, uint32_t area, uint64_t page)
{
	uint64_t *pfn = pfns(p, area), one = 0;

	if (pfn)
		one = pfn[page];
	free(pfn);
	return one;
}

long peer_merged(const struct peer *p, uint32_t area)
{
	uint64_t *entry = entries(p, area), i;
	long sum = 0;

	if (!entry)
		return -1;
	for (i = 0; i < p->area[area].npages; i++)
		sum += (entry[i] & (PAGEMAP_PRESENT | PAGEMAP_EXCLUSIVE)) == PAGEMAP_PRESENT;
	free(entry);
	return sum;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *l = a, *r = b;

	return *l < *r ? -1 : *l > *r;
}

long peer_shared(const struct peer *a, uint32_t area_a, const struct peer *b, uint32_t area_b)
{
	uint64_t *pa = pfns(a, area_a), *pb = pfns(b, area_b), i;
	long sum = -1;

	if (pa && pb) {
		qsort(pb, b->area[area_b].npages, sizeof(*pb), compare);
		for (sum = 0, i = 0; i < a->area[area_a].npages; i++)
			sum += pa[i] && bsearch(&pa[i], pb, b->area[area_b].npages, sizeof(*pb),
						compare);
	}
	free(pa);
	free(pb);
	return sum;
}

bool peer_mergeable(const struct peer *p, uint32_t area)
{
	char path[64], line[512];
	bool here = false, is = false;
	unsigned long start, end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps", p->pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= p->area[area].hva && p->area[area].hva < end;
		else if (here && !strncmp(line, "VmFlags:", 8))
			is = strstr(line, " mg");
	}
	if (file)
		fclose(file);
	return is;
}
