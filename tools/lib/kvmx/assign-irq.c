// SPDX-License-Identifier: LGPL-2.1
/*
 * Interrupts: the device signals an eventfd, to which KVM listens and raises an interrupt. No
 * process runs in between.
 *
 * An eventfd counts. KVM is not connected to that of a masked vector, and finds what came meanwhile
 * when it is connected again.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "assign.h"

/* KVM's default on x86: GSI n is pin n of the IOAPIC, and below 16 also of the PICs. */
#define IOAPIC_PINS	24
#define PIC_PINS	16
#define MAX_ROUTES	1024
#define ROUTES_STEP	64

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static void close_eventfd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* One ioctl for all: @fds NULL and @nr 0 switch the index off. */
static int set_irqs(struct assigned *d, uint32_t index, uint32_t action, const int *fds,
		    uint32_t nr)
{
	struct vfio_irq_set *set;
	int ret;

	set = calloc(1, sizeof(*set) + nr * sizeof(*fds));
	if (!set)
		return -ENOMEM;
	set->argsz = sizeof(*set) + nr * sizeof(*fds);
	set->flags = action | (nr ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->count = nr;
	if (nr)
		memcpy(set->data, fds, nr * sizeof(*fds));
	ret = ioctl(d->dev.fd, VFIO_DEVICE_SET_IRQS, set);
	ret = ret < 0 ? -errno : ret ? -ENOSPC : 0;
	free(set);
	return ret;
}

static int irqfd(struct assigned *d, int fd, uint32_t gsi, int resample, bool connect)
{
	struct kvm_irqfd arg = {
		.fd = fd,
		.gsi = gsi,
		.flags = (connect ? 0 : KVM_IRQFD_FLAG_DEASSIGN) |
			 (resample < 0 ? 0 : KVM_IRQFD_FLAG_RESAMPLE),
		.resamplefd = resample < 0 ? 0 : resample,
	};

	return ioctl(d->dev.vm->kvm_fd, KVM_IRQFD, &arg) ? -errno : 0;
}

static void intx_off(struct assigned *d)
{
	if (d->intx < 0)
		return;
	set_irqs(d, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, NULL, 0);
	/* Also lowers the line. */
	irqfd(d, d->intx, d->gsi, -1, false);
	close_eventfd(&d->intx);
	close_eventfd(&d->unmask);
}

/* VFIO masks the line when it signals; the guest's end of interrupt unmasks it, by way of KVM. */
static int intx_on(struct assigned *d)
{
	int err;

	if (d->gsi < 0 || d->intx >= 0 || !d->dev.nr_irqs[VFIO_PCI_INTX_IRQ_INDEX])
		return 0;
	d->intx = new_eventfd();
	if (d->intx < 0)
		return d->intx;
	d->unmask = new_eventfd();
	err = d->unmask < 0 ? d->unmask : irqfd(d, d->intx, d->gsi, d->unmask, true);
	if (err)
		goto close_fds;
	err = set_irqs(d, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, &d->intx, 1);
	if (err)
		goto disconnect;
	err = set_irqs(d, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, &d->unmask, 1);
	if (err)
		goto disable;
	return 0;
disable:
	set_irqs(d, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_TRIGGER, NULL, 0);
disconnect:
	irqfd(d, d->intx, d->gsi, -1, false);
close_fds:
	close_eventfd(&d->intx);
	close_eventfd(&d->unmask);
	return err;
}

static uint32_t first_gsi(const struct kvmx_assign_vm *vm)
{
	return vm->first_gsi ? vm->first_gsi : IOAPIC_PINS;
}

static struct kvm_irq_routing_entry pin(uint32_t gsi, uint32_t chip, uint32_t n)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = n },
	};
}

static uint32_t default_routes(struct kvm_irq_routing_entry *entry)
{
	uint32_t i, nr = 0;

	for (i = 0; i < IOAPIC_PINS; i++) {
		entry[nr++] = pin(i, KVM_IRQCHIP_IOAPIC, i);
		if (i < PIC_PINS)
			entry[nr++] = pin(i, i < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
					  i % 8);
	}
	return nr;
}

