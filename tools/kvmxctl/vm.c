// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl vm: the VMs of this host.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "find.h"
#include "out.h"
#include "vminfo.h"

static enum ctl_exit vm_details(const struct attached *att, struct json_object *obj,
				struct json_object **slots, struct ctl_error *err)
{
	struct kvmx_vm_info info;
	uint64_t memory_bytes;
	enum ctl_exit rc;
	int error;

	error = kvmx_vm_info(att->vm_fd, &info);
	if (error)
		return ctl_fail_errno(err, -error, "the VM of process %d", att->found.pid);
	rc = vminfo_slots(att, slots, &memory_bytes, err);
	if (rc)
		return rc;
	out_add_u64(obj, "memory_bytes", memory_bytes);
	vminfo_add_info(obj, &info);
	return CTL_OK;
}

/* One line of the list; what cannot be had of a VM is said there and is no failure of the list. */
static struct json_object *list_entry(int sys_fd, const struct found_vm *found)
{
	struct json_object *obj = json_object_new_object(), *slots = NULL;
	struct ctl_error err = { 0 };
	struct attached att;
	enum ctl_exit rc;

	vminfo_add_found(obj, found);
	rc = found->fd < 0 ? attach_refused(found->pid, &err) :
			     attach_found(&att, sys_fd, found, &err);
	if (!rc) {
		rc = vm_details(&att, obj, &slots, &err);
		json_object_put(slots);
		detach(&att);
	}
	if (rc) {
		out_add_text(obj, "error", err.text);
		if (err.hint[0])
			out_add_text(obj, "hint", err.hint);
	}
	return obj;
}

/* Below the table: the table has no room for it, and each hint is wanted once. */
static void print_troubles(struct json_object *doc)
{
	struct json_object *vms = out_get(doc, "vms"), *vm;
	size_t i, nr = json_object_array_length(vms);
	const char *text, *hint = NULL;
	uint64_t hidden;

	for (i = 0; i < nr; i++) {
		vm = json_object_array_get_idx(vms, i);
		text = out_get_text(vm, "error");
		if (text)
			fprintf(stderr, "kvmxctl: %s\n", text);
		hint = out_get_text(vm, "hint") ?: hint;
	}
	if (hint)
		fprintf(stderr, "kvmxctl: %s\n", hint);
	hidden = out_get_u64(doc, "hidden_processes");
	if (hidden)
		fprintf(stderr, "kvmxctl: %llu processes cannot be looked into: run it as root\n",
			(unsigned long long)hidden);
}

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
	print_troubles(doc);
}

static enum ctl_exit vm_list(int argc, char **argv, struct ctl_error *err)
{
	struct json_object *doc, *vms;
	struct found_vms found;
	enum ctl_exit rc;
	int sys_fd, error;
	size_t i;

	rc = args_parse(argc, argv, NULL, 0, NULL, err);
	if (rc)
		return rc;
	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	error = find_vms(&found);
	if (error) {
		rc = ctl_fail_errno(err, -error, "/proc");
		goto close_system;
	}
	doc = json_object_new_object();
	vms = json_object_new_array();
	json_object_object_add(doc, "vms", vms);
	for (i = 0; i < found.nr; i++)
		json_object_array_add(vms, list_entry(sys_fd, &found.vms[i]));
	out_add_u64(doc, "hidden_processes", found.hidden);
	if (!out_json(doc))
		print_list(doc);
	json_object_put(doc);
	found_free(&found);
close_system:
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

static enum ctl_exit add_stats(const struct attached *att, struct json_object *doc,
			       struct ctl_error *err)
{
	struct json_object *obj;
	struct kvmx_vm_stats stats;
	int error;

	error = kvmx_vm_stats(att->vm_fd, &stats);
	if (error)
		return ctl_fail_errno(err, -error, "the counters of process %d's VM",
				      att->found.pid);
	obj = json_object_new_object();
	json_object_object_add(doc, "stats", obj);
	out_add_u64(obj, "harvests", stats.harvests);
	out_add_u64(obj, "collected_pages", stats.collected_pages);
	out_add_u64(obj, "clear_calls", stats.clear_calls);
	out_add_u64(obj, "marked_pages", stats.marked_pages);
	out_add_u64(obj, "slot_changes", stats.slot_changes);
	out_add_u64(obj, "log_disturbed", stats.log_disturbed);
	out_add_u64(obj, "samples", stats.samples);
	out_add_u64(obj, "predictions", stats.predictions);
	out_add_u64(obj, "kernel_bytes", stats.bytes);
	return CTL_OK;
}

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
	struct json_object *doc, *vm, *slots = NULL;
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
	rc = vm_details(&att, vm, &slots, err);
	if (rc)
		goto out;
	json_object_object_add(doc, "slots", slots);
	rc = add_stats(&att, doc, err);
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
