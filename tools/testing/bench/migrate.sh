#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Moves the same guest under the same loads through the same link, by kvmx, by plain pre-copy in
# kvmx's library, and by QEMU: migrate.sh RUNS WAY... Prints a line "run NAME=VALUE..." for each
# migration; figures.c makes rows of them. Runs inside a test machine.

# shellcheck shell=dash disable=SC1091,SC2317 # lib.sh is e2e's, and calls what is here
. "$(dirname "$0")/lib.sh"
MEMORY=256M
BANDWIDTH=33554432
MAX_SECONDS=30

# Beats wait for nobody, and guests of QEMU must not mind how long a migration takes.
GUEST_WORDS="$GUEST_WORDS kvmx.jump=60000"

# One line per load: its name, and what is typed on the guest's console.
LOADS="idle load=idle
uniform load=uniform mib=64 rate=4096
hotset load=hotset hot=8
stream load=stream mib=128 rate=4096
grow load=grow mib=160 rate=2048
same load=same mib=64 rate=4096
hot8+uniform load=hot+uniform hot=8 mib=64 rate=4096
hot12+uniform load=hot+uniform hot=12 mib=64 rate=1024"

# As e2e's, without the copies of memory: nothing but the migration is to cost time here.
start_vmm()
{
	local base

	NR_VMMS=$((NR_VMMS + 1))
	VMM=vmm$NR_VMMS
	base=$WORK/$VMM
	mkfifo "$base.in"
	(
		# shellcheck disable=SC2086 # words on purpose
		kvmx-vmm --cpus 1 --memory "$MEMORY" --pin 1 --name "$VMM" --serial stdio \
			--heartbeat "$WORK/beats" --control "$base.control" \
			--report "$base.report" --allowed-ms "$ALLOWED_MS" \
			--max-seconds "$MAX_SECONDS" $VMM_ARGS "$@" \
			<> "$base.in" >> "$WORK/console" 2>> "$base.err" &
		echo $! > "$base.pid"
		wait $!
		echo $? > "$base.status"
	) &
	wait_for 5 [ -s "$base.pid" ]
}

# What crossed the link, as the relay counted it.
wire_bytes()
{
	wait_for 5 [ -s "$WORK/relay.out" ]
	sed -n 's/^there \([0-9]*\).*/\1/p' "$WORK/relay.out"
}

# print_run WAY LOAD NUMBER STATUS
print_run()
{
	local beats lost switches pause gap name fields=

	read -r beats lost switches pause gap <<-EOT
		$(judge_beats)
	EOT
	case $1 in
	qemu)
		fields="total_ms=$(report total-time) said_ms=$(report downtime)"
		fields="$fields expected_ms=$EXPECTED_MS"
		;;
	*)
		for name in first_verdict first_verdict_ns first_pause_ns verdict predicted_ns \
			pause_ns total_ns aborts final_pages bandwidth table_bytes total_pages \
			same_pages; do
			fields="$fields $name=$(report $name | tr -d ' ')"
		done
		;;
	esac
	echo "run way=$1 load=$2 n=$3 moved=$((!$4)) bytes=$(wire_bytes) switches=$switches" \
		"beat_pause_ms=$pause gap_ms=$gap beats=$beats lost=$lost $fields"
}

# all_loads WAY MOVE_FUNCTION
all_loads()
{
	local way=$1 move=$2 name words n=0 status

	while [ "$n" -lt "$RUNS" ]; do
		n=$((n + 1))
		# Programs inside the loop may read their standard input.
		while read -r name words <&3; do
			case " ${ONLY:-$name} " in *" $name "*) ;; *) continue ;; esac
			load "$(echo "$words" | sed 's/[a-z]*=/kvmx.&/g')"
			sleep 2
			status=0
			"$move" || status=$?
			sleep 2
			print_run "$way" "$name" "$n" "$status"
			guest_unharmed || give_up "$way, $name: the guest is damaged"
		done 3<<-EOT
			$LOADS
		EOT
	done
}

run_way()
{
	case $1 in
	kvmx)
		boot kvmx.load=idle
		all_loads kvmx move
		;;
	plain)
		VMM_ARGS="--plain"
		boot kvmx.load=idle
		all_loads plain move
		;;
	qemu)
		. "$(dirname "$0")/qemu.sh"
		boot_qemu
		all_loads qemu move_qemu
		;;
	esac
	kill_all
}

RUNS=$1
shift
FAILED=0
for way; do
	WORK=/hostroot/tmp/$way
	plan 0 > /dev/null
	(run_way "$way") || FAILED=1
	rm -rf "$WORK"
done
exit "$FAILED"
