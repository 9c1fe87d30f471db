/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_VMINFO_H
#define KVMXCTL_VMINFO_H

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

#endif
