#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures kvmx against what a user would pick instead: bench.sh [KERNEL]

set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$VM_DIR/payload.sh"

k=${1:-$(kernel_names | head -n 1)}
prepare "$k"
exec "$TOP/tools/testing/bench/run.sh" "$k"
