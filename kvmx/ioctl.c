// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls: copy-in, validation and dispatch. No policy.
 *
 * One contract for all: EINVAL for a size below the first version's and for a value out of range,
 * E2BIG for an unknown tail, EOPNOTSUPP for an unknown flag or a reserved field in use.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ioctl.h"
#include "ksm.h"
#include "log.h"
#include "predict.h"
#include "trace.h"

/* The first version of every struct is the only one so far. */
union args {
	struct kvmx_info info;
	struct kvmx_feature feature;
	struct kvmx_vm_open vm_open;
	struct kvmx_vm_info vm_info;
	struct kvmx_vm_slots vm_slots;
	struct kvmx_vm_mark vm_mark;
	struct kvmx_vm_sample vm_sample;
	struct kvmx_vm_stats vm_stats;
	struct kvmx_tracker_create tracker_create;
	struct kvmx_harvest harvest;
	struct kvmx_restore restore;
	struct kvmx_tracker_stats tracker_stats;
	struct kvmx_tracker_curve tracker_curve;
	struct kvmx_predict predict;
	struct kvmx_ksm_host_set ksm_host_set;
	struct kvmx_ksm_host_get ksm_host_get;
	struct kvmx_ksm_plan ksm_plan;
	struct kvmx_vm_ksm_set vm_ksm_set;
	struct kvmx_vm_ksm_get vm_ksm_get;
	struct kvmx_vm_ksm_pin vm_ksm_pin;
	struct kvmx_lease_acquire lease_acquire;
	struct kvmx_lease_release lease_release;
	struct kvmx_lease_list lease_list;
	struct kvmx_dev_report dev_report;
	struct kvmx_dma_declare dma_declare;
	struct kvmx_dma_withdraw dma_withdraw;
	struct kvmx_vm_quiesce vm_quiesce;
	struct kvmx_vm_resume vm_resume;
	struct kvmx_vm_devices vm_devices;
};

struct op {
	unsigned int cmd;
	size_t size;
	long (*run)(struct file *file, struct kvmx_call *call);
};

/* The size of a struct's first version is a promise. */
#define OP(_cmd, _run, _type, _size) {						\
	.cmd = (_cmd),								\
	.run = (_run),								\
	.size = sizeof(_type) + BUILD_BUG_ON_ZERO(sizeof(_type) != (_size)),	\
}

/**
 * kvmx_call_put() - copy the argument back to the caller
 * @call: the call
 *
 * Return: 0 or -EFAULT.
 */
int kvmx_call_put(const struct kvmx_call *call)
{
	return copy_to_user(call->uarg, call->arg, call->len) ? -EFAULT : 0;
}

