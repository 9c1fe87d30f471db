// SPDX-License-Identifier: GPL-2.0
/*
 * What the host does with a device: a disk that is mounted, swapped to or part of something, an
 * interface that is up.
 */
#include <dirent.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dev.h"

/* Whether what a link of sysfs leads to lies below the device. */
static bool is_below(const char *link, const char *bdf)
{
	char path[PATH_MAX], part[DEV_BDF_LEN + 2];

	snprintf(part, sizeof(part), "/%s/", bdf);
	return realpath(link, path) && strstr(path, part);
}

/* Calls @check for each entry of a class that belongs to the device, until it says true. */
static bool any_of_class(const char *class, const char *bdf, bool (*check)(const char *, char *,
									   size_t),
			 char *buf, size_t size)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	dir = opendir(class);
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", class, entry->d_name);
		if (is_below(path, bdf))
			found = check(entry->d_name, buf, size);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool read_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "re");
	bool ok = file && fgets(line, size, file);

	if (file)
		fclose(file);
	return ok;
}

static bool interface_is_up(const char *name, char *buf, size_t size)
{
	char path[PATH_MAX], line[32];

	snprintf(path, sizeof(path), "/sys/class/net/%s/flags", name);
	if (!read_line(path, line, sizeof(line)) || !(strtoul(line, NULL, 0) & IFF_UP))
		return false;
	snprintf(buf, size, "interface %s is up", name);
	return true;
}

/* The mount point of a block device "MAJOR:MINOR", in /proc/self/mountinfo. */
static bool is_mounted(const char *name, const char *dev, char *buf, size_t size)
{
	char line[PATH_MAX], number[32], point[1024];
	FILE *file = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*d %*d %31s %*s %1023s", number, point) != 2 ||
		    strcmp(number, dev))
			continue;
		snprintf(buf, size, "disk %s is mounted on %.100s", name, point);
		found = true;
	}
	if (file)
		fclose(file);
	return found;
}

static bool is_swap(const char *name, const char *dev, char *buf, size_t size)
{
	char line[PATH_MAX], path[1024], number[32];
	FILE *file = fopen("/proc/swaps", "re");
	bool found = false;
	struct stat st;

	while (file && !found && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%1023s", path) != 1 || stat(path, &st) || !S_ISBLK(st.st_mode))
			continue;
		snprintf(number, sizeof(number), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
		if (strcmp(number, dev))
			continue;
		snprintf(buf, size, "disk %s is swapped to", name);
		found = true;
	}
	if (file)
		fclose(file);
	return found;
}

/* RAID, LVM, encryption: another block device is made of it. */
static bool has_holder(const char *name, char *buf, size_t size)
{
	char path[PATH_MAX];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/class/block/%s/holders", name);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(buf, size, "disk %s is part of %.100s", name, entry->d_name);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool disk_is_used(const char *name, char *buf, size_t size)
{
	char path[PATH_MAX], dev[32];

	snprintf(path, sizeof(path), "/sys/class/block/%s/dev", name);
	if (!read_line(path, dev, sizeof(dev)))
		return false;
	dev[strcspn(dev, "\n")] = '\0';
	return is_mounted(name, dev, buf, size) || is_swap(name, dev, buf, size) ||
	       has_holder(name, buf, size);
}

bool devuse_find(const char *bdf, char *buf, size_t size)
{
	return any_of_class("/sys/class/block", bdf, disk_is_used, buf, size) ||
	       any_of_class("/sys/class/net", bdf, interface_is_up, buf, size);
}
