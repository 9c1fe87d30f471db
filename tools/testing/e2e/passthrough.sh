#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# machine: -D -M nvme -M e1000e -M ext4
#
# A Linux guest has an nvme disk and an e1000e network card of the host and drives them with its
# own drivers: a file system and packets. Then it moves without them, and what they have written
# into its memory comes along. A guest in an unmodified QEMU gets them next.

# shellcheck shell=dash disable=SC2317,SC2034 # expect() and lib.sh use what is here
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-pass.sh"

# How much memory it takes to look at in the pause, and how fast, is no concern here.
VMM_ARGS="--allowed-ms 10000"
UUID=0e5f6a52-4a6e-4e6e-9c2f-b5a9d0c7a111
NVME=
NIC=

# ctl OPTION...: kvmxctl, its answer in $WORK/answer.
ctl()
{
	kvmxctl "$@" > "$WORK/answer" 2>&1
}

# status_is STATUS COMMAND...
status_is()
{
	local want=$1 status=0

	shift
	"$@" || status=$?
	[ "$status" = "$want" ] || {
		diag "$*: $status instead of $want: $(cat "$WORK/answer")"
		return 1
	}
}

driver_is()
{
	[ "$(basename "$(readlink "/sys/bus/pci/devices/$1/driver")")" = "$2" ]
}

lists()
{
	ctl -j dev list && grep -q "\"$NVME\"" "$WORK/answer" &&
		grep -q "\"$NIC\"" "$WORK/answer" && ctl dev show "$NVME" &&
		grep -q "nvme" "$WORK/answer"
}

# 6: somebody else uses it
host_keeps_what_it_uses()
{
	mke2fs /dev/nvme0n1 > /dev/null && mkdir -p /mnt && mount /dev/nvme0n1 /mnt &&
		status_is 6 ctl dev bind "$NVME" && grep -q "mounted on /mnt" "$WORK/answer" &&
		umount /mnt && ip link set "$1" up && status_is 6 ctl dev bind "$NVME" "$NIC" &&
		grep -q "$1 is up" "$WORK/answer" && driver_is "$NVME" nvme &&
		driver_is "$NIC" e1000e && ip link set "$1" down
}

binds_and_gives_back()
{
	ctl dev bind "$NVME" "$NIC" && driver_is "$NVME" kvmx_vfio_pci &&
		driver_is "$NIC" kvmx_vfio_pci && ctl dev unbind "$NVME" "$NIC" &&
		driver_is "$NVME" nvme && driver_is "$NIC" e1000e &&
		status_is 1 ctl dev unbind "$NVME" && ctl dev bind "$NVME" "$NIC"
}

# boots UUID [WORDS]
boots()
{
	start_vmm --kernel /guest/vmlinuz --initrd "$WORK/initrd" --uuid "$1" \
		--device "$NVME" --device "$NIC" \
		--append "$GUEST_WORDS rdinit=/pass/init loglevel=4 $2"
	HERE=$VMM
	more_of 90 "^GUEST READY" :
}

other_is_refused()
{
	start_vmm --kernel /guest/vmlinuz --device "$NVME" --uuid "${UUID%1}2"
	[ "$(status_of "$VMM")" = 125 ] && grep -q "leased for another VM" "$WORK/$VMM.err"
}

finds_disk()
{
	in_guest 40 'until [ -b /dev/nvme0n1 ]; do sleep 1; done'
}

interrupts()
{
	in_guest 10 "grep '$1' /proc/interrupts | grep -q '$2'"
}

reads_back()
{
	in_guest 60 'echo 3 > /proc/sys/vm/drop_caches; md5sum < /mnt/a | cmp - /tmp/sum'
}

files()
{
	in_guest 60 'mke2fs /dev/nvme0n1 > /dev/null; mount -o noatime /dev/nvme0n1 /mnt' &&
		in_guest 60 'dd if=/dev/urandom of=/mnt/a bs=1M count=8 2> /dev/null; sync' &&
		in_guest 60 'md5sum < /mnt/a > /tmp/sum; umount /mnt' &&
		in_guest 60 'mount -o noatime /dev/nvme0n1 /mnt' && reads_back
}

packets()
{
	in_guest 20 'ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0' &&
		in_guest 30 'until grep -q 1 /sys/class/net/eth0/carrier; do sleep 1; done' &&
		in_guest 40 'ping -c 20 -i 0.1 -s 1400 10.0.2.2 | grep "20 packets received"' &&
		in_guest 20 'dd if=/dev/urandom of=/tmp/out bs=1k count=256 2> /dev/null' &&
		in_guest 60 'timeout 40 nc 10.0.2.100 7 < /tmp/out | head -c 262144 > /tmp/in' &&
		in_guest 10 'cmp /tmp/out /tmp/in'
}

# Held for a moment again and again between what they do: they go on as if nothing had been.
held_and_let_go()
{
	local n=0 pid

	pid=$(cat "$WORK/$HERE.pid")
	while [ "$n" -lt 10 ]; do
		ctl dev quiesce "$pid" && ctl dev resume "$pid" || return
		in_guest 20 'dd if=/mnt/a of=/mnt/b bs=64k count=4 conv=fsync 2> /dev/null' ||
			return
		n=$((n + 1))
	done
	reads_back
}

# What is in its page cache came there by DMA.
cached()
{
	in_guest 30 'md5sum < /mnt/a | cmp - /tmp/sum'
}

unplugged()
{
	grep -q "as if unplugged" "$WORK/$HERE.err"
}

qemu_is_refused()
{
	qemu_begins "$NVME" "$NIC" && [ "$(status_of qemu)" = 1 ] &&
		grep -q "vfio.*$NVME" "$WORK/qemu.err" && driver_is "$NVME" kvmx_vfio_pci
}

given_back()
{
	ctl dev unbind "$NVME" "$NIC" && driver_is "$NVME" nvme && driver_is "$NIC" e1000e
}

plan 24
NVME=$(find_device 0x1b36:0x0010)
NIC=$(find_device 0x8086:0x10d3)
ln -sf /hostroot/usr/share/misc /usr/share/ 2> /dev/null
expect "kvmxctl lists the devices" lists
expect "it takes nothing from the host that is used" \
	host_keeps_what_it_uses "$(basename /sys/bus/pci/devices/"$NIC"/net/*)"
expect "it gives devices to VMs, and back" binds_and_gives_back
expect "and keeps them for one VM" ctl dev lease "$UUID" "$NVME" "$NIC"
expect "another VM does not get them" other_is_refused
guest_initrd || give_up "no initrd"
expect "a guest boots with both" boots "$UUID" || give_up "the guest does not boot"
expect "it finds the disk" finds_disk
expect "files on the disk are what was written" files
expect "the disk interrupts by MSI-X" interrupts nvme0q MSI
expect "packets come back" packets
expect "the network card, as told, interrupts by INTx" interrupts eth0 fasteoi
expect "held and let go again and again they go on" held_and_let_go
expect "the guest moves without them" move_or_retry
describe_move
memory_is_equal "moved"
expect "what the disk has put into its memory came along" cached
expect "where it is now it has no devices" unplugged
expect "a QEMU that nobody vouches for does not get what is leased" qemu_is_refused
expect "the devices can be released" ctl dev release "$UUID"
expect "then it gets them, and its guest boots" qemu_boots "$NVME" "$NIC" ||
	give_up "it does not boot"
expect "that guest finds the disk" finds_disk
expect "files on the disk are what it wrote" files
expect "packets come back to it" packets
expect "it ends" qemu_ends
expect "the devices can be given back" given_back
finish