static long dispatch(const struct op *ops, size_t nr, struct file *file, unsigned int cmd,
		     unsigned long arg)
{
	union args args;
	struct kvmx_call call = { .arg = &args, .uarg = (void __user *)arg };
	const struct op *op;
	u32 size;
	int err;

	for (op = ops; op < ops + nr && op->cmd != cmd; op++)
		;
	if (op == ops + nr)
		return -ENOTTY;
	if (get_user(size, (u32 __user *)call.uarg))
		return -EFAULT;
	if (size < op->size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(&args, op->size, call.uarg, size);
	if (err)
		return err;
	/* It may have changed since it was looked at. */
	args.info.size = size;
	call.len = op->size;
	return op->run(file, &call);
}

static bool devices_offered(void)
{
	const struct kvmx_assign_ops *ops = kvmx_assign_get();

	if (ops)
		kvmx_assign_put(ops);
	return ops;
}

static u64 feature_value(u32 feature)
{
	static const u64 value[KVMX_FEAT_NR] = {
		[KVMX_FEAT_TRACKER] = KVMX_MAX_TRACKERS,
		[KVMX_FEAT_BITMAP] = 1,
		[KVMX_FEAT_RING] = KVM_DIRTY_RING_MAX_ENTRIES * sizeof(struct kvm_dirty_gfn),
		[KVMX_FEAT_ABSENT] = 1,
		[KVMX_FEAT_SAMPLE] = KVMX_MAX_SAMPLES,
		[KVMX_FEAT_PREDICT] = KVMX_MAX_POINTS,
		[KVMX_FEAT_EVENT] = sizeof(struct kvmx_event),
		[KVMX_FEAT_DMA] = KVMX_MAX_DMA_RANGES,
	};

	switch (feature) {
	case KVMX_FEAT_KSM:
		return kvmx_knobs_present();
	case KVMX_FEAT_DEVICE:
		return devices_offered();
	default:
		return value[feature];
	}
}

static long sys_info(struct file *file, struct kvmx_call *call)
{
	struct kvmx_info *a = call->arg;

	u32 i;

	if (a->flags)
		return -EOPNOTSUPP;
	a->features = 0;
	for (i = 0; i < KVMX_FEAT_NR; i++)
		a->features |= feature_value(i) ? BIT_ULL(i) : 0;
	a->max_runs = KVMX_MAX_RUNS;
	a->max_trackers = KVMX_MAX_TRACKERS;
	a->max_samples = KVMX_MAX_SAMPLES;
	a->max_points = KVMX_MAX_POINTS;
	return kvmx_call_put(call);
}

static long sys_feature(struct file *file, struct kvmx_call *call)
{
	struct kvmx_feature *a = call->arg;

	if (a->flags || a->__reserved)
		return -EOPNOTSUPP;
	if (a->feature >= KVMX_FEAT_NR)
		return -EINVAL;
	a->value = feature_value(a->feature);
	return kvmx_call_put(call);
}

static long sys_vm_open(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_vm_open *a = call->arg;

	if (a->flags || a->__reserved)
		return -EOPNOTSUPP;
	return kvmx_vm_open(call);
}

/* Validates a PREDICT and, if the caller gave points, makes the curve of them. */
static int predict_check(const struct kvmx_predict *a, struct kvmx_curve *curve)
{
	struct kvmx_point *point;
	int err;

	if (a->flags & ~(KVMX_PREDICT_DEFER | KVMX_PREDICT_POINTS) || a->__reserved)
		return -EOPNOTSUPP;
	if (!a->page_bytes || a->page_bytes > 65536 || !a->min_permille || a->min_permille > 1000)
		return -EINVAL;
	if (!(a->flags & KVMX_PREDICT_POINTS))
		return 0;
	if (!a->nr_points || a->nr_points > KVMX_MAX_POINTS || a->point_size != sizeof(*point))
		return -EINVAL;
	point = memdup_user(u64_to_user_ptr(a->points), a->nr_points * sizeof(*point));
	if (IS_ERR(point))
		return PTR_ERR(point);
	err = kvmx_curve_build(curve, point, a->nr_points, a->total_pages);
	kfree(point);
	return err;
}

static int predict_run(struct kvmx_call *call, const struct kvmx_curve *curve, u64 total, u32 id)
{
	struct kvmx_predict *a = call->arg;
	struct kvmx_predict_in in = {
		.bandwidth = a->bandwidth,
		.allowed_ns = a->allowed_ns,
		.fixed_ns = a->fixed_ns,
		.remaining_pages = a->remaining_pages,
		.page_bytes = a->page_bytes,
		.min_permille = a->min_permille,
		.defer = a->flags & KVMX_PREDICT_DEFER,
	};
	struct kvmx_predict_out out;
	int err;

	if (in.remaining_pages != U64_MAX && in.remaining_pages > total)
		return -EINVAL;
	err = kvmx_predict(curve, &in, &out);
	if (err)
		return err;
	a->verdict = out.verdict;
	a->rounds = out.rounds;
	a->bytes = out.bytes;
	a->total_ns = out.total_ns;
	a->pause_ns = out.pause_ns;
	a->offline_ns = out.offline_ns;
	a->vcpu_permille = out.vcpu_permille;
	trace_kvmx_predict(id, a->verdict, a->rounds, a->pause_ns, a->total_ns, a->vcpu_permille);
	return kvmx_call_put(call);
}

static u64 slots_pages(const struct kvmx_slots *s)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < s->nr; i++)
		sum += s->slot[i].npages;
	return sum;
}

