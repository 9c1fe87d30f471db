// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "report.h"
#include "vm.h"

static const char *phase_name(u32 phase)
{
	static const char * const names[] = {
		[KVMX_PHASE_CONNECT] = "connect", [KVMX_PHASE_SAMPLE] = "sample",
		[KVMX_PHASE_FIRST] = "first", [KVMX_PHASE_REPEAT] = "repeat",
		[KVMX_PHASE_PAUSED] = "paused", [KVMX_PHASE_READY] = "ready",
		[KVMX_PHASE_DONE] = "done",
	};

	return phase < ARRAY_SIZE(names) ? names[phase] : "?";
}

static const char *verdict_name(u32 verdict)
{
	switch (verdict) {
	case KVMX_VERDICT_CONVERGES:
		return "converges";
	case KVMX_VERDICT_THROTTLE:
		return "throttle";
	case KVMX_VERDICT_OFFLINE:
		return "offline";
	default:
		return "unknown";
	}
}

static const char *outcome_name(u32 outcome)
{
	switch (outcome) {
	case KVMX_MIGRATE_DONE:
		return "done";
	case KVMX_MIGRATE_UNKNOWN:
		return "unknown";
	default:
		return "failed";
	}
}

static double mib(u64 pages)
{
	return pages * (double)PAGE_SIZE / MIB;
}

static void format_line(char *line, size_t size, const struct kvmx_migrate_progress *p)
{
	char pause[32], slow[32] = "";

	if (p->pause_ns == KVMX_PREDICT_NEVER)
		snprintf(pause, sizeof(pause), "never ends");
	else
		snprintf(pause, sizeof(pause), "%.0f ms", p->pause_ns / 1e6);
	if (p->vcpu_permille < 1000)
		snprintf(slow, sizeof(slow), ", vCPUs at %.1f %%", p->vcpu_permille / 10.0);
	snprintf(line, size,
		 "%5.1f s %-7s %4u: %.1f of %.1f MiB left, %.1f MiB/s, dirty %.1f MiB/s, pause %s, %s%s",
		 p->elapsed_ns / 1e9, phase_name(p->phase), p->slices, mib(p->pending_pages),
		 mib(p->total_pages), p->bandwidth / 1048576.0, mib(p->dirty_rate),
		 p->pause_ns ? pause : "unknown", verdict_name(p->verdict), slow);
}

void progress_show(const struct kvmx_migrate_progress *progress)
{
	static u32 last_phase = ~0U;
	static u64 last_ns;
	char line[256];

	format_line(line, sizeof(line), progress);
	if (isatty(STDERR_FILENO)) {
		fprintf(stderr, "\r%s\033[K", line);
		if (progress->phase == KVMX_PHASE_DONE)
			fputs("\r\n", stderr);
	} else if (progress->phase != last_phase || now_ns() - last_ns >= NSEC_PER_SEC) {
		fprintf(stderr, "%s\n", line);
		last_ns = now_ns();
	}
	last_phase = progress->phase;
}

static void add_string(struct json_object *obj, const char *name, const char *value)
{
	json_object_object_add(obj, name, json_object_new_string(value));
}

/* KVMX_PREDICT_NEVER is null: no number could be told from a long time. */
static void add_number(struct json_object *obj, const char *name, u64 value)
{
	json_object_object_add(obj, name, value == KVMX_PREDICT_NEVER ? NULL :
			       json_object_new_int64(value));
}

struct json_object *progress_json(const struct kvmx_migrate_progress *p)
{
	struct json_object *obj = json_object_new_object();

	add_string(obj, "phase", phase_name(p->phase));
	add_string(obj, "verdict", verdict_name(p->verdict));
	add_number(obj, "slices", p->slices);
	add_number(obj, "vcpu_permille", p->vcpu_permille);
	add_number(obj, "needed_permille", p->needed_permille);
	add_number(obj, "aborts", p->aborts);
	add_number(obj, "elapsed_ns", p->elapsed_ns);
	add_number(obj, "bytes", p->bytes);
	add_number(obj, "bandwidth", p->bandwidth);
	add_number(obj, "dirty_rate", p->dirty_rate);
	add_number(obj, "total_pages", p->total_pages);
	add_number(obj, "pending_pages", p->pending_pages);
	add_number(obj, "pause_ns", p->pause_ns);
	add_number(obj, "total_ns", p->total_ns);
	add_number(obj, "offline_ns", p->offline_ns);
	return obj;
}

