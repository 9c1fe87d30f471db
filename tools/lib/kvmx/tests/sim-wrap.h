/* SPDX-License-Identifier: LGPL-2.1 */
/* The functions that the linker puts between the library and what it calls (ld's --wrap). */
#ifndef _LIBKVMX_TESTS_SIM_WRAP_H
#define _LIBKVMX_TESTS_SIM_WRAP_H

#include <poll.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __real_ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout,
		 const sigset_t *mask);
ssize_t __real_send(int fd, const void *buf, size_t len, int flags);
ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
int __real_shutdown(int fd, int how);
ssize_t __real_getrandom(void *buf, size_t len, unsigned int flags);
uint64_t __real_page_copy(void *to, const void *page);
void __real_hash_page(const void *page, uint64_t *low, uint64_t *high);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout,
		 const sigset_t *mask);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
int __wrap_shutdown(int fd, int how);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned int flags);
uint64_t __wrap_page_copy(void *to, const void *page);
void __wrap_hash_page(const void *page, uint64_t *low, uint64_t *high);

#endif /* _LIBKVMX_TESTS_SIM_WRAP_H */
