// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl dirty plot: the dirty curve as a drawing in a file.
 */
#include <errno.h>
#include <stdio.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "curve.h"
#include "out.h"
#include "svg.h"
#include "units.h"
#include "vminfo.h"

static enum ctl_exit draw(const char *path, const struct svg_curve *svg, struct ctl_error *err)
{
	FILE *out = fopen(path, "we");
	int error;

	if (!out)
		return ctl_fail_errno(err, errno, "%s", path);
	svg_print(svg, out);
	error = ferror(out);
	if (fclose(out) || error)
		return ctl_fail(err, CTL_FAILED, "%s could not be written", path);
	return CTL_OK;
}

static void title_of(const struct attached *att, char *buf, size_t size)
{
	const struct found_vm *vm = &att->found;

	snprintf(buf, size, "Different pages written by %s%s%s (process %d)", vm->vmm,
		 vm->id.name[0] ? " " : "", vm->id.name, vm->pid);
}

enum ctl_exit dirty_plot(int argc, char **argv, struct ctl_error *err)
{
	static const char * const sources[] = { "auto", "tracker", "content", NULL };
	struct curve_opts opts = CURVE_OPTS_DEFAULT;
	struct arg_opt args[CURVE_NR_OPTS + 2];
	const char *path = NULL;
	struct json_object *doc;
	struct svg_curve svg;
	struct target target;
	struct attached att;
	struct curve curve;
	uint64_t rate = 0;
	enum ctl_exit rc;
	char title[256];

	curve_add_opts(&opts, sources, args);
	args[CURVE_NR_OPTS] = (struct arg_opt){ .name = "output", .kind = ARG_TEXT, .text = &path };
	args[CURVE_NR_OPTS + 1] = (struct arg_opt){
		.name = "bandwidth", .kind = ARG_RATE, .value = &rate, .max = UINT64_MAX
	};
	rc = args_parse(argc, argv, args, ARRAY_SIZE(args), &target, err);
	if (rc)
		return rc;
	if (!path)
		return ctl_fail(err, CTL_USAGE, "where to? give --output FILE");
	rc = attach_target(&att, &target, err);
	if (rc)
		return rc;
	rc = curve_get(&att, &opts, &curve, err);
	if (rc)
		goto detach;
	title_of(&att, title, sizeof(title));
	svg = (struct svg_curve){ title, curve.points, curve.nr, curve.total_pages, rate };
	rc = draw(path, &svg, err);
	if (rc)
		goto put_curve;
	doc = json_object_new_object();
	vminfo_add_found(doc, &att.found);
	curve_describe(&curve, doc);
	out_add_text(doc, "output", path);
	out_json(doc);
	json_object_put(doc);
put_curve:
	curve_put(&curve);
detach:
	detach_target(&att);
	return rc;
}
