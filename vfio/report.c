// SPDX-License-Identifier: GPL-2.0
/*
 * What there is to say about a PCI device before, and while, a VM has it.
 */
#include <linux/delay.h>
#include <linux/iommu.h>
#include <linux/kvm_host.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>

#include "vfio.h"

/* What keeps a device's requests from its neighbours: of a port, of a function beside others */
#define ACS_APART	(PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)
#define ACS_BESIDE	(PCI_ACS_RR | PCI_ACS_CR)

/*
 * The name of a device's driver, and whether that lets VFIO have the device's group. While it is
 * being bound or unbound, which can last as long as somebody has the device open, nobody can know.
 */
static bool driver_of(struct pci_dev *pdev, char name[KVMX_DRIVER_LEN])
{
	struct device_driver *drv;
	bool blocks = false;
	int tries;

	memset(name, 0, KVMX_DRIVER_LEN);
	for (tries = 0; !device_trylock(&pdev->dev); tries++) {
		if (tries == 10) {
			strscpy(name, kvmx_pci_drives(pdev) ? "kvmx_vfio_pci" : "?",
				KVMX_DRIVER_LEN);
			return false;
		}
		usleep_range(1000, 2000);
	}
	drv = pdev->dev.driver;
	if (drv) {
		strscpy(name, drv->name, KVMX_DRIVER_LEN);
		blocks = !to_pci_driver(drv)->driver_managed_dma;
	}
	device_unlock(&pdev->dev);
	return blocks;
}

static int foreign_driver(struct device *dev, void *data)
{
	return !dev_is_pci(dev) && READ_ONCE(dev->driver);
}

static bool acs_on(struct pci_dev *pdev, u16 flags)
{
	int pos = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_ACS);
	u16 ctrl;

	if (!pos)
		return false;
	pci_read_config_word(pdev, pos + PCI_ACS_CTRL, &ctrl);
	return (ctrl & flags) == flags;
}

/* Whether each function beside the device, and each port above it, keeps requests apart. */
static bool acs_on_path(struct pci_dev *pdev)
{
	struct pci_dev *up;

	for (; (up = pci_upstream_bridge(pdev)); pdev = up) {
		int type = pci_is_pcie(up) ? pci_pcie_type(up) : PCI_EXP_TYPE_PCI_BRIDGE;

		if (pdev->multifunction && !pdev->is_virtfn && !acs_on(pdev, ACS_BESIDE))
			return false;
		if (type != PCI_EXP_TYPE_UPSTREAM && type != PCI_EXP_TYPE_DOWNSTREAM &&
		    type != PCI_EXP_TYPE_ROOT_PORT)
			return false;
		if (type != PCI_EXP_TYPE_UPSTREAM && !acs_on(up, ACS_APART))
			return false;
	}
	return !pdev->multifunction || pci_pcie_type(pdev) == PCI_EXP_TYPE_ROOT_PORT ||
	       acs_on(pdev, ACS_BESIDE);
}

static void report_reset(struct kvmx_dev_report *r, struct pci_dev *pdev)
{
	r->resets = kvmx_reset_methods(pdev, &r->first_reset);
	if (kvmx_hot_reset_works(pdev))
		r->resets |= KVMX_RESET_HOT;
}

static u32 power_state(struct pci_dev *pdev)
{
	int power = kvmx_power(pdev);

	return power >= KVMX_D0 && power <= KVMX_D3COLD ? power : KVMX_POWER_UNKNOWN;
}

/* What can be read of the device itself. One that is switched off is not woken for that. */
static void report_device(struct kvmx_dev_report *r, struct pci_dev *pdev)
{
	struct iommu_group *group = iommu_group_get(&pdev->dev);
	struct device *parent = pdev->dev.parent;
	u16 cmd;

	/* A port that sleeps passes nothing on. */
	if (parent)
		pm_runtime_get_sync(parent);

	r->group = group ? iommu_group_id(group) : -1;
	if (group && !iommu_group_for_each_dev(group, NULL, foreign_driver))
		r->state |= KVMX_DEV_VIABLE;
	iommu_group_put(group);
	r->vendor = pdev->vendor;
	r->device = pdev->device;
	r->subsystem_vendor = pdev->subsystem_vendor;
	r->subsystem_device = pdev->subsystem_device;
	r->class_code = pdev->class;
	r->power = power_state(pdev);
	r->msi = 0;
	r->msix = 0;
	r->nr_vfs = pci_num_vf(pdev);
	r->max_vfs = pci_sriov_get_totalvfs(pdev);
	r->dirty = KVMX_DIRTY_CANDIDATES;
	if (kvmx_iommu_dirty(&pdev->dev))
		r->dirty |= KVMX_DIRTY_IOMMU;
	if (pci_is_pcie(pdev))
		r->state |= KVMX_DEV_PCIE;
	if (acs_on_path(pdev))
		r->state |= KVMX_DEV_ACS;
	if (r->max_vfs)
		r->state |= KVMX_DEV_PF;
	if (pdev->is_virtfn)
		r->state |= KVMX_DEV_VF;
	if (kvmx_is_bridge(pdev))
		r->state |= KVMX_DEV_BRIDGE;
	if (r->power < KVMX_D3COLD) {
		r->msi = max(pci_msi_vec_count(pdev), 0);
		r->msix = max(pci_msix_vec_count(pdev), 0);
		pci_read_config_word(pdev, PCI_COMMAND, &cmd);
		if (!PCI_POSSIBLE_ERROR(cmd) && cmd & PCI_COMMAND_MASTER)
			r->state |= KVMX_DEV_MASTER;
	}
	if (parent)
		pm_runtime_put(parent);
}

