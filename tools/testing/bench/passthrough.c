// SPDX-License-Identifier: GPL-2.0
/*
 * Devices: what it takes to get one, and which pages have to be sent because it has written. Needs
 * a machine with devices (run -D).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kvmx/assign.h>
#include <kvmx/migrate.h>

#include "lib/kx.h"
#include "lib/rows.h"
#include "lib/stat.h"
#include "lib/vdev.h"
#include "lib/vm.h"

#define PAGES (64 * MIB / PAGE_SIZE)
#define TOUCHED 10
#define TRIES 15
#define ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
/* How long it takes is no figure here: edu's DMA takes most of it. */
#define ALLOWED_NS 1500000000ULL
#define PLAIN_NS 8000000000ULL

static struct vm vm;
static int kx;
static char bdf[VDEV_BDF_LEN];

/* A device that is usable, and what has to be undone. */
struct usable {
	struct kvmx_assign_vm a;
	struct kvmx_device *dev;
	struct vdev v;
};

/* What a VMM writes without the library. Nothing is checked but by ending the program. */
enum { HAND_BEGIN = __LINE__ };
static void by_hand(struct usable *u)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	struct vfio_group_status status = { .argsz = sizeof(status) };
	struct vfio_device_info info = { .argsz = sizeof(info) };
	char path[128], link[256];
	struct vdev *v = &u->v;
	uint32_t i;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	must("iommu_group", n < 0 ? -errno : 0);
	link[n] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(link, '/') + 1);
	v->group = must_fd(path, open(path, O_RDWR | O_CLOEXEC));
	must("GET_STATUS", ioctl(v->group, VFIO_GROUP_GET_STATUS, &status));
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		die("group", EPERM);
	v->container = must_fd("/dev/vfio/vfio", open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC));
	if (ioctl(v->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    !ioctl(v->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU))
		die("container", EINVAL);
	must("SET_CONTAINER", ioctl(v->group, VFIO_GROUP_SET_CONTAINER, &v->container));
	must("SET_IOMMU", ioctl(v->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	if (u->a.kvm_vfio_fd < 0) {
		must("CREATE_DEVICE", ioctl(vm.fd, KVM_CREATE_DEVICE, &create));
		u->a.kvm_vfio_fd = create.fd;
	}
	must("GROUP_ADD", ioctl(u->a.kvm_vfio_fd, KVM_SET_DEVICE_ATTR, &(struct kvm_device_attr){
		.group = KVM_DEV_VFIO_GROUP, .attr = KVM_DEV_VFIO_GROUP_ADD,
		.addr = (uintptr_t)&v->group }));
	v->fd = must_fd("GET_DEVICE_FD", ioctl(v->group, VFIO_GROUP_GET_DEVICE_FD, bdf));
	must("GET_INFO", ioctl(v->fd, VFIO_DEVICE_GET_INFO, &info));
	for (i = 0; i < info.num_regions; i++) {
		struct vfio_region_info region = { .argsz = sizeof(region), .index = i };

		if (ioctl(v->fd, VFIO_DEVICE_GET_REGION_INFO, &region))
			continue;
		if (i == VFIO_PCI_CONFIG_REGION_INDEX)
			v->config = region.offset;
		if (!region.size || !(region.flags & VFIO_REGION_INFO_FLAG_MMAP))
			continue;
		v->bar = mmap(NULL, region.size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd,
			      region.offset);
		v->bar_size = region.size;
		if (v->bar == MAP_FAILED)
			die("BAR", errno);
	}
	for (i = 0; i < info.num_irqs; i++) {
		struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = i };

		ioctl(v->fd, VFIO_DEVICE_GET_IRQ_INFO, &irq);
	}
	for (i = 0; i < (uint32_t)vm.nr_slots; i++) {
		const struct vm_slot *s = &vm.slot[i];

		must("KVMX_DMA_DECLARE", kx_dma(kx, true, s->gfn, s->npages, 0));
		must("MAP_DMA", vdev_map(v, s->hva, s->gfn * PAGE_SIZE, s->npages * PAGE_SIZE));
	}
}

enum { HAND_LINES = __LINE__ - HAND_BEGIN - 2 };

static void by_hand_undo(struct usable *u)
{
	uint32_t i;
	int group = u->v.group;

	munmap((void *)u->v.bar, u->v.bar_size);
	close(u->v.fd);
	for (i = 0; i < (uint32_t)vm.nr_slots; i++) {
		const struct vm_slot *s = &vm.slot[i];

		vdev_unmap(&u->v, s->gfn * PAGE_SIZE, s->npages * PAGE_SIZE);
		kx_dma(kx, false, s->gfn, s->npages, 0);
	}
	ioctl(u->a.kvm_vfio_fd, KVM_SET_DEVICE_ATTR, &(struct kvm_device_attr){
		.group = KVM_DEV_VFIO_GROUP, .attr = KVM_DEV_VFIO_GROUP_DEL,
		.addr = (uintptr_t)&group });
	close(group);
	close(u->v.container);
}

enum { OURS_BEGIN = __LINE__ };
static void by_library(struct usable *u)
{
	if (kvmx_assign(&u->a, bdf, &u->dev))
		die(u->a.reason, EINVAL);
}

enum { OURS_LINES = __LINE__ - OURS_BEGIN - 2 };

static void by_library_undo(struct usable *u)
{
	kvmx_unassign(u->dev);
}

static struct usable nothing(void)
{
	return (struct usable){
		.a = { .kvm_fd = vm.fd, .vm_fd = kx, .kvm_vfio_fd = -1 },
	};
}

/* System calls of one go, as the kernel sees them. */
static unsigned long count_calls(void (*get)(struct usable *u))
{
	unsigned long stops = 0;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		struct usable u;

		/* A VM is its process's. */
		must("VM", vm_create(&vm, 0));
		must("slot", vm_add_slot(&vm, 1, VM_DATA_GFN, PAGES, MEM_ANON, 0));
		kx = must_fd("kvmx", kx_vm(vm.fd));
		u = nothing();
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		get(&u);
		raise(SIGSTOP);
		_exit(0);
	}
	must("fork", pid < 0 ? -errno : 0);
	waitpid(pid, &status, 0);
	for (;;) {
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
		    WSTOPSIG(status) == SIGSTOP)
			break;
		stops++;
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	/* Each call stops twice; raise() takes two calls, and ends the first. */
	return stops / 2;
}

