/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Comes before everything else: see Makefile.
 *
 * Limits for single tests, the harness's own and what tests ask for, are too short for a kernel
 * with its own checkers on. They only matter for a test that hangs.
 */
#ifndef SELFTEST_KVMX_HARNESS_H
#define SELFTEST_KVMX_HARNESS_H

#include <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 240
#undef TEST_F_TIMEOUT
#define TEST_F_TIMEOUT(_fixture, _test, _seconds) \
	__TEST_F_IMPL(_fixture, _test, -1, (_seconds) * 5)

#endif
