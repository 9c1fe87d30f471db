/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Failures on order: a call is made again and again, and each time the next one of the memory
 * allocations and user copies on its way fails. Needs a kernel built for that.
 */
#ifndef SELFTEST_KVMX_SWEEP_H
#define SELFTEST_KVMX_SWEEP_H

#include <stdbool.h>

struct sweep {
	const char *name;
	/* Makes the call possible; not swept. 0 or -errno. May be NULL. */
	int (*before)(void *data);
	/* What is swept: not negative, or -errno. After a failure it is repeated, and must work. */
	int (*call)(void *data);
	/* Undoes a call that worked. May be NULL. */
	void (*after)(void *data, int ret);
	/* An error it may give beside -ENOMEM and -EFAULT. */
	int also;
};

/* NULL, or why this kernel cannot do it. */
const char *sweep_missing(void);
/* Lets any allocation fail, silently. Once per process. 0 or -errno. */
int sweep_init(void);

/* The n-th allocation or copy of this thread from now on fails. */
int sweep_arm(int n);
/* Whether it did. */
bool sweep_fired(void);

/* All of it. 0, or -1 if something did not go as it must: what is printed. */
int sweep_run(const struct sweep *s, void *data);
/* So many points were covered outside of sweep_run(); prints, and adds them up. */
void sweep_count(const char *name, int points, int errors);

#endif
