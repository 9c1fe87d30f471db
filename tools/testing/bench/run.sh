#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Measures, prints one table and leaves its figures in build/bench: run.sh KERNEL [PART]...

set -euo pipefail
. "$(dirname "$0")/../vm/lib.sh"

OUT=$BUILD/bench
KERNEL=
# Migrations of each kind; their medians count.
RUNS=${RUNS:-2}
# Runs of each rival in each phase of ksmd.
REPEATS=${REPEATS:-3}
FAILED=0

usage()
{
	cat <<-EOF
		usage: run.sh KERNEL [PART]...

		  harvest   what was written, beside KVM's own ways to find out
		  growth    harvests of ever larger guests
		  sampling  the dirty curve by sampling, and what that costs the guest
		  memory    memory of trackers, and what an idle module does
		  ksm       merging, beside KSM's own ways and ksmtuned's rules; REPEATS of each in
		            each phase (environment, 1 to 3, default 3)
		  passthrough  getting a device, and what its writes cost a migration
		  nvme      what a guest reads from a disk of the host, beside vfio-pci
		  migrate   live migrations of a Linux guest, beside QEMU's and plain pre-copy;
		            RUNS of each (environment, default 2)

		Without PART: all. Exits with 1 if a figure is not what it must be.
	EOF
	exit "$1"
}

# in_vm PART MB SECONDS RUN_ARGUMENT...: a machine of its own for each part.
in_vm()
{
	local part=$1 mb=$2 seconds=$3

	shift 3
	say "$part on $KERNEL"
	rm -f "$OUT/$part-$KERNEL.json"
	"$VM_DIR/run" -k "$KERNEL" -n "bench-$part" -m "$mb" -t "$seconds" "$@" || {
		say "$part failed"
		FAILED=1
	}
	cp "$BUILD/vm/$KERNEL/bench-$part/out/$part.json" "$OUT/$part-$KERNEL.json" || FAILED=1
}

# rig PART MB SECONDS RUN_ARGUMENT...: the program of that name.
rig()
{
	local part=$1 mb=$2 seconds=$3

	shift 3
	in_vm "$part" "$mb" "$seconds" "$@" -f "$BUILD/user/bench/$part" -- "$part"
}

nvme()
{
	local here

	here=$(dirname "$0")
	in_vm nvme 2048 600 -D -M nvme -g -q -f "$here/nvme.sh:/test/bench/nvme.sh" \
		-f "$TOP/tools/testing/e2e/lib.sh:/test/bench/lib.sh" \
		-f "$TOP/tools/testing/e2e/lib-pass.sh:/test/bench/lib-pass.sh" \
		-- sh bench/nvme.sh /out/nvme.json
}

# The same guest moved by kvmx, by plain pre-copy and by QEMU, all in one machine.
migrate()
{
	local here log=$BUILD/vm/$KERNEL/bench-migrate/result.log

	here=$(dirname "$0")
	say "migrate on $KERNEL"
	rm -f "$OUT/migrate-$KERNEL.json" "$log"
	"$VM_DIR/run" -k "$KERNEL" -n bench-migrate -m 3072 -t 2400 -g -q \
		-f "$BUILD/user/kvmx-vmm" -f "$BUILD/user/e2e/relay" \
		-f "$BUILD/user/bench/beatlog" -f "$BUILD/user/bench/qmp" \
		-f "$here/migrate.sh:/test/bench/migrate.sh" \
		-f "$here/qemu.sh:/test/bench/qemu.sh" \
		-f "$TOP/tools/testing/e2e/lib.sh:/test/bench/lib.sh" \
		-- sh bench/migrate.sh "$RUNS" qemu kvmx plain || {
		say "migrate failed"
		FAILED=1
	}
	"$BUILD/user/bench/figures" "$log" "$OUT/migrate-$KERNEL.json" > /dev/null || FAILED=1
}

run_part()
{
	case $1 in
	harvest) rig harvest 3072 600 ;;
	growth) rig growth 4096 600 ;;
	sampling) rig sampling 2048 600 ;;
	memory) rig memory 2048 300 ;;
	ksm) in_vm ksm 2048 2400 -f "$BUILD/user/bench/ksm" -- "REPEATS=$REPEATS" ksm ;;
	passthrough) rig passthrough 2048 300 -D ;;
	nvme) nvme ;;
	migrate) migrate ;;
	*) usage 2 >&2 ;;
	esac
}

main()
{
	local part tables=()

	[ $# -gt 0 ] || usage 2 >&2
	KERNEL=$1
	shift
	kernel_known "$KERNEL" || die "no kernel '$KERNEL' in kernels.list"
	if [ $# = 0 ]; then
		set -- harvest growth sampling memory ksm passthrough nvme migrate
	fi
	mkdir -p "$OUT"
	for part; do
		run_part "$part"
		tables+=("$OUT/$part-$KERNEL.json")
	done
	"$BUILD/user/bench/table" "${tables[@]}" || FAILED=1
	return "$FAILED"
}

main "$@"
