#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# kvmxctl against VMMs that know kvmx, VMMs that don't, and a Linux guest in an unmodified QEMU.

# shellcheck shell=dash disable=SC2317 # expect() calls the functions
. "$(dirname "$0")/lib.sh"

STATUS=
GUEST=
GUEST_PID=

# ctl ARG...: output in $WORK/out, errors in $WORK/err, exit status in $STATUS.
ctl()
{
	STATUS=0
	kvmxctl "$@" > "$WORK/out" 2> "$WORK/err" || STATUS=$?
}

as_nobody()
{
	STATUS=0
	kvmxctl-guest as-nobody /test/kvmxctl "$@" > "$WORK/out" 2> "$WORK/err" || STATUS=$?
}

show_ctl()
{
	diag "kvmxctl exited with $STATUS; output and errors:"
	sed 's/^/#   /' "$WORK/out" "$WORK/err"
}

# ends STATUS [TEXT]...: how the last ctl ended, and what it said.
ends()
{
	local text status=$1

	shift
	[ "$STATUS" = "$status" ] || { show_ctl; return 1; }
	for text; do
		grep -qF -- "$text" "$WORK/out" "$WORK/err" ||
			{ diag "no '$text'"; show_ctl; return 1; }
	done
}

# json POINTER [VALUE]: what is there in the last output, or whether it is VALUE.
json()
{
	local value

	value=$(json-get "$1" < "$WORK/out") || { show_ctl; return 1; }
	if [ $# = 1 ]; then
		echo "$value"
		return
	fi
	[ "$value" = "$2" ] || { diag "$1 is '$value', not '$2'"; return 1; }
}

# json_error STATUS NAME ARG...: the error as JSON, on standard output, and nothing else anywhere.
json_error()
{
	local status=$1 name=$2

	shift 2
	ctl -j "$@"
	ends "$status" && json /error/exit_code "$status" && json /error/name "$name" &&
		[ ! -s "$WORK/err" ]
}

# The test machine has a VM of its own, called keep.
count_vms()
{
	local i nr=0 all

	ctl -j vm list
	ends 0 || return 1
	all=$(json "/vms#")
	i=0
	while [ "$i" -lt "$all" ]; do
		[ "$(json "/vms/$i/vmm")" = keep ] || nr=$((nr + 1))
		i=$((i + 1))
	done
	[ "$nr" = "$1" ] || { diag "$nr VMs, not $1"; show_ctl; return 1; }
}

# listed POINTER VALUE: of the guest, in the list of all.
listed()
{
	local i=0

	while [ "$(json "/vms/$i/pid")" != "$GUEST_PID" ]; do
		i=$((i + 1))
		[ "$i" -lt "$(json "/vms#")" ] || { diag "not in the list"; return 1; }
	done
	if [ $# = 1 ]; then
		json "/vms/$i$1"
	else
		json "/vms/$i$1" "$2"
	fi
}

between()
{
	if [ "$1" -lt "$2" ] || [ "$1" -gt "$3" ]; then
		diag "$1 is not in $2..$3"
		return 1
	fi
}

# start_guest NAME ARG...: a kvmxctl-guest that hears on fd 3 and answers into $WORK/NAME.answers.
start_guest()
{
	local name=$1

	shift
	mkfifo "$WORK/$name.in"
	kvmxctl-guest "$@" < "$WORK/$name.in" > "$WORK/$name.answers" 2> "$WORK/$name.err" &
	GUEST_PID=$!
	GUEST=$name
	echo "$GUEST_PID" > "$WORK/$name.pid"
	exec 3> "$WORK/$name.in"
	wait_for 10 grep -q ready "$WORK/$name.answers" || give_up "the test guest does not start"
}

nr_answers()
{
	wc -l < "$WORK/$GUEST.answers"
}

has_answered()
{
	[ "$(nr_answers)" -gt "$1" ]
}

# tell COMMAND: to the guest; prints its answer.
tell()
{
	local before

	before=$(nr_answers)
	echo "$1" >&3
	wait_for 20 has_answered "$before" || give_up "the test guest does not answer to '$1'"
	tail -n 1 "$WORK/$GUEST.answers"
}

stop_guest()
{
	exec 3>&-
	wait "$GUEST_PID"
	rm -f "$WORK/$GUEST.pid"
}

help_everywhere()
{
	ctl help && ends 0 "OBJECT" "Exit codes" && ctl && ends 0 "OBJECT" &&
		ctl feature help && ends 0 "feature { show | help }" &&
		ctl vm help && ends 0 "vm { list | show | help }" &&
		ctl dirty --help && ends 0 "dirty { peek | rate | predict | plot | help }" &&
		ctl dirty predict help && ends 0 "--allowed-ms" &&
		ctl stats help && ends 0 "stats { show | help }" &&
		ctl help doctor && ends 0 "doctor { check | help }" &&
		ctl help dirty predict && ends 0 "--allowed-ms" &&
		ctl -V && ends 0 "kvmxctl " && [ "$(wc -w < "$WORK/out")" = 2 ]
}

usage_errors()
{
	ctl nonsense && ends 2 "no object 'nonsense'" "kvmxctl help" &&
		ctl vm nonsense && ends 2 "vm has no command" "kvmxctl vm help" &&
		ctl dirty && ends 2 "which command" &&
		ctl vm show && ends 2 "which VM" "kvmxctl vm show help" &&
		ctl vm show 12x && ends 2 "not a process id" "vm list" &&
		ctl dirty rate 1 --samples 0 && ends 2 "1 to 65536" &&
		ctl dirty rate 1 --from sample && ends 2 "--from" &&
		ctl dirty predict 1 --bandwidth 1M && ends 2 "--allowed-ms" &&
		ctl dirty predict 1 --allowed-ms 1 && ends 2 "--bandwidth" &&
		json_error 2 usage vm show x && json_error 2 usage stats show --prometheus
}

no_module()
{
	rmmod kvmx
	ctl vm list && ends 3 "/dev/kvmx" "insmod kvmx.ko" &&
		json_error 3 no-kvmx feature && json_error 3 no-kvmx stats &&
		ctl doctor && ends 1 "it is not loaded" "modprobe kvmx" &&
		ctl -j doctor && ends 1 && json /failures 1
}

reload()
{
	insmod /lib/kvmx/kvmx.ko
}

features()
{
	ctl feature && ends 0 "tracker" "predict" "$(uname -r)" &&
		ctl -j feature && ends 0 && json /kernel "$(uname -r)" &&
		json "/features#" 10 && json /features/0/name tracker &&
		json /features/0/offered true && json /features/0/value 8 &&
		json /limits/max_points 32 &&
		ctl -p feature show && ends 0 && json /limits/max_trackers 8
}

# Nothing of it is made up: the kernel is the machine's own.
doctors()
{
	ctl doctor && ends 0 "ok       kernel       $(uname -r)" "it is loaded" &&
		! grep -q "$(printf '\033')" "$WORK/out" &&
		ctl -j doctor && ends 0 && json /failures 0 && json /findings/0/check kernel &&
		json /findings/0/level ok
}

no_vms()
{
	ctl vm list && ends 0 "PID" && count_vms 0 && json /hidden_processes 0
}

no_such_vm()
{
	ctl vm show 999999 && ends 5 "no process 999999" "vm list" &&
		ctl vm show 1 && ends 5 "holds no KVM VM" &&
		json_error 5 no-vm dirty rate 1
}

lists_foreign_vm()
{
	ctl vm && ends 0 "kvmxctl-guest" "$GUEST_PID" "idle" "64.0 MiB" &&
		count_vms 1 &&
		listed /vmm kvmxctl-guest && listed /vcpus 1 &&
		listed /memory_bytes $((64 * 1048576 + 4096)) &&
		listed /uuid null && listed /uuid_from null && listed /label null &&
		listed /state/0 idle && listed /slots 2
}

shows_foreign_vm()
{
	ctl vm show "$GUEST_PID" && ends 0 "readonly" "0x4000000" "harvests" &&
		ctl -j v s "$GUEST_PID" && ends 0 && json "/slots#" 2 && json /slots/0/gpa 0 &&
		json /slots/0/bytes 67108864 && json /slots/1/flags/0 readonly &&
		json /stats/harvests 0 && json /vm/other_handles 0 &&
		ctl vm show "$GUEST_PID:$(json /vm/fd)" && ends 0 &&
		ctl vm show "$GUEST_PID:0" && ends 5 "no VM that vm list shows"
}

not_permitted()
{
	as_nobody vm list && ends 4 "/dev/kvmx" "as root" || return 1
	chmod 666 /dev/kvmx
	as_nobody vm show "$GUEST_PID"
	ends 4 "cannot look into process $GUEST_PID" "CAP_SYS_PTRACE" &&
		as_nobody vm list && ends 0 "cannot be looked into" &&
		as_nobody -j vm list && json "/vms#" 0 && [ "$(json /hidden_processes)" -gt 0 ]
	STATUS=$?
	chmod 600 /dev/kvmx
	return "$STATUS"
}

# Root of a user namespace is nobody to a VMM outside, and is told so.
in_another_userns()
{
	chmod 666 /dev/kvmx
	STATUS=0
	unshare -U -r kvmxctl vm show "$GUEST_PID" > "$WORK/out" 2> "$WORK/err" || STATUS=$?
	chmod 600 /dev/kvmx
	ends 4 "cannot look into process $GUEST_PID" "outside this user namespace"
}

no_tracker()
{
	ctl dirty peek "$GUEST_PID" && ends 5 "no kvmx tracker" "dirty rate $GUEST_PID" &&
		ctl dirty rate "$GUEST_PID" --from tracker && ends 8 "no kvmx tracker" &&
		ctl dirty predict "$GUEST_PID" --from sample --bandwidth 1G --allowed-ms 300 &&
		ends 8 "KVMX_VM_SAMPLE"
}

idle_rate()
{
	ctl dirty rate "$GUEST_PID" --seconds 0.5 && ends 0 "INTERVAL" "This cannot show" &&
		ctl -j dirty rate "$GUEST_PID" --seconds 0.5 && ends 0 && json /source content &&
		json /total_bytes 67108864 && json /content/changed 0 &&
		json /content/samples 4096 &&
		json "/points/$(($(json "/points#") - 1))/pages" 0
}

# A guest that has touched nothing has nothing, however often it is looked at.
stays_unpopulated()
{
	local before after

	before=$(tell present)
	ctl -j dirty rate "$GUEST_PID" --seconds 0.3 --samples 16384
	after=$(tell present)
	diag "pages present before: $before, after: $after"
	ends 0 && json /content/absent 16384 && [ "$before" = 0 ] && [ "$after" = 0 ]
}

# The guest's own account of the same intervals: within four standard errors, and 1 % of the
# memory because pages are looked at one after the other.
true_rate()
{
	local i nr truth pages ns slack begun status=0

	ctl -j dirty rate "$GUEST_PID" --seconds 2 --samples 2048
	ends 0 && json /source content || return 1
	nr=$(json "/points#")
	[ "$nr" -ge 3 ] || { diag "only $nr points"; return 1; }
	begun=$(json /begun_ns)
	i=0
	while [ "$i" -lt "$nr" ]; do
		ns=$(json "/points/$i/time_ns")
		pages=$(json "/points/$i/pages")
		slack=$(($(json "/points/$i/error_bytes") / 1024 + 16384 / 100))
		truth=$(tell "truth $begun $ns")
		diag "$((ns / 1000000)) ms: $pages pages, in truth $truth, give or take $slack"
		between "$pages" $((truth - slack)) $((truth + slack)) || status=1
		i=$((i + 1))
	done
	return "$status"
}

# As many points are drawn as were measured.
plots()
{
	ctl -j dirty plot "$GUEST_PID" --output "$WORK/curve.svg" --bandwidth 100M --seconds 1
	ends 0 && json /output "$WORK/curve.svg" &&
		[ "$(grep -c "<circle" "$WORK/curve.svg")" = "$(json "/points#")" ] &&
		grep -q "sent at 100.0 MiB/s" "$WORK/curve.svg" &&
		ctl dirty plot "$GUEST_PID" && ends 2 "--output" &&
		ctl dirty plot "$GUEST_PID" --output /no/where --seconds 0.1 && ends 1 /no/where
}

blind_to_same_content()
{
	[ "$(tell "same 16384 16384")" = ok ] || return 1
	sleep 1
	ctl -j dirty rate "$GUEST_PID" --seconds 0.5
	ends 0 && json /content/changed 0 &&
		[ "$(tell "truth $(json /begun_ns) 500000000")" -gt 1000 ] &&
		[ "$(tell stop)" = ok ] &&
		ctl dirty rate "$GUEST_PID" --seconds 0.1 && ends 0 "leave a page as it was"
}

verdicts()
{
	local pid=$GUEST_PID

	ctl dirty predict "$pid" --bandwidth 100M --allowed-ms 1000 --seconds 1
	ends 0 "The migration converges" "allowed pause" || return 1
	ctl -j dirty predict "$pid" --bandwidth 100M --allowed-ms 1000 --seconds 1
	ends 0 && json /prediction/verdict converges && json /source content &&
		json /prediction/bandwidth_bytes_per_second 104857600 &&
		[ "$(json /prediction/pause_ns)" -le 1000000000 ] &&
		[ "$(json /prediction/bytes)" -ge 67108864 ] || return 1
	ctl -j dirty predict "$pid" --bandwidth 1M --allowed-ms 10 --seconds 1
	ends 0 && json /prediction/verdict offline &&
		between "$(json /prediction/offline_ns)" 63000000000 65000000000 || return 1
	ctl -j dirty predict "$pid" --bandwidth 12M --allowed-ms 300 --min-vcpu-percent 5 \
		--seconds 1
	ends 0 && json /prediction/verdict throttle &&
		between "$(json /prediction/vcpu_permille)" 50 999 || return 1
	ctl -j dirty predict "$pid" --bandwidth 0 --allowed-ms 10 --seconds 0.1
	ends 0 && json /prediction/offline_ns null && json /prediction/verdict offline
}

# log_of SEED: the VMM's own log after a burst of writes.
log_of()
{
	tell "burst $1 600" > /dev/null
	tell bitmap
}

# A VMM that logs by itself must find in its log what it would have found without us.
log_untouched()
{
	local seed alone watched status=0 looks=0

	[ "$(tell "log on")" = ok ] || return 1
	tell bitmap > /dev/null
	for seed in 1 2 3 4 5; do
		alone=$(log_of "$seed")
		kvmxctl -j dirty rate "$GUEST_PID" --seconds 2 > "$WORK/out" 2> "$WORK/err" &
		sleep 1
		watched=$(log_of "$seed")
		# Did it look before and after the guest wrote? Not if the machine was slow.
		wait $! && [ "$(json /content/changed)" -gt 0 ] && looks=$((looks + 1))
		diag "seed $seed: alone $alone; watched $watched"
		case $alone in *" missing 0 "*) ;; *) status=1 ;; esac
		[ "$alone" = "$watched" ] || status=1
	done
	[ "$looks" -ge 3 ] || { show_ctl; return 1; }
	return "$status"
}

# ... and the log still works when nobody writes: looking is no writing.
log_stays_empty()
{
	tell bitmap > /dev/null
	ctl dirty rate "$GUEST_PID" --seconds 0.5 --samples 16384
	ends 0 && ctl vm list && ctl vm show "$GUEST_PID" || return 1
	case $(tell bitmap) in "0 missing"*) ;; *) return 1 ;; esac
}

