/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * kvmx: services for KVM hosts. See Documentation/kvmx.rst.
 */
#ifndef _UAPI_LINUX_KVMX_H
#define _UAPI_LINUX_KVMX_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: General rules
 *
 * There are three kinds of file descriptors: the system (/dev/kvmx), a VM (KVMX_VM_OPEN) and a
 * tracker (KVMX_TRACKER_CREATE). Closing one undoes what it stood for.
 *
 * Every argument struct starts with __u32 size, set by the caller to the size it was compiled
 * with, and __u32 flags. A shorter struct than the first version's is refused; a longer one is
 * accepted if all bytes that this kernel does not know are zero. The ioctl number never changes.
 *
 * All gfn and page counts are in units of 4096 bytes, all times in nanoseconds of CLOCK_MONOTONIC,
 * all rates in bytes per second. "Address space" is KVM's (0, or 1 for SMM).
 *
 * Of what comes out, a later kvmx may use bits of a status, a state or slot flags that are unused
 * now: ignore what you do not know. A page class, a verdict or an errno that is not documented here
 * only comes to a caller that has asked for it by a flag that is not documented here.
 *
 * Errors common to all ioctls:
 *
 * ========== ===================================================================================
 * EINVAL     size below the first version's; a value out of its documented range
 * E2BIG      size above PAGE_SIZE, or an unknown tail of the struct is not zero
 * EOPNOTSUPP an unknown flag, or a reserved field that is not zero: a later kvmx may know it;
 *            or a service that this kernel or this VM cannot give
 * EFAULT     a pointer cannot be read or written; nothing has changed, but see MARK and RESTORE
 * ENODEV     the VM is dead: its address space is gone
 * EXDEV      the call must be made by a thread of the process that created the VM
 * EINTR      a fatal signal came while waiting
 * ENOTTY     the number is not an ioctl of this kind of file descriptor
 * ENOMEM     no memory; nothing has changed
 * EIO        KVM has given the VM up (a bug in KVM, or a VM that it has marked dead)
 * ========== ===================================================================================
 */

#define KVMX_TYPE		0xBC

/* on the system fd */
#define KVMX_INFO		_IO(KVMX_TYPE, 0x00)
#define KVMX_FEATURE		_IO(KVMX_TYPE, 0x01)
#define KVMX_VM_OPEN		_IO(KVMX_TYPE, 0x02)
/* on the system fd, a VM fd or a tracker fd */
#define KVMX_PREDICT		_IO(KVMX_TYPE, 0x03)
/* on the system fd */
#define KVMX_LEASE_ACQUIRE	_IO(KVMX_TYPE, 0x40)
#define KVMX_LEASE_RELEASE	_IO(KVMX_TYPE, 0x41)
#define KVMX_LEASE_LIST		_IO(KVMX_TYPE, 0x42)
#define KVMX_DEV_REPORT		_IO(KVMX_TYPE, 0x43)
/* on a VM fd */
#define KVMX_VM_INFO		_IO(KVMX_TYPE, 0x10)
#define KVMX_VM_SLOTS		_IO(KVMX_TYPE, 0x11)
#define KVMX_VM_MARK		_IO(KVMX_TYPE, 0x12)
#define KVMX_VM_SAMPLE		_IO(KVMX_TYPE, 0x13)
#define KVMX_VM_STATS		_IO(KVMX_TYPE, 0x14)
#define KVMX_TRACKER_CREATE	_IO(KVMX_TYPE, 0x15)
#define KVMX_DMA_DECLARE	_IO(KVMX_TYPE, 0x48)
#define KVMX_DMA_WITHDRAW	_IO(KVMX_TYPE, 0x49)
#define KVMX_VM_QUIESCE		_IO(KVMX_TYPE, 0x4a)
#define KVMX_VM_RESUME		_IO(KVMX_TYPE, 0x4b)
#define KVMX_VM_DEVICES		_IO(KVMX_TYPE, 0x4c)
/* on a tracker fd */
#define KVMX_HARVEST		_IO(KVMX_TYPE, 0x20)
#define KVMX_RESTORE		_IO(KVMX_TYPE, 0x21)
#define KVMX_TRACKER_STATS	_IO(KVMX_TYPE, 0x22)
#define KVMX_TRACKER_CURVE	_IO(KVMX_TYPE, 0x23)
/* on the system fd, with CAP_SYS_ADMIN */
#define KVMX_KSM_HOST_SET	_IO(KVMX_TYPE, 0x30)
#define KVMX_KSM_HOST_GET	_IO(KVMX_TYPE, 0x31)
#define KVMX_KSM_PLAN		_IO(KVMX_TYPE, 0x32)
/* on a VM fd */
#define KVMX_VM_KSM_SET		_IO(KVMX_TYPE, 0x38)
#define KVMX_VM_KSM_GET		_IO(KVMX_TYPE, 0x39)
#define KVMX_VM_KSM_PIN		_IO(KVMX_TYPE, 0x3a)

#define KVMX_UUID_LEN		16
#define KVMX_LABEL_LEN		32	/* with the terminating NUL */
#define KVMX_MAX_RUNS		65536	/* in one HARVEST, RESTORE or MARK */
#define KVMX_MAX_TRACKERS	8	/* of one VM */
#define KVMX_MAX_SAMPLES	65536
#define KVMX_MAX_POINTS		32	/* of a dirty curve */
#define KVMX_MAX_SAMPLE_NS	10000000000ULL
#define KVMX_MAX_DMA_RANGES	4096	/* of one VM */
#define KVMX_MAX_LEASED		4096	/* devices in leases, on this host */
#define KVMX_DRIVER_LEN		32	/* with the terminating NUL */

/* struct kvmx_info.features, and the numbers KVMX_FEATURE takes are these bits' positions */
#define KVMX_FEAT_TRACKER	0	/* value: KVMX_MAX_TRACKERS */
#define KVMX_FEAT_BITMAP	1	/* value: 1 */
#define KVMX_FEAT_RING		2	/* value: KVM's largest ring in bytes */
#define KVMX_FEAT_ABSENT	3	/* value: 1 */
#define KVMX_FEAT_SAMPLE	4	/* value: KVMX_MAX_SAMPLES */
#define KVMX_FEAT_PREDICT	5	/* value: KVMX_MAX_POINTS */
#define KVMX_FEAT_EVENT		6	/* value: sizeof(struct kvmx_event) */
#define KVMX_FEAT_KSM		7	/* value: 1; 0 if this kernel has no KSM */
#define KVMX_FEAT_DMA		8	/* value: KVMX_MAX_DMA_RANGES */
#define KVMX_FEAT_DEVICE	9	/* value: 1 while kvmx_vfio_pci.ko is loaded */
#define KVMX_FEAT_NR		10	/* not ABI, as the limits above: ask INFO */

/**
 * struct kvmx_info - KVMX_INFO: what this kvmx can do
 * @size: sizeof(struct kvmx_info)
 * @flags: must be 0
 * @features: out: a bit for each KVMX_FEAT_* that this kvmx offers on this host
 * @max_runs: out: most runs in one HARVEST, RESTORE or MARK
 * @max_trackers: out: most trackers of one VM at a time
 * @max_samples: out: most pages that one VM_SAMPLE can watch
 * @max_points: out: most points of a dirty curve
 */
struct kvmx_info {
	__u32 size;
	__u32 flags;
	__aligned_u64 features;
	__u32 max_runs;
	__u32 max_trackers;
	__u32 max_samples;
	__u32 max_points;
};

/**
 * struct kvmx_feature - KVMX_FEATURE: ask about one feature
 * @size: sizeof(struct kvmx_feature)
 * @flags: must be 0
 * @feature: KVMX_FEAT_*
 * @__reserved: must be 0
 * @value: out: 0 if this host does not offer it, else the value documented beside the number
 *
 * Errors: EINVAL if @feature is no number that this kvmx knows.
 */
struct kvmx_feature {
	__u32 size;
	__u32 flags;
	__u32 feature;
	__u32 __reserved;
	__aligned_u64 value;
};

/**
 * struct kvmx_vm_open - KVMX_VM_OPEN: a handle on a VM; returns a VM fd (O_CLOEXEC)
 * @size: sizeof(struct kvmx_vm_open)
 * @flags: must be 0
 * @vm_fd: file descriptor of the VM, as KVM_CREATE_VM gave it
 * @__reserved: must be 0
 * @uuid: UUID of the VM, or all zero for "leave it as it is"
 * @label: name for people, NUL-terminated, printable ASCII, or empty for "leave it as it is"
 *
 * However many handles there are, they stand for one object per VM. Any process that holds the
 * VM's fd may open it. UUID and label are given once, by a thread of the process that created
 * the VM or by a caller with CAP_SYS_ADMIN.
 *
 * A handle keeps the VM alive as a duplicate of the VM's fd would, but not longer than the address
 * space it was made in: when that goes, the handle is dead, poll(2) says POLLHUP, and every ioctl
 * but VM_STATS gives ENODEV.
 *
 * Errors: EBADF if @vm_fd is not open, EINVAL if it is not a KVM VM or @label is not terminated
 * or not printable, EPERM to give UUID or label without the right to, EEXIST if another UUID or
 * label was given before, EMFILE.
 */
