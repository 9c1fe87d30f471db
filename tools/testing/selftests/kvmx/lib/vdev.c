// SPDX-License-Identifier: GPL-2.0
/* See vdev.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "lib/util.h"
#include "lib/vdev.h"

#define DEVICES "/sys/bus/pci/devices"

#ifndef VFIO_DEVICE_FEATURE_BUS_MASTER
#define VFIO_DEVICE_FEATURE_BUS_MASTER 10
#endif

/* edu's registers, in words */
#define EDU_RAISE	(0x60 / 4)
#define EDU_ACK		(0x64 / 4)
#define EDU_SOURCE	(0x80 / 4)
#define EDU_TARGET	(0x88 / 4)
#define EDU_COUNT	(0x90 / 4)
#define EDU_DMA		(0x98 / 4)
#define EDU_DMA_START	1
#define EDU_DMA_TO_MEMORY 2
#define EDU_BUFFER	0x40000

static const struct {
	const char *id;
	unsigned int nth;
} kinds[VDEV_KINDS] = {
	[VDEV_EDU] = { "0x1234:0x11e8", 0 },
	[VDEV_PAIR1] = { "0x1234:0x11e8", 1 },
	[VDEV_PAIR2] = { "0x1234:0x11e8", 2 },
	[VDEV_NVME] = { "0x1b36:0x0010", 0 },
	[VDEV_NIC] = { "0x8086:0x10d3", 0 },
};

static int read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	buf[n] = 0;
	buf[strcspn(buf, "\n")] = 0;
	return 0;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static bool has_id(const char *bdf, const char *id)
{
	char path[300], vendor[16], both[40];

	snprintf(path, sizeof(path), DEVICES "/%s/vendor", bdf);
	if (read_file(path, vendor, sizeof(vendor)))
		return false;
	snprintf(path, sizeof(path), DEVICES "/%s/device", bdf);
	snprintf(both, sizeof(both), "%s:", vendor);
	if (read_file(path, both + strlen(both), sizeof(both) - strlen(both)))
		return false;
	return !strcmp(both, id);
}

int vdev_find(enum vdev_kind kind, char bdf[VDEV_BDF_LEN])
{
	unsigned int nth = kinds[kind].nth;
	struct dirent **list;
	int i, n, ret = -ENODEV;

	n = scandir(DEVICES, &list, NULL, alphasort);
	for (i = 0; i < n; i++) {
		if (ret && has_id(list[i]->d_name, kinds[kind].id) && !nth--) {
			snprintf(bdf, VDEV_BDF_LEN, "%.15s", list[i]->d_name);
			ret = 0;
		}
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return ret;
}

struct kvmx_pci_addr vdev_addr(const char *bdf)
{
	struct kvmx_pci_addr addr = { 0 };
	unsigned int domain, bus, slot, fn;

	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &fn) == 4) {
		addr.domain = domain;
		addr.bus = bus;
		addr.devfn = slot << 3 | fn;
	}
	return addr;
}

static const char *driver_name(const char *bdf, char buf[64])
{
	char path[100], link[256];
	ssize_t n;

	snprintf(path, sizeof(path), DEVICES "/%s/driver", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return "";
	link[n] = 0;
	snprintf(buf, 64, "%.63s", strrchr(link, '/') + 1);
	return buf;
}

int vdev_bind(const char *bdf, const char *driver)
{
	char path[100], now[64];
	int err;

	if (!strcmp(driver_name(bdf, now), driver))
		return 0;
	if (*driver_name(bdf, now)) {
		snprintf(path, sizeof(path), DEVICES "/%s/driver/unbind", bdf);
		err = write_file(path, bdf);
		if (err)
			return err;
	}
	snprintf(path, sizeof(path), DEVICES "/%s/driver_override", bdf);
	err = write_file(path, *driver ? driver : "\n");
	if (err || !*driver)
		return err;
	err = write_file("/sys/bus/pci/drivers_probe", bdf);
	if (err)
		return err;
	return strcmp(driver_name(bdf, now), driver) ? -ENXIO : 0;
}

static int group_number(const char *bdf)
{
	char path[100], link[256];
	ssize_t n;

	snprintf(path, sizeof(path), DEVICES "/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = 0;
	return atoi(strrchr(link, '/') + 1);
}

/* A VM can have only one of these. */
static int create_kvm_vfio(struct vdev *v, int vm_fd)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };

	if (ioctl(vm_fd, KVM_CREATE_DEVICE, &create))
		return -errno;
	v->kvm_vfio = create.fd;
	return 0;
}

