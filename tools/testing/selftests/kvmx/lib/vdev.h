/* SPDX-License-Identifier: GPL-2.0 */
/*
 * PCI devices by way of VFIO, as a VMM uses them, and QEMU's edu device. Functions give 0 or an fd,
 * or -errno.
 */
#ifndef SELFTEST_KVMX_VDEV_H
#define SELFTEST_KVMX_VDEV_H

#include <linux/kvmx.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The runner gives a test machine these devices (tools/testing/vm/devices.sh). */
enum vdev_kind {
	VDEV_EDU,	/* alone on its bus */
	VDEV_PAIR1,	/* edu: the one of a group of two */
	VDEV_PAIR2,	/* edu: the other */
	VDEV_NVME,
	VDEV_NIC,
	VDEV_KINDS,
};

#define VDEV_BDF_LEN 16

struct vdev {
	char bdf[VDEV_BDF_LEN];
	int container;
	int group;
	int kvm_vfio;
	int fd;
	uint64_t config;		/* offset of the configuration space */
	volatile uint32_t *bar;		/* BAR 0 */
	size_t bar_size;
};

/* -ENODEV: the test machine lacks the device, which is a failure */
int vdev_find(enum vdev_kind kind, char bdf[VDEV_BDF_LEN]);
struct kvmx_pci_addr vdev_addr(const char *bdf);
/* Binds it to a driver ("" for none), whatever it is bound to. */
int vdev_bind(const char *bdf, const char *driver);

/* Container, group, KVM's association unless @vm_fd is -1, device, configuration space, BAR 0. */
int vdev_open(struct vdev *v, enum vdev_kind kind, int vm_fd);
/* A second device for the VM that @first is open for. */
int vdev_open_second(struct vdev *v, enum vdev_kind kind, const struct vdev *first);
/* A second device of an open one's group. */
int vdev_open_mate(struct vdev *v, enum vdev_kind kind, const struct vdev *mate);
void vdev_close(struct vdev *v);

int vdev_map(struct vdev *v, void *mem, uint64_t iova, uint64_t bytes);
int vdev_unmap(struct vdev *v, uint64_t iova, uint64_t bytes);

int vdev_command(struct vdev *v);
int vdev_set_command(struct vdev *v, uint16_t command);
/* Where a capability is in the configuration space, or -ENOENT. */
int vdev_cap(struct vdev *v, uint8_t id);
int vdev_read16(struct vdev *v, unsigned int at);
int vdev_write16(struct vdev *v, unsigned int at, uint16_t value);
int vdev_reset(struct vdev *v);
int vdev_hot_reset(struct vdev *v);
/* VFIO_DEVICE_FEATURE_BUS_MASTER */
int vdev_bus_master(struct vdev *v, bool on);
/* @nr eventfds as triggers, from vector 0 on. nr 0: no interrupts */
int vdev_irqs(struct vdev *v, uint32_t index, const int *eventfd, unsigned int nr);

/* edu: copy between guest memory and its buffer of 4 KiB; at most 2048 bytes. -ETIME */
int edu_dma(struct vdev *v, uint64_t iova, unsigned int at, unsigned int bytes, bool to_memory);
void edu_raise(struct vdev *v);
void edu_ack(struct vdev *v);

#endif
