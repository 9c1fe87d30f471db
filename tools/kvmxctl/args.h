/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_ARGS_H
#define KVMXCTL_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Which VM: a process, and which of its VM fds if it holds several VMs. */
struct target {
	uint64_t pid;
	int fd;		/* -1: the only VM */
};

enum arg_kind {
	ARG_COUNT,
	ARG_SECONDS,	/* to nanoseconds */
	ARG_MSECONDS,	/* to nanoseconds */
	ARG_RATE,	/* to bytes per second */
	ARG_BYTES,
	ARG_TEXT,	/* as it is, to @text */
	ARG_WORD,	/* to the index in @words */
	ARG_FLAG,	/* takes no value: 1 */
};

/* "--name VALUE" or "--name=VALUE" */
struct arg_opt {
	const char *name;
	enum arg_kind kind;
	uint64_t *value;
	uint64_t min;
	uint64_t max;
	const char * const *words;	/* ARG_WORD: ends with NULL */
	const char **text;
};

/* Options and, unless @target is NULL, one PID[:FD], in any order. */
enum ctl_exit args_parse(int argc, char **argv, const struct arg_opt *opts, size_t nr,
			 struct target *target, struct ctl_error *err);

#endif
