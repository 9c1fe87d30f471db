// SPDX-License-Identifier: GPL-2.0
/*
 * Errors: which exit code and which advice goes with what went wrong.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

static const struct {
	const char *name;
	const char *text;
} exit_codes[CTL_NR_EXITS] = {
	[CTL_OK] = { "ok", "done" },
	[CTL_FAILED] = { "failed", "the system refused something" },
	[CTL_USAGE] = { "usage", "the command line is wrong" },
	[CTL_NO_KVMX] = { "no-kvmx", "kvmx is not loaded, or too old" },
	[CTL_DENIED] = { "denied", "not permitted" },
	[CTL_NO_VM] = { "no-vm", "no such process, VM or tracker, or it is gone" },
	[CTL_BUSY] = { "busy", "somebody else uses what is needed" },
	[CTL_UNSUPPORTED] = { "unsupported", "this kernel or this VM does not offer it" },
	[CTL_NO_DATA] = { "no-data", "nothing has been measured yet" },
};

/* What the kernel says, in terms of what the user can do; kvmx.h documents the numbers. */
static const struct {
	int error;
	enum ctl_exit code;
	const char *hint;
} errnos[] = {
	{ EPERM, CTL_DENIED, "run it as root" },
	{ EACCES, CTL_DENIED, "run it as root" },
	{ ESRCH, CTL_NO_VM, "the process has ended; see kvmxctl vm list" },
	{ ENODEV, CTL_NO_VM, "the VM's process has ended; see kvmxctl vm list" },
	{ EBUSY, CTL_BUSY, "kvmxctl vm show PID says who logs or samples this VM" },
	{ EOPNOTSUPP, CTL_UNSUPPORTED, "see kvmxctl feature" },
	{ ENOTTY, CTL_NO_KVMX, "the loaded kvmx.ko is older than this tool: load its own" },
	{ E2BIG, CTL_NO_KVMX, "the loaded kvmx.ko is older than this tool: load its own" },
	{ ENODATA, CTL_NO_DATA, "try again once the VMM has harvested twice" },
	{ EMFILE, CTL_FAILED, "raise the limit on open files (ulimit -n)" },
};

static enum ctl_exit vfail(struct ctl_error *err, enum ctl_exit code, const char *fmt, va_list ap)
{
	err->code = code;
	err->hint[0] = '\0';
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	return code;
}

enum ctl_exit ctl_fail(struct ctl_error *err, enum ctl_exit code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(err, code, fmt, ap);
	va_end(ap);
	return code;
}

enum ctl_exit ctl_fail_errno(struct ctl_error *err, int error, const char *fmt, ...)
{
	size_t len, i;
	va_list ap;

	va_start(ap, fmt);
	vfail(err, CTL_FAILED, fmt, ap);
	va_end(ap);

	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(error));
	for (i = 0; i < sizeof(errnos) / sizeof(errnos[0]); i++) {
		if (errnos[i].error != error)
			continue;
		err->code = errnos[i].code;
		ctl_hint(err, "%s", errnos[i].hint);
	}
	return err->code;
}

void ctl_hint(struct ctl_error *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
}

const char *ctl_exit_name(enum ctl_exit code)
{
	return exit_codes[code].name;
}

const char *ctl_exit_text(enum ctl_exit code)
{
	return exit_codes[code].text;
}
