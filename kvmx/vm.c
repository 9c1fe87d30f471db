// SPDX-License-Identifier: GPL-2.0
/*
 * VM objects: one for each struct kvm, from the first KVMX_VM_OPEN until the last fd is closed, or
 * longer for as long as a quiesce is kept (KVMX_QUIESCE_KEEP).
 *
 * An object holds the VM's file, and so the VM, only as long as the address space lives that the VM
 * was made in. An mmu_notifier tells when that goes; a work item then drops the file, since the
 * notifier runs in the middle of exit_mmap().
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/ctype.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core.h"
#include "ksm.h"
#include "log.h"
#include "trace.h"

static DEFINE_MUTEX(kvmx_vms_lock);
static LIST_HEAD(kvmx_vms);
static atomic_t kvmx_vm_ids = ATOMIC_INIT(0);

/* KVM's file operations for VMs, once one was seen. */
static const struct file_operations *kvm_vm_fops;

/*
 * Whether a file is a KVM VM. The name of its anonymous inode is nothing user space could make up
 * for a file of its own; that its ioctl is KVM's is checked by name, since KVM exports neither.
 */
static bool is_kvm_vm(struct file *file)
{
	const struct file_operations *fops = READ_ONCE(kvm_vm_fops);
	char name[32];

	if (fops)
		return file->f_op == fops;
	if (!file->f_op->unlocked_ioctl || !file->private_data)
		return false;
	snprintf(name, sizeof(name), "%ps", file->f_op->unlocked_ioctl);
	if (strcmp(name, "kvm_vm_ioctl [kvm]") && strcmp(name, "kvm_vm_ioctl"))
		return false;
	/* Not before: other files' names may change while they are read. */
	if (strcmp(file->f_path.dentry->d_name.name, "kvm-vm"))
		return false;
	WRITE_ONCE(kvm_vm_fops, file->f_op);
	return true;
}

static void vm_mm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct kvmx_vm *vm = container_of(mn, struct kvmx_vm, mn);

	/* Once as the address space goes, and perhaps again as the notifier is unregistered. */
	if (!kvmx_bell_end(&vm->bell))
		return;
	/* Without a reference the object is being freed, and its file dropped, anyway. */
	if (kref_get_unless_zero(&vm->ref))
		queue_work(kvmx_death_wq, &vm->death);
}

static const struct mmu_notifier_ops vm_mn_ops = {
	.release = vm_mm_release,
};

static void drop_kvm(struct kvm *kvm, struct file *file)
{
	kvm_put_kvm(kvm);
	fput(file);
}

static void vm_unlist(struct kvmx_vm *vm)
{
	mutex_lock(&kvmx_vms_lock);
	list_del_init(&vm->node);
	mutex_unlock(&kvmx_vms_lock);
}

static void vm_death(struct work_struct *work)
{
	struct kvmx_vm *vm = container_of(work, struct kvmx_vm, death);
	struct mm_struct *mm = vm->mm;
	struct kvmx_tracker *t;
	struct file *file;

	/* Before the file goes, and with it the right to compare addresses of struct kvm. */
	vm_unlist(vm);
	mutex_lock(&vm->lock);
	file = vm->file;
	vm->file = NULL;
	/* Pairs with kvmx_vm_lock_own(), which only compares it, without the lock. */
	WRITE_ONCE(vm->mm, NULL);
	vm->logging = false;
	list_for_each_entry(t, &vm->trackers, node)
		kvmx_tracker_drop(t);
	kvmx_slots_free(vm->slots);
	vm->slots = NULL;
	kvfree(vm->words);
	vm->words = NULL;
	kvmx_quiesce_death(vm);
	trace_kvmx_vm_death(vm->id, vm->nr_trackers);
	mutex_unlock(&vm->lock);
	/* Gives up what is left of the address space. */
	mmu_notifier_unregister(&vm->mn, mm);
	drop_kvm(vm->kvm, file);
	kvmx_ksm_vm_dead(vm);
	kvmx_ksm_kick();
	kvmx_vm_put(vm);
}

/**
 * kvmx_vm_get_mm() - hold a VM's address space
 * @vm: the VM
 *
 * Return: the address space, for mmput(), or NULL if it is gone.
 */
struct mm_struct *kvmx_vm_get_mm(struct kvmx_vm *vm)
{
	struct mm_struct *mm;

	mutex_lock(&vm->lock);
	mm = vm->mm;
	if (mm && !mmget_not_zero(mm))
		mm = NULL;
	mutex_unlock(&vm->lock);
	return mm;
}

