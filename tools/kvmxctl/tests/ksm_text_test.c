// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "ksm_text.h"

TEST(names)
{
	EXPECT_STREQ("always", ksm_mode_name(KVMX_KSM_ALWAYS));
	EXPECT_STREQ("evicted", ksm_state_name(KVMX_KSM_STATE_EVICTED));
	EXPECT_STREQ("epoch", ksm_host_state_name(KVMX_KSM_HOST_STATE_EPOCH));
	EXPECT_STREQ("lost", ksm_knobs_name(KVMX_KSM_KNOBS_LOST));
	EXPECT_STREQ("unmerge", ksm_todo_name(KVMX_KSM_DO_UNMERGE));
	EXPECT_STREQ("foreign", ksm_event_name(KVMX_EVENT_KSM_FOREIGN));
	EXPECT_STREQ("error", ksm_why_name(KVMX_KSM_WHY_ERROR));
}

/* A kvmx that is newer than this tool knows more. */
TEST(unknown)
{
	struct kvmx_event event = { .type = 77, .arg = 5 };
	char text[KSM_REASON_LEN];

	EXPECT_STREQ("?", ksm_mode_name(77));
	EXPECT_STREQ("?", ksm_state_name(77));
	EXPECT_STREQ("?", ksm_host_state_name(77));
	EXPECT_STREQ("?", ksm_knobs_name(77));
	EXPECT_STREQ("?", ksm_todo_name(77));
	EXPECT_STREQ("?", ksm_why_name(77));
	EXPECT_STREQ("?", ksm_event_name(0));
	EXPECT_STREQ("?", ksm_event_name(77));
	EXPECT_STREQ("a reason of number 77", ksm_reason(text, 77, 5));
	EXPECT_STREQ("event 77: 5", ksm_event_text(text, &event));
}

/* None is missing, and none is so long that it is cut. */
TEST(all_reasons)
{
	char text[KSM_REASON_LEN];
	uint32_t why;

	for (why = KVMX_KSM_WHY_HOST_OFF; why <= KVMX_KSM_WHY_ERROR; why++) {
		ksm_reason(text, why, UINT64_MAX);
		EXPECT_LT(5, strlen(text));
		EXPECT_GT(KSM_REASON_LEN - 1, strlen(text));
		EXPECT_LT(1, strlen(ksm_why_name(why)));
		EXPECT_EQ(NULL, strchr(text, '?'));
	}
	EXPECT_STREQ("", ksm_reason(text, KVMX_KSM_WHY_NONE, 5));
}

TEST(reasons)
{
	char text[KSM_REASON_LEN];

	EXPECT_STREQ("97.3 % pinned", ksm_reason(text, KVMX_KSM_WHY_PINNED, 973));
	EXPECT_STREQ("another domain is live", ksm_reason(text, KVMX_KSM_WHY_DOMAIN, 0));
	EXPECT_STREQ("it pays: 4.0 MiB", ksm_reason(text, KVMX_KSM_WHY_GAIN, 1024));
	EXPECT_STREQ("unmerging needs 1.0 MiB", ksm_reason(text, KVMX_KSM_WHY_NO_MEMORY, 1 << 20));
	EXPECT_STREQ("it costs 1.50 s", ksm_reason(text, KVMX_KSM_WHY_COST, 1500000000));
	EXPECT_STREQ("3 other processes merge memory", ksm_reason(text, KVMX_KSM_WHY_FOREIGN, 3));
}

TEST(events)
{
	char text[KSM_REASON_LEN];
	struct kvmx_event event = {
		.type = KVMX_EVENT_KSM_END,
		.arg = (uint64_t)KVMX_KSM_WHY_SCANS << 56 | 256,
	};

	EXPECT_STREQ("the epoch ends (scans): 1.0 MiB freed", ksm_event_text(text, &event));
	event = (struct kvmx_event){ .type = KVMX_EVENT_KSM_BEGIN, .arg = 512 };
	EXPECT_STREQ("an epoch begins: 2.0 MiB to free", ksm_event_text(text, &event));
	event = (struct kvmx_event){ .type = KVMX_EVENT_KSM_KNOBS, .arg = KVMX_KSM_KNOBS_LOST };
	EXPECT_STREQ("KSM's knobs are lost", ksm_event_text(text, &event));
	event = (struct kvmx_event){ .type = KVMX_EVENT_KSM_EVICTED, .arg = 42 };
	EXPECT_STREQ("process 42 may not merge any more", ksm_event_text(text, &event));
}

TEST(uuid)
{
	static const char text[] = "00010203-0405-0607-0809-0a0b0c0d0eff";
	static const char * const bad[] = {
		"", "any", "0001", "00010203-0405-0607-0809-0a0b0c0d0e", "none ",
		"00010203-0405-0607-0809-0a0b0c0d0eff0", "000102030405060708090a0b0c0d0eff",
		"0001020304-05-0607-0809-0a0b0c0d0eff", "00010203-0405-0607-0809-0a0b0c0d0efg",
		"00010203-0405-0607-0809-0a0b0c0d0ef",
	};
	uint8_t uuid[KVMX_UUID_LEN], before[KVMX_UUID_LEN];
	char back[KSM_UUID_LEN];
	size_t i;

	ASSERT_EQ(0, ksm_parse_uuid(text, uuid));
	for (i = 0; i < KVMX_UUID_LEN - 1; i++)
		EXPECT_EQ(i, uuid[i]);
	EXPECT_EQ(0xff, uuid[KVMX_UUID_LEN - 1]);
	EXPECT_STREQ(text, ksm_format_uuid(back, uuid));
	memcpy(before, uuid, sizeof(before));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(-1, ksm_parse_uuid(bad[i], uuid)) {
			TH_LOG("'%s' was taken", bad[i]);
		}
		EXPECT_EQ(0, memcmp(before, uuid, sizeof(before)));
	}
	ASSERT_EQ(0, ksm_parse_uuid("00010203-0405-0607-0809-0A0B0C0D0EFF", uuid));
	EXPECT_EQ(0, memcmp(before, uuid, sizeof(before)));
	ASSERT_EQ(0, ksm_parse_uuid("none", uuid));
	EXPECT_STREQ("none", ksm_format_uuid(back, uuid));
}

TEST(progress)
{
	char bar[KSM_BAR_LEN + 3];

	EXPECT_EQ(0, ksm_permille(0, 10));
	EXPECT_EQ(500, ksm_permille(5, 10));
	EXPECT_EQ(999, ksm_permille(999999, 1000000));
	EXPECT_EQ(1000, ksm_permille(10, 10));
	EXPECT_EQ(1000, ksm_permille(11, 10));
	EXPECT_EQ(1000, ksm_permille(0, 0));
	EXPECT_STREQ("[........................]", ksm_bar(bar, 0));
	EXPECT_STREQ("[############............]", ksm_bar(bar, 500));
	EXPECT_STREQ("[#######################.]", ksm_bar(bar, 999));
	EXPECT_STREQ("[########################]", ksm_bar(bar, 1000));
}

TEST_HARNESS_MAIN
