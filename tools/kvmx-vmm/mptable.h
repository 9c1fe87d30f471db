/* SPDX-License-Identifier: GPL-2.0 */
/* Intel's MultiProcessor table: how Linux learns of CPUs and interrupts without ACPI. */
#ifndef VMM_MPTABLE_H
#define VMM_MPTABLE_H

#define MPTABLE_ADDR	0x9fc00		/* the last KiB of base memory, where it is looked for */

struct vm;

void mptable_write(struct vm *vm);

#endif