static int associate(const struct vdev *v, int kvm_vfio)
{
	int32_t group = v->group;
	struct kvm_device_attr attr = {
		.group = KVM_DEV_VFIO_GROUP,
		.attr = KVM_DEV_VFIO_GROUP_ADD,
		.addr = (uintptr_t)&group,
	};

	return ioctl(kvm_vfio, KVM_SET_DEVICE_ATTR, &attr) ? -errno : 0;
}

static int open_group(struct vdev *v)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[64];
	int nr = group_number(v->bdf);

	if (nr < 0)
		return nr;
	snprintf(path, sizeof(path), "/dev/vfio/%d", nr);
	v->group = open(path, O_RDWR | O_CLOEXEC);
	if (v->group < 0)
		return -errno;
	if (ioctl(v->group, VFIO_GROUP_GET_STATUS, &status))
		return -errno;
	return status.flags & VFIO_GROUP_FLAGS_VIABLE ? 0 : -EPERM;
}

static int open_container(struct vdev *v)
{
	v->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (v->container < 0 || ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container) ||
	    ioctl(v->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return -errno;
	return 0;
}

static int open_device(struct vdev *v, int group)
{
	struct vfio_region_info config = {
		.argsz = sizeof(config),
		.index = VFIO_PCI_CONFIG_REGION_INDEX,
	};
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = 0 };
	void *map;

	v->fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, v->bdf);
	if (v->fd < 0)
		return -errno;
	if (ioctl(v->fd, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    ioctl(v->fd, VFIO_DEVICE_GET_REGION_INFO, &bar))
		return -errno;
	v->config = config.offset;
	v->bar_size = bar.size;
	if (!(bar.flags & VFIO_REGION_INFO_FLAG_MMAP))
		return 0;
	map = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, bar.offset);
	if (map == MAP_FAILED)
		return -errno;
	v->bar = map;
	/* As firmware leaves it: memory decoded, no DMA. */
	return vdev_set_command(v, PCI_COMMAND_MEMORY);
}

static int prepare(struct vdev *v, enum vdev_kind kind)
{
	int err;

	memset(v, 0, sizeof(*v));
	v->container = -1;
	v->group = -1;
	v->kvm_vfio = -1;
	v->fd = -1;
	err = vdev_find(kind, v->bdf);
	return err ?: vdev_bind(v->bdf, "kvmx_vfio_pci");
}

int vdev_open(struct vdev *v, enum vdev_kind kind, int vm_fd)
{
	int err;

	err = prepare(v, kind);
	/* A group is not to be had with a member that another driver could drive. */
	if (!err && (kind == VDEV_PAIR1 || kind == VDEV_PAIR2)) {
		char bdf[VDEV_BDF_LEN];

		err = vdev_find(kind == VDEV_PAIR1 ? VDEV_PAIR2 : VDEV_PAIR1, bdf);
		if (!err)
			err = vdev_bind(bdf, "kvmx_vfio_pci");
	}
	if (!err)
		err = open_group(v);
	if (!err)
		err = open_container(v);
	if (!err && vm_fd >= 0)
		err = create_kvm_vfio(v, vm_fd);
	if (!err && vm_fd >= 0)
		err = associate(v, v->kvm_vfio);
	if (!err)
		err = open_device(v, v->group);
	if (err)
		vdev_close(v);
	return err;
}

int vdev_open_second(struct vdev *v, enum vdev_kind kind, const struct vdev *first)
{
	int err;

	err = prepare(v, kind);
	if (!err)
		err = open_group(v);
	if (!err)
		err = open_container(v);
	if (!err)
		err = associate(v, first->kvm_vfio);
	if (!err)
		err = open_device(v, v->group);
	if (err)
		vdev_close(v);
	return err;
}

int vdev_open_mate(struct vdev *v, enum vdev_kind kind, const struct vdev *mate)
{
	int err;

	err = prepare(v, kind);
	if (!err)
		err = open_device(v, mate->group);
	if (err)
		vdev_close(v);
	return err;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vdev_close(struct vdev *v)
{
	if (v->bar)
		munmap((void *)v->bar, v->bar_size);
	v->bar = NULL;
	close_fd(&v->fd);
	close_fd(&v->kvm_vfio);
	close_fd(&v->group);
	close_fd(&v->container);
}

int vdev_map(struct vdev *v, void *mem, uint64_t iova, uint64_t bytes)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)mem,
		.iova = iova,
		.size = bytes,
	};

	return ioctl(v->container, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

int vdev_unmap(struct vdev *v, uint64_t iova, uint64_t bytes)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = bytes,
	};

	return ioctl(v->container, VFIO_IOMMU_UNMAP_DMA, &unmap) ? -errno : 0;
}

