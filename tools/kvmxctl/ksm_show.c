// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl ksm show: what is merged, of whom, and why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "ksm.h"
#include "ksm_text.h"
#include "out.h"
#include "vminfo.h"

void ksm_print_policy(struct json_object *policy)
{
	static const struct out_field fields[] = {
		{ "mode", "policy", OUT_TEXT },
		{ "domains", "domains", OUT_TEXT },
		{ "domain", "only domain", OUT_TEXT },
		{ "foreign", "other processes", OUT_TEXT },
		{ "cpu_permille", "CPU budget", OUT_PERMILLE },
		{ "pressure_permille", "under pressure", OUT_PERMILLE },
		{ "idle_permille", "for idle looks", OUT_PERMILLE },
		{ "memory_target_bytes", "memory target", OUT_BYTES },
		{ "reserve_bytes", "reserve", OUT_BYTES },
		{ "page_ns", "price of a page", OUT_TIME },
		{ "epoch_ns", "epoch at most", OUT_TIME },
		{ "interval_ns", "look every", OUT_TIME },
		{ "settle_ns", "settle", OUT_TIME },
	};

	out_record(policy, fields, ARRAY_SIZE(fields));
}

static void print_state(struct json_object *host)
{
	static const struct out_field fields[] = {
		{ "state", "state", OUT_TEXT },
		{ "reason", "because", OUT_TEXT },
		{ "live_domain", "live domain", OUT_TEXT },
		{ "live_vms", "VMs that may merge", OUT_COUNT },
		{ "vms", "of VMs", OUT_COUNT },
		{ "foreign_processes", "other processes", OUT_COUNT },
		{ "knobs", "KSM's knobs", OUT_TEXT },
		{ "lost_knob", "written to", OUT_TEXT },
		{ "present_bytes", "memory", OUT_BYTES },
		{ "mergeable_bytes", "can be freed", OUT_BYTES },
		{ "mergeable_error_bytes", "give or take", OUT_BYTES },
		{ "freed_bytes", "is freed", OUT_BYTES },
		{ "progress_permille", "which is", OUT_PERMILLE },
		{ "zero_bytes", "zeroes", OUT_BYTES },
		{ "volatile_bytes", "volatile", OUT_BYTES },
		{ "pinned_bytes", "pinned", OUT_BYTES },
		{ "huge_bytes", "huge", OUT_BYTES },
		{ "shared_bytes", "not private", OUT_BYTES },
		{ "gain_bytes", "next epoch frees", OUT_BYTES },
		{ "cost_ns", "and costs", OUT_TIME },
	};
	static const struct out_field counters[] = {
		{ "epochs", "epochs", OUT_COUNT },
		{ "stopped", "the last ended for", OUT_TEXT },
		{ "full_scans", "full scans", OUT_COUNT },
		{ "visits", "pages visited", OUT_COUNT },
		{ "looks", "looks at memory", OUT_COUNT },
		{ "switches", "domain switches", OUT_COUNT },
		{ "evictions", "evictions", OUT_COUNT },
		{ "cow_bytes", "written to again", OUT_BYTES },
		{ "ksmd_ns", "CPU time of ksmd", OUT_TIME },
		{ "kvmx_ns", "of kvmx", OUT_TIME },
		{ "longest_lock_ns", "longest lock", OUT_TIME },
		{ "kernel_bytes", "kernel memory", OUT_BYTES },
		{ "kernel_peak_bytes", "at most", OUT_BYTES },
	};

	out_record(host, fields, ARRAY_SIZE(fields));
	puts("");
	out_record(host, counters, ARRAY_SIZE(counters));
}

static void print_vms(struct json_object *vms)
{
	static const struct out_field columns[] = {
		{ "pid", "PID", OUT_COUNT },
		{ "label", "LABEL", OUT_TEXT },
		{ "domain", "DOMAIN", OUT_TEXT },
		{ "mode", "MODE", OUT_TEXT },
		{ "mergeable_bytes", "MERGEABLE", OUT_BYTES },
		{ "merged_bytes", "MERGED", OUT_BYTES },
		{ "state", "STATE", OUT_TEXT },
		{ "reason", "BECAUSE", OUT_TEXT },
	};

	if (!json_object_array_length(vms)) {
		puts("no VM has a mode: see kvmxctl ksm set help");
		return;
	}
	out_table(vms, columns, ARRAY_SIZE(columns));
}

