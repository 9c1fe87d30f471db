#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# machine: -D
#
# KSM's policy from kvmxctl, for four Linux guests in an unmodified QEMU, one of which gets a device
# by plain vfio-pci. What is merged is told by page frame numbers.

# shellcheck shell=dash disable=SC2317 # expect() calls the functions
. "$(dirname "$0")/lib.sh"

RED=00000000-0000-0000-0000-0000000000ed
BLUE=00000000-0000-0000-0000-0000000000b1
# What a guest does not need to be merged, and takes long on an emulated host.
WORDS="console=ttyS0 reboot=k panic=-1 quiet acpi=off tsc=reliable nowatchdog mitigations=off"
WORDS="$WORDS apparmor=0 audit=0 cryptomgr.notests"
STATUS=
PIDS=
KNOBS=/sys/kernel/mm/ksm

# ctl ARG...: output in $WORK/out, errors in $WORK/err, exit status in $STATUS.
ctl()
{
	STATUS=0
	kvmxctl "$@" > "$WORK/out" 2> "$WORK/err" || STATUS=$?
}

# ends STATUS [TEXT]...: how the last ctl ended, and what it said.
ends()
{
	local text status=$1

	shift
	for text in "" "$@"; do
		[ "$STATUS" = "$status" ] && grep -qF -- "$text" "$WORK/out" "$WORK/err" &&
			continue
		[ "$STATUS" = "$status" ] && [ -z "$text" ] && continue
		diag "kvmxctl exited with $STATUS; '$text'? output and errors:"
		sed 's/^/#   /' "$WORK/out" "$WORK/err"
		return 1
	done
}

# json POINTER [VALUE]: what is there in the last output, or whether it is VALUE.
json()
{
	local value

	value=$(json-get "$1" < "$WORK/out") || { ends -1; return 1; }
	if [ $# = 1 ]; then
		echo "$value"
		return
	fi
	[ "$value" = "$2" ] || { diag "$1 is '$value', not '$2'"; return 1; }
}

# number BYTES OFFSET: in the guests' kernel image.
number()
{
	chroot /hostroot od -An "-tu$1" -j "$2" -N "$1" /tmp/guest/vmlinuz | tr -d ' '
}

# Each guest would unpack its kernel itself, which is half of the time it takes to boot on an
# emulated host. QEMU takes it unpacked, too. Where the data is, the image's header says; behind it
# is what size it has, of which unpackers complain.
unpack_kernel()
{
	local start size tool dir=/hostroot/tmp/guest

	start=$((($(number 1 497) + 1) * 512 + $(number 4 584)))
	size=$(number 4 588)
	case $(number 2 "$start") in
	14333) tool=xz ;;
	46376) tool=zstd ;;
	*) return 1 ;;
	esac
	tail -c "+$((start + 1))" "$dir/vmlinuz" | head -c "$size" |
		chroot /hostroot "$tool" -dc > "$dir/vmlinux" 2> "$WORK/unpack"
	[ "$(stat -c %s "$dir/vmlinux")" = "$(number 4 $((start + size - 4)))" ]
}

# start_qemu NUMBER: as this machine's distribution ships it. Its monitor is a pair of FIFOs.
start_qemu()
{
	mkfifo "/hostroot/tmp/guest/monitor$1.in" "/hostroot/tmp/guest/monitor$1.out"
	chroot /hostroot taskset 2 qemu-system-x86_64 -accel kvm -m 96 -nodefaults -display none \
		-serial "file:/tmp/guest/console$1" -kernel "/tmp/guest/$KERNEL" \
		-chardev "pipe,id=monitor,path=/tmp/guest/monitor$1" -mon chardev=monitor \
		-initrd /tmp/guest/initrd -append "$WORDS kvmx.load=idle" \
		> /dev/null 2> "$WORK/qemu$1.err" &
	echo $! > "$WORK/qemu$1.pid"
	PIDS="$PIDS $!"
}

up()
{
	grep -qs "^GUEST READY" "/hostroot/tmp/guest/console$1"
}

# The Nth word.
pid_of()
{
	# shellcheck disable=SC2086 # words
	set -- "$1" $PIDS
	shift "$1"
	echo "$1"
}

