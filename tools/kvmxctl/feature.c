// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl feature: what kvmx offers on this host.
 */
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <kvmx/kvmx.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "out.h"

static const struct {
	const char *name;
	const char *about;
} features[KVMX_FEAT_NR] = {
	[KVMX_FEAT_TRACKER] = { "tracker", "dirty trackers, at most so many per VM" },
	[KVMX_FEAT_BITMAP] = { "bitmap", "tracking by KVM's dirty log" },
	[KVMX_FEAT_RING] = { "ring", "tracking by KVM's dirty rings of at most so many bytes" },
	[KVMX_FEAT_ABSENT] = { "absent", "harvests tell pages that were never populated" },
	[KVMX_FEAT_SAMPLE] = { "sample", "dirty curve from samples, at most so many" },
	[KVMX_FEAT_PREDICT] = { "predict", "prediction of a migration from so many points" },
	[KVMX_FEAT_EVENT] = { "event", "events, each of so many bytes" },
	[KVMX_FEAT_KSM] = { "ksm", "a policy over KSM" },
	[KVMX_FEAT_DMA] = { "dma", "DMA ranges, at most so many per VM" },
	[KVMX_FEAT_DEVICE] = { "device", "leases, quiesce and reports of PCI devices" },
};

static enum ctl_exit add_features(int sys_fd, struct json_object *array, struct ctl_error *err)
{
	struct json_object *obj;
	uint64_t value;
	uint32_t i;
	int rc;

	for (i = 0; i < KVMX_FEAT_NR; i++) {
		/* A number that has no meaning in this version */
		if (!features[i].name)
			continue;
		rc = kvmx_feature(sys_fd, i, &value);
		if (rc)
			return ctl_fail_errno(err, -rc, "KVMX_FEATURE %s", features[i].name);
		obj = json_object_new_object();
		json_object_array_add(array, obj);
		out_add_text(obj, "name", features[i].name);
		out_add_u64(obj, "number", i);
		out_add_bool(obj, "offered", value != 0);
		out_add_u64(obj, "value", value);
		out_add_text(obj, "about", features[i].about);
	}
	return CTL_OK;
}

static void add_limits(struct json_object *doc, const struct kvmx_info *info)
{
	struct json_object *limits = json_object_new_object();

	json_object_object_add(doc, "limits", limits);
	out_add_u64(limits, "max_runs", info->max_runs);
	out_add_u64(limits, "max_trackers", info->max_trackers);
	out_add_u64(limits, "max_samples", info->max_samples);
	out_add_u64(limits, "max_points", info->max_points);
}

static void print_plain(struct json_object *doc)
{
	static const struct out_field columns[] = {
		{ "name", "FEATURE", OUT_TEXT },
		{ "offered", "OFFERED", OUT_TEXT },
		{ "value", "VALUE", OUT_COUNT },
		{ "about", "MEANING", OUT_TEXT },
	};

	printf("kvmx on Linux %s\n\n", out_get_text(doc, "kernel"));
	out_table(out_get(doc, "features"), columns, ARRAY_SIZE(columns));
}

static enum ctl_exit feature_show(int argc, char **argv, struct ctl_error *err)
{
	struct json_object *doc, *array;
	struct kvmx_info info;
	struct utsname uts;
	enum ctl_exit rc;
	int sys_fd, error;

	rc = args_parse(argc, argv, NULL, 0, NULL, err);
	if (rc)
		return rc;
	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	doc = json_object_new_object();
	array = json_object_new_array();
	error = kvmx_info(sys_fd, &info);
	if (error) {
		rc = ctl_fail_errno(err, -error, "KVMX_INFO");
		json_object_put(array);
		goto put_doc;
	}
	uname(&uts);
	out_add_text(doc, "kernel", uts.release);
	out_add_u64(doc, "feature_bits", info.features);
	json_object_object_add(doc, "features", array);
	rc = add_features(sys_fd, array, err);
	if (rc)
		goto put_doc;
	add_limits(doc, &info);
	if (!out_json(doc))
		print_plain(doc);
put_doc:
	json_object_put(doc);
	close(sys_fd);
	return rc;
}

static const struct command commands[] = {
	{
		"show", "",
		"    What kvmx offers on this host.\n",
		feature_show,
	},
};

const struct object feature_object = {
	.name = "feature",
	.about = "what kvmx offers on this host",
	.commands = commands,
	.nr_commands = ARRAY_SIZE(commands),
	.standard = &commands[0],
};