static double time_of(struct usable *u, void (*get)(struct usable *u),
		      void (*undo)(struct usable *u))
{
	uint64_t begin = now_ns(), took;

	get(u);
	took = now_ns() - begin;
	undo(u);
	return took;
}

static void measure_getting(void)
{
	double ours[TRIES], theirs[TRIES];
	struct usable u = nothing();
	unsigned int i;

	/* KVM's VFIO device stays: made by whoever is first. */
	time_of(&u, by_library, by_library_undo);
	for (i = 0; i < TRIES; i++) {
		ours[i] = time_of(&u, by_library, by_library_undo);
		theirs[i] = time_of(&u, by_hand, by_hand_undo);
	}
	close(u.a.kvm_vfio_fd);
	row_faster("from nothing to a device, 64 MiB mapped", "by hand", median(ours, TRIES),
		   median(theirs, TRIES), .9, false);
	row_add(&(struct row){
		.what = "from nothing to a device", .rival_name = "by hand",
		.unit = "system calls", .ours = count_calls(by_library),
		.rival = count_calls(by_hand), .figure_unit = "", .bound = BOUND_NONE,
	});
	row_add(&(struct row){
		.what = "from nothing to a device", .rival_name = "by hand", .unit = "lines",
		.ours = OURS_LINES, .rival = HAND_LINES, .figure = (double)HAND_LINES / OURS_LINES,
		.figure_unit = "x", .bound = BOUND_AT_LEAST, .need = 10,
	});
}

