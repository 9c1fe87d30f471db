// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/sweep.h"
#include "lib/util.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"
#define DEBUGFS "/sys/kernel/debug/"
/* No call has nearly as many. */
#define MAX_POINTS 20000

static int fail_nth = -1;
/* Of all tests of the program, which are processes of their own. */
static int *total;

__attribute__((constructor)) static void share_total(void)
{
	total = mmap(NULL, sizeof(*total), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
}

const char *sweep_missing(void)
{
	if (access(FAIL_NTH, W_OK) || access(DEBUGFS "failslab", X_OK))
		return "this kernel cannot make an allocation fail (KERNEL=debug can)";
	return NULL;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int sweep_init(void)
{
	static const char * const setting[][2] = {
		/* Those that may wait, too, and those of one page. */
		{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
		{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
		{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ DEBUGFS "fail_page_alloc/min-order", "0" },
		{ DEBUGFS "failslab/verbose", "0" },
		{ DEBUGFS "fail_page_alloc/verbose", "0" },
		{ DEBUGFS "fail_usercopy/verbose", "0" },
	};
	unsigned int i;
	int err;

	for (i = 0; i < sizeof(setting) / sizeof(setting[0]); i++) {
		err = write_text(setting[i][0], setting[i][1]);
		if (err)
			return err;
	}
	fail_nth = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	return fail_nth < 0 ? -errno : 0;
}

int sweep_arm(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	return pwrite(fail_nth, text, len, 0) == len ? 0 : -errno;
}

bool sweep_fired(void)
{
	char text[16] = "";
	bool fired;

	/* If reading is what fails, nothing before it did. */
	fired = pread(fail_nth, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;
	/* This may be the one that fails; then there is nothing left to disarm. */
	sweep_arm(0);
	return fired;
}

void sweep_count(const char *name, int points, int errors)
{
	int sum = __atomic_add_fetch(total, points, __ATOMIC_RELAXED);

	printf("# %s: %d injection points, %d errors (%d points so far)\n", name, points, errors,
	       sum);
	fflush(stdout);
}

static int complain(const struct sweep *s, int n, const char *what, int ret)
{
	printf("# %s: injection point %d: %s: %d\n", s->name, n, what, ret);
	fflush(stdout);
	return -1;
}

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* 1: nothing was left to fail. 0: something did. -1: and not as it must. */
static int sweep_point(const struct sweep *s, void *data, int n, int *errors)
{
	int fd, ret, err;
	bool fired;

	err = s->before ? s->before(data) : 0;
	if (err)
		return complain(s, n, "cannot be prepared", err);
	fd = next_fd();
	if (sweep_arm(n))
		return complain(s, n, "cannot be armed", -errno);
	ret = s->call(data);
	fired = sweep_fired();
	if (!fired && ret < 0)
		return complain(s, n, "an error without a reason", ret);
	if (ret < 0) {
		++*errors;
		if (ret != -ENOMEM && ret != -EFAULT && (!s->also || ret != s->also))
			return complain(s, n, "the wrong error", ret);
		if (next_fd() != fd)
			return complain(s, n, "leaves a file descriptor behind", next_fd());
		ret = s->call(data);
		if (ret < 0)
			return complain(s, n, "does not work afterwards", ret);
	}
	if (s->after)
		s->after(data, ret);
	return !fired;
}

int sweep_run(const struct sweep *s, void *data)
{
	int n, ret = 0, errors = 0;

	for (n = 1; n < MAX_POINTS && !ret; n++)
		ret = sweep_point(s, data, n, &errors);
	if (ret < 0)
		return ret;
	if (!ret)
		return complain(s, n, "no end of it", 0);
	sweep_count(s->name, n - 2, errors);
	return 0;
}
