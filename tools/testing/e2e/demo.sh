#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Shows a real Linux guest move from one VMM to another while it works.

# shellcheck shell=dash disable=SC2119
. "$(dirname "$0")/lib.sh"

MEMORY=192M

# What a command says, indented.
show()
{
	sed 's/^/    /'
}

# The same line by line, as they come: sed would keep them.
show_lines()
{
	local line

	while read -r line; do
		echo "    $line"
	done
}

title()
{
	printf '\n== %s\n' "$*"
}

# As move(), with what the source says about it as it comes.
show_move()
{
	local status=0

	SRC=$HERE
	start_destination
	start_link --rate "$BANDWIDTH"
	mark_beats
	: > "$WORK/$SRC.err"
	show_lines < "$WORK/follow" &
	tail -n +1 -f "$WORK/$SRC.err" > "$WORK/follow" &
	echo $! > "$WORK/tail.pid"
	ANSWER=$(ask "$SRC" "migrate unix:$WORK/link") || status=$?
	sleep 1
	kill "$(cat "$WORK/tail.pid")"
	[ "$status" != 0 ] || HERE=$DST
	return "$status"
}

# Until the pause is as short as it has to be: a busy host may hold us up for longer than that.
move_in_time()
{
	local tries=3

	while :; do
		if show_move; then
			sleep 3
			beats_within 1 "$ALLOWED_MS" > /dev/null && return
		fi
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] && [ "$(report outcome)" != unknown ] || return
		echo "    (this host is busy with something else: once more)"
	done
}

# claim WHAT COMMAND...: a line of the judgement.
claim()
{
	local what=$1

	shift
	if "$@" > "$WORK/claim" 2>&1; then
		echo "    yes   $what"
	else
		echo "    NO    $what"
		show < "$WORK/claim"
		NR_FAILED=$((NR_FAILED + 1))
	fi
}

pause_was()
{
	judge_beats | {
		read -r beats lost switches pause gap
		echo "    the heart beat $beats times, $lost beats are missing, and paused for" \
			"$pause ms at the hand-over"
		: "$switches $gap"
	}
}

rm -rf "$WORK"
mkdir -p "$WORK"
: > "$WORK/console"
: > "$WORK/beats"
mkfifo "$WORK/follow"
DUMP=

title "This host: Linux $(uname -r), with the module kvmx loaded"
grep -E '^kvmx ' /proc/modules | show

title "1. A Linux guest boots in a first kvmx-vmm: $MEMORY, pages written at random and a hot set"
boot kvmx.load=hot+uniform kvmx.hot=2 kvmx.mib=64 kvmx.rate=512
echo "    process $(cat "$WORK/$HERE.pid") runs the guest; its console says:"
grep -a '^GUEST' "$WORK/console" | show
sleep 3
kvmxctl vm list | show

title "2. It moves to a second kvmx-vmm through a link of $((BANDWIDTH / 1048576)) MiB/s," \
	"paused for at most $ALLOWED_MS ms"
move_in_time || [ "$HERE" = "$DST" ] || give_up "the guest has not moved: $ANSWER"

title "3. What came of it: process $(cat "$WORK/$HERE.pid") runs the guest now"
echo "    the verdict after $(report_ms first_verdict_ns): $(report first_verdict)," \
	"with a pause of $(report_ms first_pause_ns)"
echo "    the pause as predicted when it began: $(report_ms predicted_ns);" \
	"as the source saw it: $(report_ms pause_ns)"
pause_was
echo "    $(($(report bytes) / 1048576)) MiB went over the link in $(report_ms total_ns)"
claim "the pause, timed by the guest's heartbeat, is within $ALLOWED_MS ms" \
	beats_within 1 "$ALLOWED_MS"
claim "the guest works on, and its own checks find nothing missing" guest_goes_on

title "4. It moves on, twice; at the last hand-over the memory of both sides is compared"
DUMP=1
move_or_retry > "$WORK/claim" || give_up "the guest has not moved: $ANSWER"
# There is no room for it beside the next two.
wait_for 20 [ -e "$WORK/$DST.mem" ] && rm "$WORK/$DST.mem"
move_or_retry > "$WORK/claim" || give_up "the guest has not moved: $ANSWER"
claim "the destination began with the memory of the source, byte for byte" same_memory
claim "the guest works on, and its own checks find nothing missing" guest_goes_on

title "5. Now it writes a hot set that takes longer than $ALLOWED_MS ms to send: it must not move"
load "kvmx.load=hotset kvmx.hot=12"
sleep 2
if show_move; then
	echo "    NO    it moved"
	NR_FAILED=$((NR_FAILED + 1))
fi
echo "    the verdict after $(report_ms first_verdict_ns): $(report first_verdict)"
claim "the guest stays where it was, at work, no beat missing" stayed

title "6. The guest checks all of its memory a last time"
claim "nothing is missing" guest_ends_well
grep -aE 'GUEST (STAT|OK|BAD)|CHECK' "$WORK/console" | tail -n 2 | show

[ "$NR_FAILED" = 0 ] || show_logs
kill_all
echo
[ "$NR_FAILED" = 0 ] && echo "It worked." || echo "It did not work: $NR_FAILED claims failed."
[ "$NR_FAILED" = 0 ]
