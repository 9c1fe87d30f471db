// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include <kvmx/kvmx.h>

#include "vm.h"

/* Intel needs three pages for a TSS and one for page tables, where no memory is. */
#define TSS_ADDR	0xfffbd000UL
#define IDENTITY_ADDR	0xfffbc000ULL

static int need_cap(struct vm *vm, int cap, const char *name)
{
	if (ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, cap) > 0)
		return 0;
	return fail(EOPNOTSUPP, "this host's KVM lacks %s", name);
}

static int open_kvm(struct vm *vm)
{
	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return fail(errno, "/dev/kvm: %m");
	if (need_cap(vm, KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP") ||
	    need_cap(vm, KVM_CAP_PIT2, "KVM_CAP_PIT2") ||
	    need_cap(vm, KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK") ||
	    need_cap(vm, KVM_CAP_SREGS2, "KVM_CAP_SREGS2") ||
	    need_cap(vm, KVM_CAP_XSAVE2, "KVM_CAP_XSAVE2") ||
	    need_cap(vm, KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"))
		return -EOPNOTSUPP;
	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		return fail(errno, "KVM_CREATE_VM: %m");
	return 0;
}

static int enable_cap(struct vm *vm, u32 cap, u64 arg, const char *name)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg } };

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &enable))
		return fail(errno, "%s: %m", name);
	return 0;
}

/* All of this has to come before the first vCPU. */
static int init_platform(struct vm *vm)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	u64 identity = IDENTITY_ADDR;
	int err;

	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, TSS_ADDR) ||
	    ioctl(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity))
		return fail(errno, "KVM_SET_TSS_ADDR: %m");
	if (ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0))
		return fail(errno, "KVM_CREATE_IRQCHIP: %m");
	if (ioctl(vm->fd, KVM_CREATE_PIT2, &pit))
		return fail(errno, "KVM_CREATE_PIT2: %m");

	/* So that an exception that is about to be delivered can be saved as it is. */
	err = enable_cap(vm, KVM_CAP_EXCEPTION_PAYLOAD, 1, "KVM_CAP_EXCEPTION_PAYLOAD");
	/* Performance counters would be state that cannot be carried to another host. */
	if (!err && ioctl(vm->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_PMU_CAPABILITY) > 0)
		err = enable_cap(vm, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE,
				 "KVM_CAP_PMU_CAPABILITY");
	if (!err && vm->opt->dirty_ring)
		err = enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, vm->opt->dirty_ring, "--dirty-ring");
	return err;
}

static int init_memory(struct vm *vm)
{
	const struct options *opt = vm->opt;
	unsigned int i;
	int err;

	err = memory_init(&vm->mem, opt->memory, opt->memory_kind, opt->thp);
	if (err)
		return err;
	for (i = 0; i < vm->mem.nr_ranges; i++) {
		struct memory_range *range = &vm->mem.ranges[i];
		struct kvm_userspace_memory_region region = {
			.slot = i,
			.guest_phys_addr = range->gpa,
			.memory_size = range->size,
			.userspace_addr = (unsigned long)range->hva,
		};

		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region))
			return fail(errno, "KVM_SET_USER_MEMORY_REGION: %m");
	}
	return 0;
}

static int init_devices(struct vm *vm)
{
	unsigned int i;
	int err;

	err = ports_init(&vm->ports, vm);
	if (!err)
		err = serial_init(&vm->serial, vm);
	if (err)
		return err;
	rtc_init(&vm->rtc, vm);
	pci_init(&vm->pci, vm);
	for (i = 0; i < vm->opt->nr_disks; i++) {
		vm->disks[i] = virtio_blk_create(vm, &vm->opt->disks[i]);
		if (!vm->disks[i])
			return -EIO;
		vm->nr_disks++;
	}
	return 0;
}

/* A host without kvmx can still run guests; it just cannot migrate them. */
static int init_kvmx(struct vm *vm)
{
	int sys = kvmx_open();

	if (sys < 0) {
		if (sys != -ENOENT)
			say("/dev/kvmx: %s: this guest cannot migrate live", strerror(-sys));
		return 0;
	}
	vm->kvmx_fd = kvmx_vm_open(sys, vm->fd, vm->opt->uuid, vm->opt->name);
	close(sys);
	if (vm->kvmx_fd < 0)
		return fail(-vm->kvmx_fd, "kvmx: cannot open the VM: %s",
			    strerror(-vm->kvmx_fd));
	return 0;
}

int vm_init(struct vm *vm, const struct options *opt)
{
	int err;

	memset(vm, 0, sizeof(*vm));
	vm->opt = opt;
	vm->kvm_fd = -1;
	vm->fd = -1;
	vm->kvmx_fd = -1;
	vm->devices.assign.kvm_vfio_fd = -1;
	ports_reset(&vm->ports);
	serial_reset(&vm->serial);
	migrate_init(&vm->migration, vm);
	pthread_mutex_init(&vm->dev_lock, NULL);
	vm->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = vm->end_fd < 0 ? fail(errno, "eventfd: %m") : open_kvm(vm);
	if (!err)
		err = init_platform(vm);
	if (!err)
		err = init_memory(vm);
	if (!err)
		err = init_devices(vm);
	if (!err)
		err = init_kvmx(vm);
	if (!err)
		err = devices_init(vm);
	if (!err)
		err = vcpus_init(&vm->vcpus, vm);
	if (err)
		vm_destroy(vm);
	return err;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void vm_destroy(struct vm *vm)
{
	vcpus_destroy(&vm->vcpus);
	devices_destroy(vm);
	while (vm->nr_disks)
		virtio_blk_destroy(vm->disks[--vm->nr_disks]);
	serial_destroy(&vm->serial);
	ports_destroy(&vm->ports);
	close_fd(vm->kvmx_fd);
	close_fd(vm->fd);
	close_fd(vm->kvm_fd);
	close_fd(vm->end_fd);
	memory_destroy(&vm->mem);
	migrate_destroy(&vm->migration);
	pthread_mutex_destroy(&vm->dev_lock);
}

void vm_end(struct vm *vm, int status)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool ended;
	u64 one = 1;

	pthread_mutex_lock(&lock);
	if (!ended) {
		ended = true;
		vm->end_status = status;
		vcpus_ask_pause(&vm->vcpus, PAUSE_END);
		write_full(vm->end_fd, &one, sizeof(one));
	}
	pthread_mutex_unlock(&lock);
}

void vm_irq(struct vm *vm, u32 gsi, bool level)
{
	struct kvm_irq_level irq = { .irq = gsi, .level = level };

	if (ioctl(vm->fd, KVM_IRQ_LINE, &irq))
		say("KVM_IRQ_LINE %u: %m", gsi);
}
