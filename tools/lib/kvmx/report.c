// SPDX-License-Identifier: LGPL-2.1
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

int fail(struct kvmx_migrate_report *report, int err, const char *fmt, ...)
{
	va_list args;

	if (!report->reason[0]) {
		va_start(args, fmt);
		vsnprintf(report->reason, sizeof(report->reason), fmt, args);
		va_end(args);
	}
	return err;
}