says_who_logs()
{
	ctl vm list && ends 0 "logged-by-vmm" &&
		ctl dirty peek "$GUEST_PID" && ends 6 "logs by itself" &&
		json_error 6 busy dirty peek "$GUEST_PID" &&
		[ "$(tell "log off")" = ok ] && ctl vm list && ends 0 "idle"
}

shared_memory()
{
	[ "$(tell "load 16384 2048")" = ok ] && sleep 3 && true_rate && [ "$(tell stop)" = ok ]
}

known_vm()
{
	[ "$(tell "open test-vm")" = 0 ] && ctl vm list &&
		ends 0 test-vm 00010203-0405-0607-0809-0a0b0c0d0e0f &&
		ctl -j vm list && listed /label test-vm && listed /name test-vm &&
		listed /uuid_from kvmx && listed /other_handles 1
}

sample_predicts()
{
	[ "$(tell sample)" = 0 ] &&
		ctl -j dirty predict "$GUEST_PID" --from sample --bandwidth 1G --allowed-ms 300 &&
		ends 0 && json /source sample && json /prediction/verdict converges
}

# What peek shows is what the next harvest takes, and looking twice changes nothing.
peeks()
{
	local first second taken

	[ "$(tell tracker)" = 0 ] && tell "burst 7 300" > /dev/null || return 1
	ctl -j dirty peek "$GUEST_PID" && ends 0 && json "/trackers#" 1 || return 1
	first=$(json /trackers/0/dirty_pages)
	json /trackers/0/slots/0/dirty_pages "$first" && json /trackers/0/passes 0 || return 1
	ctl dirty peek "$GUEST_PID" && ends 0 "dirty pages" "bitmap" || return 1
	ctl -j dirty peek "$GUEST_PID" && second=$(json /trackers/0/dirty_pages)
	taken=$(tell harvest)
	diag "peeked: $first, $second; harvested: $taken"
	[ "$first" -ge 290 ] && [ "$first" = "$second" ] && [ "$second" = "$taken" ] || return 1
	ctl -j dirty peek "$GUEST_PID" && json /trackers/0/dirty_pages 0 &&
		json /trackers/0/passes 1 && ctl vm list && ends 0 "tracked"
}