int vdev_read16(struct vdev *v, unsigned int at)
{
	uint16_t value;

	return pread(v->fd, &value, 2, v->config + at) == 2 ? value : -errno;
}

int vdev_write16(struct vdev *v, unsigned int at, uint16_t value)
{
	return pwrite(v->fd, &value, 2, v->config + at) == 2 ? 0 : -errno;
}

int vdev_command(struct vdev *v)
{
	return vdev_read16(v, PCI_COMMAND);
}

int vdev_set_command(struct vdev *v, uint16_t command)
{
	return vdev_write16(v, PCI_COMMAND, command);
}

int vdev_cap(struct vdev *v, uint8_t id)
{
	uint8_t at = vdev_read16(v, PCI_CAPABILITY_LIST) & 0xfc;
	int i;

	for (i = 0; at && i < 48; i++) {
		int cap = vdev_read16(v, at);

		if (cap < 0 || (cap & 0xff) == id)
			return cap < 0 ? cap : at;
		at = cap >> 8 & 0xfc;
	}
	return -ENOENT;
}

int vdev_reset(struct vdev *v)
{
	return ioctl(v->fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

int vdev_hot_reset(struct vdev *v)
{
	char buf[sizeof(struct vfio_pci_hot_reset) + sizeof(int32_t)] = { 0 };
	struct vfio_pci_hot_reset *reset = (void *)buf;

	reset->argsz = sizeof(buf);
	reset->count = 1;
	reset->group_fds[0] = v->group;
	return ioctl(v->fd, VFIO_DEVICE_PCI_HOT_RESET, reset) ? -errno : 0;
}

int vdev_bus_master(struct vdev *v, bool on)
{
	char buf[sizeof(struct vfio_device_feature) + sizeof(uint32_t)] = { 0 };
	struct vfio_device_feature *feature = (void *)buf;
	uint32_t op = on;

	feature->argsz = sizeof(buf);
	feature->flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_BUS_MASTER;
	memcpy(feature->data, &op, sizeof(op));
	return ioctl(v->fd, VFIO_DEVICE_FEATURE, feature) < 0 ? -errno : 0;
}

int vdev_irqs(struct vdev *v, uint32_t index, const int *eventfd, unsigned int nr)
{
	char buf[sizeof(struct vfio_irq_set) + 64 * sizeof(int32_t)] = { 0 };
	struct vfio_irq_set *set = (void *)buf;
	unsigned int i;

	set->argsz = sizeof(*set) + nr * sizeof(int32_t);
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER |
		     (nr ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->count = nr;
	for (i = 0; i < nr && i < 64; i++)
		memcpy(set->data + i * sizeof(int32_t), &eventfd[i], sizeof(int32_t));
	return ioctl(v->fd, VFIO_DEVICE_SET_IRQS, set) ? -errno : 0;
}

/* The registers of a DMA are 64 bits wide and take nothing else. */
static void edu_write(struct vdev *v, unsigned int reg, uint64_t value)
{
	*(volatile uint64_t *)(v->bar + reg) = value;
}

int edu_dma(struct vdev *v, uint64_t iova, unsigned int at, unsigned int bytes, bool to_memory)
{
	uint64_t end = deadline_ns(5);

	edu_write(v, EDU_SOURCE, to_memory ? EDU_BUFFER + at : iova);
	edu_write(v, EDU_TARGET, to_memory ? iova : EDU_BUFFER + at);
	edu_write(v, EDU_COUNT, bytes);
	edu_write(v, EDU_DMA, EDU_DMA_START | (to_memory ? EDU_DMA_TO_MEMORY : 0));
	while (v->bar[EDU_DMA] & EDU_DMA_START) {
		if (now_ns() > end)
			return -ETIME;
		sleep_ms(5);
	}
	return 0;
}

void edu_raise(struct vdev *v)
{
	v->bar[EDU_RAISE] = 1;
}

void edu_ack(struct vdev *v)
{
	v->bar[EDU_ACK] = 1;
}