/* Switches logging off for a last tracker that was closed outside of the VMM. */
static void vm_settle(struct work_struct *work)
{
	struct kvmx_vm *vm = container_of(work, struct kvmx_vm, settle);
	struct mm_struct *mm = kvmx_vm_get_mm(vm);

	if (mm) {
		kthread_use_mm(mm);
		mutex_lock(&vm->lock);
		if (vm->file && vm->logging && !vm->sampling && !vm->nr_trackers) {
			/* The VMM may change what KVM reads: give it its own rights, not ours. */
			const struct cred *old = override_creds(vm->file->f_cred);

			kvmx_log_settle(vm);
			revert_creds(old);
		}
		mutex_unlock(&vm->lock);
		kthread_unuse_mm(mm);
		mmput(mm);
	}
	kvmx_vm_put(vm);
}

static struct kvmx_vm *vm_alloc(struct file *file)
{
	struct kvm *kvm = file->private_data;
	struct kvmx_vm *vm;
	int err;

	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	kref_init(&vm->ref);
	vm->id = atomic_inc_return(&kvmx_vm_ids);
	vm->kvm = kvm;
	vm->mm = kvm->mm;
	vm->uid = file->f_cred->euid;
	vm->mn.ops = &vm_mn_ops;
	kvmx_bell_init(&vm->bell);
	INIT_WORK(&vm->death, vm_death);
	INIT_WORK(&vm->settle, vm_settle);
	INIT_WORK(&vm->unquiesce, kvmx_quiesce_work);
	mutex_init(&vm->lock);
	INIT_LIST_HEAD(&vm->node);
	INIT_LIST_HEAD(&vm->trackers);
	INIT_LIST_HEAD(&vm->dma);
	INIT_LIST_HEAD(&vm->ksm_node);
	ratelimit_state_init(&vm->ksm_limit, KVMX_KSM_LIMIT_PERIOD, KVMX_KSM_LIMIT);
	ratelimit_set_flags(&vm->ksm_limit, RATELIMIT_MSG_ON_RELEASE);

	/* First of all: as soon as the notifier is registered, vm_death() may drop them. */
	vm->file = get_file(file);
	kvm_get_kvm(kvm);
	err = -ENODEV;
	if (!mmget_not_zero(vm->mm))
		goto drop;
	err = mmu_notifier_register(&vm->mn, vm->mm);
	/* If it is the last one, the VMM's memory is not the opener's to free. */
	mmput_async(kvm->mm);
	if (err)
		goto drop;
	return vm;
drop:
	drop_kvm(kvm, vm->file);
	kfree(vm);
	return ERR_PTR(err);
}

/* Called with kvmx_vms_lock held when the last reference goes; releases it. */
static void vm_free(struct kref *ref)
{
	struct kvmx_vm *vm = container_of(ref, struct kvmx_vm, ref);

	list_del_init(&vm->node);
	mutex_unlock(&kvmx_vms_lock);
	/* Else vm_death() has done that. */
	if (vm->file) {
		mmu_notifier_unregister(&vm->mn, vm->mm);
		drop_kvm(vm->kvm, vm->file);
	}
	kvmx_slots_free(vm->slots);
	kvfree(vm->words);
	kvfree(vm->dma_map);
	kfree(vm);
}

/**
 * kvmx_vm_put() - drop a reference to a VM object
 * @vm: the object
 *
 * Context: may sleep; no lock of kvmx held.
 */
void kvmx_vm_put(struct kvmx_vm *vm)
{
	kref_put_mutex(&vm->ref, vm_free, &kvmx_vms_lock);
}

static struct kvmx_vm *vm_find(const struct kvm *kvm)
{
	struct kvmx_vm *vm;

	lockdep_assert_held(&kvmx_vms_lock);
	list_for_each_entry(vm, &kvmx_vms, node) {
		if (vm->kvm == kvm) {
			kref_get(&vm->ref);
			return vm;
		}
	}
	return NULL;
}

/* The object for a VM, made if need be. */
static struct kvmx_vm *vm_get(struct file *file)
{
	struct kvmx_vm *vm, *new;

