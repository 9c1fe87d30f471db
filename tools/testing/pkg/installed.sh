#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Inside a test machine: a root in which the packages are installed works. installed.sh VERSION.
# Ends at the first thing that does not.

set -eux
version=$1
root=/installed
rights=$root/run/rights

# inside COMMAND...
inside()
{
	chroot "$root" /usr/bin/env -i LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

mkdir "$root"
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 installed "$root"
for dir in /dev /proc /sys; do
	mount --bind "$dir" "$root$dir"
done
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"

inside /lib/systemd/systemd-udevd --daemon
inside modprobe kvmx
inside modprobe kvmx_vfio_pci
case $(inside modinfo -n kvmx) in
*/updates/dkms/kvmx.ko*) ;;
*) exit 1 ;;
esac
inside udevadm settle --timeout=20
[ "$(inside stat -c %U:%G:%a /dev/kvmx)" = root:kvm:660 ]

[ "$(inside kvmxctl -V)" = "kvmxctl $version" ]
inside kvmxctl feature
inside kvmxctl -j vm list
inside kvmx-vmm --help > /dev/null

# Who is of the group may, who is not is told what to do.
inside setpriv --reuid nobody --regid nogroup --groups kvm kvmxctl feature > /dev/null
if inside setpriv --reuid nobody --regid nogroup --clear-groups kvmxctl feature 2> "$rights"; then
	exit 1
fi
grep -q "run it as root, or as a user that may open /dev/kvmx" "$rights"

inside modprobe -r kvmx_vfio_pci
inside modprobe -r kvmx
[ ! -e /sys/module/kvmx ]
