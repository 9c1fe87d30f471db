/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_VMINFO_H
#define KVMXCTL_VMINFO_H

#include <stdbool.h>

#include <json-c/json.h>

#include <kvmx/kvmx.h>

#include "attach.h"
#include "error.h"

/* What describes a VM in every command's output: pid, fd, program. */
void vminfo_add_found(struct json_object *obj, const struct found_vm *found);
/* What kvmx knows of it. */
void vminfo_add_info(struct json_object *obj, const struct kvmx_vm_info *info);
/* Its memslots as an array, and the memory behind them in *@memory_bytes. */
enum ctl_exit vminfo_slots(const struct attached *att, struct json_object **array,
			   uint64_t *memory_bytes, struct ctl_error *err);
/* All of that at once; @slots as vminfo_slots() gives them, to be put by the caller. */
enum ctl_exit vminfo_add_details(const struct attached *att, struct json_object *obj,
				 struct json_object **slots, struct ctl_error *err);
/* kvmx's counters for it. */
enum ctl_exit vminfo_add_stats(const struct attached *att, struct json_object *obj,
			       struct ctl_error *err);

/*
 * vmlist.c: all VMs, and how many processes could not be looked into. What cannot be had of a VM
 * is said there and is no failure of the list; vmlist_troubles() says it to people, below a table
 * that has no room for it.
 */
enum ctl_exit vmlist_add(int sys_fd, bool with_stats, struct json_object *doc,
			 struct ctl_error *err);
void vmlist_troubles(struct json_object *doc);

#endif
