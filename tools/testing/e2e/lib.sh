# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034,SC2119,SC2120
#
# Runs real guests in kvmx-vmm and moves them about, inside a test machine. Sourced by the
# scripts beside it. One guest at a time: $HERE names the VMM that has it.

WORK=/tmp/e2e
MEMORY=160M
CPUS=1
# Less than an emulated host can carry, so that it is the link that is measured.
BANDWIDTH=16777216
ALLOWED_MS=300
VMM_ARGS=
# Whether VMMs that are started dump their memory at each hand-over, for same_memory(). It makes
# the destination slow at first, for it gets its memory by copy-on-write then: not where the
# pause is judged.
DUMP=1
GUEST_WORDS="console=ttyS0 reboot=k panic=-1 acpi=off tsc=reliable quiet"
GUEST_WORDS="$GUEST_WORDS kvmx.beat=0x510 kvmx.report=1000"
# Emulated SVM does not let KVM see XSETBV: the guest would find its XSAVE broken, and say so.
dmesg | grep -q 'Hypervisor detected: KVM' || GUEST_WORDS="$GUEST_WORDS noxsave"
# What a gap between two heartbeats is longer than the pause in it: they come every 10 ms, and at
# the destination the guest has to fault in whatever it touches before it gets to the first one.
BEAT_MS=60
# Longer than the emulated host ever keeps a guest waiting.
SILENCE_MS=1500

HERE=
NR_VMMS=0
NR_RESULTS=0
NR_FAILED=0
NR_RETRIED=0
FIRST_BEAT=1
# What became of the last migration; see move().
ANSWER=
SRC=
DST=

plan()
{
	rm -rf "$WORK"
	mkdir -p "$WORK"
	: > "$WORK/console"
	: > "$WORK/beats"
	echo "TAP version 13"
	echo "1..$1"
	# A benchmark, which plans nothing, wants the processors for itself.
	[ "$1" = 0 ] || watch_host
}

# Has recorded when processors of the host were late themselves, and what the vCPUs are at while
# the guest is silent, which nobody can tell afterwards. Twice, as the first look wakes them up.
watch_host()
{
	local look="for c in $WORK/*.control; do timeout 5 kvmx-vmm --ask \$c vcpus; done"

	: > "$WORK/ticks"
	ticks "$WORK/ticks" &
	echo $! > "$WORK/ticks.pid"
	quiet "$WORK/beats" "$SILENCE_MS" \
		"exec >> $WORK/silence 2>&1; date; $look; sleep 0.5; $look" &
	echo $! > "$WORK/quiet.pid"
}

diag()
{
	echo "# $*"
}

# result STATUS WHAT: a line of KTAP.
result()
{
	NR_RESULTS=$((NR_RESULTS + 1))
	if [ "$1" = 0 ]; then
		echo "ok $NR_RESULTS $2"
	else
		NR_FAILED=$((NR_FAILED + 1))
		echo "not ok $NR_RESULTS $2"
	fi
}

# expect WHAT COMMAND...: the command must succeed.
expect()
{
	local what=$1 status=0

	shift
	"$@" || status=$?
	result "$status" "$what"
	return "$status"
}

show_logs()
{
	local f

	for f in "$WORK"/*.err "$WORK"/console "$WORK"/silence; do
		[ -s "$f" ] || continue
		echo "# ---- the end of ${f##*/}"
		tail -n 25 "$f" | tr -d '\r' | sed 's/^/#   /'
	done
	for f in "$WORK"/*.report; do
		[ ! -s "$f" ] || echo "# ---- ${f##*/}: $(tr -s ' \n' ' ' < "$f")"
	done
}

# Without what was just tried the rest of a script makes no sense.
give_up()
{
	diag "$*"
	show_logs
	echo "Bail out! $*"
	kill_all
	exit 1
}

finish()
{
	[ "$NR_RETRIED" = 0 ] || diag "retried: $NR_RETRIED"
	describe_host
	[ "$NR_FAILED" = 0 ] || show_logs
	kill_all
	[ "$NR_FAILED" = 0 ]
	exit
}

kill_all()
{
	local pid

	cat "$WORK"/*.pid | while read -r pid; do
		kill -9 "$pid" 2> /dev/null
	done
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for()
{
	local tries=$(($1 * 10))

	shift
	until "$@"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return 1
		sleep 0.1
	done
}

alive()
{
	kill -0 "$(cat "$WORK/$1.pid")" 2> /dev/null
}

gone()
{
	! alive "$1"
}

# status_of VMM: its exit status, once it has one.
status_of()
{
	wait_for 20 [ -s "$WORK/$1.status" ] || echo "still running"
	cat "$WORK/$1.status"
}

# field FILE NAME: a value out of JSON without nesting.
field()
{
	sed -n 's/.*"'"$2"'": *"\{0,1\}\([^",}]*\).*/\1/p' "$1" | head -n 1
}

