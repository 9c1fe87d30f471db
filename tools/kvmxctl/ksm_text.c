// SPDX-License-Identifier: GPL-2.0
/*
 * What kvmx says about KSM, as text. No effects.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "ksm_text.h"
#include "slots.h"
#include "units.h"

static const char *name_of(const char * const *names, size_t nr, uint32_t number)
{
	return number < nr && names[number] ? names[number] : "?";
}

const char *ksm_mode_name(uint32_t mode)
{
	static const char * const names[] = {
		[KVMX_KSM_UNSET] = "unset",
		[KVMX_KSM_OFF] = "off",
		[KVMX_KSM_AUTO] = "auto",
		[KVMX_KSM_ALWAYS] = "always",
	};

	return name_of(names, ARRAY_SIZE(names), mode);
}

const char *ksm_state_name(uint32_t state)
{
	static const char * const names[] = {
		[KVMX_KSM_STATE_UNSET] = "unset",
		[KVMX_KSM_STATE_OFF] = "off",
		[KVMX_KSM_STATE_WAITING] = "waiting",
		[KVMX_KSM_STATE_REFUSED] = "refused",
		[KVMX_KSM_STATE_LIVE] = "live",
		[KVMX_KSM_STATE_MERGING] = "merging",
		[KVMX_KSM_STATE_EVICTED] = "evicted",
	};

	return name_of(names, ARRAY_SIZE(names), state);
}

const char *ksm_host_state_name(uint32_t state)
{
	static const char * const names[] = {
		[KVMX_KSM_HOST_STATE_OFF] = "off",
		[KVMX_KSM_HOST_STATE_IDLE] = "idle",
		[KVMX_KSM_HOST_STATE_SAMPLING] = "looking",
		[KVMX_KSM_HOST_STATE_SETTLING] = "settling",
		[KVMX_KSM_HOST_STATE_CHANGING] = "changing",
		[KVMX_KSM_HOST_STATE_EPOCH] = "epoch",
	};

	return name_of(names, ARRAY_SIZE(names), state);
}

const char *ksm_knobs_name(uint32_t knobs)
{
	static const char * const names[] = {
		[KVMX_KSM_KNOBS_FREE] = "free",
		[KVMX_KSM_KNOBS_OWNED] = "owned",
		[KVMX_KSM_KNOBS_LOST] = "lost",
	};

	return name_of(names, ARRAY_SIZE(names), knobs);
}

const char *ksm_todo_name(uint32_t todo)
{
	static const char * const names[] = {
		[KVMX_KSM_DO_LEAVE] = "leave",
		[KVMX_KSM_DO_ADMIT] = "admit",
		[KVMX_KSM_DO_UNMERGE] = "unmerge",
	};

	return name_of(names, ARRAY_SIZE(names), todo);
}

/* What the number means that comes with a reason. */
enum arg {
	ARG_IS_NONE,
	ARG_IS_PERMILLE,
	ARG_IS_PAGES,
	ARG_IS_BYTES,
	ARG_IS_COUNT,
	ARG_IS_NS,
};

