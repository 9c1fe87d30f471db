// SPDX-License-Identifier: GPL-2.0
/*
 * Makes rows of what migrate.sh printed: figures LOG JSON. Each line "run NAME=VALUE..." is a
 * migration; the medians over the migrations of one way and load are compared.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/rows.h"
#include "lib/stat.h"

#define MAX_RUNS 256
#define MAX_LINE 2048
#define GIB_BYTES (1024.0 * 1024 * 1024)
/* A heart beats every 10 ms: no pause is known better than that. */
#define BEAT_MS 10
#define ALLOWED_MS 300

enum { KVMX, PLAIN, QEMU, NR_SIDES };

static const char * const sides[NR_SIDES] = { "kvmx", "plain", "qemu" };
static const char * const side_names[NR_SIDES] = { "kvmx", "plain pre-copy", "QEMU" };

static char lines[MAX_RUNS][MAX_LINE];
static unsigned int nr_lines;

/* The value of a name in a line, or NULL. */
static const char *value(const char *line, const char *name, char *buf, size_t size)
{
	size_t len = strlen(name);
	const char *p = line;

	while ((p = strchr(p, ' '))) {
		p++;
		if (strncmp(p, name, len) || p[len] != '=')
			continue;
		p += len + 1;
		len = strcspn(p, "\n ");
		if (len >= size)
			return NULL;
		memcpy(buf, p, len);
		buf[len] = '\0';
		return buf;
	}
	return NULL;
}

static bool has(const char *line, const char *name, const char *want)
{
	char buf[64];
	const char *v = value(line, name, buf, sizeof(buf));

	return v && !strcmp(v, want);
}

/* NAN for what is not there, or null: a time without end. */
static double number(const char *line, const char *name)
{
	char buf[64], *end;
	const char *v = value(line, name, buf, sizeof(buf));
	double n;

	if (!v)
		return NAN;
	n = strtod(v, &end);
	return end == v || *end ? NAN : n;
}

static double get_bytes(const char *line)
{
	return number(line, "bytes") / 1e6;
}

/* By the guest's heartbeats, on all sides alike. */
static double get_pause(const char *line)
{
	return has(line, "moved", "1") ? number(line, "beat_pause_ms") : NAN;
}

/* How long the same guest was silent at most without being paused: so late a beat can come. */
static double get_gap(const char *line)
{
	return has(line, "moved", "1") ? number(line, "gap_ms") : NAN;
}

static double off_by(double predicted, double came)
{
	return fabs(predicted - came) / came * 100;
}

/* Each against its own clock: that knows nothing of heartbeats. */
static double get_prediction_error(const char *line)
{
	if (!has(line, "moved", "1"))
		return NAN;
	if (has(line, "way", "qemu"))
		return off_by(number(line, "expected_ms"), number(line, "said_ms"));
	return off_by(number(line, "predicted_ns"), number(line, "pause_ns"));
}

static double get_table(const char *line)
{
	return number(line, "table_bytes") / (1024 * 1024) /
	       (number(line, "total_pages") * 4096 / GIB_BYTES);
}

/* When it was said that the guest cannot move; at the end of the try if it was not. */
static double get_refusal(const char *line)
{
	if (has(line, "first_verdict", "converges"))
		return number(line, "total_ns") / 1e6;
	return number(line, "first_verdict_ns") / 1e6;
}

static double middle(int side, const char *load, double (*get)(const char *line))
{
	double values[MAX_RUNS];
	unsigned int i, n = 0;

	for (i = 0; i < nr_lines; i++) {
		if (!has(lines[i], "way", sides[side]) || !has(lines[i], "load", load))
			continue;
		values[n] = get(lines[i]);
		if (!isnan(values[n]))
			n++;
	}
	return n ? median(values, n) : NAN;
}

