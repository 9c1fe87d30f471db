/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A vCPU in long mode: the guest that writes anywhere in the first 1 TiB.
 */
#ifndef BENCH_FAR_H
#define BENCH_FAR_H

#include <stdint.h>

#include "lib/vm.h"

#define FAR_END (1UL << 40)

/* Of the first vCPU of @vm. 0 or -errno */
int far_init(struct vm *vm);
/* One write to each of @count places, @stride bytes apart. 0, -errno or an exit reason */
int far_touch(struct vm *vm, uint64_t gpa, uint32_t count, uint64_t stride);
/*
 * @count writes to pages chosen at random by far_random(), @pages a power of two. The guest's
 * generator goes on from *@seed, and so does *@seed.
 */
int far_scatter(struct vm *vm, uint64_t gpa, uint32_t count, uint32_t pages, uint64_t *seed);
/* The page that the guest writes to next. */
uint32_t far_random(uint64_t *seed, uint32_t pages);

#endif
