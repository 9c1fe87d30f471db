// SPDX-License-Identifier: GPL-2.0
/*
 * Quiesce and resume: the only file that switches bus mastering or masks an interrupt.
 *
 * A device that is quiesced has bus mastering off, whatever its guest, a reset or a change of power
 * state does. Its guest does not see that: it reads, and on resume gets, what it last wrote.
 *
 * vfio-pci keeps its interrupt state to itself, and its functions take pointers to user space. So
 * interrupts are masked and triggered with vfio-pci's own ioctl, whose argument lies for a moment
 * in a page of the VMM's address space: these functions are called there and nowhere else. What
 * another thread does to it there it could as well do with that ioctl itself.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "vfio.h"

static atomic64_t quiet_seq = ATOMIC64_INIT(0);

/**
 * kvmx_quiet_next() - the next number for kvmx_pci.seq
 *
 * Return: a number that was never returned before, and not 0.
 */
u64 kvmx_quiet_next(void)
{
	return atomic64_inc_return(&quiet_seq);
}

/**
 * struct scratch - a page in the VMM's address space
 * @at: where it is
 * @page: the page; pinned, so that it need not be waited for under a lock
 */
struct scratch {
	unsigned long at;
	struct page *page;
};

static int scratch_map(struct scratch *s)
{
	s->at = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(s->at))
		return -ENOMEM;
	if (pin_user_pages_fast(s->at, 1, FOLL_WRITE, &s->page) == 1)
		return 0;
	vm_munmap(s->at, PAGE_SIZE);
	return -ENOMEM;
}

static void scratch_unmap(const struct scratch *s)
{
	unpin_user_page(s->page);
	vm_munmap(s->at, PAGE_SIZE);
}

/* Fails if the VMM has put something else there. */
static int scratch_put(const struct scratch *s, const void *data, size_t bytes)
{
	bool failed;

	pagefault_disable();
	failed = copy_to_user((void __user *)s->at, data, bytes);
	pagefault_enable();
	return failed ? -EFAULT : 0;
}

/* VFIO_DEVICE_SET_IRQS without data. */
static int set_irqs(struct kvmx_pci *d, const struct scratch *scratch, u32 index, u32 action,
		    u32 count)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_NONE | action,
		.index = index,
		.count = count,
	};

	int err;

	lockdep_assert_held(&d->lock);
	/* No count would mean to disable them. */
	if (!count)
		return 0;
	err = scratch_put(scratch, &set, sizeof(set));
	if (err)
		return err;
	pagefault_disable();
	err = vfio_pci_core_ioctl(&d->core.vdev, VFIO_DEVICE_SET_IRQS, scratch->at);
	pagefault_enable();
	return err;
}

static u16 command(struct kvmx_pci *d)
{
	u16 cmd;

	pci_read_config_word(d->core.pdev, PCI_COMMAND, &cmd);
	return cmd;
}

/*
 * Only the low byte is written: the other one has the bit that masks INTx, which interrupt handlers
 * change. As with a guest's own writes, the kernel takes no note (pci_dev.is_busmaster).
 */
static void write_master(struct kvmx_pci *d, bool on)
{
	u8 low;

	pci_read_config_byte(d->core.pdev, PCI_COMMAND, &low);
	low &= ~PCI_COMMAND_MASTER;
	if (on)
		low |= PCI_COMMAND_MASTER;
	pci_write_config_byte(d->core.pdev, PCI_COMMAND, low);
}

/*
 * Keeps everybody else's hands off the command register and MSI-X control: vfio-pci changes the
 * former, word by word, under igate (INTx) and under memory_lock (everything else, its resets
 * too), and MSI-X under both; a reset that is not VFIO's locks the configuration space. While any
 * of them is at work, what the registers say is not what they will say.
 */
static void regs_lock(struct kvmx_pci *d)
{
	lockdep_assert_held(&d->lock);
	mutex_lock(&d->core.igate);
	down_write(&d->core.memory_lock);
	pci_cfg_access_lock(d->core.pdev);
}

static void regs_unlock(struct kvmx_pci *d)
{
	pci_cfg_access_unlock(d->core.pdev);
	up_write(&d->core.memory_lock);
	mutex_unlock(&d->core.igate);
}

static void set_master(struct kvmx_pci *d, bool on)
{
	regs_lock(d);
	write_master(d, on);
	regs_unlock(d);
}

/*
 * Messages wait in the device while this is set, rather than being lost. Under regs_lock(), or by
 * the reset that locks it out.
 */
