#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs all tests: check.sh [KERNEL]... (default: all of kernels.list). The last
# line says how many passed, failed and were skipped, over everything.

# shellcheck disable=SC2030,SC2031 # lane() counts in a subshell on purpose
set -uo pipefail
. "$(dirname "$0")/lib.sh"
. "$VM_DIR/payload.sh"

TESTS=$TOP/tools/testing
LANES=$BUILD/lanes
PASSED=0
FAILED=0
SKIPPED=0
RETRIED=0
FAILURES=()
AGAIN=()
MAX_AGAIN=3

failure()
{
	FAILED=$((FAILED + 1))
	FAILURES+=("$*")
	say "FAILED: $*"
}

headline()
{
	printf '\n# ==== %s\n' "$*"
}

# count WHERE LOG
count()
{
	local where=$1 lines line p f s

	mapfile -t lines < <(awk -f "$VM_DIR/ktap.awk" "$2")
	read -r p f s <<< "${lines[0]}"
	PASSED=$((PASSED + p))
	FAILED=$((FAILED + f))
	SKIPPED=$((SKIPPED + s))
	for line in "${lines[@]:1}"; do
		FAILURES+=("$where: $line")
	done
	echo "# $where: $p passed, $f failed, $s skipped"
}

# limit_of DIRECTORY DEFAULT [SCALE]: the limit for a test program, kselftest's way of saying it.
limit_of()
{
	local limit

	limit=$(sed -n 's/^timeout=//p' "$1/settings" 2> /dev/null)
	echo $((${limit:-$2} * ${3:-1}))
}

# in_machine KERNEL NAME RUN_ARG...: run tests in a machine and count them.
in_machine()
{
	local k=$1 name=$2 rc=0 dir=$BUILD/vm/$1/$2

	shift 2
	headline "$k: $name"
	rm -f "$dir/result" "$dir/result.log"
	"$VM_DIR/run" -k "$k" -n "$name" "$@" || rc=$?
	if [ ! -e "$dir/result" ]; then
		failure "$k/$name: no machine (run exited with $rc)"
		return
	fi
	if grep -qx 'retried=1' "$dir/result"; then
		RETRIED=$((RETRIED + 1))
	fi
	count "$k/$name" "$dir/result.log"
	case $(sed -n 's/^ended=//p' "$dir/result") in
	timeout) failure "$k/$name: the machine ran into its time limit" ;;
	died) failure "$k/$name: the machine died" ;;
	fault) failure "$k/$name: fault in the host's log: $(head -n 1 "$dir/faults")" ;;
	*) [ $rc = 0 ] || failure "$k/$name: exit status $rc" ;;
	esac
}

