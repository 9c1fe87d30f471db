// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl vm: the VMs of this host.
 */
#include <stdio.h>
#include <unistd.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "out.h"
#include "vminfo.h"

static void print_list(struct json_object *doc)
{
	static const struct out_field columns[] = {
		{ "pid", "PID", OUT_COUNT },
		{ "fd", "FD", OUT_COUNT },
		{ "vmm", "VMM", OUT_TEXT },
		{ "name", "NAME", OUT_TEXT },
		{ "memory_bytes", "MEMORY", OUT_BYTES },
		{ "vcpus", "VCPUS", OUT_COUNT },
		{ "uuid", "UUID", OUT_TEXT },
		{ "state", "STATE", OUT_WORDS },
	};

	out_table(out_get(doc, "vms"), columns, ARRAY_SIZE(columns));
	fflush(stdout);
	vmlist_troubles(doc);
}

static enum ctl_exit vm_list(int argc, char **argv, struct ctl_error *err)
{
	struct json_object *doc;
	enum ctl_exit rc;
	int sys_fd;

	rc = args_parse(argc, argv, NULL, 0, NULL, err);
	if (rc)
		return rc;
	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	doc = json_object_new_object();
	rc = vmlist_add(sys_fd, false, doc, err);
	if (!rc && !out_json(doc))
		print_list(doc);
	json_object_put(doc);
	close(sys_fd);
	return rc;
}

static const struct out_field vm_fields[] = {
	{ "pid", "pid", OUT_COUNT },
	{ "fd", "fd", OUT_COUNT },
	{ "vmm", "vmm", OUT_TEXT },
	{ "name", "name", OUT_TEXT },
	{ "memory_bytes", "memory", OUT_BYTES },
	{ "vcpus", "vcpus", OUT_COUNT },
	{ "uuid", "uuid", OUT_TEXT },
	{ "uuid_from", "uuid by", OUT_TEXT },
	{ "label", "label", OUT_TEXT },
	{ "state", "state", OUT_WORDS },
	{ "slots", "memslots", OUT_COUNT },
	{ "trackers", "trackers", OUT_COUNT },
	{ "other_handles", "other handles", OUT_COUNT },
	{ "ring_bytes", "dirty ring", OUT_BYTES },
	{ "generation", "generation", OUT_COUNT },
};

static const struct out_field stats_fields[] = {
	{ "harvests", "harvests", OUT_COUNT },
	{ "collected_pages", "collected pages", OUT_COUNT },
	{ "clear_calls", "clear calls", OUT_COUNT },
	{ "marked_pages", "marked pages", OUT_COUNT },
	{ "slot_changes", "slot changes", OUT_COUNT },
	{ "log_disturbed", "log disturbed", OUT_COUNT },
	{ "samples", "samples", OUT_COUNT },
	{ "predictions", "predictions", OUT_COUNT },
	{ "kernel_bytes", "kernel memory", OUT_BYTES },
};

static const struct out_field slot_columns[] = {
	{ "address_space", "AS", OUT_COUNT },
	{ "id", "SLOT", OUT_COUNT },
	{ "gpa", "GUEST", OUT_HEX },
	{ "bytes", "SIZE", OUT_BYTES },
	{ "hva", "VMM", OUT_HEX },
	{ "flags", "FLAGS", OUT_WORDS },
};

static void print_vm(struct json_object *doc)
{
	out_record(out_get(doc, "vm"), vm_fields, ARRAY_SIZE(vm_fields));
	puts("\nSince it was first opened by kvmx:");
	out_record(out_get(doc, "stats"), stats_fields, ARRAY_SIZE(stats_fields));
	puts("");
	out_table(out_get(doc, "slots"), slot_columns, ARRAY_SIZE(slot_columns));
}

static enum ctl_exit vm_show(int argc, char **argv, struct ctl_error *err)
{
	struct json_object *doc, *vm, *stats, *slots = NULL;
	struct target target;
	struct attached att;
	enum ctl_exit rc;

	rc = args_parse(argc, argv, NULL, 0, &target, err);
	if (rc)
		return rc;
	rc = attach_target(&att, &target, err);
	if (rc)
		return rc;
	doc = json_object_new_object();
	vm = json_object_new_object();
	json_object_object_add(doc, "vm", vm);
	vminfo_add_found(vm, &att.found);
	rc = vminfo_add_details(&att, vm, &slots, err);
	if (rc)
		goto out;
	json_object_object_add(doc, "slots", slots);
	stats = json_object_new_object();
	json_object_object_add(doc, "stats", stats);
	rc = vminfo_add_stats(&att, stats, err);
	if (rc)
		goto out;
	if (!out_json(doc))
		print_vm(doc);
out:
	json_object_put(doc);
	detach_target(&att);
	return rc;
}

static const struct command commands[] = {
	{
		"list", "",
		"    The VMs of all processes, whether or not their VMM knows kvmx. Names and UUIDs\n"
		"    that a VMM has not told kvmx are those of its command line.\n",
		vm_list,
	},
	{
		"show", "PID[:FD]",
		"    A VM, its memslots and kvmx's counters for it. FD tells several VMs of one\n"
		"    process apart.\n",
		vm_show,
	},
};

const struct object vm_object = {
	.name = "vm",
	.about = "the VMs of this host",
	.commands = commands,
	.nr_commands = ARRAY_SIZE(commands),
	.standard = &commands[0],
};
