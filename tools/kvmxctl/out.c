// SPDX-License-Identifier: GPL-2.0
/*
 * Output: JSON, or plain text rendered from the same objects.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "out.h"
#include "units.h"

#define CELL_LEN	256

enum out_mode out_mode;

bool out_colours(void)
{
	const char *no_color = getenv("NO_COLOR");

	return !(no_color && *no_color) && isatty(STDOUT_FILENO);
}

bool out_json(struct json_object *doc)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	if (out_mode == OUT_PLAIN)
		return false;
	if (out_mode == OUT_PRETTY)
		flags |= JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED;
	else
		flags |= JSON_C_TO_STRING_PLAIN;
	puts(json_object_to_json_string_ext(doc, flags));
	return true;
}

static const char *format_words(char buf[CELL_LEN], struct json_object *array)
{
	size_t i, len = 0, nr = json_object_array_length(array);

	buf[0] = '\0';
	for (i = 0; i < nr && len < CELL_LEN; i++)
		len += snprintf(buf + len, CELL_LEN - len, "%s%s", i ? "," : "",
				json_object_get_string(json_object_array_get_idx(array, i)));
	return buf[0] ? buf : "-";
}

/* NULL: there is nothing to show. */
static const char *format_field(char buf[CELL_LEN], struct json_object *obj,
				const struct out_field *field)
{
	struct json_object *value;
	uint64_t number;

	if (!json_object_object_get_ex(obj, field->key, &value) || !value)
		return NULL;
	number = json_object_get_uint64(value);
	switch (field->unit) {
	case OUT_BYTES:
		return format_bytes(buf, number);
	case OUT_RATE:
		return format_rate(buf, number);
	case OUT_TIME:
		return format_time(buf, number);
	case OUT_HEX:
		snprintf(buf, CELL_LEN, "0x%llx", (unsigned long long)number);
		return buf;
	case OUT_PERMILLE:
		snprintf(buf, CELL_LEN, "%.1f %%", number / 10.0);
		return buf;
	case OUT_WORDS:
		return format_words(buf, value);
	case OUT_COUNT:
	case OUT_TEXT:
	default:
		snprintf(buf, CELL_LEN, "%s", json_object_get_string(value));
		return buf;
	}
}

void out_record(struct json_object *obj, const struct out_field *fields, size_t nr)
{
	char buf[CELL_LEN];
	const char *text;
	size_t i;

	for (i = 0; i < nr; i++) {
		text = format_field(buf, obj, &fields[i]);
		if (text)
			printf("%-20s %s\n", fields[i].title, text);
	}
}

static bool right_aligned(enum out_unit unit)
{
	return unit != OUT_TEXT && unit != OUT_WORDS;
}

static void print_cell(const char *text, const struct out_field *field, size_t width, bool last)
{
	if (right_aligned(field->unit))
		printf("%*s", (int)width, text);
	else if (last)
		printf("%s", text);
	else
		printf("%-*s", (int)width, text);
	fputs(last ? "\n" : "  ", stdout);
}

static size_t column_width(struct json_object *array, const struct out_field *field)
{
	size_t i, len, width = strlen(field->title), nr = json_object_array_length(array);
	char buf[CELL_LEN];
	const char *text;

	for (i = 0; i < nr; i++) {
		text = format_field(buf, json_object_array_get_idx(array, i), field);
		len = text ? strlen(text) : 1;
		if (len > width)
			width = len;
	}
	return width;
}

void out_table(struct json_object *array, const struct out_field *fields, size_t nr)
{
	size_t i, f, rows = json_object_array_length(array);
	size_t widths[nr];
	char buf[CELL_LEN];
	const char *text;

	for (f = 0; f < nr; f++) {
		widths[f] = column_width(array, &fields[f]);
		print_cell(fields[f].title, &fields[f], widths[f], f + 1 == nr);
	}
	for (i = 0; i < rows; i++) {
		for (f = 0; f < nr; f++) {
			text = format_field(buf, json_object_array_get_idx(array, i), &fields[f]);
			print_cell(text ?: "-", &fields[f], widths[f], f + 1 == nr);
		}
	}
}

void out_lines(const char *prefix, struct json_object *array)
{
	size_t i, nr = array ? json_object_array_length(array) : 0;

	for (i = 0; i < nr; i++)
		printf("%s%s\n", prefix,
		       json_object_get_string(json_object_array_get_idx(array, i)));
}

void out_error(const struct ctl_error *err)
{
	struct json_object *doc, *obj;

	if (out_mode == OUT_PLAIN) {
		fprintf(stderr, "kvmxctl: %s\n", err->text);
		if (err->hint[0])
			fprintf(stderr, "kvmxctl: %s\n", err->hint);
		return;
	}
	doc = json_object_new_object();
	obj = json_object_new_object();
	json_object_object_add(doc, "error", obj);
	out_add_u64(obj, "exit_code", err->code);
	out_add_text(obj, "name", ctl_exit_name(err->code));
	out_add_text(obj, "text", err->text);
	if (err->hint[0])
		out_add_text(obj, "hint", err->hint);
	out_json(doc);
	json_object_put(doc);
}

void out_add_text(struct json_object *obj, const char *key, const char *text)
{
	json_object_object_add(obj, key, json_object_new_string(text));
}

void out_add_u64(struct json_object *obj, const char *key, uint64_t value)
{
	json_object_object_add(obj, key, json_object_new_uint64(value));
}

void out_add_bool(struct json_object *obj, const char *key, bool value)
{
	json_object_object_add(obj, key, json_object_new_boolean(value));
}

void out_append_text(struct json_object *array, const char *text)
{
	json_object_array_add(array, json_object_new_string(text));
}

struct json_object *out_get(struct json_object *obj, const char *key)
{
	return json_object_object_get(obj, key);
}

uint64_t out_get_u64(struct json_object *obj, const char *key)
{
	return json_object_get_uint64(json_object_object_get(obj, key));
}

const char *out_get_text(struct json_object *obj, const char *key)
{
	return json_object_get_string(json_object_object_get(obj, key));
}
