/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_CURVE_H
#define KVMXCTL_CURVE_H

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>
#include <kvmx/kvmx.h>

#include "args.h"
#include "attach.h"
#include "error.h"
#include "sample.h"

enum curve_source {
	CURVE_AUTO,
	CURVE_TRACKER,
	CURVE_CONTENT,
	CURVE_SAMPLE,	/* only to predict: the kernel does not show it */
};

/* What the user wants; the options of dirty rate and dirty predict. */
struct curve_opts {
	uint64_t source;
	uint64_t duration_ns;
	uint64_t samples;
};

#define CURVE_OPTS_DEFAULT	{ CURVE_AUTO, 2 * NSEC_PER_SEC, 4096 }
#define CURVE_NR_OPTS		3

/* How a curve by content came about. */
struct content_facts {
	uint64_t begun_ns;	/* CLOCK_MONOTONIC */
	uint32_t samples;
	uint32_t absent;	/* of these, at first */
	uint32_t swapped;
	uint32_t unreadable;
	uint32_t changed;	/* in the longest interval */
	uint32_t first_touched;	/* of these */
	uint32_t unknown;
	bool slots_changed;
};

struct curve {
	enum curve_source source;
	uint64_t total_pages;
	unsigned int nr;
	struct sample_point points[KVMX_MAX_POINTS];
	struct content_facts content;
	int tracker;		/* of CURVE_TRACKER: close() it */
};

/* @words: the sources to choose from, in the order of enum curve_source. */
void curve_add_opts(struct curve_opts *opts, const char * const *words,
		    struct arg_opt args[CURVE_NR_OPTS]);
enum ctl_exit curve_get(const struct attached *att, const struct curve_opts *opts,
			struct curve *curve, struct ctl_error *err);
void curve_put(struct curve *curve);

/* Where it comes from, its points and what they do not show: into @doc. */
void curve_describe(const struct curve *curve, struct json_object *doc);
/* The same on paper, from @doc. */
void curve_print(struct json_object *doc);

/* content.c: a curve by content, from outside. */
enum ctl_exit content_curve(const struct attached *att, const struct curve_opts *opts,
			    struct curve *curve, struct ctl_error *err);

#endif
