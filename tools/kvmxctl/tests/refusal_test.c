// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "refusal.h"

static bool says(const struct refusal *facts, const char *text)
{
	struct ctl_error err = { .code = CTL_DENIED };

	refusal_explain(facts, &err);
	return strstr(err.hint, text);
}

#define SAYS(text, ...) EXPECT_TRUE(says(&(struct refusal){ __VA_ARGS__ }, text))

TEST(explains)
{
	SAYS("until the host reboots", .yama_scope = 3, .root = true, .cap_ptrace = true);
	SAYS("user namespace", .root = true, .cap_ptrace = true, .inner_userns = true);
	SAYS("SELinux, AppArmor", .root = true, .cap_ptrace = true);
	SAYS("SELinux, AppArmor", .cap_ptrace = true, .yama_scope = 2);
	SAYS("without CAP_SYS_PTRACE", .root = true);
	SAYS("without CAP_SYS_PTRACE", .root = true, .inner_userns = true, .yama_scope = 1);
	SAYS("ptrace_scope is 1", .yama_scope = 1, .same_user = true);
	SAYS("ptrace_scope is 2", .yama_scope = 2);
	SAYS("not dumpable", .same_user = true);
	SAYS("the VMM's own user", .same_user = false);
}

TEST_HARNESS_MAIN
