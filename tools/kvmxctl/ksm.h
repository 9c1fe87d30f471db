/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_KSM_H
#define KVMXCTL_KSM_H

#include <json-c/json.h>

#include <kvmx/kvmx.h>

#include "error.h"

enum ctl_exit ksm_show(int argc, char **argv, struct ctl_error *err);
enum ctl_exit ksm_set(int argc, char **argv, struct ctl_error *err);
enum ctl_exit ksm_plan(int argc, char **argv, struct ctl_error *err);
enum ctl_exit ksm_watch(int argc, char **argv, struct ctl_error *err);

/* What the kernel tells as JSON, amounts of memory in bytes. */
struct json_object *ksm_policy_json(const struct kvmx_ksm_policy *policy);
struct json_object *ksm_host_json(const struct kvmx_ksm_host_get *host);
struct json_object *ksm_vm_json(const struct kvmx_vm_ksm_get *vm);
struct json_object *ksm_plan_json(const struct kvmx_ksm_plan *plan);
struct json_object *ksm_plan_vms_json(const struct kvmx_ksm_plan_vm *vms, int nr);

/* The host's policy and state, and the VMs that have a mode, for people. */
void ksm_print_policy(struct json_object *policy);

/* KVMX_KSM_HOST_GET, with a hint if that is not permitted. */
enum ctl_exit ksm_host(int sys_fd, struct kvmx_ksm_host_get *host, struct ctl_error *err);
/* KVMX_KSM_PLAN; no VM with a mode is no error: *@nr is 0 then. free() *@vms. */
enum ctl_exit ksm_ask_plan(int sys_fd, uint32_t flags, struct kvmx_ksm_plan *plan,
			   struct kvmx_ksm_plan_vm **vms, int *nr, struct ctl_error *err);

#endif
