// SPDX-License-Identifier: GPL-2.0
/*
 * All VMs as JSON, for the commands that list them.
 */
#include <stdio.h>
#include <unistd.h>

#include <kvmx/kvmx.h>

#include "attach.h"
#include "command.h"
#include "find.h"
#include "out.h"
#include "vminfo.h"

/* One line of the list; what cannot be had of a VM is said there and is no failure of the list. */
static struct json_object *list_entry(int sys_fd, const struct found_vm *found, bool with_stats)
{
	struct json_object *obj = json_object_new_object(), *slots = NULL;
	struct ctl_error err = { 0 };
	struct attached att;
	enum ctl_exit rc;

	vminfo_add_found(obj, found);
	rc = found->fd < 0 ? attach_refused(found->pid, &err) :
			     attach_found(&att, sys_fd, found, &err);
	if (!rc) {
		rc = vminfo_add_details(&att, obj, &slots, &err);
		json_object_put(slots);
		if (!rc && with_stats)
			rc = vminfo_add_stats(&att, obj, &err);
		detach(&att);
	}
	if (rc) {
		out_add_text(obj, "error", err.text);
		if (err.hint[0])
			out_add_text(obj, "hint", err.hint);
	}
	return obj;
}

void vmlist_troubles(struct json_object *doc)
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

enum ctl_exit vmlist_add(int sys_fd, bool with_stats, struct json_object *doc,
			 struct ctl_error *err)
{
	struct found_vms found;
	struct json_object *vms;
	int error = find_vms(&found);
	size_t i;

	if (error)
		return ctl_fail_errno(err, -error, "/proc");
	vms = json_object_new_array();
	json_object_object_add(doc, "vms", vms);
	for (i = 0; i < found.nr; i++)
		json_object_array_add(vms, list_entry(sys_fd, &found.vms[i], with_stats));
	out_add_u64(doc, "hidden_processes", found.hidden);
	found_free(&found);
	return CTL_OK;
}
