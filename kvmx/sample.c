// SPDX-License-Identifier: GPL-2.0
/*
 * The dirty curve of a VM that nobody logs, from a random sample of its pages.
 *
 * All pages are marked dirty and stay writable but for the sample's, so the guest pays for at most
 * that many write faults, and for as many again where KVM splits a huge page for each.
 */
#include <linux/hrtimer.h>
#include <linux/math64.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core.h"
#include "curve.h"
#include "log.h"

/**
 * struct sample - a page that is watched
 * @slot: index in kvmx_vm.slots
 * @page: in that memslot
 */
struct sample {
	u32 slot;
	unsigned long page;
};

static bool usable(const struct kvmx_mslot *s)
{
	return s->kvm_flags & KVM_MEM_LOG_DIRTY_PAGES && !(s->kvm_flags & KVM_MEM_READONLY);
}

static u64 usable_pages(const struct kvmx_slots *s)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < s->nr; i++)
		sum += usable(&s->slot[i]) ? s->slot[i].npages : 0;
	return sum;
}

/*
 * Chooses @nr of @total pages, one at random in each of @nr equal parts: no page twice, by memslot
 * and page, and no less exact than an independent choice.
 */
static void choose(const struct kvmx_slots *s, struct sample *sample, u32 nr, u64 total)
{
	u64 base = 0;
	u32 i, slot = 0;

	for (i = 0; i < nr; i++) {
		u64 from = mul_u64_u64_div_u64(i, total, nr);
		u64 to = mul_u64_u64_div_u64(i + 1, total, nr);
		u64 page = from + get_random_u64() % (to - from);

		while (!usable(&s->slot[slot]) || page - base >= s->slot[slot].npages) {
			base += usable(&s->slot[slot]) ? s->slot[slot].npages : 0;
			slot++;
		}
		sample[i].slot = slot;
		sample[i].page = page - base;
	}
}

