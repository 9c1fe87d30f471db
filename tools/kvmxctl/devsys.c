// SPDX-License-Identifier: GPL-2.0
/*
 * Who drives a device: sysfs. And who drove it before, which nobody else remembers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dev.h"

#define DEVICES	"/sys/bus/pci/devices"
#define MEMORY	"/run/kvmx"
#define PATH_LEN 192

static int write_file(const char *path, const char *text, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

bool devsys_exists(const char *bdf)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), DEVICES "/%s", bdf);
	return !access(path, F_OK);
}

void devsys_driver(const char *bdf, char *name, size_t size)
{
	char path[PATH_LEN], target[512];
	const char *last;
	ssize_t n;

	*name = '\0';
	snprintf(path, sizeof(path), DEVICES "/%s/driver", bdf);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return;
	target[n] = '\0';
	last = strrchr(target, '/');
	snprintf(name, size, "%.*s", (int)size - 1, last ? last + 1 : target);
}

int devsys_unbind(const char *bdf)
{
	char path[PATH_LEN];
	int err;

	snprintf(path, sizeof(path), DEVICES "/%s/driver/unbind", bdf);
	err = write_file(path, bdf, 0);
	/* It had no driver. */
	return err == -ENOENT ? 0 : err;
}

int devsys_override(const char *bdf, const char *driver)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), DEVICES "/%s/driver_override", bdf);
	return write_file(path, *driver ? driver : "\n", 0);
}

int devsys_probe(const char *bdf)
{
	return write_file("/sys/bus/pci/drivers_probe", bdf, 0);
}

int devsys_bind(const char *bdf, const char *driver)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%.64s/bind", driver);
	return write_file(path, bdf, 0);
}

int devsys_remember(const char *bdf, const char *driver)
{
	char path[PATH_LEN];

	if (mkdir(MEMORY, 0755) && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), MEMORY "/driver-%s", bdf);
	return write_file(path, driver, O_CREAT | O_TRUNC);
}

void devsys_recall(const char *bdf, char *driver, size_t size)
{
	char path[PATH_LEN];
	FILE *file;

	*driver = '\0';
	snprintf(path, sizeof(path), MEMORY "/driver-%s", bdf);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(driver, size, file))
		*driver = '\0';
	driver[strcspn(driver, "/\n")] = '\0';
	fclose(file);
}

void devsys_forget(const char *bdf)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), MEMORY "/driver-%s", bdf);
	unlink(path);
}
