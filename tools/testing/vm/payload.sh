# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What goes into test machines beside the kernel. Sourced.

# The arguments of run that take along all programs for users and guests.
payload_args()
{
	local f

	PAYLOAD=()
	for f in "$BUILD"/user/kvmxctl "$BUILD"/user/kvmx-vmm "$BUILD"/user/guest/* \
		"$BUILD"/user/e2e/* "$TOP"/tools/testing/e2e; do
		case $f in */initrd.img) continue ;; esac # -g takes that
		[ ! -e "$f" ] || PAYLOAD+=(-f "$f")
	done
	[ ! -e "$BUILD/user/guest/initrd.img" ] || PAYLOAD+=(-g)
}

# prepare KERNEL: everything a machine with that kernel needs.
prepare()
{
	"$VM_DIR/setup.sh" "$1"
	make --no-print-directory -C "$TOP/tools" O="$BUILD/user"
	"$VM_DIR/ko.sh" "$1"
}
