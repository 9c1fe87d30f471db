// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl dev: the PCI devices of this host. List and show.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kvmx/kvmx.h>

#include "attach.h"
#include "command.h"
#include "dev.h"
#include "out.h"

struct bit {
	uint32_t bit;
	const char *name;
};

static const struct bit states[] = {
	{ KVMX_DEV_OPEN, "open" },
	{ KVMX_DEV_MASTER, "bus-master" },
	{ KVMX_DEV_QUIESCED, "quiesced" },
	{ KVMX_DEV_UNPROVEN, "unproven" },
	{ KVMX_DEV_LEASED, "leased" },
	{ KVMX_DEV_VIABLE, "viable" },
	{ KVMX_DEV_PCIE, "pcie" },
	{ KVMX_DEV_ACS, "acs" },
	{ KVMX_DEV_PF, "sriov" },
	{ KVMX_DEV_VF, "vf" },
	{ KVMX_DEV_BRIDGE, "bridge" },
};

static const struct bit resets[] = {
	{ KVMX_RESET_SPECIFIC, "specific" },
	{ KVMX_RESET_ACPI, "acpi" },
	{ KVMX_RESET_FLR, "flr" },
	{ KVMX_RESET_AF_FLR, "af-flr" },
	{ KVMX_RESET_PM, "pm" },
	{ KVMX_RESET_BUS, "bus" },
	{ KVMX_RESET_CXL_BUS, "cxl-bus" },
	{ KVMX_RESET_HOT, "hot" },
};

static const struct bit dirty_modes[] = {
	{ KVMX_DIRTY_CANDIDATES, "candidates" },
	{ KVMX_DIRTY_IOMMU, "iommu" },
	{ KVMX_DIRTY_DEVICE, "device" },
};

static const struct bit member_flags[] = {
	{ KVMX_MEMBER_GROUP, "group" },
	{ KVMX_MEMBER_RESET, "reset" },
	{ KVMX_MEMBER_BRIDGE, "bridge" },
	{ KVMX_MEMBER_BLOCKS, "blocks" },
	{ KVMX_MEMBER_OPEN, "open" },
};

static void add_bits(struct json_object *obj, const char *key, uint32_t value,
		     const struct bit *bits, size_t nr)
{
	struct json_object *array = json_object_new_array();
	size_t i;

	for (i = 0; i < nr; i++) {
		if (value & bits[i].bit)
			out_append_text(array, bits[i].name);
	}
	json_object_object_add(obj, key, array);
}

static void add_uuid(struct json_object *obj, const char *key, const uint8_t *uuid)
{
	static const uint8_t none[KVMX_UUID_LEN];
	char text[40];

	if (!memcmp(uuid, none, sizeof(none)))
		return;
	dev_format_uuid(uuid, text);
	out_add_text(obj, key, text);
}

static struct json_object *device_json(const struct kvmx_dev_report *r)
{
	struct json_object *obj = json_object_new_object();
	static const char * const power[] = { "D0", "D1", "D2", "D3hot", "D3cold", "unknown" };
	char text[256], bdf[DEV_BDF_LEN];

	dev_format_bdf(&r->addr, bdf);
	out_add_text(obj, "device", bdf);
	devname_class(r, text, sizeof(text));
	out_add_text(obj, "class", text);
	devname_get(r, text, sizeof(text));
	out_add_text(obj, "name", text);
	snprintf(text, sizeof(text), "%04x:%04x", r->vendor, r->device);
	out_add_text(obj, "id", text);
	snprintf(text, sizeof(text), "%04x:%04x", r->subsystem_vendor, r->subsystem_device);
	out_add_text(obj, "subsystem", text);
	if (r->driver[0])
		out_add_text(obj, "driver", r->driver);
	if (r->group >= 0)
		out_add_u64(obj, "iommu_group", r->group);
	add_bits(obj, "state", r->state, states, ARRAY_SIZE(states));
	out_add_text(obj, "power", power[r->power < KVMX_POWER_UNKNOWN ? r->power :
					 KVMX_POWER_UNKNOWN]);
	add_bits(obj, "resets", r->resets, resets, ARRAY_SIZE(resets));
	out_add_u64(obj, "msi_vectors", r->msi);
	out_add_u64(obj, "msix_vectors", r->msix);
	out_add_u64(obj, "vfs", r->nr_vfs);
	out_add_u64(obj, "max_vfs", r->max_vfs);
	add_bits(obj, "dirty", r->dirty, dirty_modes, ARRAY_SIZE(dirty_modes));
	if (r->pid > 0)
		out_add_u64(obj, "pid", r->pid);
	add_uuid(obj, "vm_uuid", r->vm_uuid);
	add_uuid(obj, "lease_uuid", r->lease_uuid);
	if (devuse_find(bdf, text, sizeof(text)))
		out_add_text(obj, "host_use", text);
	return obj;
}

