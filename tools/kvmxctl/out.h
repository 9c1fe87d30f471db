/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_OUT_H
#define KVMXCTL_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "error.h"

/*
 * Every command describes its result once, as a JSON object with plain numbers in base units
 * (the key says which: _bytes, _ns, ...). JSON output is that object; plain output is rendered
 * from it by a list of fields, with numbers made readable.
 */
enum out_mode {
	OUT_PLAIN,
	OUT_JSON,
	OUT_PRETTY,
};

enum out_unit {
	OUT_TEXT,
	OUT_COUNT,
	OUT_HEX,
	OUT_BYTES,
	OUT_RATE,
	OUT_TIME,
	OUT_PERMILLE,	/* shown as a percentage */
	OUT_WORDS,	/* an array of strings */
};

/* A field that is absent or null is left out of a record and "-" in a table. */
struct out_field {
	const char *key;
	const char *title;
	enum out_unit unit;
};

extern enum out_mode out_mode;

/* Whether to colour: on a terminal, unless NO_COLOR is set. */
bool out_colours(void);
/* Prints @doc as JSON; false: plain output is wanted, nothing was printed. */
bool out_json(struct json_object *doc);
void out_record(struct json_object *obj, const struct out_field *fields, size_t nr);
void out_table(struct json_object *array, const struct out_field *fields, size_t nr);
/* The strings of an array, one a line, each behind @prefix. */
void out_lines(const char *prefix, struct json_object *array);
void out_error(const struct ctl_error *err);

void out_add_text(struct json_object *obj, const char *key, const char *text);
void out_add_u64(struct json_object *obj, const char *key, uint64_t value);
void out_add_bool(struct json_object *obj, const char *key, bool value);
void out_append_text(struct json_object *array, const char *text);

uint64_t out_get_u64(struct json_object *obj, const char *key);
const char *out_get_text(struct json_object *obj, const char *key);
struct json_object *out_get(struct json_object *obj, const char *key);

#endif