# As many harvests as were made, and the same in every form.
counts()
{
	local series="{pid=\"$GUEST_PID\","

	ctl -j stats && ends 0 && listed /trackers 1 && listed /harvests 1 &&
		[ "$(listed /collected_pages)" -ge 290 ] && json /kernel "$(uname -r)" &&
		ctl stats && ends 0 HARVESTS test-vm && ctl stats show --prometheus &&
		ends 0 "kvmx_vm_harvests_total$series" "kvmx_vm_vcpus$series" kvmx_info &&
		[ "$(grep -c "^kvmx_vm_harvests_total.*pid=\"$GUEST_PID\".* 1$" "$WORK/out")" = 1 ]
}

# A tracker with nothing to tell yet is no help, and auto knows.
curve_of_tracker()
{
	local i

	ctl dirty rate "$GUEST_PID" --from tracker && ends 8 "--from content" || return 1
	ctl -j dirty rate "$GUEST_PID" --seconds 0.1 && json /source content || return 1
	[ "$(tell "load 16384 4096")" = ok ] || return 1
	for i in 1 2 3 4 5 6; do
		tell harvest > /dev/null
		sleep 0.3
	done
	ctl dirty rate "$GUEST_PID" && ends 0 "tracker" "since the last harvest" &&
		ctl -j dirty rate "$GUEST_PID" && json /source tracker &&
		[ "$(json "/points#")" -ge 1 ] && [ "$(json /points/0/pages)" -gt 100 ] &&
		ctl -j dirty predict "$GUEST_PID" --bandwidth 1G --allowed-ms 300 && ends 0 &&
		json /source tracker && json /prediction/verdict converges
}

# A process that was handed the VM is not its VMM.
helper_is_no_vmm()
{
	local helper

	helper=$(tell helper)
	sleep 0.5
	count_vms 1 && listed /vmm kvmxctl-guest && ctl vm show "$helper" && ends 0 &&
		ctl dirty rate "$helper" --seconds 0.1 &&
		ends 5 "none of its memory" "vm list" && kill -9 "$helper"
}

# Two VMs in one process: never a guess which is meant.
two_vms()
{
	local fd

	[ "$(tell second)" = 0 ] && count_vms 2 && fd=$(listed /fd) &&
		ctl vm show "$GUEST_PID" && ends 2 "holds 2 VMs" "$GUEST_PID:" &&
		ctl vm show "$GUEST_PID:$fd" && ends 0 test-vm &&
		ctl dirty peek "$GUEST_PID:$fd" && ends 7 "several VMs" &&
		ctl -j dirty rate "$GUEST_PID:$fd" --seconds 0.1 && ends 0 && json /source content
}

# A VM that nobody runs any more is said to be that, and keeps nobody from the others.
dead_vm()
{
	GUEST_PID=$(kvmxctl-guest orphan)
	echo "$GUEST_PID" > "$WORK/orphan.pid"
	sleep 0.5
	ctl vm show "$GUEST_PID" && ends 5 "No such device" "has ended" &&
		count_vms 1 && [ -n "$(listed /error)" ] || return 1
	kill -9 "$GUEST_PID"
}

QEMU_UUID=6f9619ff-8b86-4d01-b42d-00cf4fc964ff

# start_qemu WORDS...: a Linux guest with that load in QEMU as this machine's distribution ships
# it. Its monitor hears on fd 4.
start_qemu()
{
	mkdir -p /hostroot/tmp/guest
	cp /guest/vmlinuz /guest/initrd /hostroot/tmp/guest/
	mkfifo "$WORK/monitor"
	chroot /hostroot taskset 2 qemu-system-x86_64 -name guest=web,debug-threads=on \
		-uuid "$QEMU_UUID" -accel kvm -m 160 -nodefaults -display none \
		-serial file:/tmp/guest/console -monitor stdio -kernel /tmp/guest/vmlinuz \
		-initrd /tmp/guest/initrd -append "console=ttyS0 reboot=k panic=-1 quiet $*" \
		< "$WORK/monitor" > /dev/null 2> "$WORK/qemu.err" &
	GUEST_PID=$!
	echo "$GUEST_PID" > "$WORK/qemu.pid"
	exec 4> "$WORK/monitor"
	wait_for 90 grep -qs "^GUEST READY" /hostroot/tmp/guest/console ||
		give_up "QEMU's guest does not boot"
}

# QEMU shows SMM all memory once more, which is no more memory.
lists_qemu()
{
	ctl vm list && ends 0 qemu-system-x86_64 "$GUEST_PID" && count_vms 1 &&
		listed /vcpus 1 &&
		listed /vmm qemu-system-x86_64 && listed /name web &&
		listed /uuid "$QEMU_UUID" && listed /uuid_from command-line &&
		between "$(listed /memory_bytes)" $((160 << 20)) $((162 << 20)) &&
		ctl vm show "$GUEST_PID" && ends 0 && sed 's/^/# /' "$WORK/out"
}

# Who may not look into it sees that it is there, and why there is no more to see.
hides_qemu()
{
	chmod 666 /dev/kvmx
	as_nobody vm list
	ends 0 web "$QEMU_UUID" "cannot look into process $GUEST_PID" "CAP_SYS_PTRACE" &&
		as_nobody -j vm list && listed /name web && listed /fd null &&
		[ -n "$(listed /hint)" ]
	STATUS=$?
	chmod 600 /dev/kvmx
	return "$STATUS"
}

# What is to be expected of r writes a second to random ones of n pages in time t is
# n(1 - exp(-rt/n)); r by the guest's own account, and Linux writes, too. (busybox' awk has no exp.)
qemu_rate_fits()
{
	local i nr status=0

	ctl -j dirty rate "$GUEST_PID" --samples 16384
	ends 0 && json /source content || return 1
	nr=$(json "/points#")
	i=0
	while [ "$i" -lt "$nr" ]; do
		grep -a "^GUEST STAT" /hostroot/tmp/guest/console | tail -n 1 |
			awk -v t="$(json "/points/$i/time_ns")" \
				-v pages="$(json "/points/$i/pages")" '{
			split($3, ms, "="); split($4, writes, "=")
			rate = writes[2] / ms[2] * 1000
			for (left = 1; k < 256; k++)
				left *= 1 - rate * t / 1e9 / 8192 / 256
			due = 8192 * (1 - left)
			printf "# %d ms: %d pages; the load has written to about %d\n",
				t / 1e6, pages, due
			exit !(pages > 0.6 * due - 100 && pages < 1.4 * due + 600)
		}' || status=1
		i=$((i + 1))
	done
	return "$status"
}

