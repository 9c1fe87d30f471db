// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "verdict.h"

static const struct kvmx_predict live = {
	.verdict = KVMX_VERDICT_CONVERGES,
	.rounds = 4,
	.bytes = 3ULL << 29,
	.total_ns = 12500000000,
	.pause_ns = 210000000,
	.allowed_ns = 300000000,
	.vcpu_permille = 1000,
};

TEST(converges)
{
	char text[256];

	verdict_sentence(&live, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "converges: 4 rounds, 1.5 GiB in 12.50 s, then a pause"));
	EXPECT_NE(NULL, strstr(text, "pause of 210.0 ms (300.0 ms allowed)."));
	EXPECT_STREQ("converges", verdict_name(&live));
}

TEST(throttle)
{
	struct kvmx_predict predict = live;
	char text[256];

	predict.verdict = KVMX_VERDICT_THROTTLE;
	predict.vcpu_permille = 437;
	verdict_sentence(&predict, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "converges only if the vCPUs are slowed down to 43.7 %: "));
	EXPECT_NE(NULL, strstr(text, "pause of 210.0 ms"));
	EXPECT_STREQ("throttle", verdict_name(&predict));
}

TEST(offline)
{
	struct kvmx_predict predict = {
		.verdict = KVMX_VERDICT_OFFLINE,
		.pause_ns = KVMX_PREDICT_NEVER,
		.offline_ns = 8000000000,
		.allowed_ns = 300000000,
	};
	char text[256];

	verdict_sentence(&predict, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "does not get down to a pause of 300.0 ms"));
	EXPECT_NE(NULL, strstr(text, "offline, with a pause of 8.00 s."));
	predict.offline_ns = KVMX_PREDICT_NEVER;
	verdict_sentence(&predict, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "never ends"));
	EXPECT_STREQ("offline", verdict_name(&predict));
}

/* A later kvmx may say what we cannot put into words. */
TEST(unknown)
{
	struct kvmx_predict predict = { .verdict = 99 };
	char text[256];

	verdict_sentence(&predict, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "99"));
	EXPECT_STREQ("unknown", verdict_name(&predict));
}

TEST_HARNESS_MAIN
