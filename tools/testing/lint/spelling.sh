#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# codespell over everything that is text of our own.

. "$(dirname "$0")/lib.sh"

mapfile -t files < <(tree_files ! -path './LICENSES/*' ! -path '*/corpus/*')
need_files ${#files[@]}
# Nd is a macro of mdoc(7).
codespell --ignore-words-list=nd "${files[@]}" > "$LINT/spelling.log" 2>&1
rc=$?
finding_free "$LINT/spelling.log" && [ $rc = 0 ]