static void mask_msix(struct kvmx_pci *d, bool mask)
{
	struct pci_dev *pdev = d->core.pdev;
	u16 ctrl;

	if (!pdev->msix_enabled)
		return;
	pci_read_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, &ctrl);
	ctrl &= ~PCI_MSIX_FLAGS_MASKALL;
	if (mask)
		ctrl |= PCI_MSIX_FLAGS_MASKALL;
	pci_write_config_word(pdev, pdev->msix_cap + PCI_MSIX_FLAGS, ctrl);
}

/*
 * INTx that vfio-pci has masked already waits for the VMM, not for us. Only a device that can mask
 * it says so: without, a resume may unmask what the VMM has not acknowledged, and it sees the same
 * interrupt once more. What the VMM masks meanwhile is unmasked, too.
 */
static bool intx_wants_mask(struct kvmx_pci *d, u16 cmd)
{
	return d->core.irq_type == VFIO_PCI_INTX_IRQ_INDEX &&
	       !(d->core.pci_2_3 && cmd & PCI_COMMAND_INTX_DISABLE);
}

static void unmask_intx(struct kvmx_pci *d, const struct scratch *scratch)
{
	if (d->intx_masked && d->core.irq_type == VFIO_PCI_INTX_IRQ_INDEX)
		set_irqs(d, scratch, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, 1);
	d->intx_masked = false;
}

/* How many vectors there are to trigger, and of which kind; none while the VMM changes them. */
static int vectors(struct kvmx_pci *d, u32 *index)
{
	int n = 0;

	mutex_lock(&d->core.igate);
	*index = d->core.irq_type;
	if (*index == VFIO_PCI_MSI_IRQ_INDEX || *index == VFIO_PCI_MSIX_IRQ_INDEX)
		n = kvmx_vfio_vectors(&d->core);
	mutex_unlock(&d->core.igate);
	return max(n, 0);
}

/*
 * Triggers all vectors. VMMs that add one disable all for a moment: what cannot be done now is done
 * when they are back (kvmx_hold_again()), or interrupts would be lost.
 */
static void replay(struct kvmx_pci *d, const struct scratch *scratch)
{
	u32 index;
	int n;

	n = vectors(d, &index);
	if (n)
		d->late = set_irqs(d, scratch, index, VFIO_IRQ_SET_ACTION_TRIGGER, n);
}

/*
 * Switches bus mastering off and masks interrupts. @scratch is NULL if no interrupt can be enabled.
 * A device that sleeps is woken and kept awake, since sleep ends with its state restored.
 */
static int hold(struct kvmx_pci *d, u32 who, const struct scratch *scratch)
{
	bool intx = false;
	u16 cmd;
	int err;

	lockdep_assert_held(&d->lock);
	if (!d->holds) {
		err = pm_runtime_resume_and_get(&d->core.pdev->dev);
		if (err < 0)
			return -EIO;
	}
	regs_lock(d);
	if (!d->holds) {
		cmd = command(d);
		intx = scratch && intx_wants_mask(d, cmd);
		mask_msix(d, true);
		d->late |= d->core.irq_type == VFIO_PCI_MSI_IRQ_INDEX ||
			   d->core.irq_type == VFIO_PCI_MSIX_IRQ_INDEX;
		/* What it is owed it has not got yet. */
		d->master = d->owed || cmd & PCI_COMMAND_MASTER;
		WRITE_ONCE(d->owed, false);
		d->drained = false;
	}
	/* Before bus mastering goes off, so that a reset after that finds it. */
	WRITE_ONCE(d->holds, d->holds | who);
	write_master(d, false);
	regs_unlock(d);
	if (intx)
		d->intx_masked = !set_irqs(d, scratch, VFIO_PCI_INTX_IRQ_INDEX,
					   VFIO_IRQ_SET_ACTION_MASK, 1);
	return 0;
}

static bool is_on(u16 cmd)
{
	return !PCI_POSSIBLE_ERROR(cmd) && cmd & PCI_COMMAND_MASTER;
}

/*
 * Waits until nothing of a device is under way. To read its configuration pushes what it has
 * written before it; what it has asked for, it must say itself. A device that cannot be switched
 * off is never drained, whatever it says.
 */