static uint32_t msi_routes(const struct kvmx_assign_vm *vm, struct kvm_irq_routing_entry *entry)
{
	uint32_t i, nr = 0;

	for (i = 0; i < vm->state->nr_routes; i++) {
		const struct route *r = &vm->state->routes[i];

		if (!r->used)
			continue;
		entry[nr++] = (struct kvm_irq_routing_entry){
			.gsi = first_gsi(vm) + i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = {
				.address_lo = r->addr,
				.address_hi = r->addr >> 32,
				.data = r->data,
			},
		};
	}
	return nr;
}

/* KVM takes its whole table or nothing. */
static int commit_routes(struct kvmx_assign_vm *vm)
{
	struct kvm_irq_routing *table;
	uint32_t nr = 0;
	int err;

	table = calloc(1, sizeof(*table) + (IOAPIC_PINS + PIC_PINS + vm->state->nr_routes) *
		       sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	if (vm->set_routes) {
		nr = msi_routes(vm, table->entries);
		err = vm->set_routes(vm->opaque, table->entries, nr);
	} else {
		nr = default_routes(table->entries);
		nr += msi_routes(vm, table->entries + nr);
		table->nr = nr;
		err = ioctl(vm->kvm_fd, KVM_SET_GSI_ROUTING, table) ? -errno : 0;
	}
	free(table);
	return err;
}

static int take_route(struct kvmx_assign_state *state, const struct kvmx_msi *msi, uint32_t *index)
{
	struct route *more;
	uint32_t i;

	for (i = 0; i < state->nr_routes && state->routes[i].used; i++)
		;
	if (i == MAX_ROUTES)
		return -ENOSPC;
	if (i == state->nr_routes) {
		more = realloc(state->routes, (i + ROUTES_STEP) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		memset(more + i, 0, ROUTES_STEP * sizeof(*more));
		state->routes = more;
		state->nr_routes += ROUTES_STEP;
	}
	state->routes[i] = (struct route){ .used = true, .addr = msi->addr, .data = msi->data };
	*index = i;
	return 0;
}

static int connect_vector(struct assigned *d, struct vector *v, bool connect)
{
	int err;

	if (v->connected == connect)
		return 0;
	err = irqfd(d, v->eventfd, first_gsi(d->dev.vm) + v->route, -1, connect);
	if (!err)
		v->connected = connect;
	return err;
}

static void vectors_off(struct assigned *d)
{
	struct kvmx_assign_state *state = d->dev.vm->state;
	uint32_t i;

	if (!d->nr_vectors)
		return;
	set_irqs(d, d->index, VFIO_IRQ_SET_ACTION_TRIGGER, NULL, 0);
	for (i = 0; i < d->nr_vectors; i++) {
		struct vector *v = &d->vectors[i];

		connect_vector(d, v, false);
		close_eventfd(&v->eventfd);
		state->routes[v->route].used = false;
	}
	free(d->vectors);
	d->vectors = NULL;
	d->nr_vectors = 0;
	/* A stale route leads from a GSI that nobody raises: no harm if this fails. */
	commit_routes(d->dev.vm);
}

static int add_vector(struct assigned *d, const struct kvmx_msi *msi)
{
	struct vector *v = &d->vectors[d->nr_vectors];
	int err;

	v->eventfd = new_eventfd();
	if (v->eventfd < 0)
		return v->eventfd;
	err = take_route(d->dev.vm->state, msi, &v->route);
	if (err)
		close_eventfd(&v->eventfd);
	else
		d->nr_vectors++;
	return err;
}

/* KVM listens before the device may send. */
static int vectors_on(struct assigned *d, const struct kvmx_msi *msi, uint32_t nr)
{
	uint32_t i;
	int *fds, err = 0;

	d->vectors = calloc(nr, sizeof(*d->vectors));
	fds = calloc(nr, sizeof(*fds));
	if (!d->vectors || !fds)
		err = -ENOMEM;
	for (i = 0; i < nr && !err; i++) {
		err = add_vector(d, &msi[i]);
		fds[i] = d->vectors[i].eventfd;
	}
	if (!err)
		err = commit_routes(d->dev.vm);
	for (i = 0; i < nr && !err; i++)
		err = connect_vector(d, &d->vectors[i], !msi[i].masked);
	if (!err)
		err = set_irqs(d, d->index, VFIO_IRQ_SET_ACTION_TRIGGER, fds, nr);
	free(fds);
	if (!err)
		return 0;
	vectors_off(d);
	free(d->vectors);
	d->vectors = NULL;
	return err;
}

int kvmx_device_vectors(struct kvmx_device *device, uint32_t index, const struct kvmx_msi *msi,
			uint32_t nr)
{
	struct assigned *d = assigned_of(device);
	int err;

	if (index != VFIO_PCI_MSI_IRQ_INDEX && index != VFIO_PCI_MSIX_IRQ_INDEX)
		return assign_fail(device->vm, -EINVAL, "%s: neither MSI nor MSI-X", device->bdf);
	if (nr > device->nr_irqs[index])
		return assign_fail(device->vm, -EINVAL, "%s has %u vectors, not %u", device->bdf,
				   device->nr_irqs[index], nr);
	vectors_off(d);
	if (nr) {
		intx_off(d);
		d->index = index;
		err = vectors_on(d, msi, nr);
	} else {
		err = intx_on(d);
	}
	return err ? assign_fail(device->vm, err, "%s: cannot set up its interrupts: %s",
				 device->bdf, strerror(-err)) : 0;
}

int kvmx_device_vector(struct kvmx_device *device, uint32_t vector, const struct kvmx_msi *msi)
{
	struct assigned *d = assigned_of(device);
	struct route *r;
	struct vector *v;
	int err = 0;

	if (vector >= d->nr_vectors)
		return assign_fail(device->vm, -EINVAL, "%s: vector %u is not in use", device->bdf,
				   vector);
	v = &d->vectors[vector];
	r = &device->vm->state->routes[v->route];
	if (msi->masked)
		err = connect_vector(d, v, false);
	if (!err && (r->addr != msi->addr || r->data != msi->data)) {
		r->addr = msi->addr;
		r->data = msi->data;
		err = commit_routes(device->vm);
	}
	if (!err && !msi->masked)
		err = connect_vector(d, v, true);
	if (!err)
		return 0;
	connect_vector(d, v, false);
	return assign_fail(device->vm, err, "%s: cannot change vector %u: %s", device->bdf, vector,
			   strerror(-err));
}

bool kvmx_device_pending(struct kvmx_device *device, uint32_t vector)
{
	struct assigned *d = assigned_of(device);
	struct pollfd pfd = { .events = POLLIN };

	if (vector >= d->nr_vectors || d->vectors[vector].connected)
		return false;
	pfd.fd = d->vectors[vector].eventfd;
	return poll(&pfd, 1, 0) == 1;
}

int kvmx_device_intx(struct kvmx_device *device, int gsi)
{
	struct assigned *d = assigned_of(device);
	int err;

	intx_off(d);
	d->gsi = gsi;
	err = d->nr_vectors ? 0 : intx_on(d);
	return err ? assign_fail(device->vm, err, "%s: cannot set up INTx: %s", device->bdf,
				 strerror(-err)) : 0;
}

int assign_irqs(struct assigned *d)
{
	uint32_t i;

	d->gsi = -1;
	d->intx = -1;
	d->unmask = -1;
	for (i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		struct vfio_irq_info info = { .argsz = sizeof(info), .index = i };

		if (!ioctl(d->dev.fd, VFIO_DEVICE_GET_IRQ_INFO, &info))
			d->dev.nr_irqs[i] = info.count;
		else if (errno != EINVAL)
			return assign_fail(d->dev.vm, -errno, "%s: what interrupts it has: %m",
					   d->dev.bdf);
	}
	return 0;
}

void assign_irqs_drop(struct assigned *d)
{
	vectors_off(d);
	intx_off(d);
}