unit_tests()
{
	local log=$BUILD/unit.log progs=("$BUILD"/user/unit/*)

	headline "unit tests"
	if [ ! -x "${progs[0]}" ]; then
		failure "unit: no tests in build/user/unit"
		return
	fi
	"$VM_DIR/run-tests" "$(limit_of "$TESTS/unit" 120)" "${progs[@]}" 2>&1 | tee "$log"
	count unit "$log"
}

# Packages, for those kernels that are built with this machine's release of Debian.
packages()
{
	local k log=$BUILD/packages.log kernels=()

	for k; do
		[ "$(kernel_field "$k" 3)" != - ] || kernel_checks "$k" || kernels+=("$k")
	done
	[ ${#kernels[@]} -gt 0 ] || return 0
	headline "packages"
	if ! "$VM_DIR/setup.sh" "${kernels[@]}"; then
		failure "packages: no kernels"
		return
	fi
	{
		echo "# begin packages"
		"$TESTS/pkg/packages.sh" "${kernels[@]}"
		printf '\n# end packages %s\n' $?
	} 2>&1 | tee "$log"
	count packages "$log"
}

# selftests KERNEL NAME RUN_ARG...: those of build/user/NAME
selftests()
{
	local k=$1 name=$2 dir=$BUILD/user/$2 scale

	shift 2
	scale=$(kernel_scale "$k")
	if [ -z "$(ls "$dir" 2> /dev/null)" ]; then
		failure "$k/$name: none in build/user/$name"
		return
	fi
	in_machine "$k" "$name" -t $((600 * scale)) "$@" "${PAYLOAD[@]}" \
		-f "$dir:/test/selftests" -f "$VM_DIR/run-tests" -- \
		KVMX_TIME_SCALE="$scale" \
		run-tests "$(limit_of "$TESTS/selftests/kvmx" 120 "$scale")" '/test/selftests/*'
}

# machine_of SCRIPT: what its line "# machine: RUN_ARG..." wants of the machine.
machine_of()
{
	sed -n 's/^# machine: //p' "$1" | tr ' ' '\n'
}

# Each end-to-end script gets a machine of its own; lib*.sh are what they share.
one_end_to_end()
{
	local k=$1 name=$2 limit args

	limit=$(limit_of "$TESTS/e2e" 280)
	mapfile -t args < <(machine_of "$TESTS/e2e/$name.sh")
	in_machine "$k" "$name" -t $((limit + 30)) -q "${args[@]}" "${PAYLOAD[@]}" \
		-f "$VM_DIR/run-tests" -- run-tests "$limit" "/test/e2e/$name.sh"
}

# They have real guests, which emulation holds up for seconds, and of which it kills one with
# several vCPUs now and then (Documentation/kernels.rst): there they get a second try, and the
# summary says so. What is in the host's log is final.
end_to_end()
{
	local k=$1 name p f s n result

	shift
	for name; do
		p=$PASSED f=$FAILED s=$SKIPPED n=${#FAILURES[@]}
		result=$BUILD/vm/$k/$name/result
		one_end_to_end "$k" "$name"
		if [ "$FAILED" = "$f" ] || [ ${#AGAIN[@]} -ge $MAX_AGAIN ] ||
			! grep -qsx 'accel=tcg' "$result" ||
			! grep -qsx 'ended=exited' "$result"; then
			continue
		fi
		AGAIN+=("${FAILURES[*]:n}")
		PASSED=$p FAILED=$f SKIPPED=$s FAILURES=("${FAILURES[@]:0:n}")
		say "$k/$name: failed on an emulated host, once more"
		cp "$BUILD/vm/$k/$name/result.log" "$BUILD/vm/$k/$name/result.first.log"
		one_end_to_end "$k" "$name"
	done
}

# lane NAME COMMAND...: run it with an output and counts of its own; see lane_end().
lane()
{
	local name=$1

	shift
	rm -f "$LANES/$name.counts"
	(
		PASSED=0 FAILED=0 SKIPPED=0 RETRIED=0 FAILURES=() AGAIN=()
		"$@"
		{
			echo "$PASSED $FAILED $SKIPPED $RETRIED"
			[ ${#AGAIN[@]} = 0 ] || printf 'again %s\n' "${AGAIN[@]}"
			[ ${#FAILURES[@]} = 0 ] || printf 'failed %s\n' "${FAILURES[@]}"
		} > "$LANES/$name.counts"
	) > "$LANES/$name.log" 2>&1
}

# lane_end NAME: show what it printed, and add up.
lane_end()
{
	local p f s r lines

	cat "$LANES/$1.log"
	if [ ! -e "$LANES/$1.counts" ]; then
		failure "$1: it did not come to its end"
		return
	fi
	{
		read -r p f s r
		mapfile -t lines
	} < "$LANES/$1.counts"
	PASSED=$((PASSED + p))
	FAILED=$((FAILED + f))
	SKIPPED=$((SKIPPED + s))
	RETRIED=$((RETRIED + r))
	for f in "${lines[@]}"; do
		case $f in
		again*) AGAIN+=("${f#again }") ;;
		failed*) FAILURES+=("${f#failed }") ;;
		esac
	done
}

on_devices()
{
	selftests "$1" selftests-vfio -D
	end_to_end "$1" kvmxctl passthrough
}

on_memory()
{
	selftests "$1" selftests -H 64
	end_to_end "$1" ksm
}

# Two machines at a time for what looks at no clock, and one for what does.
all_tests()
{
	local k=$1 script timed=()

	headline "$k: selftests and KSM, beside kvmxctl and devices"
	lane "$k-devices" on_devices "$k" &
	lane "$k-memory" on_memory "$k" &
	wait
	lane_end "$k-memory"
	lane_end "$k-devices"
	for script in "$TESTS"/e2e/*.sh; do
		script=$(basename "$script" .sh)
		case $script in '*' | lib* | demo | kvmxctl | ksm | passthrough) continue ;; esac
		timed+=("$script")
	done
	end_to_end "$k" "${timed[@]}"
}

# The kernel's own checkers watch while the selftests run; guests that boot would take too long.
checked_tests()
{
	local k=$1

	selftests "$k" selftests -H 64
	selftests "$k" selftests-vfio -D
}

check_kernel()
{
	local k=$1

	headline "$k: build"
	if ! "$VM_DIR/setup.sh" "$k"; then
		failure "$k: could not be fetched"
	elif ! "$VM_DIR/ko.sh" "$k"; then
		failure "$k: the module could not be built"
	elif kernel_checks "$k"; then
		checked_tests "$k"
	else
		all_tests "$k"
	fi
}

report()
{
	local f

	headline "summary"
	for f in "${AGAIN[@]}"; do
		echo "# failed at the first try: $f"
	done
	for f in "${FAILURES[@]}"; do
		echo "# failed: $f"
	done
	echo "# $SECONDS s, machines retried: $RETRIED"
	echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
	[ "$FAILED" = 0 ]
}

main()
{
	local k names=("$@")

	[ ${#names[@]} -gt 0 ] || mapfile -t names < <(kernel_names)
	mkdir -p "$LANES"
	headline "build"
	if ! "$VM_DIR/setup.sh" "${names[0]}"; then
		failure "${names[0]}: this machine could not be set up"
	elif ! make --no-print-directory -C "$TOP/tools" O="$BUILD/user"; then
		failure "tools: could not be built"
	else
		payload_args
		headline "unit tests, beside packages"
		lane unit unit_tests &
		lane packages packages "${names[@]}" &
		wait
		lane_end unit
		lane_end packages
		for k in "${names[@]}"; do
			check_kernel "$k"
		done
	fi
	report
}

main "$@"
