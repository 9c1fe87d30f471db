// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty curve of a VM: where to get it from, and how to show it.
 */
#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "curve.h"
#include "out.h"
#include "slots.h"
#include "units.h"

#define SHORTEST_DURATION_NS	(10 * NSEC_PER_MSEC)
#define LONGEST_DURATION_NS	(3600 * NSEC_PER_SEC)
#define FEW_CHANGES		10

void curve_add_opts(struct curve_opts *opts, const char * const *words,
		    struct arg_opt args[CURVE_NR_OPTS])
{
	args[0] = (struct arg_opt){
		"from", ARG_WORD, &opts->source,
		.words = words
	};
	args[1] = (struct arg_opt){
		"seconds", ARG_SECONDS, &opts->duration_ns,
		.min = SHORTEST_DURATION_NS, .max = LONGEST_DURATION_NS
	};
	args[2] = (struct arg_opt){
		"samples", ARG_COUNT, &opts->samples,
		.min = 1, .max = KVMX_MAX_SAMPLES
	};
}

static enum ctl_exit tracker_curve(const struct attached *att, struct curve *curve,
				   struct ctl_error *err)
{
	int fds[KVMX_MAX_TRACKERS], i, j, nr_fds, nr = 0, tracker;
	struct kvmx_point points[KVMX_MAX_POINTS];
	enum ctl_exit rc;

	rc = attach_find_trackers(att, fds, &nr_fds, err);
	if (rc)
		return rc;
	for (i = 0; i < nr_fds; i++) {
		rc = attach_tracker(att, fds[i], &tracker, err);
		if (rc)
			return rc;
		nr = kvmx_tracker_curve(tracker, points, KVMX_MAX_POINTS, &curve->total_pages);
		if (nr > 0)
			break;
		close(tracker);
	}
	if (!nr_fds)
		return ctl_fail(err, CTL_NO_DATA, "process %d has no kvmx tracker", att->found.pid);
	if (nr <= 0)
		return ctl_fail_errno(err, -nr, "the harvests of process %d", att->found.pid);
	for (j = 0; j < nr; j++)
		curve->points[j] = (struct sample_point){
			.time_ns = points[j].time_ns,
			.pages = points[j].pages,
		};
	curve->nr = nr;
	curve->source = CURVE_TRACKER;
	curve->tracker = tracker;
	return CTL_OK;
}

enum ctl_exit curve_get(const struct attached *att, const struct curve_opts *opts,
			struct curve *curve, struct ctl_error *err)
{
	enum ctl_exit rc;

	*curve = (struct curve){ .tracker = -1 };
	switch (opts->source) {
	case CURVE_CONTENT:
		return content_curve(att, opts, curve, err);
	case CURVE_SAMPLE:
		curve->source = CURVE_SAMPLE;
		return CTL_OK;
	case CURVE_TRACKER:
		rc = tracker_curve(att, curve, err);
		if (rc == CTL_NO_DATA)
			ctl_hint(err, "wait for the VMM to harvest twice, or use --from content");
		return rc;
	case CURVE_AUTO:
	default:
		/* Whatever keeps us from the tracker, there is the other way. */
		if (!tracker_curve(att, curve, err))
			return CTL_OK;
		return content_curve(att, opts, curve, err);
	}
}

void curve_put(struct curve *curve)
{
	if (curve->tracker >= 0)
		close(curve->tracker);
}

static void add_points(const struct curve *curve, struct json_object *doc)
{
	struct json_object *array = json_object_new_array(), *obj;
	const struct sample_point *point;
	unsigned int i;

	json_object_object_add(doc, "points", array);
	for (i = 0; i < curve->nr; i++) {
		point = &curve->points[i];
		obj = json_object_new_object();
		json_object_array_add(array, obj);
		out_add_u64(obj, "time_ns", point->time_ns);
		out_add_u64(obj, "pages", point->pages);
		out_add_u64(obj, "bytes", point->pages * GUEST_PAGE);
		out_add_u64(obj, "permille", point->pages * 1000.0 / curve->total_pages + 0.5);
		if (curve->source == CURVE_CONTENT)
			out_add_u64(obj, "error_bytes", point->error_pages * GUEST_PAGE);
		if (point->time_ns)
			out_add_u64(obj, "bytes_per_second",
				    (double)point->pages * GUEST_PAGE * NSEC_PER_SEC /
				    point->time_ns);
	}
}

