/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_KSM_TEXT_H
#define KVMXCTL_KSM_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include <linux/kvmx.h>

#define KSM_UUID_LEN	37	/* as text, with the NUL */
#define KSM_REASON_LEN	96
#define KSM_BAR_LEN	24	/* cells of a progress bar */

/* Names for scripts; "?" for what a newer kvmx may have. */
const char *ksm_mode_name(uint32_t mode);
const char *ksm_state_name(uint32_t state);
const char *ksm_host_state_name(uint32_t state);
const char *ksm_knobs_name(uint32_t knobs);
const char *ksm_why_name(uint32_t why);
const char *ksm_todo_name(uint32_t todo);

/* KVMX_KSM_WHY_* and its number for people: "97.0 % pinned". Empty for none. */
const char *ksm_reason(char buf[KSM_REASON_LEN], uint32_t why, uint64_t arg);

/* An event of the system fd for people: "an epoch begins: 12.0 MiB to free". */
const char *ksm_event_name(uint32_t type);
const char *ksm_event_text(char buf[KSM_REASON_LEN], const struct kvmx_event *event);

/* A UUID of nothing but zeroes is text "none". */
const char *ksm_format_uuid(char buf[KSM_UUID_LEN], const uint8_t uuid[KVMX_UUID_LEN]);
/* 0, or -1 if @text is neither a UUID nor "none". */
int ksm_parse_uuid(const char *text, uint8_t uuid[KVMX_UUID_LEN]);

/* How much of what can be freed is; all of it if there is nothing to free. At most 1000. */
uint64_t ksm_permille(uint64_t freed, uint64_t mergeable);
/* "[#####.....]" */
const char *ksm_bar(char buf[KSM_BAR_LEN + 3], uint64_t permille);

#endif
