// SPDX-License-Identifier: GPL-2.0
/* How a VMM adds live migration: the callbacks, the policy, and two calls of libkvmx. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "migration.h"
#include "place.h"
#include "report.h"
#include "state.h"
#include "vm.h"

static int on_pause(void *opaque)
{
	struct vm *vm = opaque;

	/* Disk requests are done by the vCPU threads: with those, the back ends stand still. */
	vcpus_pause(&vm->vcpus, PAUSE_MIGRATION);
	/* A guest that has just switched itself off is nothing to be sent. */
	if (vcpus_paused(&vm->vcpus) & PAUSE_END)
		return -ESHUTDOWN;
	return devices_quiesce(vm);
}

static int on_resume(void *opaque)
{
	struct vm *vm = opaque;
	int err = devices_resume(vm);

	if (!err)
		vcpus_resume(&vm->vcpus, PAUSE_MIGRATION);
	return err;
}

static int on_save_state(void *opaque, void **data, size_t *len)
{
	return state_save(opaque, data, len);
}

static int on_throttle(void *opaque, uint32_t permille)
{
	struct vm *vm = opaque;

	return vcpus_throttle(&vm->vcpus, permille);
}

static int on_progress(void *opaque, const struct kvmx_migrate_progress *progress)
{
	struct vm *vm = opaque;
	struct migration *migration = &vm->migration;

	pthread_mutex_lock(&migration->lock);
	migration->progress = *progress;
	pthread_mutex_unlock(&migration->lock);
	progress_show(progress);
	return migration->cancel;
}

static int on_load_state(void *opaque, const void *data, size_t len)
{
	return state_load(opaque, data, len);
}

static int on_run(void *opaque)
{
	struct vm *vm = opaque;

	/* For tests: what the guest begins with here. */
	if (vm->opt->memory_hash)
		vm->migration.hashes = hashes_json(vm);
	if (vm->opt->memory_dump)
		memory_dump_behind(&vm->mem, vm->opt->memory_dump);
	vcpus_resume(&vm->vcpus, PAUSE_START);
	return 0;
}

static const struct kvmx_migrate_source_ops source_ops = {
	.pause = on_pause,
	.resume = on_resume,
	.save_state = on_save_state,
	.throttle = on_throttle,
	.progress = on_progress,
};

static const struct kvmx_migrate_dest_ops dest_ops = {
	.load_state = on_load_state,
	.run = on_run,
};

static void fill_regions(struct vm *vm, struct kvmx_region *regions)
{
	unsigned int i;

	memset(regions, 0, MEMORY_MAX_RANGES * sizeof(*regions));
	for (i = 0; i < vm->mem.nr_ranges; i++) {
		regions[i].gfn = vm->mem.ranges[i].gpa / PAGE_SIZE;
		regions[i].npages = vm->mem.ranges[i].size / PAGE_SIZE;
		regions[i].hva = vm->mem.ranges[i].hva;
	}
}

static void fill_policy(const struct options *opt, bool offline, struct kvmx_migrate_policy *policy)
{
	/* The BARs of host devices are memslots, but no memory. */
	bool partial = opt->nr_devices;

	kvmx_migrate_policy_init(policy);
	policy->mode = offline ? KVMX_MODE_OFFLINE : opt->plain ? KVMX_MODE_PLAIN : KVMX_MODE_LIVE;
	policy->flags |= (opt->throttle ? KVMX_POLICY_THROTTLE : 0) |
			 (opt->offline_fallback ? KVMX_POLICY_OFFLINE : 0) |
			 (opt->hash ? 0 : KVMX_POLICY_NO_CONTENT) |
			 (partial ? KVMX_POLICY_PARTIAL : 0);
	policy->allowed_ns = opt->allowed_ns;
	policy->bandwidth = opt->bandwidth;
	policy->max_time_ns = opt->max_ns;
}

/* A vCPU cannot go on with a full ring, and libkvmx may be busy sending: have a tracker for it. */
static int open_collector(struct vm *vm)
{
	struct migration *migration = &vm->migration;
	int fd;

	if (!vm->opt->dirty_ring || vm->kvmx_fd < 0)
		return 0;
	fd = kvmx_tracker_create(vm->kvmx_fd, KVMX_TRACKER_CLEAN);
	if (fd < 0)
		return fail(-fd, "cannot track dirty pages: %s", strerror(-fd));
	pthread_mutex_lock(&migration->lock);
	migration->collector = fd;
	pthread_mutex_unlock(&migration->lock);
	return 0;
}