/* The device takes what it will write from page 0. */
static void load(struct vdev *v, uint32_t value)
{
	must("COMMAND", vdev_set_command(v, ON));
	memcpy(vm_hva(&vm, 0, VM_DATA_GFN), &value, sizeof(value));
	must("DMA", edu_dma(v, VM_DATA, 0, 64, false));
}

/* And writes it to so many pages, far apart. */
static void touch(struct vdev *v)
{
	uint32_t i;

	for (i = 1; i <= TOUCHED; i++)
		must("DMA", edu_dma(v, VM_DATA + i * 1000 * PAGE_SIZE, 0, 64, true));
}

static double by_type1(void)
{
	struct usable u = nothing();
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = { .head = { .argsz = sizeof(arg) } };
	uint64_t *bits = calloc(PAGES / 64, 8);
	double pages = 0;
	uint32_t i;

	by_hand(&u);
	arg.head.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
	must("DIRTY_PAGES", ioctl(u.v.container, VFIO_IOMMU_DIRTY_PAGES, &arg));
	load(&u.v, 1);
	touch(&u.v);
	arg.head.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
	arg.get = (struct vfio_iommu_type1_dirty_bitmap_get){
		.iova = VM_DATA, .size = PAGES * PAGE_SIZE,
		.bitmap = { .pgsize = PAGE_SIZE, .size = PAGES / 8, .data = (__u64 *)bits },
	};
	must("GET_BITMAP", ioctl(u.v.container, VFIO_IOMMU_DIRTY_PAGES, &arg));
	for (i = 0; i < PAGES / 64; i++)
		pages += __builtin_popcountll(bits[i]);
	by_hand_undo(&u);
	close(u.a.kvm_vfio_fd);
	free(bits);
	return pages;
}

static struct vdev *source_dev;
/* Pages that were still to be sent for the first time as the guest was paused. */
static uint64_t unsent;

static int on_progress(void *opaque, const struct kvmx_migrate_progress *progress)
{
	static uint32_t phase;

	(void)opaque;
	if (progress->phase == KVMX_PHASE_PAUSED && phase != progress->phase)
		unsent = progress->pending_pages;
	phase = progress->phase;
	return 0;
}

static int on_pause(void *opaque)
{
	int ret;

	(void)opaque;
	/* Written since it was last looked at. */
	touch(source_dev);
	ret = kx_quiesce(kx, KVMX_QUIESCE_TRUST, &(struct kvmx_vm_quiesce){ 0 });
	return ret;
}

static int on_resume(void *opaque)
{
	int ret;

	(void)opaque;
	ret = kx_resume(kx);
	return ret < 0 ? ret : 0;
}

static int on_save(void *opaque, void **data, size_t *len)
{
	(void)opaque;
	*len = 8;
	*data = calloc(1, *len);
	return *data ? 0 : -ENOMEM;
}

static int on_load(void *opaque, const void *data, size_t len)
{
	(void)opaque;
	(void)data;
	return len == 8 ? 0 : -EPROTO;
}

static int on_run(void *opaque)
{
	(void)opaque;
	return 0;
}

