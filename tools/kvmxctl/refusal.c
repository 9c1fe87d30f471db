// SPDX-License-Identifier: GPL-2.0
/*
 * Why the kernel does not let us at another process. No effects.
 */
#include "refusal.h"

void refusal_explain(const struct refusal *facts, struct ctl_error *err)
{
	if (facts->yama_scope >= 3)
		ctl_hint(err, "kernel.yama.ptrace_scope is 3: nobody may, until the host reboots");
	else if (facts->cap_ptrace && facts->inner_userns)
		ctl_hint(err, "the VMM is outside this user namespace: run it on the host");
	else if (facts->cap_ptrace)
		ctl_hint(err, "SELinux, AppArmor or the like forbids it: see the audit log");
	else if (facts->root)
		ctl_hint(err, "this is root without CAP_SYS_PTRACE (a container?): give it that");
	else if (facts->yama_scope)
		ctl_hint(err, "run it as root or with CAP_SYS_PTRACE (yama.ptrace_scope is %d)",
			 facts->yama_scope);
	else if (facts->same_user)
		ctl_hint(err, "run it as root or with CAP_SYS_PTRACE: the VMM is not dumpable");
	else
		ctl_hint(err, "run it as root, with CAP_SYS_PTRACE, or as the VMM's own user");
}
