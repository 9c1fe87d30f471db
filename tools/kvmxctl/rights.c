// SPDX-License-Identifier: GPL-2.0
/*
 * What procfs says about our rights over another process.
 */
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "refusal.h"

/* The number of the first user namespace is fixed: PROC_USER_INIT_INO. */
#define FIRST_USERNS	"user:[4026531837]"

static int yama_scope(void)
{
	FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%d", &scope) != 1)
		scope = 0;
	fclose(file);
	return scope;
}

/* A number of /proc/WHO/status, which anybody may read; @fmt is "Name: %llu" or the like. */
static bool status_number(const char *who, const char *fmt, unsigned long long *value)
{
	char path[64], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/status", who);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, fmt, value) == 1;
	fclose(file);
	return found;
}

static bool has_cap_ptrace(void)
{
	unsigned long long caps;

	return status_number("self", "CapEff: %llx", &caps) && caps >> CAP_SYS_PTRACE & 1;
}

static bool has_user(int pid, unsigned int user)
{
	unsigned long long uid;
	char who[16];

	snprintf(who, sizeof(who), "%d", pid);
	return status_number(who, "Uid: %llu", &uid) && uid == user;
}

static bool in_inner_userns(void)
{
	char link[64];
	ssize_t len = readlink("/proc/self/ns/user", link, sizeof(link) - 1);

	if (len < 0)
		return false;
	link[len] = '\0';
	return strcmp(link, FIRST_USERNS);
}

void refusal_gather(int pid, struct refusal *facts)
{
	*facts = (struct refusal){
		.yama_scope = yama_scope(),
		.root = !geteuid(),
		.cap_ptrace = has_cap_ptrace(),
		.inner_userns = in_inner_userns(),
		.same_user = has_user(pid, geteuid()),
	};
}
