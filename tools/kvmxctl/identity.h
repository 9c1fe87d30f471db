/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_IDENTITY_H
#define KVMXCTL_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvmx.h>

/* Who a VM is by its VMM's command line. That is what whoever started it wrote, and no proof. */
struct identity {
	char name[64];			/* "" if there is none */
	uint8_t uuid[KVMX_UUID_LEN];
	bool has_uuid;
};

/* Whether a program of that name is known to run VMs. No effects. */
bool identity_is_vmm(const char *program);
/* From the arguments as /proc/PID/cmdline has them, NULs between them. No effects. */
void identity_parse(const char *program, const char *args, size_t len, struct identity *id);
/* Anybody may call a program or a VM anything, and this goes to a terminal. */
void identity_printable(char *text);

#endif