static void drain(struct kvmx_pci *d)
{
	struct pci_dev *pdev = d->core.pdev;
	u16 cmd;

	lockdep_assert_held(&d->lock);
	if (d->drained)
		return;
	cmd = command(d);
	d->drained = !is_on(cmd);
	d->proven = d->drained && !PCI_POSSIBLE_ERROR(cmd) && pci_is_pcie(pdev) &&
		    pci_wait_for_pending_transaction(pdev);
	atomic64_set(&d->seq, kvmx_quiet_next());
}

/*
 * Something vfio-pci does not know of may have switched bus mastering on: the device itself, a
 * driver for all of a bus, root. Returns at once if it is off, as nearly always.
 */
static void off_again(struct kvmx_pci *d)
{
	lockdep_assert_held(&d->lock);
	if (!is_on(command(d)))
		return;
	set_master(d, false);
	d->drained = false;
	drain(d);
}

/* The opposite of hold(): everything as it was, or as the guest has wished meanwhile. */
static void release(struct kvmx_pci *d, u32 who, const struct scratch *scratch)
{
	lockdep_assert_held(&d->lock);
	if (!(d->holds & who))
		return;
	WRITE_ONCE(d->holds, d->holds & ~who);
	if (d->holds)
		return;
	d->drained = false;
	atomic64_set(&d->seq, kvmx_quiet_next());
	/* In D3hot it would be forgotten on the way to D0. */
	regs_lock(d);
	WRITE_ONCE(d->owed, d->master && kvmx_power(d->core.pdev) >= KVMX_D3HOT);
	if (d->master && !d->owed)
		write_master(d, true);
	mask_msix(d, false);
	regs_unlock(d);
	unmask_intx(d, scratch);
	replay(d, scratch);
	pm_runtime_put(&d->core.pdev->dev);
}

static bool seen_otherwise(const struct kvmx_pci *d)
{
	return READ_ONCE(d->holds) || READ_ONCE(d->owed);
}

/* A device that was resumed asleep gets what it is owed as soon as it is awake. */
static void pay(struct kvmx_pci *d)
{
	lockdep_assert_held(&d->lock);
	if (!d->owed || kvmx_power(d->core.pdev) != KVMX_D0)
		return;
	set_master(d, true);
	WRITE_ONCE(d->owed, false);
}

/* What was done to a device may have ended a sleep or begun a reset. */
static void written(struct kvmx_pci *d)
{
	if (d->holds)
		off_again(d);
	pay(d);
}

/**
 * kvmx_hold_after_reset() - a device was reset, and its configuration restored
 * @d: the device
 *
 * Whatever its registers say now, a reset that is particular to a device may have let it do DMA.
 *
 * Context: under the device's lock, with its configuration space locked. kvmx_pci.lock, and
 * vfio-pci's own, may be held or not: none must be taken.
 */
void kvmx_hold_after_reset(struct kvmx_pci *d)
{
	if (!READ_ONCE(d->holds))
		return;
	write_master(d, false);
	mask_msix(d, true);
	atomic64_set(&d->seq, kvmx_quiet_next());
}

/**
 * kvmx_hold_again() - something was done to a device that may have undone a quiesce
 * @d: the device
 */
void kvmx_hold_again(struct kvmx_pci *d)
{
	struct scratch scratch;

	if (!seen_otherwise(d) && !READ_ONCE(d->late))
		return;
	mutex_lock(&d->lock);
	written(d);
	mutex_unlock(&d->lock);
	if (!READ_ONCE(d->late) || READ_ONCE(d->holds) || scratch_map(&scratch))
		return;
	mutex_lock(&d->lock);
	if (d->late && !d->holds)
		replay(d, &scratch);
	mutex_unlock(&d->lock);
	scratch_unmap(&scratch);
}

/* A device without an association belongs to every VM of its process. */
static bool wanted_quiesced(const struct kvmx_pci *d)
{
	struct kvmx_identity id;

	kvmx_assign_identify(&d->owner, &id);
	return id.quiesced;
}

/**
 * kvmx_hold_open() - a device has been opened; quiesce it if its VM is
 * @d: the device, with no interrupt enabled yet
 */
void kvmx_hold_open(struct kvmx_pci *d)
{
	mutex_lock(&d->lock);
	d->life = KVMX_PCI_OPEN;
	if (!wanted_quiesced(d))
		goto unlock;
	if (hold(d, KVMX_HOLD_VM, NULL)) {
		pci_warn(d->core.pdev, "opened for a quiesced VM, but cannot be woken\n");
		goto unlock;
	}
	drain(d);
	/* A resume that has not seen this hold has withdrawn its cause before. */
	if (!wanted_quiesced(d))
		release(d, KVMX_HOLD_VM, NULL);
unlock:
	mutex_unlock(&d->lock);
}

