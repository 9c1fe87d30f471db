// SPDX-License-Identifier: GPL-2.0
/*
 * The words kvmx.NAME=VALUE of the kernel's command line, and of a line typed on the console to
 * get another load.
 *
 *	load	shell (default), idle, uniform, hotset, hot+uniform, stream, grow, same;
 *		resets mib, rate, hot and work, so it comes first
 *	mib	memory under load
 *	rate	pages written per second there
 *	hot	MiB of the hot set, rewritten whole every pass milliseconds
 *	threads	threads that share the load
 *	work	1: the processor is busy between writes, so that a slower one writes less
 *	seconds	how long (default 0: until "stop" is typed)
 *	check	pages verified per second
 *	jump	how far in milliseconds the clock may go between two looks
 *	beat	port for the heartbeat (default 0: none), every beat_ms milliseconds
 *	report	milliseconds between reports
 *	disk	operations per second on /dev/vda, which is overwritten
 *	regs	1: a thread that keeps values in registers
 *	corrupt	seconds until a page is damaged, to see the checks fail
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

struct config config = {
	.load = "shell",
	.pass_ms = 20,
	.threads = 1,
	.check_rate = 2000,
	.jump_ms = 3000,
	.beat_ms = 10,
	.report_ms = 2000,
	.shell = true,
};

static const struct {
	const char *name;
	enum pattern pattern;
	bool needs_memory;
	bool needs_hot;
} loads[] = {
	{ "idle", PATTERN_NONE, false, false },
	{ "uniform", PATTERN_UNIFORM, true, false },
	{ "hotset", PATTERN_NONE, false, true },
	{ "hot+uniform", PATTERN_UNIFORM, true, true },
	{ "stream", PATTERN_STREAM, true, false },
	{ "grow", PATTERN_GROW, true, false },
	{ "same", PATTERN_SAME, true, false },
};

static int parse_load(const char *value)
{
	size_t i;

	if (!strcmp(value, "shell"))
		return 0;
	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		if (strcmp(value, loads[i].name))
			continue;
		config.load = loads[i].name;
		config.pattern = loads[i].pattern;
		config.mib = 0;
		config.rate = 0;
		config.hot_mib = 0;
		config.work = false;
		config.shell = false;
		return 0;
	}
	return -EINVAL;
}

static int parse_word(const char *name, const char *value)
{
	static const struct {
		const char *name;
		unsigned int *value;
		unsigned int max;
	} numbers[] = {
		{ "mib", &config.mib, 65536 },
		{ "rate", &config.rate, 10000000 },
		{ "hot", &config.hot_mib, 65536 },
		{ "pass", &config.pass_ms, 60000 },
		{ "threads", &config.threads, MAX_LOADERS },
		{ "seconds", &config.seconds, 86400 },
		{ "check", &config.check_rate, 10000000 },
		{ "jump", &config.jump_ms, 86400000 },
		{ "beat", &config.beat_port, 0xffff },
		{ "beat_ms", &config.beat_ms, 10000 },
		{ "report", &config.report_ms, 86400000 },
		{ "disk", &config.disk_rate, 100000 },
		{ "corrupt", &config.corrupt_s, 86400 },
	};
	static const struct {
		const char *name;
		bool *value;
	} flags[] = {
		{ "work", &config.work },
		{ "regs", &config.regs },
	};
	unsigned long number;
	char *end;
	size_t i;

	if (!strcmp(name, "load"))
		return parse_load(value);
	number = strtoul(value, &end, 0);
	if (end == value || *end)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (strcmp(name, numbers[i].name))
			continue;
		if (number > numbers[i].max)
			return -ERANGE;
		*numbers[i].value = number;
		return 0;
	}
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		if (strcmp(name, flags[i].name))
			continue;
		if (number > 1)
			return -ERANGE;
		*flags[i].value = number;
		return 0;
	}
	return -ENOENT;
}

static int check_together(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		if (strcmp(config.load, loads[i].name))
			continue;
		if (loads[i].needs_memory != (config.mib && config.rate) ||
		    loads[i].needs_hot != !!config.hot_mib) {
			fprintf(stderr, "load %s %s mib and rate, %s hot\n", config.load,
				loads[i].needs_memory ? "needs" : "has no",
				loads[i].needs_hot ? "needs" : "has no");
			return -EINVAL;
		}
	}
	if (!config.threads || !config.pass_ms || !config.beat_ms || !config.report_ms) {
		fprintf(stderr, "threads, pass, beat_ms and report must not be 0\n");
		return -EINVAL;
	}
	return 0;
}

int config_parse(char *cmdline)
{
	char *save, *word, *value;
	static const char space[] = "\n ";
	int ret;

	for (word = strtok_r(cmdline, space, &save); word; word = strtok_r(NULL, space, &save)) {
		if (strncmp(word, "kvmx.", 5))
			continue;
		value = strchr(word, '=');
		if (!value) {
			fprintf(stderr, "%s: no value\n", word);
			return -EINVAL;
		}
		*value++ = '\0';
		ret = parse_word(word + 5, value);
		if (ret) {
			fprintf(stderr, "%s=%s: %s\n", word, value, strerror(-ret));
			return ret;
		}
	}
	return check_together();
}