static int vm_pages(struct kvmx_vm *vm, u64 *pages)
{
	struct kvmx_slots *s;

	s = kvmx_slots_get(vm->kvm);
	if (IS_ERR(s))
		return PTR_ERR(s);
	*pages = slots_pages(s);
	kvmx_slots_free(s);
	return 0;
}

static int sampled_curve(const struct kvmx_vm *vm, u64 total, struct kvmx_curve *curve)
{
	if (!vm)
		return -EINVAL;
	if (!vm->nr_sample)
		return -ENODATA;
	return kvmx_curve_build(curve, vm->sample, vm->nr_sample, total);
}

/*
 * PREDICT on any kind of fd: on the system fd @vm is NULL, on all but a tracker fd @t is. Points
 * are worth what the caller says; without them the curve is the kernel's own.
 */
static long predict(struct kvmx_vm *vm, struct kvmx_tracker *t, struct kvmx_call *call)
{
	struct kvmx_predict *a = call->arg;
	bool points = a->flags & KVMX_PREDICT_POINTS;
	struct kvmx_curve *curve;
	u64 total = 0;
	int err;

	curve = kzalloc(sizeof(*curve), GFP_KERNEL_ACCOUNT);
	if (!curve)
		return -ENOMEM;
	if (vm) {
		err = kvmx_vm_lock(vm);
		if (err)
			goto free;
		err = vm_pages(vm, &total);
		if (err)
			goto unlock;
		if (!a->total_pages)
			a->total_pages = total;
	}
	err = predict_check(a, curve);
	if (err)
		goto unlock;
	if (!points && t)
		err = kvmx_history_curve(&t->history, a->total_pages, curve);
	else if (!points)
		err = sampled_curve(vm, a->total_pages, curve);
	if (!err)
		err = predict_run(call, curve, a->total_pages, vm ? vm->id : 0);
	if (!err && vm)
		vm->stats.predictions++;
unlock:
	if (vm)
		mutex_unlock(&vm->lock);
free:
	kfree(curve);
	return err;
}

static long sys_predict(struct file *file, struct kvmx_call *call)
{
	return predict(NULL, NULL, call);
}

static struct kvmx_vm *file_vm(struct file *file)
{
	struct kvmx_handle *h = file->private_data;

	return h->vm;
}

static long vm_predict(struct file *file, struct kvmx_call *call)
{
	return predict(file_vm(file), NULL, call);
}

static long vm_info(struct file *file, struct kvmx_call *call)
{
	struct kvmx_vm_info *a = call->arg;
	struct kvmx_vm *vm = file_vm(file);
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	err = kvmx_vm_lock(vm);
	if (err)
		return err;
	err = kvmx_vm_info(vm, a);
	mutex_unlock(&vm->lock);
	return err ?: kvmx_call_put(call);
}

static u32 slot_flags(const struct kvmx_vm *vm, const struct kvmx_mslot *s)
{
	const struct kvmx_mslot *known;
	u32 flags = 0, i;

	/* Whether KVM can log it is only known once it was asked to. */
	known = vm->logging ? kvmx_slots_by_id(vm->slots, s->id, &i) : NULL;
	if (s->kvm_flags & KVM_MEM_READONLY)
		flags |= KVMX_SLOT_READONLY;
	if (s->kvm_flags & KVM_MEM_LOG_DIRTY_PAGES)
		flags |= KVMX_SLOT_LOGGED;
	if (s->kvm_flags & KVM_MEM_GUEST_MEMFD || (known && known->unloggable))
		flags |= KVMX_SLOT_UNLOGGABLE;
	return flags;
}

static struct kvmx_slot *slots_list(const struct kvmx_vm *vm, const struct kvmx_slots *s)
{
	struct kvmx_slot *list;
	u32 i;

