#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The documents: reStructuredText without a warning, whose includes of our sources
# resolve; no file is named that does not exist; every ioctl, every key of kvmxctl's JSON
# and every command is described; the README's program compiles.

. "$(dirname "$0")/lib.sh"

log=$LINT/docs.log
html=$LINT/html
mapfile -t docs < <(tree_files -path './Documentation/*.rst')
need_files ${#docs[@]}
rm -rf "$html"
mkdir -p "$html"

# A missing file, or a marker that is not in it, is an error of the include directive.
markup()
{
	local f

	for f in README "${docs[@]}"; do
		rst2html --strict --report=1 "$f" "$html/$(basename "$f" .rst).html" 2>&1 ||
			echo "$f: not accepted"
	done
}

# Names between double back quotes that look like files of ours.
names()
{
	local f name

	for f in README "${docs[@]}"; do
		# shellcheck disable=SC2016 # back quotes are meant
		grep -oE '``(kvmx|ksm|vfio|include|tools|Documentation)/[^` *]*``' "$f" |
			tr -d '`' | sort -u | while read -r name; do
			[ -e "$name" ] || echo "$f: there is no $name"
		done
		grep -oE '\b[a-z-]+\.rst\b' "$f" | sort -u | while read -r name; do
			[ -e "Documentation/$name" ] || echo "$f: there is no $name"
		done
	done
}

ioctls()
{
	local name

	sed -nE 's/^#define (KVMX_[A-Z_]+)[[:space:]]+_IO\(.*/\1/p' include/uapi/linux/kvmx.h |
		while read -r name; do
			grep -qxE "$name" Documentation/kvmx.rst ||
				echo "Documentation/kvmx.rst: no section $name"
		done
}

# The literal block that begins with an #include, without its indentation.
program()
{
	awk '/^\t#include/ { on = 1 } on && /^[^\t]/ { exit } on { sub(/^\t/, ""); print }' README \
		> "$LINT/readme.c"
	[ -s "$LINT/readme.c" ] || echo "README: there is no program"
	gcc -std=gnu11 -O2 -Wall -Wextra -Werror -Iinclude/uapi -o "$LINT/readme" \
		"$LINT/readme.c" 2>&1
}

# Keys of JSON documents: whatever is added to an object by name.
json_keys()
{
	local key adders='(out_add_[a-z0-9]+|json_object_object_add|add_[a-z]+|print_count)'

	grep -ohE "$adders\(([a-z_]+, )?\"[a-z_]+\"" tools/kvmxctl/*.c |
		sed -E 's/.*"([a-z_]+)"$/\1/' | sort -u | while read -r key; do
		grep -qF "\`\`$key\`\`" Documentation/kvmxctl-json.rst ||
			echo "Documentation/kvmxctl-json.rst: no key $key"
	done
}

# A page for each object of kvmxctl, with all commands and options, and kvmx-vmm's options.
manuals()
{
	local object file page word files

	mapfile -t files < <(grep -lE '^const struct object [a-z]+_object' tools/kvmxctl/*.c)
	for file in "${files[@]}"; do
		object=$(sed -nE 's/^const struct object ([a-z]+)_object.*/\1/p' "$file")
		page=Documentation/man/kvmxctl-$object.8
		[ -e "$page" ] || { echo "there is no $page"; continue; }
		grep -q "Xr kvmxctl-$object 8" Documentation/man/kvmxctl.8 ||
			echo "Documentation/man/kvmxctl.8: no word of $object"
		sed -nE 's/^\t\t"([a-z]+)", .*/\1/p' "$file" | while read -r word; do
			grep -qE "Cm (.* )?$word( |$)" "$page" ||
				echo "$page: no command $word"
		done
		grep -oE -- '--[a-z]+(-[a-z]+)*' "$file" | sed 's/^--//' | sort -u |
			while read -r word; do
				grep -qE "Fl -$word" "$page" || echo "$page: no option --$word"
			done
	done
	sed -nE 's/^\t\{ "([a-z-]+)", .*/\1/p' tools/kvmx-vmm/options.c | grep -vx help |
		while read -r word; do
			grep -q "Fl -$word" Documentation/man/kvmx-vmm.1 ||
				echo "Documentation/man/kvmx-vmm.1: no option --$word"
		done
}

# What Grafana's dashboard asks for is what kvmxctl gives to Prometheus.
dashboard()
{
	local name

	python3 -m json.tool dist/grafana/kvmx.json > /dev/null 2>&1 ||
		echo "dist/grafana/kvmx.json: no JSON"
	grep -oE 'kvmx_[a-z_]+' dist/grafana/kvmx.json | sort -u | while read -r name; do
		grep -q "\b$name\b" tools/kvmxctl/prom.c ||
			echo "dist/grafana/kvmx.json: no metric $name"
	done
}

columns()
{
	local f

	for f in README "${docs[@]}"; do
		expand "$f" | awk -v f="$f" 'length > 100 { print f ":" FNR ": over 100 columns" }'
	done
}

{
	markup
	names
	ioctls
	program
	json_keys
	manuals
	dashboard
	columns
} > "$log"
finding_free "$log"
