// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "dev.h"

static bool round_trip(const char *text, const char *want)
{
	struct kvmx_pci_addr addr;
	char bdf[DEV_BDF_LEN];

	if (!dev_parse_bdf(text, &addr))
		return false;
	dev_format_bdf(&addr, bdf);
	return !strcmp(bdf, want);
}

TEST(addresses)
{
	EXPECT_TRUE(round_trip("0000:01:00.0", "0000:01:00.0"));
	EXPECT_TRUE(round_trip("01:1f.7", "0000:01:1f.7"));
	EXPECT_TRUE(round_trip("10000:fe:02.1", "10000:fe:02.1"));
	EXPECT_TRUE(round_trip("1:2.3", "0000:01:02.3"));
}

TEST(no_addresses)
{
	static const char * const bad[] = {
		"", "x", "01", "01:00", "01:00.", "01:20.0", "01:00.8", "0000:01:00.0x",
		"0000:01:00.0/..", "-1:00.0", " 01:00.0", "nvme0n1", "0:0:0:0.0",
	};
	struct kvmx_pci_addr addr;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT_FALSE(dev_parse_bdf(bad[i], &addr));
}

TEST(uuids)
{
	static const char text[] = "0e5f6a52-4a6e-4e6e-9c2f-b5a9d0c7a111";
	uint8_t uuid[KVMX_UUID_LEN];
	char back[40];

	ASSERT_TRUE(dev_parse_uuid(text, uuid));
	EXPECT_EQ(0x0e, uuid[0]);
	EXPECT_EQ(0x11, uuid[15]);
	dev_format_uuid(uuid, back);
	EXPECT_STREQ(text, back);
	EXPECT_TRUE(dev_parse_uuid("0e5f6a524a6e4e6e9c2fb5a9d0c7a111", uuid));
	EXPECT_FALSE(dev_parse_uuid("0e5f6a52-4a6e-4e6e-9c2f-b5a9d0c7a11", uuid));
	EXPECT_FALSE(dev_parse_uuid("0e5f6a52-4a6e-4e6e-9c2f-b5a9d0c7a1111", uuid));
	EXPECT_FALSE(dev_parse_uuid("0e5f6a-524a6e4e6e9c2fb5a9d0c7a111", uuid));
	EXPECT_FALSE(dev_parse_uuid("", uuid));
}

TEST(words_and_options)
{
	uint64_t uid = 0, force = 0;
	const struct arg_opt opts[] = {
		{ .name = "uid", .kind = ARG_COUNT, .value = &uid, .max = 99 },
		{ .name = "force", .kind = ARG_FLAG, .value = &force },
	};
	char *line[6] = { "a", "--uid", "7", "b", "--force", "c" };
	char *last[2] = { "x", "--uid" };
	char *words[DEV_MAX];
	struct ctl_error err;

	ASSERT_EQ(3, dev_words(6, line, opts, 2, words, &err));
	EXPECT_STREQ("a", words[0]);
	EXPECT_STREQ("b", words[1]);
	EXPECT_STREQ("c", words[2]);
	EXPECT_EQ(7, uid);
	EXPECT_EQ(1, force);
	EXPECT_EQ(-1, dev_words(2, last, opts, 2, words, &err));
	EXPECT_EQ(CTL_USAGE, err.code);
	line[0] = "--nonsense";
	EXPECT_EQ(-1, dev_words(1, line, opts, 2, words, &err));
}

TEST_HARNESS_MAIN
