// SPDX-License-Identifier: LGPL-2.1
/* A device's regions, and what of them can be mapped. */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "assign.h"

#define MAX_CAPS	48	/* capabilities that there is room for */
#define MSIX_ENTRY	16

/* Pages that must not be mapped. */
struct hole {
	uint64_t start;
	uint64_t end;
};

static int read_config(const struct kvmx_device *dev, uint32_t at, void *data, size_t len)
{
	const struct kvmx_device_region *config = &dev->region[VFIO_PCI_CONFIG_REGION_INDEX];
	ssize_t n = pread(dev->fd, data, len, config->offset + at);

	return n == (ssize_t)len ? 0 : n < 0 ? -errno : -EIO;
}

/* Where the vectors are: the guest's are not the host's, so the VMM has to stand in for them. */
static int find_msix(struct kvmx_device *dev)
{
	uint32_t word, i;
	uint8_t at = 0;
	int err;

	err = read_config(dev, PCI_CAPABILITY_LIST, &at, 1);
	for (i = 0; i < MAX_CAPS && !err && at >= PCI_STD_HEADER_SIZEOF; i++) {
		err = read_config(dev, at & ~3, &word, 4);
		if (err || (word & 0xff) == PCI_CAP_ID_MSIX)
			break;
		at = word >> 8;
	}
	if (err || i == MAX_CAPS || at < PCI_STD_HEADER_SIZEOF)
		return err;
	at &= ~3;
	dev->msix.nr = (word >> 16 & PCI_MSIX_FLAGS_QSIZE) + 1;
	err = read_config(dev, at + PCI_MSIX_TABLE, &word, 4);
	if (err)
		return err;
	dev->msix.table_bar = word & PCI_MSIX_TABLE_BIR;
	dev->msix.table = word & PCI_MSIX_TABLE_OFFSET;
	err = read_config(dev, at + PCI_MSIX_PBA, &word, 4);
	dev->msix.pba_bar = word & PCI_MSIX_PBA_BIR;
	dev->msix.pba = word & PCI_MSIX_PBA_OFFSET;
	return err;
}

static struct hole pages_of(uint64_t start, uint64_t len)
{
	return (struct hole){
		.start = start & ~(PAGE_BYTES - 1ULL),
		.end = (start + len + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1ULL),
	};
}

/* In order. */
static uint32_t holes_of(const struct kvmx_device *dev, uint32_t index, struct hole *holes)
{
	const struct kvmx_device_msix *msix = &dev->msix;
	uint32_t nr = 0;

	if (msix->nr && msix->table_bar == index)
		holes[nr++] = pages_of(msix->table, msix->nr * MSIX_ENTRY);
	if (msix->nr && msix->pba_bar == index)
		holes[nr++] = pages_of(msix->pba, (msix->nr + 63) / 64 * 8);
	if (nr == 2 && holes[1].start < holes[0].start) {
		struct hole first = holes[1];

		holes[1] = holes[0];
		holes[0] = first;
	}
	return nr;
}

static const struct vfio_info_cap_header *find_cap(const struct vfio_region_info *info, uint16_t id)
{
	const struct vfio_info_cap_header *cap;
	uint32_t at = info->cap_offset;

	if (!(info->flags & VFIO_REGION_INFO_FLAG_CAPS))
		return NULL;
	while (at && at + sizeof(*cap) <= info->argsz) {
		cap = (const void *)((const char *)info + at);
		if (cap->id == id)
			return cap;
		/* They are a chain; one that leads back would have no end. */
		if (cap->next <= at)
			break;
		at = cap->next;
	}
	return NULL;
}

/* The kernel says how much room it needs, and may then want more. */
static int get_info(int fd, uint32_t index, struct vfio_region_info **result)
{
	struct vfio_region_info *info = NULL, *more;
	uint32_t argsz = sizeof(*info);

	for (;;) {
		more = realloc(info, argsz);
		if (!more) {
			free(info);
			return -ENOMEM;
		}
		info = more;
		memset(info, 0, argsz);
		info->argsz = argsz;
		info->index = index;
		if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info)) {
			int err = -errno;

			free(info);
			return err;
		}
		if (info->argsz <= argsz)
			break;
		argsz = info->argsz;
	}
	*result = info;
	return 0;
}

