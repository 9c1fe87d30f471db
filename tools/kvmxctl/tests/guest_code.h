/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_GUEST_CODE_H
#define KVMXCTL_GUEST_CODE_H

#include <stdint.h>

extern const uint8_t guest_code[];
extern const uint8_t guest_code_end[];

#endif
