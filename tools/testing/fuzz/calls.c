// SPDX-License-Identifier: GPL-2.0
/*
 * kvmx's ioctls by the layout of their arguments, and what happens around them, as functions.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvmx.h>
#include <linux/vfio.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "lib/kx.h"

/* What a field of an argument means. */
enum field_kind {
	F_END,
	F_FLAGS,	/* arg: those that exist */
	F_RANGE,	/* arg: the largest that is allowed */
	F_NUMBER,	/* 64 bits of anything, arg: a usual one */
	F_GFN,
	F_NPAGES,
	F_FD,
	F_BYTES,	/* arg: how many */
	F_ITEMS,	/* a pointer; arg: what to */
	F_ITEM_SIZE,	/* arg: the right one */
	F_RESERVED,
};

enum item_kind {
	ITEM_OUT,
	ITEM_RUN,
	ITEM_POINT,
	ITEM_ADDR,
};

struct field {
	uint16_t kind;
	uint16_t at;
	uint16_t size;
	uint64_t arg;
};

#define FIELDS_MAX 16

struct op {
	unsigned long cmd;
	uint32_t size;
	enum fd_kind fd;
	enum fd_kind makes;	/* FD_KINDS: no descriptor */
	struct field field[FIELDS_MAX];
	int (*run)(struct world *w, const struct call *c);
};

#define FIELD(_type, _member, _kind, _arg) {				\
	.kind = (_kind),						\
	.at = offsetof(_type, _member),					\
	.size = sizeof(((_type *)0)->_member),				\
	.arg = (_arg),							\
}

#define OP(_cmd, _type, _fd, _makes, ...) {				\
	.cmd = (_cmd),							\
	.size = sizeof(_type),						\
	.fd = (_fd),							\
	.makes = (_makes),						\
	.field = { __VA_ARGS__ },					\
}

#define RUN(_run) { .run = (_run) }

/* Words that are 0 in their low bits mean the usual, so that most calls get past the checks. */
static bool usual(uint32_t word)
{
	return word % 8;
}

static uint64_t odd_number(uint32_t word)
{
	static const uint64_t odd[] = {
		0, 1, ~0ULL, 1ULL << 63, 0x7fffffff, 0x80000000, 0xffffffff, 1ULL << 32,
		0x1000, 0xfff, 65536, 65537, 4096, 4097, 1ULL << 52, ~0ULL - 4095,
	};

	return odd[word / 8 % 16];
}

static uint64_t items(struct world *w, uint32_t word, uint64_t what)
{
	struct kvmx_pci_addr addr = w->has_device ? vdev_addr(w->device.bdf) :
						    (struct kvmx_pci_addr){ .bus = 1 };
	uint32_t n = 1 + word / 8 % 64, i, rnd = word | 1;
	struct kvmx_run *run = (void *)w->buffer;
	struct kvmx_point *point = (void *)w->buffer;

	if (!usual(word)) {
		switch (word / 8 % 6) {
		case 0:
			return 0;
		case 1:
			return (uintptr_t)w->readonly;
		case 2:
			return (uintptr_t)w->buffer + WORLD_BUFFER - word / 64 % 4096;
		case 3:
			return 0xffff888000000000ULL + word;
		case 4:
			return (uintptr_t)w->mem + word % (WORLD_SLOT_PAGES * PAGE_SIZE);
		default:
			return (uintptr_t)w->buffer + word % 16;
		}
	}
	for (i = 0; i < n; i++) {
		switch (what) {
		case ITEM_RUN:
			run[i] = (struct kvmx_run){
				.gfn = VM_DATA_GFN + next_random(&rnd) % (WORLD_SLOT_PAGES * 8),
				.npages = 1 + next_random(&rnd) % 300,
				.slot = next_random(&rnd) % (WORLD_SLOTS + 2),
			};
			break;
		case ITEM_POINT:
			point[i] = (struct kvmx_point){ (i + 1) * (rnd % 100000), (i + 1) * 10 };
			break;
		case ITEM_ADDR:
			memcpy(w->buffer + i * sizeof(addr), &addr, sizeof(addr));
			break;
		}
	}
	return (uintptr_t)w->buffer;
}

