// SPDX-License-Identifier: GPL-2.0
/*
 * The seam between VMs and devices: whom to ask about devices, what devices may know about VMs, and
 * what is in force for a VM's devices as a whole.
 *
 * kvmx_vfio_pci.ko depends on kvmx.ko and registers here, so that kvmx.ko needs no VFIO.
 */
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched/mm.h>

#include "assign.h"
#include "core.h"

static DEFINE_MUTEX(assign_lock);
static const struct kvmx_assign_ops *assign_ops;

/**
 * kvmx_assign_register() - offer the services of kvmx_vfio_pci.ko
 * @ops: the services
 *
 * Return: 0, or -EBUSY if they are offered already.
 */
int kvmx_assign_register(const struct kvmx_assign_ops *ops)
{
	int err = -EBUSY;

	mutex_lock(&assign_lock);
	if (!assign_ops) {
		assign_ops = ops;
		err = 0;
	}
	mutex_unlock(&assign_lock);
	return err;
}
EXPORT_SYMBOL_NS_GPL(kvmx_assign_register, KVMX_NS);

/**
 * kvmx_assign_unregister() - take them back
 *
 * A call under way holds a reference to the module, which therefore is not being unloaded.
 */
void kvmx_assign_unregister(void)
{
	mutex_lock(&assign_lock);
	assign_ops = NULL;
	mutex_unlock(&assign_lock);
}
EXPORT_SYMBOL_NS_GPL(kvmx_assign_unregister, KVMX_NS);

/**
 * kvmx_assign_get() - the services for devices
 *
 * Return: the services, to be given back with kvmx_assign_put(), or NULL if nobody offers them.
 */
const struct kvmx_assign_ops *kvmx_assign_get(void)
{
	const struct kvmx_assign_ops *ops;

	mutex_lock(&assign_lock);
	ops = assign_ops;
	if (ops && !try_module_get(ops->owner))
		ops = NULL;
	mutex_unlock(&assign_lock);
	return ops;
}

/**
 * kvmx_assign_put() - give the services back
 * @ops: the services
 */
void kvmx_assign_put(const struct kvmx_assign_ops *ops)
{
	module_put(ops->owner);
}

/**
 * kvmx_owner_of() - which devices are a VM's
 * @vm: the VM
 *
 * Return: what to compare with.
 */
struct kvmx_owner kvmx_owner_of(const struct kvmx_vm *vm)
{
	return (struct kvmx_owner){ .kvm = vm->kvm, .mm = vm->mm };
}

static bool owns(const struct kvmx_vm *vm, const struct kvmx_owner *owner)
{
	return owner->kvm ? vm->kvm == owner->kvm : vm->mm == owner->mm;
}

/* A visit to all VMs on behalf of a device. */
struct visit {
	const struct kvmx_owner *owner;
	struct kvmx_identity *id;
	u32 nr_devices;
};

static void identify(struct kvmx_vm *vm, void *data)
{
	struct visit *v = data;

	if (!owns(vm, v->owner))
		return;
	v->id->quiesced |= READ_ONCE(vm->quiesced);
	if (v->owner->kvm)
		kvmx_vm_identity(vm, v->id);
}

/**
 * kvmx_assign_identify() - who the owner of a device is
 * @owner: the owner; a reference to its VM is held, if it has one
 * @id: out: the VM's identity. Without a VM only whether any VM of the address space is quiesced
 *
 * Context: may sleep, briefly.
 */
void kvmx_assign_identify(const struct kvmx_owner *owner, struct kvmx_identity *id)
{
	struct visit v = { .owner = owner, .id = id };

	*id = (struct kvmx_identity){ .uid = INVALID_UID };
	kvmx_vms_visit(identify, &v);
}
EXPORT_SYMBOL_NS_GPL(kvmx_assign_identify, KVMX_NS);

static void changed(struct kvmx_vm *vm, void *data)
{
	struct visit *v = data;

	if (owns(vm, v->owner))
		kvmx_event(vm, KVMX_EVENT_DEVICES, v->nr_devices);
}

/**
 * kvmx_assign_changed() - a device was opened or closed
 * @owner: for whom
 * @nr_devices: how many there are now
 *
 * Context: may sleep, briefly.
 */