static void compare_bytes(const char *load, int rival)
{
	double ours = middle(KVMX, load, get_bytes), theirs = middle(rival, load, get_bytes);
	char what[80];

	if (isnan(ours) || isnan(theirs))
		return;
	snprintf(what, sizeof(what), "bytes on the wire, %s", load);
	row_add(&(struct row){
		.what = what, .rival_name = side_names[rival], .unit = "MB", .ours = ours,
		.rival = theirs, .figure = theirs / ours, .figure_unit = "x",
		.bound = BOUND_AT_LEAST, .need = 1,
	});
}

static void compare_pauses(const char *load, int rival)
{
	double ours = middle(KVMX, load, get_pause), theirs = middle(rival, load, get_pause);
	char what[80];

	if (isnan(ours) || isnan(theirs))
		return;
	snprintf(what, sizeof(what), "pause, %s", load);
	row_add(&(struct row){
		.what = what, .rival_name = side_names[rival], .unit = "ms", .ours = ours,
		.rival = theirs, .figure = ours - theirs, .figure_unit = "ms",
		.bound = BOUND_AT_MOST, .need = BEAT_MS,
	});
}

static void judge_pause(const char *load)
{
	double pause = middle(KVMX, load, get_pause);
	double late = fmax(middle(KVMX, load, get_gap), BEAT_MS);
	char what[80];

	snprintf(what, sizeof(what), "pause, %s, allowed %d ms + a beat", load, ALLOWED_MS);
	row_limit(what, "ms", isnan(pause) ? INFINITY : pause, ALLOWED_MS + late);
}

static void judge_prediction(const char *load)
{
	double ours = middle(KVMX, load, get_prediction_error);
	double theirs = middle(QEMU, load, get_prediction_error);
	char what[80];

	if (isnan(ours))
		return;
	snprintf(what, sizeof(what), "predicted pause, %s, off by", load);
	row_limit(what, "%", ours, 15);
	if (isnan(theirs))
		return;
	/* Where both are right there is nothing to be better at. */
	row_add(&(struct row){
		.what = what, .rival_name = "constant rate, QEMU", .unit = "%", .ours = ours,
		.rival = theirs, .figure = ours - theirs, .figure_unit = "%",
		.bound = theirs > 15 ? BOUND_AT_MOST : BOUND_NONE, .need = 0,
	});
}

static void judge_load(const char *load, bool possible)
{
	/* To send little because nothing moved is no merit, unless nothing can. */
	if (!possible || !isnan(middle(KVMX, load, get_pause))) {
		compare_bytes(load, QEMU);
		compare_bytes(load, PLAIN);
	}
	if (!possible) {
		row_limit("verdict that hot12+uniform cannot move, after", "ms",
			  middle(KVMX, load, get_refusal), 2000);
		return;
	}
	judge_pause(load);
	compare_pauses(load, QEMU);
	compare_pauses(load, PLAIN);
	judge_prediction(load);
}

static bool all_sides(const char *load)
{
	bool all = true;
	int side;

	for (side = 0; side < NR_SIDES; side++) {
		if (!isnan(middle(side, load, get_bytes)))
			continue;
		fprintf(stderr, "no migration of %s by %s\n", load, side_names[side]);
		all = false;
	}
	return all;
}

static void read_lines(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		die(path, errno);
	while (nr_lines < MAX_RUNS && fgets(lines[nr_lines], MAX_LINE, file))
		if (!strncmp(lines[nr_lines], "run ", 4))
			nr_lines++;
	fclose(file);
}

int main(int argc, char **argv)
{
	static const char * const loads[] = {
		"idle", "uniform", "hotset", "stream", "grow", "same", "hot8+uniform",
		"hot12+uniform",
	};
	unsigned int i, missing = 0;
	double table;

	if (argc != 3) {
		fprintf(stderr, "usage: figures LOG JSON\n");
		return 2;
	}
	read_lines(argv[1]);
	rows_open(argv[2]);
	for (i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		missing += !all_sides(loads[i]);
		judge_load(loads[i], strcmp(loads[i], "hot12+uniform"));
	}
	table = middle(KVMX, "uniform", get_table);
	if (!isnan(table))
		row_limit("memory of a migration's content table", "MiB/GiB", table, 4.2);
	rows_close();
	return missing ? 1 : 0;
}
