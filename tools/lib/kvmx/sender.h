/* SPDX-License-Identifier: LGPL-2.1 */
/* The source's side: what its files share. */
#ifndef _LIBKVMX_SENDER_H
#define _LIBKVMX_SENDER_H

#include "conn.h"
#include "dirty.h"
#include "pages.h"

#define SENDER_RUNS	8192	/* room for one HARVEST */
#define SENDER_PROBES	64
#define HANDOVER_SAMPLES 128	/* pages priced once more when the guest stands still */

/* What a rate was lately; what is long ago counts less. */
struct rate {
	double amount;
	double ns;
};

/* A page that was dirty, to see if it is different when it is dirty again. */
struct probe {
	uint64_t idx;
	uint64_t quantum;		/* when it was put in */
	struct page_entry hash;
	bool used;
};

struct sender {
	const struct kvmx_migrate_source *source;
	const struct kvmx_migrate_policy *policy;
	const struct dirty_source *dirty;
	struct kvmx_migrate_report *report;
	struct layout layout;
	struct pages pages;
	struct conn conn;
	struct kvmx_run *runs;
	uint64_t start;
	uint32_t phase;
	bool content;			/* compare with what was sent before */
	bool lines;			/* leave out empty lines */
	bool started;			/* the tracker is there */
	bool tracked;			/* its first harvest is done: all pages are accounted for */

	/* tx.c: the chunk being filled */
	uint32_t fill;
	uint32_t chunk_runs;
	uint32_t chunk_pages;
	uint32_t chunk_max;		/* pages: what the link carries in a few ms */
	uint32_t run_at;
	uint64_t run_next;		/* page that would lengthen the last run */
	struct stream_run run;
	uint8_t *page;			/* for a look at one */

	/* candidates.c */
	uint64_t dma_pages;		/* that devices can write to, in the last harvest */
	uint64_t dma_next;		/* page to go on with */
	uint64_t dma_last;		/* behind the one looked at last */
	uint64_t dma_looks;		/* left in this harvest */
	uint64_t dma_ns;		/* spent looking in the last harvest */
	uint64_t dma_found;		/* changed, in this round over all of them */
	uint64_t dma_fresh;		/* in the one before */

	/* measure.c */
	struct rate link;
	uint64_t sending_since;
	uint64_t mark_ns;
	uint64_t mark_bytes;
	uint64_t mark_same;
	uint64_t mark_queue;
	bool idle;			/* there was nothing to send in this slice */
	double page_cost;		/* bytes on the wire per pending page */
	double page_cpu;		/* ns to look at one */
	double dirty_cost;		/* bytes per page that is written */
	double dirty_changed;		/* how much of what is written changes */
	struct probe probe[SENDER_PROBES];
	uint32_t probe_skip;
	uint32_t probes;		/* that have told something */
	uint64_t ping;
	uint64_t ping_ns;		/* when the last one was sent */
	uint64_t ping_seen;
	bool ping_full;			/* it was sent behind full queues */
	uint64_t rtt_ns;		/* round trip when nothing is queued */
	uint64_t full_ns;		/* what the queues on the way hold takes, when full */
	uint64_t queue_ns;		/* what they hold now */
	uint64_t queue_at;		/* "now" */
	uint64_t queue_bytes;		/* sent by then */
	uint64_t harvest_ns;		/* what a harvest takes */
	uint64_t last_harvest;
	uint64_t stop_ns;		/* what pausing and saving the state takes */
	uint64_t load_ns;		/* what loading it takes */
	uint64_t state_bytes;		/* its size */

	/* handover.c */
	uint64_t paused_at;
	uint64_t paused_bytes;
	bool paused;
	bool gone;			/* GO was said, or may have been */
	uint32_t permille;

	/* live.c's last opinion, for progress */
	struct kvmx_migrate_progress progress;
	uint64_t last_progress;
};

/* tx.c: pages to chunks */
int tx_page(struct sender *s, uint64_t idx);
int tx_zero(struct sender *s, uint64_t idx, uint64_t npages);
int tx_flush(struct sender *s);
/* Copy a page; its mask. */
uint64_t tx_page_copy(struct sender *s, uint64_t idx, void *to);
uint32_t tx_page_cost(const struct sender *s, uint64_t mask);

/* candidates.c: pages that devices may have written, in a harvest */
void candidates_begin(struct sender *s);
void candidates_take(struct sender *s, uint64_t idx, uint64_t npages);
void candidates_end(struct sender *s);
/* How many of them will have changed by the pause, and how long looking at all of them takes. */
double candidates_pages(const struct sender *s);
uint64_t candidates_ns(const struct sender *s);

/* harvest.c: take the dirty pages into s->pages; the first time with absent pages */
int harvest_all(struct sender *s);

/* measure.c */
void measure_begin(struct sender *s);
void measure_link(struct sender *s, uint64_t now);
uint64_t measure_bandwidth(const struct sender *s);
void measure_pending(struct sender *s, uint32_t samples);
void measure_probe(struct sender *s, uint64_t idx);
void measure_probes(struct sender *s);
int measure_ping(struct sender *s, uint64_t now);
/* Follow what is queued on the way: to be called after something was sent. */
void measure_queue(struct sender *s, uint64_t now);
/* Predicted pause for @pages of the pending kind, if it began now. */
uint64_t measure_pause(const struct sender *s, double pages);
/* Of it, what does not depend on pages. */
uint64_t measure_fixed(const struct sender *s);
/* What is left of it once the guest is stopped and harvested. */
uint64_t measure_rest(const struct sender *s, double pages);
/* A pause has shown what stopping the guest takes. */
void measure_stop(struct sender *s, uint64_t stop_ns, uint64_t state_bytes);

/* handover.c: 0: done; -EAGAIN: the pause was taken back; else failed */
int handover(struct sender *s, bool forced, uint64_t predicted);
int sender_resume(struct sender *s);

/* sender.c */
int sender_progress(struct sender *s, uint32_t phase);
int sender_start_tracker(struct sender *s);
/* The guest cannot be migrated within the policy. */
int sender_give_up(struct sender *s, const char *why);

int live_run(struct sender *s);
int plain_run(struct sender *s);

#endif /* _LIBKVMX_SENDER_H */