static int add_area(struct kvmx_device *dev, struct kvmx_device_region *region, uint64_t offset,
		    uint64_t size)
{
	struct kvmx_device_area *area = &region->area[region->nr_areas];
	int prot = 0;
	void *hva;

	/* A BAR smaller than a page shares that with others, and is trapped. */
	if (!size || offset % PAGE_BYTES || size % PAGE_BYTES)
		return 0;
	if (region->flags & VFIO_REGION_INFO_FLAG_READ)
		prot |= PROT_READ;
	if (region->flags & VFIO_REGION_INFO_FLAG_WRITE)
		prot |= PROT_WRITE;
	hva = mmap(NULL, size, prot, MAP_SHARED, dev->fd, region->offset + offset);
	if (hva == MAP_FAILED)
		return -errno;
	/* A child would keep the device from being closed. */
	madvise(hva, size, MADV_DONTFORK);
	*area = (struct kvmx_device_area){ .offset = offset, .size = size, .hva = hva };
	region->nr_areas++;
	return 0;
}

static int add_around_holes(struct kvmx_device *dev, uint32_t index, uint64_t start, uint64_t size)
{
	struct kvmx_device_region *region = &dev->region[index];
	uint64_t end = start + size;
	struct hole holes[2];
	uint32_t i, nr = holes_of(dev, index, holes);
	int err = 0;

	for (i = 0; i < nr && !err; i++) {
		if (holes[i].end <= start || holes[i].start >= end)
			continue;
		if (holes[i].start > start)
			err = add_area(dev, region, start, holes[i].start - start);
		start = min_u64(holes[i].end, end);
	}
	return err ? err : add_area(dev, region, start, end - start);
}

static int map_areas(struct kvmx_device *dev, uint32_t index, const struct vfio_region_info *info)
{
	struct kvmx_device_region *region = &dev->region[index];
	const struct vfio_region_info_cap_sparse_mmap *sparse;
	uint32_t i, nr;
	int err = 0;

	sparse = (const void *)find_cap(info, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
	nr = sparse ? sparse->nr_areas : 1;
	if (sparse && (const char *)(sparse->areas + nr) > (const char *)info + info->argsz)
		return -EPROTO;
	/* Each hole can make two of one. */
	region->area = calloc(nr + 2, sizeof(*region->area));
	if (!region->area)
		return -ENOMEM;
	if (!sparse)
		return add_around_holes(dev, index, 0, info->size);
	for (i = 0; i < nr && !err; i++)
		err = add_around_holes(dev, index, sparse->areas[i].offset, sparse->areas[i].size);
	return err;
}

static int get_region(struct kvmx_device *dev, uint32_t index)
{
	struct kvmx_device_region *region = &dev->region[index];
	struct vfio_region_info *info = NULL;
	int err;

	err = get_info(dev->fd, index, &info);
	/* Not every device has a ROM or is a VGA adapter. */
	if (err == -EINVAL && index != VFIO_PCI_CONFIG_REGION_INDEX)
		return 0;
	if (err)
		return err;
	region->offset = info->offset;
	region->size = info->size;
	region->flags = info->flags & (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	if (info->size && (info->flags & VFIO_REGION_INFO_FLAG_MMAP))
		err = map_areas(dev, index, info);
	free(info);
	return err;
}

int assign_regions(struct assigned *d)
{
	uint32_t i;
	int err;

	err = get_region(&d->dev, VFIO_PCI_CONFIG_REGION_INDEX);
	if (!err)
		err = find_msix(&d->dev);
	for (i = 0; i < VFIO_PCI_NUM_REGIONS && !err; i++) {
		if (i != VFIO_PCI_CONFIG_REGION_INDEX)
			err = get_region(&d->dev, i);
	}
	return err ? assign_fail(d->dev.vm, err, "%s: cannot map its regions: %s", d->dev.bdf,
				 strerror(-err)) : 0;
}

void assign_regions_drop(struct assigned *d)
{
	struct kvmx_device_region *region;
	uint32_t i, a;

	for (i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		region = &d->dev.region[i];
		for (a = 0; a < region->nr_areas; a++)
			munmap(region->area[a].hva, region->area[a].size);
		free(region->area);
		*region = (struct kvmx_device_region){ 0 };
	}
}

bool assign_is_area(const struct kvmx_assign_state *state, uint64_t hva)
{
	const struct kvmx_device_area *area;
	const struct assigned *d;
	uint32_t i, a;

	for (d = state->devices; d; d = d->next) {
		for (i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
			for (a = 0; a < d->dev.region[i].nr_areas; a++) {
				area = &d->dev.region[i].area[a];
				if (hva >= (uintptr_t)area->hva &&
				    hva - (uintptr_t)area->hva < area->size)
					return true;
			}
		}
	}
	return false;
}
