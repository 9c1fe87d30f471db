/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The objects of kvmx.ko, who owns what, and which lock protects it.
 *
 * Lock order: kvmx_vm.lock is taken before everything that KVM's ioctls and a user copy take
 * (slots_lock, kvm->srcu, mmap_lock), and before the locks of kvmx_vfio_pci.ko. kvmx_bell.lock is
 * the innermost of all. kvmx_vms_lock is held together with no other lock of kvmx.ko but that.
 * KSM's locks are described in ksm/ksm.h.
 */
#ifndef KVMX_CORE_H
#define KVMX_CORE_H

#include <linux/kref.h>
#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/ratelimit.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/kvmx.h>

#include "assign.h"
#include "curve.h"
#include "pend.h"
#include "compat/compat.h"

#define KVMX_MAX_AS	2	/* address spaces KVM has on x86 */

/* How often a VM may end an epoch of KSM. Epochs are long; memory is pinned in short bursts. */
#define KVMX_KSM_LIMIT		4
#define KVMX_KSM_LIMIT_PERIOD	(600 * HZ)

struct kvmx_ksm_proc;

/**
 * struct kvmx_bell - whoever wants to hear of something
 * @lock: protects @queues and what is in them
 * @queues: one for each file descriptor
 * @nr: entries of @queues
 * @wait: of poll and read
 * @over: nothing will be heard any more; set once, read with READ_ONCE()
 */
struct kvmx_bell {
	spinlock_t lock;	/* see above */
	struct list_head queues;
	u32 nr;
	wait_queue_head_t wait;
	bool over;
};

#define KVMX_QUEUE_EVENTS	64

/**
 * struct kvmx_queue - the events a file descriptor has not read
 * @node: in kvmx_bell.queues
 * @first: index of the oldest event
 * @nr: events
 * @lost: events overwritten
 * @event: the events
 *
 * All is protected by kvmx_bell.lock.
 */
struct kvmx_queue {
	struct list_head node;
	u32 first;
	u32 nr;
	u64 lost;
	struct kvmx_event event[KVMX_QUEUE_EVENTS];
};

/**
 * struct kvmx_mslot - what kvmx remembers of a memslot
 * @gfn: first guest frame
 * @npages: pages
 * @hva: address in the VMM
 * @id: address space << 16 | KVM's id
 * @kvm_flags: KVM_MEM_*
 * @ident: KVM's memslot. Only compared: if it differs, the memslot is another one
 * @unloggable: KVM refuses to log it although the guest can write to it
 */
struct kvmx_mslot {
	gfn_t gfn;
	unsigned long npages;
	unsigned long hva;
	u32 id;
	u32 kvm_flags;
	const void *ident;
	bool unloggable;
};

/**
 * struct kvmx_slots - a snapshot of the memslots
 * @nr: entries in @slot
 * @cleared: every page was cleared at least once since its memslot was logged
 * @generation: KVM's generation of each address space when it was taken
 * @by_id: indices into @slot, sorted by id
 * @slot: the memslots, sorted by address space and gfn
 */
struct kvmx_slots {
	u32 nr;
	bool cleared;
	u64 generation[KVMX_MAX_AS];
	u32 *by_id;
	struct kvmx_mslot slot[];
};

/**
 * struct kvmx_dma_span - guest frames that devices may write to
 * @gfn: first guest frame
 * @end: behind the last one
 * @as: address space
 */
struct kvmx_dma_span {
	gfn_t gfn;
	gfn_t end;
	u32 as;
};

/**
 * struct kvmx_dma_map - the union of all DMA ranges
 * @nr: entries in @span
 * @span: sorted, none touches another
 */
struct kvmx_dma_map {
	u32 nr;
	struct kvmx_dma_span span[];
};

/**
 * struct kvmx_vm - a VM, one for each struct kvm
 * @ref: handles, trackers, queued work, and @quiesce_keep
 * @node: in kvmx_vms, under kvmx_vms_lock
 * @id: a number for traces
 * @kvm: KVM's VM; may be used under @lock while @file is set, or by who holds the file
 * @mm: the VMM's address space; the structure is pinned by @mn. NULL when dead, under @lock
 * @uid: who created it
 * @mn: tells when @mm goes
 * @bell: events, and whether @mm is gone
 * @death: drops @file
 * @settle: switches logging off when the last tracker was closed elsewhere
 * @unquiesce: resumes the devices when the handle was closed that had quiesced them
 * @lock: protects everything from here to @ksm
 * @file: the VM's file, NULL when dead
 * @uuid: given by an opener; changed under @bell.lock, too
 * @vouched: @uuid was given by a caller with CAP_SYS_ADMIN; as @uuid
 * @label: given by an opener; as @uuid
 * @trackers: open ones
 * @nr_trackers: entries of @trackers
 * @nr_migrations: of these, with KVMX_TRACKER_MIGRATION; read with READ_ONCE()
 * @logging: kvmx has switched logging on
 * @sampling: VM_SAMPLE has, and sleeps
 * @ring: the dirty ring is the source, not the bitmaps
 * @todo: a memslot waits to be logged
 * @manual_protect: KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 as found
 * @scratch: user address of the area that arguments of KVM's ioctls are put in
 * @words: buffer for a piece of a bitmap, KVMX_SEG_WORDS long
 * @slots: the memslots as the trackers know them
 * @sample: what the last VM_SAMPLE has shown
 * @nr_sample: entries of @sample, 0 before
 * @dma: DMA ranges
 * @nr_dma: entries of @dma
 * @nr_dma_always: of these, ranges that QUIESCE does not silence
 * @dma_map: their union, or NULL
 * @quiesced: a VM_QUIESCE is in force; read with READ_ONCE() without @lock
 * @quiesce_keep: it stays when its handle is closed; holds @ref, and the module
 * @quiesce_trust: devices that cannot prove that they drained count as drained
 * @quiescer: the handle it was given by, NULL when that is closed
 * @stats: counters
 * @ksm: what KSM does with it, NULL if that was never asked; see ksm/ksm.h
 * @ksm_file: the VM's file, referenced while @ksm is set and the VM lives; under kvmx_ksm.act
 * @ksm_node: in kvmx_ksm_proc.vms
 * @ksm_limit: how often it may end an epoch
 */
