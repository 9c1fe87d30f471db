# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# How to run a machine that runs KVM guests itself: on KVM where it nests, else
# on QEMU's emulation of AMD SVM. Sourced.

kvm_nests()
{
	local param

	[ -r /dev/kvm ] && [ -w /dev/kvm ] || return 1
	grep -qwE '(vmx|svm)' /proc/cpuinfo || return 1
	for param in /sys/module/kvm_{intel,amd}/parameters/nested; do
		[ -r "$param" ] || continue
		case $(cat "$param") in [Y1]) return 0 ;; esac
	done
	return 1
}

# Sets ACCEL, ACCEL_ARGS (QEMU), ACCEL_APPEND (kernel) and ACCEL_KVM (vendor module).
# VM_ACCEL=tcg in the environment forces emulation.
accel_choose()
{
	if [ "${VM_ACCEL:-}" != tcg ] && kvm_nests; then
		ACCEL=kvm
		ACCEL_ARGS=(-accel kvm -cpu 'host,migratable=no')
		ACCEL_APPEND=
		ACCEL_KVM=kvm-amd
		! grep -qw vmx /proc/cpuinfo || ACCEL_KVM=kvm-intel
	else
		ACCEL=tcg
		ACCEL_ARGS=(-accel 'tcg,thread=multi' -cpu 'EPYC,+invtsc')
		# Emulated timers run late: a watchdog would only see that.
		ACCEL_APPEND='tsc=reliable clocksource=tsc nowatchdog'
		ACCEL_KVM=kvm-amd
	fi
	export ACCEL ACCEL_ARGS ACCEL_APPEND ACCEL_KVM
}