static uint64_t value(struct world *w, const struct field *f, uint32_t word)
{
	switch (f->kind) {
	case F_FLAGS:
		return usual(word) ? word / 8 & f->arg : word;
	case F_RANGE:
		return usual(word) ? word / 8 % (f->arg + 1) : odd_number(word) ^ f->arg;
	case F_NUMBER:
		return usual(word) ? f->arg + (word / 8 % 4) * f->arg / 2 : odd_number(word);
	case F_GFN:
		return usual(word) ? VM_DATA_GFN + word / 8 % (WORLD_SLOTS * WORLD_SLOT_PAGES) :
				     odd_number(word);
	case F_NPAGES:
		return usual(word) ? 1 + word / 8 % 600 : odd_number(word);
	case F_FD:
		return world_fd(w, usual(word) ? f->arg : word % FD_KINDS, word / 8);
	case F_ITEMS:
		return items(w, word, f->arg);
	case F_ITEM_SIZE:
		return usual(word) ? f->arg : word;
	default:
		return usual(word) ? 0 : word;
	}
}

static void fill(struct world *w, const struct op *op, const struct call *c, char *arg)
{
	const struct field *f;
	uint64_t v;
	uint32_t i;

	for (i = 0, f = op->field; i < FIELDS_MAX && f->kind != F_END; i++, f++) {
		v = value(w, f, c->word[(i + 1) % CALL_WORDS]);
		if (f->kind == F_BYTES)
			memset(arg + f->at, c->word[i % CALL_WORDS] % FUZZ_UUIDS, f->size);
		else
			memcpy(arg + f->at, &v, f->size);
	}
}

static int run_ioctl(struct world *w, const struct op *op, const struct call *c)
{
	char arg[8192] __attribute__((aligned(8))) = "";
	uint32_t size = op->size;
	int ret;

	if (c->word[0] % 29 == 0)
		size = c->word[0] / 29 % 8000;
	fill(w, op, c, arg);
	memcpy(arg, &size, sizeof(size));
	ret = ioctl(world_fd(w, op->fd, c->fd), op->cmd, c->word[0] % 97 ? (void *)arg :
		    w->buffer + WORLD_BUFFER - c->word[0] / 97 % 128);
	if (ret < 0)
		return -errno;
	if (op->makes != FD_KINDS)
		world_keep(w, op->makes, ret, c->fd);
	return ret;
}

/* Around them */

static int do_open(struct world *w, const struct call *c)
{
	int fd = kx_system();

	if (fd >= 0)
		world_keep(w, FD_SYSTEM, fd, c->fd);
	return fd;
}

static int do_close(struct world *w, const struct call *c)
{
	world_close(w, c->word[0] % 8 ? FD_TRACKER : FD_VM, c->fd);
	return 0;
}

static int do_dup(struct world *w, const struct call *c)
{
	enum fd_kind kind = c->word[0] % (FD_TRACKER + 1);
	int fd = dup(world_fd(w, kind, c->fd));

	/* Kept under the wrong kind at times. */
	if (fd >= 0)
		world_keep(w, c->word[1] % 16 ? kind : FD_VM, fd, c->word[2]);
	return fd;
}

static int do_read(struct world *w, const struct call *c)
{
	int fd = world_fd(w, c->word[0] & 1 ? FD_VM : FD_SYSTEM, c->fd);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	/* A descriptor that blocks must not. */
	if (poll(&p, 1, 0) != 1)
		return 0;
	kx_nonblock(fd);
	return read(fd, w->buffer, c->word[1] % 256);
}

static void *guest_page(struct world *w, uint32_t word)
{
	return w->mem + word % (WORLD_SLOTS * WORLD_SLOT_PAGES) * PAGE_SIZE;
}

