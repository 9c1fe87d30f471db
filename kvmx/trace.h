/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvmx

#if !defined(KVMX_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KVMX_TRACE_H

#include <linux/tracepoint.h>

TRACE_EVENT(kvmx_vm_open,
	TP_PROTO(u32 vm, pid_t owner, u32 nr_handles),
	TP_ARGS(vm, owner, nr_handles),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(pid_t, owner)
		__field(u32, nr_handles)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->owner = owner;
		__entry->nr_handles = nr_handles;
	),
	TP_printk("vm=%u vmm=%d handles=%u", __entry->vm, __entry->owner, __entry->nr_handles)
);

TRACE_EVENT(kvmx_vm_death,
	TP_PROTO(u32 vm, u32 nr_trackers),
	TP_ARGS(vm, nr_trackers),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, nr_trackers)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->nr_trackers = nr_trackers;
	),
	TP_printk("vm=%u trackers=%u", __entry->vm, __entry->nr_trackers)
);

TRACE_EVENT(kvmx_harvest,
	TP_PROTO(u32 vm, u32 tracker, u32 flags, u64 pages, u32 runs, u64 clears, u64 ns, int err),
	TP_ARGS(vm, tracker, flags, pages, runs, clears, ns, err),
	TP_STRUCT__entry(
		__field(u64, pages)
		__field(u64, clears)
		__field(u64, ns)
		__field(u32, vm)
		__field(u32, tracker)
		__field(u32, flags)
		__field(u32, runs)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->pages = pages;
		__entry->clears = clears;
		__entry->ns = ns;
		__entry->vm = vm;
		__entry->tracker = tracker;
		__entry->flags = flags;
		__entry->runs = runs;
		__entry->err = err;
	),
	TP_printk("vm=%u tracker=%u flags=%#x pages=%llu runs=%u clears=%llu ns=%llu err=%d",
		  __entry->vm, __entry->tracker, __entry->flags, __entry->pages, __entry->runs,
		  __entry->clears, __entry->ns, __entry->err)
);

TRACE_EVENT(kvmx_predict,
	TP_PROTO(u32 vm, u32 verdict, u32 rounds, u64 pause_ns, u64 total_ns, u32 permille),
	TP_ARGS(vm, verdict, rounds, pause_ns, total_ns, permille),
	TP_STRUCT__entry(
		__field(u64, pause_ns)
		__field(u64, total_ns)
		__field(u32, vm)
		__field(u32, verdict)
		__field(u32, rounds)
		__field(u32, permille)
	),
	TP_fast_assign(
		__entry->pause_ns = pause_ns;
		__entry->total_ns = total_ns;
		__entry->vm = vm;
		__entry->verdict = verdict;
		__entry->rounds = rounds;
		__entry->permille = permille;
	),
	TP_printk("vm=%u verdict=%u rounds=%u pause_ns=%llu total_ns=%llu vcpu_permille=%u",
		  __entry->vm, __entry->verdict, __entry->rounds, __entry->pause_ns,
		  __entry->total_ns, __entry->permille)
);

TRACE_EVENT(kvmx_ksm_state,
	TP_PROTO(u32 proc, u32 state, u32 why, u64 why_arg),
	TP_ARGS(proc, state, why, why_arg),
	TP_STRUCT__entry(
		__field(u64, why_arg)
		__field(u32, proc)
		__field(u32, state)
		__field(u32, why)
	),
	TP_fast_assign(
		__entry->why_arg = why_arg;
		__entry->proc = proc;
		__entry->state = state;
		__entry->why = why;
	),
	TP_printk("proc=%u state=%u why=%u arg=%llu", __entry->proc, __entry->state, __entry->why,
		  __entry->why_arg)
);

TRACE_EVENT(kvmx_ksm_look,
	TP_PROTO(u32 procs, u64 mergeable, u64 half, u64 ns, u64 cpu, int err),
	TP_ARGS(procs, mergeable, half, ns, cpu, err),
	TP_STRUCT__entry(
		__field(u64, mergeable)
		__field(u64, half)
		__field(u64, ns)
		__field(u64, cpu)
		__field(u32, procs)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->mergeable = mergeable;
		__entry->half = half;
		__entry->ns = ns;
		__entry->cpu = cpu;
		__entry->procs = procs;
		__entry->err = err;
	),
	TP_printk("procs=%u mergeable=%llu+-%llu ns=%llu cpu=%llu err=%d", __entry->procs,
		  __entry->mergeable, __entry->half, __entry->ns, __entry->cpu, __entry->err)
);

TRACE_EVENT(kvmx_ksm_epoch,
	TP_PROTO(u64 gain, s64 freed, u64 scans, u64 visits, u64 cpu, u64 ns, u32 why),
	TP_ARGS(gain, freed, scans, visits, cpu, ns, why),
	TP_STRUCT__entry(
		__field(u64, gain)
		__field(s64, freed)
		__field(u64, scans)
		__field(u64, visits)
		__field(u64, cpu)
		__field(u64, ns)
		__field(u32, why)
	),
	TP_fast_assign(
		__entry->gain = gain;
		__entry->freed = freed;
		__entry->scans = scans;
		__entry->visits = visits;
		__entry->cpu = cpu;
		__entry->ns = ns;
		__entry->why = why;
	),
	TP_printk("gain=%llu freed=%lld scans=%llu visits=%llu cpu=%llu ns=%llu why=%u",
		  __entry->gain, __entry->freed, __entry->scans, __entry->visits, __entry->cpu,
		  __entry->ns, __entry->why)
);

#endif /* KVMX_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