struct kvmx_vm_open {
	__u32 size;
	__u32 flags;
	__s32 vm_fd;
	__u32 __reserved;
	__u8 uuid[KVMX_UUID_LEN];
	char label[KVMX_LABEL_LEN];
};

#define KVMX_VM_LOGGING		(1U << 0)	/* kvmx has switched dirty logging on */
#define KVMX_VM_LOGGED_BY_VMM	(1U << 1)	/* the VMM itself logs at least one memslot */
#define KVMX_VM_RING		(1U << 2)	/* the VMM has enabled the dirty ring */
#define KVMX_VM_SAMPLING	(1U << 3)	/* a VM_SAMPLE is under way */
#define KVMX_VM_QUIESCED	(1U << 4)	/* a VM_QUIESCE is in force */

/**
 * struct kvmx_vm_info - KVMX_VM_INFO: what a VM is and what happens to it
 * @size: sizeof(struct kvmx_vm_info)
 * @flags: must be 0
 * @uuid: out: as given, or all zero
 * @label: out: as given, or empty
 * @state: out: KVMX_VM_* bits
 * @nr_slots: out: memslots of user space, over all address spaces
 * @nr_pages: out: pages in them
 * @nr_vcpus: out: vCPUs created
 * @nr_trackers: out: trackers open
 * @nr_handles: out: VM fds open
 * @ring_bytes: out: size of each vCPU's dirty ring in bytes, 0 without
 * @generation: out: differs once a memslot was added, removed or moved, or its flags changed, and
 *	also while that is under way; its value means nothing else
 */
struct kvmx_vm_info {
	__u32 size;
	__u32 flags;
	__u8 uuid[KVMX_UUID_LEN];
	char label[KVMX_LABEL_LEN];
	__u32 state;
	__u32 nr_slots;
	__aligned_u64 nr_pages;
	__u32 nr_vcpus;
	__u32 nr_trackers;
	__u32 nr_handles;
	__u32 ring_bytes;
	__aligned_u64 generation;
};

#define KVMX_SLOT_READONLY	(1U << 0)	/* the guest cannot write, only MARK tells */
#define KVMX_SLOT_LOGGED	(1U << 1)	/* KVM logs it now */
#define KVMX_SLOT_UNLOGGABLE	(1U << 2)	/* the guest can write and KVM cannot log it */

/**
 * struct kvmx_slot - a memslot
 * @gfn: first guest frame
 * @npages: pages
 * @hva: where the VMM has mapped it, an address in the VMM's address space
 * @slot: KVM's number: address space << 16 | id
 * @flags: KVMX_SLOT_*
 */
struct kvmx_slot {
	__aligned_u64 gfn;
	__aligned_u64 npages;
	__aligned_u64 hva;
	__u32 slot;
	__u32 flags;
};

/**
 * struct kvmx_vm_slots - KVMX_VM_SLOTS: list the memslots by address space and gfn
 * @size: sizeof(struct kvmx_vm_slots)
 * @flags: must be 0
 * @slots: user pointer to an array of struct kvmx_slot
 * @nr_slots: in: room in @slots; out: how many memslots there are
 * @slot_size: sizeof(struct kvmx_slot)
 *
 * Slots that KVM itself made for its own use are not listed.
 *
 * Errors: ENOSPC if @nr_slots was too small: it is updated, the array is not touched.
 */
struct kvmx_vm_slots {
	__u32 size;
	__u32 flags;
	__aligned_u64 slots;
	__u32 nr_slots;
	__u32 slot_size;
};

/* struct kvmx_run.page_class */
#define KVMX_CLASS_NORMAL	0	/* read the pages and send them */
#define KVMX_CLASS_ABSENT	1	/* never populated or the zero page: they read as zeroes */
#define KVMX_CLASS_READONLY	2	/* as NORMAL, in a read-only memslot */
#define KVMX_CLASS_UNLOGGED	3	/* as NORMAL, in a memslot KVM cannot log: maybe written */
#define KVMX_CLASS_DMA		4	/* as NORMAL, in a DMA range: maybe written by a device */

/**
 * struct kvmx_run - consecutive pages of one memslot
 * @gfn: first guest frame
 * @npages: pages, at least 1
 * @slot: KVM's number: address space << 16 | id. RESTORE and MARK use the address space only
 * @page_class: KVMX_CLASS_*; RESTORE and MARK ignore it
 * @__reserved: out: 0; RESTORE and MARK want 0
 */
struct kvmx_run {
	__aligned_u64 gfn;
	__u32 npages;
	__u32 slot;
	__u32 page_class;
	__u32 __reserved;
};

/**
 * struct kvmx_vm_mark - KVMX_VM_MARK: the VMM has written to guest memory
 * @size: sizeof(struct kvmx_vm_mark)
 * @flags: must be 0
 * @runs: user pointer to an array of struct kvmx_run
 * @nr_runs: entries in @runs, 1 to KVMX_MAX_RUNS
 * @run_size: sizeof(struct kvmx_run)
 * @dropped: out: pages that lie in no memslot, and were ignored
 *
 * Makes the pages dirty for every tracker. Call it after the write. Without a tracker it is
 * checked and does nothing, and @dropped is 0. May be called by any process.
 *
 * Errors: EINVAL if a run is empty or wraps: then no page was marked. EFAULT if the struct cannot
 * be written back: the pages are marked.
 */
struct kvmx_vm_mark {
	__u32 size;
	__u32 flags;
	__aligned_u64 runs;
	__u32 nr_runs;
	__u32 run_size;
	__aligned_u64 dropped;
};

/**
 * struct kvmx_point - a point of a dirty curve
 * @time_ns: length of an interval
 * @pages: different pages written in it
 */
struct kvmx_point {
	__aligned_u64 time_ns;
	__aligned_u64 pages;
};

/**
 * struct kvmx_vm_sample - KVMX_VM_SAMPLE: measure the dirty curve without logging all memory
 * @size: sizeof(struct kvmx_vm_sample)
 * @flags: must be 0
 * @nr_samples: pages to watch, 1 to KVMX_MAX_SAMPLES; out: pages watched, fewer in a small VM
 * @nr_points: in: intervals to look at, 1 to KVMX_MAX_POINTS; out: points written
 * @duration_ns: the longest interval, 1000000 to KVMX_MAX_SAMPLE_NS. Each earlier one is half the
 *	next, but at least 1 ms
 * @points: user pointer to an array of struct kvmx_point, shortest interval first
 * @point_size: sizeof(struct kvmx_point)
 * @__reserved: must be 0
 * @total_pages: out: pages in the memslots that were sampled
 * @err_permille: out: standard error of the worst point, in 1/1000 of @total_pages
 *
 * Switches dirty logging on with all pages marked dirty, unmarks @nr_samples random ones, looks
 * at their marks after each interval, and switches logging off. Blocks for @duration_ns. The
 * curve is kept for KVMX_PREDICT on this VM. The guest takes a write fault for each page that is
 * watched and, where KVM has mapped it by a huge page, one for having that split.
 *
 * The standard error of a fraction F estimated from K independent samples is sqrt(F(1-F)/K).
 *
 * Errors: EXDEV; EBUSY if a tracker or another VM_SAMPLE is active, or if the VMM itself logs;
 * EAGAIN if a memslot changed under it; EOPNOTSUPP if the VMM has enabled the dirty ring; ENODATA
 * if there is no memory to sample.
 */
struct kvmx_vm_sample {
	__u32 size;
	__u32 flags;
	__u32 nr_samples;
	__u32 nr_points;
	__aligned_u64 duration_ns;
	__aligned_u64 points;
	__u32 point_size;
	__u32 __reserved;
	__aligned_u64 total_pages;
	__aligned_u64 err_permille;
};

/**
 * struct kvmx_vm_stats - KVMX_VM_STATS: counters of a VM object since it was first opened
 * @size: sizeof(struct kvmx_vm_stats)
 * @flags: must be 0
 * @harvests: out: HARVEST calls that succeeded, PEEK not counted
 * @collected_pages: out: dirty bits taken out of KVM's log or rings
 * @clear_calls: out: KVM_CLEAR_DIRTY_LOG and KVM_RESET_DIRTY_RINGS issued
 * @marked_pages: out: pages of KVMX_VM_MARK
 * @slot_changes: out: memslots found new, moved, resized or gone under a tracker
 * @log_disturbed: out: times a memslot's logging was found switched off by somebody else
 * @samples: out: VM_SAMPLE calls that succeeded
 * @predictions: out: PREDICT calls that succeeded on this VM or its trackers
 * @bytes: out: kernel memory held for this VM and its trackers now
 * @events_lost: out: events this fd did not read in time
 *
 * Works on a dead VM, too.
 */
