#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A guest under each kind of load moves live, from one VMM to the next.

# shellcheck shell=dash disable=SC2317 # expect() calls the functions
. "$(dirname "$0")/lib.sh"

# try PATTERN LOAD_WORDS
try()
{
	load "kvmx.load=$1 $2"
	sleep 2
	moves "$1"
	expect "$1: the heartbeat paused for no longer than allowed" paused_briefly
	expect "$1: the guest works on, and misses nothing" guest_goes_on
	expect "$1: the source has ended" [ "$(status_of "$SRC")" = 0 ]
}

nothing_sent_twice()
{
	[ "$(report same_pages)" -gt 1000 ]
}

plan 37
boot kvmx.load=idle
try idle
try uniform "kvmx.mib=32 kvmx.rate=1024"
try hotset "kvmx.hot=2"
try hot+uniform "kvmx.hot=2 kvmx.mib=32 kvmx.rate=512"
try stream "kvmx.mib=32 kvmx.rate=1024"
try grow "kvmx.mib=48 kvmx.rate=1024"
try same "kvmx.mib=32 kvmx.rate=2048"
expect "same: pages with the content they had were not sent again" nothing_sent_twice
expect "all memory holds what the guest wrote" guest_ends_well
finish
