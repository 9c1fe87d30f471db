/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * A make-believe guest that writes memory in known patterns and notes every write, as KVM's log
 * would, and a VMM at the destination. With them the whole of a migration can be tested where there
 * is no KVM, to the byte. In simulated time (sim.h) all of it costs what it is told to cost; in
 * real time the guest and the destination are threads.
 */
#ifndef _LIBKVMX_TESTS_FAKE_H
#define _LIBKVMX_TESTS_FAKE_H

#include <pthread.h>

#include "dirty.h"
#include "sim.h"

#define FAKE_MAX_LOADS	3
#define MIB		(1024ULL * 1024)
#define PAGES(mib)	((mib) * MIB / PAGE_BYTES)

enum fake_pattern {
	FAKE_IDLE,
	FAKE_UNIFORM,	/* any page of the range */
	FAKE_STREAM,	/* one after the other, and again */
	FAKE_SAME,	/* as STREAM, but each page is given the content it has */
	FAKE_ONCE,	/* one after the other, until all are written */
};

struct fake_load {
	enum fake_pattern pattern;
	uint64_t first;		/* page */
	uint64_t pages;
	uint64_t rate;		/* pages per second */
	/* private */
	uint64_t at;
	double owed;
};

struct fake_guest {
	uint64_t pages;
	uint8_t *mem;
	struct kvmx_region regions[2];
	struct fake_load load[FAKE_MAX_LOADS];
	/* Devices write here, and no log notes it: candidates in each harvest. */
	uint64_t dma_first;
	uint64_t dma_pages;

	pthread_t thread;
	pthread_mutex_t lock;	/* held while the guest writes */
	uint64_t last;		/* when it wrote last */
	bool paused;
	bool stop;
	uint32_t permille;
	uint64_t seed;
	uint64_t written;
	uint64_t *dirty;
	uint64_t *sampled;

	/* what was done to it */
	unsigned int pauses;
	unsigned int resumes;
	unsigned int throttles;
	unsigned int released;
	unsigned int stops;
	/* what things cost, in simulated time */
	uint64_t pause_ns;
	uint64_t save_ns;
	uint64_t harvest_ns;
	uint64_t harvest_page_ns;	/* for each page it finds */
	/* made to happen */
	int fail_pause;
	int fail_save;
	int fail_harvest;
	int fail_start;
	bool no_save_write;	/* save_state() leaves guest memory alone */
	int cancel_phase;	/* -1: none */
	size_t state_len;	/* of the device state */
	uint64_t burst;		/* pages written between the decision to pause and the pause */
	struct kvmx_migrate_progress progress;
	uint32_t first_told;	/* the verdict of the first progress that had one */
	uint64_t first_told_ns;
};

/* @filled pages at the start hold data, the others are zero. */
void fake_init(struct fake_guest *g, uint64_t pages, uint64_t filled);
void fake_start(struct fake_guest *g);
void fake_stop(struct fake_guest *g);
void fake_free(struct fake_guest *g);

extern const struct kvmx_migrate_source_ops fake_ops;
extern const struct dirty_ops fake_dirty_ops;

#define FAKE_STATE	(300 * 1024 + 17)
void fake_state(uint8_t *buf, size_t len);

/* The destination. */
struct fake_dest {
	uint64_t pages;
	uint8_t *mem;
	struct kvmx_region regions[2];
	unsigned int runs;
	unsigned int discards;
	int state_good;
	uint64_t load_ns;	/* what loading the state costs, in simulated time */
	int fail_load;
	int fail_run;
	uint32_t nr_regions;
	int fd;
	pthread_t thread;
	struct kvmx_migrate_report report;
};

void fake_dest_init(struct fake_dest *d, uint64_t pages);
void fake_dest_free(struct fake_dest *d);
int fake_receive(struct fake_dest *d, int fd);
/* Beside the caller. */
void fake_receive_start(struct fake_dest *d, int fd);
void fake_receive_wait(struct fake_dest *d);

/* Both guests' memory lies so, with a hole in it. */
void fake_regions(struct kvmx_region *r, uint8_t *mem, uint64_t pages);
void *fake_memory(size_t bytes);

/* kvmx's own arithmetic, from the kernel module's source. */
int fake_predict(const struct kvmx_point *points, uint32_t nr, uint64_t total, void *predict);

#endif /* _LIBKVMX_TESTS_FAKE_H */