static const struct {
	const char *name;
	const char *text;	/* with a %s for the number, if it has one */
	enum arg arg;
} reasons[] = {
	[KVMX_KSM_WHY_NONE] = { "none", "", ARG_IS_NONE },
	[KVMX_KSM_WHY_HOST_OFF] = { "host-off", "the host's policy is off", ARG_IS_NONE },
	[KVMX_KSM_WHY_KNOBS] = { "knobs", "somebody else has written to KSM's knobs", ARG_IS_NONE },
	[KVMX_KSM_WHY_FOREIGN] = { "foreign", "%s other processes merge memory", ARG_IS_COUNT },
	[KVMX_KSM_WHY_DOMAIN] = { "domain", "another domain is live", ARG_IS_NONE },
	[KVMX_KSM_WHY_MIGRATION] = { "migration", "%s VMs are being migrated", ARG_IS_COUNT },
	[KVMX_KSM_WHY_PINNED] = { "pinned", "%s pinned", ARG_IS_PERMILLE },
	[KVMX_KSM_WHY_SHARED] = { "shared", "%s is no private memory", ARG_IS_PERMILLE },
	[KVMX_KSM_WHY_VOLATILE] = { "volatile", "%s changes all the time", ARG_IS_PERMILLE },
	[KVMX_KSM_WHY_NO_GAIN] = { "no-gain", "%s could be freed, not worth it", ARG_IS_PAGES },
	[KVMX_KSM_WHY_COW] = { "cow", "it wrote to %s that was merged", ARG_IS_PAGES },
	[KVMX_KSM_WHY_NO_MEMORY] = { "no-memory", "unmerging needs %s", ARG_IS_BYTES },
	[KVMX_KSM_WHY_MODE] = { "mode", "its mode says so", ARG_IS_NONE },
	[KVMX_KSM_WHY_GAIN] = { "gain", "it pays: %s", ARG_IS_PAGES },
	[KVMX_KSM_WHY_REACHED] = { "reached", "all that can merge has merged", ARG_IS_NONE },
	[KVMX_KSM_WHY_NO_VM] = { "no-vm", "no VM may merge", ARG_IS_NONE },
	[KVMX_KSM_WHY_SCANS] = { "scans", "all its scans are made", ARG_IS_NONE },
	[KVMX_KSM_WHY_COST] = { "cost", "it costs %s", ARG_IS_NS },
	[KVMX_KSM_WHY_CHANGED] = { "changed", "settings or memory of a VM have changed",
				   ARG_IS_NONE },
	[KVMX_KSM_WHY_SAMPLING] = { "sampling", "it has yet to be looked at", ARG_IS_NONE },
	[KVMX_KSM_WHY_ERROR] = { "error", "the kernel refused: error %s", ARG_IS_COUNT },
};

const char *ksm_why_name(uint32_t why)
{
	return why < ARRAY_SIZE(reasons) ? reasons[why].name : "?";
}

static const char *format_arg(char buf[UNITS_LEN], enum arg kind, uint64_t arg)
{
	switch (kind) {
	case ARG_IS_PERMILLE:
		snprintf(buf, UNITS_LEN, "%llu.%llu %%", (unsigned long long)arg / 10,
			 (unsigned long long)arg % 10);
		return buf;
	case ARG_IS_PAGES:
		return format_bytes(buf, arg * GUEST_PAGE);
	case ARG_IS_BYTES:
		return format_bytes(buf, arg);
	case ARG_IS_NS:
		return format_time(buf, arg);
	case ARG_IS_COUNT:
	case ARG_IS_NONE:
	default:
		return format_count(buf, arg);
	}
}

const char *ksm_reason(char buf[KSM_REASON_LEN], uint32_t why, uint64_t arg)
{
	const char *text = why < ARRAY_SIZE(reasons) ? reasons[why].text : "a reason of number %s";
	enum arg kind = why < ARRAY_SIZE(reasons) ? reasons[why].arg : ARG_IS_COUNT;
	const char *hole = strstr(text, "%s");
	char number[UNITS_LEN];

	if (why >= ARRAY_SIZE(reasons))
		arg = why;
	if (!hole)
		snprintf(buf, KSM_REASON_LEN, "%s", text);
	else
		snprintf(buf, KSM_REASON_LEN, "%.*s%s%s", (int)(hole - text), text,
			 format_arg(number, kind, arg), hole + 2);
	return buf;
}

const char *ksm_event_name(uint32_t type)
{
	static const char * const names[] = {
		[KVMX_EVENT_KSM_KNOBS] = "knobs",
		[KVMX_EVENT_KSM_BEGIN] = "begin",
		[KVMX_EVENT_KSM_END] = "end",
		[KVMX_EVENT_KSM_DOMAIN] = "domain",
		[KVMX_EVENT_KSM_EVICTED] = "evicted",
		[KVMX_EVENT_KSM_FOREIGN] = "foreign",
	};

	return name_of(names, ARRAY_SIZE(names), type);
}

