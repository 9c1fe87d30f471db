// SPDX-License-Identifier: GPL-2.0
/*
 * Prints what the benchmarks have left in JSON: table FILE... Exits with 1 if a figure is not
 * what it must be.
 */
#include <json.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *text(struct json_object *row, const char *key)
{
	struct json_object *o = json_object_object_get(row, key);

	return o ? json_object_get_string(o) : "";
}

static double number(struct json_object *row, const char *key)
{
	return json_object_get_double(json_object_object_get(row, key));
}

/* Three digits that mean something, but no exponents. */
static const char *show(char *buf, size_t size, double value)
{
	double abs = value < 0 ? -value : value;

	if (isinf(value))
		return "never";
	snprintf(buf, size, "%.*f", abs >= 100 ? 0 : abs >= 10 ? 1 : 2, value);
	return buf;
}

static void amount(char *buf, size_t size, struct json_object *row, const char *key)
{
	char n[32];

	buf[0] = '\0';
	if (json_object_object_get(row, key))
		snprintf(buf, size, "%s %s", show(n, sizeof(n), number(row, key)),
			 text(row, "unit"));
}

static bool flag(struct json_object *row, const char *key)
{
	return json_object_get_boolean(json_object_object_get(row, key));
}

static int print_row(struct json_object *row)
{
	bool ok = flag(row, "ok"), known = flag(row, "known");
	char ours[48], rival[48], figure[48], need[48], n[32];

	amount(ours, sizeof(ours), row, "ours");
	amount(rival, sizeof(rival), row, "rival");
	snprintf(figure, sizeof(figure), "%s %s", show(n, sizeof(n), number(row, "figure")),
		 text(row, "figure_unit"));
	need[0] = '\0';
	if (*text(row, "bound"))
		snprintf(need, sizeof(need), "%s %s", text(row, "bound"),
			 show(n, sizeof(n), number(row, "need")));
	printf("%-44s %13s  %13s %-20s %10s  %-9s %s\n", text(row, "what"), ours, rival,
	       text(row, "against"), figure, need,
	       !*text(row, "bound") ? "" : ok ? "ok" : known ? "missed, known" : "MISSED");
	return ok || known ? 0 : 1;
}

static int print_file(const char *path)
{
	struct json_object *rows = json_object_from_file(path);
	int missed = 0;
	size_t i;

	if (!rows || !json_object_is_type(rows, json_type_array)) {
		fprintf(stderr, "%s: %s\n", path, rows ? "no rows" : json_util_get_last_err());
		return -1;
	}
	for (i = 0; i < json_object_array_length(rows); i++)
		missed += print_row(json_object_array_get_idx(rows, i));
	json_object_put(rows);
	return missed;
}

int main(int argc, char **argv)
{
	int i, ret, missed = 0, broken = 0;

	printf("%-44s %13s  %13s %-20s %10s  %-9s\n", "what", "kvmx", "rival", "", "figure",
	       "must be");
	for (i = 1; i < argc; i++) {
		ret = print_file(argv[i]);
		broken += ret < 0;
		missed += ret > 0 ? ret : 0;
	}
	if (missed)
		printf("%d MISSED\n", missed);
	return broken ? 2 : missed ? 1 : 0;
}
