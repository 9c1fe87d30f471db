// SPDX-License-Identifier: GPL-2.0
/*
 * The command line behind OBJECT COMMAND. No effects.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "units.h"

static enum ctl_exit parse_target(const char *arg, struct target *target, struct ctl_error *err)
{
	const char *colon = strchr(arg, ':');
	char pid[32];
	uint64_t fd;

	snprintf(pid, sizeof(pid), "%.*s", colon ? (int)(colon - arg) : INT_MAX, arg);
	if (parse_count(pid, &target->pid) || !target->pid || target->pid > INT_MAX)
		goto bad;
	target->fd = -1;
	if (colon) {
		if (parse_count(colon + 1, &fd) || fd > INT_MAX)
			goto bad;
		target->fd = fd;
	}
	return CTL_OK;
bad:
	ctl_fail(err, CTL_USAGE, "'%s' is not a process id", arg);
	ctl_hint(err, "give the VMM as PID, or as PID:FD if it holds several VMs; "
		 "see kvmxctl vm list");
	return CTL_USAGE;
}

static int parse_word(const struct arg_opt *opt, const char *text, uint64_t *value)
{
	size_t i;

	for (i = 0; opt->words[i]; i++) {
		if (!strcmp(opt->words[i], text)) {
			*value = i;
			return 0;
		}
	}
	return -1;
}

static enum ctl_exit out_of_range(const struct arg_opt *opt, const char *text,
				  struct ctl_error *err)
{
	const char *(*format)(char buf[UNITS_LEN], uint64_t value) = format_count;
	char min[UNITS_LEN], max[UNITS_LEN];

	if (opt->kind == ARG_SECONDS || opt->kind == ARG_MSECONDS)
		format = format_time;
	else if (opt->kind == ARG_RATE)
		format = format_rate;
	else if (opt->kind == ARG_BYTES)
		format = format_bytes;
	return ctl_fail(err, CTL_USAGE, "--%s: %s is out of range (%s to %s)", opt->name, text,
			format(min, opt->min), format(max, opt->max));
}

static enum ctl_exit parse_value(const struct arg_opt *opt, const char *text,
				 struct ctl_error *err)
{
	uint64_t value;
	int bad;

	switch (opt->kind) {
	case ARG_SECONDS:
		bad = parse_time(text, NSEC_PER_SEC, &value);
		break;
	case ARG_MSECONDS:
		bad = parse_time(text, NSEC_PER_MSEC, &value);
		break;
	case ARG_RATE:
		bad = parse_rate(text, &value);
		break;
	case ARG_BYTES:
		bad = parse_bytes(text, &value);
		break;
	case ARG_TEXT:
		*opt->text = text;
		return CTL_OK;
	case ARG_WORD:
		bad = parse_word(opt, text, &value);
		break;
	case ARG_COUNT:
	default:
		bad = parse_count(text, &value);
		break;
	}
	if (bad)
		return ctl_fail(err, CTL_USAGE, "--%s: cannot make sense of '%s'", opt->name, text);
	if (opt->kind != ARG_WORD && (value < opt->min || value > opt->max))
		return out_of_range(opt, text, err);
	*opt->value = value;
	return CTL_OK;
}

static const struct arg_opt *find_opt(const struct arg_opt *opts, size_t nr, const char *name,
				      size_t len)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (strlen(opts[i].name) == len && !memcmp(opts[i].name, name, len))
			return &opts[i];
	return NULL;
}

enum ctl_exit args_parse(int argc, char **argv, const struct arg_opt *opts, size_t nr,
			 struct target *target, struct ctl_error *err)
{
	const struct arg_opt *opt;
	const char *name, *text;
	enum ctl_exit rc;
	int i, targets = 0;

	for (i = 0; i < argc; i++) {
		if (strncmp(argv[i], "--", 2)) {
			if (!target || targets++)
				return ctl_fail(err, CTL_USAGE, "unexpected '%s'", argv[i]);
			rc = parse_target(argv[i], target, err);
			if (rc)
				return rc;
			continue;
		}
		name = argv[i] + 2;
		text = strchr(name, '=');
		opt = find_opt(opts, nr, name, text ? (size_t)(text - name) : strlen(name));
		if (!opt)
			return ctl_fail(err, CTL_USAGE, "no option '%s' here", argv[i]);
		if (opt->kind == ARG_FLAG) {
			if (text)
				return ctl_fail(err, CTL_USAGE, "--%s takes no value", opt->name);
			*opt->value = 1;
			continue;
		}
		if (!text && i + 1 == argc)
			return ctl_fail(err, CTL_USAGE, "--%s needs a value", opt->name);
		rc = parse_value(opt, text ? text + 1 : argv[++i], err);
		if (rc)
			return rc;
	}
	if (target && !targets)
		return ctl_fail(err, CTL_USAGE, "which VM? give its PID");
	return CTL_OK;
}
