// SPDX-License-Identifier: GPL-2.0

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/stat.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return nr % 2 ? values[nr / 2] : (values[nr / 2 - 1] + values[nr / 2]) / 2;
}

void die(const char *what, int err)
{
	fprintf(stderr, "%s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(2);
}

void must(const char *what, long err)
{
	if (err)
		die(what, err);
}

int must_fd(const char *what, int fd)
{
	if (fd < 0)
		die(what, fd);
	return fd;
}

static int64_t read_stat(int fd, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	int64_t value = -ENOENT;
	size_t size;
	uint32_t i;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		return -EIO;
	size = sizeof(*desc) + header.name_size;
	desc = malloc(size);
	if (!desc)
		return -ENOMEM;
	for (i = 0; i < header.num_desc; i++) {
		if (pread(fd, desc, size, header.desc_offset + i * size) != (ssize_t)size) {
			value = -EIO;
			break;
		}
		if (strncmp(desc->name, name, header.name_size))
			continue;
		if (pread(fd, &value, sizeof(value), header.data_offset + desc->offset) !=
		    sizeof(value))
			value = -EIO;
		break;
	}
	free(desc);
	return value;
}

int64_t kvm_stat(int vcpu_fd, const char *name)
{
	int fd = ioctl(vcpu_fd, KVM_GET_STATS_FD, NULL);
	int64_t value;

	if (fd < 0)
		return -errno;
	value = read_stat(fd, name);
	close(fd);
	return value;
}