/**
 * kvmx_hold_close() - a device is about to be closed
 * @d: the device
 */
void kvmx_hold_close(struct kvmx_pci *d)
{
	mutex_lock(&d->lock);
	d->life = KVMX_PCI_CLOSING;
	if (d->holds) {
		regs_lock(d);
		mask_msix(d, false);
		regs_unlock(d);
		pm_runtime_put(&d->core.pdev->dev);
	}
	WRITE_ONCE(d->holds, 0);
	d->drained = false;
	WRITE_ONCE(d->owed, false);
	d->intx_masked = false;
	d->late = false;
	mutex_unlock(&d->lock);
}

/**
 * kvmx_hold_fd() - VFIO_DEVICE_FEATURE_BUS_MASTER, CLEAR_MASTER
 * @d: the device
 *
 * Return: 0; -EIO if it cannot be woken; -ENOMEM.
 */
int kvmx_hold_fd(struct kvmx_pci *d)
{
	struct scratch scratch;
	int err;

	err = scratch_map(&scratch);
	if (err)
		return err;
	mutex_lock(&d->lock);
	err = hold(d, KVMX_HOLD_FD, &scratch);
	if (!err)
		drain(d);
	mutex_unlock(&d->lock);
	scratch_unmap(&scratch);
	return err;
}

/**
 * kvmx_release_fd() - VFIO_DEVICE_FEATURE_BUS_MASTER, SET_MASTER
 * @d: the device
 *
 * Return: 0 or -ENOMEM.
 */
int kvmx_release_fd(struct kvmx_pci *d)
{
	struct scratch scratch;
	int err;

	err = scratch_map(&scratch);
	if (err)
		return err;
	mutex_lock(&d->lock);
	release(d, KVMX_HOLD_FD, &scratch);
	mutex_unlock(&d->lock);
	scratch_unmap(&scratch);
	return 0;
}

/* Where a transfer of @n bytes from @pos on has the byte with the bus-master bit, or -1. */
static int master_byte(loff_t pos, size_t n)
{
	u64 at = pos & VFIO_PCI_OFFSET_MASK;

	return at <= PCI_COMMAND && at + n > PCI_COMMAND ? PCI_COMMAND - at : -1;
}

/* How often memory that was there a moment ago may have gone before we take it for a trick. */
#define MAX_TRIES	16

/*
 * Reads or writes with page faults off: a user who lets us wait for his memory must not let those
 * wait who want the lock.
 */
static ssize_t config_rw(struct kvmx_pci *d, char __user *buf, size_t count, loff_t *ppos,
			 bool write)
{
	ssize_t ret;

	lockdep_assert_held(&d->lock);
	pagefault_disable();
	if (write)
		ret = vfio_pci_core_write(&d->core.vdev, buf, count, ppos);
	else
		ret = vfio_pci_core_read(&d->core.vdev, buf, count, ppos);
	pagefault_enable();
	return ret;
}

static ssize_t read_locked(struct kvmx_pci *d, char __user *buf, size_t count, loff_t *ppos,
			   int at)
{
	ssize_t ret;
	u8 byte;

	lockdep_assert_held(&d->lock);
	ret = config_rw(d, buf, count, ppos, false);
	if (ret <= at || !seen_otherwise(d))
		return ret;
	pagefault_disable();
	if (get_user(byte, (u8 __user *)buf + at))
		ret = -EFAULT;
	byte &= ~PCI_COMMAND_MASTER;
	if (d->master)
		byte |= PCI_COMMAND_MASTER;
	if (ret > 0 && put_user(byte, (u8 __user *)buf + at))
		ret = -EFAULT;
	pagefault_enable();
	return ret;
}

/**
 * kvmx_config_read() - read the configuration space as the guest sees it
 * @d: the device
 * @buf: where to
 * @count: bytes
 * @ppos: from where; advanced
 *
 * Return: bytes read, or -errno.
 */
