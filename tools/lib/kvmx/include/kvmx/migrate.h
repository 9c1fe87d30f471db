/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * libkvmx: live migration of a guest. The library owns the loop and the stream; a VMM gives it
 * its memory regions and a handful of callbacks.
 *
 * DOC: Who has the guest
 *
 * The guest runs at the source until the destination has received and checked everything and has
 * said READY. The source then says GO, which is the moment the guest changes hands:
 *
 * - before GO every failure, of whichever side, leaves the guest at the source, running;
 * - after GO the source never runs it again, and the destination runs it only after GO;
 * - GO is one small record. Was no byte of it taken by the socket, then it was not said, and the
 *   guest resumes at the source. Was it taken in part, or taken whole and the destination's answer
 *   RUNNING did not come, nobody at the source can know whether the destination runs: the outcome
 *   is KVMX_MIGRATE_UNKNOWN and the guest stays paused, for a person to decide.
 *
 * A file has no one at the other end: there is no READY, GO or RUNNING. Its checksums are checked
 * when it is loaded.
 */
#ifndef _KVMX_MIGRATE_H
#define _KVMX_MIGRATE_H

#include <stddef.h>
#include <stdint.h>
#include <kvmx/kvmx.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define KVMX_MIGRATE_PAGE_SIZE	4096
#define KVMX_MIGRATE_REASON_LEN	192

/**
 * struct kvmx_region - a piece of guest memory
 * @gfn: first guest frame
 * @npages: pages of 4096 bytes
 * @hva: where it is mapped here
 * @as: KVM's address space: 0, or 1 for SMM
 * @__reserved: must be 0
 *
 * Regions do not overlap within an address space. Memory that is mapped twice (say, in both
 * address spaces) is listed under every gfn under which a memslot shows it.
 */
struct kvmx_region {
	uint64_t gfn;
	uint64_t npages;
	void *hva;
	uint32_t as;
	uint32_t __reserved;
};

/**
 * enum kvmx_migrate_phase - where a migration is
 * @KVMX_PHASE_CONNECT: the two sides agree on the memory layout
 * @KVMX_PHASE_SAMPLE: the dirty curve is measured, nothing has been sent
 * @KVMX_PHASE_FIRST: less was sent than the guest has
 * @KVMX_PHASE_REPEAT: pages written meanwhile are being sent again
 * @KVMX_PHASE_PAUSED: the guest is paused and the rest is being sent
 * @KVMX_PHASE_READY: all is sent, the destination checks it
 * @KVMX_PHASE_DONE: the migration is over; see the report
 */
enum kvmx_migrate_phase {
	KVMX_PHASE_CONNECT,
	KVMX_PHASE_SAMPLE,
	KVMX_PHASE_FIRST,
	KVMX_PHASE_REPEAT,
	KVMX_PHASE_PAUSED,
	KVMX_PHASE_READY,
	KVMX_PHASE_DONE,
};

/**
 * enum kvmx_migrate_outcome - who has the guest
 * @KVMX_MIGRATE_FAILED: source: the guest runs here (or never stopped); destination: there is none
 * @KVMX_MIGRATE_DONE: source: the guest runs at the destination, or is in the file, and is paused
 *	here; destination: the guest runs here
 * @KVMX_MIGRATE_UNKNOWN: source only: GO was said and not answered. The guest is paused here and
 *	must not be resumed unless it is certain that the destination does not run it
 */
enum kvmx_migrate_outcome {
	KVMX_MIGRATE_FAILED,
	KVMX_MIGRATE_DONE,
	KVMX_MIGRATE_UNKNOWN,
};

/**
 * enum kvmx_migrate_mode - how the source goes about it
 * @KVMX_MODE_LIVE: in time slices, coldest pages first, the hot set last; no content twice
 * @KVMX_MODE_PLAIN: classic pre-copy: rounds over all dirty pages until the rest, at a constant
 *	rate, fits into the allowed pause. To compare with
 * @KVMX_MODE_OFFLINE: pause, send everything; the allowed pause does not matter
 */
enum kvmx_migrate_mode {
	KVMX_MODE_LIVE,
	KVMX_MODE_PLAIN,
	KVMX_MODE_OFFLINE,
};