/* The destination: another process, whose memory is compared with ours. */
static void receive(int fd, const struct kvmx_region *regions, uint32_t nr)
{
	static const struct kvmx_migrate_dest_ops ops = { .load_state = on_load, .run = on_run };
	struct kvmx_region own[2];
	struct kvmx_migrate_dest dest = {
		.ops = &ops, .regions = own, .nr_regions = nr, .fd = fd,
		.flags = KVMX_DEST_ZEROED,
	};
	uint32_t i;

	for (i = 0; i < nr; i++) {
		own[i] = regions[i];
		own[i].hva = mmap(NULL, own[i].npages * PAGE_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	_exit(kvmx_migrate_receive(&dest, NULL) ? 1 : 0);
}

static void migrate(uint32_t mode, struct kvmx_migrate_report *report)
{
	static const struct kvmx_migrate_source_ops ops = {
		.pause = on_pause, .resume = on_resume, .save_state = on_save,
		.progress = on_progress,
	};
	struct kvmx_region regions[2] = { };
	struct kvmx_migrate_policy policy;
	struct kvmx_migrate_source source = {
		.ops = &ops, .regions = regions, .nr_regions = vm.nr_slots, .vm_fd = kx,
	};
	int fd[2], i, status;
	pid_t pid;

	for (i = 0; i < vm.nr_slots; i++)
		regions[i] = (struct kvmx_region){
			.gfn = vm.slot[i].gfn, .npages = vm.slot[i].npages,
			.hva = vm.slot[i].hva,
		};
	must("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, fd) ? -errno : 0);
	pid = fork();
	must("fork", pid < 0 ? -errno : 0);
	if (!pid) {
		close(fd[0]);
		receive(fd[1], regions, vm.nr_slots);
	}
	close(fd[1]);
	kvmx_migrate_policy_init(&policy);
	policy.mode = mode;
	policy.allowed_ns = mode == KVMX_MODE_LIVE ? ALLOWED_NS : 100000000;
	policy.max_aborts = 0;
	policy.bandwidth = 128 * MIB;
	policy.max_time_ns = mode == KVMX_MODE_LIVE ? 0 : PLAIN_NS;
	source.fd = fd[0];
	kvmx_migrate_send(&source, &policy, report);
	close(fd[0]);
	waitpid(pid, &status, 0);
}

static void measure_moving(void)
{
	struct kvmx_migrate_report live, plain;
	struct usable u = nothing();
	struct vdev v = { 0 };
	double type1 = by_type1();

	by_library(&u);
	v.fd = u.dev->fd;
	v.config = u.dev->region[VFIO_PCI_CONFIG_REGION_INDEX].offset;
	v.bar = u.dev->region[0].area[0].hva;
	source_dev = &v;
	load(&v, 2);
	touch(&v);
	load(&v, 3);
	migrate(KVMX_MODE_LIVE, &live);
	must("resume", on_resume(NULL));
	row_add(&(struct row){
		.what = "pages to send after DMA to 10 of 16384", .rival_name = "type1's bitmap",
		.unit = "pages", .ours = live.final_pages - unsent, .rival = type1,
		/* Less if one of them was still to be sent for the first time. */
		.figure = (double)live.final_pages - unsent - TOUCHED, .figure_unit = "too many",
		.bound = BOUND_AT_MOST, .need = 0,
	});
	migrate(KVMX_MODE_PLAIN, &plain);
	row_add(&(struct row){
		.what = "a VM with 64 MiB mapped moves live", .rival_name = "all pinned is dirty",
		.unit = "moved", .ours = live.outcome == KVMX_MIGRATE_DONE && !live.offline,
		.rival = plain.outcome == KVMX_MIGRATE_DONE,
		.figure = live.outcome == KVMX_MIGRATE_DONE && !live.offline, .figure_unit = "",
		.bound = BOUND_AT_LEAST, .need = 1,
	});
	by_library_undo(&u);
	close(u.a.kvm_vfio_fd);
}

int main(void)
{
	pin_cpu(0);
	rows_open("/out/passthrough.json");
	must("edu", vdev_find(VDEV_EDU, bdf));
	must("bind", vdev_bind(bdf, "kvmx_vfio_pci"));
	must("VM", vm_create(&vm, 0));
	must("slot", vm_add_slot(&vm, 1, VM_DATA_GFN, PAGES, MEM_ANON, 0));
	memset(vm_hva(&vm, 0, VM_DATA_GFN), 0x5a, PAGES * PAGE_SIZE);
	kx = must_fd("kvmx", kx_vm(vm.fd));
	measure_getting();
	measure_moving();
	rows_close();
	return 0;
}