struct kvmx_vm_stats {
	__u32 size;
	__u32 flags;
	__aligned_u64 harvests;
	__aligned_u64 collected_pages;
	__aligned_u64 clear_calls;
	__aligned_u64 marked_pages;
	__aligned_u64 slot_changes;
	__aligned_u64 log_disturbed;
	__aligned_u64 samples;
	__aligned_u64 predictions;
	__aligned_u64 bytes;
	__aligned_u64 events_lost;
};

#define KVMX_TRACKER_CLEAN	(1U << 0)
#define KVMX_TRACKER_MIGRATION	(1U << 1)

/**
 * struct kvmx_tracker_create - KVMX_TRACKER_CREATE: a consumer of dirty pages; returns its fd
 * @size: sizeof(struct kvmx_tracker_create)
 * @flags: KVMX_TRACKER_CLEAN: only what is written from now on is dirty. Without it every page
 *	is dirty at first. KVMX_TRACKER_MIGRATION: the VM is being migrated: KSM leaves its memory
 *	alone while the tracker is open
 *
 * The first tracker switches dirty logging on for every memslot that KVM can log, the last one to
 * go switches it off and puts KVM's settings back. Trackers do not see each other: each gets
 * every dirty page.
 *
 * While a tracker is open the VMM must not use KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG,
 * KVM_RESET_DIRTY_RINGS or KVM_MEM_LOG_DIRTY_PAGES itself, and it must serialize its changes of
 * memslots against what changes a memslot's logging: TRACKER_CREATE, HARVEST, VM_SAMPLE and closing
 * the last tracker. It is best not to have another process close that one. The dirty ring should
 * be enabled before the first tracker: if it is enabled under one, everything is dirty once more.
 *
 * Errors: EXDEV; EBUSY if the VMM itself logs a memslot, or a VM_SAMPLE is under way; EAGAIN: a
 * memslot changed during the call, call again; EMFILE; EUSERS if there are KVMX_MAX_TRACKERS.
 */
struct kvmx_tracker_create {
	__u32 size;
	__u32 flags;
};

#define KVMX_HARVEST_PEEK	(1U << 0)
#define KVMX_HARVEST_COLLECT	(1U << 1)
#define KVMX_HARVEST_ABSENT	(1U << 2)

#define KVMX_HARVEST_MORE	(1U << 0)	/* call again with the cursor to go on */
#define KVMX_HARVEST_UNLOGGED	(1U << 1)	/* there are memslots that KVM cannot log */
#define KVMX_HARVEST_SLOTS	(1U << 2)	/* memslots changed since the last pass */

/**
 * struct kvmx_harvest - KVMX_HARVEST: take the dirty pages
 * @size: sizeof(struct kvmx_harvest)
 * @flags: KVMX_HARVEST_PEEK: look only, nothing is taken; any process may. KVMX_HARVEST_COLLECT:
 *	move dirty bits from KVM into the trackers only: what a VMM does on
 *	KVM_EXIT_DIRTY_RING_FULL; @nr_runs and @cursor must be 0. KVMX_HARVEST_ABSENT: find out
 *	which pages are absent, by a walk of the VMM's page tables (private anonymous memory)
 * @runs: user pointer to an array of struct kvmx_run
 * @nr_runs: in: room in @runs, 1 to KVMX_MAX_RUNS; out: runs written
 * @run_size: sizeof(struct kvmx_run)
 * @cursor: in: 0 to begin a pass, or what the call before gave; out: where to go on, 0 at the
 *	end of a pass
 * @max_pages: stop after about this many pages (a run is not cut short of 64), 0 for no limit
 * @nr_pages: out: pages in the runs
 * @status: out: KVMX_HARVEST_MORE, _UNLOGGED, _SLOTS
 * @__reserved: must be 0
 *
 * Runs come by address space and gfn, over all memslots. What was returned is taken: read the
 * page *after* the call, and a write in between is seen by the next pass. A pass with a cursor
 * may be given up at any time: what was not returned stays dirty.
 *
 * A run may be returned although its content did not change, never the reverse.
 *
 * Pages in a DMA range (KVMX_DMA_DECLARE) that nobody else has made dirty come with class DMA in
 * every pass that begins while a device may write; see KVMX_VM_QUIESCE for when they no longer
 * come.
 *
 * Errors: EXDEV without PEEK; EAGAIN: a memslot changed or the rings could not be emptied during
 * the call, call again; EFAULT. After an error nothing is taken, even if some runs were written.
 */
struct kvmx_harvest {
	__u32 size;
	__u32 flags;
	__aligned_u64 runs;
	__u32 nr_runs;
	__u32 run_size;
	__aligned_u64 cursor;
	__aligned_u64 max_pages;
	__aligned_u64 nr_pages;
	__u32 status;
	__u32 __reserved;
};

/**
 * struct kvmx_restore - KVMX_RESTORE: give back what a failed send did not deliver
 * @size: sizeof(struct kvmx_restore)
 * @flags: must be 0
 * @runs: user pointer to an array of struct kvmx_run
 * @nr_runs: entries in @runs, 1 to KVMX_MAX_RUNS
 * @run_size: sizeof(struct kvmx_run)
 * @dropped: out: pages that lie in no memslot any more, and were ignored
 *
 * Makes the pages dirty for this tracker alone. May be called by any process.
 *
 * Errors: EINVAL if a run is empty or wraps: then no page was restored. EFAULT if the struct cannot
 * be written back: the pages are restored.
 */
struct kvmx_restore {
	__u32 size;
	__u32 flags;
	__aligned_u64 runs;
	__u32 nr_runs;
	__u32 run_size;
	__aligned_u64 dropped;
};

#define KVMX_BACKEND_BITMAP	1
#define KVMX_BACKEND_RING	2

/**
 * struct kvmx_tracker_stats - KVMX_TRACKER_STATS: counters of a tracker
 * @size: sizeof(struct kvmx_tracker_stats)
 * @flags: must be 0
 * @backend: out: KVMX_BACKEND_*
 * @__reserved: must be 0
 * @passes: out: complete passes of HARVEST
 * @harvested_pages: out: pages returned by HARVEST
 * @absent_pages: out: of these, of class ABSENT
 * @restored_pages: out: pages of RESTORE
 * @pending_pages: out: pages already taken out of KVM's log that this tracker has yet to return
 * @overreported_pages: out: pages made dirty without need, for lack of memory
 * @last_pass_pages: out: pages of the last complete pass
 * @last_interval_ns: out: time between the beginnings of the last two complete passes
 * @bytes: out: kernel memory this tracker holds now
 */
struct kvmx_tracker_stats {
	__u32 size;
	__u32 flags;
	__u32 backend;
	__u32 __reserved;
	__aligned_u64 passes;
	__aligned_u64 harvested_pages;
	__aligned_u64 absent_pages;
	__aligned_u64 restored_pages;
	__aligned_u64 pending_pages;
	__aligned_u64 overreported_pages;
	__aligned_u64 last_pass_pages;
	__aligned_u64 last_interval_ns;
	__aligned_u64 bytes;
};

/**
 * struct kvmx_tracker_curve - KVMX_TRACKER_CURVE: the dirty curve that the harvests have shown
 * @size: sizeof(struct kvmx_tracker_curve)
 * @flags: must be 0
 * @nr_points: in: room in @points, 1 to KVMX_MAX_POINTS; out: points written, at most the room
 * @point_size: sizeof(struct kvmx_point)
 * @points: user pointer to an array of struct kvmx_point, shortest interval first
 * @total_pages: out: pages in the memslots
 *
 * The points form a concave curve that never falls.
 *
 * Errors: ENODATA if fewer than two passes are complete.
 */
struct kvmx_tracker_curve {
	__u32 size;
	__u32 flags;
	__u32 nr_points;
	__u32 point_size;
	__aligned_u64 points;
	__aligned_u64 total_pages;
};

#define KVMX_PREDICT_DEFER	(1U << 0)
#define KVMX_PREDICT_POINTS	(1U << 1)

#define KVMX_VERDICT_CONVERGES	1	/* the pause stays within the allowed one */
#define KVMX_VERDICT_THROTTLE	2	/* it does if the vCPUs run at vcpu_permille */
#define KVMX_VERDICT_OFFLINE	3	/* it does not: only offline, with a pause of offline_ns */

#define KVMX_PREDICT_NEVER	(~0ULL)	/* a time or amount without bound */

