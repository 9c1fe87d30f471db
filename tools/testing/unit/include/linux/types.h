/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's headers as far as kvmx's pure files need them, so that those compile unchanged in
 * user space. The other headers of this directory only include this one or add to it.
 */
#ifndef UNIT_LINUX_TYPES_H
#define UNIT_LINUX_TYPES_H

#include_next <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#endif /* UNIT_LINUX_TYPES_H */