/* what the source may do when the guest writes faster than the link carries */
#define KVMX_POLICY_THROTTLE	0x01	/* slow the vCPUs down, to min_permille at least */
#define KVMX_POLICY_OFFLINE	0x02	/* if nothing else helps: pause and send the rest */
/* others */
#define KVMX_POLICY_NO_CONTENT	0x04	/* no content table: send all dirty pages, changed or not */
#define KVMX_POLICY_NO_SAMPLE	0x08	/* do not measure the dirty curve beforehand */
#define KVMX_POLICY_PARTIAL	0x10	/* memslots outside of the regions are not migrated */

/**
 * struct kvmx_migrate_policy - what a source may and may not do
 * @mode: enum kvmx_migrate_mode
 * @flags: KVMX_POLICY_*. Without THROTTLE and OFFLINE a guest that cannot be migrated live within
 *	@allowed_ns stays where it is: -ECANCELED
 * @allowed_ns: longest pause that is allowed
 * @bandwidth: most bytes per second to send, also during the pause; 0: as many as the link takes
 * @max_time_ns: when to stop trying, and do what @flags allow; 0: never
 * @peer_timeout_ns: a destination that neither takes bytes nor answers for so long is dead
 * @fixed_ns: what a pause costs besides pages as far as the VMM knows: pausing, saving and loading
 *	device state; 0: it does not know, and it is guessed from how fast this host is. Replaced by
 *	what was measured if a pause had to be taken back
 * @sample_ns: how long to measure the dirty curve beforehand
 * @slice_ns: time between two harvests
 * @min_permille: the slowest the vCPUs may be made to run, 1 to 1000
 * @max_aborts: how many pauses may be taken back because more was left to send than predicted,
 *	before that counts as a guest that cannot be migrated live; 0: none is taken back
 *
 * Start from kvmx_migrate_policy_init().
 */
struct kvmx_migrate_policy {
	uint32_t mode;
	uint32_t flags;
	uint64_t allowed_ns;
	uint64_t bandwidth;
	uint64_t max_time_ns;
	uint64_t peer_timeout_ns;
	uint64_t fixed_ns;
	uint64_t sample_ns;
	uint64_t slice_ns;
	uint32_t min_permille;
	uint32_t max_aborts;
};

/**
 * struct kvmx_migrate_progress - how far a migration is
 * @phase: enum kvmx_migrate_phase
 * @verdict: KVMX_VERDICT_*, or 0 as long as nothing is known
 * @slices: harvests so far (KVMX_MODE_PLAIN: rounds)
 * @vcpu_permille: speed of the vCPUs, 1000 unless throttled
 * @needed_permille: the speed that the verdict THROTTLE asks for, else 1000
 * @aborts: pauses taken back
 * @elapsed_ns: since kvmx_migrate_send() was called
 * @bytes: sent so far
 * @bandwidth: bytes per second the link carries, 0 as long as it is not known
 * @dirty_rate: pages per second written anew
 * @total_pages: pages of the guest
 * @pending_pages: pages that are known to differ or were never sent
 * @pause_ns: pause if the migration were to end as predicted, KVMX_PREDICT_NEVER for no bound,
 *	0 as long as nothing is known
 * @total_ns: time from now to its end, likewise
 * @offline_ns: pause if the guest were paused right now and the rest sent
 */
struct kvmx_migrate_progress {
	uint32_t phase;
	uint32_t verdict;
	uint32_t slices;
	uint32_t vcpu_permille;
	uint32_t needed_permille;
	uint32_t aborts;
	uint64_t elapsed_ns;
	uint64_t bytes;
	uint64_t bandwidth;
	uint64_t dirty_rate;
	uint64_t total_pages;
	uint64_t pending_pages;
	uint64_t pause_ns;
	uint64_t total_ns;
	uint64_t offline_ns;
};