	list = kvcalloc(max(s->nr, 1U), sizeof(*list), GFP_KERNEL_ACCOUNT);
	if (!list)
		return NULL;
	for (i = 0; i < s->nr; i++) {
		list[i].gfn = s->slot[i].gfn;
		list[i].npages = s->slot[i].npages;
		list[i].hva = s->slot[i].hva;
		list[i].slot = s->slot[i].id;
		list[i].flags = slot_flags(vm, &s->slot[i]);
	}
	return list;
}

static long vm_slots(struct file *file, struct kvmx_call *call)
{
	struct kvmx_vm_slots *a = call->arg;
	struct kvmx_vm *vm = file_vm(file);
	struct kvmx_slot *list = NULL;
	struct kvmx_slots *s;
	u32 room = a->nr_slots;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	if (a->slot_size != sizeof(*list))
		return -EINVAL;
	err = kvmx_vm_lock(vm);
	if (err)
		return err;
	s = kvmx_slots_get(vm->kvm);
	if (!IS_ERR(s))
		list = slots_list(vm, s);
	mutex_unlock(&vm->lock);
	if (IS_ERR(s))
		return PTR_ERR(s);
	err = -ENOMEM;
	if (!list)
		goto out;
	a->nr_slots = s->nr;
	err = -EFAULT;
	if (s->nr <= room && copy_to_user(u64_to_user_ptr(a->slots), list, s->nr * sizeof(*list)))
		goto out;
	err = kvmx_call_put(call);
	if (!err && s->nr > room)
		err = -ENOSPC;
out:
	kvfree(list);
	kvmx_slots_free(s);
	return err;
}

/* Copies runs in and checks them. */
static struct kvmx_run *get_runs(u64 uruns, u32 nr, u32 run_size)
{
	struct kvmx_run *runs;
	int err;
	u32 i;

	if (!nr || nr > KVMX_MAX_RUNS || run_size != sizeof(*runs))
		return ERR_PTR(-EINVAL);
	runs = vmemdup_user(u64_to_user_ptr(uruns), nr * sizeof(*runs));
	if (IS_ERR(runs))
		return runs;
	for (i = 0; i < nr; i++) {
		err = runs[i].__reserved ? -EOPNOTSUPP : -EINVAL;
		if (!runs[i].npages || runs[i].gfn + runs[i].npages < runs[i].gfn || err != -EINVAL)
			goto bad;
	}
	return runs;
bad:
	kvfree(runs);
	return ERR_PTR(err);
}

static u64 runs_pages(const struct kvmx_run *runs, u32 nr)
{
	u64 sum = 0;

	while (nr--)
		sum += runs[nr].npages;
	return sum;
}

static long vm_mark(struct file *file, struct kvmx_call *call)
{
	struct kvmx_vm_mark *a = call->arg;
	struct kvmx_vm *vm = file_vm(file);
	struct kvmx_run *runs;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	runs = get_runs(a->runs, a->nr_runs, a->run_size);
	if (IS_ERR(runs))
		return PTR_ERR(runs);
	err = kvmx_vm_lock(vm);
	if (err)
		goto free;
	a->dropped = 0;
	if (vm->nr_trackers) {
		err = kvmx_slots_follow(vm);
		if (err)
			goto unlock;
		a->dropped = kvmx_add_runs(NULL, vm, runs, a->nr_runs);
	}
	vm->stats.marked_pages += runs_pages(runs, a->nr_runs) - a->dropped;
	err = kvmx_call_put(call);
unlock:
	mutex_unlock(&vm->lock);
free:
	kvfree(runs);
	return err;
}

static long vm_sample(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_vm_sample *a = call->arg;
	struct kvmx_vm *vm = file_vm(file);
	int err;

	if (a->flags || a->__reserved)
		return -EOPNOTSUPP;
	if (!a->nr_samples || a->nr_samples > KVMX_MAX_SAMPLES || !a->nr_points ||
	    a->nr_points > KVMX_MAX_POINTS || a->point_size != sizeof(struct kvmx_point) ||
	    a->duration_ns < NSEC_PER_MSEC || a->duration_ns > KVMX_MAX_SAMPLE_NS)
		return -EINVAL;
	err = kvmx_vm_lock_own(vm);
	if (err)
		return err;
	err = kvmx_sample(vm, call);
	mutex_unlock(&vm->lock);
	return err;
}

