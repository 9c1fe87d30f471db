#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# A guest under each kind of load moves live, from one VMM to the next: nothing gets lost.

# shellcheck shell=dash disable=SC2317 # expect() calls the functions
. "$(dirname "$0")/lib.sh"

# try PATTERN LOAD_WORDS
try()
{
	load "kvmx.load=$1 $2"
	sleep 1
	moves "$1"
	memory_is_equal "$1"
	expect "$1: no beat is lost" beats_within 1 "$ALLOWED_MS"
	expect "$1: the guest works on, and misses nothing" guest_goes_on
	expect "$1: the source has ended" [ "$(status_of "$SRC")" = 0 ]
}

# How many there are depends on when the pause comes. Who does not compare finds none.
nothing_sent_twice()
{
	diag "$(report same_pages) pages had the content that was sent before"
	[ "$(report same_pages)" -gt 100 ]
}

plan 37
# The pause is judged by pauses.sh, without dumps.
ALLOWED_MS=1500
VMM_ARGS="--allowed-ms 300"
BANDWIDTH=$((BANDWIDTH * 2))
boot kvmx.load=idle
for_each_load try
expect "same: pages with the content they had were not sent again" nothing_sent_twice
expect "all memory holds what the guest wrote" guest_ends_well
finish