static struct json_object *members_json(const struct kvmx_dev_member *members, int nr)
{
	struct json_object *array = json_object_new_array();
	char bdf[DEV_BDF_LEN];
	int i;

	for (i = 1; i < nr; i++) {
		struct json_object *obj = json_object_new_object();

		dev_format_bdf(&members[i].addr, bdf);
		out_add_text(obj, "device", bdf);
		if (members[i].driver[0])
			out_add_text(obj, "driver", members[i].driver);
		add_bits(obj, "flags", members[i].flags, member_flags, ARRAY_SIZE(member_flags));
		json_object_array_add(array, obj);
	}
	return array;
}

enum ctl_exit dev_report(int sys_fd, const char *text, struct kvmx_dev_report *report,
			 struct kvmx_dev_member **members, struct ctl_error *err)
{
	enum ctl_exit rc;
	int ret;

	memset(report, 0, sizeof(*report));
	if (!dev_parse_bdf(text, &report->addr)) {
		ctl_fail(err, CTL_USAGE, "'%s' is no address of a device", text);
		ctl_hint(err, "addresses look like 0000:01:00.0; see kvmxctl dev list");
		return CTL_USAGE;
	}
	ret = kvmx_dev_report(sys_fd, report, members);
	if (ret >= 0)
		return CTL_OK;
	rc = ctl_fail_errno(err, -ret, "%s", text);
	if (ret == -ENODEV)
		ctl_hint(err, "there is no such PCI device; see kvmxctl dev list");
	else if (ret == -EOPNOTSUPP)
		ctl_hint(err, "load the module: modprobe kvmx_vfio_pci");
	return rc;
}

/* Bridges and the like are nobody's to give away. */
static bool worth_showing(const struct kvmx_dev_report *r, bool all)
{
	return all || !(r->state & KVMX_DEV_BRIDGE || r->class_code >> 16 == 0x06);
}

static enum ctl_exit add_all(int sys_fd, struct json_object *array, bool all,
			     struct ctl_error *err)
{
	struct kvmx_dev_report r = { .flags = KVMX_DEV_NEXT };
	struct kvmx_dev_member *members;
	struct kvmx_pci_addr next;
	int ret;

	for (;;) {
		ret = kvmx_dev_report(sys_fd, &r, &members);
		if (ret == -ENODEV)
			return CTL_OK;
		if (ret < 0)
			break;
		free(members);
		if (worth_showing(&r, all))
			json_object_array_add(array, device_json(&r));
		next = r.addr;
		/* The one behind it; each number has its own width. */
		if (!++next.devfn && !++next.bus)
			next.domain++;
		r = (struct kvmx_dev_report){ .flags = KVMX_DEV_NEXT, .addr = next };
	}
	ctl_fail_errno(err, -ret, "reports of devices");
	if (ret == -EOPNOTSUPP)
		ctl_hint(err, "load the module: modprobe kvmx_vfio_pci");
	return err->code;
}

enum ctl_exit dev_list(int argc, char **argv, struct ctl_error *err)
{
	static const struct out_field columns[] = {
		{ "device", "DEVICE", OUT_TEXT },
		{ "iommu_group", "GROUP", OUT_COUNT },
		{ "driver", "DRIVER", OUT_TEXT },
		{ "lease_uuid", "LEASED FOR", OUT_TEXT },
		{ "pid", "VM OF", OUT_COUNT },
		{ "host_use", "HOST'S USE", OUT_TEXT },
		{ "name", "NAME", OUT_TEXT },
	};
	uint64_t all = 0;
	const struct arg_opt opts[] = { { .name = "all", .kind = ARG_FLAG, .value = &all } };
	struct json_object *doc, *array;
	enum ctl_exit rc;
	int sys_fd;

	rc = args_parse(argc, argv, opts, ARRAY_SIZE(opts), NULL, err);
	if (!rc)
		rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	doc = json_object_new_object();
	array = json_object_new_array();
	json_object_object_add(doc, "devices", array);
	rc = add_all(sys_fd, array, all, err);
	if (!rc && !out_json(doc))
		out_table(array, columns, ARRAY_SIZE(columns));
	json_object_put(doc);
	close(sys_fd);
	return rc;
}

