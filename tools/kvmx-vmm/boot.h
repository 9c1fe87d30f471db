/* SPDX-License-Identifier: GPL-2.0 */
/* Puts a Linux kernel where the first vCPU will start it. */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

struct vm;

/* Load kernel, initrd and command line, set the vCPUs up. They stand still. */
int boot_linux(struct vm *vm);

#endif
