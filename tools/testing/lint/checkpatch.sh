#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's style checker over all C files, user space included.

. "$(dirname "$0")/lib.sh"

# What is left out, and why.
kernel_ignore=(
	LINUX_VERSION_CODE # one source for three kernels; versions.sh keeps it in compat/
)
# Advice to use what only the kernel has.
user_ignore=(
	PREFER_DEFINED_ATTRIBUTE_MACRO # __printf(), __noreturn: linux/compiler_attributes.h
	ARRAY_SIZE                     # linux/array_size.h
	PREFER_FALLTHROUGH             # linux/compiler_attributes.h
	STRCPY                         # strscpy()
	STRNCPY                        # strscpy()
	ALLOC_WITH_MULTIPLY            # kcalloc()
	NAKED_SSCANF                   # kstrto*()
	SSCANF_TO_KSTRTO               # kstrto*()
	PREFER_KERNEL_TYPES            # u32: the C library's interfaces say uint32_t
	VOLATILE                       # the kernel's READ_ONCE() and WRITE_ONCE() instead
)

# check IGNORED_TYPES FILE...
check()
{
	local ignore=$1

	shift
	"$SOURCE/scripts/checkpatch.pl" --no-tree --strict --terse --no-summary --show-types \
		--ignore "$ignore" -f "$@" 2>&1
}

join()
{
	local IFS=,

	echo "$*"
}

log=$LINT/checkpatch.log
mapfile -t kernel < <(tree_files -name '*.[ch]' | grep -v '^tools/')
mapfile -t user < <(tree_files -name '*.[ch]' | grep '^tools/')
need_files ${#kernel[@]}
need_files ${#user[@]}
rc=0
check "$(join "${kernel_ignore[@]}")" "${kernel[@]}" > "$log" || rc=1
check "$(join "${user_ignore[@]}")" "${user[@]}" >> "$log" || rc=1
rm -f .checkpatch-camelcase.* # a cache it keeps in the tree
finding_free "$log" && [ $rc = 0 ]
