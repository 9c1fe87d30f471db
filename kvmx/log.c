// SPDX-License-Identifier: GPL-2.0
/*
 * KVM's dirty log: the only file that issues KVM's ioctls or reads its bitmaps and rings.
 *
 * KVM's VM ioctls refuse another address space than the VM's own, so they are issued from within
 * the VMM's own call (or by a worker that has taken on its address space), and their arguments lie
 * in a scratch area in the VMM's memory. What the VMM does to that area it could as well do with
 * KVM's ioctls themselves.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "log.h"

#define SCRATCH_ARG	64UL
#define SCRATCH_BYTES	PAGE_ALIGN(SCRATCH_ARG + KVMX_SEG_WORDS * sizeof(long))

/*
 * A KVM_CLEAR_DIRTY_LOG costs a call and a TLB flush on all vCPUs, zero words in its mask cost a
 * copy: beyond so many zero words in a row a second call is the cheaper one.
 */
#define SEG_GAP		1024UL

/* Words looked at in one srcu section, so that a change of memslots need not wait for long. */
#define SEG_SCAN	BIT(17)

/*
 * A memslot that is gone, is there twice or has lost its bitmap is one that the VMM has changed
 * meanwhile: the next call finds that out.
 */
static long kvm_call(struct kvmx_vm *vm, unsigned int cmd, unsigned long arg)
{
	long ret;

	lockdep_assert_held(&vm->lock);
	ret = vm->file->f_op->unlocked_ioctl(vm->file, cmd, arg);
	return ret == -ENOENT || ret == -EEXIST || ret == -ENXIO ? -EAGAIN : ret;
}

/**
 * kvmx_put_words() - copy words to user space
 * @to: where to, aligned
 * @from: where from, aligned
 * @nr: words
 *
 * As copy_to_user(), but in words whatever string instructions cost: little is copied at a time.
 *
 * Return: 0 or -EFAULT.
 */
int kvmx_put_words(u64 __user *to, const void *from, size_t nr)
{
	const u64 *word = from;
	size_t i;

	if (!user_access_begin(to, nr * sizeof(*to)))
		return -EFAULT;
	for (i = 0; i < nr; i++)
		unsafe_put_user(word[i], to + i, fault);
	user_access_end();
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

static int kvm_call_arg(struct kvmx_vm *vm, unsigned int cmd, const void *arg, size_t len)
{
	if (kvmx_put_words((u64 __user *)vm->scratch, arg, len / sizeof(u64)))
		return -EFAULT;
	return kvm_call(vm, cmd, vm->scratch);
}

static int set_manual_protect(struct kvmx_vm *vm, u64 value)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args[0] = value,
	};

	return kvm_call_arg(vm, KVM_ENABLE_CAP, &cap, sizeof(cap));
}

/**
 * kvmx_log_foreign() - whether somebody else has switched logging on
 * @s: the memslots before kvmx has touched them
 *
 * Return: true if at least one memslot is logged.
 */
bool kvmx_log_foreign(const struct kvmx_slots *s)
{
	u32 i;

	for (i = 0; i < s->nr; i++) {
		if (s->slot[i].kvm_flags & KVM_MEM_LOG_DIRTY_PAGES)
			return true;
	}
	return false;
}

/* Whether a memslot is still there, with the flags that it had. */
static bool unchanged(struct kvmx_vm *vm, const struct kvmx_mslot *s)
{
	const struct kvm_memory_slot *slot;
	bool same;
	int idx;

	idx = srcu_read_lock(&vm->kvm->srcu);
	slot = id_to_memslot(__kvm_memslots(vm->kvm, s->id >> 16), (u16)s->id);
	same = slot && slot == s->ident && slot->flags == s->kvm_flags;
	srcu_read_unlock(&vm->kvm->srcu, idx);
	return same;
}

/* Logging makes a new memslot of the old one: remember which. */
static void reread(struct kvmx_vm *vm, struct kvmx_mslot *s)
{
	struct kvm_memory_slot *slot;
	int idx;

	idx = srcu_read_lock(&vm->kvm->srcu);
	slot = id_to_memslot(__kvm_memslots(vm->kvm, s->id >> 16), (u16)s->id);
	if (slot && slot->base_gfn == s->gfn && slot->npages == s->npages &&
	    slot->userspace_addr == s->hva) {
		s->ident = slot;
		s->kvm_flags = slot->flags;
	}
	srcu_read_unlock(&vm->kvm->srcu, idx);
}

