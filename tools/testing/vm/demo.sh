#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Shows live migration in a test machine: demo.sh [KERNEL]

set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$VM_DIR/payload.sh"

k=${1:-$(kernel_names | head -n 1)}
prepare "$k"
payload_args
exec "$VM_DIR/run" -k "$k" -n demo -t 240 "${PAYLOAD[@]}" -- sh /test/e2e/demo.sh
