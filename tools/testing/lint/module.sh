#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the module from scratch with more warnings: module.sh KERNEL gcc|sparse

. "$(dirname "$0")/lib.sh"

kernel=$1
tool=$2
log=$LINT/$tool-$kernel
args=(W=1)
[ "$tool" = gcc ] || args=(C=2 'CF=-D__CHECK_ENDIAN__')

rm -rf "$LINT/ko"
if ! KO_DIR=lint/ko "$VM_DIR/ko.sh" "$kernel" "${args[@]}" > "$log.log" 2>&1; then
	tail -n 30 "$log.log"
	exit 1
fi
sources=$(module_sources | wc -l)
need_files "$sources"

# Without this a missing sparse would look like a clean tree.
verb=CC
[ "$tool" = gcc ] || verb=CHECK
seen=$(sed "s|$LINT/ko/$kernel/||" "$log.log" |
	grep -cE "^ *$verb (\[M\])? *(kvmx|ksm|vfio)/.*\.[co]$")
if [ "$seen" != "$sources" ]; then
	echo "$verb ran on $seen of $sources source files"
	exit 1
fi
grep -iE '(warning|error):' "$log.log" > "$log.findings"
finding_free "$log.findings"