static void close_collector(struct migration *migration)
{
	pthread_mutex_lock(&migration->lock);
	if (migration->collector >= 0)
		close(migration->collector);
	migration->collector = -1;
	pthread_mutex_unlock(&migration->lock);
}

int migrate_ring_full(struct vm *vm)
{
	struct migration *migration = &vm->migration;
	struct kvmx_harvest harvest = { .flags = KVMX_HARVEST_COLLECT };
	int err = 0;

	pthread_mutex_lock(&migration->lock);
	/* If there is none any more, kvmx has emptied the ring as the last one went. */
	if (migration->collector >= 0)
		err = kvmx_harvest(migration->collector, &harvest);
	pthread_mutex_unlock(&migration->lock);
	/* The vCPU will be back if there is still no room. */
	if (err == -EAGAIN)
		err = 0;
	return err ? fail(-err, "cannot empty the dirty ring: %s", strerror(-err)) : 0;
}

/* The library had no say in it: report it as it would have. */
static int not_begun(struct migration *migration, const char *place, int err)
{
	struct kvmx_migrate_report *report = &migration->report;

	memset(report, 0, sizeof(*report));
	report->error = err;
	report->outcome = KVMX_MIGRATE_FAILED;
	snprintf(report->reason, sizeof(report->reason), "%s: %s", place, strerror(-err));
	return err;
}

int migrate_send(struct vm *vm, const char *place, bool offline)
{
	struct migration *migration = &vm->migration;
	struct kvmx_region regions[MEMORY_MAX_RANGES];
	struct kvmx_migrate_policy policy;
	struct kvmx_migrate_source source = {
		.ops = &source_ops, .opaque = vm, .regions = regions,
		.nr_regions = vm->mem.nr_ranges, .vm_fd = vm->kvmx_fd,
	};
	int err;

	offline |= place_is_file(place);
	if (!offline && vm->kvmx_fd < 0)
		return not_begun(migration, "/dev/kvmx is needed to migrate live", -ENODEV);
	source.fd = place_open_to(place);
	if (source.fd < 0)
		return not_begun(migration, place, source.fd);
	fill_regions(vm, regions);
	fill_policy(vm->opt, offline, &policy);
	err = offline ? 0 : open_collector(vm);
	if (err)
		not_begun(migration, "dirty ring", err);
	else
		err = kvmx_migrate_send(&source, &policy, &migration->report);
	close_collector(migration);
	close(source.fd);
	/* For tests: nobody has written to memory since the pause, and now it delays nobody. */
	if (!err && vm->opt->memory_hash)
		vm->migration.hashes = hashes_json(vm);
	if (!err && vm->opt->memory_dump)
		memory_dump(&vm->mem, vm->opt->memory_dump);
	report_finish(vm, &migration->report, "source");
	return err;
}

int migrate_receive(struct vm *vm, const char *place)
{
	struct migration *migration = &vm->migration;
	struct kvmx_region regions[MEMORY_MAX_RANGES];
	struct kvmx_migrate_dest dest = {
		.ops = &dest_ops, .opaque = vm, .regions = regions,
		.nr_regions = vm->mem.nr_ranges, .flags = KVMX_DEST_ZEROED,
	};
	int err;

	dest.fd = place_open_from(place);
	if (dest.fd < 0)
		return not_begun(migration, place, dest.fd);
	fill_regions(vm, regions);
	err = kvmx_migrate_receive(&dest, &migration->report);
	/* The source hangs up first: our last word, that the guest runs, has to reach it. */
	if (!err && !place_is_file(place))
		place_await_hangup(dest.fd);
	close(dest.fd);
	report_finish(vm, &migration->report, "destination");
	return err;
}

void migrate_init(struct migration *migration, struct vm *vm)
{
	migration->vm = vm;
	migration->collector = -1;
	pthread_mutex_init(&migration->lock, NULL);
}

void migrate_destroy(struct migration *migration)
{
	json_object_put(migration->hashes);
	pthread_mutex_destroy(&migration->lock);
}
