// SPDX-License-Identifier: GPL-2.0
/*
 * Names of devices, from libpci.
 */
#include <stdio.h>

#include <pci/pci.h>

#include "dev.h"

/* Read once: it is long. The process ends with it. */
static struct pci_access *names(void)
{
	static struct pci_access *access;

	if (!access) {
		access = pci_alloc();
		/* Nobody is asked over the network what this host has. */
		access->id_lookup_mode = PCI_LOOKUP_NO_HWDB;
	}
	return access;
}

void devname_get(const struct kvmx_dev_report *report, char *buf, size_t size)
{
	const int what = PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE;
	const char *name = pci_lookup_name(names(), buf, size, what, report->vendor,
					   report->device);

	if (name != buf)
		snprintf(buf, size, "%s", name);
}

void devname_class(const struct kvmx_dev_report *report, char *buf, size_t size)
{
	const char *name = pci_lookup_name(names(), buf, size, PCI_LOOKUP_CLASS,
					   report->class_code >> 8);

	if (name != buf)
		snprintf(buf, size, "%s", name);
}
