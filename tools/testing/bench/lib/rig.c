// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/far.h"
#include "lib/kx.h"
#include "lib/rig.h"
#include "lib/stat.h"

#define WORD_BITS 64
/* What QEMU clears at a time, if it is not told otherwise. */
#define CHUNK_WORDS (GIB / PAGE_SIZE / WORD_BITS)
/* Zero words copied for nothing cost less than another call: measured, and kvmx does the same. */
#define LONG_GAP 1024

const char * const way_names[NR_WAYS] = {
	[WAY_KVMX] = "kvmx",
	[WAY_KVMX_RING] = "kvmx on the ring",
	[WAY_GET] = "legacy GET",
	[WAY_GET_CLEAR] = "GET+CLEAR",
	[WAY_TUNED] = "tuned GET+CLEAR",
	[WAY_TUNED_PIECES] = "tuned GET+CLEAR",
	[WAY_RING] = "ring in user space",
};

void *rig_memory(uint64_t bytes)
{
	void *memory = mem_map(MEM_RESERVE, bytes);

	if (!memory)
		die("mmap", errno);
	/* A huge page for each page written would fill the host. */
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	return memory;
}

static void put_run(struct rig *rig, uint64_t gfn, uint32_t npages, uint32_t slot)
{
	if (rig->nr_runs == RIG_RUNS)
		die("more runs than expected", ENOSPC);
	rig->runs[rig->nr_runs++] = (struct kvmx_run){
		.gfn = gfn, .npages = npages, .slot = slot };
}

static bool rig_tuned(enum way way)
{
	return way == WAY_TUNED || way == WAY_TUNED_PIECES;
}

/*
 * First word at or after @w that is not 0, or @nr. One word after the other: so QEMU goes through
 * a bitmap, and three times: out of KVM's, into the migration's, and to find what to send. Here it
 * is once. (Firecracker and Cloud Hypervisor look at every bit.) The tuned ways skip as kvmx does.
 */
static uint64_t next_word(const struct rig *rig, uint64_t w, uint64_t nr)
{
	const unsigned long *map = rig->bitmap;

	for (; rig_tuned(rig->way) && w + 8 <= nr; w += 8) {
		const unsigned long *p = map + w;

		if (p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7])
			break;
	}
	while (w < nr && !map[w])
		w++;
	return w;
}

static void clear_words(struct rig *rig, const struct vm_slot *slot, uint64_t first, uint64_t nr)
{
	struct kvm_clear_dirty_log clear = {
		.slot = slot->id,
		.first_page = first * WORD_BITS,
		.num_pages = nr * WORD_BITS,
		.dirty_bitmap = rig->bitmap + first,
	};

	if (clear.first_page + clear.num_pages > slot->npages)
		clear.num_pages = slot->npages - clear.first_page;
	if (ioctl(rig->vm.fd, KVM_CLEAR_DIRTY_LOG, &clear))
		die("KVM_CLEAR_DIRTY_LOG", errno);
}

/* Turns bits into runs, whole stretches at a time. */
static uint64_t scan_word(struct rig *rig, const struct vm_slot *slot, uint64_t w,
			  uint64_t *start, uint64_t *end)
{
	unsigned long bits = rig->bitmap[w];
	uint64_t pages = 0;

	while (bits) {
		unsigned int from = __builtin_ctzl(bits), len;
		unsigned long rest = ~(bits >> from);
		uint64_t page = w * WORD_BITS + from;

		len = rest ? (unsigned int)__builtin_ctzl(rest) : WORD_BITS;
		if (page != *end) {
			if (*end)
				put_run(rig, slot->gfn + *start, *end - *start, slot->id);
			*start = page;
		}
		*end = page + len;
		pages += len;
		bits = from + len == WORD_BITS ? 0 : bits & ~0UL << (from + len);
	}
	return pages;
}

/*
 * Clears what was found, from word @first to word @last. QEMU does it in pieces of a GiB, before it
 * sends the first page of each.
 */
static void clear_found(struct rig *rig, const struct vm_slot *slot, uint64_t first, uint64_t last,
			uint64_t nr)
{
	uint64_t end;

	if (rig->way == WAY_GET)
		return;
	if (rig->way == WAY_GET_CLEAR) {
		first = first / CHUNK_WORDS * CHUNK_WORDS;
		end = first + CHUNK_WORDS;
		last = (end < nr ? end : nr) - 1;
	}
	clear_words(rig, slot, first, last - first + 1);
}

/* Whether what was found up to word @last must be cleared before going on at word @w. */
static bool piece_ends(const struct rig *rig, uint64_t last, uint64_t w)
{
	switch (rig->way) {
	case WAY_GET_CLEAR:
		return w / CHUNK_WORDS != last / CHUNK_WORDS;
	case WAY_TUNED_PIECES:
		return w - last > LONG_GAP;
	default:
		return false;
	}
}

static uint64_t scan_slot(struct rig *rig, const struct vm_slot *slot)
{
	uint64_t nr = (slot->npages + WORD_BITS - 1) / WORD_BITS, start = 0, end = 0, pages = 0;
	uint64_t w, first, last;

	w = next_word(rig, 0, nr);
	for (first = last = w; w < nr; w = next_word(rig, w + 1, nr)) {
		if (piece_ends(rig, last, w)) {
			clear_found(rig, slot, first, last, nr);
			first = w;
		}
		pages += scan_word(rig, slot, w, &start, &end);
		last = w;
	}
	if (!pages)
		return 0;
	put_run(rig, slot->gfn + start, end - start, slot->id);
	clear_found(rig, slot, first, last, nr);
	return pages;
}

