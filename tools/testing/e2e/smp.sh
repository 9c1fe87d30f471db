#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Guests with two vCPUs, a disk and values in registers, by dirty bitmap and by dirty ring.

# shellcheck shell=dash disable=SC2317 # expect() calls the functions
. "$(dirname "$0")/lib.sh"

try()
{
	local what=$1

	moves "$@"
	memory_is_equal "$what"
	# Shared memory is dumped before the guest may run.
	expect "$what: no beat is lost" beats_within 1 10000
	expect "$what: the guest works on, and misses nothing" guest_goes_on
}

# Both vCPUs are on one processor, where one may wait for a lock whose owner is not running: on a
# busy host 2.5 s have been seen.
SILENCE_MS=4000
plan 13
CPUS=2
VMM_ARGS="--disk $WORK/disk"
truncate -s 4M "$WORK/disk"
boot kvmx.load=uniform kvmx.mib=32 kvmx.rate=1024 kvmx.threads=2 kvmx.disk=100 kvmx.regs=1
sleep 2
try "from bitmap" --dirty-ring 65536
try "from ring" --dirty-ring 65536 --memory-kind memfd
try "from ring and memfd"
expect "all memory holds what the guest wrote" guest_ends_well
finish
