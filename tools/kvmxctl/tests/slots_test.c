// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "slots.h"

TEST(no_slots)
{
	struct mem_range ranges[1];

	EXPECT_EQ(0, slots_memory(NULL, 0, 0, ranges));
	EXPECT_EQ(0, ranges_pages(ranges, 0));
}

/* As QEMU's: two address spaces show the same memory, and a hole splits it. */
TEST(aliases_count_once)
{
	static const struct kvmx_slot slots[] = {
		{ .gfn = 0, .npages = 160, .hva = 0x100000, .slot = 0 },
		{ .gfn = 256, .npages = 768, .hva = 0x200000, .slot = 1 },
		{ .gfn = 0, .npages = 1024, .hva = 0x100000, .slot = 1 << 16 },
	};
	struct mem_range ranges[3];

	ASSERT_EQ(1, slots_memory(slots, 3, 0, ranges));
	EXPECT_EQ(0x100000, ranges[0].hva);
	EXPECT_EQ(1024, ranges_pages(ranges, 1));
}

TEST(overlap_inside_and_across)
{
	static const struct kvmx_slot slots[] = {
		{ .npages = 10, .hva = 0x10000 },
		{ .npages = 2, .hva = 0x12000 },
		{ .npages = 10, .hva = 0x18000 },
		{ .npages = 1, .hva = 0x100000 },
	};
	struct mem_range ranges[4];

	ASSERT_EQ(2, slots_memory(slots, 4, 0, ranges));
	EXPECT_EQ(18, ranges[0].npages);
	EXPECT_EQ(0x100000, ranges[1].hva);
	EXPECT_EQ(19, ranges_pages(ranges, 2));
}

TEST(neighbours_become_one)
{
	static const struct kvmx_slot slots[] = {
		{ .npages = 2, .hva = 0x12000 },
		{ .npages = 2, .hva = 0x10000 },
	};
	struct mem_range ranges[2];

	ASSERT_EQ(1, slots_memory(slots, 2, 0, ranges));
	EXPECT_EQ(0x10000, ranges[0].hva);
	EXPECT_EQ(4, ranges[0].npages);
}

TEST(flags_leave_out)
{
	static const struct kvmx_slot slots[] = {
		{ .npages = 10, .hva = 0x10000, .flags = KVMX_SLOT_READONLY },
		{ .npages = 5, .hva = 0x80000, .flags = KVMX_SLOT_LOGGED },
	};
	struct mem_range ranges[2];

	ASSERT_EQ(1, slots_memory(slots, 2, KVMX_SLOT_READONLY, ranges));
	EXPECT_EQ(5, ranges_pages(ranges, 1));
	EXPECT_EQ(2, slots_memory(slots, 2, 0, ranges));
}

TEST(pages_have_addresses)
{
	static const struct mem_range ranges[] = { { 0x10000, 2 }, { 0x80000, 3 } };

	EXPECT_EQ(0x10000, ranges_hva(ranges, 0));
	EXPECT_EQ(0x11000, ranges_hva(ranges, 1));
	EXPECT_EQ(0x80000, ranges_hva(ranges, 2));
	EXPECT_EQ(0x82000, ranges_hva(ranges, 4));
}

TEST_HARNESS_MAIN