# shared N M: how many pages two guests share.
shared()
{
	# shellcheck disable=SC2086 # words
	ksm_pfns $PIDS | awk -v a="$(pid_of "$1")" -v b="$(pid_of "$2")" \
		'$1 == a && $2 == b { print $3 }'
}

# count merged|zero [PID]...: pages that are shared with anything, that are the kernel's page of
# zeroes; of all guests without PID.
count()
{
	local what=$1

	shift
	# shellcheck disable=SC2086 # words
	[ $# -gt 0 ] || set -- $PIDS
	ksm_pfns "$@" | awk -v what="$what" '$2 == what { sum += $3 } END { print sum }'
}

usage()
{
	ctl ksm help && ends 0 "ksm { show | set | plan | watch | help }" &&
		ctl ksm nonsense && ends 2 "ksm has no command" &&
		ctl ksm set 1 && ends 2 "what is to be set" &&
		ctl ksm set host && ends 2 "what is to be set" &&
		ctl ksm set host --mode maybe && ends 2 "--mode" &&
		ctl ksm set host --cpu-permille 1001 && ends 2 "1 to 1000" &&
		ctl ksm set 1 --mode auto && ends 5 "holds no KVM VM" &&
		ctl ksm set 1 --domain red && ends 5 &&
		ctl ksm set host --domain red && ends 2 "neither a UUID" &&
		ctl -j ksm watch --count 0 && ends 2 && json /error/name usage
}

without_vms()
{
	ctl ksm && ends 0 "no VM has a mode" "strict" "20.0 %" &&
		ctl -j ksm show && ends 0 && json /host/policy/mode off &&
		json /host/state off && json /host/why host-off && json "/vms#" 0 &&
		json /host/policy/cpu_permille 200 && json /host/knobs free &&
		ctl ksm plan && ends 0 "no VM has a mode" &&
		ctl -j ksm plan && ends 0 && json /in_force false && json /plan null &&
		ctl ksm watch --count 1 && ends 0 "[...." "0 of 0 VMs  off"
}

not_permitted()
{
	STATUS=0
	kvmxctl-guest as-nobody /test/kvmxctl ksm show > "$WORK/out" 2> "$WORK/err" || STATUS=$?
	ends 4 "/dev/kvmx" "as root" || return 1
	chmod 666 /dev/kvmx
	STATUS=0
	kvmxctl-guest as-nobody /test/kvmxctl ksm show > "$WORK/out" 2> "$WORK/err" || STATUS=$?
	chmod 600 /dev/kvmx
	ends 4 "policy over KSM" "as root"
}

# QEMU makes its memory mergeable: as long as nobody says whose it is, it must meet nobody's.
refuses_foreign()
{
	ctl ksm set host --mode on && ends 6 "mem-merge=off" "--foreign allow" &&
		ctl -j ksm show "$(pid_of 1)" && ends 0 && json /ksm/mode unset &&
		json /ksm/state unset && json /vmm qemu-system-x86_64
}

all_red()
{
	local pid

	for pid in $PIDS; do
		ctl ksm set "$pid" --mode auto --domain "$RED" --weight 150 &&
			ends 0 "auto" "$RED" "150" "the host's policy is off" || return 1
	done
	ctl -j ksm set "$pid" --weight 100 && ends 0 && json /ksm/mode auto &&
		json /ksm/domain "$RED" && json /ksm/weight 100 && json /ksm/keep true &&
		ctl -j ksm show && json "/vms#" 4 && json /vms/0/mode auto &&
		json /vms/3/domain "$RED"
}

# What would be done, by a look at memory, without doing it.
plans()
{
	ctl ksm plan && ends 0 "an epoch: it pays" "admit" "policy is off" || return 1
	sed 's/^/# /' "$WORK/out"
	ctl -j ksm plan && ends 0 && json /in_force false && json /plan/epoch true &&
		json /plan/why gain && json /plan/domain "$RED" && json "/vms#" 4 &&
		json /vms/0/todo admit || return 1
	PLANNED=$(json /plan/gain_bytes)
	ZERO=$(count zero)
	[ "$PLANNED" -gt $((4 << 20)) ] && [ "$(count merged)" = 0 ] &&
		[ "$(cat "$KNOBS"/run)" = 0 ] && [ "$(cat "$KNOBS"/full_scans)" = "$SCANS" ]
}

epoch_is_over()
{
	ctl -j ksm show && [ "$(json /host/epochs)" -gt "$1" ] && json /host/state idle > /dev/null
}

# Kernels and page cache of the guests become one. What is freed is what was foretold, give or take
# a fifth: guests go on living.
merges()
{
	local freed equal i

	kvmxctl -j ksm watch --count 600 --interval-seconds 0.2 > "$WORK/watch" 2>&1 &
	WATCH=$!
	echo "$WATCH" > "$WORK/watch.pid"
	ctl -j ksm set host --mode on --cpu-permille 1000 --interval-seconds 1 \
		--settle-ms 200 --page-ms 10
	ends 0 && json /host/policy/mode on && json /host/policy/pressure_permille 1000 &&
		json /host/knobs owned || return 1
	wait_for 120 epoch_is_over 0 || { ends -1; return 1; }
	freed=$(json /host/epoch_freed_bytes)
	equal=$(($(count merged) + $(count zero) - ZERO))
	diag "$((PLANNED >> 20)) MiB foretold, $((freed >> 20)) MiB freed," \
		"$((equal >> 8)) MiB shared, $(($(json /host/ksmd_ns) / 1000000)) ms of ksmd," \
		"$(json /host/full_scans) scans, over for $(json /host/stopped)"
	for i in 2 3 4; do
		diag "guest 1 and $i share $(shared 1 "$i") pages"
		[ "$(shared 1 "$i")" -gt 512 ] || return 1
	done
	[ "$freed" -gt $((PLANNED * 4 / 5)) ] && [ "$freed" -lt $((PLANNED * 6 / 5)) ] &&
		[ "$equal" -gt $((freed / 4096)) ] && [ "$(cat "$KNOBS"/run)" = 0 ]
}

# The bar goes from nothing to nearly all, and says what happens.
watches()
{
	local first last

	kill "$WATCH"
	first=$(grep -m 1 '"host"' "$WORK/watch" | json-get /host/progress_permille)
	last=$(grep '"host"' "$WORK/watch" | tail -n 1 | json-get /host/progress_permille)
	diag "progress: $first to $last"
	grep -q '"name":"begin"' "$WORK/watch" && grep -q '"name":"end"' "$WORK/watch" &&
		[ "$last" -gt 700 ] && ctl ksm watch --count 2 --interval-seconds 0.1 &&
		ends 0 "[######" "4 of 4 VMs"
}

# From the moment they are in another domain, they share nothing.
parts()
{
	ctl ksm set "$(pid_of 3)" --domain "$BLUE" && ends 0 "$BLUE" || return 1
	ctl ksm set "$(pid_of 4)" --domain "$BLUE" && ends 0 || return 1
	[ "$(shared 1 3)" = 0 ] && [ "$(shared 2 3)" = 0 ] && [ "$(shared 1 4)" = 0 ] &&
		[ "$(shared 2 4)" = 0 ] && [ "$(shared 1 2)" -gt 512 ]
}

# An edu device that is alone in its group, as VFIO wants it.
find_device()
{
	local dir

	for dir in /sys/bus/pci/devices/*; do
		[ "$(cat "$dir/vendor"):$(cat "$dir/device")" = 0x1234:0x11e8 ] &&
			[ "$(cat "$dir"/iommu_group/devices/*/device | grep -c 0x11e8)" = 1 ] &&
			basename "$dir" && return
	done
	return 1
}

