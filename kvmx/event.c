// SPDX-License-Identifier: GPL-2.0
/*
 * Events: read(2) and poll(2) of a VM fd and of a system fd.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/poll.h>
#include <linux/uaccess.h>

#include "core.h"

struct kvmx_bell kvmx_sys_bell;

/**
 * kvmx_bell_init() - nobody listens yet
 * @bell: the bell
 */
void kvmx_bell_init(struct kvmx_bell *bell)
{
	spin_lock_init(&bell->lock);
	INIT_LIST_HEAD(&bell->queues);
	init_waitqueue_head(&bell->wait);
}

/**
 * kvmx_bell_ring() - tell all who listen
 * @bell: the bell
 * @type: KVMX_EVENT_*
 * @arg: see the type
 *
 * Context: any process context.
 */
void kvmx_bell_ring(struct kvmx_bell *bell, u32 type, u64 arg)
{
	struct kvmx_event ev = {
		.type = type,
		.size = sizeof(ev),
		.time_ns = ktime_get_ns(),
		.arg = arg,
	};
	struct kvmx_queue *q;

	spin_lock(&bell->lock);
	list_for_each_entry(q, &bell->queues, node) {
		q->event[(q->first + q->nr) % KVMX_QUEUE_EVENTS] = ev;
		if (q->nr < KVMX_QUEUE_EVENTS) {
			q->nr++;
		} else {
			q->first = (q->first + 1) % KVMX_QUEUE_EVENTS;
			q->lost++;
		}
	}
	spin_unlock(&bell->lock);
	wake_up_all(&bell->wait);
}

/**
 * kvmx_bell_end() - nothing will be heard any more
 * @bell: the bell
 *
 * Return: whether it was not so before.
 */
bool kvmx_bell_end(struct kvmx_bell *bell)
{
	if (xchg(&bell->over, true))
		return false;
	wake_up_all(&bell->wait);
	return true;
}

/**
 * kvmx_event() - tell all handles of a VM
 * @vm: the VM
 * @type: KVMX_EVENT_*
 * @arg: see the type
 *
 * Context: any process context.
 */
void kvmx_event(struct kvmx_vm *vm, u32 type, u64 arg)
{
	kvmx_bell_ring(&vm->bell, type, arg);
}

/**
 * kvmx_queue_add() - listen
 * @bell: to this
 * @q: here
 */
void kvmx_queue_add(struct kvmx_bell *bell, struct kvmx_queue *q)
{
	spin_lock(&bell->lock);
	list_add_tail(&q->node, &bell->queues);
	bell->nr++;
	spin_unlock(&bell->lock);
}

/**
 * kvmx_queue_del() - listen no more
 * @bell: to this
 * @q: here
 */
void kvmx_queue_del(struct kvmx_bell *bell, struct kvmx_queue *q)
{
	spin_lock(&bell->lock);
	list_del(&q->node);
	bell->nr--;
	spin_unlock(&bell->lock);
}

static bool next_event(struct kvmx_bell *bell, struct kvmx_queue *q, struct kvmx_event *ev)
{
	bool any;

	spin_lock(&bell->lock);
	any = q->nr;
	if (any) {
		*ev = q->event[q->first];
		q->first = (q->first + 1) % KVMX_QUEUE_EVENTS;
		q->nr--;
	}
	spin_unlock(&bell->lock);
	return any;
}

/* Puts an event back that could not be delivered, unless newer ones have taken its place. */
static void unread_event(struct kvmx_bell *bell, struct kvmx_queue *q, const struct kvmx_event *ev)
{
	spin_lock(&bell->lock);
	if (q->nr < KVMX_QUEUE_EVENTS) {
		q->first = (q->first + KVMX_QUEUE_EVENTS - 1) % KVMX_QUEUE_EVENTS;
		q->event[q->first] = *ev;
		q->nr++;
	} else {
		q->lost++;
	}
	spin_unlock(&bell->lock);
}

static ssize_t queue_read(struct kvmx_bell *bell, struct kvmx_queue *q, struct file *file,
			  char __user *buf, size_t len)
{
	struct kvmx_event ev;
	ssize_t done = 0;
	int err;

	if (len < sizeof(ev))
		return -EINVAL;
	/* Another reader may have been quicker: then wait again. */
	for (;;) {
		while (len - done >= sizeof(ev) && next_event(bell, q, &ev)) {
			if (copy_to_user(buf + done, &ev, sizeof(ev))) {
				unread_event(bell, q, &ev);
				return done ?: -EFAULT;
			}
			done += sizeof(ev);
		}
		if (done || READ_ONCE(bell->over))
			return done;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		err = wait_event_interruptible(bell->wait,
					       READ_ONCE(q->nr) || READ_ONCE(bell->over));
		if (err)
			return err;
	}
}

static __poll_t queue_poll(struct kvmx_bell *bell, struct kvmx_queue *q, struct file *file,
			   struct poll_table_struct *pt)
{
	__poll_t mask = 0;

	poll_wait(file, &bell->wait, pt);
	if (READ_ONCE(q->nr))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(bell->over))
		mask |= EPOLLHUP;
	return mask;
}

/**
 * kvmx_handle_read() - read(2) of a VM fd
 * @file: the VM fd
 * @buf: room for events
 * @len: bytes of it
 * @pos: ignored
 *
 * Return: bytes of whole events; 0 if the VM is dead; -EINVAL, -EAGAIN, -EFAULT, -ERESTARTSYS.
 */
ssize_t kvmx_handle_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct kvmx_handle *h = file->private_data;

	return queue_read(&h->vm->bell, &h->queue, file, buf, len);
}

/**
 * kvmx_handle_poll() - poll(2) of a VM fd
 * @file: the VM fd
 * @pt: the caller's
 *
 * Return: EPOLLIN while there are events, EPOLLHUP when the VM is dead.
 */
__poll_t kvmx_handle_poll(struct file *file, struct poll_table_struct *pt)
{
	struct kvmx_handle *h = file->private_data;

	return queue_poll(&h->vm->bell, &h->queue, file, pt);
}

/* What happens on the whole host is not for everybody who may open the device. */
static bool may_listen(struct file *file)
{
	return file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN);
}

/**
 * kvmx_sys_read() - read(2) of a system fd
 * @file: the system fd
 * @buf: room for events
 * @len: bytes of it
 * @pos: ignored
 *
 * Return: bytes of whole events; -EPERM, -EINVAL, -EAGAIN, -EFAULT, -ERESTARTSYS.
 */
ssize_t kvmx_sys_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct kvmx_sys *sys = file->private_data;

	if (!may_listen(file))
		return -EPERM;
	return queue_read(&kvmx_sys_bell, &sys->queue, file, buf, len);
}

/**
 * kvmx_sys_poll() - poll(2) of a system fd
 * @file: the system fd
 * @pt: the caller's
 *
 * Return: EPOLLIN while there are events that may be read.
 */
__poll_t kvmx_sys_poll(struct file *file, struct poll_table_struct *pt)
{
	struct kvmx_sys *sys = file->private_data;

	return may_listen(file) ? queue_poll(&kvmx_sys_bell, &sys->queue, file, pt) : 0;
}
