#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A shell in a test machine with everything loaded: shell.sh [KERNEL]

set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$VM_DIR/payload.sh"

k=${1:-$(kernel_names | head -n 1)}
prepare "$k"
payload_args
exec "$VM_DIR/run" -k "$k" -n shell -i -q "${PAYLOAD[@]}"
