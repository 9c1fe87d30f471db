#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes this machine ready to build kvmx and to run its tests: packages, host
# kernels with their headers, test headers and style checker of the kernel.
# Does only what is missing. setup.sh [KERNEL]... limits it to those kernels.

set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$VM_DIR/apt.sh"
. "$VM_DIR/debug.sh"

# Bump when what is unpacked below changes, so that old caches are redone.
CACHE_VERSION=1

# The one kernel source whose test headers and scripts are used for all.
SOURCE_SUITE=bookworm-backports

done_before()
{
	[ "$(cat "$1/.done" 2> /dev/null)" = "$CACHE_VERSION" ]
}

mark_done()
{
	echo "$CACHE_VERSION" > "$1/.done"
}

setup_packages()
{
	local wanted missing

	mapfile -t wanted < <(read_list "$VM_DIR/packages.list")
	mapfile -t missing < <(comm -23 <(printf '%s\n' "${wanted[@]}" | sort) \
		<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2> /dev/null |
			sed -n 's/^installed //p' | sort))
	if [ ${#missing[@]} -eq 0 ]; then
		say "packages: all ${#wanted[@]} there"
		return
	fi
	say "packages: installing ${missing[*]}"
	apt_try as_root apt-get -qq update
	apt_try as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq install -y --no-install-recommends -o Dpkg::Use-Pty=0 \
		"${missing[@]}" < /dev/null > "$BUILD/apt-install.log" ||
		die "packages: failed, see build/apt-install.log"
}

# Headers refer to /usr/src by absolute path; these copies live elsewhere.
fix_headers()
{
	local root=$1 headers=$2

	sed -i "s|^include /usr/src/|include $root/usr/src/|" "$headers/Makefile"
}

setup_root()
{
	local suite=$1 root=$BUILD/$1

	if done_before "$root"; then
		return
	fi
	say "$suite root: making it"
	as_root rm -rf "$root"
	apt_try as_root debootstrap --variant=minbase --include=gcc-14,make,bc,libelf1t64,pahole \
		"$suite" "$root" "$(apt_mirror)" > "$BUILD/debootstrap-$suite.log" 2>&1 ||
		die "$suite root: failed, see build/debootstrap-$suite.log"
	as_root chown -R "$(id -u):$(id -g)" "$root"
	as_root rm -rf "$root/var/cache/apt/archives"
	mark_done "$root"
}

setup_kernel()
{
	local k=$1 suite root_suite dir release image base
	local -a image_pkgs header_pkgs

	suite=$(kernel_field "$k" 2)
	root_suite=$(kernel_field "$k" 3)
	dir=$KERNELS/$k
	[ "$root_suite" = - ] || setup_root "$root_suite"
	if done_before "$dir"; then
		say "kernel $k: $(cat "$dir/release") there"
		return
	fi

	say "kernel $k: fetching from $suite"
	apt_open "$suite" || die "kernel $k: cannot read $suite's package list"
	image=$(apt_newest "linux-image-${k//./\\.}[.+][^-]*(-[0-9]+)?-amd64")
	if [ -z "$image" ]; then
		image=$(apt-cache depends --no-recommends linux-image-amd64 |
			sed -nE 's/^ *Depends: (linux-image-[0-9].*)/\1/p' | head -n 1)
		[ -n "$image" ] || die "kernel $k: $suite has no kernel image"
		say "kernel $k: $suite has none, taking $image"
	fi
	release=${image#linux-image-}

	mapfile -t image_pkgs < <(apt_kernel_closure "$image" |
		grep -E -- '-(image|binary|modules|base)-')
	mapfile -t header_pkgs < <(apt_kernel_closure "linux-headers-$release" |
		grep -E -- '-(base|headers|kbuild|compiler-gcc[^ ]*)-')

	rm -rf "$dir"
	mkdir -p "$dir"
	say "kernel $k: ${image_pkgs[*]} ${header_pkgs[*]}"
	apt_unpack "$dir/root" "${image_pkgs[@]}" || die "kernel $k: no image"
	if [ "$root_suite" = - ]; then
		apt_unpack "$dir/root" "${header_pkgs[@]}" || die "kernel $k: no headers"
		fix_headers "$dir/root" "$dir/root/usr/src/linux-headers-$release"
		ln -sfn "root/usr/src/linux-headers-$release" "$dir/headers"
	else
		apt_unpack "$BUILD/$root_suite" "${header_pkgs[@]}" || die "kernel $k: no headers"
	fi
	apt_close

	ln -sfn "$(cd "$dir" && find_first root -name "vmlinuz*")" "$dir/vmlinuz"
	ln -sfn "$(cd "$dir" && find_first root -type d -path "*/modules/$release")" "$dir/modules"
	[ -e "$dir/vmlinuz" ] || die "kernel $k: packages without a kernel"
	[ -d "$dir/modules/kernel" ] || die "kernel $k: packages without modules"
	# depmod writes beside the modules: the lists packages ship are made on installation.
	base=$(readlink -f "$dir/modules")
	/sbin/depmod -b "${base%/lib/modules/*}" "$release"
	echo "$release" > "$dir/release"
	mark_done "$dir"
	say "kernel $k: $release ready"
}

find_first()
{
	find "$@" -print | sort | head -n 1
}

# Test headers, style checker and spelling list come from one kernel's source package.
setup_source()
{
	local dir=$BUILD/linux-source tmp=$BUILD/apt/source pkg
	local wanted=(
		scripts/checkpatch.pl scripts/spelling.txt scripts/const_structs.checkpatch
		scripts/kernel-doc
		tools/testing/selftests/kselftest.h tools/testing/selftests/kselftest_harness.h
	)

	if done_before "$dir"; then
		say "kernel source: there"
		return
	fi
	say "kernel source: fetching test headers and scripts from $SOURCE_SUITE"
	apt_open "$SOURCE_SUITE" || die "kernel source: cannot read $SOURCE_SUITE's package list"
	pkg=$(apt_newest 'linux-source-[0-9.]+')
	rm -rf "$tmp" "$dir"
	apt_unpack "$tmp" "$pkg" || die "kernel source: no $pkg"
	apt_close
	mkdir -p "$dir"
	tar -C "$dir" --strip-components=1 --wildcards "${wanted[@]/#/*/}" \
		-xf "$(find_first "$tmp" -name 'linux-source-*.tar.*')"
	rm -rf "$tmp"
	mkdir -p "$BUILD/include"
	cp "$dir"/tools/testing/selftests/kselftest*.h "$BUILD/include/"
	mark_done "$dir"
}

main()
{
	local -a names=("$@")
	local k

	mkdir -p "$KERNELS"
	exec 9> "$BUILD/setup.lock"
	flock 9
	[ ${#names[@]} -gt 0 ] || mapfile -t names < <(kernel_names)
	setup_packages
	for k in "${names[@]}"; do
		kernel_known "$k" || die "no kernel '$k' in kernels.list"
		if kernel_checks "$k"; then
			build_kernel "$k"
		else
			setup_kernel "$k"
		fi
	done
	setup_source
	say "ready"
}

main "$@"
