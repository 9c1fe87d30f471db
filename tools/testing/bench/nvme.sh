#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# What a guest in an unmodified QEMU reads from an nvme disk of the host in a second, by
# kvmx_vfio_pci and by vfio-pci: nvme.sh JSON. In turns, as hosts have better times and worse.

# shellcheck shell=dash disable=SC1091,SC2154 # both libraries are of e2e
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib-pass.sh"

READS=7
MIB=48
NVME=

# bind DRIVER
bind()
{
	local dev=/sys/bus/pci/devices/$NVME

	[ ! -e "$dev/driver" ] || echo "$NVME" > "$dev/driver/unbind"
	echo "$1" > "$dev/driver_override" && echo "$NVME" > /sys/bus/pci/drivers_probe &&
		[ "$(basename "$(readlink "$dev/driver")")" = "$1" ]
}

# The first one of a guest is slower.
reads()
{
	local dd="dd if=/dev/nvme0n1 of=/dev/null bs=256k count=$((MIB * 4)) iflag=direct"

	in_guest 40 'until [ -b /dev/nvme0n1 ]; do sleep 1; done' &&
		in_guest 200 "for i in \$(seq $((READS + 1))); do time -f 'READ %e' $dd; done"
}

# by DRIVER: adds the seconds of each read to $WORK/DRIVER.
by()
{
	bind "$1" || give_up "no $1"
	qemu_boots "$NVME" || give_up "the guest does not boot"
	reads || give_up "the guest cannot read"
	tr -d '\r' < "$WORK/console" | grep "^READ " | tail -n "$READS" | cut -d " " -f 2 \
		>> "$WORK/$1"
	qemu_ends || give_up "QEMU does not end"
}

# rate DRIVER: the median, in MB/s
rate()
{
	sort -n "$WORK/$1" | awk -v bytes=$((MIB * 1048576)) '
		{ s[NR] = $1 }
		END {
			median = (s[int((NR + 1) / 2)] + s[int(NR / 2) + 1]) / 2
			printf "%.2f", bytes / 1e6 / median
		}'
}

plan 0
NVME=$(find_device 0x1b36:0x0010) || give_up "no disk"
guest_initrd || give_up "no initrd"
for driver in kvmx_vfio_pci vfio-pci vfio-pci kvmx_vfio_pci; do
	by "$driver"
done
awk -v ours="$(rate kvmx_vfio_pci)" -v rival="$(rate vfio-pci)" 'BEGIN {
	figure = ours / rival
	ok = figure < 0.98 ? "false" : "true"
	printf "[ { \"what\": \"a guest reads an nvme disk\", \"against\": \"vfio-pci\","
	printf " \"unit\": \"MB/s\", \"ours\": %s, \"rival\": %s,", ours, rival
	printf " \"figure\": %.3f, \"figure_unit\": \"x\", \"bound\": \">=\",", figure
	printf " \"need\": 0.98, \"ok\": %s, \"known\": false } ]\n", ok
}' > "$1"
cat "$1"
kill_all
