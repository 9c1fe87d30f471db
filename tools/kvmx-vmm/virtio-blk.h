/* SPDX-License-Identifier: GPL-2.0 */
/* A virtio disk in a file. */
#ifndef VMM_VIRTIO_BLK_H
#define VMM_VIRTIO_BLK_H

#include <linux/virtio_blk.h>

#include "options.h"
#include "virtio-pci.h"

struct virtio_blk {
	struct virtio_pci virtio;	/* first: notify() gets this */
	struct virtio_blk_config config;
	int fd;
	bool readonly;
	struct virtq_chain chain;
};

/* NULL with a message on stderr if the file cannot be used. */
struct virtio_blk *virtio_blk_create(struct vm *vm, const struct disk_option *option);
void virtio_blk_destroy(struct virtio_blk *blk);

#endif
