#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Every kernel-doc comment must be complete and match its code; the UAPI header,
# being the documentation's source, must have some.

. "$(dirname "$0")/lib.sh"

uapi=include/uapi/linux/kvmx.h
mapfile -t files < <(tree_files -name '*.[ch]' | grep -E '^(kvmx|ksm|vfio|include)/' |
	xargs -r grep -lE '^[[:space:]]*/\*\*$')
need_files ${#files[@]}
if ! printf '%s\n' "${files[@]}" | grep -qx "$uapi"; then
	echo "$uapi: no kernel-doc comment"
	exit 1
fi
"$SOURCE/scripts/kernel-doc" -none -Wall "${files[@]}" > "$LINT/kernel-doc.log" 2>&1
rc=$?
finding_free "$LINT/kernel-doc.log" && [ $rc = 0 ]