static void add_content(const struct content_facts *facts, struct json_object *doc)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(doc, "content", obj);
	out_add_u64(obj, "samples", facts->samples);
	out_add_u64(obj, "changed", facts->changed);
	out_add_u64(obj, "first_touched", facts->first_touched);
	out_add_u64(obj, "absent", facts->absent);
	out_add_u64(obj, "swapped", facts->swapped);
	out_add_u64(obj, "unreadable", facts->unreadable);
	out_add_u64(obj, "unknown", facts->unknown);
	out_add_bool(obj, "slots_changed", facts->slots_changed);
}

static void append_share(struct json_object *array, uint32_t nr, uint32_t samples,
			 const char *what)
{
	char text[256];

	if (!nr)
		return;
	snprintf(text, sizeof(text), "%u of %u samples %s", nr, samples, what);
	out_append_text(array, text);
}

static void blind_content(const struct curve *curve, struct json_object *array)
{
	const struct content_facts *facts = &curve->content;
	char text[256], stands_for[UNITS_LEN];

	out_append_text(array, "writes that leave a page as it was, or were undone in between");
	append_share(array, facts->absent, facts->samples,
		     "were not populated at first: writing only zeroes there is not seen");
	append_share(array, facts->first_touched, facts->samples,
		     "changed by being populated: in shared memory that may have been a read");
	append_share(array, facts->swapped, facts->samples,
		     "were swapped out: taken to be unchanged for as long as they stay so");
	append_share(array, facts->unreadable, facts->samples,
		     "are no memory that can be read: taken to be unchanged");
	append_share(array, facts->unknown, facts->samples,
		     "came or went meanwhile: taken to be like the others");
	if (facts->slots_changed)
		out_append_text(array, "memory that came meanwhile: the memslots have changed");
	if (facts->changed < FEW_CHANGES && facts->samples < curve->total_pages) {
		snprintf(text, sizeof(text),
			 "detail: %u samples changed, each stands for %s (more --samples, --seconds?)",
			 facts->changed,
			 format_bytes(stands_for,
				      curve->total_pages * GUEST_PAGE / facts->samples));
		out_append_text(array, text);
	}
}

static void add_blind_spots(const struct curve *curve, struct json_object *doc)
{
	struct json_object *array = json_object_new_array();

	json_object_object_add(doc, "cannot_see", array);
	if (curve->source == CURVE_CONTENT) {
		blind_content(curve, array);
		return;
	}
	out_append_text(array, "writes by devices, and by the VMM without telling kvmx");
	if (curve->source == CURVE_TRACKER)
		out_append_text(array, "anything since the last harvest");
	else
		out_append_text(array, "how long ago the VMM took its sample");
}

void curve_describe(const struct curve *curve, struct json_object *doc)
{
	static const char * const names[] = {
		[CURVE_TRACKER] = "tracker",
		[CURVE_CONTENT] = "content",
		[CURVE_SAMPLE] = "sample",
	};

	out_add_text(doc, "source", names[curve->source]);
	if (curve->source != CURVE_SAMPLE) {
		out_add_u64(doc, "total_bytes", curve->total_pages * GUEST_PAGE);
		add_points(curve, doc);
	}
	if (curve->source == CURVE_CONTENT) {
		out_add_u64(doc, "begun_ns", curve->content.begun_ns);
		add_content(&curve->content, doc);
	}
	add_blind_spots(curve, doc);
}

void curve_print(struct json_object *doc)
{
	static const struct out_field fields[] = {
		{ "pid", "pid", OUT_COUNT },
		{ "vmm", "vmm", OUT_TEXT },
		{ "total_bytes", "memory", OUT_BYTES },
		{ "source", "source", OUT_TEXT },
	};
	static const struct out_field content[] = {
		{ "samples", "samples", OUT_COUNT },
		{ "changed", "changed", OUT_COUNT },
	};
	static const struct out_field columns[] = {
		{ "time_ns", "INTERVAL", OUT_TIME },
		{ "pages", "DIRTY PAGES", OUT_COUNT },
		{ "bytes", "DIRTY", OUT_BYTES },
		{ "error_bytes", "ERROR", OUT_BYTES },
		{ "permille", "OF MEMORY", OUT_PERMILLE },
		{ "bytes_per_second", "RATE", OUT_RATE },
	};

	out_record(doc, fields, ARRAY_SIZE(fields));
	if (out_get(doc, "content"))
		out_record(out_get(doc, "content"), content, ARRAY_SIZE(content));
	puts("");
	if (out_get(doc, "points")) {
		out_table(out_get(doc, "points"), columns, ARRAY_SIZE(columns));
		puts("");
	}
	puts("This cannot show:");
	out_lines("  - ", out_get(doc, "cannot_see"));
}
