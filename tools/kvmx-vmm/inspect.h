/* SPDX-License-Identifier: GPL-2.0 */
/* What the vCPUs are at, for whoever wonders why a guest says nothing. */
#ifndef VMM_INSPECT_H
#define VMM_INSPECT_H

#include <json-c/json.h>

struct vm;

/* Stops the vCPUs for as long as it takes to look. NULL, and errno says why. */
struct json_object *inspect_vcpus(struct vm *vm);

#endif