/* The number that comes with the reason is not in the event: its name has to do. */
static void end_text(char buf[KSM_REASON_LEN], uint64_t arg)
{
	uint64_t pages = arg & ((1ULL << 56) - 1);
	char bytes[UNITS_LEN];

	snprintf(buf, KSM_REASON_LEN, "the epoch ends (%s): %s freed", ksm_why_name(arg >> 56),
		 format_bytes(bytes, pages * GUEST_PAGE));
}

const char *ksm_event_text(char buf[KSM_REASON_LEN], const struct kvmx_event *event)
{
	unsigned long long arg = event->arg;
	char bytes[UNITS_LEN];

	switch (event->type) {
	case KVMX_EVENT_KSM_KNOBS:
		snprintf(buf, KSM_REASON_LEN, "KSM's knobs are %s", ksm_knobs_name(arg));
		break;
	case KVMX_EVENT_KSM_BEGIN:
		snprintf(buf, KSM_REASON_LEN, "an epoch begins: %s to free",
			 format_bytes(bytes, arg * GUEST_PAGE));
		break;
	case KVMX_EVENT_KSM_END:
		end_text(buf, arg);
		break;
	case KVMX_EVENT_KSM_DOMAIN:
		snprintf(buf, KSM_REASON_LEN, "another domain is live, with %llu VMs", arg);
		break;
	case KVMX_EVENT_KSM_EVICTED:
		snprintf(buf, KSM_REASON_LEN, "process %llu may not merge any more", arg);
		break;
	case KVMX_EVENT_KSM_FOREIGN:
		snprintf(buf, KSM_REASON_LEN, "%llu other processes merge memory", arg);
		break;
	default:
		snprintf(buf, KSM_REASON_LEN, "event %u: %llu", event->type, arg);
	}
	return buf;
}

static int uuid_dash(size_t byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

const char *ksm_format_uuid(char buf[KSM_UUID_LEN], const uint8_t uuid[KVMX_UUID_LEN])
{
	static const uint8_t none[KVMX_UUID_LEN];
	size_t i, len = 0;

	if (!memcmp(uuid, none, KVMX_UUID_LEN)) {
		strcpy(buf, "none");
		return buf;
	}
	for (i = 0; i < KVMX_UUID_LEN; i++)
		len += sprintf(buf + len, "%s%02x", uuid_dash(i) ? "-" : "", uuid[i]);
	return buf;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at;

	if (c >= 'A' && c <= 'F')
		c += 'a' - 'A';
	at = c ? strchr(digits, c) : NULL;
	return at ? at - digits : -1;
}

int ksm_parse_uuid(const char *text, uint8_t uuid[KVMX_UUID_LEN])
{
	uint8_t value[KVMX_UUID_LEN] = { 0 };
	int high, low;
	size_t i;

	if (!strcmp(text, "none"))
		goto done;
	for (i = 0; i < KVMX_UUID_LEN; i++) {
		if (uuid_dash(i) && *text++ != '-')
			return -1;
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return -1;
		value[i] = high << 4 | low;
		text += 2;
	}
	if (*text)
		return -1;
done:
	memcpy(uuid, value, KVMX_UUID_LEN);
	return 0;
}

uint64_t ksm_permille(uint64_t freed, uint64_t mergeable)
{
	if (freed >= mergeable)
		return 1000;
	/* Amounts of pages: far from an overflow. */
	return freed * 1000 / mergeable;
}

const char *ksm_bar(char buf[KSM_BAR_LEN + 3], uint64_t permille)
{
	size_t i, full = permille * KSM_BAR_LEN / 1000;

	buf[0] = '[';
	for (i = 0; i < KSM_BAR_LEN; i++)
		buf[i + 1] = i < full ? '#' : '.';
	buf[KSM_BAR_LEN + 1] = ']';
	buf[KSM_BAR_LEN + 2] = '\0';
	return buf;
}