struct json_object *hashes_json(const struct vm *vm)
{
	struct json_object *array = json_object_new_array();
	unsigned int i;

	for (i = 0; i < vm->mem.nr_ranges; i++) {
		struct json_object *obj = json_object_new_object();
		char hex[33];

		memory_hash(&vm->mem.ranges[i], hex);
		add_number(obj, "gpa", vm->mem.ranges[i].gpa);
		add_number(obj, "size", vm->mem.ranges[i].size);
		add_string(obj, "xxh3_128", hex);
		json_object_array_add(array, obj);
	}
	return array;
}

static void add_figures(struct json_object *obj, const struct kvmx_migrate_report *r)
{
	add_number(obj, "first_pause_ns", r->first_pause_ns);
	add_number(obj, "first_verdict_ns", r->first_verdict_ns);
	add_number(obj, "slices", r->slices);
	add_number(obj, "aborts", r->aborts);
	add_number(obj, "vcpu_permille", r->vcpu_permille);
	json_object_object_add(obj, "offline", json_object_new_boolean(r->offline));
	add_number(obj, "total_ns", r->total_ns);
	add_number(obj, "pause_ns", r->pause_ns);
	add_number(obj, "predicted_ns", r->predicted_ns);
	add_number(obj, "state_ns", r->state_ns);
	add_number(obj, "aborted_ns", r->aborted_ns);
	add_number(obj, "bandwidth", r->bandwidth);
	add_number(obj, "bytes", r->bytes);
	add_number(obj, "pause_bytes", r->pause_bytes);
	add_number(obj, "total_pages", r->total_pages);
	add_number(obj, "data_pages", r->data_pages);
	add_number(obj, "zero_pages", r->zero_pages);
	add_number(obj, "same_pages", r->same_pages);
	add_number(obj, "absent_pages", r->absent_pages);
	add_number(obj, "final_pages", r->final_pages);
	add_number(obj, "dma_pages", r->dma_pages);
	add_number(obj, "ignored_pages", r->ignored_pages);
	add_number(obj, "table_bytes", r->table_bytes);
	add_number(obj, "state_bytes", r->state_bytes);
}

struct json_object *report_json(const struct kvmx_migrate_report *report, const char *role,
				struct vm *vm)
{
	struct json_object *obj = json_object_new_object();

	add_string(obj, "role", role);
	add_string(obj, "outcome", outcome_name(report->outcome));
	json_object_object_add(obj, "error", json_object_new_int(report->error));
	add_string(obj, "reason", report->reason);
	add_string(obj, "first_verdict", verdict_name(report->first_verdict));
	add_string(obj, "verdict", verdict_name(report->verdict));
	add_figures(obj, report);
	if (vm && vm->migration.hashes)
		json_object_object_add(obj, "memory", json_object_get(vm->migration.hashes));
	return obj;
}

static void write_report(const char *path, struct json_object *obj)
{
	if (json_object_to_file_ext(path, obj, JSON_C_TO_STRING_PRETTY))
		say("%s: %s", path, json_util_get_last_err());
}

/* An offline migration begins with the pause: nothing was predicted. */
static const char *format_predicted(u64 ns, char *text, size_t size)
{
	if (!ns || ns == KVMX_PREDICT_NEVER)
		*text = '\0';
	else
		snprintf(text, size, " (predicted %.0f ms)", ns / 1e6);
	return text;
}

void report_finish(struct vm *vm, const struct kvmx_migrate_report *report, const char *role)
{
	struct json_object *obj = report_json(report, role, vm);
	char predicted[48];

	if (report->outcome == KVMX_MIGRATE_DONE && report->pause_ns)
		say("%s: done in %.1f s, %.1f MiB, pause %.0f ms%s", role, report->total_ns / 1e9,
		    report->bytes / 1048576.0, report->pause_ns / 1e6,
		    format_predicted(report->predicted_ns, predicted, sizeof(predicted)));
	else if (report->outcome == KVMX_MIGRATE_DONE)
		say("%s: done in %.1f s, %.1f MiB", role, report->total_ns / 1e9,
		    report->bytes / 1048576.0);
	else
		say("%s: %s: %s", role, outcome_name(report->outcome), report->reason);
	if (vm->opt->report)
		write_report(vm->opt->report, obj);
	json_object_put(obj);
}