/* Unmarks the sample's pages. */
static int clear_marks(struct kvmx_vm *vm, const struct sample *sample, u32 nr)
{
	u32 i = 0;
	int err;

	while (i < nr) {
		const struct kvmx_mslot *s = &vm->slots->slot[sample[i].slot];
		unsigned long first = sample[i].page / BITS_PER_LONG, words = 0;
		u32 slot = sample[i].slot;

		for (; i < nr && sample[i].slot == slot; i++) {
			unsigned long w = sample[i].page / BITS_PER_LONG - first;

			if (w >= KVMX_SEG_WORDS)
				break;
			for (; words <= w; words++)
				vm->words[words] = 0;
			vm->words[w] |= BIT(sample[i].page % BITS_PER_LONG);
		}
		err = kvmx_log_clear(vm, s, first, words);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static u32 count_marks(struct kvmx_vm *vm, const struct sample *sample, u32 nr)
{
	u32 i, n = 0;
	int idx;

	idx = srcu_read_lock(&vm->kvm->srcu);
	for (i = 0; i < nr; i++)
		n += kvmx_log_test(vm, &vm->slots->slot[sample[i].slot], sample[i].page);
	srcu_read_unlock(&vm->kvm->srcu, idx);
	return n;
}

/* Sleeps without the lock: others may look at the VM, and find that it is being sampled. */
static int sleep_until(struct kvmx_vm *vm, ktime_t when)
{
	int ret;

	mutex_unlock(&vm->lock);
	do {
		set_current_state(TASK_KILLABLE);
		ret = schedule_hrtimeout(&when, HRTIMER_MODE_ABS);
	} while (ret && !fatal_signal_pending(current));
	mutex_lock(&vm->lock);
	return ret ? -EINTR : 0;
}

/* The interval of point @i of @nr: each half the next, but at least 1 ms. */
static u64 interval(u64 duration, u32 i, u32 nr)
{
	u32 shift = nr - 1 - i;

	return max_t(u64, shift < 64 ? duration >> shift : 0, NSEC_PER_MSEC);
}

static int watch(struct kvmx_vm *vm, struct kvmx_vm_sample *a, const struct sample *sample,
		 struct kvmx_point *point, u64 total)
{
	u32 i, n, nr = 0;
	ktime_t begin;
	u64 t;
	int err;

	err = clear_marks(vm, sample, a->nr_samples);
	if (err)
		return err;
	begin = ktime_get();
	a->err_permille = 0;
	for (i = 0; i < a->nr_points; i++) {
		t = interval(a->duration_ns, i, a->nr_points);
		if (i && t == interval(a->duration_ns, i - 1, a->nr_points))
			continue;
		err = sleep_until(vm, ktime_add_ns(begin, t));
		if (err)
			return err;
		kvmx_log_flush(vm);
		/* What the clock says counts, not what was asked for. */
		point[nr].time_ns = max_t(s64, 1, ktime_to_ns(ktime_sub(ktime_get(), begin)));
		n = count_marks(vm, sample, a->nr_samples);
		point[nr].pages = mul_u64_u64_div_u64(n, total, a->nr_samples);
		a->err_permille = max_t(u64, a->err_permille,
					kvmx_curve_err_permille(n, a->nr_samples));
		nr++;
	}
	a->nr_points = nr;
	return 0;
}

static int log_and_watch(struct kvmx_vm *vm, struct kvmx_vm_sample *a, struct sample *sample,
			 struct kvmx_point *point)
{
	u64 total;
	int err;

	err = kvmx_log_begin(vm);
	if (err)
		return err;
	vm->sampling = true;
	total = usable_pages(vm->slots);
	err = -ENODATA;
	if (!total)
		goto end;
	a->nr_samples = min_t(u64, a->nr_samples, total);
	choose(vm->slots, sample, a->nr_samples, total);
	err = watch(vm, a, sample, point, total);
	a->total_pages = total;
end:
	vm->sampling = false;
	kvmx_log_end(vm);
	return err;
}

/**
 * kvmx_sample() - KVMX_VM_SAMPLE
 * @vm: the VM
 * @call: the call; its struct kvmx_vm_sample is valid
 *
 * Context: in the VMM's address space, under kvmx_vm.lock, which is released while it sleeps.
 * Return: 0, or an error as documented in the UAPI; logging is off either way.
 */
int kvmx_sample(struct kvmx_vm *vm, struct kvmx_call *call)
{
	struct kvmx_vm_sample *a = call->arg;
	struct kvmx_point *point;
	struct sample *sample;
	struct kvmx_slots *s;
	int err;

	lockdep_assert_held(&vm->lock);
	if (vm->logging || vm->sampling)
		return -EBUSY;
	if (vm->kvm->dirty_ring_size)
		return -EOPNOTSUPP;
	sample = kvmalloc_array(a->nr_samples, sizeof(*sample), GFP_KERNEL_ACCOUNT);
	point = kcalloc(KVMX_MAX_POINTS, sizeof(*point), GFP_KERNEL_ACCOUNT);
	s = kvmx_slots_get(vm->kvm);
	err = IS_ERR(s) || !sample || !point ? -ENOMEM : 0;
	if (!err && kvmx_log_foreign(s))
		err = -EBUSY;
	if (!err) {
		kvmx_slots_free(vm->slots);
		vm->slots = s;
		s = NULL;
		err = log_and_watch(vm, a, sample, point);
	}
	if (!err && copy_to_user(u64_to_user_ptr(a->points), point,
				 a->nr_points * sizeof(*point)))
		err = -EFAULT;
	if (!err)
		err = kvmx_call_put(call);
	if (!err) {
		vm->nr_sample = a->nr_points;
		memcpy(vm->sample, point, sizeof(vm->sample));
		vm->stats.samples++;
	}
	if (!IS_ERR(s))
		kvmx_slots_free(s);
	kfree(point);
	kvfree(sample);
	return err;
}