# start_vmm OPTION...: another VMM; its name is in $VMM afterwards. Its input is a FIFO that it
# holds open itself, what the guest says goes to one file for all.
start_vmm()
{
	local base

	NR_VMMS=$((NR_VMMS + 1))
	VMM=vmm$NR_VMMS
	base=$WORK/$VMM
	mkfifo "$base.in"
	(
		# shellcheck disable=SC2086 # words on purpose
		kvmx-vmm --cpus "$CPUS" --memory "$MEMORY" --pin 1 --name "$VMM" \
			--serial stdio --heartbeat "$WORK/beats" --control "$base.control" \
			--report "$base.report" ${DUMP:+--memory-dump "$base.mem"} \
			$VMM_ARGS "$@" \
			<> "$base.in" >> "$WORK/console" 2>> "$base.err" &
		echo $! > "$base.pid"
		wait $!
		echo $? > "$base.status"
	) &
	wait_for 5 [ -s "$base.pid" ]
}

count_lines()
{
	grep -c "$1" "$WORK/console" 2> /dev/null
}

has_lines()
{
	[ "$(count_lines "$1")" -ge "$2" ]
}

# more_of SECONDS REGEX COMMAND...: run the command; the console must then show the expression
# once more than before.
more_of()
{
	local seconds=$1 regex=$2 before

	shift 2
	before=$(count_lines "$regex")
	"$@"
	wait_for "$seconds" has_lines "$regex" $((before + 1))
}

# boot LOAD_WORDS...: start a guest with that load and wait until it is at work.
boot()
{
	start_vmm --kernel /guest/vmlinuz --initrd /guest/initrd --append "$GUEST_WORDS $*"
	HERE=$VMM
	wait_for 90 has_lines "^GUEST READY" 1 || give_up "the guest does not boot"
}

# Nobody but a living VMM reads.
type_line()
{
	alive "$HERE" && echo "$1" > "$WORK/$HERE.in"
}

# load WORDS: give the guest another load.
load()
{
	more_of 30 "^GUEST READY" type_line "$1" || give_up "the guest takes no other load"
}

# The guest reports every second.
guest_works()
{
	alive "$HERE" && more_of 10 "^GUEST STAT" :
}

# What no guest may ever say.
guest_unharmed()
{
	! grep -aE 'CHECK FAIL|GUEST BAD|Kernel panic|BUG:|Oops|segfault|soft lockup|Call Trace' \
		"$WORK/console" | sed 's/^/#   /' | grep .
}

# A last check of all memory, by the guest itself.
guest_ends_well()
{
	more_of 30 "^GUEST OK" type_line stop && guest_unharmed && [ "$(status_of "$HERE")" = 0 ]
}

ask()
{
	kvmx-vmm --ask "$WORK/$1.control" "$2" 2>&1
}

# start_link [RELAY_OPTION]...: from $WORK/link to the destination.
start_link()
{
	relay --listen "$WORK/link" --to "$WORK/incoming" "$@" > "$WORK/relay.out" 2>&1 &
	echo $! > "$WORK/relay.pid"
	wait_for 5 [ -S "$WORK/link" ] || give_up "no relay"
}

# start_destination OPTION...: a VMM to take the guest.
start_destination()
{
	rm -f "$WORK/incoming" "$WORK/link"
	start_vmm --incoming "unix:$WORK/incoming" "$@"
	DST=$VMM
	wait_for 10 [ -S "$WORK/incoming" ] || give_up "no destination"
}

mark_beats()
{
	FIRST_BEAT=$(wc -l < "$WORK/beats")
}

# move OPTION...: send the guest through a link of $BANDWIDTH to a new VMM with these options.
# 0 if it has moved; $SRC, $DST and $ANSWER tell more.
move()
{
	local status=0

	SRC=$HERE
	start_destination "$@"
	start_link --rate "$BANDWIDTH"
	mark_beats
	ANSWER=$(ask "$SRC" "migrate unix:$WORK/link") || status=$?
	[ "$status" != 0 ] || HERE=$DST
	return "$status"
}

# The heartbeats since mark_beats(): "BEATS LOST SWITCHES PAUSE_MS GAP_MS". LOST: beats that are
# not the successor of the one before, SWITCHES: how often another VMM took over, PAUSE_MS: the
# gap there, GAP_MS: the longest one elsewhere.
judge_beats()
{
	tail -n "+$FIRST_BEAT" "$WORK/beats" | awk '
		NR > 1 {
			gap = ($1 - time) / 1e6
			if ($2 != (byte + 1) % 256)
				lost++
			if ($3 != pid) {
				switches++
				pause = gap
			} else if (gap > longest)
				longest = gap
		}
		{ time = $1; byte = $2; pid = $3 }
		END { printf "%d %d %d %d %d\n", NR, lost, switches, pause, longest }'
}

