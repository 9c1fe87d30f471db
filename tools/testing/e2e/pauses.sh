#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A guest under each kind of load moves live, and pauses for no longer than it may. What of a pause
# depends on the host kernel is the same for all loads: one kernel gets them all.

# shellcheck shell=dash disable=SC2317 # expect() calls the functions
. "$(dirname "$0")/lib.sh"

# try PATTERN LOAD_WORDS
try()
{
	load "kvmx.load=$1 $2"
	sleep 1
	moves "$1"
	expect "$1: the heartbeat paused for no longer than allowed" paused_briefly
}

case $(uname -r) in
6.1.*)
	loads=for_each_load
	plan 15
	;;
*)
	loads=for_some_loads
	plan 7
	;;
esac
DUMP=
VMM_ARGS="--allowed-ms $ALLOWED_MS"
boot kvmx.load=idle
$loads try
expect "all memory holds what the guest wrote" guest_ends_well
finish
