# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Debian roots that packages are built and installed in, under build/pkg. Sourced.

PKG=$BUILD/pkg
TOOLS_ROOT=$PKG/tools
HOST_ROOT=$PKG/host
PKG_SUITE=bookworm
# Beside what debian/control wants for a build.
TOOLS_PACKAGES=(build-essential lintian mandoc man-db bash-completion)
# What a host has and our packages do not depend on: udev, what DKMS makes a key with, and what
# kernel headers depend on.
HOST_PACKAGES=(udev openssl libelf1 libssl3 pahole)

# pkg_in ROOT COMMAND: run by sh in a root, as root, with nothing of this machine's environment.
pkg_in()
{
	as_root unshare --mount --pid --fork --kill-child --mount-proc="$1/proc" \
		chroot "$1" /usr/bin/env -i LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "$2"
}

# The same with DIRECTORY to be seen at /src: pkg_with ROOT DIRECTORY COMMAND
pkg_with()
{
	as_root mkdir -p "$1/src"
	# shellcheck disable=SC2016 # for the inner shell to expand
	as_root unshare --mount sh -c 'mount --bind "$1" "$2/src" && shift 2 && exec "$@"' sh \
		"$2" "$1" unshare --pid --fork --kill-child --mount-proc="$1/proc" \
		chroot "$1" /usr/bin/env -i LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "$3"
}

# root_is ROOT WORDS...: whether it was made for just that.
root_is()
{
	[ "$(cat "$1/.made-for" 2> /dev/null)" = "${*:2}" ]
}

root_done()
{
	echo "${*:2}" | as_root tee "$1/.made-for" > /dev/null
}

# What both begin with: the smallest Debian there is.
base_root()
{
	local root=$PKG/base

	root_is "$root" "$PKG_SUITE" && return
	say "packages: making a minimal $PKG_SUITE"
	as_root rm -rf "$root"
	apt_try as_root debootstrap --variant=minbase "$PKG_SUITE" "$root" "$(apt_mirror)" \
		> "$BUILD/debootstrap-pkg.log" 2>&1 ||
		die "packages: no root, see build/debootstrap-pkg.log"
	# Roots are copied, and built in later than their package lists are current.
	as_root cp /etc/resolv.conf "$root/etc/resolv.conf"
	# ... and get their packages as this machine does.
	{
		apt-config dump | grep -i '^Acquire::https\?::Proxy'
		[ -z "${http_proxy:-}" ] || echo "Acquire::http::Proxy \"$http_proxy\";"
	} | as_root tee "$root/etc/apt/apt.conf.d/90proxy" > /dev/null
	root_done "$root" "$PKG_SUITE"
}

# new_root ROOT
new_root()
{
	base_root
	as_root rm -rf "$1"
	as_root cp -a "$PKG/base" "$1"
	apt_try pkg_in "$1" "apt-get -qq update"
}

# The one to build in.
tools_root()
{
	local wants

	wants=$(sed -n '/^Build-Depends/,/^[A-Z]/p' "$TOP/debian/control" | cksum)
	root_is "$TOOLS_ROOT" "$wants" && return
	say "packages: making a root to build in"
	new_root "$TOOLS_ROOT"
	{
		apt_try pkg_in "$TOOLS_ROOT" "apt-get -q install -y --no-install-recommends \
			${TOOLS_PACKAGES[*]}" &&
			apt_try pkg_with "$TOOLS_ROOT" "$TOP" \
				"apt-get -q build-dep -y --no-install-recommends /src"
	} > "$BUILD/pkg-tools.log" 2>&1 || die "packages: failed, see build/pkg-tools.log"
	root_done "$TOOLS_ROOT" "$wants"
}

# The one to install in: with what the packages depend on, by their own account, and nothing else.
# host_root PACKAGE_FILE...
host_root()
{
	local wants deb

	wants="$(for deb; do
		dpkg-deb -f "$deb" Package Depends
	done | cksum) ${HOST_PACKAGES[*]}"
	root_is "$HOST_ROOT" "$wants" && return
	say "packages: making a root to install in"
	new_root "$HOST_ROOT"
	as_root mkdir "$HOST_ROOT/debs"
	as_root cp "$@" "$HOST_ROOT/debs/"
	{
		apt_try pkg_in "$HOST_ROOT" "apt-get -q install -y --no-install-recommends \
			${HOST_PACKAGES[*]} /debs/*.deb" &&
			pkg_in "$HOST_ROOT" "dpkg --purge $(pkg_names "$@")"
	} > "$BUILD/pkg-host.log" 2>&1 || die "packages: failed, see build/pkg-host.log"
	root_done "$HOST_ROOT" "$wants"
}

pkg_names()
{
	local deb

	for deb; do
		dpkg-deb -f "$deb" Package
	done | tr '\n' ' '
}

# A host kernel with its modules and headers, as its packages would have it.
host_kernel()
{
	local dir=$KERNELS/$1 lib=$HOST_ROOT/usr/lib release

	release=$(cat "$dir/release")
	[ ! -e "$HOST_ROOT/usr/src/linux-headers-$release/.done" ] || return 0
	as_root mkdir -p "$lib/modules"
	# Links save 400 MB, and depmod does not write into files but makes new ones.
	as_root cp -al "$dir/root/lib/modules/$release" "$lib/modules/" 2> /dev/null ||
		as_root cp -a "$dir/root/lib/modules/$release" "$lib/modules/"
	as_root cp -a "$dir"/root/usr/lib/linux-kbuild* "$lib/"
	as_root cp -a "$dir"/root/usr/src/linux-* "$HOST_ROOT/usr/src/"
	# setup.sh has made it refer to a place of this machine.
	as_root sed -i 's|^include .*/usr/src/|include /usr/src/|' \
		"$HOST_ROOT/usr/src/linux-headers-$release/Makefile"
	as_root touch "$HOST_ROOT/usr/src/linux-headers-$release/.done"
}