/* What this driver knows about it. */
static void report_use(struct kvmx_dev_report *r, struct pci_dev *pdev)
{
	struct kvmx_identity id;
	struct kvmx_pci *d;

	memset(r->vm_uuid, 0, sizeof(r->vm_uuid));
	r->pid = 0;
	if (kvmx_pci_drives(pdev))
		r->state |= KVMX_DEV_DRIVEN;
	if (kvmx_lease_of(&r->addr, r->lease_uuid))
		r->state |= KVMX_DEV_LEASED;
	mutex_lock(&kvmx_open_lock);
	d = kvmx_open_find(&r->addr);
	if (d) {
		r->state |= KVMX_DEV_OPEN;
		if (READ_ONCE(d->holds))
			r->state |= KVMX_DEV_QUIESCED;
		if (READ_ONCE(d->holds) && !READ_ONCE(d->proven))
			r->state |= KVMX_DEV_UNPROVEN;
		if (d->owner.kvm) {
			kvmx_assign_identify(&d->owner, &id);
			memcpy(r->vm_uuid, id.uuid, sizeof(r->vm_uuid));
			r->pid = d->owner.kvm->userspace_pid;
		}
		/* VFIO has tried when it was opened. */
		if (!d->core.reset_works && d->life == KVMX_PCI_OPEN)
			r->first_reset = 0;
		if (d->core.vdev.log_ops)
			r->dirty |= KVMX_DIRTY_DEVICE;
	}
	mutex_unlock(&kvmx_open_lock);
}

static bool is_open(const struct kvmx_pci_addr *addr)
{
	bool open;

	mutex_lock(&kvmx_open_lock);
	open = kvmx_open_find(addr);
	mutex_unlock(&kvmx_open_lock);
	return open;
}

/* Describes a member. Returns whether its driver stands in the way of its group. */
static bool report_member(struct kvmx_dev_member *m, const struct kvmx_pci_addr *addr)
{
	struct pci_dev *pdev = kvmx_addr_get(addr);

	*m = (struct kvmx_dev_member){ .addr = *addr };
	if (!pdev)
		return false;
	if (driver_of(pdev, m->driver))
		m->flags |= KVMX_MEMBER_BLOCKS;
	if (kvmx_is_bridge(pdev))
		m->flags |= KVMX_MEMBER_BRIDGE;
	if (is_open(addr))
		m->flags |= KVMX_MEMBER_OPEN;
	pci_dev_put(pdev);
	return m->flags & KVMX_MEMBER_BLOCKS;
}

static int report_members(struct kvmx_dev_report *r, struct pci_dev *pdev,
			  struct kvmx_dev_member *members, u32 room)
{
	struct kvmx_dev_set all = { }, group = { }, reset = { };
	struct kvmx_dev_member m;
	bool blocked;
	int ret;
	u32 i;

	ret = kvmx_set_add(&all, &r->addr);
	if (!ret)
		ret = kvmx_set_group(&group, pdev);
	if (!ret)
		ret = kvmx_set_reset(&reset, pdev);
	for (i = 0; !ret && i < group.nr; i++)
		ret = kvmx_set_add(&all, &group.addr[i]);
	for (i = 0; !ret && i < reset.nr; i++)
		ret = kvmx_set_add(&all, &reset.addr[i]);
	for (i = 0; !ret && i < all.nr; i++) {
		blocked = report_member(&m, &all.addr[i]);
		if (!i)
			memcpy(r->driver, m.driver, sizeof(r->driver));
		if (!i || kvmx_set_has(&group, &all.addr[i])) {
			m.flags |= KVMX_MEMBER_GROUP;
			if (blocked)
				r->state &= ~KVMX_DEV_VIABLE;
		} else {
			/* What is of another group is in no way of this one. */
			m.flags &= ~KVMX_MEMBER_BLOCKS;
		}
		if (!i || kvmx_set_has(&reset, &all.addr[i]))
			m.flags |= KVMX_MEMBER_RESET;
		if (i < room)
			members[i] = m;
	}
	ret = ret ?: all.nr;
	kvmx_set_free(&all);
	kvmx_set_free(&group);
	kvmx_set_free(&reset);
	return ret;
}

/* The device at an address, or the first one after it. */
static struct pci_dev *find(const struct kvmx_pci_addr *addr, bool next)
{
	struct pci_dev *pdev = NULL, *best = NULL;
	struct kvmx_pci_addr at, best_at;

	if (!next)
		return kvmx_addr_get(addr);
	while ((pdev = pci_get_device(PCI_ANY_ID, PCI_ANY_ID, pdev))) {
		at = kvmx_addr_of(pdev);
		if (kvmx_addr_key(&at) < kvmx_addr_key(addr))
			continue;
		if (!best || kvmx_addr_key(&at) < kvmx_addr_key(&best_at)) {
			pci_dev_put(best);
			best = pci_dev_get(pdev);
			best_at = at;
		}
	}
	return best;
}

/**
 * kvmx_report() - KVMX_DEV_REPORT
 * @r: the report; its addr and flags are valid
 * @members: where members go
 * @room: members there is room for
 *
 * Return: how many members there are, or an error as documented in the UAPI.
 */
int kvmx_report(struct kvmx_dev_report *r, struct kvmx_dev_member *members, u32 room)
{
	struct pci_dev *pdev = find(&r->addr, r->flags & KVMX_DEV_NEXT);
	int ret;

	if (!pdev)
		return -ENODEV;
	r->addr = kvmx_addr_of(pdev);
	r->state = 0;
	report_device(r, pdev);
	report_reset(r, pdev);
	report_use(r, pdev);
	ret = report_members(r, pdev, members, room);
	pci_dev_put(pdev);
	return ret;
}
