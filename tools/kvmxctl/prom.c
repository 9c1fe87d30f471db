// SPDX-License-Identifier: GPL-2.0
/*
 * Prometheus' text format. Names end in the base unit, and in _total for what only grows, as its
 * own rules want it.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "command.h"
#include "prom.h"

struct metric {
	const char *object;	/* the value is in it, or NULL */
	const char *key;
	const char *name;
	const char *help;
	bool counter;
	double divisor;		/* to the base unit; 0: none */
};

static const struct metric host_metrics[] = {
	{ NULL, "hidden_processes", "kvmx_hidden_processes",
	  "Processes that could not be looked into for VMs.", false, 0 },
	{ "ksm", "vms", "kvmx_ksm_vms", "VMs with a KSM mode.", false, 0 },
	{ "ksm", "live_vms", "kvmx_ksm_live_vms", "VMs that may merge.", false, 0 },
	{ "ksm", "freed_bytes", "kvmx_ksm_freed_bytes",
	  "Memory that merging saves on this host now.", false, 0 },
	{ "ksm", "mergeable_bytes", "kvmx_ksm_mergeable_bytes",
	  "Memory that merging could save, as estimated.", false, 0 },
	{ "ksm", "epochs", "kvmx_ksm_epochs_total", "Epochs of ksmd.", true, 0 },
	{ "ksm", "ksmd_ns", "kvmx_ksm_ksmd_seconds_total", "CPU time of ksmd in epochs.",
	  true, 1e9 },
	{ "ksm", "kvmx_ns", "kvmx_ksm_kvmx_seconds_total", "CPU time of kvmx for KSM.",
	  true, 1e9 },
	{ "ksm", "cow_pages", "kvmx_ksm_cow_pages_total",
	  "Merged pages that were written to.", true, 0 },
};

static const struct metric vm_metrics[] = {
	{ NULL, "memory_bytes", "kvmx_vm_memory_bytes", "Guest memory.", false, 0 },
	{ NULL, "vcpus", "kvmx_vm_vcpus", "Virtual processors.", false, 0 },
	{ NULL, "slots", "kvmx_vm_memslots", "Memslots.", false, 0 },
	{ NULL, "trackers", "kvmx_vm_trackers", "Dirty-page trackers.", false, 0 },
	{ NULL, "kernel_bytes", "kvmx_vm_kernel_bytes",
	  "Kernel memory held for the VM and its trackers.", false, 0 },
	{ NULL, "harvests", "kvmx_vm_harvests_total", "Harvests.", true, 0 },
	{ NULL, "collected_pages", "kvmx_vm_collected_pages_total",
	  "Dirty pages taken out of KVM's log.", true, 0 },
	{ NULL, "clear_calls", "kvmx_vm_clear_calls_total",
	  "Calls that cleared KVM's log.", true, 0 },
	{ NULL, "marked_pages", "kvmx_vm_marked_pages_total",
	  "Pages that the VMM marked dirty.", true, 0 },
	{ NULL, "slot_changes", "kvmx_vm_slot_changes_total",
	  "Memslots that came, went or changed under a tracker.", true, 0 },
	{ NULL, "log_disturbed", "kvmx_vm_log_disturbed_total",
	  "Times somebody else switched a memslot's logging off.", true, 0 },
	{ NULL, "samples", "kvmx_vm_samples_total", "Samples of the dirty curve.", true, 0 },
	{ NULL, "predictions", "kvmx_vm_predictions_total", "Predictions.", true, 0 },
};

static struct json_object *value_of(struct json_object *obj, const struct metric *metric)
{
	if (metric->object)
		obj = json_object_object_get(obj, metric->object);
	return json_object_object_get(obj, metric->key);
}

static void print_head(const struct metric *metric, FILE *out)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
		metric->counter ? "counter" : "gauge");
}

static void print_value(const struct metric *metric, struct json_object *value, FILE *out)
{
	uint64_t number = json_object_get_uint64(value);

	if (metric->divisor)
		fprintf(out, " %.9g\n", number / metric->divisor);
	else
		fprintf(out, " %llu\n", (unsigned long long)number);
}

/* Backslash, quote and newline have to be escaped; names are printable by now. */
static void print_label(const char *name, const char *value, FILE *out)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', out);
		if (*value == '\n')
			fputs("\\n", out);
		else
			fputc(*value, out);
	}
	fputc('"', out);
}

static void print_labels(struct json_object *vm, FILE *out)
{
	static const char * const labels[] = { "pid", "fd", "vmm", "name", "uuid" };
	struct json_object *value;
	size_t i;

	fputc('{', out);
	for (i = 0; i < ARRAY_SIZE(labels); i++) {
		value = json_object_object_get(vm, labels[i]);
		if (i)
			fputc(',', out);
		print_label(labels[i], value ? json_object_get_string(value) : "", out);
	}
	fputc('}', out);
}

static void print_vm_metric(const struct metric *metric, struct json_object *vms, FILE *out)
{
	size_t i, nr = json_object_array_length(vms);
	struct json_object *vm, *value;
	bool head = false;

	for (i = 0; i < nr; i++) {
		vm = json_object_array_get_idx(vms, i);
		value = value_of(vm, metric);
		/* A VM that could not be opened. */
		if (!value)
			continue;
		if (!head)
			print_head(metric, out);
		head = true;
		fputs(metric->name, out);
		print_labels(vm, out);
		print_value(metric, value, out);
	}
}

void prom_print(struct json_object *doc, FILE *out)
{
	struct json_object *vms = json_object_object_get(doc, "vms"), *value;
	size_t i;

	fputs("# HELP kvmx_info What kvmx and kernel there are.\n", out);
	fputs("# TYPE kvmx_info gauge\nkvmx_info{", out);
	print_label("version", json_object_get_string(json_object_object_get(doc, "version")),
		    out);
	fputc(',', out);
	print_label("kernel", json_object_get_string(json_object_object_get(doc, "kernel")), out);
	fputs("} 1\n", out);
	fprintf(out, "# HELP kvmx_vms VMs of this host.\n# TYPE kvmx_vms gauge\nkvmx_vms %zu\n",
		json_object_array_length(vms));
	for (i = 0; i < ARRAY_SIZE(host_metrics); i++) {
		value = value_of(doc, &host_metrics[i]);
		if (!value)
			continue;
		print_head(&host_metrics[i], out);
		fputs(host_metrics[i].name, out);
		print_value(&host_metrics[i], value, out);
	}
	for (i = 0; i < ARRAY_SIZE(vm_metrics); i++)
		print_vm_metric(&vm_metrics[i], vms, out);
}
