#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# House rules no other checker knows: kernel versions are looked at in kvmx/compat/
# alone, and each file says its license in the line where tools expect it.

. "$(dirname "$0")/lib.sh"

log=$LINT/versions.log
mapfile -t files < <(tree_files -name '*.[ch]')
need_files ${#files[@]}
{
	printf '%s\n' "${files[@]}" | grep -v '^kvmx/compat/' |
		xargs -r grep -nE '(LINUX_VERSION_CODE|KERNEL_VERSION)'
	tree_files -name '*.[ch]' -o -name '*.sh' -o -name Makefile -o -name Kbuild -o -name '*.rst' |
		while read -r f; do
			head -n 2 "$f" | grep -q 'SPDX-License-Identifier: ' || echo "$f: no SPDX line"
		done
} > "$log"
finding_free "$log"