/**
 * struct kvmx_predict - KVMX_PREDICT: how a live migration would end
 * @size: sizeof(struct kvmx_predict)
 * @flags: KVMX_PREDICT_DEFER: the sender sends pages that are written all the time last.
 *	KVMX_PREDICT_POINTS: the curve is given in @points. Without it, a VM fd uses the last
 *	KVMX_VM_SAMPLE and a tracker fd what its harvests have shown; the system fd needs it
 * @bandwidth: bytes per second that the link carries, 0 to ~0
 * @allowed_ns: the longest pause that is allowed
 * @fixed_ns: what a pause costs besides pages: device state, the other side's work
 * @page_bytes: bytes on the wire per page, 1 to 65536
 * @min_permille: the slowest the vCPUs may be made to run, 1 to 1000 (1000: not at all)
 * @points: user pointer to an array of struct kvmx_point, in any order
 * @nr_points: entries in @points, 1 to KVMX_MAX_POINTS
 * @point_size: sizeof(struct kvmx_point)
 * @total_pages: in, out: pages of the VM; 0: as the kernel knows it (not on the system fd)
 * @remaining_pages: pages still to be sent before the first round, at most @total_pages; ~0: all
 * @verdict: out: KVMX_VERDICT_*
 * @rounds: out: rounds until the pause; of the throttled guest for THROTTLE, 0 for OFFLINE
 * @bytes: out: bytes on the wire, the pause included
 * @total_ns: out: time to the end of the pause
 * @pause_ns: out: length of the pause, @fixed_ns included; for OFFLINE, the shortest possible
 * @offline_ns: out: length of the pause if all that remains is sent while the guest is paused
 * @vcpu_permille: out: 1000, or the speed at which the vCPUs must run for THROTTLE
 * @__reserved: must be 0
 *
 * Times and amounts that have no bound are KVMX_PREDICT_NEVER.
 *
 * Errors: ENODATA if there is no curve yet; EINVAL also if a point has no time or more pages than
 * @total_pages.
 */
struct kvmx_predict {
	__u32 size;
	__u32 flags;
	__aligned_u64 bandwidth;
	__aligned_u64 allowed_ns;
	__aligned_u64 fixed_ns;
	__u32 page_bytes;
	__u32 min_permille;
	__aligned_u64 points;
	__u32 nr_points;
	__u32 point_size;
	__aligned_u64 total_pages;
	__aligned_u64 remaining_pages;
	__u32 verdict;
	__u32 rounds;
	__aligned_u64 bytes;
	__aligned_u64 total_ns;
	__aligned_u64 pause_ns;
	__aligned_u64 offline_ns;
	__u32 vcpu_permille;
	__u32 __reserved;
};

#define KVMX_KSM_UNSET		0	/* kvmx does nothing: all is as the VMM made it */
#define KVMX_KSM_OFF		1	/* nothing of the VM is merged */
#define KVMX_KSM_AUTO		2	/* merged if that pays */
#define KVMX_KSM_ALWAYS		3	/* merged whatever it costs */

#define KVMX_KSM_MAX_WEIGHT	10000

#define KVMX_VM_KSM_DOMAIN	(1U << 0)
#define KVMX_VM_KSM_KEEP	(1U << 1)

/**
 * struct kvmx_vm_ksm_set - KVMX_VM_KSM_SET: whether KSM may merge the VM's memory
 * @size: sizeof(struct kvmx_vm_ksm_set)
 * @flags: KVMX_VM_KSM_DOMAIN: set @domain as well. KVMX_VM_KSM_KEEP: the setting stays when all VM
 *	fds are closed, until the VM is gone; without it, it goes with the last of them
 * @mode: KVMX_KSM_*
 * @weight: in 1/100, how much a page freed in this VM is worth; 0 for 100, to KVMX_KSM_MAX_WEIGHT
 * @domain: UUID of the trust domain; all zero: the VM is a domain of its own
 *
 * Nothing is merged before the host's policy is on (KVMX_KSM_HOST_SET). With mode OFF the memory is
 * unmerged before the call returns; so it is if @domain changes. With UNSET the memory is made
 * again what the VMM made it, and the setting is forgotten, with its domain. If a signal ends the
 * call early, the work goes on without it.
 *
 * The memory that may merge are the VMM's mappings that a memslot lies in, as a whole.
 *
 * Errors: EPERM without CAP_SYS_ADMIN to set a domain that the VM is not in, ALWAYS for a VM with
 * another mode, or a weight above 100 and above what it has; ENOMEM if there is not enough memory
 * to unmerge: the mode is what it was, though some pages may be unmerged; EOPNOTSUPP also if this
 * kernel has no KSM.
 */
struct kvmx_vm_ksm_set {
	__u32 size;
	__u32 flags;
	__u32 mode;
	__u32 weight;
	__u8 domain[KVMX_UUID_LEN];
};

/* what KSM does with a VM */
#define KVMX_KSM_STATE_UNSET	0	/* no mode was set */
#define KVMX_KSM_STATE_OFF	1	/* mode OFF */
#define KVMX_KSM_STATE_WAITING	2	/* not looked at yet */
#define KVMX_KSM_STATE_REFUSED	3	/* it may not merge; the reason says why */
#define KVMX_KSM_STATE_LIVE	4	/* it may merge */
#define KVMX_KSM_STATE_MERGING	5	/* an epoch is under way */
#define KVMX_KSM_STATE_EVICTED	6	/* it merged, and may not any more; the reason says why */

/* why; in brackets: the number that comes with it */
#define KVMX_KSM_WHY_NONE	0
#define KVMX_KSM_WHY_HOST_OFF	1	/* the host's policy is off */
#define KVMX_KSM_WHY_KNOBS	2	/* somebody else has written to KSM's knobs */
#define KVMX_KSM_WHY_FOREIGN	3	/* other processes merge memory, too [processes] */
#define KVMX_KSM_WHY_DOMAIN	4	/* another domain is live */
#define KVMX_KSM_WHY_MIGRATION	5	/* a VM is being migrated [VMs] */
#define KVMX_KSM_WHY_PINNED	6	/* memory is pinned for DMA [1/1000 of its pages] */
#define KVMX_KSM_WHY_SHARED	7	/* KSM takes private memory only [1/1000 is not] */
#define KVMX_KSM_WHY_VOLATILE	8	/* its pages change all the time [1/1000] */
#define KVMX_KSM_WHY_NO_GAIN	9	/* what could merge is not worth its cost [pages] */
#define KVMX_KSM_WHY_COW	10	/* it broke what was merged for it [pages] */
#define KVMX_KSM_WHY_NO_MEMORY	11	/* not enough memory to unmerge the live domain [bytes] */
#define KVMX_KSM_WHY_MODE	12	/* the mode says so */
#define KVMX_KSM_WHY_GAIN	13	/* it pays [pages] */
#define KVMX_KSM_WHY_REACHED	14	/* all that can merge has merged */
#define KVMX_KSM_WHY_NO_VM	15	/* no VM may merge */
#define KVMX_KSM_WHY_SCANS	16	/* the epoch has made its scans [scans] */
#define KVMX_KSM_WHY_COST	17	/* the epoch's cost exceeds its gain or limit [ns] */
#define KVMX_KSM_WHY_CHANGED	18	/* settings or memory of a VM have changed */
#define KVMX_KSM_WHY_SAMPLING	19	/* it has yet to be looked at */
#define KVMX_KSM_WHY_ERROR	20	/* the kernel refused [errno] */

/**
 * struct kvmx_vm_ksm_get - KVMX_VM_KSM_GET: what KSM does with the VM, and why
 * @size: sizeof(struct kvmx_vm_ksm_get)
 * @flags: must be 0; out: KVMX_VM_KSM_KEEP as set
 * @mode: out: KVMX_KSM_*
 * @weight: out: as set
 * @domain: out: as set
 * @state: out: KVMX_KSM_STATE_*
 * @why: out: KVMX_KSM_WHY_*
 * @why_arg: out: the number that comes with @why
 * @pages: out: pages in memslots
 * @present_pages: out: of these, in memory
 * @mergeable_pages: out: pages that could be freed in this VM, its share of what it has in common
 *	with others, those that are freed already included
 * @mergeable_err: out: half of the 95 % confidence interval of @mergeable_pages
 * @merged_pages: out: pages that are KSM's
 * @zero_pages: out: pages that are full of zeroes
 * @volatile_pages: out: pages that changed between two looks
 * @pinned_pages: out: pages pinned for DMA
 * @huge_pages: out: pages that are part of a huge page
 * @shared_pages: out: pages in mappings that KSM does not take
 * @excluded_pages: out: pages in mappings kept away from KSM since memory in them is pinned
 * @scanned_pages: out: pages that the sampler has looked at since the mode was set
 * @sample_ns: out: CPU time that took
 * @sample_time_ns: out: when the last look was over, 0 before
 * @cow_pages: out: merged pages that were found written to since
 * @unmerged_pages: out: pages of KSM's that kvmx has unmerged
 *
 * The page counts but @merged_pages are those of the last look; 0 before.
 */
struct kvmx_vm_ksm_get {
	__u32 size;
	__u32 flags;
	__u32 mode;
	__u32 weight;
	__u8 domain[KVMX_UUID_LEN];
	__u32 state;
	__u32 why;
	__aligned_u64 why_arg;
	__aligned_u64 pages;
	__aligned_u64 present_pages;
	__aligned_u64 mergeable_pages;
	__aligned_u64 mergeable_err;
	__aligned_u64 merged_pages;
	__aligned_u64 zero_pages;
	__aligned_u64 volatile_pages;
	__aligned_u64 pinned_pages;
	__aligned_u64 huge_pages;
	__aligned_u64 shared_pages;
	__aligned_u64 excluded_pages;
	__aligned_u64 scanned_pages;
	__aligned_u64 sample_ns;
	__aligned_u64 sample_time_ns;
	__aligned_u64 cow_pages;
	__aligned_u64 unmerged_pages;
};

