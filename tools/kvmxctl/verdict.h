/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_VERDICT_H
#define KVMXCTL_VERDICT_H

#include <stddef.h>

#include <linux/kvmx.h>

/* "converges", "throttle", "offline" */
const char *verdict_name(const struct kvmx_predict *predict);
/* What KVMX_PREDICT said, in a sentence. */
void verdict_sentence(const struct kvmx_predict *predict, char *text, size_t size);

#endif
