// SPDX-License-Identifier: GPL-2.0
/* The split ring of virtio 1.0, without indirect descriptors and event indices. */
#include <string.h>

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include "vm.h"

/* x86 is little-endian and so is virtio: fields are used as they are. */
static struct vring_avail *avail_ring(struct virtio_pci *dev)
{
	return memory_at(&dev->vm->mem, dev->s.avail, sizeof(struct vring_avail) +
			 dev->s.queue_size * sizeof(u16));
}

static struct vring_used *used_ring(struct virtio_pci *dev)
{
	return memory_at(&dev->vm->mem, dev->s.used, sizeof(struct vring_used) +
			 dev->s.queue_size * sizeof(struct vring_used_elem));
}

static struct vring_desc *desc_table(struct virtio_pci *dev)
{
	return memory_at(&dev->vm->mem, dev->s.desc,
			 dev->s.queue_size * sizeof(struct vring_desc));
}

static bool broken(struct virtio_pci *dev, const char *why)
{
	virtio_broken(dev, why);
	return false;
}

/* Each descriptor is copied before it is looked at: the guest may change it meanwhile. */
static bool read_chain(struct virtio_pci *dev, struct virtq_chain *chain)
{
	struct vring_desc *table = desc_table(dev), desc;
	u16 index = chain->head;

	if (!table)
		return broken(dev, "descriptor table outside of memory");
	chain->nr = 0;
	do {
		struct virtq_segment *segment = &chain->segments[chain->nr];

		if (index >= dev->s.queue_size || chain->nr == dev->s.queue_size)
			return broken(dev, "bad descriptor chain");
		memcpy(&desc, &table[index], sizeof(desc));
		if (desc.flags & VRING_DESC_F_INDIRECT)
			return broken(dev, "indirect descriptor, which was not offered");
		segment->hva = memory_at(&dev->vm->mem, desc.addr, desc.len);
		segment->gpa = desc.addr;
		segment->len = desc.len;
		segment->device_writes = desc.flags & VRING_DESC_F_WRITE;
		if (!segment->hva)
			return broken(dev, "buffer outside of memory");
		chain->nr++;
		index = desc.next;
	} while (desc.flags & VRING_DESC_F_NEXT);
	return true;
}

bool virtq_pop(struct virtio_pci *dev, struct virtq_chain *chain)
{
	struct vring_avail *avail = avail_ring(dev);
	u16 idx;

	if (dev->s.status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return false;
	if (!avail || dev->s.avail & 1)
		return broken(dev, "available ring outside of memory or misaligned");
	idx = __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE);
	if (idx == dev->s.next_avail)
		return false;
	if ((u16)(idx - dev->s.next_avail) > dev->s.queue_size)
		return broken(dev, "available index too far ahead");
	chain->head = avail->ring[dev->s.next_avail % dev->s.queue_size];
	if (!read_chain(dev, chain))
		return false;
	dev->s.next_avail++;
	return true;
}

void virtq_push(struct virtio_pci *dev, u16 head, u32 written)
{
	struct vring_used *used = used_ring(dev);
	struct vring_used_elem *elem;

	if (!used || dev->s.used & 3) {
		broken(dev, "used ring outside of memory or misaligned");
		return;
	}
	elem = &used->ring[dev->s.used_idx % dev->s.queue_size];
	elem->id = head;
	elem->len = written;
	dev->s.used_idx++;
	__atomic_store_n(&used->idx, dev->s.used_idx, __ATOMIC_RELEASE);
	marks_add(dev->vm, &dev->marks, dev->s.used, sizeof(*used));
	marks_add(dev->vm, &dev->marks, dev->s.used + ((char *)elem - (char *)used),
		  sizeof(*elem));
}

void virtq_finish(struct virtio_pci *dev)
{
	struct vring_avail *avail = avail_ring(dev);

	marks_flush(dev->vm, &dev->marks);
	/* Order the used index before this look at the flag, as the driver does the reverse. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (avail && avail->flags & VRING_AVAIL_F_NO_INTERRUPT)
		return;
	dev->s.isr |= ISR_QUEUE;
	pci_intx(&dev->vm->pci, &dev->pci, true);
}