#define KVMX_VM_KSM_UNPIN	(1U << 0)

/**
 * struct kvmx_vm_ksm_pin - KVMX_VM_KSM_PIN: memory is about to be pinned for DMA
 * @size: sizeof(struct kvmx_vm_ksm_pin)
 * @flags: KVMX_VM_KSM_UNPIN: the memory is not pinned any more
 * @gfn: first guest frame
 * @npages: pages, at least 1
 *
 * When it returns, the VMM's mappings that the pages lie in are unmerged and KSM does not touch
 * them, whatever the VM's mode and whoever made them mergeable, until UNPIN or until the last VM fd
 * is closed. PIN counts: of two PINs of the same pages both have to be undone, with the same @gfn
 * and @npages. Pinned memory that kvmx was not told of is found by looking at it, which is later.
 *
 * Errors: EINVAL if the pages wrap, or none of them lies in a memslot, or for UNPIN if they were
 * not pinned so; ENOSPC if there are KVMX_KSM_MAX_PINS in the VMM's process; ENOMEM if there is not
 * enough memory to unmerge: nothing is excluded, though some pages may be unmerged.
 */
struct kvmx_vm_ksm_pin {
	__u32 size;
	__u32 flags;
	__aligned_u64 gfn;
	__aligned_u64 npages;
};

#define KVMX_KSM_MAX_PINS	1024	/* of all VMs of a process */

#define KVMX_KSM_HOST_OFF	0	/* nothing is merged, KSM's knobs are left alone */
#define KVMX_KSM_HOST_ON	1

#define KVMX_KSM_STRICT		0	/* only one trust domain merges at a time */
#define KVMX_KSM_SHARED		1	/* all VMs may share memory with each other */

#define KVMX_KSM_FOREIGN_REFUSE	0	/* strict, and other processes merge: nothing is merged */
#define KVMX_KSM_FOREIGN_ALLOW	1	/* they may share memory with the live domain */

/**
 * struct kvmx_ksm_policy - what holds for the whole host
 * @mode: KVMX_KSM_HOST_*
 * @domains: KVMX_KSM_STRICT or KVMX_KSM_SHARED
 * @foreign: KVMX_KSM_FOREIGN_*
 * @cpu_permille: CPU time for ksmd and kvmx together, in 1/1000 of one CPU, to 1000; 0: 200
 * @pressure_permille: the same while less than @memory_target is available, @cpu_permille to 1000;
 *	0: 500, or @cpu_permille if that is more
 * @idle_permille: the same for looking at memory when nothing has changed, to 1000; 0: 1
 * @memory_target: bytes that shall be available; below, all that gains anything is merged; 0: none
 * @reserve: bytes that must stay available when memory is unmerged; 0: 64 MiB
 * @page_ns: CPU time that freeing a page may cost; 0: 1000000
 * @epoch_ns: CPU time that an epoch may cost; 0: 600 s
 * @interval_ns: time between two looks at memory, at least 100 ms; 0: 30 s
 * @settle_ns: a page that changes within this time is volatile, 1 ms to 60 s; 0: 1 s
 * @domain: the only domain that may be live; all zero: the one that gains most
 * @__reserved: 0; it is part of larger structs and cannot grow
 */
struct kvmx_ksm_policy {
	__u32 mode;
	__u32 domains;
	__u32 foreign;
	__u32 cpu_permille;
	__u32 pressure_permille;
	__u32 idle_permille;
	__aligned_u64 memory_target;
	__aligned_u64 reserve;
	__aligned_u64 page_ns;
	__aligned_u64 epoch_ns;
	__aligned_u64 interval_ns;
	__aligned_u64 settle_ns;
	__u8 domain[KVMX_UUID_LEN];
	__aligned_u64 __reserved[8];
};

#define KVMX_KSM_HOST_BIND	(1U << 0)
#define KVMX_KSM_HOST_TAKE	(1U << 1)

/**
 * struct kvmx_ksm_host_set - KVMX_KSM_HOST_SET: set the host's policy
 * @size: sizeof(struct kvmx_ksm_host_set)
 * @flags: KVMX_KSM_HOST_BIND: when this fd is closed, the policy is off again. KVMX_KSM_HOST_TAKE:
 *	take KSM's knobs again although somebody else has written to them
 * @policy: the policy as a whole; a number that is 0 stands for its default
 *
 * With mode ON kvmx takes KSM's knobs: their values are saved, and ksmd runs only in epochs. When
 * the policy is switched off or the module is unloaded, all memory is made again what the VMMs made
 * it, and the knobs are put back. If somebody else writes to a knob, kvmx lets go of all of them,
 * puts back those that still have the value it gave them, and says so (KVMX_EVENT_KSM_KNOBS). It
 * takes them again only when told to.
 *
 * A change of @policy.domain or to KVMX_KSM_STRICT unmerges the domains that are not live any more,
 * before the call returns.
 *
 * Errors: EPERM without CAP_SYS_ADMIN; EINVAL if a value is out of its range; EOPNOTSUPP if
 * @policy.__reserved is not 0; ENOMEM if there is not enough memory to unmerge; EBUSY if the
 * domains are strict and other processes merge memory, unless that is allowed. After an error the
 * policy is what it was, though some pages may be unmerged.
 */
struct kvmx_ksm_host_set {
	__u32 size;
	__u32 flags;
	struct kvmx_ksm_policy policy;
};

/* what kvmx does */
#define KVMX_KSM_HOST_STATE_OFF		0
#define KVMX_KSM_HOST_STATE_IDLE	1
#define KVMX_KSM_HOST_STATE_SAMPLING	2
#define KVMX_KSM_HOST_STATE_SETTLING	3	/* waits for the second look */
#define KVMX_KSM_HOST_STATE_CHANGING	4	/* makes memory mergeable or unmerges it */
#define KVMX_KSM_HOST_STATE_EPOCH	5	/* ksmd runs */

/* whose KSM's knobs are */
#define KVMX_KSM_KNOBS_FREE	0	/* not kvmx's: the policy is off */
#define KVMX_KSM_KNOBS_OWNED	1	/* kvmx's */
#define KVMX_KSM_KNOBS_LOST	2	/* somebody else has written to one */

#define KVMX_KSM_KNOB_LEN	32

/**
 * struct kvmx_ksm_host_get - KVMX_KSM_HOST_GET: policy, estimate and counters
 * @size: sizeof(struct kvmx_ksm_host_get)
 * @flags: must be 0; out: KVMX_KSM_HOST_BIND as set
 * @policy: out: in force, with defaults filled in
 * @state: out: KVMX_KSM_HOST_STATE_*
 * @why: out: KVMX_KSM_WHY_*: why the next epoch comes or does not
 * @why_arg: out: the number that comes with @why
 * @knobs: out: KVMX_KSM_KNOBS_*
 * @under_pressure: out: 1 if less than the policy's memory_target is available
 * @knob: out: the knob that somebody else has written to, NUL-terminated
 * @live_domain: out: the domain that is live, all zero for none or for a VM's own
 * @nr_vms: out: VMs with a mode other than UNSET
 * @nr_live: out: of these, those that may merge
 * @nr_foreign: out: other processes with mergeable memory, when last counted
 * @stopped: out: KVMX_KSM_WHY_*: why the last epoch ended
 * @pages: out: pages in memslots of these VMs
 * @present_pages: out: the sum over these VMs, as are the following six
 * @zero_pages: out: see struct kvmx_vm_ksm_get
 * @volatile_pages: out: see there
 * @pinned_pages: out: see there
 * @huge_pages: out: see there
 * @shared_pages: out: see there
 * @merged_pages: out: see there
 * @mergeable_pages: out: pages that can be freed in the live domain, or the next one if none is
 *	live: the estimate
 * @mergeable_err: out: half of its 95 % confidence interval
 * @freed_pages: out: pages that are freed now: KSM's own count, of the whole host, and pages of
 *	zeroes that left memory since the estimate was made when ksmd split huge pages
 * @estimate_time_ns: out: when the estimate was made, 0 before
 * @gain_pages: out: pages that the next epoch would free
 * @cost_ns: out: CPU time that it would cost
 * @epochs: out: epochs so far
 * @samples: out: looks at the memory of all VMs
 * @switches: out: times another domain became live
 * @evictions: out: VMs evicted
 * @scanned_pages: out: pages ksmd has visited in epochs; 0 if this kernel does not count them
 * @full_scans: out: full scans of ksmd in epochs
 * @epoch_merged_pages: out: pages freed in epochs
 * @ksmd_ns: out: CPU time of ksmd in epochs
 * @kvmx_ns: out: CPU time of kvmx
 * @sample_ns: out: of this, for looking at memory
 * @cow_pages: out: merged pages that were written to since the policy is on, of the whole host
 * @longest_lock_ns: out: the longest time kvmx has held a VMM's mmap_lock
 * @bytes: out: kernel memory held now
 * @peak_bytes: out: kernel memory held at most
 * @events_lost: out: events this fd did not read in time
 *
 * Errors: EPERM without CAP_SYS_ADMIN.
 */