/**
 * struct kvmx_migrate_report - how a migration went
 * @error: 0 or a negative errno value, what the function returned
 * @outcome: enum kvmx_migrate_outcome
 * @reason: why it failed, for people; empty on success
 * @first_verdict: the first verdict there was, KVMX_VERDICT_* or 0
 * @verdict: the last one
 * @first_pause_ns: pause predicted along with @first_verdict
 * @first_verdict_ns: when @first_verdict came, since the start
 * @slices: harvests (KVMX_MODE_PLAIN: rounds)
 * @aborts: pauses taken back
 * @vcpu_permille: lowest speed the vCPUs were made to run at
 * @offline: 1 if the guest was paused without regard to the allowed pause
 * @total_ns: time from the start to the end
 * @pause_ns: source: from calling pause() until the destination said that the guest runs
 * @predicted_ns: source: that pause as it was predicted when it was decided on
 * @state_ns: source: of it, pausing and saving device state; destination: loading it
 * @aborted_ns: time the guest was paused in pauses taken back
 * @bandwidth: bytes per second the link carried
 * @bytes: sent or received in all
 * @pause_bytes: of them, while the guest was paused
 * @total_pages: pages of the guest
 * @data_pages: pages sent or received with data, each time counted
 * @zero_pages: pages sent or received as zeroes, each time counted
 * @same_pages: source: dirty pages not sent because their content had not changed
 * @absent_pages: source: pages that needed no look because they were never populated
 * @final_pages: source: pages that were pending when the guest was paused
 * @ignored_pages: source: dirty pages outside of the regions (KVMX_POLICY_PARTIAL)
 * @dma_pages: source: pages that devices can write to, all compared with what was sent in the
 *	pause; 0 if content is not compared: then they count as dirty
 * @table_bytes: memory the library used per page of guest memory, in all
 * @state_bytes: size of the device state
 */
struct kvmx_migrate_report {
	int error;
	uint32_t outcome;
	char reason[KVMX_MIGRATE_REASON_LEN];
	uint32_t first_verdict;
	uint32_t verdict;
	uint64_t first_pause_ns;
	uint64_t first_verdict_ns;
	uint32_t slices;
	uint32_t aborts;
	uint32_t vcpu_permille;
	uint32_t offline;
	uint64_t total_ns;
	uint64_t pause_ns;
	uint64_t predicted_ns;
	uint64_t state_ns;
	uint64_t aborted_ns;
	uint64_t bandwidth;
	uint64_t bytes;
	uint64_t pause_bytes;
	uint64_t total_pages;
	uint64_t data_pages;
	uint64_t zero_pages;
	uint64_t same_pages;
	uint64_t absent_pages;
	uint64_t final_pages;
	uint64_t ignored_pages;
	uint64_t dma_pages;
	uint64_t table_bytes;
	uint64_t state_bytes;
};

/**
 * struct kvmx_migrate_source_ops - what a VMM does for the source side
 * @pause: stop all vCPUs and all back ends; when it returns 0 nobody writes guest memory (what
 *	back ends wrote has been MARKed)
 * @resume: the reverse; called after @pause whenever the guest stays here. An error is reported,
 *	but nothing can be done about it
 * @save_state: called while paused: set *data to a malloc(3)ed buffer of *len bytes with all
 *	device and vCPU state. It may still write guest memory if it MARKs that
 * @throttle: optional: make the vCPUs run at @permille of their speed; 1000: at full speed
 * @progress: optional: called a few times per second and at every change of phase; a return value
 *	other than 0 cancels the migration. Nothing is sent while it runs: be quick
 * @released: optional: the destination runs the guest, it is not ours any more. Not called for a
 *	file
 *
 * All are called from the thread that called kvmx_migrate_send(), with the opaque pointer of
 * struct kvmx_migrate_source. Those that return int return 0 or a negative errno value.
 */
struct kvmx_migrate_source_ops {
	int (*pause)(void *opaque);
	int (*resume)(void *opaque);
	int (*save_state)(void *opaque, void **data, size_t *len);
	int (*throttle)(void *opaque, uint32_t permille);
	int (*progress)(void *opaque, const struct kvmx_migrate_progress *progress);
	void (*released)(void *opaque);
};

/**
 * struct kvmx_migrate_source - a guest to be sent
 * @ops: what the VMM does
 * @opaque: passed to every op
 * @regions: all of its memory
 * @nr_regions: entries in @regions
 * @vm_fd: a kvmx VM fd; not used for KVMX_MODE_OFFLINE
 * @fd: where to: a connected stream socket, or a file or pipe to save the guest into
 */