# All of the guest's memory is locked, since a device may write to it.
is_pinned()
{
	[ "$(awk '/^VmLck/ { print $2 }' "/proc/$1/status")" -ge $((96 << 10)) ]
}

# QEMU is given a device while it runs. Nobody tells kvmx.
gets_device()
{
	local device

	device=$(find_device) || return 1
	echo vfio-pci > "/sys/bus/pci/devices/$device/driver_override"
	echo "$device" > /sys/bus/pci/drivers_probe
	[ -e "/sys/bus/pci/drivers/vfio-pci/$device" ] || return 1
	echo "device_add vfio-pci,host=$device,id=device" > "/hostroot/tmp/guest/monitor$1.in"
	wait_for 60 is_pinned "$(pid_of "$1")"
}

# A domain of two becomes live. One of them is pinned and so stays out; it would have kept the other
# from merging, which merges as if it were alone.
switches()
{
	local epochs freed planned cow

	ctl -j ksm show && epochs=$(json /host/epochs) && freed=$(json /host/epoch_freed_bytes) ||
		return 1
	ctl -j ksm set host --domain "$BLUE" && ends 0 && json /host/policy/domain "$BLUE" &&
		[ "$(shared 1 2)" = 0 ] || return 1
	# Unmerging the others was copying on write, too.
	cow=$(awk '$1 == "cow_ksm" { print $2 }' /proc/vmstat)
	if ! wait_for 120 epoch_is_over "$epochs"; then
		ctl ksm show
		ends -1
		return 1
	fi
	json /host/live_domain "$BLUE" || return 1
	freed=$(($(json /host/epoch_freed_bytes) - freed))
	cow=$(($(awk '$1 == "cow_ksm" { print $2 }' /proc/vmstat) - cow))
	ctl -j ksm show "$(pid_of 4)" && planned=$(json /ksm/mergeable_bytes) || return 1
	diag "alone, of $((planned >> 20)) MiB $((freed >> 20)) freed, $cow copies on write"
	ctl ksm show && tail -n 5 "$WORK/out" | sed 's/^/# /'
	[ "$planned" -gt $((4 << 20)) ] && [ "$freed" -gt $((planned * 4 / 5)) ] &&
		[ "$cow" -lt 2048 ] && [ "$(count merged "$(pid_of 4)")" -gt 512 ] &&
		ctl ksm show "$(pid_of 3)" && ends 0 "refused" "pinned" &&
		[ "$(shared 3 4)" = 0 ] && [ "$(count merged "$(pid_of 3)")" = 0 ] &&
		[ "$(shared 1 3)" = 0 ] && [ "$(shared 2 4)" = 0 ] && [ "$(shared 1 2)" = 0 ] &&
		ctl ksm show "$(pid_of 1)" && ends 0 "another domain is live" "refused"
}

