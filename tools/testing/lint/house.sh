#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# House rules that no other checker knows: kernel versions are looked at in kvmx/compat/
# alone, each file says its license where tools expect it, scripts keep to 100 columns.

. "$(dirname "$0")/lib.sh"

scripts=(-name '*.sh' -o -name run -o -name init -o -name Makefile -o -name Kbuild)
log=$LINT/house.log
mapfile -t files < <(tree_files -name '*.[ch]')
need_files ${#files[@]}
{
	printf '%s\n' "${files[@]}" | grep -v '^kvmx/compat/' |
		xargs -r grep -nE '(LINUX_VERSION_CODE|KERNEL_VERSION)'
	tree_files -name '*.[ch]' -o "${scripts[@]}" -o -name '*.rst' | while read -r f; do
		head -n 2 "$f" | grep -q 'SPDX-License-Identifier: ' || echo "$f: no SPDX line"
	done
	tree_files "${scripts[@]}" | while read -r f; do
		expand "$f" | awk -v f="$f" 'length > 100 { print f ":" FNR ": over 100 columns" }'
	done
} > "$log"
finding_free "$log"
