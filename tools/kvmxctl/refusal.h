/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_REFUSAL_H
#define KVMXCTL_REFUSAL_H

#include <stdbool.h>

#include "error.h"

/* What decides whether the kernel lets us at another process. */
struct refusal {
	int yama_scope;		/* kernel.yama.ptrace_scope; 0 also without Yama */
	bool root;		/* user id 0 */
	bool cap_ptrace;	/* CAP_SYS_PTRACE */
	bool inner_userns;	/* our user namespace is not the host's first */
	bool same_user;		/* as the other process's */
};

/* Why it was refused, and what to do: sets the hint. No effects. */
void refusal_explain(const struct refusal *facts, struct ctl_error *err);
/* The facts about us and process @pid. */
void refusal_gather(int pid, struct refusal *facts);

#endif