static long vm_stats(struct file *file, struct kvmx_call *call)
{
	struct kvmx_handle *h = file->private_data;
	struct kvmx_vm_stats *a = call->arg;

	if (a->flags)
		return -EOPNOTSUPP;
	if (mutex_lock_killable(&h->vm->lock))
		return -EINTR;
	kvmx_stats_vm(h, a);
	mutex_unlock(&h->vm->lock);
	return kvmx_call_put(call);
}

static long vm_tracker_create(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_tracker_create *a = call->arg;
	struct kvmx_vm *vm = file_vm(file);
	int ret;

	if (a->flags & ~(KVMX_TRACKER_CLEAN | KVMX_TRACKER_MIGRATION))
		return -EOPNOTSUPP;
	ret = kvmx_vm_lock_own(vm);
	if (ret)
		return ret;
	ret = kvmx_tracker_create(vm, a->flags);
	mutex_unlock(&vm->lock);
	return ret;
}

static int harvest_check(const struct kvmx_harvest *a)
{
	u32 known = KVMX_HARVEST_PEEK | KVMX_HARVEST_COLLECT | KVMX_HARVEST_ABSENT;

	if (a->flags & ~known || a->__reserved)
		return -EOPNOTSUPP;
	if (a->run_size != sizeof(struct kvmx_run))
		return -EINVAL;
	if (a->flags & KVMX_HARVEST_COLLECT)
		return a->flags != KVMX_HARVEST_COLLECT || a->nr_runs || a->cursor ? -EINVAL : 0;
	return !a->nr_runs || a->nr_runs > KVMX_MAX_RUNS ? -EINVAL : 0;
}

static long tracker_harvest(struct file *file, struct kvmx_call *call)
{
	struct kvmx_tracker *t = file->private_data;
	struct kvmx_harvest *a = call->arg;
	int err;

	err = harvest_check(a);
	if (err)
		return err;
	if (a->flags & KVMX_HARVEST_PEEK)
		err = kvmx_vm_lock(t->vm);
	else
		err = kvmx_vm_lock_own(t->vm);
	if (err)
		return err;
	err = kvmx_harvest(t, call);
	mutex_unlock(&t->vm->lock);
	return err;
}

static long tracker_restore(struct file *file, struct kvmx_call *call)
{
	struct kvmx_tracker *t = file->private_data;
	struct kvmx_restore *a = call->arg;
	struct kvmx_run *runs;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	runs = get_runs(a->runs, a->nr_runs, a->run_size);
	if (IS_ERR(runs))
		return PTR_ERR(runs);
	err = kvmx_vm_lock(t->vm);
	if (err)
		goto free;
	err = kvmx_slots_follow(t->vm);
	if (err)
		goto unlock;
	a->dropped = kvmx_add_runs(t, t->vm, runs, a->nr_runs);
	t->stats.restored_pages += runs_pages(runs, a->nr_runs) - a->dropped;
	t->disturbed = true;
	err = kvmx_call_put(call);
unlock:
	mutex_unlock(&t->vm->lock);
free:
	kvfree(runs);
	return err;
}

static long tracker_stats(struct file *file, struct kvmx_call *call)
{
	struct kvmx_tracker *t = file->private_data;
	struct kvmx_tracker_stats *a = call->arg;
	int err;

	if (a->flags || a->__reserved)
		return -EOPNOTSUPP;
	err = kvmx_vm_lock(t->vm);
	if (err)
		return err;
	kvmx_stats_tracker(t, a);
	mutex_unlock(&t->vm->lock);
	return kvmx_call_put(call);
}

