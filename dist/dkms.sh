#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Prints dkms.conf: dkms.sh VERSION_FILE, whose first line is the version and whose second one
# says "kernels FIRST - LAST".

set -eu

# An expression that matches the releases of all kernels from the first to the last one. Not
# DKMS's own minimum and maximum: old ones do not know them, and 7.3.4 is more than 7.3 to new ones.
releases()
{
	awk '
	function at_least(minor) {
		return minor ? "([" minor "-9]|[1-9][0-9]+)" : "[0-9]+"
	}
	function at_most(minor,  i, list) {
		for (i = 0; i < minor; i++)
			list = list i "|"
		return "(" list minor ")"
	}
	$1 == "kernels" {
		split($2, from, ".")
		split($4, to, ".")
		if (from[1] >= to[1] || from[2] > 9)
			exit 1
		all = from[1] "\\." at_least(from[2])
		for (major = from[1] + 1; major < to[1]; major++)
			all = all "|" major "\\.[0-9]+"
		print "^(" all "|" to[1] "\\." at_most(to[2]) ")([^0-9]|$)"
	}' "$1"
}

version=$(sed -n 1p "$1")
expression=$(releases "$1")

cat <<EOT
# SPDX-License-Identifier: GPL-2.0
PACKAGE_NAME="kvmx"
PACKAGE_VERSION="$version"
AUTOINSTALL="yes"
BUILT_MODULE_NAME[0]="kvmx"
DEST_MODULE_LOCATION[0]="/updates/dkms"
# As Kbuild has it: only where the kernel has what the driver for PCI devices builds on.
if grep -qs '^CONFIG_VFIO_PCI_CORE=[ym]' "\$kernel_source_dir/.config" \\
	"\$kernel_source_dir/include/config/auto.conf"; then
	BUILT_MODULE_NAME[1]="kvmx_vfio_pci"
	DEST_MODULE_LOCATION[1]="/updates/dkms"
fi
BUILD_EXCLUSIVE_ARCH="^x86_64$"
BUILD_EXCLUSIVE_CONFIG="CONFIG_KVM"
BUILD_EXCLUSIVE_KERNEL="$expression"
EOT