ssize_t kvmx_config_read(struct kvmx_pci *d, char __user *buf, size_t count, loff_t *ppos)
{
	int at = master_byte(*ppos, count), tries = 0;
	loff_t pos;
	ssize_t ret;

	if (at < 0)
		return vfio_pci_core_read(&d->core.vdev, buf, count, ppos);
	count = min(count, PAGE_SIZE);
	do {
		if (fault_in_writeable(buf, count))
			return -EFAULT;
		pos = *ppos;
		/* A resume must not come between what is read and what is made of it. */
		mutex_lock(&d->lock);
		ret = read_locked(d, buf, count, &pos, at);
		mutex_unlock(&d->lock);
	} while (ret == -EFAULT && ++tries < MAX_TRIES);
	*ppos = pos;
	return ret;
}

static ssize_t write_locked(struct kvmx_pci *d, u8 *bytes, const struct scratch *scratch,
			    size_t count, loff_t *ppos, int at)
{
	bool wish = bytes[at] & PCI_COMMAND_MASTER;
	ssize_t ret;
	int err;

	lockdep_assert_held(&d->lock);
	if (d->holds)
		bytes[at] &= ~PCI_COMMAND_MASTER;
	err = scratch_put(scratch, bytes, count);
	if (err)
		return err;
	ret = config_rw(d, (char __user *)scratch->at, count, ppos, true);
	if (ret <= at)
		return ret;
	/* The guest's last word. */
	if (d->holds)
		d->master = wish;
	else if (!wish)
		WRITE_ONCE(d->owed, false);
	return ret;
}

/* -EAGAIN: the guest's wish is not what the device may get. */
static ssize_t write_as_is(struct kvmx_pci *d, const char __user *buf, size_t count, loff_t *ppos,
			   int at)
{
	ssize_t ret = -EAGAIN;

	mutex_lock(&d->lock);
	if (at < 0 || !seen_otherwise(d)) {
		ret = config_rw(d, (char __user *)buf, count, ppos, true);
		written(d);
	}
	mutex_unlock(&d->lock);
	return ret;
}

/* The command register, and what is around it, without what the device may not get. */
static ssize_t write_wish(struct kvmx_pci *d, const char __user *buf, size_t count, loff_t *ppos,
			  int at)
{
	struct scratch scratch;
	ssize_t ret;
	u8 *bytes;

	bytes = memdup_user(buf, count);
	if (IS_ERR(bytes))
		return PTR_ERR(bytes);
	ret = scratch_map(&scratch);
	if (ret)
		goto free;
	mutex_lock(&d->lock);
	ret = write_locked(d, bytes, &scratch, count, ppos, at);
	written(d);
	mutex_unlock(&d->lock);
	scratch_unmap(&scratch);
free:
	kfree(bytes);
	return ret;
}

/**
 * kvmx_config_write() - write the configuration space
 * @d: the device
 * @buf: where from
 * @count: bytes
 * @ppos: where to; advanced
 *
 * Return: bytes written, or -errno.
 */
ssize_t kvmx_config_write(struct kvmx_pci *d, const char __user *buf, size_t count, loff_t *ppos)
{
	int at = master_byte(*ppos, count), tries = 0;
	ssize_t ret;

	count = min(count, PAGE_SIZE);
	do {
		if (fault_in_readable(buf, count))
			return -EFAULT;
		ret = write_as_is(d, buf, count, ppos, at);
	} while (ret == -EFAULT && ++tries < MAX_TRIES);
	return ret == -EAGAIN && at >= 0 ? write_wish(d, buf, count, ppos, at) : ret;
}

/* Whether a device can be worked on; if so, it is locked. */
static bool lock_open(struct kvmx_pci *d)
{
	mutex_lock(&d->lock);
	if (d->life == KVMX_PCI_OPEN)
		return true;
	mutex_unlock(&d->lock);
	return false;
}

static u32 release_all(struct kvmx_open_refs *refs, const struct scratch *scratch)
{
	u32 i, n = 0;

	for (i = 0; i < refs->nr; i++) {
		struct kvmx_pci *d = refs->dev[i];

		if (!lock_open(d))
			continue;
		if (!wanted_quiesced(d)) {
			n += !!(d->holds & KVMX_HOLD_VM);
			release(d, KVMX_HOLD_VM, scratch);
		}
		mutex_unlock(&d->lock);
	}
	return n;
}

static int hold_all(struct kvmx_open_refs *refs, const struct scratch *scratch)
{
	int err = 0;
	u32 i;

	for (i = 0; i < refs->nr && !err; i++) {
		struct kvmx_pci *d = refs->dev[i];

		if (!lock_open(d))
			continue;
		err = hold(d, KVMX_HOLD_VM, scratch);
		mutex_unlock(&d->lock);
	}
	return err;
}

