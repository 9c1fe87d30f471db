/* SPDX-License-Identifier: GPL-2.0 */
/* With --wrap the linker has calls of x() come to __wrap_x(); __real_x() is the real one. */
#ifndef SELFTEST_KVMX_VFIO_ASSIGN_H
#define SELFTEST_KVMX_VFIO_ASSIGN_H

#include <stddef.h>
#include <sys/types.h>

int __real_ioctl(int fd, unsigned long nr, void *arg);
int __real_open(const char *path, int flags, ...);
int __real_eventfd(unsigned int value, int flags);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *old, size_t size);
ssize_t __real_pread(int fd, void *buf, size_t len, off_t offset);
int __wrap_ioctl(int fd, unsigned long nr, void *arg);
int __wrap_open(const char *path, int flags, int mode);
int __wrap_eventfd(unsigned int value, int flags);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *old, size_t size);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t offset);

#endif