static long tracker_curve(struct file *file, struct kvmx_call *call)
{
	struct kvmx_tracker *t = file->private_data;
	struct kvmx_tracker_curve *a = call->arg;
	struct kvmx_curve *curve;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	if (!a->nr_points || a->nr_points > KVMX_MAX_POINTS ||
	    a->point_size != sizeof(struct kvmx_point))
		return -EINVAL;
	curve = kzalloc(sizeof(*curve), GFP_KERNEL_ACCOUNT);
	if (!curve)
		return -ENOMEM;
	err = kvmx_vm_lock(t->vm);
	if (err)
		goto free;
	a->total_pages = slots_pages(t->vm->slots);
	err = kvmx_history_curve(&t->history, a->total_pages, curve);
	mutex_unlock(&t->vm->lock);
	if (err)
		goto free;
	a->nr_points = min(a->nr_points, curve->nr);
	err = -EFAULT;
	if (!copy_to_user(u64_to_user_ptr(a->points), curve->pt,
			  a->nr_points * sizeof(struct kvmx_point)))
		err = kvmx_call_put(call);
free:
	kfree(curve);
	return err;
}

static long vm_ksm_set(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_vm_ksm_set *a = call->arg;

	if (a->flags & ~(KVMX_VM_KSM_DOMAIN | KVMX_VM_KSM_KEEP))
		return -EOPNOTSUPP;
	if (a->mode > KVMX_KSM_ALWAYS || a->weight > KVMX_KSM_MAX_WEIGHT)
		return -EINVAL;
	if (!(a->flags & KVMX_VM_KSM_DOMAIN) && memchr_inv(a->domain, 0, sizeof(a->domain)))
		return -EINVAL;
	return kvmx_ksm_vm_set(file_vm(file), a);
}

static long vm_ksm_get(struct file *file, struct kvmx_call *call)
{
	struct kvmx_vm_ksm_get *a = call->arg;
	struct kvmx_vm *vm = file_vm(file);
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	if (kvmx_vm_dead(vm))
		return -ENODEV;
	err = kvmx_ksm_vm_get(vm, a);
	return err ?: kvmx_call_put(call);
}

static long vm_ksm_pin(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_vm_ksm_pin *a = call->arg;

	if (a->flags & ~KVMX_VM_KSM_UNPIN)
		return -EOPNOTSUPP;
	if (!a->npages || a->gfn + a->npages < a->gfn)
		return -EINVAL;
	return kvmx_ksm_vm_pin(file_vm(file), a);
}

static long sys_ksm_host_set(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_ksm_host_set *a = call->arg;

	if (a->flags & ~(KVMX_KSM_HOST_BIND | KVMX_KSM_HOST_TAKE))
		return -EOPNOTSUPP;
	if (memchr_inv(a->policy.__reserved, 0, sizeof(a->policy.__reserved)))
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return kvmx_ksm_host_set(file->private_data, a);
}

static long sys_ksm_host_get(struct file *file, struct kvmx_call *call)
{
	struct kvmx_ksm_host_get *a = call->arg;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	err = kvmx_ksm_host_get(file->private_data, a);
	return err ?: kvmx_call_put(call);
}

static long sys_ksm_plan(struct file *file, struct kvmx_call *call)
{
	const struct kvmx_ksm_plan *a = call->arg;

	if (a->flags & ~KVMX_KSM_PLAN_FRESH || a->__reserved)
		return -EOPNOTSUPP;
	if (a->vm_size != sizeof(struct kvmx_ksm_plan_vm))
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	return kvmx_ksm_plan(call);
}

static long tracker_predict(struct file *file, struct kvmx_call *call)
{
	struct kvmx_tracker *t = file->private_data;

	return predict(t->vm, t, call);
}