/**
 * kvmx_quiesce() - quiesce all devices of an owner
 * @owner: the owner
 * @nr_devices: out: how many
 * @nr_unproven: out: of these, such as could not prove that they drained
 *
 * All are stopped before the first is waited for.
 *
 * Return: 0, or an error as documented in the UAPI: then some may be.
 */
int kvmx_quiesce(const struct kvmx_owner *owner, u32 *nr_devices, u32 *nr_unproven)
{
	struct kvmx_open_refs refs;
	struct scratch scratch;
	int err;
	u32 i;

	err = scratch_map(&scratch);
	if (err)
		return err;
	*nr_devices = 0;
	*nr_unproven = 0;
	err = kvmx_open_get(owner, &refs);
	if (err)
		goto unmap;
	err = hold_all(&refs, &scratch);
	for (i = 0; i < refs.nr && !err; i++) {
		if (!lock_open(refs.dev[i]))
			continue;
		drain(refs.dev[i]);
		++*nr_devices;
		*nr_unproven += !refs.dev[i]->proven;
		mutex_unlock(&refs.dev[i]->lock);
	}
	kvmx_open_put(&refs);
unmap:
	scratch_unmap(&scratch);
	return err;
}

/**
 * kvmx_resume() - undo kvmx_quiesce()
 * @owner: the owner
 *
 * Return: how many devices, or -errno: then none.
 */
int kvmx_resume(const struct kvmx_owner *owner)
{
	struct kvmx_open_refs refs;
	struct scratch scratch;
	int ret;

	ret = scratch_map(&scratch);
	if (ret)
		return ret;
	ret = kvmx_open_get(owner, &refs);
	if (ret)
		goto unmap;
	ret = release_all(&refs, &scratch);
	kvmx_open_put(&refs);
unmap:
	scratch_unmap(&scratch);
	return ret;
}

/* As kvmx_quiet(), for one device. */
static u64 device_quiet(struct kvmx_pci *d, bool trust)
{
	u64 seq = 0;

	mutex_lock(&d->lock);
	if (d->life == KVMX_PCI_OPEN && d->holds) {
		off_again(d);
		if (d->drained && (d->proven || trust))
			seq = atomic64_read(&d->seq);
	}
	mutex_unlock(&d->lock);
	return seq;
}

/**
 * kvmx_quiet() - whether devices of an owner can have done DMA
 * @owner: the owner
 * @trust: believe devices that they have drained
 *
 * Return: 0 while one can, or if there is none; else a number that changes when one may have.
 */
u64 kvmx_quiet(const struct kvmx_owner *owner, bool trust)
{
	struct kvmx_open_refs refs;
	u64 seq = 0, one;
	u32 i;

	if (kvmx_open_get(owner, &refs))
		return 0;
	for (i = 0; i < refs.nr; i++) {
		one = device_quiet(refs.dev[i], trust);
		seq = one ? max(seq, one) : 0;
		if (!one)
			break;
	}
	kvmx_open_put(&refs);
	return seq;
}

static u32 device_state(struct kvmx_pci *d)
{
	u32 state = KVMX_DEV_OPEN;

	lockdep_assert_held(&d->lock);
	if (d->holds || d->owed ? d->master : is_on(command(d)))
		state |= KVMX_DEV_MASTER;
	if (d->holds)
		state |= KVMX_DEV_QUIESCED;
	if (d->holds && !d->proven)
		state |= KVMX_DEV_UNPROVEN;
	if (pci_is_pcie(d->core.pdev))
		state |= KVMX_DEV_PCIE;
	return state;
}

/**
 * kvmx_devices() - KVMX_VM_DEVICES
 * @owner: the owner
 * @devs: where to
 * @room: devices there is room for
 *
 * Return: how many there are, or -ENOMEM.
 */
int kvmx_devices(const struct kvmx_owner *owner, struct kvmx_vm_device *devs, u32 room)
{
	struct kvmx_open_refs refs;
	u32 i, n = 0;

	if (kvmx_open_get(owner, &refs))
		return -ENOMEM;
	for (i = 0; i < refs.nr; i++) {
		struct kvmx_pci *d = refs.dev[i];

		if (!lock_open(d))
			continue;
		if (n < room) {
			devs[n].addr = kvmx_addr_of(d->core.pdev);
			devs[n].state = device_state(d);
		}
		mutex_unlock(&d->lock);
		n++;
	}
	kvmx_open_put(&refs);
	return n;
}
