// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "job.h"
#include "vm.h"

static void *job_thread(void *arg)
{
	struct job *job = arg;
	u64 one = 1;

	pthread_setname_np(pthread_self(), "migration");
	job->result = job->kind == JOB_SEND ? migrate_send(job->vm, job->place, job->offline) :
					      migrate_receive(job->vm, job->place);
	write_full(job->done_fd, &one, sizeof(one));
	return NULL;
}

int job_init(struct job *job, struct vm *vm)
{
	memset(job, 0, sizeof(*job));
	job->vm = vm;
	job->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return job->done_fd < 0 ? fail(errno, "eventfd: %m") : 0;
}

void job_destroy(struct job *job)
{
	if (job->done_fd >= 0)
		close(job->done_fd);
}

int job_start(struct job *job, enum job_kind kind, const char *place, bool offline)
{
	int err;

	if (job->kind != JOB_NONE)
		return -EBUSY;
	job->place = strdup(place);
	if (!job->place)
		return -ENOMEM;
	job->kind = kind;
	job->offline = offline;
	job->vm->migration.cancel = false;
	job->vm->migration.active = true;
	err = pthread_create(&job->thread, NULL, job_thread, job);
	if (err) {
		free(job->place);
		job->kind = JOB_NONE;
		job->vm->migration.active = false;
	}
	return -err;
}

int job_finish(struct job *job)
{
	u64 count;

	pthread_join(job->thread, NULL);
	read_full(job->done_fd, &count, sizeof(count));
	free(job->place);
	job->kind = JOB_NONE;
	job->vm->migration.active = false;
	return job->result;
}