# Each silence since mark_beats(), and how late each processor of the host was meanwhile.
describe_silences()
{
	tail -n "+$FIRST_BEAT" "$WORK/beats" | awk -v ticks="$WORK/ticks" -v ms="$SILENCE_MS" '
		function overlap(cpu, from, to,  i, a, b, sum) {
			for (i = 1; i <= nr; i++) {
				a = start[i] > from ? start[i] : from
				b = end[i] < to ? end[i] : to
				if (on[i] == cpu && b > a)
					sum += b - a
			}
			return sum / 1e6
		}
		BEGIN {
			while ((getline line < ticks) > 0) {
				split(line, f, " ")
				nr++
				on[nr] = f[1]
				start[nr] = f[2]
				end[nr] = f[3]
			}
		}
		NR > 1 && $1 - time >= ms * 1e6 {
			printf "# silent for %d ms%s; ", ($1 - time) / 1e6,
				$3 != pid ? " at the hand-over" : ""
			printf "host CPU 0 stood still for %d ms of that, CPU 1 for %d ms\n",
				overlap(0, time, $1), overlap(1, time, $1)
		}
		{ time = $1; pid = $3 }'
}

describe_host()
{
	awk '
		{
			ms = ($3 - $2) / 1e6
			if (ms > max)
				max = ms
		}
		END {
			if (NR)
				printf "# host: CPUs late %d times, at most %d ms\n", NR, max
		}' "$WORK/ticks"
}

# beats_within SWITCHES PAUSE_MS: no beat lost, no silence, and a pause within bounds.
beats_within()
{
	local beats lost switches pause gap

	read -r beats lost switches pause gap <<-EOT
		$(judge_beats)
	EOT
	diag "heartbeat: $beats beats, $lost out of order, $switches hand-overs," \
		"pause $pause ms (allowed $2), else at most $gap ms"
	describe_silences
	[ "$lost" = 0 ] && [ "$switches" = "$1" ] && [ "$beats" -gt 20 ] &&
		[ "$pause" -le $(($2 + BEAT_MS)) ] && [ "$gap" -lt "$SILENCE_MS" ]
}

# What the source held at the pause and what the destination began with.
same_memory()
{
	local status=0

	wait_for 20 [ -e "$WORK/$SRC.mem" ] && wait_for 20 [ -e "$WORK/$DST.mem" ] &&
		[ "$(stat -c %s "$WORK/$SRC.mem")" = $((${MEMORY%M} * 1048576)) ] &&
		cmp "$WORK/$SRC.mem" "$WORK/$DST.mem" || status=$?
	rm -f "$WORK/$SRC.mem" "$WORK/$DST.mem"
	return "$status"
}

memory_is_equal()
{
	expect "$1: the destination began with the memory of the source" same_memory
}

# report NAME: a figure of the last migration, as its source saw it.
report()
{
	field "$WORK/$SRC.report" "$1"
}

# A time in milliseconds; null is one without end.
report_ms()
{
	local ns

	ns=$(report "$1")
	case $ns in
	'' | null) echo "never" ;;
	*) echo "$((ns / 1000000)) ms" ;;
	esac
}

describe_move()
{
	diag "verdict: $(report first_verdict) after $(report_ms first_verdict_ns)," \
		"then $(report verdict); $(($(report bytes) / 1048576)) MiB in" \
		"$(report_ms total_ns); pause $(report_ms pause_ns)," \
		"predicted $(report_ms predicted_ns), $(report aborts) taken back"
}

# An emulated host is held up by others now and then, for longer than any pause: once more, and
# never in silence.
retry()
{
	diag "$*: once more"
	NR_RETRIED=$((NR_RETRIED + 1))
}

move_or_retry()
{
	local tries=3

	until move "$@"; do
		diag "$ANSWER"
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return
		# Else perhaps it runs over there.
		[ "$(report outcome)" = failed ] || return
		retry "not moved"
	done
}

# paused_briefly OPTION...: for the next destinations, if there have to be any.
paused_briefly()
{
	local tries=3

	until beats_within 1 "$ALLOWED_MS"; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || return
		retry "paused for too long"
		move_or_retry "$@" || return
		sleep 2
		describe_move
	done
}

# moves WHAT OPTION...: as move(), with a result, and no way on without it.
moves()
{
	local what=$1

	shift
	expect "$what: the guest moves" move_or_retry "$@" || give_up "the guest has not moved"
	sleep 1
	describe_move
}

guest_goes_on()
{
	guest_works && guest_unharmed
}

# A guest that did not move stays where it was, unharmed, and so does its memory.
stayed()
{
	guest_goes_on && beats_within 0 0
}

# Those that are tried everywhere, by the same rules as the rest.
for_some_loads()
{
	"$@" idle ""
	"$@" uniform "kvmx.mib=32 kvmx.rate=1024"
	"$@" hot+uniform "kvmx.hot=2 kvmx.mib=32 kvmx.rate=512"
}

# The loads, for a link of $BANDWIDTH: for_each_load COMMAND... calls it with a name and words.
for_each_load()
{
	for_some_loads "$@"
	"$@" hotset "kvmx.hot=2"
	"$@" stream "kvmx.mib=32 kvmx.rate=1024"
	"$@" grow "kvmx.mib=48 kvmx.rate=1024"
	"$@" same "kvmx.mib=32 kvmx.rate=2048"
}
