/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_UNITS_H
#define KVMXCTL_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_LEN	32	/* room that every format_*() needs */

#define NSEC_PER_MSEC	1000000ULL
#define NSEC_PER_SEC	1000000000ULL

/* For people: "1.5 GiB", "20.0 MiB/s", "300 ms". All return @buf. */
const char *format_count(char buf[UNITS_LEN], uint64_t count);
const char *format_bytes(char buf[UNITS_LEN], uint64_t bytes);
const char *format_rate(char buf[UNITS_LEN], uint64_t bytes_per_second);
const char *format_time(char buf[UNITS_LEN], uint64_t ns);

/*
 * From people. All return 0 or -1 if @text is no such thing (negative, no number, something
 * behind it, too large), and then leave *@value alone.
 */
int parse_count(const char *text, uint64_t *value);
/* "2", "0.5": in @unit_ns, to nanoseconds */
int parse_time(const char *text, uint64_t unit_ns, uint64_t *ns);
/* "1000000", "125M", "1.5GiB": powers of 1024 */
int parse_bytes(const char *text, uint64_t *bytes);
/* The same, or "10Gbit": powers of 1000, bits */
int parse_rate(const char *text, uint64_t *bytes_per_second);

#endif
