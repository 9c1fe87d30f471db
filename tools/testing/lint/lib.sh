# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the checkers share. Sourced. Everything they write is under build/lint.

set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../vm/lib.sh"
LINT=$BUILD/lint
SOURCE=$BUILD/linux-source
export LINT SOURCE
mkdir -p "$LINT"
cd "$TOP" || exit 1

# tree_files FIND_EXPRESSION...: files of the project, built ones left out.
tree_files()
{
	find . \( -path ./build -o -path ./.git \) -prune -o \
		\( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
		-o -name '.*.cmd' -o -name Module.symvers -o -name modules.order \) -prune -o \
		-type f \( "$@" \) -print | sed 's|^\./||' | sort
}

module_sources()
{
	tree_files -name '*.c' | grep -E '^(kvmx|ksm|vfio)/'
}

# finding_free LOG [MESSAGE]: show what a checker found; fails if there is anything.
finding_free()
{
	[ -s "$1" ] || return 0
	cat "$1"
	return 1
}

# For lists that must not be empty: a checker with nothing to check proves nothing.
need_files()
{
	[ "$1" -gt 0 ] || {
		echo "nothing to check"
		exit 1
	}
}
