# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034 # EXPECTED_MS is for migrate.sh
#
# The rival: an unmodified QEMU, run from the machine that the test machine was started on. Has
# the interface of the VMM functions in e2e's lib.sh. Sourced.

# As QEMU sees $WORK, and the port it has its second serial line at.
INSIDE=${WORK#/hostroot}
QEMU_WORDS=$(echo "$GUEST_WORDS kvmx.load=idle" | sed "s/kvmx.beat=[^ ]*/kvmx.beat=0x2f8/")
# The last thing it said about the pause to come: what is left, at a constant rate.
EXPECTED_MS=

qemu_is_up()
{
	[ -S "$WORK/$1.qmp" ] && qmp "$WORK/$1.qmp" '{"execute":"query-status"}' > /dev/null 2>&1
}

# All vCPU threads to CPU 1, as kvmx-vmm does itself.
pin_qemu()
{
	local task

	for task in "/proc/$(cat "$WORK/$1.pid")/task"/*; do
		case $(cat "$task/comm") in
		CPU*KVM) taskset -p 2 "${task##*/}" > /dev/null && return ;;
		esac
	done
	return 1
}

# start_qemu OPTION...: its name is in $VMM afterwards; the guest does not run yet.
start_qemu()
{
	local base

	NR_VMMS=$((NR_VMMS + 1))
	VMM=qemu$NR_VMMS
	base=$WORK/$VMM
	mkfifo "$base.in" "$base.beat"
	beatlog "$base.beat" "$WORK/beats" &
	echo $! > "$base.beatlog.pid"
	(
		chroot /hostroot qemu-system-x86_64 -accel kvm -cpu host -machine pc \
			-m "$MEMORY" -smp 1 -nodefaults -no-user-config -display none \
			-name "$VMM,debug-threads=on" -no-reboot \
			-qmp "unix:$INSIDE/$VMM.qmp,server=on,wait=off" \
			-chardev stdio,id=console,signal=off -serial chardev:console \
			-chardev "file,id=beat,path=$INSIDE/$VMM.beat" -serial chardev:beat \
			-kernel "$INSIDE/vmlinuz" -initrd "$INSIDE/initrd" \
			-append "$QEMU_WORDS" "$@" \
			<> "$base.in" >> "$WORK/console" 2>> "$base.err" &
		echo $! > "$base.pid"
		wait $!
		echo $? > "$base.status"
	) &
	wait_for 20 qemu_is_up "$VMM" || give_up "QEMU does not start"
	pin_qemu "$VMM" || give_up "QEMU has no vCPU thread"
}

boot_qemu()
{
	cp /guest/vmlinuz /guest/initrd "$WORK"
	start_qemu -S
	HERE=$VMM
	qmp "$WORK/$HERE.qmp" '{"execute":"cont"}' > /dev/null
	wait_for 90 has_lines "^GUEST READY" 1 || give_up "QEMU's guest does not boot"
}

# As move(). What QEMU says about it is in the source's report.
move_qemu()
{
	local status=0

	SRC=$HERE
	rm -f "$WORK/incoming" "$WORK/link"
	start_qemu -incoming "unix:$INSIDE/incoming"
	DST=$VMM
	start_link --rate "$BANDWIDTH"
	qmp "$WORK/$SRC.qmp" '{"execute":"migrate-set-parameters","arguments":{"max-bandwidth":0,
		"downtime-limit":'"$ALLOWED_MS"'}}' > /dev/null || give_up "QEMU: no parameters"
	mark_beats
	qmp "$WORK/$SRC.qmp" \
		'{"execute":"migrate","arguments":{"uri":"unix:'"$INSIDE/link"'"}}' > /dev/null ||
		give_up "QEMU does not migrate"
	qmp "$WORK/$SRC.qmp" migrated "$MAX_SECONDS" > "$WORK/$SRC.report" || status=$?
	EXPECTED_MS=$(head -n 1 "$WORK/$SRC.report")
	if [ "$status" != 0 ]; then
		kill -9 "$(cat "$WORK/$DST.pid")" 2> /dev/null
		return 1
	fi
	HERE=$DST
	sleep 1
	qmp "$WORK/$SRC.qmp" '{"execute":"quit"}' > /dev/null
}
