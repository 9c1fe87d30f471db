/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the test guest runs, in flat 32 bits: writes %edx to %ecx pages that a generator chooses
 * from seed %eax; %ebx is the highest page number, a power of two less one.
 */
	.section .rodata
	.code32
	.globl guest_code, guest_code_end
guest_code:
	imul	$1664525, %eax, %eax
	add	$1013904223, %eax
	mov	%eax, %edi
	shr	$8, %edi
	and	%ebx, %edi
	shl	$12, %edi
	mov	%edx, (%edi)
	dec	%ecx
	jnz	guest_code
	hlt
guest_code_end:

	.section .note.GNU-stack, "", @progbits
