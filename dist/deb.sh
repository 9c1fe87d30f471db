#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes Debian packages: deb.sh DIRECTORY. They are built from a copy of the tree, because
# dpkg-buildpackage leaves its files beside and in the sources.

set -euo pipefail
out=$1
top=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 1p "$top/VERSION")
work=$out/kvmx-$version

# The flags of a make that called us are not for the makes that are called from here.
unset MAKEFLAGS MAKELEVEL MFLAGS

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

command -v dpkg-buildpackage > /dev/null || die "no dpkg-buildpackage: apt-get install dpkg-dev"
[ "$(sed -nE '1s/.*\((.*)\).*/\1/p' "$top/debian/changelog")" = "$version" ] ||
	die "debian/changelog is not about version $version"
(cd "$top" && dpkg-checkbuilddeps) ||
	die "apt-get build-dep $top gets what is missing"

rm -rf "$out"
mkdir -p "$work"
tar -C "$top" --exclude=./build --exclude=./.git --exclude='*.o' --exclude='*.ko' \
	--exclude='*.mod' --exclude='*.mod.c' --exclude='.*.cmd' -cf - . | tar -C "$work" -xf -
(cd "$work" && dpkg-buildpackage --no-sign "${@:2}") || die "dpkg-buildpackage failed"
rm -rf "$work"
ls "$out"