/**
 * kvmx_log_slot() - switch logging of a memslot on or off
 * @vm: the VM
 * @s: the memslot; updated
 * @on: which
 *
 * A read-only memslot has nothing to log, but a memslot that the VMM has made again in the same
 * place is only known by not being logged.
 *
 * KVM has no call that changes a memslot's flags and nothing else: for one that the VMM removes
 * between the look at it and the call, the call makes it again. That is why the VMM must not change
 * memslots meanwhile.
 *
 * Context: in the VMM's address space, under kvmx_vm.lock.
 * Return: 0, also if the memslot needs no change, cannot be logged or is no longer there; -EAGAIN
 *	if it changed meanwhile; what KVM says.
 */
int kvmx_log_slot(struct kvmx_vm *vm, struct kvmx_mslot *s, bool on)
{
	struct kvm_userspace_memory_region r = {
		.slot = s->id,
		.flags = s->kvm_flags & KVM_MEM_READONLY,
		.guest_phys_addr = (u64)s->gfn << PAGE_SHIFT,
		.memory_size = (u64)s->npages << PAGE_SHIFT,
		.userspace_addr = s->hva,
	};
	int err;

	if (s->unloggable || on == !!(s->kvm_flags & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	/* Its flags cannot change once it is made. */
	if (s->kvm_flags & KVM_MEM_GUEST_MEMFD) {
		s->unloggable = true;
		return 0;
	}
	if (on)
		r.flags |= KVM_MEM_LOG_DIRTY_PAGES;
	if (!unchanged(vm, s))
		return 0;
	err = kvm_call_arg(vm, KVM_SET_USER_MEMORY_REGION, &r, sizeof(r));
	if (!err) {
		reread(vm, s);
		return 0;
	}
	if (err != -EINVAL)
		return err;
	if (!unchanged(vm, s))
		return -EAGAIN;
	s->unloggable = on;
	return on ? 0 : err;
}

static int log_all_on(struct kvmx_vm *vm)
{
	u32 i;
	int err;

	for (i = 0; i < vm->slots->nr; i++) {
		err = kvmx_log_slot(vm, &vm->slots->slot[i], true);
		if (err)
			return err;
	}
	return 0;
}

/* Goes on after an error: what is left logged is left so for good. Returns the first one. */
static int log_all_off(struct kvmx_vm *vm)
{
	int ret, err = 0;
	u32 i;

	for (i = 0; i < vm->slots->nr; i++) {
		ret = kvmx_log_slot(vm, &vm->slots->slot[i], false);
		err = err ?: ret;
	}
	/*
	 * Now vCPUs push no more; one with a full ring does not run, and nobody else drains it. The
	 * ring may have been enabled only after the last harvest.
	 */
	if (vm->kvm->dirty_ring_size)
		kvmx_ring_drain(vm);
	return err;
}

/*
 * What logging needs. A ring gets nothing of a page that stays writable, so with a ring KVM must
 * protect all pages at once, whatever the VMM has set.
 */
static int set_for_logging(struct kvmx_vm *vm)
{
	return set_manual_protect(vm, vm->ring ? 0 : KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
						     KVM_DIRTY_LOG_INITIALLY_SET);
}

/* KVM's settings as they were found. */
static void put_back(struct kvmx_vm *vm)
{
	set_manual_protect(vm, vm->manual_protect);
}

/**
 * kvmx_log_begin() - switch logging on for all memslots in kvmx_vm.slots
 * @vm: the VM; its memslots are not logged
 *
 * With a bitmap, every page is marked dirty at first and costs nothing until it is cleared
 * (KVM_DIRTY_LOG_INITIALLY_SET). With a ring KVM write-protects all pages at once.
 *
 * Context: in the VMM's address space, under kvmx_vm.lock.
 * Return: 0; on an error everything is as before.
 */
int kvmx_log_begin(struct kvmx_vm *vm)
{
	int err;

	lockdep_assert_held(&vm->lock);
	vm->words = kvmalloc_array(KVMX_SEG_WORDS, sizeof(long), GFP_KERNEL_ACCOUNT);
	if (!vm->words)
		return -ENOMEM;
	vm->scratch = vm_mmap(NULL, 0, SCRATCH_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(vm->scratch)) {
		err = vm->scratch;
		goto free_words;
	}
	vm->ring = vm->kvm->dirty_ring_size;
	vm->manual_protect = vm->kvm->manual_dirty_log_protect;
	err = set_for_logging(vm);
	if (err)
		goto unmap;
	err = log_all_on(vm);
	if (err)
		goto undo;
	vm->logging = true;
	return 0;
undo:
	log_all_off(vm);
	put_back(vm);
unmap:
	vm_munmap(vm->scratch, SCRATCH_BYTES);
free_words:
	kvfree(vm->words);
	vm->words = NULL;
	return err;
}

/**
 * kvmx_log_ring() - take note of a dirty ring that was enabled under a tracker
 * @vm: the VM, being logged
 *
 * Memslots that are yet to be logged must have their pages protected at once, as KVM does it with a
 * ring and without INITIALLY_SET.
 *
 * Context: in the VMM's address space, under kvmx_vm.lock.
 * Return: 0 or what KVM says; then the next call tries again.
 */
int kvmx_log_ring(struct kvmx_vm *vm)
{
	return vm->ring ? set_for_logging(vm) : 0;
}

/**
 * kvmx_log_end() - switch logging off and put KVM's settings back
 * @vm: the VM
 *
 * If that fails twice, as it may without memory, the VM stays one that is logged by kvmx: the next
 * tracker takes over from there.
 *
 * Context: in the VMM's address space, under kvmx_vm.lock.
 */
void kvmx_log_end(struct kvmx_vm *vm)
{
	struct kvmx_slots *now;
	int tries = 2, err;

	lockdep_assert_held(&vm->lock);
	do {
		/* They may have changed since the last harvest. Without memory: the known ones. */
		now = kvmx_slots_get(vm->kvm);
		if (!IS_ERR(now)) {
			kvmx_slots_free(vm->slots);
			vm->slots = now;
		}
		err = log_all_off(vm);
	} while (err && --tries);
	if (err)
		return;
	put_back(vm);
	vm_munmap(vm->scratch, SCRATCH_BYTES);
	kvfree(vm->words);
	vm->words = NULL;
	vm->logging = false;
}

/**
 * kvmx_log_settle() - as kvmx_log_end(), by a worker that has taken on the VMM's address space
 * @vm: the VM
 *
 * What the VMM may have mapped over the scratch area by now can make a page fault wait for ever,
 * and nobody can kill a worker: it takes a new area and waits for no fault. If it cannot be done
 * so, the next tracker takes over, as for kvmx_log_end().
 *
 * Context: in the VMM's address space, under kvmx_vm.lock.
 */
void kvmx_log_settle(struct kvmx_vm *vm)
{
	unsigned long scratch;

	lockdep_assert_held(&vm->lock);
	scratch = vm_mmap(NULL, 0, SCRATCH_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, 0);
	if (IS_ERR_VALUE(scratch))
		return;
	vm_munmap(vm->scratch, SCRATCH_BYTES);
	vm->scratch = scratch;
	pagefault_disable();
	kvmx_log_end(vm);
	pagefault_enable();
}

/*
 * With KVM_DIRTY_LOG_INITIALLY_SET nobody protects huge pages when logging begins: each CLEAR
 * looks for them, with two more walks of the page tables for every 64 pages. Once every page was
 * cleared there is none left, and KVM makes no new one in a memslot that is logged. So the flag is
 * off while kvmx clears, but a memslot that is new or was switched off and on again needs it.
 */
static void stop_splitting(struct kvmx_vm *vm)
{
	/* If that fails, it only stays slow. */
	if (vm->slots->cleared && kvm_dirty_log_manual_protect_and_init_set(vm->kvm))
		set_manual_protect(vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
}

/**
 * kvmx_log_rest() - put KVM's settings back to what they are between calls
 * @vm: the VM
 *
 * Context: in the VMM's address space, under kvmx_vm.lock, after kvmx_log_clear().
 */
void kvmx_log_rest(struct kvmx_vm *vm)
{
	if (vm->logging && !vm->ring && !kvm_dirty_log_manual_protect_and_init_set(vm->kvm))
		set_manual_protect(vm, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
				   KVM_DIRTY_LOG_INITIALLY_SET);
}

#define LINE_WORDS	(SMP_CACHE_BYTES / sizeof(long))

/* A cache line of words or-ed. All are loaded before one is looked at: no load waits for others. */
static unsigned long line(const unsigned long *p)
{
	unsigned long a = READ_ONCE(p[0]), b = READ_ONCE(p[1]), c = READ_ONCE(p[2]),
		      d = READ_ONCE(p[3]), e = READ_ONCE(p[4]), f = READ_ONCE(p[5]),
		      g = READ_ONCE(p[6]), h = READ_ONCE(p[7]);

	BUILD_BUG_ON(LINE_WORDS != 8);
	return a | b | c | d | e | f | g | h;
}

/*
 * First word at or after @w that is not 0, or @end. Most of a harvest is spent here if little is
 * dirty. The next word is near if memory is written to here; if not it is far, and four lines at a
 * time are fewer branches. KVM sets bits all the while: one set after the look is seen next time.
 */
static unsigned long next_word(const unsigned long *map, unsigned long w, unsigned long end)
{
	if (w + LINE_WORDS <= end && !line(map + w)) {
		const unsigned long *p;

		for (w += LINE_WORDS; w + 4 * LINE_WORDS <= end; w += 4 * LINE_WORDS) {
			p = map + w;
			if (line(p) | line(p + LINE_WORDS) | line(p + 2 * LINE_WORDS) |
			    line(p + 3 * LINE_WORDS))
				break;
		}
		while (w + LINE_WORDS <= end && !line(map + w))
			w += LINE_WORDS;
	}
	while (w < end && !READ_ONCE(map[w]))
		w++;
	return w;
}

/**
 * kvmx_log_skip() - find the next memslot that has something to tell
 * @t: the tracker
 * @i: index of the memslot to begin with
 * @pos: out: page up to which that memslot has nothing to tell
 *
 * While the memslots are those that we know, they need not be looked up one by one.
 *
 * Context: under kvmx_vm.lock; the bitmaps are the source.
 * Return: index of a memslot from @i on; all before it have nothing to tell.
 */
u32 kvmx_log_skip(struct kvmx_tracker *t, u32 i, unsigned long *pos)
{
	const struct kvmx_slots *s = t->vm->slots;
	struct kvm *kvm = t->vm->kvm;
	unsigned long words, w, seen = 0;
	struct kvmx_extent dma;
	int as, idx;

	lockdep_assert_held(&t->vm->lock);
	*pos = 0;
	idx = srcu_read_lock(&kvm->srcu);
	for (as = 0; as < kvmx_nr_as(kvm) && as < KVMX_MAX_AS; as++) {
		if (__kvm_memslots(kvm, as)->generation != s->generation[as])
			goto out;
	}
	for (; i < s->nr && seen < SEG_SCAN; i++, seen += words) {
		const struct kvm_memory_slot *slot = s->slot[i].ident;

		words = 0;
		if (s->slot[i].unloggable || !kvmx_pend_empty(t->pend[i]) ||
		    (t->dma && kvmx_dma_next(t->vm, &s->slot[i], 0, s->slot[i].npages, &dma)))
			break;
		if (!slot->dirty_bitmap)
			continue;
		words = BITS_TO_LONGS(slot->npages);
		w = next_word(slot->dirty_bitmap, 0, min(words, SEG_SCAN));
		if (w < words) {
			*pos = w * BITS_PER_LONG;
			break;
		}
	}
out:
	srcu_read_unlock(&kvm->srcu, idx);
	return i;
}

/**
 * kvmx_log_read() - copy a piece of a memslot's bitmap
 * @vm: the VM
 * @s: the memslot
 * @from: page to begin at
 * @budget: stop after about so many set bits
 * @seg: out: what was copied to kvmx_vm.words
 *
 * The bitmap is read where KVM keeps it, under kvm->srcu: no copy of what is zero.
 *
 * Context: under kvmx_vm.lock. Any address space.
 * Return: 0, or -EAGAIN if the memslot is no longer the same or is not logged.
 */
int kvmx_log_read(struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long from,
		  u64 budget, struct kvmx_seg *seg)
{
	unsigned long w = from / BITS_PER_LONG, end;
	const struct kvm_memory_slot *slot;
	const unsigned long *map;
	int idx, err = 0;

	lockdep_assert_held(&vm->lock);
	seg->pages = 0;
	seg->nr = 0;
	idx = srcu_read_lock(&vm->kvm->srcu);
	slot = id_to_memslot(__kvm_memslots(vm->kvm, s->id >> 16), (u16)s->id);
	if (slot != s->ident || !slot->dirty_bitmap) {
		err = -EAGAIN;
		goto out;
	}
	map = slot->dirty_bitmap;
	end = min(BITS_TO_LONGS(s->npages), w + SEG_SCAN);
	w = next_word(map, w, end);
	seg->first = w;
	end = min(end, w + KVMX_SEG_WORDS);
	while (w < end && seg->pages < budget) {
		unsigned long v = READ_ONCE(map[w]), next;

		if (v) {
			vm->words[w++ - seg->first] = v;
			seg->pages += hweight_long(v);
			seg->nr = w - seg->first;
			continue;
		}
		next = min(end, w + SEG_GAP);
		next = next_word(map, w + 1, next);
		memset(vm->words + w - seg->first, 0, (next - w) * sizeof(long));
		if (next - w == SEG_GAP)
			end = next;
		w = next;
	}
	seg->end_page = min(w * BITS_PER_LONG, s->npages);
out:
	srcu_read_unlock(&vm->kvm->srcu, idx);
	return err;
}

/**
 * kvmx_log_peek() - copy a piece of a memslot's bitmap as it is
 * @vm: the VM
 * @s: the memslot
 * @from: page to begin at, a multiple of 64
 * @npages: pages, at most what kvmx_vm.words holds
 *
 * Context: under kvmx_vm.lock. Any address space.
 * Return: 0, or -EAGAIN if the memslot is no longer the same or is not logged.
 */
int kvmx_log_peek(struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long from,
		  unsigned long npages)
{
	const struct kvm_memory_slot *slot;
	int idx, err = 0;

	lockdep_assert_held(&vm->lock);
	idx = srcu_read_lock(&vm->kvm->srcu);
	slot = id_to_memslot(__kvm_memslots(vm->kvm, s->id >> 16), (u16)s->id);
	if (slot == s->ident && slot->dirty_bitmap)
		/* As for next_word(): a bit set meanwhile may be seen or not. */
		data_race(memcpy(vm->words, slot->dirty_bitmap + from / BITS_PER_LONG,
				 BITS_TO_LONGS(npages) * sizeof(long)));
	else
		err = -EAGAIN;
	srcu_read_unlock(&vm->kvm->srcu, idx);
	return err;
}

/**
 * kvmx_log_test() - look at one bit of a memslot's bitmap
 * @vm: the VM
 * @s: the memslot
 * @page: which
 *
 * Context: inside kvm->srcu. Any address space.
 * Return: whether the page is dirty; true also if the memslot is another one.
 */
bool kvmx_log_test(struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long page)
{
	const struct kvm_memory_slot *slot;

	slot = id_to_memslot(__kvm_memslots(vm->kvm, s->id >> 16), (u16)s->id);
	return slot != s->ident || !slot->dirty_bitmap || test_bit(page, slot->dirty_bitmap);
}

/**
 * kvmx_log_clear() - clear exactly the bits in kvmx_vm.words and write-protect their pages
 * @vm: the VM
 * @s: the memslot
 * @first: first word
 * @nr: words
 *
 * Context: in the VMM's address space, under kvmx_vm.lock.
 * Return: 0; on an error no bit was cleared.
 */
int kvmx_log_clear(struct kvmx_vm *vm, const struct kvmx_mslot *s, unsigned long first,
		   unsigned long nr)
{
	struct kvm_clear_dirty_log c = {
		.slot = s->id,
		.first_page = first * BITS_PER_LONG,
		.dirty_bitmap = (void __user *)(vm->scratch + SCRATCH_ARG),
	};

	stop_splitting(vm);
	c.num_pages = min(nr * BITS_PER_LONG, s->npages - first * BITS_PER_LONG);
	if (kvmx_put_words(c.dirty_bitmap, vm->words, nr))
		return -EFAULT;
	vm->stats.clear_calls++;
	return kvm_call_arg(vm, KVM_CLEAR_DIRTY_LOG, &c, sizeof(c));
}

/**
 * kvmx_log_flush() - have the CPUs write what they still hold into the bitmaps
 * @vm: the VM
 *
 * Intel CPUs keep up to 512 dirty pages in a buffer of each vCPU (Page-Modification Logging).
 * A clear of nothing makes KVM flush them all and touches no bit.
 *
 * Context: in the VMM's address space, under kvmx_vm.lock.
 */
void kvmx_log_flush(struct kvmx_vm *vm)
{
	struct kvm_clear_dirty_log c = { };
	u32 i;

	if (vm->ring || !boot_cpu_has(X86_FEATURE_VMX))
		return;
	c.dirty_bitmap = (void __user *)(vm->scratch + SCRATCH_ARG);
	for (i = 0; i < vm->slots->nr; i++) {
		c.slot = vm->slots->slot[i].id;
		if (!(vm->slots->slot[i].kvm_flags & KVM_MEM_LOG_DIRTY_PAGES))
			continue;
		if (!kvm_call_arg(vm, KVM_CLEAR_DIRTY_LOG, &c, sizeof(c)))
			return;
	}
}

/* Adds a ring's entry to all trackers. The VMM can write to the ring: check everything. */
static bool ring_entry(struct kvmx_vm *vm, u32 id, u64 offset)
{
	const struct kvmx_mslot *s;
	struct kvmx_tracker *t;
	u32 i;

	s = kvmx_slots_by_id(vm->slots, id, &i);
	if (!s || offset >= s->npages)
		return false;
	list_for_each_entry(t, &vm->trackers, node)
		kvmx_pend_add(t->pend[i], offset, 1);
	return true;
}

/* Returns whether there are entries to be reset. */
static bool ring_read(struct kvmx_vm *vm, struct kvm_dirty_ring *ring, bool take)
{
	u32 i, pos = READ_ONCE(ring->reset_index);
	bool any = false;

	if (!ring->dirty_gfns)
		return false;
	for (i = 0; i < ring->size; i++, pos++) {
		struct kvm_dirty_gfn *e = &ring->dirty_gfns[pos & (ring->size - 1)];
		/* Pairs with the release in KVM's kvm_dirty_gfn_set_dirtied(). */
		u32 flags = smp_load_acquire(&e->flags);

		/* Left over by a reset that was cut short: taken already. */
		if (flags & KVM_DIRTY_GFN_F_RESET) {
			any = true;
			continue;
		}
		if (!(flags & KVM_DIRTY_GFN_F_DIRTY))
			break;
		vm->stats.collected_pages += ring_entry(vm, READ_ONCE(e->slot),
							READ_ONCE(e->offset)) && take;
		if (take) {
			/* Pairs with the acquire in KVM's kvm_dirty_gfn_harvested(). */
			smp_store_release(&e->flags, KVM_DIRTY_GFN_F_RESET);
		}
		any = true;
	}
	return any;
}

/**
 * kvmx_ring_peek() - add what is in the dirty rings to all trackers, and leave it in the rings
 * @vm: the VM
 *
 * The pages are dirty for every tracker anyway: to know it early costs nothing, and they are
 * returned once, since a harvest drains the rings before it returns a page.
 *
 * Context: under kvmx_vm.lock. Any address space.
 */
void kvmx_ring_peek(struct kvmx_vm *vm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	lockdep_assert_held(&vm->lock);
	kvm_for_each_vcpu(i, vcpu, vm->kvm)
		ring_read(vm, &vcpu->dirty_ring, false);
}

/* Whether a reset has left entries behind that were taken. */
static bool ring_left_over(struct kvmx_vm *vm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, vm->kvm) {
		const struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
		u32 pos = READ_ONCE(ring->reset_index);

		if (ring->dirty_gfns && READ_ONCE(ring->dirty_gfns[pos & (ring->size - 1)].flags) &
					KVM_DIRTY_GFN_F_RESET)
			return true;
	}
	return false;
}

/*
 * Has KVM protect the pages of the entries that were taken. Newer kernels (7.3 does, 6.12 does not)
 * stop at a signal and say nothing of what is left: pages would stay writable and not be logged. So
 * no signal is seen meanwhile; the rings bound the time that takes. The VMM can write to the rings,
 * so there is an end to trying, too.
 */
static int ring_reset(struct kvmx_vm *vm)
{
	unsigned int flags = current->flags;
	sigset_t all, old;
	int tries = 0;
	long ret;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	current->flags |= KVMX_PF_NO_NOTIFY;
	do {
		vm->stats.clear_calls++;
		ret = kvm_call(vm, KVM_RESET_DIRTY_RINGS, 0);
	} while (ret >= 0 && ring_left_over(vm) && ++tries < 16);
	current_restore_flags(flags, KVMX_PF_NO_NOTIFY);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (ret < 0)
		return ret;
	return tries < 16 ? 0 : -EAGAIN;
}

/**
 * kvmx_ring_drain() - move the dirty rings' entries to all trackers
 * @vm: the VM
 *
 * Context: in the VMM's address space, under kvmx_vm.lock, memslots in step.
 * Return: 0; on an error the entries taken are not lost, their pages only not yet protected
 *	again, and the next call does that.
 */
int kvmx_ring_drain(struct kvmx_vm *vm)
{
	struct kvm_vcpu *vcpu;
	bool any = false;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, vm->kvm)
		any |= ring_read(vm, &vcpu->dirty_ring, true);
	return any ? ring_reset(vm) : 0;
}
