// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "args.h"
#include "units.h"

static const char * const colours[] = { "red", "green", NULL };

/* Where the options go, and what else there is to see. */
struct parsed {
	uint64_t count, seconds, rate, bytes, word, flag;
	const char *text;
	char line[256];	/* what @text points into */
	struct target target;
	struct ctl_error err;
};

FIXTURE(args)
{
	struct parsed got;
};

FIXTURE_SETUP(args)
{
	memset(&self->got, 0, sizeof(self->got));
}

FIXTURE_TEARDOWN(args)
{
}

/* The words of @line; NULL-terminated so that reading too far is seen. */
static enum ctl_exit parse(struct parsed *got, const char *line, bool with_target)
{
	const struct arg_opt opts[] = {
		{ "count", ARG_COUNT, &got->count, .min = 1, .max = 10 },
		{ "seconds", ARG_SECONDS, &got->seconds, .max = NSEC_PER_SEC },
		{ "rate", ARG_RATE, &got->rate, .max = UINT64_MAX },
		{ "bytes", ARG_BYTES, &got->bytes, .min = 1024, .max = 1 << 20 },
		{ "text", ARG_TEXT, .text = &got->text },
		{ "word", ARG_WORD, &got->word, .words = colours },
		{ "flag", ARG_FLAG, &got->flag, .max = 1 },
	};
	char *argv[17], *word, *save;
	int argc = 0;

	snprintf(got->line, sizeof(got->line), "%s", line);
	for (word = strtok_r(got->line, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	argv[argc] = NULL;
	memset(&got->err, 0, sizeof(got->err));
	return args_parse(argc, argv, opts, sizeof(opts) / sizeof(opts[0]),
			  with_target ? &got->target : NULL, &got->err);
}

TEST_F(args, any_order)
{
	EXPECT_EQ(CTL_OK,
		  parse(&self->got, "--count 3 42 --seconds=0.5 --flag --word green", true));
	EXPECT_EQ(3, self->got.count);
	EXPECT_EQ(500 * NSEC_PER_MSEC, self->got.seconds);
	EXPECT_EQ(1, self->got.flag);
	EXPECT_EQ(1, self->got.word);
	EXPECT_EQ(42, self->got.target.pid);
	EXPECT_EQ(-1, self->got.target.fd);
}

TEST_F(args, target_with_fd)
{
	EXPECT_EQ(CTL_OK, parse(&self->got, "42:0", true));
	EXPECT_EQ(42, self->got.target.pid);
	EXPECT_EQ(0, self->got.target.fd);
}

TEST_F(args, bad_targets)
{
	static const char * const bad[] = {
		"0", "-5", "x", "42:", ":3", "42:x", "42:3:4", "4294967296", "42:4294967296", "4 2",
		"111111111111111111111111111111111111111111",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(CTL_USAGE, parse(&self->got, bad[i], true)) {
			TH_LOG("took '%s'", bad[i]);
		}
		EXPECT_NE('\0', self->got.err.text[0]);
	}
}

TEST_F(args, target_wanted_or_not)
{
	EXPECT_EQ(CTL_USAGE, parse(&self->got, "--count 3", true));
	EXPECT_EQ(CTL_OK, parse(&self->got, "--count 3", false));
	EXPECT_EQ(CTL_USAGE, parse(&self->got, "42", false));
}

TEST_F(args, bad_options)
{
	static const char * const bad[] = {
		"42 --coun 3", "42 --countt 3", "42 --count", "42 --count=", "42 --count 0",
		"42 --count 11", "42 --seconds 1.1", "42 --seconds -1", "42 --word blue",
		"42 --flag=1", "42 --", "42 --=3", "42 -x", "42 --rate fast",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(CTL_USAGE, parse(&self->got, bad[i], true)) {
			TH_LOG("took '%s'", bad[i]);
		}
	}
	EXPECT_EQ(0, self->got.count);
	EXPECT_EQ(0, self->got.seconds);
}

TEST_F(args, bytes_and_text)
{
	EXPECT_EQ(CTL_OK, parse(&self->got, "--bytes 1.5K --text=-x=y", false));
	EXPECT_EQ(1536, self->got.bytes);
	EXPECT_STREQ("-x=y", self->got.text);
	EXPECT_EQ(CTL_USAGE, parse(&self->got, "--text", false));
	EXPECT_EQ(CTL_USAGE, parse(&self->got, "--bytes 8kbit", false));
	EXPECT_EQ(CTL_USAGE, parse(&self->got, "--bytes 1G", false));
	EXPECT_STREQ("--bytes: 1G is out of range (1.0 KiB to 1.0 MiB)", self->got.err.text);
}

TEST_F(args, range_is_told)
{
	parse(&self->got, "42 --count 11", true);
	EXPECT_STREQ("--count: 11 is out of range (1 to 10)", self->got.err.text);
	parse(&self->got, "42 --seconds 5", true);
	EXPECT_STREQ("--seconds: 5 is out of range (0 ns to 1.00 s)", self->got.err.text);
}

TEST_HARNESS_MAIN
