# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Puts a test machine's root file system together. Sourced by run.

# Copy a program and the shared libraries it needs. All libraries go to one
# directory of the loader's default path, wherever this machine keeps them.
initrd_libs()
{
	local root=$1 file=$2 lib

	# Not dynamic (static, script, data): nothing to do.
	ldd "$file" > "$root.ldd" 2> /dev/null || return 0
	if grep -q 'not found' "$root.ldd"; then
		cat "$root.ldd" >&2
		die "$file: a shared library is missing"
	fi
	sed -nE 's/.* => (\/[^ ]+) .*/\1/p; s/^[[:space:]]*(\/[^ ]+ld-linux[^ ]*) .*/\1/p' \
		"$root.ldd" | while read -r lib; do
		case $lib in
		*/ld-linux*) cp -Lu "$lib" "$root/lib64/" ;;
		*) cp -Lu "$lib" "$root/lib/x86_64-linux-gnu/" ;;
		esac
	done
}

# initrd_file ROOT SRC[:DEST]
initrd_file()
{
	local root=$1 src=${2%%:*} dest f

	[ -e "$src" ] || die "no file '$src'"
	dest=/test/${src##*/}
	case $2 in *:*) dest=${2#*:} ;; esac
	mkdir -p "$root${dest%/*}"
	cp -RL "$src" "$root$dest"
	find "$src" -type f | while read -r f; do
		initrd_libs "$root" "$f"
	done
}

# Modules with what they depend on, in load order, each once.
initrd_modules()
{
	local root=$1 k=$2 release modules base path name

	shift 2
	release=$(cat "$KERNELS/$k/release")
	modules=$(readlink -f "$KERNELS/$k/modules")
	base=${modules%/lib/modules/*}
	/sbin/modprobe -d "$base" -S "$release" -a --show-depends "$@" > "$root.modprobe" ||
		die "kernel $k: no such module among: $*"
	: > "$root/vm/modules"
	# 'builtin NAME' lines need no loading.
	awk '$1 == "insmod" && !seen[$2]++ { print $2 }' "$root.modprobe" | while read -r path; do
		name=$(basename "$path" .xz)
		case $path in
		*.xz) xz -dc "$path" > "$root/lib/modules/$name" ;;
		*) cp "$path" "$root/lib/modules/$name" ;;
		esac
		echo "$name" >> "$root/vm/modules"
	done
}

# A bare root with busybox and our PID 1.
initrd_base()
{
	local root=$1 d

	rm -rf "$root"
	for d in bin sbin usr/bin usr/sbin dev proc sys tmp run root etc out test vm hostroot \
		guest lib/modules lib/kvmx lib/x86_64-linux-gnu lib64; do
		mkdir -p "$root/$d"
	done
	cp /bin/busybox "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
	cp "$VM_DIR/init" "$root/init"
	chmod 755 "$root/init"
	gcc -O2 -Wall -Wextra -Werror -pthread -static -o "$root/bin/keep" "$VM_DIR/keep.c" ||
		die "cannot build keep.c"
	echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
	echo 'root:x:0:' > "$root/etc/group"
}

initrd_pack()
{
	(cd "$1" && find . | cpio --quiet -o -H newc -R 0:0) > "$2"
}
