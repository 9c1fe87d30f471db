/* SPDX-License-Identifier: GPL-2.0 */
/* All that a guest is besides its memory. */
#ifndef VMM_STATE_H
#define VMM_STATE_H

#include "blob.h"
#include "util.h"

struct vm;

/* The vCPUs stand still for both. *data is to be freed by the caller. */
int state_save(struct vm *vm, void **data, size_t *len);

/* On failure the VM is half set up and good for nothing. */
int state_load(struct vm *vm, const void *data, size_t len);

/* One kind of section, of which there are count() instances. */
struct state_item {
	u32 type;
	const char *name;
	u32 (*count)(const struct vm *vm);
	int (*save)(struct vm *vm, u32 instance, struct blob_writer *blob);
	int (*load)(struct vm *vm, u32 instance, const void *data, size_t len);
};

/*
 * What a type number means never changes; a section of another layout gets a new number.
 * The order is that of the blob, and of loading: see the tables.
 */
enum state_type {
	STATE_CONFIG = 1,
	STATE_CPUID = 2,
	STATE_TSC = 3,
	STATE_SREGS = 10,
	STATE_REGS = 11,
	STATE_XCRS = 12,
	STATE_XSAVE = 13,
	STATE_LAPIC = 14,
	STATE_MSRS = 15,
	STATE_MP_STATE = 16,
	STATE_DEBUGREGS = 17,
	STATE_EVENTS = 18,
	STATE_IRQCHIP = 30,
	STATE_PIT = 31,
	STATE_CLOCK = 32,
	STATE_PCI = 40,
	STATE_SERIAL = 41,
	STATE_DISK = 42,
	STATE_RTC = 43,
	STATE_HOST_DEVICES = 44,
};

/* Ended by an entry without name. */
extern const struct state_item state_machine_items[];	/* before the vCPUs */
extern const struct state_item state_vcpu_items[];
extern const struct state_item state_device_items[];	/* after them */
extern const struct state_item state_host_items[];

int state_settle(struct vm *vm);

#endif
