# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034,SC2154 # variables are for the scripts and from lib.sh
#
# Guests that have devices of the host, and drive them with their own drivers. Sourced after lib.sh.

MEMORY=192M

# find_device VENDOR:DEVICE
find_device()
{
	local dir

	for dir in /sys/bus/pci/devices/*; do
		if [ "$(cat "$dir/vendor"):$(cat "$dir/device")" = "$1" ]; then
			basename "$dir"
			return
		fi
	done
	return 1
}

# The guest's drivers: what this machine has loaded for itself, but for what guests have no use for.
guest_initrd()
{
	local root=$WORK/root name

	mkdir -p "$root/pass"
	while read -r name; do
		case $name in
		kvm* | ccp* | irqbypass* | vfio* | 9p* | netfs* | fscache*) continue ;;
		esac
		cp "/lib/modules/$name" "$root/pass/" || return
		echo "$name" >> "$root/pass/list"
	done < /vm/modules
	cat > "$root/pass/init" <<-'EOT'
		#!/bin/busybox sh
		/bin/busybox --install -s
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs devtmpfs /dev
		mkdir -p /mnt /tmp
		while read -r name; do
			case $name in e1000e*) words=IntMode=0 ;; *) words= ;; esac
			insmod "/pass/$name" $words 2> /dev/null
		done < /pass/list
		# An echo of what is typed must not get between.
		exec setsid cttyhack sh -c 'stty -echo; echo "GUEST READY"
			while read -r id line; do
				eval "$line"; echo "DONE $id $?"; done'
	EOT
	chmod 755 "$root/pass/init"
	(cd "$root" && find . | cpio -o -H newc 2> /dev/null) > "$WORK/extra"
	cat /guest/initrd "$WORK/extra" > "$WORK/initrd"
}

NR_COMMANDS=0

# in_guest SECONDS COMMAND: run it there; its status.
in_guest()
{
	NR_COMMANDS=$((NR_COMMANDS + 1))
	type_line "c$NR_COMMANDS $2"
	wait_for "$1" has_lines "^DONE c$NR_COMMANDS " 1 || {
		diag "no answer: $2"
		return 1
	}
	tr -d '\r' < "$WORK/console" | grep -qx "DONE c$NR_COMMANDS 0" && return
	diag "failed in the guest: $2"
	tail -n 3 "$WORK/console" | tr -d '\r' | sed 's/^/#   /'
	return 1
}

# qemu_begins BDF...: this machine's own QEMU, which knows nothing of kvmx, with these devices. To
# those who give orders to guests it is a VMM like others.
qemu_begins()
{
	local base=$WORK/qemu bdf devices=

	for bdf; do
		devices="$devices -device vfio-pci,host=$bdf"
	done
	rm -rf "$base".* /hostroot/tmp/pass
	mkdir /hostroot/tmp/pass || return
	cp /guest/vmlinuz "$WORK/initrd" /hostroot/tmp/pass/ && mkfifo "$base.in" || return
	(
		# shellcheck disable=SC2086 # words on purpose
		chroot /hostroot taskset 2 qemu-system-x86_64 -accel kvm -m "$MEMORY" \
			-nodefaults -display none -serial stdio -kernel /tmp/pass/vmlinuz \
			-initrd /tmp/pass/initrd $devices \
			-append "$GUEST_WORDS rdinit=/pass/init loglevel=4" \
			<> "$base.in" >> "$WORK/console" 2> "$base.err" &
		echo $! > "$base.pid"
		wait $!
		echo $? > "$base.status"
	) &
	HERE=qemu
	wait_for 5 [ -s "$base.pid" ]
}

# qemu_boots BDF...
qemu_boots()
{
	more_of 120 "^GUEST READY" qemu_begins "$@"
}

qemu_ends()
{
	kill "$(cat "$WORK/qemu.pid")" && wait_for 20 gone qemu
}
