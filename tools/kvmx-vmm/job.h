/* SPDX-License-Identifier: GPL-2.0 */
/* Migrations take long: they run in a thread of their own, one at a time. */
#ifndef VMM_JOB_H
#define VMM_JOB_H

#include <pthread.h>

#include "util.h"

struct vm;

enum job_kind { JOB_NONE, JOB_SEND, JOB_RECEIVE };

struct job {
	struct vm *vm;
	enum job_kind kind;
	pthread_t thread;
	char *place;
	bool offline;
	int result;
	int done_fd;		/* readable when the thread is through: call job_finish() */
};

int job_init(struct job *job, struct vm *vm);
void job_destroy(struct job *job);

/* -EBUSY if there is one */
int job_start(struct job *job, enum job_kind kind, const char *place, bool offline);

/* Waits for the thread; returns what the migration did. */
int job_finish(struct job *job);

#endif