struct kvmx_ksm_host_get {
	__u32 size;
	__u32 flags;
	struct kvmx_ksm_policy policy;
	__u32 state;
	__u32 why;
	__aligned_u64 why_arg;
	__u32 knobs;
	__u32 under_pressure;
	char knob[KVMX_KSM_KNOB_LEN];
	__u8 live_domain[KVMX_UUID_LEN];
	__u32 nr_vms;
	__u32 nr_live;
	__u32 nr_foreign;
	__u32 stopped;
	__aligned_u64 pages;
	__aligned_u64 present_pages;
	__aligned_u64 zero_pages;
	__aligned_u64 volatile_pages;
	__aligned_u64 pinned_pages;
	__aligned_u64 huge_pages;
	__aligned_u64 shared_pages;
	__aligned_u64 merged_pages;
	__aligned_u64 mergeable_pages;
	__aligned_u64 mergeable_err;
	__aligned_u64 freed_pages;
	__aligned_u64 estimate_time_ns;
	__aligned_u64 gain_pages;
	__aligned_u64 cost_ns;
	__aligned_u64 epochs;
	__aligned_u64 samples;
	__aligned_u64 switches;
	__aligned_u64 evictions;
	__aligned_u64 scanned_pages;
	__aligned_u64 full_scans;
	__aligned_u64 epoch_merged_pages;
	__aligned_u64 ksmd_ns;
	__aligned_u64 kvmx_ns;
	__aligned_u64 sample_ns;
	__aligned_u64 cow_pages;
	__aligned_u64 longest_lock_ns;
	__aligned_u64 bytes;
	__aligned_u64 peak_bytes;
	__aligned_u64 events_lost;
};

#define KVMX_KSM_DO_LEAVE	0	/* as it is */
#define KVMX_KSM_DO_ADMIT	1	/* make its memory mergeable */
#define KVMX_KSM_DO_UNMERGE	2	/* unmerge its memory */

/**
 * struct kvmx_ksm_plan_vm - what would be done with a VM
 * @uuid: as given with KVMX_VM_OPEN
 * @label: as given with KVMX_VM_OPEN
 * @domain: its trust domain
 * @pid: of the VMM, as its VM was created
 * @mode: KVMX_KSM_*
 * @state: KVMX_KSM_STATE_* now
 * @todo: KVMX_KSM_DO_*
 * @why: KVMX_KSM_WHY_*
 * @__reserved: 0
 * @why_arg: the number that comes with @why
 * @pages: pages ksmd would have to visit
 * @mergeable_pages: see struct kvmx_vm_ksm_get
 * @merged_pages: see there
 * @gain_pages: pages that the next epoch would free in it
 * @cost_ns: CPU time that it would cost
 */
struct kvmx_ksm_plan_vm {
	__u8 uuid[KVMX_UUID_LEN];
	char label[KVMX_LABEL_LEN];
	__u8 domain[KVMX_UUID_LEN];
	__s32 pid;
	__u32 mode;
	__u32 state;
	__u32 todo;
	__u32 why;
	__u32 __reserved;
	__aligned_u64 why_arg;
	__aligned_u64 pages;
	__aligned_u64 mergeable_pages;
	__aligned_u64 merged_pages;
	__aligned_u64 gain_pages;
	__aligned_u64 cost_ns;
};

#define KVMX_KSM_PLAN_FRESH	(1U << 0)

/**
 * struct kvmx_ksm_plan - KVMX_KSM_PLAN: what would be done next and why; nothing is done
 * @size: sizeof(struct kvmx_ksm_plan)
 * @flags: KVMX_KSM_PLAN_FRESH: look at memory first, which takes a while
 * @vms: user pointer to an array of struct kvmx_ksm_plan_vm
 * @nr_vms: in: room in @vms; out: how many VMs there are
 * @vm_size: sizeof(struct kvmx_ksm_plan_vm)
 * @epoch: out: 1 if an epoch would begin
 * @scans: out: full scans it would make
 * @why: out: KVMX_KSM_WHY_*
 * @__reserved: must be 0
 * @why_arg: out: the number that comes with @why
 * @domain: out: the domain that would be live, all zero for none or for a VM's own
 * @gain_pages: out: pages that the epoch would free
 * @cost_ns: out: CPU time that it would cost
 * @unmerge_pages: out: pages that would be unmerged first
 *
 * It is computed as if the host's policy were on, so that it can be asked before.
 *
 * Errors: EPERM without CAP_SYS_ADMIN; ENOSPC if @nr_vms was too small: it is updated, the array is
 * not touched; ENODATA if no VM has a mode.
 */
struct kvmx_ksm_plan {
	__u32 size;
	__u32 flags;
	__aligned_u64 vms;
	__u32 nr_vms;
	__u32 vm_size;
	__u32 epoch;
	__u32 scans;
	__u32 why;
	__u32 __reserved;
	__aligned_u64 why_arg;
	__u8 domain[KVMX_UUID_LEN];
	__aligned_u64 gain_pages;
	__aligned_u64 cost_ns;
	__aligned_u64 unmerge_pages;
};

#define KVMX_EVENT_SLOTS	1	/* memslots changed; arg: how many */
/* logging was switched off by somebody else, or a memslot made again in its place; arg: slot */
#define KVMX_EVENT_DISTURBED	2
#define KVMX_EVENT_TRACKERS	3	/* a tracker came or went; arg: how many there are */
#define KVMX_EVENT_DEVICES	4	/* a device was opened or closed; arg: how many there are */
#define KVMX_EVENT_QUIESCED	5	/* devices were quiesced (arg: 1) or resumed (arg: 0) */
#define KVMX_EVENT_KSM		16	/* KSM's state; arg: KVMX_KSM_STATE_* << 32 | _WHY_* */
/* of the system fd, if it was opened with CAP_SYS_ADMIN */
#define KVMX_EVENT_KSM_KNOBS	32	/* whose the knobs are; arg: KVMX_KSM_KNOBS_* */
#define KVMX_EVENT_KSM_BEGIN	33	/* an epoch began; arg: pages it shall free */
#define KVMX_EVENT_KSM_END	34	/* it ended; arg: KVMX_KSM_WHY_* << 56 | pages it freed */
#define KVMX_EVENT_KSM_DOMAIN	35	/* another domain is live; arg: VMs in it, or 0 */
#define KVMX_EVENT_KSM_EVICTED	36	/* a VM may not merge any more; arg: pid of its VMM */
#define KVMX_EVENT_KSM_FOREIGN	37	/* other processes merge; arg: how many, 0: none any more */

/**
 * struct kvmx_event - what read(2) of a VM or system fd gives, one or more whole events
 * @type: KVMX_EVENT_*
 * @size: sizeof(struct kvmx_event)
 * @time_ns: when it happened
 * @arg: see the type
 *
 * read(2) blocks until there is an event, or gives EAGAIN with O_NONBLOCK, EINVAL if the buffer
 * holds less than one event, and 0 if the VM is dead and no event is left. poll(2) says POLLIN
 * while there are events. An fd keeps the last 64; older ones are lost and counted. There may be
 * types you do not know: skip them. The struct will not grow. A system fd that was opened without
 * CAP_SYS_ADMIN gives EPERM.
 */
struct kvmx_event {
	__u32 type;
	__u32 size;
	__aligned_u64 time_ns;
	__aligned_u64 arg;
};

/**
 * DOC: PCI devices
 *
 * Leases, quiesce and report are services of kvmx_vfio_pci.ko, a vfio-pci driver for any PCI
 * device. Without it these calls give EOPNOTSUPP, and KVMX_FEAT_DEVICE says so before. Bind a
 * device to it as to vfio-pci (driver_override), and use the device through VFIO as ever.
 *
 * A device belongs to a VM if the VM's fd was associated with the device's VFIO group or device fd
 * (KVM_DEV_VFIO_FILE_ADD) before the device was opened; without any association, it belongs to
 * all VMs of the process that opened it.
 *
 * Leases are kept by address. They outlive VMs, processes and bindings, but neither the module
 * (which a lease keeps from being unloaded) nor the host.
 */

/**
 * struct kvmx_pci_addr - where a PCI device is
 * @domain: PCI domain
 * @bus: bus number
 * @devfn: slot << 3 | function
 * @__reserved: must be 0; out: 0
 */
struct kvmx_pci_addr {
	__u32 domain;
	__u8 bus;
	__u8 devfn;
	__u16 __reserved;
};

#define KVMX_LEASE_FORCE	(1U << 0)

#define KVMX_LEASE_NO_UID	(~0U)

