/* SPDX-License-Identifier: GPL-2.0 */
/* Migration as people and programs see it: a line that changes, and JSON. */
#ifndef VMM_REPORT_H
#define VMM_REPORT_H

#include <json-c/json.h>

#include <kvmx/migrate.h>

#include "util.h"

struct vm;

/* Rewrites one line of a terminal; elsewhere writes a line per second and per change of phase. */
void progress_show(const struct kvmx_migrate_progress *progress);
struct json_object *progress_json(const struct kvmx_migrate_progress *progress);

/* @vm NULL: without hashes of memory */
struct json_object *report_json(const struct kvmx_migrate_report *report, const char *role,
				struct vm *vm);
struct json_object *hashes_json(const struct vm *vm);

/* To the file of --report, if given; says the essence on stderr. */
void report_finish(struct vm *vm, const struct kvmx_migrate_report *report, const char *role);

#endif