static void print_device(struct json_object *doc)
{
	static const struct out_field fields[] = {
		{ "device", "device", OUT_TEXT },
		{ "class", "class", OUT_TEXT },
		{ "name", "name", OUT_TEXT },
		{ "id", "id", OUT_TEXT },
		{ "subsystem", "subsystem", OUT_TEXT },
		{ "driver", "driver", OUT_TEXT },
		{ "host_use", "host's use", OUT_TEXT },
		{ "iommu_group", "IOMMU group", OUT_COUNT },
		{ "state", "state", OUT_WORDS },
		{ "power", "power", OUT_TEXT },
		{ "resets", "resets", OUT_WORDS },
		{ "msi_vectors", "MSI", OUT_COUNT },
		{ "msix_vectors", "MSI-X", OUT_COUNT },
		{ "vfs", "virtual functions", OUT_COUNT },
		{ "max_vfs", "at most", OUT_COUNT },
		{ "dirty", "dirty pages", OUT_WORDS },
		{ "pid", "VM of process", OUT_COUNT },
		{ "vm_uuid", "VM", OUT_TEXT },
		{ "lease_uuid", "leased for", OUT_TEXT },
	};
	static const struct out_field columns[] = {
		{ "device", "GOES WITH", OUT_TEXT },
		{ "driver", "DRIVER", OUT_TEXT },
		{ "flags", "BECAUSE", OUT_WORDS },
	};
	struct json_object *members = out_get(doc, "members");

	out_record(out_get(doc, "device"), fields, ARRAY_SIZE(fields));
	if (!json_object_array_length(members))
		return;
	puts("");
	out_table(members, columns, ARRAY_SIZE(columns));
}

enum ctl_exit dev_show(int argc, char **argv, struct ctl_error *err)
{
	struct kvmx_dev_member *members = NULL;
	struct kvmx_dev_report report;
	struct json_object *doc;
	char *words[DEV_MAX];
	enum ctl_exit rc;
	int nr, sys_fd;

	nr = dev_words(argc, argv, NULL, 0, words, err);
	if (nr < 0)
		return err->code;
	if (nr != 1)
		return ctl_fail(err, CTL_USAGE, "which device? Give one address");
	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	rc = dev_report(sys_fd, words[0], &report, &members, err);
	if (rc)
		goto close_system;
	doc = json_object_new_object();
	json_object_object_add(doc, "device", device_json(&report));
	json_object_object_add(doc, "members", members_json(members, report.nr_members));
	if (!out_json(doc))
		print_device(doc);
	json_object_put(doc);
	free(members);
close_system:
	close(sys_fd);
	return rc;
}

static const struct command commands[] = {
	{
		"list", "[--all]",
		"    The PCI devices of this host, without bridges. --all: with them.\n",
		dev_list,
	},
	{
		"show", "BDF",
		"    All that matters for giving a device to a VM, and what goes with it.\n",
		dev_show,
	},
	{
		"bind", "BDF... [--group] [--force]",
		"    Give devices to " DEV_DRIVER ", so that VMs can have them. --group: with all\n"
		"    of their IOMMU groups. --force: although the host uses them (a mounted disk,\n"
		"    an interface that is up), who then loses them.\n",
		dev_bind,
	},
	{
		"unbind", "BDF... [--group] [--force]",
		"    Give them back to the drivers they had before. --force: although a VM has\n"
		"    them open; it is asked to let go, and waited for.\n",
		dev_unbind,
	},
	{
		"lease", "UUID BDF... [--uid UID] [--force]",
		"    Keep devices, and what goes with them, for the VM with that UUID, also while\n"
		"    it is down. --uid: VMs of that user may give themselves the UUID; else only\n"
		"    root may vouch for it. --force: take them from whoever has them leased or open.\n",
		dev_lease,
	},
	{
		"release", "UUID [BDF...] [--force]",
		"    Let leased devices go, all if none is named. --force: also those that a VM\n"
		"    has open.\n",
		dev_release,
	},
	{
		"quiesce", "PID[:FD] [--trust]",
		"    Stop the DMA and the interrupts of a VM's devices, until dev resume. --trust:\n"
		"    devices that cannot prove that they have drained (conventional PCI) count as if\n"
		"    they had.\n",
		dev_quiesce,
	},
	{
		"resume", "PID[:FD]",
		"    Let a VM's devices go on.\n",
		dev_resume,
	},
};

const struct object dev_object = {
	.name = "dev",
	.about = "PCI devices: whose they are, and giving them to VMs",
	.commands = commands,
	.nr_commands = ARRAY_SIZE(commands),
	.standard = &commands[0],
};
