/* SPDX-License-Identifier: LGPL-2.1 */
/* What the files of kvmx_assign() share. */
#ifndef _LIBKVMX_ASSIGN_H
#define _LIBKVMX_ASSIGN_H

#include <kvmx/assign.h>

#include "internal.h"

#define DRIVER_NAME	"kvmx_vfio_pci"

/* A GSI, and where it leads. It belongs to one vector. */
struct route {
	bool used;
	uint64_t addr;
	uint32_t data;
};

struct group {
	struct group *next;
	int nr;
	int fd;
	unsigned int devices;
};

/* Memory that devices can reach. */
struct dma_map {
	uint64_t gfn;
	uint64_t npages;
	uint64_t hva;
	bool readonly;
};

/* What the devices of a VM share. */
struct kvmx_assign_state {
	int container;
	struct group *groups;
	struct assigned *devices;
	struct dma_map *map;
	uint32_t nr_map;
	struct route *routes;
	uint32_t nr_routes;
};

struct vector {
	int eventfd;
	uint32_t route;
	bool connected;		/* KVM listens to the eventfd */
};

struct assigned {
	struct kvmx_device dev;	/* first */
	struct assigned *next;
	struct group *group;
	int gsi;		/* that INTx shall raise, or -1 */
	int intx;		/* eventfds while INTx is on, else -1 */
	int unmask;
	uint32_t index;		/* of the vectors */
	uint32_t nr_vectors;
	struct vector *vectors;
};

static inline struct assigned *assigned_of(struct kvmx_device *dev)
{
	return (struct assigned *)dev;
}

/* Notes why, for people. Returns @err. */
int assign_fail(struct kvmx_assign_vm *vm, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* assign-sysfs.c */
int assign_find(struct kvmx_assign_vm *vm, const char *text, char bdf[KVMX_BDF_LEN], int *group);
/* Notes in the VM which device keeps the group from being used. */
int assign_blame(struct kvmx_assign_vm *vm, int group);

/* assign-region.c */
int assign_regions(struct assigned *d);
void assign_regions_drop(struct assigned *d);
/* Whether memory here is one of a device's areas. */
bool assign_is_area(const struct kvmx_assign_state *state, uint64_t hva);

/* assign-dma.c */
int assign_dma_sync(struct kvmx_assign_vm *vm);
void assign_dma_drop(struct kvmx_assign_vm *vm);

/* assign-irq.c */
int assign_irqs(struct assigned *d);
void assign_irqs_drop(struct assigned *d);

#endif /* _LIBKVMX_ASSIGN_H */
