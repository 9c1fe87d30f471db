#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The Debian packages: that they build, please lintian, install with dpkg where there is nothing
# but what they depend on, that DKMS makes modules of them which load in a test machine, and that
# nothing is left when they go. packages.sh KERNEL...; KTAP.

set -uo pipefail
# shellcheck source=../vm/lib.sh
. "$(dirname "$0")/../vm/lib.sh"
# shellcheck source=../vm/apt.sh
. "$VM_DIR/apt.sh"
# shellcheck source=roots.sh
. "$TOP/tools/testing/pkg/roots.sh"

DEBS=$PKG/debs
LOGS=$PKG/log
VERSION=$(sed -n 1p "$TOP/VERSION")
NR=0
FAILED=0

diag()
{
	sed 's/^/#   /'
}

# expect WHAT COMMAND...: with its output shown if it fails.
expect()
{
	local what=$1 log

	shift
	NR=$((NR + 1))
	log=$LOGS/$NR.log
	if "$@" > "$log" 2>&1; then
		echo "ok $NR $what"
	else
		tail -n 30 "$log" | diag
		echo "not ok $NR $what"
		FAILED=$((FAILED + 1))
		return 1
	fi
}

give_up()
{
	echo "Bail out! $*"
	exit 1
}

# What DKMS is told about kernels.
matches()
{
	local expression

	expression=$("$TOP/dist/dkms.sh" "$TOP/VERSION" |
		sed -n 's/^BUILD_EXCLUSIVE_KERNEL="\(.*\)"$/\1/p')
	[[ $1 =~ $expression ]]
}

kernel_range()
{
	local release

	for release in 6.1.0-50-amd64 6.1 6.9.12 6.12.95+deb12-amd64 6.19-rc1 7.0.1 7.3.4; do
		matches "$release" || { echo "$release is not accepted"; return 1; }
	done
	for release in 5.10.0-30-amd64 6.0.1 7.4.0 7.30.1 16.1.0 8.0; do
		! matches "$release" || { echo "$release is accepted"; return 1; }
	done
}

build()
{
	rm -rf "$DEBS"
	mkdir -p "$DEBS"
	pkg_with "$TOOLS_ROOT" "$TOP" "/src/dist/deb.sh /out" &&
		cp "$TOOLS_ROOT"/out/*.deb "$DEBS/" && rm "$DEBS"/*-dbgsym_*
}

# Warnings and errors are counted, what is only "info" or "pedantic" too.
lintian_is_content()
{
	pkg_in "$TOOLS_ROOT" "cd /out && lintian --allow-root --display-info --pedantic \
		--fail-on error,warning,info,pedantic *.changes"
}

manuals()
{
	local page findings=0

	for page in "$TOP"/Documentation/man/*.[0-9]; do
		page=/src/Documentation/man/${page##*/}
		# Pages of others are not all installed.
		# shellcheck disable=SC2016 # for the inner shell
		pkg_with "$TOOLS_ROOT" "$TOP" "mandoc -Tlint $page |
			grep -v 'STYLE: referenced manual not found'
			man --warnings -E UTF-8 -l -Tutf8 -Z $page 2>&1 > /dev/null" > "$LOGS/page"
		cat "$LOGS/page"
		[ ! -s "$LOGS/page" ] || findings=1
	done
	return $findings
}

# What prefix and DESTDIR say, and nowhere else; and a program that is built by what is there.
make_install()
{
	cat > "$PKG/program.c" <<-EOT
		#include <kvmx/assign.h>
		#include <kvmx/kvmx.h>
		#include <kvmx/migrate.h>

		int main(void)
		{
			return kvmx_open() >= 0;
		}
	EOT
	as_root mkdir -p "$TOOLS_ROOT/tmp/program"
	as_root cp "$PKG/program.c" "$TOOLS_ROOT/tmp/program/"
	# shellcheck disable=SC2016 # for the inner shell
	pkg_with "$TOOLS_ROOT" "$TOP" '
		set -eu
		rm -rf /tmp/installed /opt/kvmx /tmp/objects
		make -s -C /src install-tools O=/tmp/objects DESTDIR=/tmp/installed prefix=/opt/kvmx
		cd /tmp/installed
		[ "$(ls)" = opt ] && [ "$(ls opt)" = kvmx ]
		for f in bin/kvmx-vmm sbin/kvmxctl lib/libkvmx.so lib/libkvmx.so.0 \
			lib/libkvmx.a include/linux/kvmx.h lib/udev/rules.d/60-kvmx.rules \
			share/man/man8/kvmxctl.8 share/man/man4/kvmx.4 \
			share/bash-completion/completions/kvmxctl; do
			[ -e "opt/kvmx/$f" ] || { echo "no $f"; exit 1; }
		done
		mv opt/kvmx /opt/kvmx
		export PKG_CONFIG_PATH=/opt/kvmx/lib/pkgconfig
		cd /tmp/program
		gcc -Wall -Werror -o program program.c $(pkg-config --cflags --libs libkvmx)
		LD_LIBRARY_PATH=/opt/kvmx/lib ./program
		rm program
		gcc -Wall -Werror -static -o program program.c \
			$(pkg-config --static --cflags --libs libkvmx)
		./program
		rm -r /opt/kvmx /tmp/installed /tmp/objects'
}

