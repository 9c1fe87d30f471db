#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Migrations that fail: until the hand-over the guest stays where it is, and nothing is lost.

# shellcheck shell=dash disable=SC2317 # expect() calls the functions
. "$(dirname "$0")/lib.sh"

# begin_move RELAY_OPTION...: as move(), but do not wait for the end.
begin_move()
{
	SRC=$HERE
	start_destination
	start_link --rate "$BANDWIDTH" "$@"
	mark_beats
	(
		ask "$SRC" "migrate unix:$WORK/link" > "$WORK/answer"
		echo $? > "$WORK/answered"
	) &
	rm -f "$WORK/answered"
}

# The first second of about five.
midway()
{
	sleep 1
	[ ! -e "$WORK/answered" ]
}

fails()
{
	wait_for 30 [ -s "$WORK/answered" ] || return 1
	diag "source: $(cat "$WORK/answer")"
	diag "destination: $(tail -n 1 "$WORK/$DST.err")"
	[ "$(cat "$WORK/answered")" != 0 ]
}

destination_complains()
{
	[ "$(status_of "$DST")" -ne 0 ] && [ -s "$WORK/$DST.err" ]
}

destination_dies()
{
	midway && kill -9 "$(cat "$WORK/$DST.pid")" && fails
}

cancelled()
{
	midway && ask "$SRC" cancel && fails
}

source_dies()
{
	midway && kill -9 "$(cat "$WORK/$SRC.pid")"
}

plan 17
# It is not the pause that matters here.
VMM_ARGS="--allowed-ms 5000"
boot kvmx.load=uniform kvmx.mib=32 kvmx.rate=1024

begin_move
expect "destination killed midway: the migration fails" destination_dies
expect "destination killed midway: the guest stays, unharmed" stayed

begin_move --cut 40000000
expect "link cut: the migration fails" fails
expect "link cut: the destination says so" destination_complains
expect "link cut: the guest stays, unharmed" stayed

begin_move --flip 30000000
expect "bit flipped on the link: the migration fails" fails
expect "bit flipped on the link: the destination says so" destination_complains
expect "bit flipped on the link: the guest stays, unharmed" stayed

begin_move
expect "cancelled: the migration fails" cancelled
expect "cancelled: the guest stays, unharmed" stayed

here=$MEMORY
MEMORY=128M
begin_move
MEMORY=$here
expect "destination of another size: the migration fails" fails
expect "destination of another size: it says so" destination_complains
expect "destination of another size: the guest stays, unharmed" stayed

moves "after all that"
memory_is_equal "after all that"

begin_move
expect "source killed midway" source_dies
expect "source killed midway: the destination ends with an error" destination_complains
diag "destination: $(tail -n 1 "$WORK/$DST.err")"
finish
