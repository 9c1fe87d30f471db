/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_PROM_H
#define KVMXCTL_PROM_H

#include <stdio.h>

#include <json-c/json.h>

/* What 'kvmxctl stats' knows, in Prometheus' text format. No effects but on @out. */
void prom_print(struct json_object *doc, FILE *out);

#endif
