// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl doctor: whether this host is ready for kvmx.
 */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "command.h"
#include "doctor.h"
#include "out.h"

static const struct {
	const char *name;
	const char *colour;
} levels[DOCTOR_NR_LEVELS] = {
	[DOCTOR_OK] = { "ok", "\033[32m" },
	[DOCTOR_NOTE] = { "note", "\033[36m" },
	[DOCTOR_WARNING] = { "warning", "\033[33m" },
	[DOCTOR_FAILURE] = { "failure", "\033[31m" },
};

static void print_findings(const struct finding *findings, size_t nr)
{
	bool colours = out_colours();
	size_t i;

	for (i = 0; i < nr; i++) {
		printf("%s%-8s%s %-12s %s\n", colours ? levels[findings[i].level].colour : "",
		       levels[findings[i].level].name, colours ? "\033[0m" : "",
		       findings[i].check, findings[i].text);
		if (findings[i].advice[0])
			printf("%-8s %-12s -> %s\n", "", "", findings[i].advice);
	}
}

static struct json_object *findings_json(const struct finding *findings, size_t nr)
{
	struct json_object *array = json_object_new_array(), *obj;
	size_t i;

	for (i = 0; i < nr; i++) {
		obj = json_object_new_object();
		json_object_array_add(array, obj);
		out_add_text(obj, "check", findings[i].check);
		out_add_text(obj, "level", levels[findings[i].level].name);
		out_add_text(obj, "text", findings[i].text);
		if (findings[i].advice[0])
			out_add_text(obj, "advice", findings[i].advice);
	}
	return array;
}

static enum ctl_exit doctor_check(int argc, char **argv, struct ctl_error *err)
{
	struct finding findings[DOCTOR_MAX];
	size_t i, nr, counts[DOCTOR_NR_LEVELS] = { 0 };
	const char *root = "";
	const struct arg_opt opts[] = {
		{ .name = "root", .kind = ARG_TEXT, .text = &root },
	};
	char first[16], last[16];
	struct json_object *doc;
	struct facts facts;
	enum ctl_exit rc;

	rc = args_parse(argc, argv, opts, ARRAY_SIZE(opts), NULL, err);
	if (rc)
		return rc;
	if (sscanf(KVMX_KERNELS, "kernels %15s - %15s", first, last) != 2)
		return ctl_fail(err, CTL_FAILED, "built without a range of kernels");
	facts_gather(root, &facts);
	nr = doctor_judge(&facts, first, last, findings);
	for (i = 0; i < nr; i++)
		counts[findings[i].level]++;
	doc = json_object_new_object();
	json_object_object_add(doc, "findings", findings_json(findings, nr));
	out_add_u64(doc, "failures", counts[DOCTOR_FAILURE]);
	out_add_u64(doc, "warnings", counts[DOCTOR_WARNING]);
	if (!out_json(doc))
		print_findings(findings, nr);
	json_object_put(doc);
	/* The findings have said it all. */
	return counts[DOCTOR_FAILURE] ? CTL_FAILED : CTL_OK;
}

static const struct command commands[] = {
	{
		"check", "[--root DIR]",
		"    Whether this host is ready for kvmx, what will not work, and what to do about it.\n"
		"    Exit code 1 if kvmx cannot work. --root: of a host whose /proc, /sys and /dev\n"
		"    are below DIR.\n",
		doctor_check,
	},
};

const struct object doctor_object = {
	.name = "doctor",
	.about = "whether this host is ready, and what to do",
	.commands = commands,
	.nr_commands = ARRAY_SIZE(commands),
	.standard = &commands[0],
};
