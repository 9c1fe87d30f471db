/* SPDX-License-Identifier: GPL-2.0 */
/* A virtio 1.0 device with one queue on the PCI bus. */
#ifndef VMM_VIRTIO_PCI_H
#define VMM_VIRTIO_PCI_H

#include "mark.h"
#include "pci.h"
#include "util.h"

#define VIRTQ_SIZE	128
#define ISR_QUEUE	1	/* VIRTIO_PCI_ISR_CONFIG's sibling, which has no name */

/* What migrates, as it is; config space goes along with it. */
struct virtio_state {
	u32 device_feature_select;
	u32 driver_feature_select;
	u64 driver_features;
	u64 desc;
	u64 avail;
	u64 used;
	u16 queue_select;
	u16 queue_size;
	u16 queue_enable;
	u16 next_avail;		/* first entry of the available ring not yet looked at */
	u16 used_idx;
	u8 status;
	u8 isr;
	u32 __reserved;
	u8 config[PCI_CONFIG_SIZE];
};

struct virtio_pci {
	struct pci_device pci;
	struct vm *vm;
	struct virtio_state s;
	u64 features;
	const void *config;	/* the device-specific fields, read-only */
	u32 config_len;
	void (*notify)(struct virtio_pci *dev);
	struct marks marks;
};

struct virtq_segment {
	void *hva;
	u64 gpa;
	u32 len;
	bool device_writes;
};

struct virtq_chain {
	u16 head;
	unsigned int nr;
	struct virtq_segment segments[VIRTQ_SIZE];
};

void virtio_pci_init(struct virtio_pci *dev, struct vm *vm, u16 type, u32 class_rev);

/* What migrates; the device lock is held. Load gives -EINVAL for a state that cannot be. */
void virtio_pci_save(struct virtio_pci *dev, struct virtio_state *state);
int virtio_pci_load(struct virtio_pci *dev, const struct virtio_state *state);

/* Nothing in the queue is trusted: a chain that makes no sense stops the device. */
bool virtq_pop(struct virtio_pci *dev, struct virtq_chain *chain);
void virtq_push(struct virtio_pci *dev, u16 head, u32 written);

/* After the last virtq_push(): interrupt the guest, tell kvmx what was written. */
void virtq_finish(struct virtio_pci *dev);

/* The driver broke the rules: ask it for a reset. */
void virtio_broken(struct virtio_pci *dev, const char *why);

#endif