/* Never over the end. */
static size_t guest_bytes(struct world *w, void *from, uint32_t word)
{
	size_t room = w->mem + WORLD_SLOTS * WORLD_SLOT_PAGES * PAGE_SIZE - (char *)from;
	size_t want = (1 + word % 64) * PAGE_SIZE;

	return want < room ? want : room;
}

static int do_madvise(struct world *w, const struct call *c)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_FREE, MADV_DONTFORK, MADV_DOFORK, MADV_WILLNEED, MADV_PAGEOUT,
	};
	void *at = guest_page(w, c->word[0]);

	return madvise(at, guest_bytes(w, at, c->word[1]), advice[c->word[2] % 10]);
}

static int do_unmap(struct world *w, const struct call *c)
{
	void *at = guest_page(w, c->word[0]);
	size_t bytes = guest_bytes(w, at, c->word[1]);

	munmap(at, bytes);
	sched_yield();
	/* Nothing else may come to be here: that would be the program's own memory. */
	return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE | MAP_PRIVATE |
		    MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -errno : 0;
}

static int do_remap(struct world *w, const struct call *c)
{
	void *from = guest_page(w, c->word[0]), *to = guest_page(w, c->word[1]);
	size_t a = guest_bytes(w, from, c->word[2]), b = guest_bytes(w, to, c->word[2]);
	size_t bytes = a < b ? a : b;

	if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
		return -errno;
	return mmap(from, bytes, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE | MAP_PRIVATE |
		    MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -errno : 0;
}

static int do_protect(struct world *w, const struct call *c)
{
	void *at = guest_page(w, c->word[0]);

	return mprotect(at, guest_bytes(w, at, c->word[1]),
			c->word[2] % 4 ? PROT_READ | PROT_WRITE : PROT_READ);
}

/* Through the kernel: the memory may not be there, or not be writable. */
static int do_write_memory(struct world *w, const struct call *c)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int ret = read(fd, guest_page(w, c->word[0]), c->word[1] % 20000);

	close(fd);
	return ret;
}

static int do_memslot(struct world *w, const struct call *c)
{
	uint32_t id = c->word[0] % WORLD_SLOTS;
	struct kvm_userspace_memory_region r = {
		.slot = id + 1 + (c->word[1] % 32 ? 0 : 65536),
		.flags = c->word[2] % 4 ? 0 : c->word[2] / 4 % 4,
		.guest_phys_addr = (VM_DATA_GFN + id * WORLD_SLOT_PAGES) * PAGE_SIZE,
		.memory_size = WORLD_SLOT_PAGES * PAGE_SIZE,
		.userspace_addr = (uintptr_t)w->mem + id * WORLD_SLOT_PAGES * PAGE_SIZE,
	};

	switch (c->word[3] % 4) {
	case 0:
		r.memory_size = 0;
		break;
	case 1:
		r.guest_phys_addr += c->word[4] % 4 * WORLD_SLOTS * WORLD_SLOT_PAGES * PAGE_SIZE;
		break;
	case 2:
		r.memory_size -= (c->word[4] % WORLD_SLOT_PAGES) * PAGE_SIZE;
		break;
	}
	return ioctl(w->vm.fd, KVM_SET_USER_MEMORY_REGION, &r);
}

static int do_kvm_log(struct world *w, const struct call *c)
{
	struct kvm_dirty_log log = {
		.slot = 1 + c->word[0] % WORLD_SLOTS,
		.dirty_bitmap = w->buffer,
	};
	struct kvm_clear_dirty_log clear = {
		.slot = log.slot,
		.num_pages = 64 * (c->word[2] % 5),
		.first_page = 64 * (c->word[3] % 4),
		.dirty_bitmap = w->buffer,
	};

	return c->word[1] & 1 ? ioctl(w->vm.fd, KVM_GET_DIRTY_LOG, &log) :
				ioctl(w->vm.fd, KVM_CLEAR_DIRTY_LOG, &clear);
}