	mutex_lock(&kvmx_vms_lock);
	vm = vm_find(file->private_data);
	mutex_unlock(&kvmx_vms_lock);
	if (vm)
		return vm;
	/* Registering takes the VMM's mmap_lock, which no other VMM should wait for. */
	new = vm_alloc(file);
	if (IS_ERR(new))
		return new;
	mutex_lock(&kvmx_vms_lock);
	vm = vm_find(file->private_data);
	/* One that is dead already would not be taken off the list any more. */
	if (!vm && !kvmx_vm_dead(new))
		list_add(&new->node, &kvmx_vms);
	mutex_unlock(&kvmx_vms_lock);
	if (!vm)
		return new;
	kvmx_vm_put(new);
	return vm;
}

/**
 * kvmx_vms_visit() - look at all VMs
 * @visit: called for each under kvmx_vms_lock, may take kvmx_vm.bell.lock and sleep no more
 * @data: for @visit
 *
 * Context: may sleep; no lock of kvmx.ko held.
 */
void kvmx_vms_visit(void (*visit)(struct kvmx_vm *vm, void *data), void *data)
{
	struct kvmx_vm *vm;

	mutex_lock(&kvmx_vms_lock);
	list_for_each_entry(vm, &kvmx_vms, node)
		visit(vm, data);
	mutex_unlock(&kvmx_vms_lock);
}

/**
 * kvmx_vm_identity() - who a VM is
 * @vm: the VM
 * @id: out: all but @quiesced
 *
 * Context: any process context; does not wait for kvmx_vm.lock.
 */
void kvmx_vm_identity(struct kvmx_vm *vm, struct kvmx_identity *id)
{
	spin_lock(&vm->bell.lock);
	id->known = true;
	id->vouched = vm->vouched;
	id->uid = vm->uid;
	memcpy(id->uuid, vm->uuid, sizeof(id->uuid));
	spin_unlock(&vm->bell.lock);
}

/**
 * kvmx_vm_lock() - lock a VM that must be alive
 * @vm: the VM
 *
 * Return: 0; -EINTR; -ENODEV if it is dead.
 */
int kvmx_vm_lock(struct kvmx_vm *vm)
{
	if (mutex_lock_killable(&vm->lock))
		return -EINTR;
	if (!kvmx_vm_dead(vm) && vm->file)
		return 0;
	mutex_unlock(&vm->lock);
	return -ENODEV;
}

/**
 * kvmx_vm_lock_own() - as kvmx_vm_lock(), for what only the VMM may do
 * @vm: the VM
 *
 * The caller runs in the VM's address space, which therefore cannot go until it returns.
 *
 * Return: 0; -EINTR; -ENODEV if the VM is dead; -EXDEV if the caller is not the VMM.
 */
int kvmx_vm_lock_own(struct kvmx_vm *vm)
{
	if (kvmx_vm_dead(vm))
		return -ENODEV;
	return current->mm == READ_ONCE(vm->mm) ? kvmx_vm_lock(vm) : -EXDEV;
}

/**
 * kvmx_vm_file_get() - hold a VM that must be alive
 * @vm: the VM
 *
 * With the file goes KVM's VM, and the right to use it without kvmx_vm.lock.
 *
 * Return: the VM's file; ERR_PTR() of -EINTR, or of -ENODEV if it is dead.
 */
struct file *kvmx_vm_file_get(struct kvmx_vm *vm)
{
	struct file *file;
	int err;

	err = kvmx_vm_lock(vm);
	if (err)
		return ERR_PTR(err);
	file = get_file(vm->file);
	mutex_unlock(&vm->lock);
	return file;
}

static bool label_valid(const char *label)
{
	size_t i, len = strnlen(label, KVMX_LABEL_LEN);

	for (i = 0; i < len; i++) {
		if (!isascii(label[i]) || !isprint(label[i]))
			return false;
	}
	return len < KVMX_LABEL_LEN;
}

static int vm_name(struct kvmx_vm *vm, const struct kvmx_vm_open *o)
{
	bool uuid = memchr_inv(o->uuid, 0, sizeof(o->uuid)), label = o->label[0];
	bool has_uuid = memchr_inv(vm->uuid, 0, sizeof(vm->uuid)), admin;

	lockdep_assert_held(&vm->lock);
	if (!uuid && !label)
		return 0;
	admin = capable(CAP_SYS_ADMIN);
	if (current->mm != vm->mm && !admin)
		return -EPERM;
	if (uuid && has_uuid && memcmp(vm->uuid, o->uuid, sizeof(vm->uuid)))
		return -EEXIST;
	if (label && vm->label[0] && strcmp(vm->label, o->label))
		return -EEXIST;
	spin_lock(&vm->bell.lock);
	if (uuid) {
		memcpy(vm->uuid, o->uuid, sizeof(vm->uuid));
		vm->vouched |= admin;
	}
	if (label)
		strscpy_pad(vm->label, o->label, sizeof(vm->label));
	spin_unlock(&vm->bell.lock);
	return 0;
}

