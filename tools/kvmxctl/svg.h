/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_SVG_H
#define KVMXCTL_SVG_H

#include <stdint.h>
#include <stdio.h>

#include "sample.h"

/* A dirty curve to draw. */
struct svg_curve {
	const char *title;
	const struct sample_point *points;	/* by time */
	unsigned int nr;
	uint64_t total_pages;
	uint64_t rate;		/* of a link, bytes per second; 0: no line for it */
};

/* No effects but on @out. */
void svg_print(const struct svg_curve *curve, FILE *out);

#endif
