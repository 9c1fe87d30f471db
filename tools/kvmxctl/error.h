/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_ERROR_H
#define KVMXCTL_ERROR_H

/* Exit codes: scripts rely on them, see exit_codes[] in error.c. */
enum ctl_exit {
	CTL_OK,
	CTL_FAILED,
	CTL_USAGE,
	CTL_NO_KVMX,
	CTL_DENIED,
	CTL_NO_VM,
	CTL_BUSY,
	CTL_UNSUPPORTED,
	CTL_NO_DATA,
	CTL_NR_EXITS,
};

/*
 * What went wrong and what to do about it. It is printed in one place, at the end, because a
 * list must be able to say of one VM why it cannot be looked at and go on with the next.
 */
struct ctl_error {
	enum ctl_exit code;
	char text[256];
	char hint[384];
};

/* Both return the code, which is never CTL_OK. */
__attribute__((format(printf, 3, 4)))
enum ctl_exit ctl_fail(struct ctl_error *err, enum ctl_exit code, const char *fmt, ...);
/* "WHAT: strerror", with the code and the hint that go with errno. */
__attribute__((format(printf, 3, 4)))
enum ctl_exit ctl_fail_errno(struct ctl_error *err, int error, const char *fmt, ...);

/* Replaces the hint. */
__attribute__((format(printf, 2, 3)))
void ctl_hint(struct ctl_error *err, const char *fmt, ...);

/* For scripts that read JSON, and the list of them for people. */
const char *ctl_exit_name(enum ctl_exit code);
const char *ctl_exit_text(enum ctl_exit code);

#endif
