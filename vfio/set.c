// SPDX-License-Identifier: GPL-2.0
/*
 * Which devices go together: the IOMMU group, and what a reset takes along.
 */
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "vfio.h"

/**
 * kvmx_set_has() - whether a device is in a set
 * @set: the set
 * @addr: the device
 *
 * Return: whether it is.
 */
bool kvmx_set_has(const struct kvmx_dev_set *set, const struct kvmx_pci_addr *addr)
{
	u32 i;

	for (i = 0; i < set->nr; i++) {
		if (kvmx_addr_equal(&set->addr[i], addr))
			return true;
	}
	return false;
}

/**
 * kvmx_set_add() - add a device to a set, unless it is in it
 * @set: the set
 * @addr: the device
 *
 * Return: 0, -ENOMEM, or -ENOSPC beyond KVMX_MAX_LEASED.
 */
int kvmx_set_add(struct kvmx_dev_set *set, const struct kvmx_pci_addr *addr)
{
	struct kvmx_pci_addr *larger;
	u32 room;

	if (kvmx_set_has(set, addr))
		return 0;
	if (set->nr == KVMX_MAX_LEASED)
		return -ENOSPC;
	if (set->nr == set->room) {
		room = max(16U, 2 * set->room);
		larger = kvmalloc_array(room, sizeof(*larger), GFP_KERNEL_ACCOUNT);
		if (!larger)
			return -ENOMEM;
		if (set->nr)
			memcpy(larger, set->addr, set->nr * sizeof(*larger));
		kvfree(set->addr);
		set->addr = larger;
		set->room = room;
	}
	set->addr[set->nr++] = *addr;
	return 0;
}

/**
 * kvmx_set_free() - free what a set holds
 * @set: the set
 */
void kvmx_set_free(struct kvmx_dev_set *set)
{
	kvfree(set->addr);
	*set = (struct kvmx_dev_set){ };
}

/**
 * struct kvmx_bus_count - a count of the devices on a bus
 * @bus: the bus
 * @nr: devices
 */
struct kvmx_bus_count {
	const struct pci_bus *bus;
	u32 nr;
};

static int add_dev(struct kvmx_dev_set *set, const struct pci_dev *pdev)
{
	struct kvmx_pci_addr addr = kvmx_addr_of(pdev);

	return kvmx_set_add(set, &addr);
}

static int add_member(struct device *dev, void *data)
{
	return dev_is_pci(dev) ? add_dev(data, to_pci_dev(dev)) : 0;
}

/**
 * kvmx_set_group() - add the IOMMU group of a device, bridges included
 * @set: the set
 * @pdev: the device
 *
 * Return: 0, -ENOMEM or -ENOSPC.
 */
int kvmx_set_group(struct kvmx_dev_set *set, struct pci_dev *pdev)
{
	struct iommu_group *group = iommu_group_get(&pdev->dev);
	int err;

	if (!group)
		return 0;
	err = iommu_group_for_each_dev(group, set, add_member);
	iommu_group_put(group);
	return err;
}

/**
 * kvmx_hot_reset_works() - whether a device's slot or bus can be reset
 * @pdev: the device
 *
 * Return: whether VFIO could do that.
 */
bool kvmx_hot_reset_works(struct pci_dev *pdev)
{
	return (pdev->slot && !pci_probe_reset_slot(pdev->slot)) ||
	       (!pci_is_root_bus(pdev->bus) && !pci_probe_reset_bus(pdev->bus));
}

/* Numbers in pci_dev.reset_methods of those that take the bus along. */
#define METHOD_BUS	6

static int count_on_bus(struct pci_dev *pdev, void *data)
{
	struct kvmx_bus_count *c = data;

	c->nr += pdev->bus == c->bus;
	return 0;
}

/*
 * The kernel has found out whether a device can be reset when it met it, and may have met its
 * neighbours later: then a reset of the bus it once was alone on does not work any more.
 */