/**
 * struct kvmx_lease_acquire - KVMX_LEASE_ACQUIRE: keep devices for a VM
 * @size: sizeof(struct kvmx_lease_acquire)
 * @flags: KVMX_LEASE_FORCE: take devices away from other leases, and lease devices although
 *	somebody else has them open. Who has a device open keeps it until it is closed
 * @uuid: UUID of the VM, not all zero
 * @devices: user pointer to an array of struct kvmx_pci_addr
 * @nr_devices: entries in @devices, 1 to KVMX_MAX_LEASED
 * @device_size: sizeof(struct kvmx_pci_addr)
 * @uid: a user whose VMs may give themselves this UUID, or KVMX_LEASE_NO_UID
 * @nr_leased: out: devices this UUID has leased now
 *
 * The lease takes the devices with all that cannot be given to another VM: every device of the
 * same IOMMU group, and, for a device that cannot be reset alone, every device that is reset with
 * it. Devices are added to what the UUID has leased before; all devices of a UUID have the same
 * @uid, the one given last.
 *
 * From then on such a device can be opened for a VM of this UUID alone: one whose UUID was given
 * in KVMX_VM_OPEN by a caller with CAP_SYS_ADMIN, or that was created by the user @uid. The handle
 * must be open when the device is opened. Others find that VFIO's open of the device fails:
 *
 * ====== ========================================================================================
 * EACCES no VM is associated with the device, or the VM has no UUID
 * EPERM  the VM has another UUID, or has given itself this one without the right to
 * EBUSY  another VM of this UUID, or somebody from before the lease, has a device of it open
 * ====== ========================================================================================
 *
 * Leases are checked when a device is opened with kvmx_vfio_pci.ko as its driver, nowhere else: a
 * second fd of a device that is open, from the same group, is not checked again, nor one that is
 * passed on; and virtual functions are devices of their own, which the lease of their physical
 * function does not have.
 *
 * Errors: EPERM without CAP_SYS_ADMIN; ENODEV if a device does not exist or is a bridge; EBUSY if
 * a device is leased for another UUID, or is open for somebody whom the lease would refuse (then
 * nothing was leased); ENOSPC if there would be more than KVMX_MAX_LEASED.
 */
struct kvmx_lease_acquire {
	__u32 size;
	__u32 flags;
	__u8 uuid[KVMX_UUID_LEN];
	__aligned_u64 devices;
	__u32 nr_devices;
	__u32 device_size;
	__u32 uid;
	__u32 nr_leased;
};

/**
 * struct kvmx_lease_release - KVMX_LEASE_RELEASE: let leased devices go
 * @size: sizeof(struct kvmx_lease_release)
 * @flags: KVMX_LEASE_FORCE: also devices that a VM has open; it keeps them until it closes them
 * @uuid: UUID of the VM
 * @devices: user pointer to an array of struct kvmx_pci_addr
 * @nr_devices: entries in @devices, 0 (all that the UUID has leased) to KVMX_MAX_LEASED
 * @device_size: sizeof(struct kvmx_pci_addr)
 * @nr_released: out: devices let go
 * @__reserved: must be 0
 *
 * Devices go with those they were leased with, if these still exist.
 *
 * Errors: EPERM without CAP_SYS_ADMIN; ENOENT if the UUID has no lease, or none on one of
 * @devices; EBUSY if a VM has one open. Then nothing was released.
 */
struct kvmx_lease_release {
	__u32 size;
	__u32 flags;
	__u8 uuid[KVMX_UUID_LEN];
	__aligned_u64 devices;
	__u32 nr_devices;
	__u32 device_size;
	__u32 nr_released;
	__u32 __reserved;
};

#define KVMX_LEASE_ASKED	(1U << 0)	/* was asked for; else came with one that was */
#define KVMX_LEASE_OPEN		(1U << 1)	/* a VM has it open */
#define KVMX_LEASE_DRIVEN	(1U << 2)	/* kvmx_vfio_pci.ko drives it: the lease counts */
#define KVMX_LEASE_ABSENT	(1U << 3)	/* there is no such device now */

/**
 * struct kvmx_lease - a leased device
 * @addr: the device
 * @uuid: UUID of the VM it is kept for
 * @uid: as given, or KVMX_LEASE_NO_UID
 * @flags: KVMX_LEASE_ASKED, _OPEN, _DRIVEN, _ABSENT
 */
struct kvmx_lease {
	struct kvmx_pci_addr addr;
	__u8 uuid[KVMX_UUID_LEN];
	__u32 uid;
	__u32 flags;
};

/**
 * struct kvmx_lease_list - KVMX_LEASE_LIST: all leased devices, by UUID and address
 * @size: sizeof(struct kvmx_lease_list)
 * @flags: must be 0
 * @leases: user pointer to an array of struct kvmx_lease
 * @nr_leases: in: room in @leases; out: how many leased devices there are
 * @lease_size: sizeof(struct kvmx_lease)
 *
 * Errors: EPERM without CAP_SYS_ADMIN; ENOSPC if @nr_leases was too small: it is updated, the
 * array is not touched.
 */
struct kvmx_lease_list {
	__u32 size;
	__u32 flags;
	__aligned_u64 leases;
	__u32 nr_leases;
	__u32 lease_size;
};

/* struct kvmx_dev_report.state; struct kvmx_vm_device.state has OPEN to UNPROVEN and PCIE */
#define KVMX_DEV_DRIVEN		(1U << 0)	/* kvmx_vfio_pci.ko drives it */
#define KVMX_DEV_OPEN		(1U << 1)	/* somebody has it open by way of that */
#define KVMX_DEV_MASTER		(1U << 2)	/* may do DMA now: bus mastering is on */
#define KVMX_DEV_QUIESCED	(1U << 3)	/* bus mastering is held off */
#define KVMX_DEV_UNPROVEN	(1U << 4)	/* quiesced, but maybe not drained */
#define KVMX_DEV_LEASED		(1U << 5)	/* leased, to whomever */
#define KVMX_DEV_VIABLE		(1U << 6)	/* no driver of its group stands in VFIO's way */
#define KVMX_DEV_PCIE		(1U << 7)	/* PCI Express: can prove that it drained */
#define KVMX_DEV_ACS		(1U << 8)	/* each port above it keeps it apart by ACS */
#define KVMX_DEV_PF		(1U << 9)	/* can have virtual functions (SR-IOV) */
#define KVMX_DEV_VF		(1U << 10)	/* is one */
#define KVMX_DEV_BRIDGE		(1U << 11)	/* cannot be given to a VM */

/* struct kvmx_dev_report.resets: how it can be reset, as the kernel has found out */
#define KVMX_RESET_SPECIFIC	(1U << 0)	/* in a way of its own */
#define KVMX_RESET_ACPI		(1U << 1)
#define KVMX_RESET_FLR		(1U << 2)
#define KVMX_RESET_AF_FLR	(1U << 3)
#define KVMX_RESET_PM		(1U << 4)	/* by way of D3hot */
#define KVMX_RESET_BUS		(1U << 5)	/* with its bus or slot, on which it is alone */
#define KVMX_RESET_CXL_BUS	(1U << 6)
#define KVMX_RESET_HOT		(1U << 7)	/* with all that share its bus or slot */

/* struct kvmx_dev_report.dirty: who can say which pages its DMA has written */
#define KVMX_DIRTY_CANDIDATES	(1U << 0)	/* nobody: all of its DMA ranges are candidates */
#define KVMX_DIRTY_IOMMU	(1U << 1)	/* the IOMMU has dirty bits */
#define KVMX_DIRTY_DEVICE	(1U << 2)	/* its driver: VFIO_DEVICE_FEATURE_DMA_LOGGING_* */

/* struct kvmx_dev_member.flags */
#define KVMX_MEMBER_GROUP	(1U << 0)	/* of the same IOMMU group */
#define KVMX_MEMBER_RESET	(1U << 1)	/* is reset with it */
#define KVMX_MEMBER_BRIDGE	(1U << 2)	/* goes to nobody, and does not count for a lease */
#define KVMX_MEMBER_BLOCKS	(1U << 3)	/* its driver keeps the group from being used */
#define KVMX_MEMBER_OPEN	(1U << 4)	/* open by way of kvmx_vfio_pci.ko */

/**
 * struct kvmx_dev_member - a device that goes with another one
 * @addr: the device
 * @flags: KVMX_MEMBER_*
 * @__reserved: out: 0
 * @driver: its driver, empty if it has none
 */
struct kvmx_dev_member {
	struct kvmx_pci_addr addr;
	__u32 flags;
	__u32 __reserved;
	char driver[KVMX_DRIVER_LEN];
};

#define KVMX_DEV_NEXT		(1U << 0)

#define KVMX_POWER_UNKNOWN	5

