// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "units.h"

TEST(bytes)
{
	char buf[UNITS_LEN];

	EXPECT_STREQ("0 B", format_bytes(buf, 0));
	EXPECT_STREQ("1023 B", format_bytes(buf, 1023));
	EXPECT_STREQ("1.0 KiB", format_bytes(buf, 1024));
	EXPECT_STREQ("1.5 GiB", format_bytes(buf, 3ULL << 29));
	/* 1023.97 KiB is not "1024.0 KiB". */
	EXPECT_STREQ("1.0 MiB", format_bytes(buf, 1048550));
	EXPECT_STREQ("16.0 EiB", format_bytes(buf, UINT64_MAX));
}

TEST(rate)
{
	char buf[UNITS_LEN];

	EXPECT_STREQ("20.0 MiB/s", format_rate(buf, 20 << 20));
}

TEST(time)
{
	char buf[UNITS_LEN];

	EXPECT_STREQ("0 ns", format_time(buf, 0));
	EXPECT_STREQ("999 ns", format_time(buf, 999));
	EXPECT_STREQ("1.5 us", format_time(buf, 1500));
	EXPECT_STREQ("1.0 ms", format_time(buf, 999960));
	EXPECT_STREQ("300.0 ms", format_time(buf, 300 * NSEC_PER_MSEC));
	EXPECT_STREQ("1.00 s", format_time(buf, 999960000));
	EXPECT_STREQ("90.00 s", format_time(buf, 90 * NSEC_PER_SEC));
	EXPECT_STREQ("20.0 min", format_time(buf, 1200 * NSEC_PER_SEC));
	EXPECT_STREQ("5124095.6 h", format_time(buf, UINT64_MAX));
}

TEST(parse_counts)
{
	static const char * const bad[] = {
		"", "-1", "+1", " 1", "1 ", "0x10", "1.5", "99999999999999999999", "one",
	};
	uint64_t value = 7;
	size_t i;

	EXPECT_EQ(0, parse_count("0", &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(0, parse_count("18446744073709551615", &value));
	EXPECT_EQ(UINT64_MAX, value);
	value = 7;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-1, parse_count(bad[i], &value)) {
			TH_LOG("took '%s'", bad[i]);
		}
	}
	EXPECT_EQ(7, value);
}

TEST(parse_times)
{
	static const char * const bad[] = {
		"", "-1", "inf", "nan", "1s", "1.2.3", ".", "1e3", "0x1p3",
		"99999999999999999999999999999999",
	};
	uint64_t ns = 7;
	size_t i;

	EXPECT_EQ(0, parse_time("2", NSEC_PER_SEC, &ns));
	EXPECT_EQ(2 * NSEC_PER_SEC, ns);
	EXPECT_EQ(0, parse_time("0.5", NSEC_PER_SEC, &ns));
	EXPECT_EQ(500 * NSEC_PER_MSEC, ns);
	EXPECT_EQ(0, parse_time(".3", NSEC_PER_MSEC, &ns));
	EXPECT_EQ(300000, ns);
	EXPECT_EQ(0, parse_time("0", NSEC_PER_SEC, &ns));
	EXPECT_EQ(0, ns);
	EXPECT_EQ(-1, parse_time("18446744073.709551616", NSEC_PER_SEC, &ns));
	ns = 7;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-1, parse_time(bad[i], NSEC_PER_SEC, &ns)) {
			TH_LOG("took '%s'", bad[i]);
		}
	}
	EXPECT_EQ(7, ns);
}

TEST(parse_rates)
{
	static const struct {
		const char *text;
		uint64_t rate;
	} good[] = {
		{ "0", 0 },
		{ "1000000", 1000000 },
		{ "120M", 120ULL << 20 },
		{ "1.5GiB", 3ULL << 29 },
		{ "8bit", 1 },
		{ "1Gbit", 125000000 },
		{ "400Gbit", 50000000000 },
		{ "10kbit", 1250 },
		{ "1k", 1024 },
	};
	static const char * const bad[] = {
		"", "-1M", "M", "1MB", "1 M", "1Mb", "1Mbits", "1iB", "1X", "16E", "1000Ebitx",
	};
	uint64_t rate;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		rate = ~0ULL;
		EXPECT_EQ(0, parse_rate(good[i].text, &rate));
		EXPECT_EQ(good[i].rate, rate) {
			TH_LOG("for '%s'", good[i].text);
		}
	}
	rate = 7;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-1, parse_rate(bad[i], &rate)) {
			TH_LOG("took '%s'", bad[i]);
		}
	}
	EXPECT_EQ(7, rate);
}

TEST(parse_sizes)
{
	static const char * const bad[] = { "", "8bit", "1Gbit", "-1", "1MB", "16E" };
	uint64_t bytes;
	size_t i;

	EXPECT_EQ(0, parse_bytes("1.5GiB", &bytes));
	EXPECT_EQ(3ULL << 29, bytes);
	EXPECT_EQ(0, parse_bytes("4096", &bytes));
	EXPECT_EQ(4096, bytes);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-1, parse_bytes(bad[i], &bytes)) {
			TH_LOG("took '%s'", bad[i]);
		}
	}
	EXPECT_EQ(4096, bytes);
}

TEST_HARNESS_MAIN
