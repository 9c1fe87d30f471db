// SPDX-License-Identifier: LGPL-2.1
/* Receive one input, and look at what the receiver made of it. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

/* The address spaces differ, so that this is looked at, too. */
const struct kvmx_region fuzz_layout[2] = {
	{ .gfn = 16, .npages = 3 },
	{ .gfn = 16, .npages = 2, .as = 1 },
};

/* Each region between pages that must not be touched. */
static struct kvmx_region regions[2];
static int memfd;

struct guest {
	int loads;
	int runs;
	int discards;
};

static int result;

int fuzz_result(void)
{
	return result;
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz: %s\n", what);
	abort();
}

static int on_load(void *opaque, const void *data, size_t len)
{
	struct guest *g = opaque;

	g->loads++;
	must(!len || data, "state without data");
	return len && *(const uint8_t *)data == 0xee ? -22 : 0;
}

static int on_run(void *opaque)
{
	struct guest *g = opaque;

	g->runs++;
	return 0;
}

static void on_discard(void *opaque)
{
	struct guest *g = opaque;

	g->discards++;
}

static const struct kvmx_migrate_dest_ops ops = {
	.load_state = on_load,
	.run = on_run,
	.discard = on_discard,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int i;

	(void)argc;
	(void)argv;
	for (i = 0; i < 2; i++) {
		size_t bytes = fuzz_layout[i].npages * PAGE_BYTES;
		char *mem = mmap(NULL, bytes + 2 * PAGE_BYTES, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		must(mem != MAP_FAILED, "mmap");
		must(!mprotect(mem + PAGE_BYTES, bytes, PROT_READ | PROT_WRITE), "mprotect");
		regions[i] = fuzz_layout[i];
		regions[i].hva = mem + PAGE_BYTES;
	}
	memfd = memfd_create("stream", 0);
	must(memfd >= 0, "memfd");
	return 0;
}

static int open_socket(const uint8_t *data, size_t size, int *peer)
{
	int fd[2], room = 2 * FUZZ_MAX;

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd), "socketpair");
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	/* What does not fit is cut off: a stream like any other. */
	if (send(fd[1], data, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && size)
		size = 0;
	shutdown(fd[1], SHUT_WR);
	*peer = fd[1];
	return fd[0];
}

static int open_file(const uint8_t *data, size_t size)
{
	must(!ftruncate(memfd, 0), "ftruncate");
	must(pwrite(memfd, data, size, 0) == (ssize_t)size, "pwrite");
	must(!lseek(memfd, 0, SEEK_SET), "lseek");
	return memfd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kvmx_migrate_report report;
	struct guest guest = { 0 };
	struct kvmx_migrate_dest dest = {
		.ops = &ops,
		.opaque = &guest,
		.regions = regions,
		.nr_regions = 2,
		.max_state = 250,
		.peer_timeout_ns = 5 * NSEC_PER_SEC,
	};
	int peer = -1, ret;

	if (!size || size > FUZZ_MAX)
		return 0;
	if (data[0] & FUZZ_FILE)
		dest.fd = open_file(data + 1, size - 1);
	else
		dest.fd = open_socket(data + 1, size - 1, &peer);
	ret = kvmx_migrate_receive(&dest, &report);
	result = ret;
	must(ret <= 0 && ret == report.error, "an odd result");
	must(guest.loads <= 1 && guest.runs <= 1, "loaded or run twice");
	must((ret == 0) == guest.runs, "success and running do not agree");
	must(guest.discards == !guest.runs, "running and discarding do not agree");
	must(!ret || report.reason[0], "refused without a reason");
	must(memchr(report.reason, 0, sizeof(report.reason)), "an endless reason");
	must(ret || report.data_pages + report.zero_pages >= FUZZ_PAGES, "pages are missing");
	if (peer >= 0) {
		close(peer);
		close(dest.fd);
	}
	return 0;
}
