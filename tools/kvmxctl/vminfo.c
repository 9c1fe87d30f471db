// SPDX-License-Identifier: GPL-2.0
/*
 * VMs and memslots as JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "dev.h"
#include "out.h"
#include "slots.h"
#include "vminfo.h"

static void add_name(struct json_object *obj, const char *key, const char *name)
{
	if (*name)
		out_add_text(obj, key, name);
	else
		json_object_object_add(obj, key, NULL);
}

/* NULL: there is none. */
static void add_uuid(struct json_object *obj, const uint8_t *uuid, const char *from)
{
	char text[40];

	if (!uuid) {
		json_object_object_add(obj, "uuid", NULL);
		json_object_object_add(obj, "uuid_from", NULL);
		return;
	}
	dev_format_uuid(uuid, text);
	out_add_text(obj, "uuid", text);
	out_add_text(obj, "uuid_from", from);
}

void vminfo_add_found(struct json_object *obj, const struct found_vm *found)
{
	out_add_u64(obj, "pid", found->pid);
	if (found->fd >= 0)
		out_add_u64(obj, "fd", found->fd);
	else
		json_object_object_add(obj, "fd", NULL);
	out_add_text(obj, "vmm", found->vmm);
	add_name(obj, "name", found->id.name);
	add_uuid(obj, found->id.has_uuid ? found->id.uuid : NULL, "command-line");
}

static void add_state(struct json_object *obj, const struct kvmx_vm_info *info)
{
	struct json_object *state = json_object_new_array();

	json_object_object_add(obj, "state", state);
	if (info->nr_trackers)
		out_append_text(state, "tracked");
	if (info->state & KVMX_VM_SAMPLING)
		out_append_text(state, "sampling");
	if (info->state & KVMX_VM_LOGGING)
		out_append_text(state, "logging");
	if (info->state & KVMX_VM_LOGGED_BY_VMM)
		out_append_text(state, "logged-by-vmm");
	if (info->state & KVMX_VM_RING)
		out_append_text(state, "ring");
	if (!json_object_array_length(state))
		out_append_text(state, "idle");
}

void vminfo_add_info(struct json_object *obj, const struct kvmx_vm_info *info)
{
	static const uint8_t no_uuid[KVMX_UUID_LEN];

	out_add_u64(obj, "vcpus", info->nr_vcpus);
	/* What the VMM has told kvmx stands above what its command line says. */
	if (memcmp(info->uuid, no_uuid, KVMX_UUID_LEN))
		add_uuid(obj, info->uuid, "kvmx");
	if (info->label[0])
		out_add_text(obj, "name", info->label);
	add_name(obj, "label", info->label);
	add_state(obj, info);
	out_add_u64(obj, "slots", info->nr_slots);
	out_add_u64(obj, "trackers", info->nr_trackers);
	/* Ours is one of them. */
	out_add_u64(obj, "other_handles", info->nr_handles - 1);
	out_add_u64(obj, "ring_bytes", info->ring_bytes);
	out_add_u64(obj, "generation", info->generation);
}

static void add_slot_flags(struct json_object *obj, uint32_t flags)
{
	struct json_object *array = json_object_new_array();

	json_object_object_add(obj, "flags", array);
	if (flags & KVMX_SLOT_READONLY)
		out_append_text(array, "readonly");
	if (flags & KVMX_SLOT_LOGGED)
		out_append_text(array, "logged");
	if (flags & KVMX_SLOT_UNLOGGABLE)
		out_append_text(array, "unloggable");
}

static struct json_object *slot_object(const struct kvmx_slot *slot)
{
	struct json_object *obj = json_object_new_object();

	out_add_u64(obj, "address_space", slot->slot >> 16);
	out_add_u64(obj, "id", slot->slot & 0xffff);
	out_add_u64(obj, "gpa", slot->gfn * GUEST_PAGE);
	out_add_u64(obj, "bytes", slot->npages * GUEST_PAGE);
	out_add_u64(obj, "hva", slot->hva);
	add_slot_flags(obj, slot->flags);
	return obj;
}

enum ctl_exit vminfo_slots(const struct attached *att, struct json_object **array,
			   uint64_t *memory_bytes, struct ctl_error *err)
{
	struct mem_range *ranges;
	struct kvmx_slot *slots;
	enum ctl_exit rc = CTL_OK;
	int i, nr;

	nr = kvmx_vm_slots(att->vm_fd, &slots);
	if (nr < 0)
		return ctl_fail_errno(err, -nr, "cannot list the memslots of process %d",
				      att->found.pid);
	ranges = calloc(nr + 1, sizeof(*ranges));
	if (!ranges) {
		rc = ctl_fail(err, CTL_FAILED, "out of memory");
		goto free_slots;
	}
	*memory_bytes = ranges_pages(ranges, slots_memory(slots, nr, 0, ranges)) * GUEST_PAGE;
	*array = json_object_new_array();
	for (i = 0; i < nr; i++)
		json_object_array_add(*array, slot_object(&slots[i]));
	free(ranges);
free_slots:
	free(slots);
	return rc;
}

enum ctl_exit vminfo_add_details(const struct attached *att, struct json_object *obj,
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

enum ctl_exit vminfo_add_stats(const struct attached *att, struct json_object *obj,
			       struct ctl_error *err)
{
	struct kvmx_vm_stats stats;
	int error;

	error = kvmx_vm_stats(att->vm_fd, &stats);
	if (error)
		return ctl_fail_errno(err, -error, "the counters of process %d's VM",
				      att->found.pid);
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
