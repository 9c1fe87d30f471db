/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_COMMAND_H
#define KVMXCTL_COMMAND_H

#include <stddef.h>

#include "error.h"

/* kvmxctl OBJECT COMMAND: each object lives in a file of its own and is listed in main.c. */
struct command {
	const char *name;
	const char *args;	/* for the usage line, or "" */
	const char *about;	/* whole lines, each indented by 4 */
	enum ctl_exit (*run)(int argc, char **argv, struct ctl_error *err);
};

struct object {
	const char *name;
	const char *about;
	const struct command *commands;
	size_t nr_commands;
	const struct command *standard;	/* if no command is given, or NULL */
};

extern const struct object feature_object;
extern const struct object vm_object;
extern const struct object dirty_object;
extern const struct object dev_object;
extern const struct object ksm_object;
extern const struct object stats_object;
extern const struct object doctor_object;

enum ctl_exit dirty_peek(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dirty_rate(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dirty_plot(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dirty_predict(int argc, char **argv, struct ctl_error *err);

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#endif
