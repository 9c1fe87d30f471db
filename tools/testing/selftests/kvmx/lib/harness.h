/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Comes before everything else: see Makefile.
 *
 * The harness's limit for a single test is too short for a kernel with its own checkers on.
 */
#ifndef SELFTEST_KVMX_HARNESS_H
#define SELFTEST_KVMX_HARNESS_H

#include <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 240

#endif
