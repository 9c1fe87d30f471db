// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl ksm plan: what would be merged next, and why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "ksm.h"
#include "out.h"

static void print_plan(struct json_object *doc)
{
	static const struct out_field fields[] = {
		{ "scans", "full scans", OUT_COUNT },
		{ "gain_bytes", "frees", OUT_BYTES },
		{ "cost_ns", "costs, CPU time", OUT_TIME },
		{ "unmerge_bytes", "unmerged first", OUT_BYTES },
		{ "domain", "live domain", OUT_TEXT },
	};
	static const struct out_field columns[] = {
		{ "pid", "PID", OUT_COUNT },
		{ "label", "LABEL", OUT_TEXT },
		{ "domain", "DOMAIN", OUT_TEXT },
		{ "mode", "MODE", OUT_TEXT },
		{ "state", "NOW", OUT_TEXT },
		{ "todo", "TODO", OUT_TEXT },
		{ "gain_bytes", "GAIN", OUT_BYTES },
		{ "cost_ns", "COST", OUT_TIME },
		{ "reason", "BECAUSE", OUT_TEXT },
	};
	struct json_object *plan = out_get(doc, "plan"), *vms = out_get(doc, "vms");

	if (!json_object_array_length(vms)) {
		puts("nothing: no VM has a mode (see kvmxctl ksm set help)");
		return;
	}
	printf("%s: %s\n", json_object_get_boolean(out_get(plan, "epoch")) ? "an epoch" :
									      "no epoch",
	       out_get_text(plan, "reason"));
	out_record(plan, fields, ARRAY_SIZE(fields));
	puts("");
	out_table(vms, columns, ARRAY_SIZE(columns));
	if (!json_object_get_boolean(out_get(doc, "in_force")))
		puts("note: the host's policy is off: this is what would be done if it were on");
}

enum ctl_exit ksm_plan(int argc, char **argv, struct ctl_error *err)
{
	struct kvmx_ksm_plan plan = { 0 };
	struct kvmx_ksm_plan_vm *vms = NULL;
	struct kvmx_ksm_host_get host;
	uint64_t fresh = 0;
	const struct arg_opt opts[] = {
		{ "fresh", ARG_FLAG, &fresh, .max = 1 },
	};
	struct json_object *doc;
	enum ctl_exit rc;
	int sys_fd, nr;
	bool on;

	rc = args_parse(argc, argv, opts, ARRAY_SIZE(opts), NULL, err);
	if (rc)
		return rc;
	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	rc = ksm_host(sys_fd, &host, err);
	if (rc)
		goto close_system;
	on = host.policy.mode == KVMX_KSM_HOST_ON;
	/* With the policy off nobody has looked, and there is nothing to look at without VMs. */
	fresh |= !on && host.nr_vms;
	rc = ksm_ask_plan(sys_fd, fresh ? KVMX_KSM_PLAN_FRESH : 0, &plan, &vms, &nr, err);
	if (rc)
		goto close_system;
	doc = json_object_new_object();
	out_add_bool(doc, "in_force", on);
	json_object_object_add(doc, "plan", nr ? ksm_plan_json(&plan) : NULL);
	json_object_object_add(doc, "vms", ksm_plan_vms_json(vms, nr));
	free(vms);
	if (!out_json(doc))
		print_plan(doc);
	json_object_put(doc);
close_system:
	close(sys_fd);
	return rc;
}