static void print_host(struct json_object *doc)
{
	struct json_object *host = out_get(doc, "host");

	ksm_print_policy(out_get(host, "policy"));
	puts("");
	print_state(host);
	puts("");
	print_vms(out_get(doc, "vms"));
}

static enum ctl_exit show_host(struct ctl_error *err)
{
	struct kvmx_ksm_plan_vm *vms = NULL;
	struct kvmx_ksm_host_get host;
	struct kvmx_ksm_plan plan;
	struct json_object *doc;
	enum ctl_exit rc;
	int sys_fd, nr;

	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	rc = ksm_host(sys_fd, &host, err);
	if (!rc)
		rc = ksm_ask_plan(sys_fd, 0, &plan, &vms, &nr, err);
	if (rc)
		goto close_system;
	doc = json_object_new_object();
	json_object_object_add(doc, "host", ksm_host_json(&host));
	json_object_object_add(doc, "vms", ksm_plan_vms_json(vms, nr));
	free(vms);
	if (!out_json(doc))
		print_host(doc);
	json_object_put(doc);
close_system:
	close(sys_fd);
	return rc;
}

static void print_vm(struct json_object *doc)
{
	static const struct out_field who[] = {
		{ "pid", "pid", OUT_COUNT },
		{ "fd", "fd", OUT_COUNT },
		{ "vmm", "vmm", OUT_TEXT },
	};
	static const struct out_field fields[] = {
		{ "mode", "mode", OUT_TEXT },
		{ "domain", "domain", OUT_TEXT },
		{ "weight", "weight", OUT_COUNT },
		{ "state", "state", OUT_TEXT },
		{ "reason", "because", OUT_TEXT },
		{ "memory_bytes", "memory", OUT_BYTES },
		{ "present_bytes", "present", OUT_BYTES },
		{ "mergeable_bytes", "can be freed", OUT_BYTES },
		{ "mergeable_error_bytes", "give or take", OUT_BYTES },
		{ "merged_bytes", "merged", OUT_BYTES },
		{ "zero_bytes", "zeroes", OUT_BYTES },
		{ "volatile_bytes", "volatile", OUT_BYTES },
		{ "pinned_bytes", "pinned", OUT_BYTES },
		{ "excluded_bytes", "kept from KSM", OUT_BYTES },
		{ "huge_bytes", "huge", OUT_BYTES },
		{ "shared_bytes", "not private", OUT_BYTES },
		{ "cow_bytes", "written to again", OUT_BYTES },
		{ "unmerged_bytes", "unmerged by kvmx", OUT_BYTES },
		{ "looked_at_pages", "pages looked at", OUT_COUNT },
		{ "looks_ns", "CPU time of looks", OUT_TIME },
	};

	out_record(doc, who, ARRAY_SIZE(who));
	out_record(out_get(doc, "ksm"), fields, ARRAY_SIZE(fields));
}

static enum ctl_exit show_vm(const struct target *target, struct ctl_error *err)
{
	struct kvmx_vm_ksm_get vm;
	struct json_object *doc;
	struct attached att;
	enum ctl_exit rc;
	int error;

	rc = attach_target(&att, target, err);
	if (rc)
		return rc;
	error = kvmx_vm_ksm_get(att.vm_fd, &vm);
	if (error) {
		rc = ctl_fail_errno(err, -error, "KSM's state of process %d", att.found.pid);
		goto out;
	}
	doc = json_object_new_object();
	vminfo_add_found(doc, &att.found);
	json_object_object_add(doc, "ksm", ksm_vm_json(&vm));
	if (!out_json(doc))
		print_vm(doc);
	json_object_put(doc);
out:
	detach_target(&att);
	return rc;
}

enum ctl_exit ksm_show(int argc, char **argv, struct ctl_error *err)
{
	struct target target;
	enum ctl_exit rc;

	if (!argc)
		return show_host(err);
	rc = args_parse(argc, argv, NULL, 0, &target, err);
	return rc ?: show_vm(&target, err);
}
