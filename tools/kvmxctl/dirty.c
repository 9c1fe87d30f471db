// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl dirty: what a guest writes to its memory.
 */
#include "command.h"

#define CURVE_ARGS	"[--from SOURCE] [--seconds S] [--samples N]"

#define CURVE_ABOUT	\
	"    SOURCE is tracker (what the VMM's harvests have shown), content (contents of N\n" \
	"    random pages compared over S seconds, read from outside; 4096 pages, 2 seconds)\n" \
	"    or auto (the default: tracker if it has anything to tell, else content)"

static const struct command commands[] = {
	{
		"peek", "PID[:FD]",
		"    How much the VMM's kvmx trackers would harvest now, by memslot. Takes nothing.\n",
		dirty_peek,
	},
	{
		"rate", "PID[:FD] " CURVE_ARGS,
		"    How many different pages get dirty in intervals of growing length.\n"
		CURVE_ABOUT ".\n",
		dirty_rate,
	},
	{
		"predict", "PID[:FD] --bandwidth RATE --allowed-ms MS\n"
		"          [--fixed-ms MS] [--page-bytes N] [--min-vcpu-percent P] [--defer]\n"
		"          " CURVE_ARGS,
		"    How a live migration would end over a link of RATE (bytes per second: 125000000,\n"
		"    120M, or bits: 1Gbit) if the guest may pause for --allowed-ms.\n"
		"    --fixed-ms: what a pause costs besides pages (default 0). --page-bytes: bytes on\n"
		"    the wire per page (default 4096). --min-vcpu-percent: how slow the vCPUs may be\n"
		"    made to run (default 100: not at all). --defer: the sender keeps pages that are\n"
		"    written all the time for last.\n"
		CURVE_ABOUT ", or\n"
		"    sample (the VMM's last KVMX_VM_SAMPLE).\n",
		dirty_predict,
	},
	{
		"plot", "PID[:FD] --output FILE [--bandwidth RATE]\n          " CURVE_ARGS,
		"    The dirty curve as a drawing (SVG), and what a link of RATE sends in that time:\n"
		"    where the curve is below it, a round of pre-copy leaves less than it has sent.\n"
		CURVE_ABOUT ".\n",
		dirty_plot,
	},
};

const struct object dirty_object = {
	.name = "dirty",
	.about = "what a guest writes, and how a live migration would go",
	.commands = commands,
	.nr_commands = ARRAY_SIZE(commands),
};
