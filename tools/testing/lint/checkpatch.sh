#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's style checker over all C files, user space included.

. "$(dirname "$0")/lib.sh"

# What is left out, and why.
kernel_ignore=(
	LINUX_VERSION_CODE # one source for three kernels; house.sh keeps it in compat/
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
	VOLATILE                       # READ_ONCE(), WRITE_ONCE(): asm/rwonce.h
	BIT_MACRO                      # linux/bits.h
	CAMELCASE                      # PRIu64 and XXH3_128bits() are others' names
)
# The pure files' kernel headers in user space define u64 and its like.
shim_ignore=("${user_ignore[@]}" NEW_TYPEDEFS)
# A table of types and their members, which only macros can write.
table_ignore=("${user_ignore[@]}" MACRO_ARG_REUSE COMPLEX_MACRO)
# TRACE_EVENT() has a layout of its own, in the kernel's trace headers, too.
trace_ignore=("${kernel_ignore[@]}" OPEN_ENDED_LINE PARENTHESIS_ALIGNMENT)

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

# sources REGEX...: C files whose path matches the first and none of the others.
sources()
{
	local list pattern

	list=$(grep -E "$1" <<< "$all")
	shift
	for pattern; do
		list=$(grep -vE "$pattern" <<< "$list")
	done
	printf '%s\n' "$list" | sed '/^$/d'
}

all=$(tree_files -name '*.[ch]')
log=$LINT/checkpatch.log
trace='/trace\.h$'
shim='^tools/testing/unit/include/'
table='^tools/testing/fuzz/calls\.c$'
rc=0

# group IGNORED_TYPES SOURCES_REGEX...
group()
{
	local ignore=$1 files

	shift
	mapfile -t files < <(sources "$@")
	[ ${#files[@]} -gt 0 ] || return 0
	checked=$((checked + ${#files[@]}))
	check "$ignore" "${files[@]}" >> "$log" || rc=1
}

checked=0
: > "$log"
group "$(join "${kernel_ignore[@]}")" . '^tools/' "$trace"
group "$(join "${trace_ignore[@]}")" "$trace" '^tools/'
group "$(join "${user_ignore[@]}")" '^tools/' "$shim" "$table"
group "$(join "${table_ignore[@]}")" "$table"
group "$(join "${shim_ignore[@]}")" "$shim"
need_files $checked
if [ "$checked" != "$(sources . | wc -l)" ]; then
	echo "only $checked of $(sources . | wc -l) files looked at"
	exit 1
fi
rm -f .checkpatch-camelcase.* # a cache it keeps in the tree
finding_free "$log" && [ $rc = 0 ]