qemu_verdict()
{
	ctl dirty predict "$GUEST_PID" --bandwidth 32M --allowed-ms 300
	ends 0 "The migration converges" && sed 's/^/# /' "$WORK/out"
}

qemu_state_is()
{
	ctl -j vm list && listed /state/0 "$1" > /dev/null
}

# QEMU migrating is QEMU logging: to be told, and left alone. To somebody who takes nothing, so
# that it does not end before we have looked.
qemu_logs()
{
	echo 'migrate -d "exec:sleep 15"' >&4
	wait_for 10 qemu_state_is logged-by-vmm || return 1
	ctl dirty peek "$GUEST_PID" && ends 6 "logs by itself" && qemu_rate_fits &&
		qemu_state_is logged-by-vmm || return 1
	wait_for 30 qemu_state_is idle
}

plan 37

expect "help at every level" help_everywhere
expect "usage errors" usage_errors
expect "without the module" no_module
reload
expect "feature" features
expect "doctor" doctors
expect "no VMs" no_vms
expect "no such VM" no_such_vm

start_guest foreign 64
expect "looking populates nothing" stays_unpopulated
expect "vm list finds a VMM that does not know kvmx" lists_foreign_vm
expect "vm show" shows_foreign_vm
expect "without permission" not_permitted
expect "in a user namespace" in_another_userns
expect "no tracker" no_tracker
expect "rate of an idle guest" idle_rate
tell "load 16384 4096" > /dev/null
sleep 4
expect "rate of a busy guest is the guest's own" true_rate
expect "predict" verdicts
expect "plot" plots
tell stop > /dev/null
expect "rewrites of the same are not seen, and said so" blind_to_same_content
expect "the VMM's own log is as without us" log_untouched
expect "looking is not logged" log_stays_empty
expect "who logs" says_who_logs
stop_guest

start_guest shared 64 shared
expect "looking populates no shared memory" stays_unpopulated
expect "rate of shared memory" shared_memory
expect "UUID and label" known_vm
expect "predict from the VMM's sample" sample_predicts
expect "peek" peeks
expect "stats" counts
expect "rate and predict from a tracker" curve_of_tracker
expect "a helper that holds the VM" helper_is_no_vmm
expect "a process with two VMs" two_vms
stop_guest
expect "gone with its process" count_vms 0
expect "a VM whose process has ended" dead_vm

# 8192 pages, written to 2048 times a second.
start_qemu kvmx.load=uniform kvmx.mib=32 kvmx.rate=2048
sleep 3
expect "vm list finds QEMU" lists_qemu
expect "a QEMU that may not be looked into" hides_qemu
expect "rate of QEMU's guest" qemu_rate_fits
expect "predict for QEMU's guest" qemu_verdict
expect "rate while QEMU migrates" qemu_logs
finish
