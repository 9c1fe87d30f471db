# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Judges a host kernel's log. Sourced by run.

FAULTS='WARNING: |BUG: |BUG at|Oops|: [0-9a-f]{4} \[#[0-9]+\]|KASAN'
FAULTS+='|KCSAN|KFENCE|UBSAN|INFO: possible|INFO: task .* blocked'
FAULTS+='|possible circular locking|possible recursive locking|inconsistent lock state'
FAULTS+='|suspicious RCU|RCU used illegally|scheduling while atomic|sleeping function called'
FAULTS+='|refcount_t|general protection|unable to handle|Call Trace|rcu.*(stall|detected)'
FAULTS+='|soft lockup|hard LOCKUP|hung_task|Kernel panic|bad page|list_(add|del) corruption'
FAULTS+='|DEBUG_LOCKS_WARN|held lock freed|lock held when returning|object_is_on_stack|ODEBUG'

# What a healthy kernel prints that looks like a fault. Each needs a reason.
# Speculative Return Stack Overflow: the emulated EPYC is an affected model.
HARMLESS='Speculative Return Stack Overflow: WARNING: See'

# What the kernel says of an allocation that failed is no fault if a test made it fail (failnth).
# All of it comes before the next </TASK>.
scan_drop_injected()
{
	awk '/failnth: (vmalloc error|page allocation failure)/ { skip = 1 }
		!skip
		/<\/TASK>/ { skip = 0 }'
}

# scan_faults LOG: print the lines that no healthy kernel writes.
scan_faults()
{
	tr -d '\r' < "$1" | scan_drop_injected | grep -aE "$FAULTS" | grep -avE "$HARMLESS"
}

# Whether a function of ours is on a stack in or after the first fault. (Being on the list
# of loaded modules, or the program having our name, is no evidence. Nor is a breakpoint
# trap: emulated CPUs at times see the one that patching live code puts there too late.)
scan_blames_kvmx()
{
	local first

	first=$(scan_faults "$1" | head -n 1)
	case $first in '' | *int3:*) return 1 ;; esac
	tr -d '\r' < "$1" | grep -aF -A 400 -- "$first" | grep -aqE '\[kvmx(_[a-z]+)*\]'
}
