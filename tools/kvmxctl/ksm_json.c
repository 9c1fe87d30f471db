// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel tells about KSM, as JSON.
 */
#include <string.h>

#include "command.h"
#include "ksm.h"
#include "ksm_text.h"
#include "out.h"
#include "slots.h"

static void add_pages(struct json_object *obj, const char *key, uint64_t pages)
{
	out_add_u64(obj, key, pages * GUEST_PAGE);
}

/* null for none */
static void add_uuid(struct json_object *obj, const char *key, const uint8_t uuid[KVMX_UUID_LEN])
{
	static const uint8_t none[KVMX_UUID_LEN];
	char text[KSM_UUID_LEN];

	if (!memcmp(uuid, none, KVMX_UUID_LEN))
		json_object_object_add(obj, key, NULL);
	else
		out_add_text(obj, key, ksm_format_uuid(text, uuid));
}

static void add_reason(struct json_object *obj, uint32_t why, uint64_t arg)
{
	char text[KSM_REASON_LEN];

	out_add_text(obj, "why", ksm_why_name(why));
	out_add_u64(obj, "why_arg", arg);
	out_add_text(obj, "reason", ksm_reason(text, why, arg));
}

struct json_object *ksm_policy_json(const struct kvmx_ksm_policy *policy)
{
	struct json_object *obj = json_object_new_object();

	out_add_text(obj, "mode", policy->mode == KVMX_KSM_HOST_ON ? "on" : "off");
	out_add_text(obj, "domains", policy->domains == KVMX_KSM_SHARED ? "shared" : "strict");
	out_add_text(obj, "foreign",
		     policy->foreign == KVMX_KSM_FOREIGN_ALLOW ? "allow" : "refuse");
	add_uuid(obj, "domain", policy->domain);
	out_add_u64(obj, "cpu_permille", policy->cpu_permille);
	out_add_u64(obj, "pressure_permille", policy->pressure_permille);
	out_add_u64(obj, "idle_permille", policy->idle_permille);
	out_add_u64(obj, "memory_target_bytes", policy->memory_target);
	out_add_u64(obj, "reserve_bytes", policy->reserve);
	out_add_u64(obj, "page_ns", policy->page_ns);
	out_add_u64(obj, "epoch_ns", policy->epoch_ns);
	out_add_u64(obj, "interval_ns", policy->interval_ns);
	out_add_u64(obj, "settle_ns", policy->settle_ns);
	return obj;
}

static void add_memory(struct json_object *obj, const struct kvmx_ksm_host_get *host)
{
	add_pages(obj, "memory_bytes", host->pages);
	add_pages(obj, "present_bytes", host->present_pages);
	add_pages(obj, "mergeable_bytes", host->mergeable_pages);
	add_pages(obj, "mergeable_error_bytes", host->mergeable_err);
	add_pages(obj, "freed_bytes", host->freed_pages);
	out_add_u64(obj, "progress_permille",
		    ksm_permille(host->freed_pages, host->mergeable_pages));
	add_pages(obj, "merged_bytes", host->merged_pages);
	add_pages(obj, "zero_bytes", host->zero_pages);
	add_pages(obj, "volatile_bytes", host->volatile_pages);
	add_pages(obj, "pinned_bytes", host->pinned_pages);
	add_pages(obj, "huge_bytes", host->huge_pages);
	add_pages(obj, "shared_bytes", host->shared_pages);
	add_pages(obj, "gain_bytes", host->gain_pages);
	out_add_u64(obj, "cost_ns", host->cost_ns);
	out_add_u64(obj, "estimate_time_ns", host->estimate_time_ns);
}

static void add_counters(struct json_object *obj, const struct kvmx_ksm_host_get *host)
{
	out_add_u64(obj, "epochs", host->epochs);
	out_add_text(obj, "stopped", ksm_why_name(host->stopped));
	out_add_u64(obj, "looks", host->samples);
	out_add_u64(obj, "switches", host->switches);
	out_add_u64(obj, "evictions", host->evictions);
	out_add_u64(obj, "visits", host->scanned_pages);
	out_add_u64(obj, "full_scans", host->full_scans);
	add_pages(obj, "epoch_freed_bytes", host->epoch_merged_pages);
	add_pages(obj, "cow_bytes", host->cow_pages);
	out_add_u64(obj, "ksmd_ns", host->ksmd_ns);
	out_add_u64(obj, "kvmx_ns", host->kvmx_ns);
	out_add_u64(obj, "looks_ns", host->sample_ns);
	out_add_u64(obj, "longest_lock_ns", host->longest_lock_ns);
	out_add_u64(obj, "kernel_bytes", host->bytes);
	out_add_u64(obj, "kernel_peak_bytes", host->peak_bytes);
	out_add_u64(obj, "events_lost", host->events_lost);
}

