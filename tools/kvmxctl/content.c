// SPDX-License-Identifier: GPL-2.0
/*
 * A dirty curve of a VM whose VMM knows nothing of it: looks at the contents of some pages of
 * another process, again and again. Reads only, and only pages that are there: neither the VMM's
 * dirty log nor what is populated or swapped changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "curve.h"
#include "maps.h"
#include "slots.h"
#include "units.h"

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_FILE_BIT	61
#define PAGEMAP_SWAPPED_BIT	62
#define PAGEMAP_PRESENT_BIT	63

#define SHORTEST_NS	NSEC_PER_MSEC

struct content {
	const struct attached *att;
	int pagemap;
	struct sample *samples;
	uint32_t nr;
	uint64_t zero[2];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static void hash_page(const void *page, uint64_t hash[2])
{
	XXH128_hash_t h = XXH3_128bits(page, GUEST_PAGE);

	hash[0] = h.low64;
	hash[1] = h.high64;
}

/*
 * Between the two system calls a page may go away, and reading it then makes one again: as short
 * a time as possible, hence page by page.
 */
static void look_at(const struct content *content, const struct sample *sample, struct look *look)
{
	uint8_t page[GUEST_PAGE];
	struct iovec local = { page, sizeof(page) };
	struct iovec remote = { (void *)(uintptr_t)sample->hva, sizeof(page) };
	uint64_t entry;

	*look = (struct look){ .kind = LOOK_UNREADABLE, .time_ns = now_ns() };
	if (!sample->mapped)
		return;
	if (pread(content->pagemap, &entry, sizeof(entry),
		  sample->hva / GUEST_PAGE * sizeof(entry)) != sizeof(entry))
		return;
	look->file = entry >> PAGEMAP_FILE_BIT & 1;
	if (entry >> PAGEMAP_SWAPPED_BIT & 1) {
		look->kind = LOOK_SWAPPED;
	} else if (!(entry >> PAGEMAP_PRESENT_BIT & 1)) {
		look->kind = LOOK_ABSENT;
	} else if (process_vm_readv(content->att->found.pid, &local, 1, &remote, 1, 0) ==
		   sizeof(page)) {
		look->kind = LOOK_CONTENT;
		hash_page(page, look->hash);
	}
}

static enum ctl_exit still_there(const struct content *content, struct ctl_error *err)
{
	int pid = content->att->found.pid;

	if (attach_alive(content->att))
		return CTL_OK;
	return ctl_fail(err, CTL_NO_VM, "process %d has ended meanwhile", pid);
}

static enum ctl_exit first_pass(struct content *content, struct content_facts *facts,
				struct ctl_error *err)
{
	struct look look;
	uint32_t i;

	for (i = 0; i < content->nr; i++) {
		look_at(content, &content->samples[i], &look);
		sample_first(&content->samples[i], &look, content->zero);
		facts->absent += look.kind == LOOK_ABSENT;
		facts->swapped += look.kind == LOOK_SWAPPED;
		facts->unreadable += look.kind == LOOK_UNREADABLE;
	}
	facts->samples = content->nr;
	return still_there(content, err);
}

static enum ctl_exit next_pass(struct content *content, struct sample_tally *tally,
			       struct ctl_error *err)
{
	struct look look;
	uint32_t i;

	*tally = (struct sample_tally){ 0 };
	for (i = 0; i < content->nr; i++) {
		/* Once changed it stays so: all that counts is when it was asked. */
		if (content->samples[i].changed)
			look = (struct look){ .time_ns = now_ns() };
		else
			look_at(content, &content->samples[i], &look);
		sample_again(&content->samples[i], &look, tally);
	}
	return still_there(content, err);
}

static enum ctl_exit measure(struct content *content, uint64_t duration_ns, struct curve *curve,
			     struct ctl_error *err)
{
	uint64_t intervals[KVMX_MAX_POINTS], start, pass_ns;
	struct sample_point *point, *before = NULL;
	struct sample_tally tally;
	enum ctl_exit rc;
	unsigned int i, nr;

	start = now_ns();
	curve->content.begun_ns = start;
	rc = first_pass(content, &curve->content, err);
	if (rc)
		return rc;
	/* An interval cannot be shorter than the pass that opens it. */
	pass_ns = now_ns() - start;
	nr = sample_intervals(duration_ns, pass_ns > SHORTEST_NS ? pass_ns : SHORTEST_NS,
			      intervals, KVMX_MAX_POINTS);
	for (i = 0; i < nr; i++) {
		sleep_until(start + intervals[i]);
		rc = next_pass(content, &tally, err);
		if (rc)
			return rc;
		point = &curve->points[curve->nr];
		if (!sample_estimate(&tally, content->nr, curve->total_pages, before, point))
			continue;
		before = point;
		curve->nr++;
	}
	curve->content.changed = tally.changed;
	curve->content.first_touched = tally.first_touched;
	curve->content.unknown = tally.unknown;
	if (!curve->nr)
		return ctl_fail(err, CTL_NO_DATA,
				"no page of process %d's VM could be looked at twice",
				content->att->found.pid);
	return CTL_OK;
}

