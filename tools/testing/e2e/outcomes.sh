#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What becomes of a guest that writes faster than the link carries: give up, throttle, or
# offline; and the ways to move a guest while it does not run.

# shellcheck shell=dash disable=SC2317 # expect() calls the functions
. "$(dirname "$0")/lib.sh"

# 16 MiB take a second: more than the 300 ms that are allowed, however long one tries, and even if
# an emulated guest gets round to half of them only while it is sampled.
HOPELESS="kvmx.load=hot+uniform kvmx.hot=16 kvmx.mib=16 kvmx.rate=512"
# More than the link carries, by a program that writes the less the slower its processor: an
# emulated one can be slow from the start, so the link is, too.
TOO_FAST="kvmx.load=uniform kvmx.mib=40 kvmx.rate=12288 kvmx.work=1"
SLOW_BANDWIDTH=$((BANDWIDTH / 2))
QUIET="kvmx.load=uniform kvmx.mib=16 kvmx.rate=512"

does_not_move()
{
	! move "$@"
}

said_at_once()
{
	[ "$(report first_verdict)" = "$1" ] && [ "$(report first_verdict_ns)" -lt 3000000000 ]
}

was_throttled()
{
	diag "vCPUs ran at $(report vcpu_permille)/1000 at least"
	[ "$(report vcpu_permille)" -lt 1000 ] && [ "$(report offline)" = false ]
}

# The pause was predicted: no longer than that by more than a fifth and a beat.
pause_as_predicted()
{
	beats_within 1 $(($(report predicted_ns) * 12 / 10 / 1000000 + BEAT_MS))
}

goes_offline()
{
	[ "$(report offline)" = true ] && pause_as_predicted
}

save_and_load()
{
	mark_beats
	SRC=$HERE
	ANSWER=$(ask "$SRC" "save $WORK/guest") || return 1
	wait_for 20 gone "$SRC" || return 1
	start_vmm --load "$WORK/guest"
	DST=$VMM
	HERE=$VMM
	guest_works
}

plan 20
FULL_BANDWIDTH=$BANDWIDTH
DUMP=
boot "$HOPELESS kvmx.jump=60000"
sleep 2

expect "give up: the guest does not move" does_not_move --throttle
expect "give up: the verdict said so at once" said_at_once offline
diag "$ANSWER"
expect "give up: the destination ends with an error" [ "$(status_of "$DST")" -ne 0 ]
expect "give up: the guest stays, unharmed" stayed

load "$QUIET"
moves "in between" --throttle

load "$TOO_FAST"
sleep 2
BANDWIDTH=$SLOW_BANDWIDTH
moves "throttle" --throttle
expect "throttle: the verdict said so at once" said_at_once throttle
expect "throttle: the vCPUs were slowed down" was_throttled
expect "throttle: the pause is within the allowed one" paused_briefly --throttle
BANDWIDTH=$FULL_BANDWIDTH

load "$QUIET"
moves "in between" --offline-fallback

load "$HOPELESS"
sleep 2
DUMP=1
moves "offline fallback" --offline
expect "offline fallback: the verdict said so at once" said_at_once offline
expect "offline fallback: with the pause that was predicted" goes_offline

load "$QUIET"
moves "offline"
memory_is_equal "offline"
expect "offline: no beat is lost" beats_within 1 60000

expect "file: the guest is saved and loaded" save_and_load
expect "file: memory is as it was saved" same_memory
expect "file: no beat is lost" beats_within 1 60000
expect "all memory holds what the guest wrote" guest_ends_well
finish