/* The guest, which stops when its memory is not there. */
static int do_guest(struct world *w, const struct call *c)
{
	static int busy;
	struct vcpu *v = &w->vm.vcpu[0];
	int ret;

	if (!w->guest || __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		return 0;
	if (v->running)
		vcpu_stop(v);
	ret = vcpu_program_random(v, VM_DATA, 1U << c->word[0] % 10, c->word[1] % 64, c->word[2]);
	if (!ret)
		ret = vcpu_start(v);
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
	return ret;
}

/* A child has all descriptors, and another address space. */
static int do_fork(struct world *w, const struct call *c)
{
	pid_t child = fork();
	struct call other = *c;
	int status;

	if (child < 0)
		return -errno;
	if (!child) {
		alarm(2);
		/* Not one that would have it make children, too. */
		other.op = c->word[0] % (nr_calls - 1);
		call_run(w, &other);
		_exit(0);
	}
	if (c->word[1] & 1)
		kill(child, SIGKILL);
	return waitpid(child, &status, 0);
}

static int do_device(struct world *w, const struct call *c)
{
	char info[256] __attribute__((aligned(8))) = "";
	int fd = world_fd(w, FD_DEVICE, 0);

	if (!w->has_device)
		return 0;
	memcpy(info, &(uint32_t){ sizeof(info) }, sizeof(uint32_t));
	memcpy(info + 8, &c->word[2], sizeof(uint32_t));
	switch (c->word[0] % 8) {
	case 0:
		return vdev_set_command(&w->device, c->word[1]);
	case 1:
		return vdev_command(&w->device);
	case 2:
		return vdev_bus_master(&w->device, c->word[1] & 1);
	case 3:
		return vdev_irqs(&w->device, c->word[1] % 5, NULL, 0);
	case 4:
		return ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info);
	case 5:
		return ioctl(fd, VFIO_DEVICE_GET_INFO, info);
	case 6:
		return pread(fd, w->buffer, c->word[1] % 300, w->device.config + c->word[2] % 300);
	default:
		return c->word[1] % 16 ? 0 : vdev_reset(&w->device);
	}
}

static int do_dma_map(struct world *w, const struct call *c)
{
	void *at = guest_page(w, c->word[0]);

	if (!w->has_device)
		return 0;
	return c->word[2] & 1 ?
		vdev_map(&w->device, at, VM_DATA + ((char *)at - w->mem),
			 guest_bytes(w, at, c->word[1])) :
		vdev_unmap(&w->device, VM_DATA, WORLD_SLOTS * WORLD_SLOT_PAGES * PAGE_SIZE);
}

#define T_RUNS(_type)							\
	FIELD(_type, flags, F_FLAGS, 0),				\
	FIELD(_type, runs, F_ITEMS, ITEM_RUN),				\
	FIELD(_type, nr_runs, F_RANGE, 64),				\
	FIELD(_type, run_size, F_ITEM_SIZE, sizeof(struct kvmx_run))

#define T_PREDICT(_fd)							\
	OP(KVMX_PREDICT, struct kvmx_predict, _fd, FD_KINDS,		\
	   FIELD(struct kvmx_predict, flags, F_FLAGS, 3),		\
	   FIELD(struct kvmx_predict, bandwidth, F_NUMBER, 1 << 30),	\
	   FIELD(struct kvmx_predict, allowed_ns, F_NUMBER, 300000000),	\
	   FIELD(struct kvmx_predict, page_bytes, F_RANGE, 65536),	\
	   FIELD(struct kvmx_predict, min_permille, F_RANGE, 1000),	\
	   FIELD(struct kvmx_predict, points, F_ITEMS, ITEM_POINT),	\
	   FIELD(struct kvmx_predict, nr_points, F_RANGE, KVMX_MAX_POINTS),	\
	   FIELD(struct kvmx_predict, point_size, F_ITEM_SIZE, sizeof(struct kvmx_point)),	\
	   FIELD(struct kvmx_predict, total_pages, F_NUMBER, 100000),	\
	   FIELD(struct kvmx_predict, remaining_pages, F_NUMBER, 1000),	\
	   FIELD(struct kvmx_predict, fixed_ns, F_NUMBER, 1000000))