struct kvmx_vm {
	struct kref ref;
	struct list_head node;
	u32 id;
	struct kvm *kvm;
	struct mm_struct *mm;
	kuid_t uid;
	struct mmu_notifier mn;
	struct kvmx_bell bell;
	struct work_struct death;
	struct work_struct settle;
	struct work_struct unquiesce;

	struct mutex lock;	/* see above */
	struct file *file;
	u8 uuid[KVMX_UUID_LEN];
	bool vouched;
	char label[KVMX_LABEL_LEN];
	struct list_head trackers;
	u32 nr_trackers;
	u32 nr_migrations;
	bool logging;
	bool sampling;
	bool ring;
	bool todo;
	u64 manual_protect;
	unsigned long scratch;
	unsigned long *words;
	struct kvmx_slots *slots;
	struct kvmx_point sample[KVMX_MAX_POINTS];
	u32 nr_sample;
	struct list_head dma;
	u32 nr_dma;
	u32 nr_dma_always;
	struct kvmx_dma_map *dma_map;
	bool quiesced;
	bool quiesce_keep;
	bool quiesce_trust;
	struct kvmx_handle *quiescer;
	struct {
		u64 harvests;
		u64 collected_pages;
		u64 clear_calls;
		u64 marked_pages;
		u64 slot_changes;
		u64 log_disturbed;
		u64 samples;
		u64 predictions;
	} stats;

	struct kvmx_ksm_proc *ksm;
	struct file *ksm_file;
	struct list_head ksm_node;
	struct ratelimit_state ksm_limit;
};

/**
 * struct kvmx_handle - a VM fd
 * @vm: the VM
 * @queue: its events
 */
struct kvmx_handle {
	struct kvmx_vm *vm;
	struct kvmx_queue queue;
};

/**
 * struct kvmx_sys - a system fd
 * @queue: its events
 */
struct kvmx_sys {
	struct kvmx_queue queue;
};

static inline bool kvmx_vm_dead(const struct kvmx_vm *vm)
{
	return READ_ONCE(vm->bell.over);
}

static inline u32 kvmx_vm_handles(const struct kvmx_vm *vm)
{
	return READ_ONCE(vm->bell.nr);
}

/**
 * struct kvmx_tracker - a consumer of dirty pages; protected by kvmx_vm.lock
 * @vm: the VM
 * @node: in kvmx_vm.trackers
 * @id: a number for traces
 * @migration: it has KVMX_TRACKER_MIGRATION
 * @pend: for each of kvmx_vm.slots, what was taken out of KVM and not returned yet
 * @slots_changed: memslots changed since the last pass began
 * @in_pass: a pass has begun and has not ended
 * @disturbed: RESTORE or a change of memslots makes the next pass useless for the curve
 * @pass_bad: it makes this one so
 * @pass_start: when the pass began
 * @prev_start: when the last complete pass began, 0 before
 * @pass_pages: pages of this pass
 * @dma: this pass returns the pages of DMA ranges
 * @dma_pass: what kvmx_quiet() said when the pass began
 * @dma_done: what it said when the last complete pass began: nothing was written since if it
 *	still says so
 * @cursor: where the pass goes on
 * @history: for the dirty curve
 * @stats: counters
 */
struct kvmx_tracker {
	struct kvmx_vm *vm;
	struct list_head node;
	u32 id;
	bool migration;
	struct kvmx_pend **pend;
	bool slots_changed;
	bool in_pass;
	bool disturbed;
	bool pass_bad;
	u64 pass_start;
	u64 prev_start;
	u64 pass_pages;
	bool dma;
	u64 dma_pass;
	u64 dma_done;
	u64 cursor;
	struct kvmx_history history;
	struct {
		u64 passes;
		u64 harvested_pages;
		u64 absent_pages;
		u64 restored_pages;
		u64 over;
		u64 last_pages;
		u64 last_interval;
	} stats;
};

