// SPDX-License-Identifier: GPL-2.0
/*
 * A prediction in words. No effects.
 */
#include <stdint.h>
#include <stdio.h>

#include "units.h"
#include "verdict.h"

const char *verdict_name(const struct kvmx_predict *predict)
{
	switch (predict->verdict) {
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

static void sentence_live(const struct kvmx_predict *predict, const char *condition, char *text,
			  size_t size)
{
	char total[UNITS_LEN], bytes[UNITS_LEN], pause[UNITS_LEN], allowed[UNITS_LEN];

	snprintf(text, size,
		 "The migration converges%s: %u rounds, %s in %s, then a pause of %s (%s allowed).",
		 condition, predict->rounds, format_bytes(bytes, predict->bytes),
		 format_time(total, predict->total_ns), format_time(pause, predict->pause_ns),
		 format_time(allowed, predict->allowed_ns));
}

void verdict_sentence(const struct kvmx_predict *predict, char *text, size_t size)
{
	char allowed[UNITS_LEN], offline[UNITS_LEN], condition[96];

	switch (predict->verdict) {
	case KVMX_VERDICT_CONVERGES:
		sentence_live(predict, "", text, size);
		return;
	case KVMX_VERDICT_THROTTLE:
		snprintf(condition, sizeof(condition),
			 " only if the vCPUs are slowed down to %u.%u %%",
			 predict->vcpu_permille / 10, predict->vcpu_permille % 10);
		sentence_live(predict, condition, text, size);
		return;
	case KVMX_VERDICT_OFFLINE:
		if (predict->offline_ns == KVMX_PREDICT_NEVER) {
			snprintf(text, size, "The migration never ends: the link carries nothing.");
			return;
		}
		snprintf(text, size,
			 "The migration does not get down to a pause of %s: migrate offline, with a pause of %s.",
			 format_time(allowed, predict->allowed_ns),
			 format_time(offline, predict->offline_ns));
		return;
	default:
		snprintf(text, size, "The loaded kvmx gave a verdict this tool does not know (%u).",
			 predict->verdict);
	}
}
