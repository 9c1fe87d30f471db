// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl: kvmx from the command line.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "error.h"
#include "out.h"

static const struct object * const objects[] = {
	&vm_object,
	&dirty_object,
	&dev_object,
	&ksm_object,
	&stats_object,
	&doctor_object,
	&feature_object,
};

/* As in ip(8) and bpftool(8), the first that begins with what was typed. */
static bool is_prefix(const char *typed, const char *name)
{
	return *typed && !strncmp(typed, name, strlen(typed));
}

static bool wants_help(const char *typed)
{
	return is_prefix(typed, "help") || !strcmp(typed, "--help") || !strcmp(typed, "-h");
}

static enum ctl_exit print_help(void)
{
	size_t i;

	puts("Usage: kvmxctl [OPTIONS] OBJECT { COMMAND | help }\n\nOBJECT:");
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		printf("  %-10s %s\n", objects[i]->name, objects[i]->about);
	puts("\nOPTIONS (anywhere):\n"
	     "  -j, --json     JSON, numbers in the units that their keys say\n"
	     "  -p, --pretty   the same, indented\n"
	     "  -V, --version  print the version\n"
	     "  -h, --help     the same as help\n\n"
	     "OBJECT and COMMAND may be shortened. Exit codes:");
	for (i = 0; i < CTL_NR_EXITS; i++)
		printf("  %zu  %s\n", i, ctl_exit_text(i));
	return CTL_OK;
}

static void print_command_help(const struct object *object, const struct command *command)
{
	printf("  kvmxctl %s %s%s%s\n%s", object->name, command->name, *command->args ? " " : "",
	       command->args, command->about);
}

static enum ctl_exit print_object_help(const struct object *object)
{
	size_t i;

	printf("Usage: kvmxctl [OPTIONS] %s {", object->name);
	for (i = 0; i < object->nr_commands; i++)
		printf(" %s |", object->commands[i].name);
	puts(" help }\n");
	for (i = 0; i < object->nr_commands; i++)
		print_command_help(object, &object->commands[i]);
	return CTL_OK;
}

static enum ctl_exit run_command(const struct object *object, const struct command *command,
				 int argc, char **argv, struct ctl_error *err)
{
	enum ctl_exit rc;
	int i;

	for (i = 0; i < argc; i++) {
		/* Nothing else that a command takes begins with h. */
		if (wants_help(argv[i])) {
			puts("Usage:");
			print_command_help(object, command);
			return CTL_OK;
		}
	}
	rc = command->run(argc, argv, err);
	if (rc == CTL_USAGE && !err->hint[0])
		ctl_hint(err, "see kvmxctl %s %s help", object->name, command->name);
	return rc;
}

static enum ctl_exit run_object(const struct object *object, int argc, char **argv,
				struct ctl_error *err)
{
	size_t i;

	if (argc && wants_help(argv[0]))
		return print_object_help(object);
	if (!argc) {
		if (object->standard)
			return run_command(object, object->standard, 0, argv, err);
		ctl_fail(err, CTL_USAGE, "%s: which command?", object->name);
		ctl_hint(err, "see kvmxctl %s help", object->name);
		return err->code;
	}
	for (i = 0; i < object->nr_commands; i++)
		if (is_prefix(argv[0], object->commands[i].name))
			return run_command(object, &object->commands[i], argc - 1, argv + 1, err);
	ctl_fail(err, CTL_USAGE, "%s has no command '%s'", object->name, argv[0]);
	ctl_hint(err, "see kvmxctl %s help", object->name);
	return err->code;
}

static enum ctl_exit run(int argc, char **argv, struct ctl_error *err);

/* "help OBJECT COMMAND" is "OBJECT COMMAND help". */
static enum ctl_exit help_about(int argc, char **argv, struct ctl_error *err)
{
	char help[] = "help", *words[3];
	int i;

	for (i = 0; i < argc && i < 2; i++)
		words[i] = argv[i];
	words[i++] = help;
	return run(i, words, err);
}

static enum ctl_exit run(int argc, char **argv, struct ctl_error *err)
{
	size_t i;

	if (!argc || (argc == 1 && wants_help(argv[0])))
		return print_help();
	if (wants_help(argv[0]))
		return help_about(argc - 1, argv + 1, err);
	for (i = 0; i < ARRAY_SIZE(objects); i++)
		if (is_prefix(argv[0], objects[i]->name))
			return run_object(objects[i], argc - 1, argv + 1, err);
	ctl_fail(err, CTL_USAGE, "there is no object '%s'", argv[0]);
	ctl_hint(err, "see kvmxctl help");
	return err->code;
}

/* Takes the options that every command has out of @argv, wherever they are. */
static int take_options(int argc, char **argv, bool *version)
{
	int i, kept = 0;

	for (i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "-j") || !strcmp(argv[i], "--json"))
			out_mode = OUT_JSON;
		else if (!strcmp(argv[i], "-p") || !strcmp(argv[i], "--pretty"))
			out_mode = OUT_PRETTY;
		else if (!strcmp(argv[i], "-V") || !strcmp(argv[i], "--version"))
			*version = true;
		else
			argv[kept++] = argv[i];
	}
	return kept;
}

int main(int argc, char **argv)
{
	struct ctl_error err = { 0 };
	bool version = false;
	enum ctl_exit rc;

	argc = take_options(argc - 1, argv + 1, &version);
	argv++;
	if (version) {
		puts("kvmxctl " KVMX_VERSION);
		return CTL_OK;
	}
	rc = run(argc, argv, &err);
	/* Some have said it all by themselves. */
	if (rc && err.code)
		out_error(&err);
	if (fflush(stdout) || ferror(stdout)) {
		perror("kvmxctl: standard output");
		return rc ?: CTL_FAILED;
	}
	return rc;
}
