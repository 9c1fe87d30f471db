/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Other processes: file descriptors sent to them, rights taken from them.
 */
#ifndef SELFTEST_KVMX_FDPASS_H
#define SELFTEST_KVMX_FDPASS_H

#include <stdbool.h>

/* Both give 0 or the fd, or -errno. recv_fd() gives up after ten seconds. */
int send_fd(int sock, int fd);
int recv_fd(int sock);

/* Let go of every capability of this thread. */
int drop_capabilities(void);

#endif