static const struct op sys_ops[] = {
	OP(KVMX_INFO, sys_info, struct kvmx_info, 32),
	OP(KVMX_FEATURE, sys_feature, struct kvmx_feature, 24),
	OP(KVMX_VM_OPEN, sys_vm_open, struct kvmx_vm_open, 64),
	OP(KVMX_PREDICT, sys_predict, struct kvmx_predict, 120),
	OP(KVMX_KSM_HOST_SET, sys_ksm_host_set, struct kvmx_ksm_host_set, 160),
	OP(KVMX_KSM_HOST_GET, sys_ksm_host_get, struct kvmx_ksm_host_get, 480),
	OP(KVMX_KSM_PLAN, sys_ksm_plan, struct kvmx_ksm_plan, 88),
	OP(KVMX_LEASE_ACQUIRE, kvmx_sys_lease_acquire, struct kvmx_lease_acquire, 48),
	OP(KVMX_LEASE_RELEASE, kvmx_sys_lease_release, struct kvmx_lease_release, 48),
	OP(KVMX_LEASE_LIST, kvmx_sys_lease_list, struct kvmx_lease_list, 24),
	OP(KVMX_DEV_REPORT, kvmx_sys_dev_report, struct kvmx_dev_report, 152),
};

static const struct op vm_ops[] = {
	OP(KVMX_VM_INFO, vm_info, struct kvmx_vm_info, 96),
	OP(KVMX_VM_SLOTS, vm_slots, struct kvmx_vm_slots, 24),
	OP(KVMX_VM_MARK, vm_mark, struct kvmx_vm_mark, 32),
	OP(KVMX_VM_SAMPLE, vm_sample, struct kvmx_vm_sample, 56),
	OP(KVMX_VM_STATS, vm_stats, struct kvmx_vm_stats, 88),
	OP(KVMX_TRACKER_CREATE, vm_tracker_create, struct kvmx_tracker_create, 8),
	OP(KVMX_PREDICT, vm_predict, struct kvmx_predict, 120),
	OP(KVMX_VM_KSM_SET, vm_ksm_set, struct kvmx_vm_ksm_set, 32),
	OP(KVMX_VM_KSM_GET, vm_ksm_get, struct kvmx_vm_ksm_get, 176),
	OP(KVMX_VM_KSM_PIN, vm_ksm_pin, struct kvmx_vm_ksm_pin, 24),
	OP(KVMX_DMA_DECLARE, kvmx_do_dma_declare, struct kvmx_dma_declare, 32),
	OP(KVMX_DMA_WITHDRAW, kvmx_do_dma_withdraw, struct kvmx_dma_withdraw, 32),
	OP(KVMX_VM_QUIESCE, kvmx_do_vm_quiesce, struct kvmx_vm_quiesce, 16),
	OP(KVMX_VM_RESUME, kvmx_do_vm_resume, struct kvmx_vm_resume, 16),
	OP(KVMX_VM_DEVICES, kvmx_do_vm_devices, struct kvmx_vm_devices, 24),
};

static const struct op tracker_ops[] = {
	OP(KVMX_HARVEST, tracker_harvest, struct kvmx_harvest, 56),
	OP(KVMX_RESTORE, tracker_restore, struct kvmx_restore, 32),
	OP(KVMX_TRACKER_STATS, tracker_stats, struct kvmx_tracker_stats, 88),
	OP(KVMX_TRACKER_CURVE, tracker_curve, struct kvmx_tracker_curve, 32),
	OP(KVMX_PREDICT, tracker_predict, struct kvmx_predict, 120),
};

/**
 * kvmx_sys_ioctl() - ioctl(2) of /dev/kvmx
 * @file: the file
 * @cmd: KVMX_*
 * @arg: user pointer to the argument
 *
 * Return: as documented in the UAPI.
 */
long kvmx_sys_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dispatch(sys_ops, ARRAY_SIZE(sys_ops), file, cmd, arg);
}

/**
 * kvmx_vm_ioctl() - ioctl(2) of a VM fd
 * @file: the file
 * @cmd: KVMX_*
 * @arg: user pointer to the argument
 *
 * Return: as documented in the UAPI.
 */
long kvmx_vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dispatch(vm_ops, ARRAY_SIZE(vm_ops), file, cmd, arg);
}

/**
 * kvmx_tracker_ioctl() - ioctl(2) of a tracker fd
 * @file: the file
 * @cmd: KVMX_*
 * @arg: user pointer to the argument
 *
 * Return: as documented in the UAPI.
 */
long kvmx_tracker_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dispatch(tracker_ops, ARRAY_SIZE(tracker_ops), file, cmd, arg);
}
