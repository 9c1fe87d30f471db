// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl stats: counters of all VMs and of the host, for people and for monitoring.
 */
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <kvmx/kvmx.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "out.h"
#include "prom.h"
#include "slots.h"
#include "vminfo.h"

/* KSM's policy is for CAP_SYS_ADMIN, and not in every kernel: who may not see it goes without. */
static void add_ksm(int sys_fd, struct json_object *doc)
{
	struct kvmx_ksm_host_get host = { 0 };
	struct json_object *obj;

	if (kvmx_ksm_host_get(sys_fd, &host)) {
		json_object_object_add(doc, "ksm", NULL);
		return;
	}
	obj = json_object_new_object();
	json_object_object_add(doc, "ksm", obj);
	out_add_u64(obj, "vms", host.nr_vms);
	out_add_u64(obj, "live_vms", host.nr_live);
	out_add_u64(obj, "freed_bytes", host.freed_pages * GUEST_PAGE);
	out_add_u64(obj, "mergeable_bytes", host.mergeable_pages * GUEST_PAGE);
	out_add_u64(obj, "epochs", host.epochs);
	out_add_u64(obj, "ksmd_ns", host.ksmd_ns);
	out_add_u64(obj, "kvmx_ns", host.kvmx_ns);
	out_add_u64(obj, "cow_pages", host.cow_pages);
}

static void print_stats(struct json_object *doc)
{
	static const struct out_field columns[] = {
		{ "pid", "PID", OUT_COUNT },
		{ "vmm", "VMM", OUT_TEXT },
		{ "name", "NAME", OUT_TEXT },
		{ "trackers", "TRACKERS", OUT_COUNT },
		{ "harvests", "HARVESTS", OUT_COUNT },
		{ "collected_pages", "COLLECTED", OUT_COUNT },
		{ "samples", "SAMPLES", OUT_COUNT },
		{ "predictions", "PREDICTIONS", OUT_COUNT },
		{ "kernel_bytes", "KERNEL MEMORY", OUT_BYTES },
	};
	static const struct out_field ksm_fields[] = {
		{ "vms", "VMs with a mode", OUT_COUNT },
		{ "live_vms", "may merge", OUT_COUNT },
		{ "freed_bytes", "saved", OUT_BYTES },
		{ "mergeable_bytes", "could be saved", OUT_BYTES },
		{ "epochs", "epochs", OUT_COUNT },
		{ "ksmd_ns", "CPU of ksmd", OUT_TIME },
		{ "kvmx_ns", "CPU of kvmx", OUT_TIME },
		{ "cow_pages", "unmerged by writes", OUT_COUNT },
	};
	struct json_object *ksm = out_get(doc, "ksm");

	out_table(out_get(doc, "vms"), columns, ARRAY_SIZE(columns));
	if (ksm) {
		puts("\nKSM:");
		out_record(ksm, ksm_fields, ARRAY_SIZE(ksm_fields));
	}
	fflush(stdout);
	vmlist_troubles(doc);
}

static enum ctl_exit stats_show(int argc, char **argv, struct ctl_error *err)
{
	struct json_object *doc;
	struct utsname uts;
	uint64_t prometheus = 0;
	const struct arg_opt opts[] = {
		{ .name = "prometheus", .kind = ARG_FLAG, .value = &prometheus },
	};
	enum ctl_exit rc;
	int sys_fd;

	rc = args_parse(argc, argv, opts, ARRAY_SIZE(opts), NULL, err);
	if (!rc && prometheus && out_mode != OUT_PLAIN)
		rc = ctl_fail(err, CTL_USAGE, "--prometheus is no JSON: leave one of them out");
	if (!rc)
		rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	uname(&uts);
	doc = json_object_new_object();
	out_add_text(doc, "version", KVMX_VERSION);
	out_add_text(doc, "kernel", uts.release);
	rc = vmlist_add(sys_fd, true, doc, err);
	if (rc)
		goto out;
	add_ksm(sys_fd, doc);
	if (prometheus)
		prom_print(doc, stdout);
	else if (!out_json(doc))
		print_stats(doc);
out:
	json_object_put(doc);
	close(sys_fd);
	return rc;
}

static const struct command commands[] = {
	{
		"show", "[--prometheus]",
		"    kvmx's counters for all VMs, and for KSM. --prometheus: in Prometheus' text\n"
		"    format, for node_exporter's textfile collector.\n",
		stats_show,
	},
};

const struct object stats_object = {
	.name = "stats",
	.about = "counters, also for monitoring",
	.commands = commands,
	.nr_commands = ARRAY_SIZE(commands),
	.standard = &commands[0],
};
