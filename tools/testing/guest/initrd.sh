#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# initrd.sh IMAGE PROGRAM [KERNEL]...: pack a test guest's initrd: PROGRAM as PID 1, busybox for a
# shell, and what virtio devices need of each KERNEL, a directory that 'make setup' made.

set -eu

image=$1
program=$2
shift 2
root=$image.root

# take_modules KERNEL: PID 1 looks for its kernel's under the kernel's release.
take_modules()
{
	release=$(cat "$1/release")
	from=$(readlink -f "$1/modules")
	to=$root/modules/$release

	mkdir -p "$to"
	/sbin/modprobe -d "${from%/lib/modules/*}" -S "$release" -a --show-depends \
		virtio_pci virtio_blk virtio_console > "$image.depends"
	# 'builtin NAME' lines need no loading.
	awk '$1 == "insmod" && !seen[$2]++ { print $2 }' "$image.depends" | while read -r path; do
		name=$(basename "$path" .xz)
		case $path in
		*.xz) xz -dc "$path" > "$to/$name" ;;
		*) cp "$path" "$to/$name" ;;
		esac
		strip --strip-debug "$to/$name"
		echo "$name" >> "$to/list"
	done
}

rm -rf "$root"
for dir in bin sbin usr/bin usr/sbin dev proc sys modules; do
	mkdir -p "$root/$dir"
done
cp "$program" "$root/init"
cp /bin/busybox "$root/bin/busybox"
for kernel; do
	take_modules "$kernel"
done
(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) > "$image.tmp"
mv "$image.tmp" "$image"
rm -rf "$root" "$image.depends"