extern struct workqueue_struct *kvmx_settle_wq;
extern struct workqueue_struct *kvmx_death_wq;

/**
 * struct kvmx_call - an ioctl under way
 * @arg: the argument, copied in
 * @uarg: where it came from
 * @len: bytes to copy back
 */
struct kvmx_call {
	void *arg;
	void __user *uarg;
	size_t len;
};

int kvmx_call_put(const struct kvmx_call *call);

/* vm.c */
int kvmx_vm_open(struct kvmx_call *call);
void kvmx_vm_put(struct kvmx_vm *vm);
struct mm_struct *kvmx_vm_get_mm(struct kvmx_vm *vm);
int kvmx_vm_lock(struct kvmx_vm *vm);
int kvmx_vm_lock_own(struct kvmx_vm *vm);
struct file *kvmx_vm_file_get(struct kvmx_vm *vm);
int kvmx_vm_info(struct kvmx_vm *vm, struct kvmx_vm_info *info);
void kvmx_vms_visit(void (*visit)(struct kvmx_vm *vm, void *data), void *data);
void kvmx_vm_identity(struct kvmx_vm *vm, struct kvmx_identity *id);

/* ioctl.c */
long kvmx_sys_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long kvmx_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
long kvmx_tracker_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* event.c */
extern struct kvmx_bell kvmx_sys_bell;
void kvmx_bell_init(struct kvmx_bell *bell);
void kvmx_bell_ring(struct kvmx_bell *bell, u32 type, u64 arg);
bool kvmx_bell_end(struct kvmx_bell *bell);
void kvmx_event(struct kvmx_vm *vm, u32 type, u64 arg);
void kvmx_queue_add(struct kvmx_bell *bell, struct kvmx_queue *q);
void kvmx_queue_del(struct kvmx_bell *bell, struct kvmx_queue *q);
ssize_t kvmx_handle_read(struct file *file, char __user *buf, size_t len, loff_t *pos);
__poll_t kvmx_handle_poll(struct file *file, struct poll_table_struct *pt);
ssize_t kvmx_sys_read(struct file *file, char __user *buf, size_t len, loff_t *pos);
__poll_t kvmx_sys_poll(struct file *file, struct poll_table_struct *pt);

/* slots.c */
struct kvmx_slots *kvmx_slots_get(struct kvm *kvm);
void kvmx_slots_free(struct kvmx_slots *s);
u32 kvmx_slots_find(const struct kvmx_slots *s, u32 as, gfn_t gfn);
const struct kvmx_mslot *kvmx_slots_by_id(const struct kvmx_slots *s, u32 id, u32 *index);
u64 kvmx_slots_generation(struct kvm *kvm, u64 gen[KVMX_MAX_AS]);
int kvmx_slots_follow(struct kvmx_vm *vm);
int kvmx_slots_sync(struct kvmx_vm *vm);

/* tracker.c */
int kvmx_tracker_create(struct kvmx_vm *vm, u32 flags);
void kvmx_tracker_drop(struct kvmx_tracker *t);
u64 kvmx_add_runs(struct kvmx_tracker *only, struct kvmx_vm *vm, const struct kvmx_run *runs,
		  u32 nr);

/* harvest.c */
int kvmx_harvest(struct kvmx_tracker *t, struct kvmx_call *call);
int kvmx_collect_all(struct kvmx_vm *vm);

/* assign.c */
const struct kvmx_assign_ops *kvmx_assign_get(void);
void kvmx_assign_put(const struct kvmx_assign_ops *ops);
struct kvmx_owner kvmx_owner_of(const struct kvmx_vm *vm);
u64 kvmx_quiet(struct kvmx_vm *vm);
int kvmx_vm_quiesce(struct kvmx_handle *h, struct kvmx_call *call);
int kvmx_vm_resume(struct kvmx_vm *vm);
bool kvmx_quiesce_closed(struct kvmx_handle *h);
void kvmx_quiesce_death(struct kvmx_vm *vm);
void kvmx_quiesce_work(struct work_struct *work);

/* dma.c */
int kvmx_dma_declare(struct kvmx_handle *h, const struct kvmx_dma_declare *a);
int kvmx_dma_withdraw(struct kvmx_handle *h, const struct kvmx_dma_withdraw *a);
void kvmx_dma_closed(struct kvmx_handle *h);
bool kvmx_dma_next(const struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long from,
		   unsigned long to, struct kvmx_extent *ext);

/* sample.c */
int kvmx_sample(struct kvmx_vm *vm, struct kvmx_call *call);

/* absent.c */
bool kvmx_absent_look(struct mm_struct *mm, unsigned long addr, unsigned long *size);
unsigned long kvmx_absent_run(struct mm_struct *mm, unsigned long hva, unsigned long npages,
			      bool *absent);

/* stats.c */
void kvmx_stats_vm(struct kvmx_handle *h, struct kvmx_vm_stats *s);
void kvmx_stats_tracker(struct kvmx_tracker *t, struct kvmx_tracker_stats *s);

#endif /* KVMX_CORE_H */
