// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl ksm: merging the memory of guests.
 */
#include <errno.h>
#include <stdlib.h>

#include "command.h"
#include "ksm.h"

enum ctl_exit ksm_host(int sys_fd, struct kvmx_ksm_host_get *host, struct ctl_error *err)
{
	int error = kvmx_ksm_host_get(sys_fd, host);

	return error ? ctl_fail_errno(err, -error, "the host's policy over KSM") : CTL_OK;
}

enum ctl_exit ksm_ask_plan(int sys_fd, uint32_t flags, struct kvmx_ksm_plan *plan,
			   struct kvmx_ksm_plan_vm **vms, int *nr, struct ctl_error *err)
{
	*nr = kvmx_ksm_plan(sys_fd, flags, plan, vms);
	if (*nr >= 0)
		return CTL_OK;
	if (*nr != -ENODATA)
		return ctl_fail_errno(err, -*nr, "KSM's plan");
	*vms = NULL;
	*nr = 0;
	return CTL_OK;
}

static const struct command commands[] = {
	{
		"show", "[PID[:FD]]",
		"    The host's policy, what is merged and what it has cost, and the VMs that have a\n"
		"    mode; or all about one VM.\n",
		ksm_show,
	},
	{
		"set", "PID[:FD] [--mode unset|off|auto|always] [--weight N]\n"
		"          [--domain UUID|none]\n"
		"  kvmxctl ksm set host [--mode off|on] [--domains strict|shared]\n"
		"          [--foreign refuse|allow] [--domain UUID|none] [--cpu-permille N]\n"
		"          [--pressure-permille N] [--idle-permille N] [--memory-target BYTES]\n"
		"          [--reserve BYTES] [--page-ms MS] [--epoch-seconds S]\n"
		"          [--interval-seconds S] [--settle-ms MS] [--defaults] [--take]",
		"    Whether a VM's memory may merge, and with whose; or the policy of the host. What\n"
		"    is not named stays. A VM's setting stays until the VM goes; it is that of its\n"
		"    process. Nothing merges before the host's mode is on. --defaults: what is not\n"
		"    named gets its default. --take: take KSM's knobs although somebody else has\n"
		"    written to them.\n",
		ksm_set,
	},
	{
		"plan", "[--fresh]",
		"    What would be merged or unmerged next, and why. Nothing is done. --fresh: look\n"
		"    at memory first, which takes a while; without a policy in force it is done\n"
		"    anyway.\n",
		ksm_plan,
	},
	{
		"watch", "[--interval-seconds S] [--count N]",
		"    How far merging is, every S seconds (1), N times (for ever), and what happens\n"
		"    meanwhile. With -j one object a line.\n",
		ksm_watch,
	},
};

const struct object ksm_object = {
	.name = "ksm",
	.about = "merging the memory of guests",
	.commands = commands,
	.nr_commands = ARRAY_SIZE(commands),
	.standard = &commands[0],
};
