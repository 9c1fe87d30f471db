// SPDX-License-Identifier: GPL-2.0
/*
 * Requests are done by the vCPU thread that notifies us, before it enters the guest again. So a
 * paused VM has no request in flight, and there is no more state to a disk than its queue's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/virtio_ids.h>

#include "vm.h"

#define SECTOR_SIZE	512
#define CLASS_STORAGE	(0x018000 << 8)

struct request {
	struct virtio_blk_outhdr header;
	struct iovec iov[VIRTQ_SIZE];
	int nr_iov;
	u64 len;
	u8 *status;
	u64 status_gpa;
};

/* Header, data, status: the header opens the first buffer, the status closes the last one. */
static bool parse_request(struct virtio_blk *blk, struct request *req)
{
	struct virtq_chain *chain = &blk->chain;
	struct virtq_segment *first = &chain->segments[0];
	struct virtq_segment *last = &chain->segments[chain->nr - 1];
	unsigned int i;
	bool out;

	if (chain->nr < 2 || first->device_writes || first->len < sizeof(req->header) ||
	    !last->device_writes || !last->len)
		return false;
	memcpy(&req->header, first->hva, sizeof(req->header));
	out = req->header.type == VIRTIO_BLK_T_OUT;
	first->hva = (char *)first->hva + sizeof(req->header);
	first->gpa += sizeof(req->header);
	first->len -= sizeof(req->header);
	last->len--;
	req->status = (u8 *)last->hva + last->len;
	req->status_gpa = last->gpa + last->len;
	req->nr_iov = 0;
	req->len = 0;
	for (i = 0; i < chain->nr; i++) {
		struct virtq_segment *segment = &chain->segments[i];

		/* All data goes one way. */
		if (!segment->len)
			continue;
		if (segment->device_writes == out)
			return false;
		req->iov[req->nr_iov++] = (struct iovec){ segment->hva, segment->len };
		req->len += segment->len;
	}
	return true;
}

static bool in_range(const struct virtio_blk *blk, const struct request *req)
{
	u64 sectors = req->len / SECTOR_SIZE;

	return req->len % SECTOR_SIZE == 0 && sectors <= blk->config.capacity &&
	       req->header.sector <= blk->config.capacity - sectors;
}

static ssize_t transfer_some(struct virtio_blk *blk, struct request *req, int first, u64 done)
{
	off_t at = req->header.sector * SECTOR_SIZE + done;

	if (req->header.type == VIRTIO_BLK_T_OUT)
		return pwritev(blk->fd, req->iov + first, req->nr_iov - first, at);
	return preadv(blk->fd, req->iov + first, req->nr_iov - first, at);
}

static u8 transfer(struct virtio_blk *blk, struct request *req)
{
	int first = 0;
	u64 done = 0;
	ssize_t n;

	if (!in_range(blk, req))
		return VIRTIO_BLK_S_IOERR;
	while (done < req->len) {
		n = transfer_some(blk, req, first, done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return VIRTIO_BLK_S_IOERR;
		done += n;
		while (n && (size_t)n >= req->iov[first].iov_len)
			n -= req->iov[first++].iov_len;
		if (n) {
			req->iov[first].iov_base = (char *)req->iov[first].iov_base + n;
			req->iov[first].iov_len -= n;
		}
	}
	return VIRTIO_BLK_S_OK;
}

static u8 give_id(struct request *req)
{
	static const char id[VIRTIO_BLK_ID_BYTES] = "kvmx-vmm";

	if (req->nr_iov != 1 || req->len < sizeof(id))
		return VIRTIO_BLK_S_IOERR;
	memcpy(req->iov[0].iov_base, id, sizeof(id));
	return VIRTIO_BLK_S_OK;
}

static u8 do_request(struct virtio_blk *blk, struct request *req)
{
	switch (req->header.type) {
	case VIRTIO_BLK_T_IN:
		return transfer(blk, req);
	case VIRTIO_BLK_T_OUT:
		return blk->readonly ? VIRTIO_BLK_S_IOERR : transfer(blk, req);
	case VIRTIO_BLK_T_FLUSH:
		return fdatasync(blk->fd) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID:
		return give_id(req);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* Everything the request may have written, also if it failed half way. */
static u32 mark_written(struct virtio_blk *blk, const struct request *req)
{
	struct virtio_pci *dev = &blk->virtio;
	u32 written = 1;
	unsigned int i;

	for (i = 0; i < blk->chain.nr; i++) {
		const struct virtq_segment *segment = &blk->chain.segments[i];

		if (!segment->device_writes)
			continue;
		marks_add(dev->vm, &dev->marks, segment->gpa, segment->len);
		written += segment->len;
	}
	marks_add(dev->vm, &dev->marks, req->status_gpa, 1);
	return written;
}

static void on_notify(struct virtio_pci *dev)
{
	struct virtio_blk *blk = (struct virtio_blk *)dev;
	struct request req;
	bool any = false;

	while (virtq_pop(dev, &blk->chain)) {
		if (!parse_request(blk, &req)) {
			virtio_broken(dev, "disk request without header, status or direction");
			break;
		}
		*req.status = do_request(blk, &req);
		virtq_push(dev, blk->chain.head, mark_written(blk, &req));
		any = true;
	}
	if (any)
		virtq_finish(dev);
}

static int open_disk(struct virtio_blk *blk, const struct disk_option *option)
{
	struct stat st;

	blk->fd = open(option->path, (option->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (blk->fd < 0 || fstat(blk->fd, &st))
		return fail(errno, "%s: %m", option->path);
	if (!S_ISREG(st.st_mode) || st.st_size < SECTOR_SIZE)
		return fail(EINVAL, "%s: not a file of at least one sector", option->path);
	blk->config.capacity = st.st_size / SECTOR_SIZE;
	return 0;
}

struct virtio_blk *virtio_blk_create(struct vm *vm, const struct disk_option *option)
{
	struct virtio_blk *blk = calloc(1, sizeof(*blk));

	if (!blk)
		return NULL;
	if (open_disk(blk, option)) {
		virtio_blk_destroy(blk);
		return NULL;
	}
	blk->readonly = option->readonly;
	blk->config.seg_max = VIRTQ_SIZE - 2;
	blk->config.blk_size = SECTOR_SIZE;
	blk->virtio.config = &blk->config;
	blk->virtio.config_len = sizeof(blk->config);
	blk->virtio.notify = on_notify;
	blk->virtio.features = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE |
			       1ULL << VIRTIO_BLK_F_FLUSH;
	if (option->readonly)
		blk->virtio.features |= 1ULL << VIRTIO_BLK_F_RO;
	virtio_pci_init(&blk->virtio, vm, VIRTIO_ID_BLOCK, CLASS_STORAGE);
	return blk;
}

void virtio_blk_destroy(struct virtio_blk *blk)
{
	if (blk->fd >= 0)
		close(blk->fd);
	free(blk);
}
