/* SPDX-License-Identifier: GPL-2.0 */
/* Live migration: what libkvmx asks of a VMM. */
#ifndef VMM_MIGRATION_H
#define VMM_MIGRATION_H

#include <pthread.h>
#include <stdatomic.h>

#include <kvmx/migrate.h>

#include "util.h"

struct json_object;
struct vm;

struct migration {
	struct vm *vm;
	atomic_bool active;
	atomic_bool cancel;
	pthread_mutex_t lock;			/* of the following two */
	struct kvmx_migrate_progress progress;
	int collector;				/* a tracker to empty KVM's dirty rings by, or -1 */
	struct kvmx_migrate_report report;	/* of the last one that ended */
	struct json_object *hashes;		/* --memory-hash */
};

void migrate_init(struct migration *migration, struct vm *vm);
void migrate_destroy(struct migration *migration);

/* Both block until it is over and leave a report. Returns 0 if the guest is at @place now. */
int migrate_send(struct vm *vm, const char *place, bool offline);
/* Returns 0 if the guest is here and runs. */
int migrate_receive(struct vm *vm, const char *place);

/* KVM_EXIT_DIRTY_RING_FULL */
int migrate_ring_full(struct vm *vm);

#endif