static bool method_works(struct pci_dev *pdev, u8 method)
{
	struct kvmx_bus_count c = { .bus = pdev->bus };

	if (method < METHOD_BUS)
		return method;
	if (pdev->slot && !pdev->multifunction && !pci_probe_reset_slot(pdev->slot))
		return true;
	pci_walk_bus(pdev->bus, count_on_bus, &c);
	return c.nr == 1;
}

/**
 * kvmx_reset_methods() - how a device can be reset alone
 * @pdev: the device
 * @first: out: KVMX_RESET_*, the way that is tried first; 0 if there is none
 *
 * Return: KVMX_RESET_* bits.
 */
u32 kvmx_reset_methods(struct pci_dev *pdev, u32 *first)
{
	u32 i, bit, all = 0;

	*first = 0;
	for (i = 0; i < ARRAY_SIZE(pdev->reset_methods) && pdev->reset_methods[i]; i++) {
		if (!method_works(pdev, pdev->reset_methods[i]))
			continue;
		/* Our bits are in the order of the kernel's numbers, which begin with 1. */
		bit = BIT(pdev->reset_methods[i] - 1);
		*first = *first ?: bit;
		all |= bit;
	}
	return all;
}

/**
 * struct reset_walk - a walk over the devices that are reset together
 * @set: where they go
 * @slot: only those in or below this slot, or NULL for all of the bus
 * @err: the first error
 */
struct reset_walk {
	struct kvmx_dev_set *set;
	struct pci_slot *slot;
	int err;
};

static bool below_slot(struct pci_dev *pdev, const struct pci_slot *slot)
{
	for (; pdev; pdev = pci_upstream_bridge(pdev)) {
		if (pdev->bus == slot->bus)
			return pdev->slot == slot;
	}
	return false;
}

static int walk_reset(struct pci_dev *pdev, void *data)
{
	struct reset_walk *w = data;

	if (!w->slot || below_slot(pdev, w->slot))
		w->err = add_dev(w->set, pdev);
	return w->err;
}

/**
 * kvmx_set_reset() - add what can only be reset together with a device, bridges included
 * @set: the set
 * @pdev: the device
 *
 * One that can be reset alone needs no other. Of a device that cannot be reset at all nothing is
 * known to be lost with its neighbours.
 *
 * Return: 0, -ENOMEM or -ENOSPC.
 */
int kvmx_set_reset(struct kvmx_dev_set *set, struct pci_dev *pdev)
{
	struct reset_walk w = { .set = set };
	u32 first;

	if (kvmx_reset_methods(pdev, &first) || !kvmx_hot_reset_works(pdev))
		return 0;
	if (pdev->slot && !pci_probe_reset_slot(pdev->slot))
		w.slot = pdev->slot;
	pci_walk_bus(pdev->bus, walk_reset, &w);
	return w.err;
}

/**
 * kvmx_set_close() - add to a set whatever its devices cannot be parted from
 * @set: the set; bridges are taken out
 *
 * Return: 0, -ENOMEM or -ENOSPC.
 */
int kvmx_set_close(struct kvmx_dev_set *set)
{
	struct pci_dev *pdev;
	u32 i, n = 0;
	int err = 0;

	for (i = 0; i < set->nr && !err; i++) {
		pdev = kvmx_addr_get(&set->addr[i]);
		if (pdev && !kvmx_is_bridge(pdev)) {
			err = kvmx_set_group(set, pdev);
			if (!err)
				err = kvmx_set_reset(set, pdev);
		}
		pci_dev_put(pdev);
		cond_resched();
	}
	for (i = 0; i < set->nr; i++) {
		pdev = kvmx_addr_get(&set->addr[i]);
		if (!pdev || !kvmx_is_bridge(pdev))
			set->addr[n++] = set->addr[i];
		pci_dev_put(pdev);
	}
	set->nr = n;
	return err;
}
