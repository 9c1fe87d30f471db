/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * A make-believe guest: a thread that writes memory in known patterns and notes every write, as
 * KVM's log would, and a link of known bandwidth. With them the whole of a migration can be tested
 * where there is no KVM, to the byte.
 */
#ifndef _LIBKVMX_TESTS_FAKE_H
#define _LIBKVMX_TESTS_FAKE_H

#include <pthread.h>

#include "dirty.h"

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

	pthread_t thread;
	pthread_mutex_t lock;	/* held while the guest writes */
	bool paused;
	bool stop;
	uint32_t permille;
	uint64_t seed;
	uint64_t written;
	uint64_t late_ns;	/* the longest that the machine kept it waiting */
	uint64_t *dirty;
	uint64_t *sampled;

	/* what was done to it */
	unsigned int pauses;
	unsigned int resumes;
	unsigned int throttles;
	unsigned int released;
	unsigned int stops;
	uint64_t paused_at;
	/* made to happen */
	int fail_pause;
	int fail_save;
	int fail_harvest;
	int fail_start;
	bool no_save_write;	/* save_state() leaves guest memory alone */
	int cancel_phase;	/* -1: none */
	unsigned int harvest_us;	/* how long one takes */
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
	uint64_t ran_at;
	int state_good;
	int fail_load;
	int fail_run;
	uint32_t nr_regions;
	int fd;
	pthread_t thread;
	struct kvmx_migrate_report report;
};

struct fake_dest *fake_dest_new(uint64_t pages);
void fake_dest_free(struct fake_dest *d);
int fake_receive(struct fake_dest *d, int fd);
/* In a thread. */
void fake_receive_start(struct fake_dest *d, int fd);
void fake_receive_wait(struct fake_dest *d);

/*
 * A relay of @rate bytes per second (0: as fast as it goes) that dies after @die_after bytes
 * (~0: never). fd[0] is for the source, fd[1] for the destination.
 */
struct fake_relay {
	int fd[2];
	int inner[2];
	uint64_t rate;
	uint64_t die_after;
	uint64_t flip_at;	/* turn a bit over in this byte; ~0: none */
	uint64_t forwarded;
	pthread_t thread;
};

void fake_relay_start(struct fake_relay *r, uint64_t rate, uint64_t die_after, uint64_t flip_at);
void fake_relay_stop(struct fake_relay *r);

/* kvmx's own arithmetic, from the kernel module's source. */
int fake_predict(const struct kvmx_point *points, uint32_t nr, uint64_t total, void *predict);

#endif /* _LIBKVMX_TESTS_FAKE_H */