static enum ctl_exit choose_pages(struct content *content, const struct mem_range *ranges,
				  uint64_t total, struct ctl_error *err)
{
	int error, pid = content->att->found.pid;
	const struct mapping *mapping;
	uint32_t i, mapped = 0;
	struct sample *sample;
	struct maps maps;
	uint64_t rnd;

	error = maps_read(pid, &maps);
	if (error)
		return ctl_fail_errno(err, -error, "cannot read the mappings of process %d", pid);
	for (i = 0; i < content->nr; i++) {
		sample = &content->samples[i];
		if (getrandom(&rnd, sizeof(rnd), 0) != sizeof(rnd)) {
			maps_free(&maps);
			return ctl_fail_errno(err, errno, "getrandom");
		}
		sample->hva = ranges_hva(ranges, sample_pick(total, content->nr, i, rnd));
		mapping = maps_find(&maps, sample->hva);
		sample->mapped = mapping;
		sample->shared = mapping && mapping->shared;
		mapped += sample->mapped;
	}
	maps_free(&maps);
	if (mapped)
		return CTL_OK;
	ctl_fail(err, CTL_NO_VM, "process %d holds the VM, but has none of its memory", pid);
	ctl_hint(err, "name the process that created the VM; see kvmxctl vm list");
	return err->code;
}

/* What the guest can write to, each page once. */
static enum ctl_exit writable_memory(const struct attached *att, struct mem_range **ranges,
				     uint64_t *total, struct ctl_error *err)
{
	struct kvmx_slot *slots;
	size_t nr_ranges;
	int nr;

	nr = kvmx_vm_slots(att->vm_fd, &slots);
	if (nr < 0)
		return ctl_fail_errno(err, -nr, "cannot list the memslots of process %d",
				      att->found.pid);
	*ranges = calloc(nr + 1, sizeof(**ranges));
	if (!*ranges) {
		free(slots);
		return ctl_fail(err, CTL_FAILED, "out of memory");
	}
	nr_ranges = slots_memory(slots, nr, KVMX_SLOT_READONLY, *ranges);
	*total = ranges_pages(*ranges, nr_ranges);
	free(slots);
	if (*total)
		return CTL_OK;
	free(*ranges);
	return ctl_fail(err, CTL_NO_DATA, "the VM of process %d has no memory yet", att->found.pid);
}

static enum ctl_exit open_pagemap(struct content *content, struct ctl_error *err)
{
	int pid = content->att->found.pid;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	content->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (content->pagemap >= 0)
		return CTL_OK;
	return ctl_fail_errno(err, errno, "cannot see which pages of process %d are present", pid);
}

static uint64_t generation(const struct attached *att)
{
	struct kvmx_vm_info info = { 0 };

	kvmx_vm_info(att->vm_fd, &info);
	return info.generation;
}

enum ctl_exit content_curve(const struct attached *att, const struct curve_opts *opts,
			    struct curve *curve, struct ctl_error *err)
{
	static const uint8_t zeroes[GUEST_PAGE];
	struct content content = { .att = att };
	uint64_t before = generation(att);
	struct mem_range *ranges = NULL;
	enum ctl_exit rc;

	rc = writable_memory(att, &ranges, &curve->total_pages, err);
	if (rc)
		return rc;
	rc = open_pagemap(&content, err);
	if (rc)
		goto free_ranges;
	hash_page(zeroes, content.zero);
	content.nr = opts->samples < curve->total_pages ? opts->samples : curve->total_pages;
	content.samples = calloc(content.nr, sizeof(*content.samples));
	if (!content.samples) {
		rc = ctl_fail(err, CTL_FAILED, "out of memory");
		goto close_pagemap;
	}
	rc = choose_pages(&content, ranges, curve->total_pages, err);
	if (!rc)
		rc = measure(&content, opts->duration_ns, curve, err);
	curve->source = CURVE_CONTENT;
	curve->content.slots_changed = generation(att) != before;
	free(content.samples);
close_pagemap:
	close(content.pagemap);
free_ranges:
	free(ranges);
	return rc;
}
