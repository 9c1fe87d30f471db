#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# initrd.sh PROGRAM MODULES RELEASE IMAGE: pack a test guest's initrd: PROGRAM as PID 1, busybox
# for a shell, and from MODULES (/lib/modules/RELEASE of some root) what virtio devices need.

set -eu

program=$1
modules=$(readlink -f "$2")
release=$3
image=$4
root=$image.root

rm -rf "$root"
for dir in bin sbin usr/bin usr/sbin dev proc sys modules; do
	mkdir -p "$root/$dir"
done
cp "$program" "$root/init"
cp /bin/busybox "$root/bin/busybox"

/sbin/modprobe -d "${modules%/lib/modules/*}" -S "$release" -a --show-depends \
	virtio_mmio virtio_pci virtio_blk virtio_console > "$image.depends"
awk '$1 == "insmod" && !seen[$2]++ { print $2 }' "$image.depends" | while read -r path; do
	name=$(basename "$path" .xz)
	case $path in
	*.xz) xz -dc "$path" > "$root/modules/$name" ;;
	*) cp "$path" "$root/modules/$name" ;;
	esac
	strip --strip-debug "$root/modules/$name"
	echo "$name" >> "$root/modules/list"
done

(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) > "$image.tmp"
mv "$image.tmp" "$image"
rm -rf "$root" "$image.depends"
