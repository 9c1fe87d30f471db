#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The shell checker over all scripts, whatever their names.

. "$(dirname "$0")/lib.sh"

mapfile -t files < <({
	tree_files -name '*.sh'
	tree_files ! -name '*.sh' | xargs -r -d '\n' grep -lIE -m1 '^#!.*[/ ](ba|da)?sh$' --
} | sort -u)
need_files ${#files[@]}
shellcheck -x -P SCRIPTDIR "${files[@]}" > "$LINT/shell.log" 2>&1
rc=$?
finding_free "$LINT/shell.log" && [ $rc = 0 ]
