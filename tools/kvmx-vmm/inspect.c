// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "inspect.h"
#include "vm.h"

#define MSR_IA32_TSC		0x10
#define MSR_IA32_TSC_DEADLINE	0x6e0

#define APIC_ISR		0x100
#define APIC_IRR		0x200
#define APIC_LVTT		0x320
#define APIC_TMICT		0x380
#define APIC_TMCCT		0x390
#define NR_VECTORS		256

#define RFLAGS_IF		(1U << 9)

struct vcpu_view {
	struct kvm_regs regs;
	struct kvm_mp_state mp_state;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	u64 tsc;
	u64 deadline;
};

static const char *mp_state_name(u32 state)
{
	switch (state) {
	case KVM_MP_STATE_RUNNABLE:
		return "runnable";
	case KVM_MP_STATE_HALTED:
		return "halted";
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_SIPI_RECEIVED:
		return "not started";
	default:
		return "other";
	}
}

static int look(int fd, struct vcpu_view *view)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entries[2];
	} msrs = {
		.head.nmsrs = 2,
		.entries = { { .index = MSR_IA32_TSC }, { .index = MSR_IA32_TSC_DEADLINE } },
	};

	memset(view, 0, sizeof(*view));
	if (ioctl(fd, KVM_GET_REGS, &view->regs) ||
	    ioctl(fd, KVM_GET_MP_STATE, &view->mp_state) ||
	    ioctl(fd, KVM_GET_LAPIC, &view->lapic) ||
	    ioctl(fd, KVM_GET_VCPU_EVENTS, &view->events))
		return -errno;
	if (ioctl(fd, KVM_GET_MSRS, &msrs) != 2)
		return -EIO;
	view->tsc = msrs.entries[0].data;
	view->deadline = msrs.entries[1].data;
	return 0;
}

static u32 lapic_reg(const struct kvm_lapic_state *lapic, u32 offset)
{
	u32 value;

	memcpy(&value, lapic->regs + offset, sizeof(value));
	return value;
}

/* 32 vectors to a register, a register to 16 bytes */
static struct json_object *vectors_json(const struct kvm_lapic_state *lapic, u32 first)
{
	struct json_object *array = json_object_new_array();
	u32 i;

	for (i = 0; i < NR_VECTORS; i++)
		if (lapic_reg(lapic, first + i / 32 * 16) & 1U << i % 32)
			json_object_array_add(array, json_object_new_int(i));
	return array;
}

static void add_number(struct json_object *obj, const char *name, s64 value)
{
	json_object_object_add(obj, name, json_object_new_int64(value));
}

static void add_hex(struct json_object *obj, const char *name, u64 value)
{
	char text[19];

	snprintf(text, sizeof(text), "%#llx", value);
	json_object_object_add(obj, name, json_object_new_string(text));
}

static struct json_object *view_json(u32 id, const struct vcpu_view *view)
{
	struct json_object *obj = json_object_new_object();

	add_number(obj, "vcpu", id);
	json_object_object_add(obj, "state",
			       json_object_new_string(mp_state_name(view->mp_state.mp_state)));
	add_hex(obj, "rip", view->regs.rip);
	json_object_object_add(obj, "interrupts_on",
			       json_object_new_boolean(view->regs.rflags & RFLAGS_IF));
	json_object_object_add(obj, "irr", vectors_json(&view->lapic, APIC_IRR));
	json_object_object_add(obj, "isr", vectors_json(&view->lapic, APIC_ISR));
	add_number(obj, "interrupt_injected",
		   view->events.interrupt.injected ? view->events.interrupt.nr : -1);
	add_number(obj, "exception_injected",
		   view->events.exception.injected || view->events.exception.pending ?
		   view->events.exception.nr : -1);
	add_number(obj, "nmi_pending", view->events.nmi.pending);
	add_hex(obj, "lvt_timer", lapic_reg(&view->lapic, APIC_LVTT));
	add_number(obj, "timer_count", lapic_reg(&view->lapic, APIC_TMICT));
	add_number(obj, "timer_left", lapic_reg(&view->lapic, APIC_TMCCT));
	add_number(obj, "tsc", view->tsc);
	add_number(obj, "tsc_deadline", view->deadline);
	return obj;
}

struct json_object *inspect_vcpus(struct vm *vm)
{
	struct json_object *array = json_object_new_array();
	struct vcpu_view view;
	int err = 0;
	u32 i;

	vcpus_pause(&vm->vcpus, PAUSE_LOOK);
	for (i = 0; i < vm->vcpus.nr && !err; i++) {
		err = look(vm->vcpus.vcpu[i].fd, &view);
		if (!err)
			json_object_array_add(array, view_json(i, &view));
	}
	vcpus_resume(&vm->vcpus, PAUSE_LOOK);
	if (!err)
		return array;
	json_object_put(array);
	errno = -err;
	return NULL;
}
