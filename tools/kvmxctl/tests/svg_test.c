// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "svg.h"

static char *drawn(const struct svg_curve *curve)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	svg_print(curve, out);
	fclose(out);
	return text;
}

static const struct sample_point points[] = {
	{ 500000000, 25600, 1000 },
	{ 1000000000, 40000, 0 },
};

TEST(curve)
{
	const struct svg_curve curve = { "a<b & c\033", points, 2, 1 << 20, 0 };
	char *text = drawn(&curve);

	/* 40000 pages and a tenth are the height of 330, one second is the width of 600. */
	EXPECT_NE(NULL, strstr(text, "d=\"M90.0 380.0L390.0 188.0L690.0 80.0\"/>"));
	EXPECT_NE(NULL, strstr(text, "<path class=\"error\" d=\"M390.0 195.5V180.5\"/>"));
	EXPECT_NE(NULL, strstr(text, ">a&lt;b &amp; c</text>"));
	EXPECT_NE(NULL, strstr(text, ">1.00 s</text>"));
	EXPECT_EQ(NULL, strstr(text, "class=\"link\""));
	EXPECT_EQ(0, strcmp(text + strlen(text) - 7, "</svg>\n"));
	free(text);
}

TEST(slow_link)
{
	/* A quarter of the height in a second. */
	const struct svg_curve curve = { "", points, 2, 1 << 20, 45056000 };
	char *text = drawn(&curve);

	EXPECT_NE(NULL, strstr(text, "<path class=\"link\" d=\"M90.0 380.0L690.0 297.5\"/>"));
	free(text);
}

TEST(fast_link)
{
	/* Four times the height in a second: it leaves at the top after a quarter of it. */
	const struct svg_curve curve = { "", points, 2, 1 << 20, 720896000 };
	char *text = drawn(&curve);

	EXPECT_NE(NULL, strstr(text, "<path class=\"link\" d=\"M90.0 380.0L240.0 50.0\"/>"));
	free(text);
}

TEST(nothing_written)
{
	static const struct sample_point none[] = { { 1000000, 0, 0 } };
	const struct svg_curve curve = { "", none, 1, 16384, 1000 };
	char *text = drawn(&curve);

	EXPECT_EQ(NULL, strstr(text, "nan"));
	EXPECT_EQ(NULL, strstr(text, "inf"));
	EXPECT_NE(NULL, strstr(text, "L690.0 380.0\"/>"));
	free(text);
}

TEST_HARNESS_MAIN
