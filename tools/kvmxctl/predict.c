// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl dirty predict: how a live migration would end.
 */
#include <errno.h>
#include <stdio.h>

#include <kvmx/kvmx.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "curve.h"
#include "out.h"
#include "units.h"
#include "verdict.h"
#include "vminfo.h"

#define NONE	(~0ULL)		/* an option that was not given */

struct predict_opts {
	struct curve_opts curve;
	uint64_t bandwidth;
	uint64_t allowed_ns;
	uint64_t fixed_ns;
	uint64_t page_bytes;
	uint64_t min_percent;
	uint64_t defer;
};

static enum ctl_exit parse(int argc, char **argv, struct predict_opts *opts,
			   struct target *target, struct ctl_error *err)
{
	static const char * const sources[] = { "auto", "tracker", "content", "sample", NULL };
	/* A day: longer is no pause any more. */
	const uint64_t max_ns = 86400 * NSEC_PER_SEC;
	struct arg_opt args[6 + CURVE_NR_OPTS] = {
		{ "bandwidth", ARG_RATE, &opts->bandwidth, .max = NONE - 1 },
		{ "allowed-ms", ARG_MSECONDS, &opts->allowed_ns, .max = max_ns },
		{ "fixed-ms", ARG_MSECONDS, &opts->fixed_ns, .max = max_ns },
		{ "page-bytes", ARG_COUNT, &opts->page_bytes, .min = 1, .max = 65536 },
		{ "min-vcpu-percent", ARG_COUNT, &opts->min_percent, .min = 1, .max = 100 },
		{ "defer", ARG_FLAG, &opts->defer, .max = 1 },
	};
	enum ctl_exit rc;

	curve_add_opts(&opts->curve, sources, args + 6);
	rc = args_parse(argc, argv, args, ARRAY_SIZE(args), target, err);
	if (rc)
		return rc;
	if (opts->bandwidth == NONE)
		return ctl_fail(err, CTL_USAGE, "--bandwidth is needed: what the link carries");
	if (opts->allowed_ns == NONE)
		return ctl_fail(err, CTL_USAGE, "--allowed-ms is needed: the longest pause");
	return CTL_OK;
}

static enum ctl_exit ask(const struct attached *att, const struct predict_opts *opts,
			 const struct curve *curve, struct kvmx_predict *predict,
			 struct ctl_error *err)
{
	struct kvmx_point points[KVMX_MAX_POINTS];
	unsigned int i;
	int error, fd;

	*predict = (struct kvmx_predict){
		.flags = opts->defer ? KVMX_PREDICT_DEFER : 0,
		.bandwidth = opts->bandwidth,
		.allowed_ns = opts->allowed_ns,
		.fixed_ns = opts->fixed_ns,
		.page_bytes = opts->page_bytes,
		.min_permille = opts->min_percent * 10,
		.total_pages = curve->total_pages,
		.remaining_pages = ~0ULL,
	};
	switch (curve->source) {
	case CURVE_TRACKER:
		fd = curve->tracker;
		break;
	case CURVE_SAMPLE:
		fd = att->vm_fd;
		break;
	case CURVE_CONTENT:
	default:
		fd = att->sys_fd;
		predict->flags |= KVMX_PREDICT_POINTS;
		predict->points = (uintptr_t)points;
		predict->nr_points = curve->nr;
		for (i = 0; i < curve->nr; i++)
			points[i] = (struct kvmx_point){
				curve->points[i].time_ns, curve->points[i].pages
			};
	}
	error = kvmx_predict(fd, predict);
	if (!error)
		return CTL_OK;
	ctl_fail_errno(err, -error, "cannot predict");
	if (error == -ENODATA && curve->source == CURVE_SAMPLE)
		ctl_hint(err, "the VMM has not called KVMX_VM_SAMPLE yet; try --from content");
	return err->code;
}

/* A time or amount that may have no bound: null then. */
static void add_bounded(struct json_object *obj, const char *key, uint64_t value)
{
	if (value == KVMX_PREDICT_NEVER)
		json_object_object_add(obj, key, NULL);
	else
		out_add_u64(obj, key, value);
}

static void describe(const struct kvmx_predict *predict, struct json_object *doc)
{
	struct json_object *obj = json_object_new_object();
	char text[256];

	verdict_sentence(predict, text, sizeof(text));
	json_object_object_add(doc, "prediction", obj);
	out_add_text(obj, "verdict", verdict_name(predict));
	out_add_text(obj, "sentence", text);
	out_add_u64(obj, "bandwidth_bytes_per_second", predict->bandwidth);
	out_add_u64(obj, "allowed_ns", predict->allowed_ns);
	out_add_u64(obj, "fixed_ns", predict->fixed_ns);
	out_add_u64(obj, "rounds", predict->rounds);
	add_bounded(obj, "bytes", predict->bytes);
	add_bounded(obj, "total_ns", predict->total_ns);
	add_bounded(obj, "pause_ns", predict->pause_ns);
	add_bounded(obj, "offline_ns", predict->offline_ns);
	out_add_u64(obj, "vcpu_permille", predict->vcpu_permille);
}

static void print_plain(struct json_object *doc)
{
	static const struct out_field fields[] = {
		{ "verdict", "verdict", OUT_TEXT },
		{ "bandwidth_bytes_per_second", "link", OUT_RATE },
		{ "allowed_ns", "allowed pause", OUT_TIME },
		{ "fixed_ns", "fixed costs", OUT_TIME },
		{ "rounds", "rounds", OUT_COUNT },
		{ "bytes", "on the wire", OUT_BYTES },
		{ "total_ns", "takes", OUT_TIME },
		{ "pause_ns", "pause", OUT_TIME },
		{ "offline_ns", "pause if offline", OUT_TIME },
		{ "vcpu_permille", "vCPU speed", OUT_PERMILLE },
	};
	struct json_object *prediction = out_get(doc, "prediction");

	printf("%s\n\n", out_get_text(prediction, "sentence"));
	out_record(prediction, fields, ARRAY_SIZE(fields));
	puts("\nFrom this dirty curve:");
	curve_print(doc);
}

enum ctl_exit dirty_predict(int argc, char **argv, struct ctl_error *err)
{
	struct predict_opts opts = {
		.curve = CURVE_OPTS_DEFAULT,
		.bandwidth = NONE,
		.allowed_ns = NONE,
		.page_bytes = 4096,
		.min_percent = 100,
	};
	struct kvmx_predict predict;
	struct json_object *doc;
	struct target target;
	struct attached att;
	struct curve curve;
	enum ctl_exit rc;

	rc = parse(argc, argv, &opts, &target, err);
	if (rc)
		return rc;
	rc = attach_target(&att, &target, err);
	if (rc)
		return rc;
	rc = curve_get(&att, &opts.curve, &curve, err);
	if (rc)
		goto detach;
	rc = ask(&att, &opts, &curve, &predict, err);
	if (rc)
		goto put_curve;
	doc = json_object_new_object();
	vminfo_add_found(doc, &att.found);
	describe(&predict, doc);
	curve_describe(&curve, doc);
	if (!out_json(doc))
		print_plain(doc);
	json_object_put(doc);
put_curve:
	curve_put(&curve);
detach:
	detach_target(&att);
	return rc;
}
