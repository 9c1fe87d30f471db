#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Signs modules: sign.sh KERNEL_BUILD_DIRECTORY KEY CERTIFICATE MODULE... The key is in PEM, the
# certificate in DER or PEM, as kmodsign, DKMS and the kernel's own build have them.

set -euo pipefail
kdir=$1 key=$2 cert=$3
shift 3

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

if [ -z "$key" ] || [ -z "$cert" ]; then
	die "which key? make sign KEY=... CERT=..., see Documentation/secure-boot.rst"
fi
for file in "$key" "$cert"; do
	[ -r "$file" ] || die "cannot read $file"
done
[ -x "$kdir/scripts/sign-file" ] || die "$kdir has no scripts/sign-file: install kernel headers"
for module; do
	[ -e "$module" ] || die "there is no $module: make modules first"
	"$kdir/scripts/sign-file" sha256 "$key" "$cert" "$module" ||
		die "$module could not be signed"
	echo "  SIGN    $module"
done
