#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs the fuzzer in a test machine: fuzz.sh SECONDS [KERNEL]. Its corpus stays in build/fuzz.

set -euo pipefail
. "$(dirname "$0")/../vm/lib.sh"
. "$(dirname "$0")/../vm/payload.sh"

seconds=${1:?"usage: fuzz.sh SECONDS [KERNEL]"}
k=${2:-debug}
corpus=$BUILD/fuzz/corpus

prepare "$k"
mkdir -p "$BUILD/fuzz"
touch "$corpus"
rc=0
"$VM_DIR/run" -k "$k" -n fuzz -D -t $((seconds + 60 * $(kernel_scale "$k"))) \
	-f "$BUILD/user/fuzz/fuzz" -f "$corpus" -- \
	fuzz "$seconds" corpus /out/corpus || rc=$?
new=$BUILD/vm/$k/fuzz/out/corpus
[ ! -s "$new" ] || cp "$new" "$corpus"
exit $rc