void kvmx_assign_changed(const struct kvmx_owner *owner, u32 nr_devices)
{
	struct visit v = { .owner = owner, .nr_devices = nr_devices };

	kvmx_vms_visit(changed, &v);
}
EXPORT_SYMBOL_NS_GPL(kvmx_assign_changed, KVMX_NS);

/**
 * kvmx_quiet() - whether a VM's DMA ranges can have been written to
 * @vm: the VM
 *
 * Context: under kvmx_vm.lock.
 * Return: 0 while they can; else a number that changes when they may have been meanwhile.
 */
u64 kvmx_quiet(struct kvmx_vm *vm)
{
	struct kvmx_owner owner = kvmx_owner_of(vm);
	const struct kvmx_assign_ops *ops;
	u64 seq;

	lockdep_assert_held(&vm->lock);
	if (vm->nr_dma_always)
		return 0;
	ops = kvmx_assign_get();
	if (!ops)
		return 0;
	seq = ops->quiet(&owner, vm->quiesce_trust);
	kvmx_assign_put(ops);
	return seq;
}

/**
 * struct errand - work on a VM's devices
 * @work: does it in a worker
 * @ops: the services
 * @owner: whose devices
 * @mm: the VMM's address space
 * @quiesce: where to count in, or NULL to resume
 * @ret: what came of it
 */
struct errand {
	struct work_struct work;
	const struct kvmx_assign_ops *ops;
	struct kvmx_owner owner;
	struct mm_struct *mm;
	struct kvmx_vm_quiesce *quiesce;
	int ret;
};

static int do_errand(struct errand *e)
{
	if (e->quiesce)
		return e->ops->quiesce(&e->owner, &e->quiesce->nr_devices,
				       &e->quiesce->nr_unproven);
	return e->ops->resume(&e->owner);
}

static void errand_work(struct work_struct *work)
{
	struct errand *e = container_of(work, struct errand, work);

	kthread_use_mm(e->mm);
	e->ret = do_errand(e);
	kthread_unuse_mm(e->mm);
}

/*
 * Devices' interrupts are masked and triggered by an argument in the address space of whoever does
 * it. Anybody else than the VMM could change that under our hands, and so do to interrupts what
 * only the VMM may: then a worker does it in the VMM's.
 */
static int run_errand(struct kvmx_vm *vm, const struct kvmx_assign_ops *ops,
		      struct kvmx_vm_quiesce *quiesce)
{
	struct errand e = {
		.ops = ops,
		.owner = kvmx_owner_of(vm),
		.mm = vm->mm,
		.quiesce = quiesce,
	};

	lockdep_assert_held(&vm->lock);
	if (current->mm == e.mm)
		return do_errand(&e);
	if (!mmget_not_zero(e.mm))
		return -ENODEV;
	INIT_WORK_ONSTACK(&e.work, errand_work);
	queue_work(kvmx_settle_wq, &e.work);
	flush_work(&e.work);
	destroy_work_on_stack(&e.work);
	mmput_async(e.mm);
	return e.ret;
}

/*
 * A quiesce that is to outlive its fd keeps the object, or nobody would know of it any more, and
 * with that the module.
 */
static void set_keep(struct kvmx_vm *vm, bool keep)
{
	lockdep_assert_held(&vm->lock);
	if (vm->quiesce_keep == keep)
		return;
	vm->quiesce_keep = keep;
	if (keep) {
		__module_get(THIS_MODULE);
		kref_get(&vm->ref);
	} else {
		/* Never the last ones: the caller has its own. */
		kvmx_vm_put(vm);
		module_put(THIS_MODULE);
	}
}

/**
 * kvmx_quiesce_death() - a VM dies: nothing has to be kept for it any more
 * @vm: the VM
 *
 * Context: under kvmx_vm.lock, by somebody who holds a reference to the VM.
 */
void kvmx_quiesce_death(struct kvmx_vm *vm)
{
	set_keep(vm, false);
}

