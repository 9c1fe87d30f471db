# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What all scripts of the test bed share. Sourced, never run.

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(cd "$VM_DIR/../../.." && pwd)
BUILD=$TOP/build
KERNELS=$BUILD/kernels
export VM_DIR TOP BUILD KERNELS

# The flags of a make that called us are not for the makes we call.
unset MAKEFLAGS MAKELEVEL MFLAGS

# Not installed: ldd has to find our library where it was built.
export LD_LIBRARY_PATH=$BUILD/user

say()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	say "$*"
	exit 1
}

as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo > /dev/null; then
		sudo "$@"
	else
		die "root is needed once for: $*"
	fi
}

# Lists are read by people too: strip comments and empty lines.
read_list()
{
	sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1"
}

# Those that are tested unless one is asked for by name: none of the kernels built here.
kernel_names()
{
	read_list "$VM_DIR/kernels.list" | awk '!$4 { print $1 }'
}

# kernel_field NAME COLUMN
kernel_field()
{
	read_list "$VM_DIR/kernels.list" | awk -v k="$1" -v c="$2" '$1 == k { print $c }'
}

# Whether it is one that is built here, with the kernel's checkers on: right but slow.
kernel_checks()
{
	[ -n "$(kernel_field "$1" 4)" ]
}

# How many times longer than elsewhere things may take on a kernel.
kernel_scale()
{
	if kernel_checks "$1"; then
		echo 5
	else
		echo 1
	fi
}

kernel_known()
{
	[ -n "$(kernel_field "$1" 1)" ]
}

# Run a command inside a root of another release. objtool reads /proc, hence the
# namespaces; without root rights a user namespace lets us chroot, if the kernel does.
in_root()
{
	local root=$1 user=()

	shift
	[ "$(id -u)" = 0 ] || user=(--map-root-user)
	unshare "${user[@]}" --mount --pid --fork --kill-child --mount-proc="$root/proc" \
		chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
