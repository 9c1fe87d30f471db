// SPDX-License-Identifier: GPL-2.0
/*
 * Events of a VM: read(2) and poll(2) of a VM fd.
 */
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/poll.h>
#include <linux/uaccess.h>

#include "core.h"

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
	struct kvmx_event ev = {
		.type = type,
		.size = sizeof(ev),
		.time_ns = ktime_get_ns(),
		.arg = arg,
	};
	struct kvmx_handle *h;

	spin_lock(&vm->ev_lock);
	list_for_each_entry(h, &vm->handles, node) {
		h->event[(h->first + h->nr) % KVMX_HANDLE_EVENTS] = ev;
		if (h->nr < KVMX_HANDLE_EVENTS) {
			h->nr++;
		} else {
			h->first = (h->first + 1) % KVMX_HANDLE_EVENTS;
			h->lost++;
		}
	}
	spin_unlock(&vm->ev_lock);
	wake_up_all(&vm->wait);
}

/**
 * kvmx_handle_add() - have a handle told
 * @h: the handle
 */
void kvmx_handle_add(struct kvmx_handle *h)
{
	spin_lock(&h->vm->ev_lock);
	list_add_tail(&h->node, &h->vm->handles);
	h->vm->nr_handles++;
	spin_unlock(&h->vm->ev_lock);
}

/**
 * kvmx_handle_del() - have it told no more
 * @h: the handle
 */
void kvmx_handle_del(struct kvmx_handle *h)
{
	spin_lock(&h->vm->ev_lock);
	list_del(&h->node);
	h->vm->nr_handles--;
	spin_unlock(&h->vm->ev_lock);
}

static bool next_event(struct kvmx_handle *h, struct kvmx_event *ev)
{
	bool any;

	spin_lock(&h->vm->ev_lock);
	any = h->nr;
	if (any) {
		*ev = h->event[h->first];
		h->first = (h->first + 1) % KVMX_HANDLE_EVENTS;
		h->nr--;
	}
	spin_unlock(&h->vm->ev_lock);
	return any;
}

/* Puts an event back that could not be delivered, unless newer ones have taken its place. */
static void unread_event(struct kvmx_handle *h, const struct kvmx_event *ev)
{
	spin_lock(&h->vm->ev_lock);
	if (h->nr < KVMX_HANDLE_EVENTS) {
		h->first = (h->first + KVMX_HANDLE_EVENTS - 1) % KVMX_HANDLE_EVENTS;
		h->event[h->first] = *ev;
		h->nr++;
	} else {
		h->lost++;
	}
	spin_unlock(&h->vm->ev_lock);
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
	struct kvmx_event ev;
	ssize_t done = 0;
	int err;

	if (len < sizeof(ev))
		return -EINVAL;
	/* Another reader may have been quicker: then wait again. */
	for (;;) {
		while (len - done >= sizeof(ev) && next_event(h, &ev)) {
			if (copy_to_user(buf + done, &ev, sizeof(ev))) {
				unread_event(h, &ev);
				return done ?: -EFAULT;
			}
			done += sizeof(ev);
		}
		if (done || READ_ONCE(h->vm->dead))
			return done;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		err = wait_event_interruptible(h->vm->wait,
					       READ_ONCE(h->nr) || READ_ONCE(h->vm->dead));
		if (err)
			return err;
	}
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
	__poll_t mask = 0;

	poll_wait(file, &h->vm->wait, pt);
	if (READ_ONCE(h->nr))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(h->vm->dead))
		mask |= EPOLLHUP;
	return mask;
}