static int vm_release(struct inode *inode, struct file *file)
{
	struct kvmx_handle *h = file->private_data;
	struct kvmx_vm *vm = h->vm;
	bool unquiesce;

	mutex_lock(&vm->lock);
	kvmx_dma_closed(h);
	unquiesce = kvmx_quiesce_closed(h);
	mutex_unlock(&vm->lock);
	kvmx_queue_del(&vm->bell, &h->queue);
	kvmx_ksm_vm_closed(vm);
	kfree(h);
	/* The handle's reference goes to the work, unless that is on its way already. */
	if (!unquiesce || !queue_work(kvmx_settle_wq, &vm->unquiesce))
		kvmx_vm_put(vm);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.release = vm_release,
	.read = kvmx_handle_read,
	.poll = kvmx_handle_poll,
	.unlocked_ioctl = kvmx_vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/**
 * kvmx_vm_open() - KVMX_VM_OPEN
 * @call: the call
 *
 * Return: a new fd, or an error as documented in the UAPI.
 */
int kvmx_vm_open(struct kvmx_call *call)
{
	const struct kvmx_vm_open *o = call->arg;
	struct kvmx_handle *h = NULL;
	struct kvmx_vm *vm;
	struct file *file;
	int ret;

	file = fget(o->vm_fd);
	if (!file)
		return -EBADF;
	ret = -EINVAL;
	if (!is_kvm_vm(file) || !label_valid(o->label))
		goto put_file;
	vm = vm_get(file);
	if (IS_ERR(vm)) {
		ret = PTR_ERR(vm);
		goto put_file;
	}
	ret = -ENOMEM;
	h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);
	if (!h)
		goto put_vm;
	h->vm = vm;
	ret = kvmx_vm_lock(vm);
	if (ret)
		goto put_vm;
	ret = vm_name(vm, o);
	mutex_unlock(&vm->lock);
	if (ret)
		goto put_vm;
	kvmx_queue_add(&vm->bell, &h->queue);
	trace_kvmx_vm_open(vm->id, vm->kvm->userspace_pid, kvmx_vm_handles(vm));
	ret = anon_inode_getfd("[kvmx-vm]", &vm_fops, h, O_RDWR | O_CLOEXEC);
	if (ret < 0) {
		kvmx_queue_del(&vm->bell, &h->queue);
		goto put_vm;
	}
	fput(file);
	return ret;
put_vm:
	kfree(h);
	kvmx_vm_put(vm);
put_file:
	fput(file);
	return ret;
}

/**
 * kvmx_vm_info() - KVMX_VM_INFO
 * @vm: the VM
 * @info: out: all but size and flags
 *
 * Context: under kvmx_vm.lock.
 * Return: 0 or -ENOMEM.
 */
int kvmx_vm_info(struct kvmx_vm *vm, struct kvmx_vm_info *info)
{
	struct kvmx_slots *s;
	u32 i;

	lockdep_assert_held(&vm->lock);
	s = kvmx_slots_get(vm->kvm);
	if (IS_ERR(s))
		return PTR_ERR(s);
	memcpy(info->uuid, vm->uuid, sizeof(info->uuid));
	memcpy(info->label, vm->label, sizeof(info->label));
	info->state = 0;
	if (vm->logging)
		info->state |= KVMX_VM_LOGGING;
	else if (kvmx_log_foreign(s))
		info->state |= KVMX_VM_LOGGED_BY_VMM;
	if (vm->kvm->dirty_ring_size)
		info->state |= KVMX_VM_RING;
	if (vm->sampling)
		info->state |= KVMX_VM_SAMPLING;
	if (vm->quiesced)
		info->state |= KVMX_VM_QUIESCED;
	info->nr_slots = s->nr;
	info->nr_pages = 0;
	for (i = 0; i < s->nr; i++)
		info->nr_pages += s->slot[i].npages;
	info->nr_vcpus = atomic_read(&vm->kvm->online_vcpus);
	info->nr_trackers = vm->nr_trackers;
	info->nr_handles = kvmx_vm_handles(vm);
	info->ring_bytes = vm->kvm->dirty_ring_size;
	info->generation = kvmx_slots_generation(vm->kvm, NULL);
	kvmx_slots_free(s);
	return 0;
}