struct json_object *ksm_host_json(const struct kvmx_ksm_host_get *host)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "policy", ksm_policy_json(&host->policy));
	out_add_bool(obj, "bound", host->flags & KVMX_KSM_HOST_BIND);
	out_add_text(obj, "state", ksm_host_state_name(host->state));
	add_reason(obj, host->why, host->why_arg);
	out_add_text(obj, "knobs", ksm_knobs_name(host->knobs));
	if (host->knob[0])
		out_add_text(obj, "lost_knob", host->knob);
	else
		json_object_object_add(obj, "lost_knob", NULL);
	out_add_bool(obj, "under_pressure", host->under_pressure);
	add_uuid(obj, "live_domain", host->live_domain);
	out_add_u64(obj, "vms", host->nr_vms);
	out_add_u64(obj, "live_vms", host->nr_live);
	out_add_u64(obj, "foreign_processes", host->nr_foreign);
	add_memory(obj, host);
	add_counters(obj, host);
	return obj;
}

struct json_object *ksm_vm_json(const struct kvmx_vm_ksm_get *vm)
{
	struct json_object *obj = json_object_new_object();

	out_add_text(obj, "mode", ksm_mode_name(vm->mode));
	out_add_bool(obj, "keep", vm->flags & KVMX_VM_KSM_KEEP);
	out_add_u64(obj, "weight", vm->weight);
	add_uuid(obj, "domain", vm->domain);
	out_add_text(obj, "state", ksm_state_name(vm->state));
	add_reason(obj, vm->why, vm->why_arg);
	add_pages(obj, "memory_bytes", vm->pages);
	add_pages(obj, "present_bytes", vm->present_pages);
	add_pages(obj, "mergeable_bytes", vm->mergeable_pages);
	add_pages(obj, "mergeable_error_bytes", vm->mergeable_err);
	add_pages(obj, "merged_bytes", vm->merged_pages);
	add_pages(obj, "zero_bytes", vm->zero_pages);
	add_pages(obj, "volatile_bytes", vm->volatile_pages);
	add_pages(obj, "pinned_bytes", vm->pinned_pages);
	add_pages(obj, "huge_bytes", vm->huge_pages);
	add_pages(obj, "shared_bytes", vm->shared_pages);
	add_pages(obj, "excluded_bytes", vm->excluded_pages);
	add_pages(obj, "cow_bytes", vm->cow_pages);
	add_pages(obj, "unmerged_bytes", vm->unmerged_pages);
	out_add_u64(obj, "looked_at_pages", vm->scanned_pages);
	out_add_u64(obj, "looks_ns", vm->sample_ns);
	out_add_u64(obj, "look_time_ns", vm->sample_time_ns);
	return obj;
}

struct json_object *ksm_plan_json(const struct kvmx_ksm_plan *plan)
{
	struct json_object *obj = json_object_new_object();

	out_add_bool(obj, "epoch", plan->epoch);
	out_add_u64(obj, "scans", plan->scans);
	add_reason(obj, plan->why, plan->why_arg);
	add_uuid(obj, "domain", plan->domain);
	add_pages(obj, "gain_bytes", plan->gain_pages);
	out_add_u64(obj, "cost_ns", plan->cost_ns);
	add_pages(obj, "unmerge_bytes", plan->unmerge_pages);
	return obj;
}

static struct json_object *plan_vm_json(const struct kvmx_ksm_plan_vm *vm)
{
	struct json_object *obj = json_object_new_object();

	out_add_u64(obj, "pid", vm->pid);
	add_uuid(obj, "uuid", vm->uuid);
	if (vm->label[0])
		out_add_text(obj, "label", vm->label);
	else
		json_object_object_add(obj, "label", NULL);
	add_uuid(obj, "domain", vm->domain);
	out_add_text(obj, "mode", ksm_mode_name(vm->mode));
	out_add_text(obj, "state", ksm_state_name(vm->state));
	out_add_text(obj, "todo", ksm_todo_name(vm->todo));
	add_reason(obj, vm->why, vm->why_arg);
	add_pages(obj, "scan_bytes", vm->pages);
	add_pages(obj, "mergeable_bytes", vm->mergeable_pages);
	add_pages(obj, "merged_bytes", vm->merged_pages);
	add_pages(obj, "gain_bytes", vm->gain_pages);
	out_add_u64(obj, "cost_ns", vm->cost_ns);
	return obj;
}

struct json_object *ksm_plan_vms_json(const struct kvmx_ksm_plan_vm *vms, int nr)
{
	struct json_object *array = json_object_new_array();
	int i;

	for (i = 0; i < nr; i++)
		json_object_array_add(array, plan_vm_json(&vms[i]));
	return array;
}
