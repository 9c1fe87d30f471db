// SPDX-License-Identifier: GPL-2.0

#include <json.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/rows.h"

static struct json_object *all;
static const char *file;

static void add_text(struct json_object *to, const char *key, const char *text)
{
	json_object_object_add(to, key, text ? json_object_new_string(text) : NULL);
}

static void add_number(struct json_object *to, const char *key, double value)
{
	json_object_object_add(to, key, json_object_new_double(value));
}

void rows_open(const char *path)
{
	all = json_object_new_array();
	file = path;
	if (!all) {
		fprintf(stderr, "no memory\n");
		exit(2);
	}
}

/* After every row, so that what a crash leaves behind is what was measured before. */
static void save(void)
{
	if (json_object_to_file_ext(file, all, JSON_C_TO_STRING_PRETTY)) {
		fprintf(stderr, "%s: %s\n", file, json_util_get_last_err());
		exit(2);
	}
}

void rows_close(void)
{
	save();
	json_object_put(all);
	all = NULL;
}

static bool holds(const struct row *row)
{
	switch (row->bound) {
	case BOUND_AT_LEAST:
		return row->figure >= row->need;
	case BOUND_AT_MOST:
		return row->figure <= row->need;
	default:
		return true;
	}
}

void row_add(const struct row *row)
{
	static const char * const bounds[] = { "", ">=", "<=" };
	struct json_object *o = json_object_new_object();

	add_text(o, "what", row->what);
	add_text(o, "against", row->rival_name);
	add_text(o, "unit", row->unit);
	add_number(o, "ours", row->ours);
	if (row->rival_name)
		add_number(o, "rival", row->rival);
	add_number(o, "figure", row->figure);
	add_text(o, "figure_unit", row->figure_unit);
	add_text(o, "bound", bounds[row->bound]);
	if (row->bound != BOUND_NONE)
		add_number(o, "need", row->need);
	json_object_object_add(o, "ok", json_object_new_boolean(holds(row)));
	json_object_object_add(o, "known", json_object_new_boolean(row->known));
	json_object_array_add(all, o);
	save();
	printf("%s: %.4g %s", row->what, row->ours, row->unit);
	if (row->rival_name)
		printf(", %s %.4g %s", row->rival_name, row->rival, row->unit);
	printf(": %.3g %s %s\n", row->figure, row->figure_unit, holds(row) ? "" : "MISSED");
	fflush(stdout);
}

void row_faster(const char *what, const char *rival_name, double ours_ns, double rival_ns,
		double need, bool known)
{
	row_add(&(struct row){
		.what = what, .rival_name = rival_name, .unit = "us",
		.ours = ours_ns / 1000, .rival = rival_ns / 1000,
		.figure = rival_ns / ours_ns, .figure_unit = "x",
		.bound = need > 0 ? BOUND_AT_LEAST : BOUND_NONE, .need = need, .known = known,
	});
}

void row_limit(const char *what, const char *unit, double ours, double most)
{
	row_add(&(struct row){
		.what = what, .unit = unit, .ours = ours, .figure = ours, .figure_unit = unit,
		.bound = BOUND_AT_MOST, .need = most,
	});
}
