// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl dirty rate: how much of its memory a guest writes to in which time.
 */
#include "args.h"
#include "attach.h"
#include "command.h"
#include "curve.h"
#include "out.h"
#include "units.h"
#include "vminfo.h"

enum ctl_exit dirty_rate(int argc, char **argv, struct ctl_error *err)
{
	static const char * const sources[] = { "auto", "tracker", "content", NULL };
	struct curve_opts opts = CURVE_OPTS_DEFAULT;
	struct arg_opt args[CURVE_NR_OPTS];
	struct json_object *doc;
	struct target target;
	struct attached att;
	struct curve curve;
	enum ctl_exit rc;

	curve_add_opts(&opts, sources, args);
	rc = args_parse(argc, argv, args, ARRAY_SIZE(args), &target, err);
	if (rc)
		return rc;
	rc = attach_target(&att, &target, err);
	if (rc)
		return rc;
	rc = curve_get(&att, &opts, &curve, err);
	if (rc)
		goto detach;
	doc = json_object_new_object();
	vminfo_add_found(doc, &att.found);
	curve_describe(&curve, doc);
	if (!out_json(doc))
		curve_print(doc);
	json_object_put(doc);
	curve_put(&curve);
detach:
	detach_target(&att);
	return rc;
}
