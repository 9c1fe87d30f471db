// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl dirty peek: what a VMM's trackers would harvest now.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <kvmx/kvmx.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "out.h"
#include "slots.h"
#include "vminfo.h"

#define PEEK_RUNS	16384

/* What is dirty in a memslot. */
struct slot_sum {
	uint32_t slot;
	uint64_t npages;
	uint64_t dirty_pages;
	uint64_t runs;
};

struct peek {
	struct slot_sum *sums;
	size_t nr;
	uint64_t dirty_pages;
	uint64_t runs;
	uint32_t status;
};

static int peek_init(struct peek *peek, const struct kvmx_slot *slots, int nr)
{
	int i;

	*peek = (struct peek){ .sums = calloc(nr + 1, sizeof(*peek->sums)) };
	if (!peek->sums)
		return -1;
	for (i = 0; i < nr; i++)
		peek->sums[i] = (struct slot_sum){
			.slot = slots[i].slot,
			.npages = slots[i].npages,
		};
	peek->nr = nr;
	return 0;
}

static void add_run(struct peek *peek, const struct kvmx_run *run, size_t *last)
{
	size_t i;

	peek->dirty_pages += run->npages;
	peek->runs++;
	for (i = 0; i < peek->nr; i++) {
		/* Runs come by slot: the last one's is the best guess. */
		size_t at = (*last + i) % peek->nr;

		if (peek->sums[at].slot == run->slot) {
			peek->sums[at].dirty_pages += run->npages;
			peek->sums[at].runs++;
			*last = at;
			return;
		}
	}
}

static enum ctl_exit peek_tracker(int tracker, struct peek *peek, struct ctl_error *err)
{
	struct kvmx_harvest harvest = { 0 };
	struct kvmx_run *runs;
	enum ctl_exit rc = CTL_OK;
	size_t last = 0;
	uint32_t i;
	int error;

	runs = calloc(PEEK_RUNS, sizeof(*runs));
	if (!runs)
		return ctl_fail(err, CTL_FAILED, "out of memory");
	do {
		harvest.flags = KVMX_HARVEST_PEEK;
		harvest.runs = (uintptr_t)runs;
		harvest.nr_runs = PEEK_RUNS;
		harvest.nr_pages = 0;
		harvest.status = 0;
		error = kvmx_harvest(tracker, &harvest);
		if (error) {
			rc = ctl_fail_errno(err, -error, "cannot peek");
			break;
		}
		for (i = 0; i < harvest.nr_runs; i++)
			add_run(peek, &runs[i], &last);
		peek->status |= harvest.status;
	} while (harvest.status & KVMX_HARVEST_MORE);
	free(runs);
	return rc;
}

static struct json_object *sums_array(const struct peek *peek)
{
	struct json_object *array = json_object_new_array(), *obj;
	size_t i;

	for (i = 0; i < peek->nr; i++) {
		obj = json_object_new_object();
		json_object_array_add(array, obj);
		out_add_u64(obj, "address_space", peek->sums[i].slot >> 16);
		out_add_u64(obj, "id", peek->sums[i].slot & 0xffff);
		out_add_u64(obj, "bytes", peek->sums[i].npages * GUEST_PAGE);
		out_add_u64(obj, "dirty_pages", peek->sums[i].dirty_pages);
		out_add_u64(obj, "dirty_bytes", peek->sums[i].dirty_pages * GUEST_PAGE);
		out_add_u64(obj, "runs", peek->sums[i].runs);
	}
	return array;
}

static enum ctl_exit describe_tracker(const struct attached *att, int fd, struct peek *peek,
				      struct json_object *obj, struct ctl_error *err)
{
	struct kvmx_tracker_stats stats;
	enum ctl_exit rc;
	int tracker, error;

	rc = attach_tracker(att, fd, &tracker, err);
	if (rc)
		return rc;
	rc = peek_tracker(tracker, peek, err);
	if (rc)
		goto close_tracker;
	error = kvmx_tracker_stats(tracker, &stats);
	if (error) {
		rc = ctl_fail_errno(err, -error, "the counters of tracker %d", fd);
		goto close_tracker;
	}
	out_add_u64(obj, "fd", fd);
	out_add_text(obj, "backend", stats.backend == KVMX_BACKEND_RING ? "ring" : "bitmap");
	out_add_u64(obj, "dirty_pages", peek->dirty_pages);
	out_add_u64(obj, "dirty_bytes", peek->dirty_pages * GUEST_PAGE);
	out_add_u64(obj, "runs", peek->runs);
	out_add_bool(obj, "unlogged_slots", peek->status & KVMX_HARVEST_UNLOGGED);
	out_add_u64(obj, "passes", stats.passes);
	out_add_u64(obj, "last_pass_pages", stats.last_pass_pages);
	out_add_u64(obj, "last_interval_ns", stats.last_interval_ns);
	json_object_object_add(obj, "slots", sums_array(peek));
close_tracker:
	close(tracker);
	return rc;
}