/**
 * struct kvmx_dev_report - KVMX_DEV_REPORT: all that matters for giving a PCI device to a VM
 * @size: sizeof(struct kvmx_dev_report)
 * @flags: KVMX_DEV_NEXT: the first device at or after @addr, by domain, bus and devfn
 * @addr: the device; out: the one that is reported
 * @members: user pointer to an array of struct kvmx_dev_member
 * @nr_members: in: room in @members; out: devices that go with it, itself first
 * @member_size: sizeof(struct kvmx_dev_member)
 * @state: out: KVMX_DEV_*
 * @group: out: number of the IOMMU group, -1 without
 * @vendor: out: PCI ID
 * @device: out: PCI ID
 * @subsystem_vendor: out: PCI ID
 * @subsystem_device: out: PCI ID
 * @class_code: out: class << 16 | subclass << 8 | programming interface
 * @resets: out: KVMX_RESET_*
 * @first_reset: out: the one VFIO will use for the device alone, 0 if there is none
 * @msi: out: MSI vectors
 * @msix: out: MSI-X vectors
 * @nr_vfs: out: virtual functions enabled
 * @max_vfs: out: virtual functions possible
 * @power: out: 0 to 3 for D0 to D3hot, 4 for D3cold, KVMX_POWER_UNKNOWN
 * @dirty: out: KVMX_DIRTY_*
 * @pid: out: process that created the VM it is open for, 0 without
 * @driver: out: its driver, empty if it has none
 * @vm_uuid: out: UUID of that VM, zero without
 * @lease_uuid: out: UUID it is leased for, zero without; @vm_uuid, @lease_uuid and @pid are given
 *	to callers with CAP_SYS_ADMIN only
 * @__reserved: must be 0
 *
 * Any device can be asked about, whatever its driver.
 *
 * Errors: ENODEV if there is no such device, or with KVMX_DEV_NEXT none after it; ENOSPC if
 * @nr_members was too small: the struct is filled in, the array is not touched.
 */
struct kvmx_dev_report {
	__u32 size;
	__u32 flags;
	struct kvmx_pci_addr addr;
	__aligned_u64 members;
	__u32 nr_members;
	__u32 member_size;
	__u32 state;
	__s32 group;
	__u16 vendor;
	__u16 device;
	__u16 subsystem_vendor;
	__u16 subsystem_device;
	__u32 class_code;
	__u32 resets;
	__u32 first_reset;
	__u16 msi;
	__u16 msix;
	__u16 nr_vfs;
	__u16 max_vfs;
	__u32 power;
	__u32 dirty;
	__s32 pid;
	char driver[KVMX_DRIVER_LEN];
	__u8 vm_uuid[KVMX_UUID_LEN];
	__u8 lease_uuid[KVMX_UUID_LEN];
	__aligned_u64 __reserved;
};

#define KVMX_DMA_ALWAYS		(1U << 0)

/**
 * struct kvmx_dma_declare - KVMX_DMA_DECLARE: devices may write to guest memory from now on
 * @size: sizeof(struct kvmx_dma_declare)
 * @flags: KVMX_DMA_ALWAYS: by somebody that KVMX_VM_QUIESCE does not stop: a device with another
 *	driver than kvmx_vfio_pci.ko, a back end in another process
 * @gfn: first guest frame
 * @npages: pages, at least 1
 * @slot: address space << 16, as in struct kvmx_run
 * @__reserved: must be 0
 *
 * Call it before the memory is mapped for the device (VFIO_IOMMU_MAP_DMA), for mappings that the
 * device may write to. KSM is not told: KVMX_VM_KSM_PIN does that, so that no memory is pinned
 * while it is shared. Call that first; libkvmx's kvmx_assign() calls both.
 *
 * The range holds for guest frames, whatever memslots lie there. Ranges may overlap, and the same
 * one can be declared more than once. Closing the VM fd withdraws what was declared through it.
 *
 * Errors: EXDEV; EINVAL if the range wraps or there is no such address space; EUSERS if there are
 * KVMX_MAX_DMA_RANGES.
 */
struct kvmx_dma_declare {
	__u32 size;
	__u32 flags;
	__aligned_u64 gfn;
	__aligned_u64 npages;
	__u32 slot;
	__u32 __reserved;
};

/**
 * struct kvmx_dma_withdraw - KVMX_DMA_WITHDRAW: they may not any more
 * @size: sizeof(struct kvmx_dma_withdraw)
 * @flags: as declared
 * @gfn: as declared
 * @npages: as declared
 * @slot: as declared
 * @__reserved: must be 0
 *
 * Call it after the memory was unmapped from the device. What the device may have written since
 * the last pass becomes dirty for every tracker. May be called by any process that has the fd.
 *
 * Errors: ENOENT if this VM fd has not declared this very range.
 */
struct kvmx_dma_withdraw {
	__u32 size;
	__u32 flags;
	__aligned_u64 gfn;
	__aligned_u64 npages;
	__u32 slot;
	__u32 __reserved;
};

#define KVMX_QUIESCE_KEEP	(1U << 0)
#define KVMX_QUIESCE_TRUST	(1U << 1)

/**
 * struct kvmx_vm_quiesce - KVMX_VM_QUIESCE: stop the DMA and the interrupts of a VM's devices
 * @size: sizeof(struct kvmx_vm_quiesce)
 * @flags: KVMX_QUIESCE_KEEP: stay so when this fd is closed. KVMX_QUIESCE_TRUST: a device that
 *	cannot prove that it has drained counts as if it had
 * @nr_devices: out: devices that are quiesced
 * @nr_unproven: out: of these, devices that could not prove that they have drained
 *
 * Masks interrupts, switches bus mastering off, and waits for what is under way: for PCI Express
 * the device says when its reads and atomics are done, and reading its configuration pushes its
 * writes before it. Conventional PCI has no such proof.
 *
 * Whatever the guest writes to its device's bus-master bit takes effect on resume, and it reads
 * what it has written. A reset or a change of power state does not switch bus mastering on. A
 * device that is opened later is quiesced from the beginning.
 *
 * When all devices are quiesced and drained, one more complete pass of HARVEST returns the pages
 * of all DMA ranges, and passes after it do not until a device can write again. They do, if a
 * range was declared with KVMX_DMA_ALWAYS, if there is no device, or if one is unproven and
 * KVMX_QUIESCE_TRUST was not given. A device whose bus mastering cannot be switched off is never
 * believed.
 *
 * Closing the fd resumes the devices, unless KVMX_QUIESCE_KEEP was given: then they, and what is
 * opened later, stay quiesced until KVMX_VM_RESUME by any VM fd, also one that is opened later, or
 * until the VM ends. Meanwhile the module cannot be unloaded.
 *
 * May be called by any process that has the fd, and again by the same fd: with other flags these
 * hold. Errors: EBUSY if another VM fd has quiesced the devices; EIO if a device that sleeps
 * cannot be woken; ENOMEM as VM_RESUME. Then none is quiesced, or those that were before still are.
 */
struct kvmx_vm_quiesce {
	__u32 size;
	__u32 flags;
	__u32 nr_devices;
	__u32 nr_unproven;
};

/**
 * struct kvmx_vm_resume - KVMX_VM_RESUME: undo VM_QUIESCE
 * @size: sizeof(struct kvmx_vm_resume)
 * @flags: must be 0
 * @nr_devices: out: devices resumed
 * @__reserved: must be 0
 *
 * Puts bus mastering back as it was or as the guest has since wished, unmasks interrupts, and
 * triggers every enabled MSI and MSI-X vector once, since an interrupt raised while bus mastering
 * was off is lost: a guest's driver must bear one that says nothing new. Any VM fd may resume what
 * another has quiesced. If nothing is quiesced it does nothing.
 *
 * A device stays quiesced that was quiesced by its own fd, too (VFIO_DEVICE_FEATURE_BUS_MASTER:
 * CLEAR_MASTER quiesces the device, SET_MASTER resumes it).
 *
 * A device without an association that another VM of its process has quiesced, too, stays so.
 *
 * Errors: ENOMEM, also if the VMM's address space has no room, or its limit of locked memory, for a
 * page that is needed for a moment: then nothing was resumed.
 */
struct kvmx_vm_resume {
	__u32 size;
	__u32 flags;
	__u32 nr_devices;
	__u32 __reserved;
};

/**
 * struct kvmx_vm_device - a device of a VM
 * @addr: the device
 * @state: KVMX_DEV_OPEN, _MASTER (what the guest sees), _QUIESCED, _UNPROVEN, _PCIE
 * @__reserved: out: 0
 */
struct kvmx_vm_device {
	struct kvmx_pci_addr addr;
	__u32 state;
	__u32 __reserved;
};

/**
 * struct kvmx_vm_devices - KVMX_VM_DEVICES: the devices that are open for a VM
 * @size: sizeof(struct kvmx_vm_devices)
 * @flags: must be 0
 * @devices: user pointer to an array of struct kvmx_vm_device
 * @nr_devices: in: room in @devices; out: how many there are
 * @device_size: sizeof(struct kvmx_vm_device)
 *
 * Errors: ENOSPC if @nr_devices was too small: it is updated, the array is not touched.
 */
struct kvmx_vm_devices {
	__u32 size;
	__u32 flags;
	__aligned_u64 devices;
	__u32 nr_devices;
	__u32 device_size;
};

#endif /* _UAPI_LINUX_KVMX_H */
