# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Builds a host kernel from a source package. Sourced by setup.sh.

# Bump when what is below changes the result.
BUILD_VERSION=1

# build_key PACKAGE CONFIG: changes when the kernel has to be built anew.
build_key()
{
	local version

	version=$(apt-cache show --no-all-versions "$1" | sed -n 's/^Version: //p')
	[ -n "$version" ] || return 1
	echo "$BUILD_VERSION $version $(gcc -dumpfullversion) $(sha256sum < "$2" | cut -c 1-16)"
}

# The sources, but for what is large and never needed here.
build_unpack()
{
	local pkg=$1 src=$2 tmp=$BUILD/apt/source

	rm -rf "$tmp"
	apt_unpack "$tmp" "$pkg" || return 1
	mkdir -p "$src"
	tar -C "$src" --strip-components=1 -xf "$tmp/usr/src/$pkg.tar.xz" \
		--exclude='*/Documentation/*/*' --exclude='*/drivers/gpu/drm/amd/include/*' \
		--exclude='*/tools/testing/*' || return 1
	rm -rf "$tmp"
}

# Kconfig drops in silence what it cannot have: a checker that is off finds nothing.
build_config()
{
	local src=$1 config=$2 line ok=1

	make -s -C "$src" KCONFIG_ALLCONFIG="$config" allnoconfig || return 1
	while read -r line; do
		grep -qxF -- "$line" "$src/.config" && continue
		say "$(basename "$config"): not taken: $line"
		ok=
	done < <(grep -E '^CONFIG_' "$config")
	# What cannot be chosen is off without saying so.
	while read -r line; do
		grep -q "^$line=" "$src/.config" || continue
		say "$(basename "$config"): not off: $line"
		ok=
	done < <(sed -nE 's/^# (CONFIG_[A-Z0-9_]+) is not set$/\1/p' "$config")
	[ -n "$ok" ]
}

# What modules are built against and a machine boots stays, the rest goes.
build_trim()
{
	find "$1" -type f \( -name '*.[cSo]' -o -name '*.cmd' -o -name '*.a' \) \
		! -path "$1/scripts/*" ! -path "$1/tools/objtool/*" -delete
	find "$1" -type d -empty -delete
}

build_all()
{
	local pkg=$1 config=$2 dir=$3 src=$3/src

	build_unpack "$pkg" "$src" || return 1
	build_config "$src" "$config" || return 1
	make -s -C "$src" -j"$(nproc)" bzImage modules || return 1
	make -s -C "$src" INSTALL_MOD_PATH="$dir/root" modules_install || return 1
	build_trim "$src"
}

# build_kernel NAME: from the source package it is listed with, unless that is done.
build_kernel()
{
	local k=$1 suite pkg config key dir=$KERNELS/$1 log=$BUILD/kernel-$1.log release

	suite=$(kernel_field "$k" 2)
	pkg=$(kernel_field "$k" 4)
	config=$VM_DIR/$(kernel_field "$k" 5)
	if ! apt_open "$suite" || ! key=$(build_key "$pkg" "$config"); then
		apt_close
		[ -e "$dir/.done" ] || die "kernel $k: $suite has no $pkg"
		say "kernel $k: cannot tell the newest $pkg, keeping what is there"
		return
	fi
	if [ "$(cat "$dir/.done" 2> /dev/null)" = "$key" ]; then
		apt_close
		say "kernel $k: $(cat "$dir/release") there"
		return
	fi

	say "kernel $k: building $pkg (takes about ten minutes on two processors)"
	rm -rf "$dir"
	mkdir -p "$dir"
	if ! build_all "$pkg" "$config" "$dir" > "$log" 2>&1; then
		apt_close
		tail -n 20 "$log" >&2
		die "kernel $k: failed, see $log"
	fi
	apt_close
	release=$(cat "$dir/src/include/config/kernel.release")
	ln -sfn src "$dir/headers"
	ln -sfn src/arch/x86/boot/bzImage "$dir/vmlinuz"
	ln -sfn "root/lib/modules/$release" "$dir/modules"
	echo "$release" > "$dir/release"
	echo "$key" > "$dir/.done"
	say "kernel $k: $release ready"
}
