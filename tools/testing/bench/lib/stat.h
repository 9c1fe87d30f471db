/* SPDX-License-Identifier: GPL-2.0 */
#ifndef BENCH_STAT_H
#define BENCH_STAT_H

#include <stdint.h>

/* Sorts. */
double median(double *values, unsigned int nr);

/* A vCPU's counter by its name in KVM's binary statistics; -errno */
int64_t kvm_stat(int vcpu_fd, const char *name);

/* Says what failed, with -@err's text, and exits. */
void die(const char *what, int err) __attribute__((noreturn));
/* Ends the program unless @err is 0. */
void must(const char *what, long err);
/* Ends the program if @fd is negative; gives it back. */
int must_fd(const char *what, int fd);

#endif
