// SPDX-License-Identifier: LGPL-2.1
#include <errno.h>
#include <unistd.h>

#include "dirty.h"

static int sample(void *ctx, struct kvmx_vm_sample *sample)
{
	struct dirty_kvmx *d = ctx;

	return kvmx_vm_sample(d->vm_fd, sample);
}

static int start(void *ctx)
{
	struct dirty_kvmx *d = ctx;
	int fd = kvmx_tracker_create(d->vm_fd, KVMX_TRACKER_MIGRATION);

	/* The flag is as old as KVMX_FEAT_KSM. */
	if (fd == -EOPNOTSUPP)
		fd = kvmx_tracker_create(d->vm_fd, 0);
	if (fd < 0)
		return fd;
	d->tracker_fd = fd;
	return 0;
}

static int harvest(void *ctx, struct kvmx_harvest *harvest)
{
	struct dirty_kvmx *d = ctx;

	return kvmx_harvest(d->tracker_fd, harvest);
}

static int predict(void *ctx, struct kvmx_predict *predict)
{
	struct dirty_kvmx *d = ctx;

	return kvmx_predict(d->vm_fd, predict);
}

static void stop(void *ctx)
{
	struct dirty_kvmx *d = ctx;

	if (d->tracker_fd >= 0)
		close(d->tracker_fd);
	d->tracker_fd = -1;
}

const struct dirty_ops dirty_kvmx_ops = {
	.sample = sample,
	.start = start,
	.harvest = harvest,
	.predict = predict,
	.stop = stop,
};
