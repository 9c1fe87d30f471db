// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and writes /dev/vda past the page cache. What is read is written into guest memory by
 * the VMM: if that is not told to the dirty tracking, a buffer here goes stale in a migration.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define DISK		"/dev/vda"
#define MAX_BLOCKS	512
#define NR_BUFFERS	256
#define NOTHING		(~0U)

static int disk_fd;
static __u32 nr_blocks;
static __u32 block_seq[MAX_BLOCKS];

/* What a buffer holds: a block as it was when it was read. */
static __u64 *buffers;
static __u32 buffer_block[NR_BUFFERS];
static __u32 buffer_seq[NR_BUFFERS];

static __u64 *buffer(__u32 i)
{
	return buffers + (size_t)i * PAGE_WORDS;
}

static void transfer(bool write, __u32 block, __u32 i)
{
	void *mem = buffer(i);
	off_t pos = (off_t)block * PAGE_BYTES;
	ssize_t n;

	n = write ? pwrite(disk_fd, mem, PAGE_BYTES, pos) : pread(disk_fd, mem, PAGE_BYTES, pos);
	if (n != PAGE_BYTES)
		check_fail("%s of block %u: %s", write ? "write" : "read", block,
			   n < 0 ? strerror(errno) : "short");
	atomic_fetch_add(&stats.disk_ops, 1);
}

static void write_block(__u32 block, __u32 i)
{
	page_fill(buffer(i), block, ++block_seq[block]);
	buffer_block[i] = block;
	buffer_seq[i] = block_seq[block];
	transfer(true, block, i);
}

static void read_block(__u32 block, __u32 i)
{
	transfer(false, block, i);
	buffer_block[i] = block;
	buffer_seq[i] = block_seq[block];
}

static void check_buffer(__u32 i)
{
	int word;

	if (buffer_block[i] == NOTHING)
		return;
	word = page_verify(buffer(i), buffer_block[i], buffer_seq[i]);
	atomic_fetch_add(&stats.checks, 1);
	if (word >= 0)
		check_fail("disk buffer %u, block %u write %u: word %d is wrong, seq %llu", i,
			   buffer_block[i], buffer_seq[i], word,
			   buffer(i)[WORD_SEQ]);
}

void disk_prepare(void)
{
	__u64 bytes;
	__u32 i;

	memset(block_seq, 0, sizeof(block_seq));
	disk_fd = open(DISK, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (disk_fd < 0 || ioctl(disk_fd, BLKGETSIZE64, &bytes))
		fatal("%s: %s", DISK, strerror(errno));
	nr_blocks = bytes / PAGE_BYTES < MAX_BLOCKS ? bytes / PAGE_BYTES : MAX_BLOCKS;
	if (!nr_blocks)
		fatal("%s: too small", DISK);
	buffers = mmap(NULL, NR_BUFFERS * PAGE_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buffers == MAP_FAILED)
		fatal("no memory for disk buffers");
	for (i = 0; i < NR_BUFFERS; i++)
		buffer_block[i] = NOTHING;
	for (i = 0; i < nr_blocks; i++)
		write_block(i, i % NR_BUFFERS);
}

void disk_release(void)
{
	munmap(buffers, NR_BUFFERS * PAGE_BYTES);
	close(disk_fd);
}

void *disk_thread(void *arg)
{
	__u64 random = 2463534242ULL;
	__u32 i, n = 0;

	(void)arg;
	while (!atomic_load(&stopping)) {
		__u32 block = random_next(&random) % nr_blocks;

		i = random_next(&random) % NR_BUFFERS;
		if (n++ % 4)
			read_block(block, i);
		else
			write_block(block, i);
		check_buffer(i);
		check_buffer(random_next(&random) % NR_BUFFERS);
		sleep_ns(NSEC_PER_SEC / config.disk_rate);
	}
	for (i = 0; i < NR_BUFFERS; i++)
		check_buffer(i);
	return NULL;
}
