#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Builds the modules for one host kernel from a copy of their sources, so that
# kernels don't overwrite each other's objects: ko.sh KERNEL [MAKE_ARG]...
# The result is build/ko/KERNEL/*.ko, or build/$KO_DIR/KERNEL/*.ko if that is set.

set -euo pipefail
. "$(dirname "$0")/lib.sh"

SOURCES=(Kbuild kvmx ksm vfio include)

# Copy what changed and drop what is gone: a stale source would be built.
sync_sources()
{
	local dest=$1 s f

	mkdir -p "$dest"
	for s in "${SOURCES[@]}"; do
		[ -e "$TOP/$s" ] || continue
		if [ -d "$TOP/$s" ]; then
			(cd "$TOP" && find "$s" -name '*.[ch]') | while read -r f; do
				mkdir -p "$dest/${f%/*}"
				cmp -s "$TOP/$f" "$dest/$f" || cp "$TOP/$f" "$dest/$f"
			done
		else
			cmp -s "$TOP/$s" "$dest/$s" || cp "$TOP/$s" "$dest/$s"
		fi
	done
	(cd "$dest" && find . -name '*.[ch]' ! -name '*.mod.c') | while read -r f; do
		[ -e "$TOP/$f" ] || rm "$dest/$f"
	done
}

build_here()
{
	local k=$1 dest=$2

	shift 2
	make --no-print-directory -C "$KERNELS/$k/headers" M="$dest" "$@" modules
}

build_in_root()
{
	local k=$1 root=$2 name=$3

	shift 3
	in_root "$root" make --no-print-directory \
		-C "/usr/src/linux-headers-$(cat "$KERNELS/$k/release")" M="/$name" "$@" modules
}

main()
{
	local k=$1 name=${KO_DIR:-ko}/$1 out root_suite work

	shift
	kernel_known "$k" || die "no kernel '$k' in kernels.list"
	[ -e "$KERNELS/$k/release" ] || die "kernel $k is missing: run 'make setup'"
	root_suite=$(kernel_field "$k" 3)

	out=$BUILD/$name
	mkdir -p "$out"
	exec 9> "$out/.lock"
	flock 9
	# A failed build must not leave an old module behind to be tested.
	rm -f "$out"/*.ko
	if [ "$root_suite" = - ]; then
		sync_sources "$out"
		build_here "$k" "$out" -j"$(nproc)" "$@"
	else
		work=$BUILD/$root_suite/$name
		# Asking for another build than the usual one means all of it.
		[ -z "${KO_DIR:-}" ] || rm -rf "$work"
		rm -f "$work"/*.ko
		sync_sources "$work"
		build_in_root "$k" "$BUILD/$root_suite" "$name" -j"$(nproc)" "$@"
		cp "$work"/*.ko "$out/"
	fi
	[ -e "$out/kvmx.ko" ] || die "kernel $k: the build made no kvmx.ko"
}

[ $# -ge 1 ] || die "usage: ko.sh KERNEL [MAKE_ARG]..."
main "$@"
