// SPDX-License-Identifier: LGPL-2.1
/* Where a device is, and what drives it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "assign.h"

#define DEVICES	"/sys/bus/pci/devices"
#define GROUPS	"/sys/kernel/iommu_groups"

/* The last component of where a link leads; "" if there is none. */
static void link_name(const char *path, char *name, size_t size)
{
	char target[512];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *last;

	*name = '\0';
	if (n < 0)
		return;
	target[n] = '\0';
	last = strrchr(target, '/');
	snprintf(name, size, "%.*s", (int)size - 1, last ? last + 1 : target);
}

static void driver_of(const char *dir, const char *bdf, char *name, size_t size)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s/driver", dir, bdf);
	link_name(path, name, size);
}

static int parse_bdf(const char *text, char bdf[KVMX_BDF_LEN])
{
	unsigned int domain = 0, bus, slot, fn;
	int end = 0;

	if (sscanf(text, "%x:%x:%x.%x%n", &domain, &bus, &slot, &fn, &end) != 4) {
		domain = 0;
		if (sscanf(text, "%x:%x.%x%n", &bus, &slot, &fn, &end) != 3)
			return -EINVAL;
	}
	if (text[end] || domain > 0xffffff || bus > 0xff || slot > 0x1f || fn > 7)
		return -EINVAL;
	snprintf(bdf, KVMX_BDF_LEN, "%04x:%02x:%02x.%x", domain, bus, slot, fn);
	return 0;
}

int assign_find(struct kvmx_assign_vm *vm, const char *text, char bdf[KVMX_BDF_LEN], int *group)
{
	char path[128], name[64];

	if (parse_bdf(text, bdf))
		return assign_fail(vm, -EINVAL, "'%s' is not an address like 0000:01:00.0", text);
	snprintf(path, sizeof(path), DEVICES "/%s", bdf);
	if (access(path, F_OK))
		return assign_fail(vm, -ENODEV, "%s: there is no such PCI device", bdf);
	driver_of(DEVICES, bdf, name, sizeof(name));
	if (strcmp(name, DRIVER_NAME))
		return assign_fail(vm, -EXDEV,
				   "%s: its driver is %s: 'kvmxctl dev bind %s' makes it "
				   DRIVER_NAME, bdf, *name ? name : "none", bdf);
	snprintf(path, sizeof(path), DEVICES "/%s/iommu_group", bdf);
	link_name(path, name, sizeof(name));
	if (!*name)
		return assign_fail(vm, -EOPNOTSUPP, "%s: there is no IOMMU, or it is off", bdf);
	*group = atoi(name);
	return 0;
}

static bool stands_in_the_way(const char *driver)
{
	static const char * const harmless[] = {
		"", DRIVER_NAME, "vfio-pci", "pci-stub", "pcieport",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(harmless); i++) {
		if (!strcmp(driver, harmless[i]))
			return false;
	}
	return true;
}

int assign_blame(struct kvmx_assign_vm *vm, int group)
{
	char path[64], driver[64];
	struct dirent *entry;
	int err = -EPERM;
	DIR *dir;

	snprintf(path, sizeof(path), GROUPS "/%d/devices", group);
	dir = opendir(path);
	assign_fail(vm, err, "IOMMU group %d cannot be used: a driver has one of its devices",
		    group);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		driver_of(path, entry->d_name, driver, sizeof(driver));
		if (!stands_in_the_way(driver))
			continue;
		assign_fail(vm, err, "IOMMU group %d cannot be used while %s has %s", group,
			    driver, entry->d_name);
		break;
	}
	if (dir)
		closedir(dir);
	return err;
}