struct kvmx_migrate_source {
	const struct kvmx_migrate_source_ops *ops;
	void *opaque;
	const struct kvmx_region *regions;
	uint32_t nr_regions;
	int vm_fd;
	int fd;
};

/**
 * struct kvmx_migrate_dest_ops - what a VMM does for the destination side
 * @load_state: all memory is here and checked: load the device state. The data is what the
 *	source's save_state gave and is gone when this returns. May write guest memory
 * @run: GO came: run the guest. It must not fail for reasons that can be found out in @load_state
 * @progress: optional: as in struct kvmx_migrate_source_ops
 * @discard: optional: the migration failed; what @load_state did is to be undone, the guest's
 *	memory holds rubbish. Called if and only if the guest does not run in the end
 */
struct kvmx_migrate_dest_ops {
	int (*load_state)(void *opaque, const void *data, size_t len);
	int (*run)(void *opaque);
	int (*progress)(void *opaque, const struct kvmx_migrate_progress *progress);
	void (*discard)(void *opaque);
};

#define KVMX_DEST_ZEROED	0x01	/* the regions read as zeroes: never touched so far */

/**
 * struct kvmx_migrate_dest - where a guest is to be received
 * @ops: what the VMM does
 * @opaque: passed to every op
 * @regions: all of its memory; the source's must have the same gfn, npages and as, in any order
 * @nr_regions: entries in @regions
 * @flags: KVMX_DEST_*
 * @fd: where from: a connected stream socket, or a file or pipe to load the guest from
 * @max_state: largest device state to accept, in bytes; 0: 64 MiB
 * @peer_timeout_ns: a source that says nothing for so long is dead; 0: 30 s
 */
struct kvmx_migrate_dest {
	const struct kvmx_migrate_dest_ops *ops;
	void *opaque;
	const struct kvmx_region *regions;
	uint32_t nr_regions;
	uint32_t flags;
	int fd;
	uint64_t max_state;
	uint64_t peer_timeout_ns;
};

/**
 * kvmx_migrate_policy_init() - fill in a policy that suits most guests
 * @policy: filled in: live, 300 ms allowed, no bandwidth limit, no time limit, neither throttle
 *	nor offline, 10 s until the peer is dead
 */
void kvmx_migrate_policy_init(struct kvmx_migrate_policy *policy);

/**
 * kvmx_migrate_send() - send a guest to another VMM or into a file
 * @source: the guest
 * @policy: what may be done to it
 * @report: NULL, or filled in, also on failure
 *
 * Must be called by a thread of the process that created the VM, while the guest runs (or is
 * paused by somebody else, for whom @source's pause and resume ops must then do nothing). Blocks
 * until the migration is over, never for longer than the policy's timeouts allow. Does not close
 * @source's fd, but shuts a socket down if the migration failed.
 *
 * Return: 0: the guest is paused here and runs there, or is in the file, completely and synced;
 * the caller may also resume it after saving it into a file. Negative errno value: the report's
 * outcome says who has the guest, its reason why: -ECANCELED if it could not be done within the
 * policy or if progress() asked for it, -ETIMEDOUT for a dead peer, -EPROTO for one that does not
 * speak the protocol, -EREMOTEIO if it refused, -ECONNRESET or -EPIPE if it went away, -EREMCHG
 * if the outcome is unknown, and whatever the ops and ioctls give.
 */
int kvmx_migrate_send(const struct kvmx_migrate_source *source,
		      const struct kvmx_migrate_policy *policy,
		      struct kvmx_migrate_report *report);

/**
 * kvmx_migrate_receive() - receive a guest from another VMM or from a file
 * @dest: where to
 * @report: NULL, or filled in, also on failure
 *
 * The stream is not trusted: whatever it holds, nothing outside of @dest's regions is written and
 * no more memory is used than for one chunk and the device state. Does not close @dest's fd.
 *
 * Return: 0: the guest runs here. Negative errno value: it does not, and the report's reason says
 * why: -EPROTO or -EBADMSG for a bad stream, -ECONNRESET for one that ended too early, -ETIMEDOUT
 * for a dead peer, and whatever the ops give. If run() failed the guest is nowhere: the source
 * has given it up.
 */
int kvmx_migrate_receive(const struct kvmx_migrate_dest *dest, struct kvmx_migrate_report *report);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* _KVMX_MIGRATE_H */