static int resume(struct kvmx_vm *vm, const struct kvmx_assign_ops *ops)
{
	int ret;

	lockdep_assert_held(&vm->lock);
	if (!vm->quiesced)
		return 0;
	/* First, so that a device that is being opened either is resumed below or sees it. */
	WRITE_ONCE(vm->quiesced, false);
	ret = run_errand(vm, ops, NULL);
	if (ret < 0) {
		WRITE_ONCE(vm->quiesced, true);
		return ret;
	}
	vm->quiescer = NULL;
	set_keep(vm, false);
	vm->quiesce_trust = false;
	kvmx_event(vm, KVMX_EVENT_QUIESCED, 0);
	return ret;
}

/**
 * kvmx_vm_quiesce() - KVMX_VM_QUIESCE
 * @h: the handle
 * @call: the call, valid
 *
 * Context: under kvmx_vm.lock, in any address space; the caller holds a reference to the VM.
 * Return: 0, or an error as documented in the UAPI.
 */
int kvmx_vm_quiesce(struct kvmx_handle *h, struct kvmx_call *call)
{
	struct kvmx_vm_quiesce *a = call->arg;
	const struct kvmx_assign_ops *ops;
	struct kvmx_vm *vm = h->vm;
	bool was = vm->quiesced;
	int err;

	lockdep_assert_held(&vm->lock);
	if (vm->quiescer && vm->quiescer != h)
		return -EBUSY;
	ops = kvmx_assign_get();
	if (!ops)
		return -EOPNOTSUPP;
	WRITE_ONCE(vm->quiesced, true);
	err = run_errand(vm, ops, a);
	if (!err)
		err = kvmx_call_put(call);
	if (err) {
		/* Those that were reached, and those that were opened meanwhile. */
		if (!was)
			resume(vm, ops);
		goto put;
	}
	vm->quiescer = h;
	set_keep(vm, a->flags & KVMX_QUIESCE_KEEP);
	vm->quiesce_trust = a->flags & KVMX_QUIESCE_TRUST;
	if (!was)
		kvmx_event(vm, KVMX_EVENT_QUIESCED, 1);
put:
	kvmx_assign_put(ops);
	return err;
}

/**
 * kvmx_vm_resume() - KVMX_VM_RESUME
 * @vm: the VM
 *
 * Context: under kvmx_vm.lock.
 * Return: devices resumed, or an error as documented in the UAPI.
 */
int kvmx_vm_resume(struct kvmx_vm *vm)
{
	const struct kvmx_assign_ops *ops;
	int ret;

	ops = kvmx_assign_get();
	if (!ops)
		return -EOPNOTSUPP;
	ret = resume(vm, ops);
	kvmx_assign_put(ops);
	return ret;
}

/**
 * kvmx_quiesce_closed() - the handle that has quiesced the devices may be going
 * @h: the handle
 *
 * Context: under kvmx_vm.lock.
 * Return: whether kvmx_vm.unquiesce has to be queued.
 */
bool kvmx_quiesce_closed(struct kvmx_handle *h)
{
	struct kvmx_vm *vm = h->vm;

	lockdep_assert_held(&vm->lock);
	if (vm->quiescer != h)
		return false;
	vm->quiescer = NULL;
	return vm->quiesced && !vm->quiesce_keep;
}

/**
 * kvmx_quiesce_work() - resume the devices after their quiescer has gone
 * @work: kvmx_vm.unquiesce; it has a reference to the VM
 *
 * Whoever closes the last fd may have no address space any more, and triggering vectors needs one.
 */
void kvmx_quiesce_work(struct work_struct *work)
{
	struct kvmx_vm *vm = container_of(work, struct kvmx_vm, unquiesce);
	struct mm_struct *mm = kvmx_vm_get_mm(vm);

	/* Without an address space the VM is gone, and its devices are being closed. */
	if (mm) {
		kthread_use_mm(mm);
		mutex_lock(&vm->lock);
		if (vm->file && !vm->quiescer && !vm->quiesce_keep) {
			int ret = kvmx_vm_resume(vm);

			if (ret < 0)
				pr_warn("kvmx: VM %u: cannot resume its devices: %d\n",
					vm->id, ret);
		}
		mutex_unlock(&vm->lock);
		kthread_unuse_mm(mm);
		mmput(mm);
	}
	kvmx_vm_put(vm);
}
