/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * Where dirty pages come from: kvmx.ko, or a test's make-believe guest. The functions are those of
 * the ioctls of the same name, with their argument structs.
 */
#ifndef _LIBKVMX_DIRTY_H
#define _LIBKVMX_DIRTY_H

#include "internal.h"

struct dirty_ops {
	int (*sample)(void *ctx, struct kvmx_vm_sample *sample);
	int (*start)(void *ctx);	/* everything is dirty */
	int (*harvest)(void *ctx, struct kvmx_harvest *harvest);
	int (*predict)(void *ctx, struct kvmx_predict *predict);
	void (*stop)(void *ctx);	/* also without start */
};

struct dirty_source {
	const struct dirty_ops *ops;
	void *ctx;
};

/* kvmx_migrate_send() with another source of dirty pages. Not exported. */
int migrate_send_from(const struct kvmx_migrate_source *source,
		      const struct kvmx_migrate_policy *policy,
		      const struct dirty_source *dirty, struct kvmx_migrate_report *report);

/* The source that kvmx.ko is. */
struct dirty_kvmx {
	int vm_fd;
	int tracker_fd;
};

extern const struct dirty_ops dirty_kvmx_ops;

#endif /* _LIBKVMX_DIRTY_H */
