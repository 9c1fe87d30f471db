#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Runs all checkers: no finding is allowed. lint.sh [CHECKER]... runs only those.

set -uo pipefail
. "$(dirname "$0")/../vm/lib.sh"

LINT_DIR=$TOP/tools/testing/lint
# sparse 0.6.4 does not understand 7.3's headers.
CHECKERS=('module 6.1 gcc' 'module 6.12 gcc' 'module 7.3 gcc'
	'module 6.1 sparse' 'module 6.12 sparse'
	checkpatch kernel-doc docs shell spelling house)

main()
{
	local checkers=("$@") c n=0 passed=0 failed=0
	local -a words

	[ ${#checkers[@]} -gt 0 ] || checkers=("${CHECKERS[@]}")
	mkdir -p "$BUILD"
	"$VM_DIR/setup.sh" || say "set-up failed: what needs it will fail below"
	echo "1..${#checkers[@]}"
	for c in "${checkers[@]}"; do
		n=$((n + 1))
		read -ra words <<< "$c"
		if "$LINT_DIR/${words[0]}.sh" "${words[@]:1}"; then
			echo "ok $n $c"
			passed=$((passed + 1))
		else
			echo "not ok $n $c"
			failed=$((failed + 1))
		fi
	done
	echo "$passed passed, $failed failed, 0 skipped"
	[ $failed = 0 ]
}

main "$@"
