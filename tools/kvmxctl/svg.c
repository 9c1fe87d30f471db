// SPDX-License-Identifier: GPL-2.0
/*
 * A dirty curve as a drawing: different pages written over time, with standard errors, and what a
 * link sends in that time. Where the curve is below the link's line, a round of pre-copy leaves
 * less than it has sent.
 */
#include "slots.h"
#include "svg.h"
#include "units.h"

#define WIDTH	720
#define HEIGHT	440
#define LEFT	90
#define RIGHT	30
#define TOP	50
#define BOTTOM	60
#define TICKS	4

struct scale {
	double time_ns;		/* at the right */
	double bytes;		/* at the top */
};

static double x_of(const struct scale *scale, double time_ns)
{
	return LEFT + time_ns / scale->time_ns * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct scale *scale, double bytes)
{
	return HEIGHT - BOTTOM - bytes / scale->bytes * (HEIGHT - TOP - BOTTOM);
}

/* Names of VMs are anybody's, and this is XML. */
static void print_escaped(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '&')
			fputs("&amp;", out);
		else if (*text == '<')
			fputs("&lt;", out);
		else if (*text >= ' ' && *text <= '~')
			fputc(*text, out);
	}
}

static struct scale scale_of(const struct svg_curve *curve)
{
	struct scale scale = { 1, GUEST_PAGE };
	double bytes;
	unsigned int i;

	for (i = 0; i < curve->nr; i++) {
		bytes = (curve->points[i].pages + curve->points[i].error_pages) *
			(double)GUEST_PAGE;
		if (curve->points[i].time_ns > scale.time_ns)
			scale.time_ns = curve->points[i].time_ns;
		if (bytes > scale.bytes)
			scale.bytes = bytes;
	}
	/* Room above, but never more than there is. */
	scale.bytes *= 1.1;
	if (curve->total_pages && scale.bytes > curve->total_pages * (double)GUEST_PAGE)
		scale.bytes = curve->total_pages * (double)GUEST_PAGE;
	return scale;
}

static void print_axes(const struct scale *scale, FILE *out)
{
	char text[UNITS_LEN];
	double x, y;
	int i;

	for (i = 0; i <= TICKS; i++) {
		x = x_of(scale, scale->time_ns * i / TICKS);
		y = y_of(scale, scale->bytes * i / TICKS);
		fprintf(out, "<path class=\"grid\" d=\"M%d %.1fH%dM%.1f %dV%d\"/>\n", LEFT, y,
			WIDTH - RIGHT, x, TOP, HEIGHT - BOTTOM);
		fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
			LEFT - 8, y + 4, format_bytes(text, scale->bytes * i / TICKS));
		fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x,
			HEIGHT - BOTTOM + 20, format_time(text, scale->time_ns * i / TICKS));
	}
}

/* Up to the right or the upper edge, whichever it meets first. */
static void print_link(const struct scale *scale, uint64_t rate, FILE *out)
{
	double time_ns = scale->time_ns, bytes = rate * time_ns / NSEC_PER_SEC;
	char text[UNITS_LEN];

	if (bytes > scale->bytes) {
		time_ns *= scale->bytes / bytes;
		bytes = scale->bytes;
	}
	fprintf(out, "<path class=\"link\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", x_of(scale, 0),
		y_of(scale, 0), x_of(scale, time_ns), y_of(scale, bytes));
	fprintf(out, "<text class=\"sent\" x=\"%d\" y=\"%d\">sent at %s</text>\n", LEFT + 200,
		HEIGHT - 14, format_rate(text, rate));
}

static void print_points(const struct svg_curve *curve, const struct scale *scale, FILE *out)
{
	const struct sample_point *point;
	double x, low, high;
	unsigned int i;

	fprintf(out, "<path class=\"dirty\" d=\"M%.1f %.1f", x_of(scale, 0), y_of(scale, 0));
	for (i = 0; i < curve->nr; i++)
		fprintf(out, "L%.1f %.1f", x_of(scale, curve->points[i].time_ns),
			y_of(scale, curve->points[i].pages * (double)GUEST_PAGE));
	fputs("\"/>\n", out);
	for (i = 0; i < curve->nr; i++) {
		point = &curve->points[i];
		x = x_of(scale, point->time_ns);
		high = (point->pages + point->error_pages) * (double)GUEST_PAGE;
		low = point->pages > point->error_pages ?
		      (point->pages - point->error_pages) * (double)GUEST_PAGE : 0;
		fprintf(out, "<path class=\"error\" d=\"M%.1f %.1fV%.1f\"/>\n", x,
			y_of(scale, low), y_of(scale, high));
		fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n", x,
			y_of(scale, point->pages * (double)GUEST_PAGE));
	}
}

void svg_print(const struct svg_curve *curve, FILE *out)
{
	struct scale scale = scale_of(curve);

	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\">\n", WIDTH,
		HEIGHT);
	fputs("<style>text{font:13px sans-serif;fill:#333}path{fill:none}\n", out);
	fputs(".grid{stroke:#ddd}.dirty{stroke:#06c;stroke-width:2}.error{stroke:#06c}\n", out);
	fputs(".link{stroke:#c60;stroke-dasharray:6 4}.sent{fill:#c60}\n", out);
	fputs(".written{fill:#06c}circle{fill:#06c}</style>\n", out);
	fputs("<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n", out);
	fprintf(out, "<text x=\"%d\" y=\"28\">", LEFT);
	print_escaped(curve->title, out);
	fputs("</text>\n", out);
	print_axes(&scale, out);
	if (curve->rate)
		print_link(&scale, curve->rate, out);
	print_points(curve, &scale, out);
	fprintf(out, "<text class=\"written\" x=\"%d\" y=\"%d\">written</text>\n", LEFT,
		HEIGHT - 14);
	fputs("</svg>\n", out);
}
