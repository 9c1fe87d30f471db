/* SPDX-License-Identifier: GPL-2.0 */
/* The command line. */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include "memory.h"
#include "util.h"

#define MAX_VCPUS	4
#define MAX_DISKS	4
#define MAX_HOST_DEVICES 4

struct disk_option {
	const char *path;
	bool readonly;
};

struct options {
	/* the machine: the same on both sides of a migration */
	unsigned int vcpus;
	u64 memory;
	struct disk_option disks[MAX_DISKS];
	unsigned int nr_disks;
	const char *devices[MAX_HOST_DEVICES];
	unsigned int nr_devices;

	/* what it boots */
	const char *kernel;
	const char *initrd;
	const char *append;

	/* how it runs on this host */
	enum memory_kind memory_kind;
	int thp;
	u32 dirty_ring;
	int pin;
	const char *serial;
	const char *heartbeat;
	const char *name;
	u8 uuid[16];

	/* control and migration */
	const char *control;
	const char *incoming;
	const char *migrate_to;
	u64 migrate_after_ns;
	bool migrate_timed;
	bool offline;
	bool offline_fallback;
	bool throttle;
	bool plain;
	bool hash;
	u64 allowed_ns;
	u64 max_ns;
	u64 bandwidth;
	const char *report;
	const char *memory_dump;
	bool memory_hash;
};

/* 0 to go on, 1 if all is done (--help), -EINVAL with a message on stderr. */
int options_parse(struct options *opt, int argc, char **argv);

#endif