# A guest that dies in all this is nobody's trouble.
survives_a_kill()
{
	kill -9 "$(pid_of 4)"
	wait "$(pid_of 4)" 2> /dev/null
	PIDS=$(echo "$PIDS" | awk '{ print $1, $2, $3 }')
	wait_for 20 three_left
}

three_left()
{
	ctl -j ksm show && [ "$(json "/vms#")" = 3 ]
}

# QEMU has made its memory mergeable, so it is mode off that unmerges it, not the end of the policy.
all_off()
{
	local pid

	for pid in $PIDS; do
		ctl ksm set "$pid" --mode off && ends 0 "off" "its mode says so" || return 1
	done
	[ "$(count merged)" = 0 ] && ctl ksm set host --mode off && ends 0 &&
		[ "$(cat "$KNOBS/run")" = 0 ] && [ "$(cat "$KNOBS/pages_to_scan")" = "$SCAN" ] &&
		ctl -j ksm show && json /host/knobs free && json /host/live_vms 0
}

guests_live()
{
	local i

	for i in 1 2 3; do
		kill -0 "$(pid_of "$i")" || return 1
		! grep -aE "CHECK FAIL|GUEST BAD|Kernel panic" "/hostroot/tmp/guest/console$i" ||
			return 1
	done
}

plan 14

SCANS=$(cat "$KNOBS"/full_scans)
SCAN=$(cat "$KNOBS"/pages_to_scan)
mkdir -p /hostroot/tmp/guest
cp /guest/vmlinuz /guest/initrd /hostroot/tmp/guest/
KERNEL=vmlinux
unpack_kernel || KERNEL=vmlinuz
diag "guests boot $KERNEL"
for i in 1 2 3 4; do
	start_qemu "$i"
done
expect "usage errors" usage
expect "no VM has a mode" without_vms
expect "without permission" not_permitted
for i in 1 2 3 4; do
	wait_for 200 up "$i" || give_up "guest $i does not boot"
done
expect "memory that is somebody's, but whose?" refuses_foreign
expect "a mode and a domain for QEMU's guests" all_red
expect "the plan is foretold and nothing done" plans
expect "four Linux guests share what they have in common" merges
expect "watch" watches
expect "who moves to another domain shares nothing" parts
expect "a guest gets a device" gets_device 3
expect "another domain becomes live, beside pinned memory" switches
expect "a guest is killed" survives_a_kill
expect "all off" all_off
expect "the guests are unharmed" guests_live
finish