#define T_DMA(_cmd, _type)						\
	OP(_cmd, _type, FD_VM, FD_KINDS,				\
	   FIELD(_type, flags, F_FLAGS, KVMX_DMA_ALWAYS),		\
	   FIELD(_type, gfn, F_GFN, 0),					\
	   FIELD(_type, npages, F_NPAGES, 0),				\
	   FIELD(_type, slot, F_RANGE, 1),				\
	   FIELD(_type, __reserved, F_RESERVED, 0))

#define T_LEASE(_cmd, _type)						\
	OP(_cmd, _type, FD_SYSTEM, FD_KINDS,				\
	   FIELD(_type, flags, F_FLAGS, KVMX_LEASE_FORCE),		\
	   FIELD(_type, uuid, F_BYTES, KVMX_UUID_LEN),			\
	   FIELD(_type, devices, F_ITEMS, ITEM_ADDR),			\
	   FIELD(_type, nr_devices, F_RANGE, 2),			\
	   FIELD(_type, device_size, F_ITEM_SIZE, sizeof(struct kvmx_pci_addr)))

static const struct op ops[] = {
	OP(KVMX_INFO, struct kvmx_info, FD_SYSTEM, FD_KINDS,
	   FIELD(struct kvmx_info, flags, F_FLAGS, 0)),
	OP(KVMX_FEATURE, struct kvmx_feature, FD_SYSTEM, FD_KINDS,
	   FIELD(struct kvmx_feature, flags, F_FLAGS, 0),
	   FIELD(struct kvmx_feature, feature, F_RANGE, KVMX_FEAT_NR)),
	OP(KVMX_VM_OPEN, struct kvmx_vm_open, FD_SYSTEM, FD_VM,
	   FIELD(struct kvmx_vm_open, flags, F_FLAGS, 0),
	   FIELD(struct kvmx_vm_open, vm_fd, F_FD, FD_KVM_VM),
	   FIELD(struct kvmx_vm_open, uuid, F_BYTES, KVMX_UUID_LEN),
	   FIELD(struct kvmx_vm_open, label, F_BYTES, KVMX_LABEL_LEN)),
	T_PREDICT(FD_SYSTEM),
	T_PREDICT(FD_VM),
	T_PREDICT(FD_TRACKER),
	OP(KVMX_VM_INFO, struct kvmx_vm_info, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_info, flags, F_FLAGS, 0)),
	OP(KVMX_VM_SLOTS, struct kvmx_vm_slots, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_slots, flags, F_FLAGS, 0),
	   FIELD(struct kvmx_vm_slots, slots, F_ITEMS, ITEM_OUT),
	   FIELD(struct kvmx_vm_slots, nr_slots, F_RANGE, 20),
	   FIELD(struct kvmx_vm_slots, slot_size, F_ITEM_SIZE, sizeof(struct kvmx_slot))),
	OP(KVMX_VM_MARK, struct kvmx_vm_mark, FD_VM, FD_KINDS, T_RUNS(struct kvmx_vm_mark)),
	OP(KVMX_RESTORE, struct kvmx_restore, FD_TRACKER, FD_KINDS,
	   T_RUNS(struct kvmx_restore)),
	OP(KVMX_VM_SAMPLE, struct kvmx_vm_sample, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_sample, flags, F_FLAGS, 0),
	   FIELD(struct kvmx_vm_sample, nr_samples, F_RANGE, 64),
	   FIELD(struct kvmx_vm_sample, nr_points, F_RANGE, KVMX_MAX_POINTS),
	   FIELD(struct kvmx_vm_sample, duration_ns, F_RANGE, 3000000),
	   FIELD(struct kvmx_vm_sample, points, F_ITEMS, ITEM_OUT),
	   FIELD(struct kvmx_vm_sample, point_size, F_ITEM_SIZE, sizeof(struct kvmx_point))),
	OP(KVMX_VM_STATS, struct kvmx_vm_stats, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_stats, flags, F_FLAGS, 0)),
	OP(KVMX_TRACKER_CREATE, struct kvmx_tracker_create, FD_VM, FD_TRACKER,
	   FIELD(struct kvmx_tracker_create, flags, F_FLAGS, 3)),
	OP(KVMX_HARVEST, struct kvmx_harvest, FD_TRACKER, FD_KINDS,
	   FIELD(struct kvmx_harvest, flags, F_FLAGS, KVMX_HARVEST_PEEK | KVMX_HARVEST_ABSENT),
	   FIELD(struct kvmx_harvest, runs, F_ITEMS, ITEM_OUT),
	   FIELD(struct kvmx_harvest, nr_runs, F_RANGE, 1000),
	   FIELD(struct kvmx_harvest, run_size, F_ITEM_SIZE, sizeof(struct kvmx_run)),
	   FIELD(struct kvmx_harvest, cursor, F_RANGE, 2000),
	   FIELD(struct kvmx_harvest, max_pages, F_RANGE, 3)),
	OP(KVMX_HARVEST, struct kvmx_harvest, FD_TRACKER, FD_KINDS,
	   FIELD(struct kvmx_harvest, flags, F_ITEM_SIZE, KVMX_HARVEST_COLLECT),
	   FIELD(struct kvmx_harvest, run_size, F_ITEM_SIZE, sizeof(struct kvmx_run))),
	OP(KVMX_TRACKER_STATS, struct kvmx_tracker_stats, FD_TRACKER, FD_KINDS,
	   FIELD(struct kvmx_tracker_stats, flags, F_FLAGS, 0)),
	OP(KVMX_TRACKER_CURVE, struct kvmx_tracker_curve, FD_TRACKER, FD_KINDS,
	   FIELD(struct kvmx_tracker_curve, flags, F_FLAGS, 0),
	   FIELD(struct kvmx_tracker_curve, nr_points, F_RANGE, KVMX_MAX_POINTS),
	   FIELD(struct kvmx_tracker_curve, point_size, F_ITEM_SIZE, sizeof(struct kvmx_point)),
	   FIELD(struct kvmx_tracker_curve, points, F_ITEMS, ITEM_OUT)),
	OP(KVMX_KSM_HOST_SET, struct kvmx_ksm_host_set, FD_SYSTEM, FD_KINDS,
	   FIELD(struct kvmx_ksm_host_set, flags, F_FLAGS, 3),
	   FIELD(struct kvmx_ksm_host_set, policy.mode, F_RANGE, 1),
	   FIELD(struct kvmx_ksm_host_set, policy.domains, F_RANGE, 1),
	   FIELD(struct kvmx_ksm_host_set, policy.foreign, F_RANGE, 1),
	   FIELD(struct kvmx_ksm_host_set, policy.cpu_permille, F_RANGE, 1000),
	   FIELD(struct kvmx_ksm_host_set, policy.interval_ns, F_NUMBER, 100000000),
	   FIELD(struct kvmx_ksm_host_set, policy.settle_ns, F_NUMBER, 10000000),
	   FIELD(struct kvmx_ksm_host_set, policy.epoch_ns, F_NUMBER, 1000000000),
	   FIELD(struct kvmx_ksm_host_set, policy.page_ns, F_NUMBER, 1000)),
	OP(KVMX_KSM_HOST_GET, struct kvmx_ksm_host_get, FD_SYSTEM, FD_KINDS,
	   FIELD(struct kvmx_ksm_host_get, flags, F_FLAGS, 0)),
	OP(KVMX_KSM_PLAN, struct kvmx_ksm_plan, FD_SYSTEM, FD_KINDS,
	   FIELD(struct kvmx_ksm_plan, flags, F_FLAGS, 0),
	   FIELD(struct kvmx_ksm_plan, vms, F_ITEMS, ITEM_OUT),
	   FIELD(struct kvmx_ksm_plan, nr_vms, F_RANGE, 8),
	   FIELD(struct kvmx_ksm_plan, vm_size, F_ITEM_SIZE, sizeof(struct kvmx_ksm_plan_vm))),
	OP(KVMX_VM_KSM_SET, struct kvmx_vm_ksm_set, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_ksm_set, flags, F_FLAGS, 3),
	   FIELD(struct kvmx_vm_ksm_set, mode, F_RANGE, 3),
	   FIELD(struct kvmx_vm_ksm_set, weight, F_RANGE, KVMX_KSM_MAX_WEIGHT),
	   FIELD(struct kvmx_vm_ksm_set, domain, F_BYTES, KVMX_UUID_LEN)),
	OP(KVMX_VM_KSM_GET, struct kvmx_vm_ksm_get, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_ksm_get, flags, F_FLAGS, 0)),
	OP(KVMX_VM_KSM_PIN, struct kvmx_vm_ksm_pin, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_ksm_pin, flags, F_FLAGS, KVMX_VM_KSM_UNPIN),
	   FIELD(struct kvmx_vm_ksm_pin, gfn, F_GFN, 0),
	   FIELD(struct kvmx_vm_ksm_pin, npages, F_NPAGES, 0)),
	T_LEASE(KVMX_LEASE_ACQUIRE, struct kvmx_lease_acquire),
	T_LEASE(KVMX_LEASE_RELEASE, struct kvmx_lease_release),
	OP(KVMX_LEASE_LIST, struct kvmx_lease_list, FD_SYSTEM, FD_KINDS,
	   FIELD(struct kvmx_lease_list, flags, F_FLAGS, 0),
	   FIELD(struct kvmx_lease_list, leases, F_ITEMS, ITEM_OUT),
	   FIELD(struct kvmx_lease_list, nr_leases, F_RANGE, 8),
	   FIELD(struct kvmx_lease_list, lease_size, F_ITEM_SIZE, sizeof(struct kvmx_lease))),
	OP(KVMX_DEV_REPORT, struct kvmx_dev_report, FD_SYSTEM, FD_KINDS,
	   FIELD(struct kvmx_dev_report, flags, F_FLAGS, KVMX_DEV_NEXT),
	   FIELD(struct kvmx_dev_report, addr.bus, F_RANGE, 8),
	   FIELD(struct kvmx_dev_report, members, F_ITEMS, ITEM_OUT),
	   FIELD(struct kvmx_dev_report, nr_members, F_RANGE, 8),
	   FIELD(struct kvmx_dev_report, member_size, F_ITEM_SIZE,
		 sizeof(struct kvmx_dev_member))),
	T_DMA(KVMX_DMA_DECLARE, struct kvmx_dma_declare),
	T_DMA(KVMX_DMA_WITHDRAW, struct kvmx_dma_withdraw),
	OP(KVMX_VM_QUIESCE, struct kvmx_vm_quiesce, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_quiesce, flags, F_FLAGS, 3)),
	OP(KVMX_VM_RESUME, struct kvmx_vm_resume, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_resume, flags, F_FLAGS, 0)),
	OP(KVMX_VM_DEVICES, struct kvmx_vm_devices, FD_VM, FD_KINDS,
	   FIELD(struct kvmx_vm_devices, flags, F_FLAGS, 0),
	   FIELD(struct kvmx_vm_devices, devices, F_ITEMS, ITEM_OUT),
	   FIELD(struct kvmx_vm_devices, nr_devices, F_RANGE, 4),
	   FIELD(struct kvmx_vm_devices, device_size, F_ITEM_SIZE,
		 sizeof(struct kvmx_vm_device))),
	RUN(do_open),
	RUN(do_close),
	RUN(do_dup),
	RUN(do_read),
	RUN(do_madvise),
	RUN(do_unmap),
	RUN(do_remap),
	RUN(do_protect),
	RUN(do_write_memory),
	RUN(do_memslot),
	RUN(do_kvm_log),
	RUN(do_guest),
	RUN(do_device),
	RUN(do_dma_map),
	/* The last one: see there. */
	RUN(do_fork),
};

const uint32_t nr_calls = sizeof(ops) / sizeof(ops[0]);

int call_run(struct world *w, const struct call *c)
{
	const struct op *op = &ops[c->op];

	return op->run ? op->run(w, c) : run_ioctl(w, op, c);
}
