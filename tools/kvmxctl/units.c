// SPDX-License-Identifier: GPL-2.0
/*
 * Numbers with units, to and from text. No effects.
 */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "units.h"

const char *format_count(char buf[UNITS_LEN], uint64_t count)
{
	snprintf(buf, UNITS_LEN, "%llu", (unsigned long long)count);
	return buf;
}

static const char *format_scaled(char buf[UNITS_LEN], uint64_t bytes, const char *suffix)
{
	static const char * const names[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = bytes;
	size_t i = 0;

	/* What would be shown as 1024.0 belongs to the next unit. */
	while (value >= 1023.95 && i + 1 < sizeof(names) / sizeof(names[0])) {
		value /= 1024;
		i++;
	}
	snprintf(buf, UNITS_LEN, "%.*f %s%s", i ? 1 : 0, value, names[i], suffix);
	return buf;
}

const char *format_bytes(char buf[UNITS_LEN], uint64_t bytes)
{
	return format_scaled(buf, bytes, "");
}

const char *format_rate(char buf[UNITS_LEN], uint64_t bytes_per_second)
{
	return format_scaled(buf, bytes_per_second, "/s");
}

const char *format_time(char buf[UNITS_LEN], uint64_t ns)
{
	if (ns < 1000)
		snprintf(buf, UNITS_LEN, "%llu ns", (unsigned long long)ns);
	else if (ns < 999950)
		snprintf(buf, UNITS_LEN, "%.1f us", ns / 1e3);
	else if (ns < 999950000)
		snprintf(buf, UNITS_LEN, "%.1f ms", ns / 1e6);
	else if (ns < 600 * NSEC_PER_SEC)
		snprintf(buf, UNITS_LEN, "%.2f s", ns / 1e9);
	else if (ns < 7200 * NSEC_PER_SEC)
		snprintf(buf, UNITS_LEN, "%.1f min", ns / 60e9);
	else
		snprintf(buf, UNITS_LEN, "%.1f h", ns / 3600e9);
	return buf;
}

int parse_count(const char *text, uint64_t *value)
{
	unsigned long long v;
	char *end;

	/* strtoull() takes a sign and wraps a negative number round. */
	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end)
		return -1;
	*value = v;
	return 0;
}

/* A plain decimal number: strtod() alone takes "inf", "0x1p3", "-1", too. */
static int parse_decimal(const char *text, double *value, const char **rest)
{
	size_t len = strspn(text, "0123456789.");
	char number[32];
	char *end;

	if (!len || len >= sizeof(number))
		return -1;
	memcpy(number, text, len);
	number[len] = '\0';
	*value = strtod(number, &end);
	if (*end || end == number)
		return -1;
	*rest = text + len;
	return 0;
}

static int to_u64(double value, uint64_t *out)
{
	/* 2^64 is exact in a double, 2^64 - 1 is not. */
	if (value >= 18446744073709551616.0)
		return -1;
	*out = (uint64_t)(value + 0.5);
	return 0;
}

int parse_time(const char *text, uint64_t unit_ns, uint64_t *ns)
{
	const char *rest;
	double value;

	if (parse_decimal(text, &value, &rest) || *rest)
		return -1;
	return to_u64(value * unit_ns, ns);
}

static int parse_scaled(const char *text, bool bits, uint64_t *bytes)
{
	static const char prefixes[] = "KMGTPE";
	const char *rest, *prefix;
	unsigned int power = 0;
	double value, base;

	if (parse_decimal(text, &value, &rest))
		return -1;
	if (*rest) {
		prefix = strchr(prefixes, *rest == 'k' ? 'K' : *rest);
		if (prefix) {
			power = prefix - prefixes + 1;
			rest++;
		}
	}
	if (bits && !strcmp(rest, "bit")) {
		base = 1000;
		value /= 8;
	} else if (!*rest || (power && !strcmp(rest, "iB"))) {
		base = 1024;
	} else {
		return -1;
	}
	return to_u64(value * pow(base, power), bytes);
}

int parse_bytes(const char *text, uint64_t *bytes)
{
	return parse_scaled(text, false, bytes);
}

int parse_rate(const char *text, uint64_t *bytes_per_second)
{
	return parse_scaled(text, true, bytes_per_second);
}
