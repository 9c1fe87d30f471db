/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An nvme controller's admin queue, as a guest would drive it: a device whose DMA is fast. Its
 * queues are in guest memory. Functions give 0, or -errno.
 */
#ifndef SELFTEST_KVMX_NVME_H
#define SELFTEST_KVMX_NVME_H

#include "lib/vdev.h"

/* Guest frames that the queues take, from struct nvme.iova on */
#define NVME_PAGES 2

struct nvme {
	struct vdev *v;
	char *mem;		/* of the queues */
	uint64_t iova;
	uint16_t tail;
	uint16_t head;
	uint16_t phase;
};

/* Its device can reach the memory, and has bus mastering on. */
int nvme_start(struct nvme *n, struct vdev *v, char *mem, uint64_t iova);
/* 4096 bytes to @iova: what the device says about itself (@kind 1) or about its disk (0). */
int nvme_write(struct nvme *n, uint64_t iova, unsigned int kind);

#endif