static enum ctl_exit no_tracker(const struct attached *att, struct ctl_error *err)
{
	struct kvmx_vm_info info = { 0 };
	int pid = att->found.pid;

	/* If this fails, the plain truth has to do. */
	kvmx_vm_info(att->vm_fd, &info);
	if (info.state & KVMX_VM_LOGGED_BY_VMM)
		ctl_fail(err, CTL_BUSY,
			 "process %d has no kvmx tracker, it logs by itself (migrating?)", pid);
	else if (info.nr_trackers)
		ctl_fail(err, CTL_NO_VM, "process %d does not hold its VM's tracker itself", pid);
	else
		ctl_fail(err, CTL_NO_VM, "process %d has no kvmx tracker", pid);
	ctl_hint(err, "kvmxctl dirty rate %d estimates what gets dirty without one", pid);
	return err->code;
}

static enum ctl_exit peek_all(const struct attached *att, struct json_object *array,
			      struct ctl_error *err)
{
	int fds[KVMX_MAX_TRACKERS], i, nr, nr_slots;
	struct kvmx_slot *slots;
	struct json_object *obj;
	struct peek peek;
	enum ctl_exit rc;

	rc = attach_find_trackers(att, fds, &nr, err);
	if (rc)
		return rc;
	if (!nr)
		return no_tracker(att, err);
	nr_slots = kvmx_vm_slots(att->vm_fd, &slots);
	if (nr_slots < 0)
		return ctl_fail_errno(err, -nr_slots, "cannot list the memslots of process %d",
				      att->found.pid);
	for (i = 0; !rc && i < nr; i++) {
		if (peek_init(&peek, slots, nr_slots)) {
			rc = ctl_fail(err, CTL_FAILED, "out of memory");
			break;
		}
		obj = json_object_new_object();
		json_object_array_add(array, obj);
		rc = describe_tracker(att, fds[i], &peek, obj, err);
		free(peek.sums);
	}
	free(slots);
	return rc;
}

static void print_tracker(struct json_object *obj)
{
	static const struct out_field fields[] = {
		{ "fd", "tracker fd", OUT_COUNT },
		{ "backend", "backend", OUT_TEXT },
		{ "dirty_pages", "dirty pages", OUT_COUNT },
		{ "dirty_bytes", "dirty", OUT_BYTES },
		{ "runs", "runs", OUT_COUNT },
		{ "passes", "passes so far", OUT_COUNT },
		{ "last_pass_pages", "last pass, pages", OUT_COUNT },
		{ "last_interval_ns", "last pass, after", OUT_TIME },
	};
	static const struct out_field columns[] = {
		{ "address_space", "AS", OUT_COUNT },
		{ "id", "SLOT", OUT_COUNT },
		{ "bytes", "SIZE", OUT_BYTES },
		{ "dirty_pages", "DIRTY PAGES", OUT_COUNT },
		{ "dirty_bytes", "DIRTY", OUT_BYTES },
		{ "runs", "RUNS", OUT_COUNT },
	};

	out_record(obj, fields, ARRAY_SIZE(fields));
	puts("");
	out_table(out_get(obj, "slots"), columns, ARRAY_SIZE(columns));
	if (json_object_get_boolean(out_get(obj, "unlogged_slots")))
		puts("note: there are memslots that KVM cannot log; they always count as dirty");
}

static void print_plain(struct json_object *doc)
{
	struct json_object *trackers = out_get(doc, "trackers");
	size_t i, nr = json_object_array_length(trackers);

	for (i = 0; i < nr; i++) {
		if (i)
			puts("");
		print_tracker(json_object_array_get_idx(trackers, i));
	}
}

enum ctl_exit dirty_peek(int argc, char **argv, struct ctl_error *err)
{
	struct json_object *doc, *trackers;
	struct target target;
	struct attached att;
	enum ctl_exit rc;

	rc = args_parse(argc, argv, NULL, 0, &target, err);
	if (rc)
		return rc;
	rc = attach_target(&att, &target, err);
	if (rc)
		return rc;
	doc = json_object_new_object();
	trackers = json_object_new_array();
	vminfo_add_found(doc, &att.found);
	json_object_object_add(doc, "trackers", trackers);
	rc = peek_all(&att, trackers, err);
	if (!rc && !out_json(doc))
		print_plain(doc);
	json_object_put(doc);
	detach_target(&att);
	return rc;
}