static uint64_t harvest_log(struct rig *rig)
{
	struct kvm_dirty_log log = { .dirty_bitmap = rig->bitmap };
	uint64_t pages = 0;
	int i;

	for (i = 0; i < rig->vm.nr_slots; i++) {
		log.slot = rig->vm.slot[i].id;
		if (ioctl(rig->vm.fd, KVM_GET_DIRTY_LOG, &log))
			die("KVM_GET_DIRTY_LOG", errno);
		pages += scan_slot(rig, &rig->vm.slot[i]);
	}
	return pages;
}

/* Runs as they come: sorting them would cost a real sender more. */
static uint64_t harvest_ring(struct rig *rig)
{
	uint64_t pages = 0;

	for (;; rig->ring_pos++, pages++) {
		struct kvm_dirty_gfn *e = &rig->ring[rig->ring_pos % VM_RING_ENTRIES];

		if (!(__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY))
			break;
		put_run(rig, vm_slot(&rig->vm, e->slot)->gfn + e->offset, 1, e->slot);
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	}
	if (ioctl(rig->vm.fd, KVM_RESET_DIRTY_RINGS, 0) < 0)
		die("KVM_RESET_DIRTY_RINGS", errno);
	return pages;
}

static uint64_t harvest_kvmx(struct rig *rig)
{
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest, .runs = (uintptr_t)rig->runs,
					 .run_size = sizeof(*rig->runs), .nr_runs = RIG_RUNS);

	must("KVMX_HARVEST", kx_ioctl(rig->tracker, KVMX_HARVEST, &arg));
	if (arg.cursor)
		die("more runs than expected", ENOSPC);
	rig->nr_runs = arg.nr_runs;
	return arg.nr_pages;
}

uint64_t rig_harvest(struct rig *rig, double *ns)
{
	uint64_t start, pages;

	rig->nr_runs = 0;
	start = now_ns();
	switch (rig->way) {
	case WAY_KVMX:
	case WAY_KVMX_RING:
		pages = harvest_kvmx(rig);
		break;
	case WAY_RING:
		pages = harvest_ring(rig);
		break;
	default:
		pages = harvest_log(rig);
	}
	*ns = now_ns() - start;
	return pages;
}

static void begin_kvmx(struct rig *rig)
{
	rig->handle = must_fd("KVMX_VM_OPEN", kx_vm(rig->vm.fd));
	rig->tracker = must_fd("KVMX_TRACKER_CREATE",
			       kx_tracker(rig->handle, KVMX_TRACKER_CLEAN));
}

static void begin_log(struct rig *rig)
{
	uint64_t bytes = (rig->slot_pages + WORD_BITS - 1) / WORD_BITS * sizeof(long) + PAGE_SIZE;
	double ns;
	int i;

	if (rig->way == WAY_GET_CLEAR || rig_tuned(rig->way))
		must("MANUAL_DIRTY_LOG_PROTECT2",
		     vm_enable_cap(&rig->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
				   KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
				   KVM_DIRTY_LOG_INITIALLY_SET));
	for (i = 0; i < rig->vm.nr_slots; i++)
		must("logging", vm_set_flags(&rig->vm, rig->vm.slot[i].id,
					     KVM_MEM_LOG_DIRTY_PAGES));
	rig->bitmap = malloc(bytes);
	if (!rig->bitmap)
		die("bitmap", ENOMEM);
	/* Page faults are not what is to be measured. */
	memset(rig->bitmap, 0xff, bytes);
	rig_harvest(rig, &ns);
}

static void begin_ring(struct rig *rig)
{
	int i;

	rig->ring = mmap(NULL, VM_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			 rig->vm.vcpu[0].fd, KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE);
	if (rig->ring == MAP_FAILED)
		die("mmap of the ring", errno);
	for (i = 0; i < rig->vm.nr_slots; i++)
		must("logging", vm_set_flags(&rig->vm, rig->vm.slot[i].id,
					     KVM_MEM_LOG_DIRTY_PAGES));
}

void rig_make(struct rig *rig, enum way way, uint32_t nr_slots, uint64_t slot_pages, void *memory)
{
	bool ring = way == WAY_RING || way == WAY_KVMX_RING;
	uint32_t i;

	memset(rig, 0, sizeof(*rig));
	rig->way = way;
	rig->nr_slots = nr_slots;
	rig->slot_pages = slot_pages;
	rig->runs = malloc(RIG_RUNS * sizeof(*rig->runs));
	if (!rig->runs)
		die("runs", ENOMEM);
	memset(rig->runs, 0xff, RIG_RUNS * sizeof(*rig->runs));
	must("VM", vm_create(&rig->vm, ring ? VM_RING_BYTES : 0));
	must("long mode", far_init(&rig->vm));
	for (i = 0; i < nr_slots; i++)
		must("memslot", vm_map_slot(&rig->vm, i + 1, RIG_BASE / PAGE_SIZE + i * slot_pages,
					    slot_pages,
					    (char *)memory + i * slot_pages * PAGE_SIZE, 0));
	if (way == WAY_RING)
		begin_ring(rig);
	else if (way == WAY_KVMX || way == WAY_KVMX_RING)
		begin_kvmx(rig);
	else
		begin_log(rig);
}

void rig_free(struct rig *rig)
{
	if (rig->way == WAY_KVMX || rig->way == WAY_KVMX_RING) {
		close(rig->tracker);
		close(rig->handle);
	}
	if (rig->ring)
		munmap(rig->ring, VM_RING_BYTES);
	vm_destroy(&rig->vm);
	free(rig->bitmap);
	free(rig->runs);
}