# Has DKMS build for all kernels that are there with their headers.
install()
{
	pkg_in "$HOST_ROOT" "rm -rf /debs"
	as_root cp -r "$DEBS" "$HOST_ROOT/debs"
	pkg_in "$HOST_ROOT" "dpkg --install /debs/*.deb || {
			cat /var/lib/dkms/kvmx/$VERSION/build/make.log
			exit 1
		}" &&
		[ "$(pkg_in "$HOST_ROOT" 'kvmxctl --version')" = "kvmxctl $VERSION" ]
}

dkms_has_built()
{
	local release

	release=$(cat "$KERNELS/$1/release")
	pkg_in "$HOST_ROOT" "dkms status kvmx/$VERSION -k $release | grep installed &&
		ls /lib/modules/$release/updates/dkms/kvmx.ko* \
			/lib/modules/$release/updates/dkms/kvmx_vfio_pci.ko* &&
		modinfo -k $release -F signer kvmx | grep 'DKMS module signing key'"
}

# What make sign does; and the signature is one of that file by that key.
signs()
{
	local release

	release=$(cat "$KERNELS/$1/release")
	pkg_with "$HOST_ROOT" "$TOP" "
		set -eu
		rm -rf /tmp/sign && mkdir /tmp/sign && cd /tmp/sign
		openssl req -new -x509 -newkey rsa:2048 -nodes -subj '/CN=kvmx modules/' \
			-addext extendedKeyUsage=codeSigning -outform DER \
			-keyout kvmx.key -out kvmx.der
		cp /lib/modules/$release/updates/dkms/kvmx.ko before.ko
		cp before.ko kvmx.ko
		! /src/dist/sign.sh /lib/modules/$release/build '' '' kvmx.ko || exit 1
		/src/dist/sign.sh /lib/modules/$release/build kvmx.key kvmx.der kvmx.ko
		[ \"\$(modinfo -F signer ./kvmx.ko)\" = 'kvmx modules' ]
		before=\$(stat -c %s before.ko)
		# Behind the signature are 12 bytes about it and 28 of a mark.
		length=\$((\$(stat -c %s kvmx.ko) - before - 40))
		tail -c +\$((before + 1)) kvmx.ko | head -c \$length > signature
		openssl x509 -inform DER -in kvmx.der -out kvmx.pem
		openssl smime -verify -binary -noverify -inform DER -in signature \
			-content before.ko -certfile kvmx.pem -out /dev/null
		rm -r /tmp/sign"
}

loads()
{
	local share=security_model=none,readonly=on,multidevs=remap

	"$VM_DIR/run" -k "$1" -n packages -N -t 120 -M 9pnet_virtio -M 9p -M vfio-pci-core \
		-Q -virtfs -Q "local,path=$HOST_ROOT,mount_tag=installed,$share" \
		-f "$TOP/tools/testing/pkg/installed.sh" \
		-- installed.sh "$VERSION"
}

# Objects, commands, options and addresses, out of the tool's own help.
completes()
{
	as_root tee "$HOST_ROOT/tmp/complete" > /dev/null <<-'EOT'
		. /usr/share/bash-completion/completions/kvmxctl
		# complete WANTED WORD...: the last word is being typed.
		complete_to()
		{
			local wanted=$1

			shift
			COMP_WORDS=(kvmxctl "$@")
			COMP_CWORD=$#
			COMP_LINE="kvmxctl $*"
			COMP_POINT=${#COMP_LINE}
			COMPREPLY=()
			_kvmxctl_complete kvmxctl "${*: -1}" "${COMP_WORDS[COMP_CWORD - 1]}"
			[ "${COMPREPLY[*]}" = "$wanted" ] && return
			echo "kvmxctl $*: '${COMPREPLY[*]}', not '$wanted'"
			exit 1
		}
		complete_to "dirty dev doctor" d
		complete_to "list show help" vm ""
		complete_to "predict" -j dirty pr
		complete_to "--fixed-ms --from" dirty predict 1 --f
		complete_to "--force" dev bind --fo
		complete_to "--json" --js
		complete_to "" nonsense ""
	EOT
	pkg_in "$HOST_ROOT" "bash /tmp/complete"
}

# Configuration that packages share, dpkg's own records and logs are no leftovers.
left_behind()
{
	pkg_in "$HOST_ROOT" "find / -xdev -name '*kvmx*' ! -path '/proc/*' ! -path '/debs*' \
		! -path '/src*' ! -path '/var/log/*'"
}

purge()
{
	pkg_in "$HOST_ROOT" "dpkg --purge $(pkg_names "$DEBS"/*.deb)" || return
	left_behind > "$LOGS/left" || return
	cat "$LOGS/left"
	[ ! -s "$LOGS/left" ]
}

[ $# -ge 1 ] || die "usage: packages.sh KERNEL..."
rm -rf "$LOGS"
mkdir -p "$LOGS"
exec 9> "$PKG/lock"
flock 9
echo "TAP version 13"
echo "1..$((9 + 2 * $#))"
expect "DKMS is told which kernels" kernel_range
(tools_root) || give_up "there is no root to build in"
expect "the packages build" build || give_up "no packages"
expect "lintian has nothing to say" lintian_is_content
expect "mandoc and man have nothing to say about the manual pages" manuals
expect "make install goes where it is told" make_install
(host_root "$DEBS"/*.deb) || give_up "there is no root to install in"
for k; do
	host_kernel "$k"
done
expect "dpkg installs them" install || give_up "they are not installed"
expect "bash completes kvmxctl's command lines" completes
for k; do
	expect "DKMS has built and signed modules for $k" dkms_has_built "$k"
	expect "they load in $k, with the tools and the udev rule" loads "$k"
done
expect "make sign signs" signs "$1"
expect "nothing is left when they go" purge
[ $FAILED = 0 ]
