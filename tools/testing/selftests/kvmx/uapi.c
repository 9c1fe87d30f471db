// SPDX-License-Identifier: GPL-2.0
/*
 * What all ioctls have in common, tried on each: sizes, flags, reserved fields, pointers, the
 * kind of file descriptor, and that nothing uninitialised comes out.
 */
#include <errno.h>
#include <fcntl.h>
#include <kselftest_harness.h>
#include <sys/ioctl.h>

#include "lib/kx.h"
#include "lib/vm.h"

#define POISON 0xa5
#define BIG (2 * PAGE_SIZE)

enum fd_kind { FD_SYSTEM, FD_VM, FD_TRACKER, FD_KINDS };

#define ON(kind) (1U << (kind))

/* What the valid arguments point to. */
struct buffers {
	struct kvmx_slot slots[8];
	struct kvmx_run runs[64];
	struct kvmx_point points[KVMX_MAX_POINTS];
	struct kvmx_point curve[2];
	struct kvmx_ksm_plan_vm plan[8];
};

struct context {
	struct vm vm;
	int fd[FD_KINDS];
	struct buffers *buf;
};

struct field {
	uint16_t offset;
	uint16_t len;
};

#define AT(type, member) offsetof(struct type, member)

struct op {
	const char *name;
	unsigned long nr;
	uint32_t kinds;
	uint16_t size;
	uint32_t flags;			/* those that it knows */
	bool returns_fd;
	void (*fill)(struct context *ctx, void *arg);
	struct field reserved;
	struct field out[13];
	/* The user pointer of the struct, if it has one */
	struct field pointer;
};

static void fill_feature(struct context *ctx, void *p)
{
	struct kvmx_feature *arg = p;

	(void)ctx;
	arg->feature = KVMX_FEAT_TRACKER;
}

static void fill_open(struct context *ctx, void *p)
{
	struct kvmx_vm_open *arg = p;

	arg->vm_fd = ctx->vm.fd;
}

static void fill_slots(struct context *ctx, void *p)
{
	struct kvmx_vm_slots *arg = p;

	arg->slots = (uintptr_t)ctx->buf->slots;
	arg->nr_slots = 8;
	arg->slot_size = sizeof(struct kvmx_slot);
}

static void fill_mark(struct context *ctx, void *p)
{
	struct kvmx_vm_mark *arg = p;

	ctx->buf->runs[0] = (struct kvmx_run){ .gfn = VM_DATA_GFN, .npages = 1 };
	arg->runs = (uintptr_t)ctx->buf->runs;
	arg->nr_runs = 1;
	arg->run_size = sizeof(struct kvmx_run);
}

static void fill_sample(struct context *ctx, void *p)
{
	struct kvmx_vm_sample *arg = p;

	arg->nr_samples = 4;
	arg->nr_points = 2;
	arg->duration_ns = 1000000;
	arg->points = (uintptr_t)ctx->buf->points;
	arg->point_size = sizeof(struct kvmx_point);
}

static void fill_harvest(struct context *ctx, void *p)
{
	struct kvmx_harvest *arg = p;

	arg->runs = (uintptr_t)ctx->buf->runs;
	arg->nr_runs = 64;
	arg->run_size = sizeof(struct kvmx_run);
}

static void fill_restore(struct context *ctx, void *p)
{
	struct kvmx_restore *arg = p;

	ctx->buf->runs[0] = (struct kvmx_run){ .gfn = VM_DATA_GFN, .npages = 1 };
	arg->runs = (uintptr_t)ctx->buf->runs;
	arg->nr_runs = 1;
	arg->run_size = sizeof(struct kvmx_run);
}

static void fill_curve(struct context *ctx, void *p)
{
	struct kvmx_tracker_curve *arg = p;

	arg->points = (uintptr_t)ctx->buf->points;
	arg->nr_points = KVMX_MAX_POINTS;
	arg->point_size = sizeof(struct kvmx_point);
}

static void fill_predict(struct context *ctx, void *p)
{
	struct kvmx_predict *arg = p;

	ctx->buf->curve[0] = (struct kvmx_point){ .time_ns = 1000000000, .pages = 1000 };
	ctx->buf->curve[1] = (struct kvmx_point){ .time_ns = 2000000000, .pages = 1500 };
	arg->flags = KVMX_PREDICT_POINTS;
	arg->bandwidth = 100000000;
	arg->allowed_ns = 300000000;
	arg->page_bytes = 4096;
	arg->min_permille = 1000;
	arg->points = (uintptr_t)ctx->buf->curve;
	arg->nr_points = 2;
	arg->point_size = sizeof(struct kvmx_point);
	arg->total_pages = 65536;
	arg->remaining_pages = ~0ULL;
}

static void fill_plan(struct context *ctx, void *p)
{
	struct kvmx_vm_ksm_set mode = KX_ARG(kvmx_vm_ksm_set, .mode = KVMX_KSM_AUTO);
	struct kvmx_ksm_plan *arg = p;

	/* There is no plan without a VM. */
	kx_ioctl(ctx->fd[FD_VM], KVMX_VM_KSM_SET, &mode);
	arg->vms = (uintptr_t)ctx->buf->plan;
	arg->nr_vms = 8;
	arg->vm_size = sizeof(struct kvmx_ksm_plan_vm);
}

static void fill_ksm_set(struct context *ctx, void *p)
{
	struct kvmx_vm_ksm_set *arg = p;

	(void)ctx;
	arg->mode = KVMX_KSM_AUTO;
}

static void fill_pin(struct context *ctx, void *p)
{
	struct kvmx_vm_ksm_pin *arg = p;

	(void)ctx;
	arg->gfn = VM_DATA_GFN;
	arg->npages = 1;
}

static void fill_nothing(struct context *ctx, void *p)
{
	(void)ctx;
	(void)p;
}

static const struct op ops[] = {
	{
		.name = "INFO", .nr = KVMX_INFO, .kinds = ON(FD_SYSTEM),
		.size = sizeof(struct kvmx_info), .fill = fill_nothing,
		.out = {
			{ AT(kvmx_info, features), 8 },
			{ AT(kvmx_info, max_runs), 4 },
			{ AT(kvmx_info, max_trackers), 4 },
			{ AT(kvmx_info, max_samples), 4 },
			{ AT(kvmx_info, max_points), 4 },
		},
	},
	{
		.name = "FEATURE", .nr = KVMX_FEATURE, .kinds = ON(FD_SYSTEM),
		.size = sizeof(struct kvmx_feature), .fill = fill_feature,
		.reserved = { AT(kvmx_feature, __reserved), 4 },
		.out = {
			{ AT(kvmx_feature, value), 8 },
		},
	},
	{
		.name = "VM_OPEN", .nr = KVMX_VM_OPEN, .kinds = ON(FD_SYSTEM),
		.size = sizeof(struct kvmx_vm_open), .fill = fill_open, .returns_fd = true,
		.reserved = { AT(kvmx_vm_open, __reserved), 4 },
	},
	{
		.name = "PREDICT", .nr = KVMX_PREDICT,
		.kinds = ON(FD_SYSTEM) | ON(FD_VM) | ON(FD_TRACKER),
		.size = sizeof(struct kvmx_predict), .fill = fill_predict,
		.flags = KVMX_PREDICT_DEFER | KVMX_PREDICT_POINTS,
		.reserved = { AT(kvmx_predict, __reserved), 4 },
		.pointer = { AT(kvmx_predict, points), 8 },
		.out = {
			{ AT(kvmx_predict, verdict), 4 },
			{ AT(kvmx_predict, rounds), 4 },
			{ AT(kvmx_predict, bytes), 8 },
			{ AT(kvmx_predict, total_ns), 8 },
			{ AT(kvmx_predict, pause_ns), 8 },
			{ AT(kvmx_predict, offline_ns), 8 },
			{ AT(kvmx_predict, vcpu_permille), 4 },
		},
	},
	{
		.name = "VM_INFO", .nr = KVMX_VM_INFO, .kinds = ON(FD_VM),
		.size = sizeof(struct kvmx_vm_info), .fill = fill_nothing,
		.out = {
			{ AT(kvmx_vm_info, uuid), 16 },
			{ AT(kvmx_vm_info, label), 32 },
			{ AT(kvmx_vm_info, state), 4 },
			{ AT(kvmx_vm_info, nr_slots), 4 },
			{ AT(kvmx_vm_info, nr_pages), 8 },
			{ AT(kvmx_vm_info, nr_vcpus), 4 },
			{ AT(kvmx_vm_info, nr_trackers), 4 },
			{ AT(kvmx_vm_info, nr_handles), 4 },
			{ AT(kvmx_vm_info, ring_bytes), 4 },
			{ AT(kvmx_vm_info, generation), 8 },
		},
	},
	{
		.name = "VM_SLOTS", .nr = KVMX_VM_SLOTS, .kinds = ON(FD_VM),
		.size = sizeof(struct kvmx_vm_slots), .fill = fill_slots,
		.pointer = { AT(kvmx_vm_slots, slots), 8 },
	},
	{
		.name = "VM_MARK", .nr = KVMX_VM_MARK, .kinds = ON(FD_VM),
		.size = sizeof(struct kvmx_vm_mark), .fill = fill_mark,
		.pointer = { AT(kvmx_vm_mark, runs), 8 },
		.out = {
			{ AT(kvmx_vm_mark, dropped), 8 },
		},
	},
	{
		.name = "VM_STATS", .nr = KVMX_VM_STATS, .kinds = ON(FD_VM),
		.size = sizeof(struct kvmx_vm_stats), .fill = fill_nothing,
		.out = {
			{ AT(kvmx_vm_stats, harvests), 8 },
			{ AT(kvmx_vm_stats, collected_pages), 8 },
			{ AT(kvmx_vm_stats, clear_calls), 8 },
			{ AT(kvmx_vm_stats, marked_pages), 8 },
			{ AT(kvmx_vm_stats, slot_changes), 8 },
			{ AT(kvmx_vm_stats, log_disturbed), 8 },
			{ AT(kvmx_vm_stats, samples), 8 },
			{ AT(kvmx_vm_stats, predictions), 8 },
			{ AT(kvmx_vm_stats, bytes), 8 },
			{ AT(kvmx_vm_stats, events_lost), 8 },
		},
	},
	{
		.name = "HARVEST", .nr = KVMX_HARVEST, .kinds = ON(FD_TRACKER),
		.size = sizeof(struct kvmx_harvest), .fill = fill_harvest,
		.flags = KVMX_HARVEST_PEEK | KVMX_HARVEST_COLLECT | KVMX_HARVEST_ABSENT,
		.reserved = { AT(kvmx_harvest, __reserved), 4 },
		.pointer = { AT(kvmx_harvest, runs), 8 },
		.out = {
			{ AT(kvmx_harvest, nr_pages), 8 },
			{ AT(kvmx_harvest, status), 4 },
		},
	},
	{
		.name = "RESTORE", .nr = KVMX_RESTORE, .kinds = ON(FD_TRACKER),
		.size = sizeof(struct kvmx_restore), .fill = fill_restore,
		.pointer = { AT(kvmx_restore, runs), 8 },
		.out = {
			{ AT(kvmx_restore, dropped), 8 },
		},
	},
	{
		.name = "TRACKER_STATS", .nr = KVMX_TRACKER_STATS, .kinds = ON(FD_TRACKER),
		.size = sizeof(struct kvmx_tracker_stats), .fill = fill_nothing,
		.reserved = { AT(kvmx_tracker_stats, __reserved), 4 },
		.out = {
			{ AT(kvmx_tracker_stats, backend), 4 },
			{ AT(kvmx_tracker_stats, passes), 8 },
			{ AT(kvmx_tracker_stats, harvested_pages), 8 },
			{ AT(kvmx_tracker_stats, absent_pages), 8 },
			{ AT(kvmx_tracker_stats, restored_pages), 8 },
			{ AT(kvmx_tracker_stats, pending_pages), 8 },
			{ AT(kvmx_tracker_stats, overreported_pages), 8 },
			{ AT(kvmx_tracker_stats, last_pass_pages), 8 },
			{ AT(kvmx_tracker_stats, last_interval_ns), 8 },
			{ AT(kvmx_tracker_stats, bytes), 8 },
		},
	},
	{
		.name = "TRACKER_CURVE", .nr = KVMX_TRACKER_CURVE, .kinds = ON(FD_TRACKER),
		.size = sizeof(struct kvmx_tracker_curve), .fill = fill_curve,
		.pointer = { AT(kvmx_tracker_curve, points), 8 },
		.out = {
			{ AT(kvmx_tracker_curve, total_pages), 8 },
		},
	},
	{
		.name = "KSM_HOST_SET", .nr = KVMX_KSM_HOST_SET, .kinds = ON(FD_SYSTEM),
		.size = sizeof(struct kvmx_ksm_host_set), .fill = fill_nothing,
		.flags = KVMX_KSM_HOST_BIND | KVMX_KSM_HOST_TAKE,
		.reserved = { AT(kvmx_ksm_host_set, policy.__reserved), 64 },
	},
	{
		.name = "KSM_HOST_GET", .nr = KVMX_KSM_HOST_GET, .kinds = ON(FD_SYSTEM),
		.size = sizeof(struct kvmx_ksm_host_get), .fill = fill_nothing,
		.out = {
			{ AT(kvmx_ksm_host_get, policy), sizeof(struct kvmx_ksm_policy) },
			{ AT(kvmx_ksm_host_get, state), 4 },
			{ AT(kvmx_ksm_host_get, why), 12 },
			{ AT(kvmx_ksm_host_get, knobs), 8 },
			{ AT(kvmx_ksm_host_get, knob), KVMX_KSM_KNOB_LEN },
			{ AT(kvmx_ksm_host_get, live_domain), KVMX_UUID_LEN },
			{ AT(kvmx_ksm_host_get, nr_vms), 16 },
			{ AT(kvmx_ksm_host_get, pages), 64 },
			{ AT(kvmx_ksm_host_get, mergeable_pages), 48 },
			{ AT(kvmx_ksm_host_get, epochs), 56 },
			{ AT(kvmx_ksm_host_get, ksmd_ns), 72 },
		},
	},
	{
		.name = "KSM_PLAN", .nr = KVMX_KSM_PLAN, .kinds = ON(FD_SYSTEM),
		.size = sizeof(struct kvmx_ksm_plan), .fill = fill_plan,
		.flags = KVMX_KSM_PLAN_FRESH,
		.reserved = { AT(kvmx_ksm_plan, __reserved), 4 },
		.pointer = { AT(kvmx_ksm_plan, vms), 8 },
		.out = {
			{ AT(kvmx_ksm_plan, epoch), 4 },
			{ AT(kvmx_ksm_plan, scans), 4 },
			{ AT(kvmx_ksm_plan, why), 4 },
			{ AT(kvmx_ksm_plan, why_arg), 8 },
			{ AT(kvmx_ksm_plan, domain), KVMX_UUID_LEN },
			{ AT(kvmx_ksm_plan, gain_pages), 8 },
			{ AT(kvmx_ksm_plan, cost_ns), 8 },
			{ AT(kvmx_ksm_plan, unmerge_pages), 8 },
		},
	},
	{
		.name = "VM_KSM_SET", .nr = KVMX_VM_KSM_SET, .kinds = ON(FD_VM),
		.size = sizeof(struct kvmx_vm_ksm_set), .fill = fill_ksm_set,
		.flags = KVMX_VM_KSM_DOMAIN | KVMX_VM_KSM_KEEP,
	},
	{
		.name = "VM_KSM_GET", .nr = KVMX_VM_KSM_GET, .kinds = ON(FD_VM),
		.size = sizeof(struct kvmx_vm_ksm_get), .fill = fill_nothing,
		.out = {
			{ AT(kvmx_vm_ksm_get, mode), 8 },
			{ AT(kvmx_vm_ksm_get, domain), KVMX_UUID_LEN },
			{ AT(kvmx_vm_ksm_get, state), 8 },
			{ AT(kvmx_vm_ksm_get, why_arg), 24 },
			{ AT(kvmx_vm_ksm_get, mergeable_pages), 56 },
			{ AT(kvmx_vm_ksm_get, shared_pages), 56 },
		},
	},
	{
		.name = "VM_KSM_PIN", .nr = KVMX_VM_KSM_PIN, .kinds = ON(FD_VM),
		.size = sizeof(struct kvmx_vm_ksm_pin), .fill = fill_pin,
		.flags = KVMX_VM_KSM_UNPIN,
	},
	/* The last two want a VM without trackers. */
	{
		.name = "VM_SAMPLE", .nr = KVMX_VM_SAMPLE, .kinds = ON(FD_VM),
		.size = sizeof(struct kvmx_vm_sample), .fill = fill_sample,
		.reserved = { AT(kvmx_vm_sample, __reserved), 4 },
		.pointer = { AT(kvmx_vm_sample, points), 8 },
		.out = {
			{ AT(kvmx_vm_sample, total_pages), 8 },
			{ AT(kvmx_vm_sample, err_permille), 8 },
		},
	},
	{
		.name = "TRACKER_CREATE", .nr = KVMX_TRACKER_CREATE, .kinds = ON(FD_VM),
		.size = sizeof(struct kvmx_tracker_create), .fill = fill_nothing,
		.flags = KVMX_TRACKER_CLEAN | KVMX_TRACKER_MIGRATION, .returns_fd = true,
	},
};

static bool without_tracker(const struct op *op)
{
	return op->nr == KVMX_VM_SAMPLE || op->nr == KVMX_TRACKER_CREATE;
}

FIXTURE(uapi) {
	/* One VM with a tracker, one without. */
	struct context ctx[2];
	/* Room for any size a test claims */
	char *arg;
};

static void harvest_once(struct context *ctx)
{
	struct kvmx_harvest arg = KX_ARG(kvmx_harvest);

	fill_harvest(ctx, &arg);
	kx_ioctl(ctx->fd[FD_TRACKER], KVMX_HARVEST, &arg);
}

FIXTURE_SETUP(uapi)
{
	struct context *ctx;
	int i, k;

	self->arg = mmap(NULL, BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->arg);
	for (i = 0; i < 2; i++) {
		ctx = &self->ctx[i];
		ctx->buf = calloc(1, sizeof(*ctx->buf));
		ASSERT_NE(NULL, ctx->buf);
		ASSERT_EQ(0, vm_create(&ctx->vm, 0));
		ASSERT_EQ(0, vm_add_slot(&ctx->vm, 1, VM_DATA_GFN, 64, MEM_ANON, 0));
		ctx->fd[FD_SYSTEM] = kx_system();
		ASSERT_LE(0, ctx->fd[FD_SYSTEM]);
		ctx->fd[FD_VM] = kx_vm(ctx->vm.fd);
		ASSERT_LE(0, ctx->fd[FD_VM]);
		ctx->fd[FD_TRACKER] = -1;
	}
	ctx = &self->ctx[0];
	ctx->fd[FD_TRACKER] = kx_tracker(ctx->fd[FD_VM], 0);
	ASSERT_LE(0, ctx->fd[FD_TRACKER]);
	/* TRACKER_CURVE wants two passes. */
	for (k = 0; k < 3; k++) {
		harvest_once(ctx);
		sleep_ms(1);
	}
}

FIXTURE_TEARDOWN(uapi)
{
	int i, kind;

	for (i = 0; i < 2; i++) {
		for (kind = FD_TRACKER; kind >= 0; kind--)
			close(self->ctx[i].fd[kind]);
		vm_destroy(&self->ctx[i].vm);
		free(self->ctx[i].buf);
	}
	munmap(self->arg, BIG);
}

/* A valid argument at @at that claims @size bytes. */
static void *valid(struct context *ctx, const struct op *op, void *at, uint32_t size)
{
	memset(at, 0, op->size);
	*(uint32_t *)at = size;
	op->fill(ctx, at);
	return at;
}

/* What an ioctl gave, without keeping the fd it may have made. */
static int call(const struct op *op, int fd, void *arg)
{
	int ret = kx_ioctl(fd, op->nr, arg);

	if (op->returns_fd && ret >= 0) {
		close(ret);
		return 0;
	}
	return ret;
}

/* Each operation on each kind of file descriptor that has it. */
struct target {
	const struct op *op;
	struct context *ctx;
	int kind;
};

static bool next_target(struct context *ctx, struct target *t)
{
	if (!t->op) {
		t->op = ops;
		t->kind = -1;
	}
	for (; t->op < ops + ARRAY_SIZE(ops); t->op++, t->kind = -1) {
		while (++t->kind < FD_KINDS) {
			if (!(t->op->kinds & ON(t->kind)))
				continue;
			t->ctx = &ctx[without_tracker(t->op)];
			return true;
		}
	}
	return false;
}

#define TRY(_arg) call(t.op, t.ctx->fd[t.kind], (_arg))
#define VALID(_size) valid(t.ctx, t.op, self->arg, (_size))
#define EXPECT_TRY(_want, _arg) \
do { \
	int ret = TRY(_arg); \
\
	EXPECT_EQ((_want), ret) \
		TH_LOG("%s on fd kind %d", t.op->name, t.kind); \
} while (0)

TEST_F(uapi, valid_input)
{
	struct target t = { 0 };

	while (next_target(self->ctx, &t)) {
		ASSERT_EQ(0, TRY(VALID(t.op->size)));
		/* The size is the caller's. */
		EXPECT_EQ(t.op->size, *(uint32_t *)self->arg);
	}
}

TEST_F(uapi, size_too_small)
{
	struct target t = { 0 };

	while (next_target(self->ctx, &t)) {
		EXPECT_TRY(-EINVAL, VALID(t.op->size - 1));
		EXPECT_TRY(-EINVAL, VALID(4));
		EXPECT_TRY(-EINVAL, VALID(0));
	}
}

TEST_F(uapi, larger_with_zero_tail)
{
	struct target t = { 0 };

	while (next_target(self->ctx, &t)) {
		memset(self->arg, 0, BIG);
		EXPECT_TRY(0, VALID(t.op->size + 1));
		EXPECT_TRY(0, VALID(t.op->size + 64));
		EXPECT_TRY(0, VALID(PAGE_SIZE));
		EXPECT_TRUE(all_bytes(self->arg + t.op->size, 0, BIG - t.op->size));
	}
}

TEST_F(uapi, larger_with_other_tail)
{
	struct target t = { 0 };

	while (next_target(self->ctx, &t)) {
		memset(self->arg, 0, BIG);
		self->arg[t.op->size] = 1;
		EXPECT_TRY(-E2BIG, VALID(t.op->size + 1));
		EXPECT_TRY(-E2BIG, VALID(PAGE_SIZE));
		self->arg[t.op->size] = 0;
		self->arg[PAGE_SIZE - 1] = 1;
		EXPECT_TRY(-E2BIG, VALID(PAGE_SIZE));
		/* Behind the claimed size nobody looks. */
		EXPECT_TRY(0, VALID(PAGE_SIZE - 1));
	}
}

TEST_F(uapi, larger_than_a_page)
{
	struct target t = { 0 };

	while (next_target(self->ctx, &t)) {
		memset(self->arg, 0, BIG);
		EXPECT_TRY(-E2BIG, VALID(PAGE_SIZE + 1));
		EXPECT_TRY(-E2BIG, VALID(~0U));
		EXPECT_TRY(-E2BIG, VALID(1U << 31));
	}
}

TEST_F(uapi, unknown_flags)
{
	struct target t = { 0 };
	uint32_t *arg, bit;

	while (next_target(self->ctx, &t)) {
		for (bit = 0; bit < 32; bit++) {
			if (t.op->flags & (1U << bit))
				continue;
			arg = VALID(t.op->size);
			arg[1] |= 1U << bit;
			EXPECT_TRY(-EOPNOTSUPP, arg);
		}
		arg = VALID(t.op->size);
		arg[1] = ~0U;
		EXPECT_TRY(-EOPNOTSUPP, arg);
	}
}

TEST_F(uapi, reserved_not_zero)
{
	struct target t = { 0 };
	const struct field *field;
	unsigned int i;
	char *arg;

	while (next_target(self->ctx, &t)) {
		field = &t.op->reserved;
		for (i = 0; i < field->len; i++) {
			arg = VALID(t.op->size);
			arg[field->offset + i] = 1;
			EXPECT_TRY(-EOPNOTSUPP, arg);
		}
		/* Out fields are no reserved ones: what lies there must not matter. */
		for (field = t.op->out; field->len; field++) {
			arg = VALID(t.op->size);
			memset(arg + field->offset, POISON, field->len);
			EXPECT_TRY(0, arg);
		}
	}
}

TEST_F(uapi, bad_struct_pointer)
{
	struct target t = { 0 };
	char *arg;

	while (next_target(self->ctx, &t)) {
		EXPECT_TRY(-EFAULT, NULL);
		EXPECT_TRY(-EFAULT, (void *)1);
		EXPECT_TRY(-EFAULT, (void *)(1UL << 63));
		EXPECT_TRY(-EFAULT, (void *)-8L);
		/* Only the size is there, or all but the last byte, or just all. */
		arg = map_before_hole(4);
		*(uint32_t *)arg = t.op->size;
		EXPECT_TRY(-EFAULT, arg);
		arg = map_before_hole(t.op->size - 1);
		memcpy(arg, VALID(t.op->size), t.op->size - 1);
		EXPECT_TRY(-EFAULT, arg);
		arg = map_before_hole(t.op->size);
		EXPECT_TRY(0, valid(t.ctx, t.op, arg, t.op->size));
		/* The claimed tail must be readable. */
		EXPECT_TRY(-EFAULT, valid(t.ctx, t.op, arg, t.op->size + 1));
	}
}

TEST_F(uapi, readonly_struct)
{
	struct target t = { 0 };
	char *arg;
	int want;

	while (next_target(self->ctx, &t)) {
		arg = map_readonly(VALID(t.op->size), t.op->size);
		ASSERT_NE(NULL, arg);
		want = t.op->out[0].len || t.op->nr == KVMX_VM_SLOTS ? -EFAULT : 0;
		EXPECT_TRY(want, arg);
	}
}

TEST_F(uapi, bad_array_pointer)
{
	static const uint64_t bad[] = { 0, 1, 1ULL << 63, ~7ULL, 0xffff800000000000ULL };
	struct target t = { 0 };
	const struct field *field;
	unsigned int i;
	char *arg;

	while (next_target(self->ctx, &t)) {
		field = &t.op->pointer;
		for (i = 0; field->len && i < ARRAY_SIZE(bad); i++) {
			/* HARVEST and RESTORE touch nothing if there is nothing to say. */
			kx_mark_pages(t.ctx->fd[FD_VM], VM_DATA_GFN, 1);
			arg = VALID(t.op->size);
			*(uint64_t *)(arg + field->offset) = bad[i];
			EXPECT_TRY(-EFAULT, arg);
		}
		EXPECT_TRY(0, VALID(t.op->size));
	}
}

TEST_F(uapi, wrong_kind_of_fd)
{
	struct target t = { 0 };
	int kind;

	while (next_target(self->ctx, &t)) {
		for (kind = FD_SYSTEM; kind < FD_KINDS; kind++) {
			if (t.op->kinds & ON(kind) || t.ctx->fd[kind] < 0)
				continue;
			EXPECT_EQ(-ENOTTY, call(t.op, t.ctx->fd[kind], VALID(t.op->size)))
				TH_LOG("kind %d", kind);
		}
		EXPECT_EQ(-ENOTTY, call(t.op, t.ctx->vm.fd, VALID(t.op->size)));
	}
}

TEST_F(uapi, nothing_uninitialised)
{
	struct target t = { 0 };
	const struct field *field;
	unsigned int i;
	char *arg;

	while (next_target(self->ctx, &t)) {
		/* Twice, with other poison: no value looks like both. */
		for (i = 0; i < 2; i++) {
			arg = VALID(t.op->size);
			for (field = t.op->out; field->len; field++)
				memset(arg + field->offset, i ? 0x5a : POISON, field->len);
			ASSERT_EQ(0, TRY(arg));
			for (field = t.op->out; field->len; field++)
				EXPECT_FALSE(all_bytes(arg + field->offset, i ? 0x5a : POISON,
						       field->len))
					TH_LOG("out field at %u", field->offset);
			if (t.op->reserved.len)
				EXPECT_TRUE(all_bytes(arg + t.op->reserved.offset, 0,
						      t.op->reserved.len));
		}
	}
}

/* Numbers nobody has: one behind the last of each group, other types, other directions. */
TEST(unknown_numbers)
{
	static const unsigned int nrs[] = { 0x04, 0x0f, 0x16, 0x1f, 0x24, 0x7f, 0xff };
	struct kvmx_info info = KX_ARG(kvmx_info);
	struct vm vm;
	int fd[FD_KINDS], kind;
	unsigned int i;

	ASSERT_EQ(0, vm_create(&vm, 0));
	fd[FD_SYSTEM] = kx_system();
	fd[FD_VM] = kx_vm(vm.fd);
	fd[FD_TRACKER] = kx_tracker(fd[FD_VM], 0);
	for (kind = 0; kind < FD_KINDS; kind++) {
		ASSERT_LE(0, fd[kind]);
		for (i = 0; i < ARRAY_SIZE(nrs); i++)
			EXPECT_EQ(-ENOTTY, kx_ioctl(fd[kind], _IO(KVMX_TYPE, nrs[i]), &info));
		/* KVM's own numbers do not get through. */
		EXPECT_EQ(-ENOTTY, kx_ioctl(fd[kind], KVM_CREATE_VCPU, &info));
		EXPECT_EQ(-ENOTTY, kx_ioctl(fd[kind], _IO(0xae, 0), &info));
		EXPECT_EQ(-ENOTTY, kx_ioctl(fd[kind], _IOWR(KVMX_TYPE, 0, struct kvmx_info),
					    &info));
	}
	for (kind = FD_TRACKER; kind >= 0; kind--)
		close(fd[kind]);
	vm_destroy(&vm);
}

TEST(info_and_feature_agree)
{
	struct kvmx_info info = KX_ARG(kvmx_info);
	struct kvmx_feature feature;
	uint64_t value[KVMX_FEAT_NR];
	int sys = kx_system();
	uint32_t i;

	ASSERT_LE(0, sys);
	ASSERT_EQ(0, kx_ioctl(sys, KVMX_INFO, &info));
	EXPECT_EQ(KVMX_MAX_RUNS, info.max_runs);
	EXPECT_EQ(KVMX_MAX_TRACKERS, info.max_trackers);
	EXPECT_EQ(KVMX_MAX_SAMPLES, info.max_samples);
	EXPECT_EQ(KVMX_MAX_POINTS, info.max_points);
	EXPECT_EQ(0, info.features >> KVMX_FEAT_NR);
	for (i = 0; i < KVMX_FEAT_NR; i++) {
		feature = KX_ARG(kvmx_feature, .feature = i);
		ASSERT_EQ(0, kx_ioctl(sys, KVMX_FEATURE, &feature));
		EXPECT_EQ(!!(info.features & (1ULL << i)), !!feature.value)
			TH_LOG("feature %u", i);
		value[i] = feature.value;
	}
	/* What every host that runs these tests has: */
	EXPECT_EQ(KVMX_MAX_TRACKERS, value[KVMX_FEAT_TRACKER]);
	EXPECT_EQ(1, value[KVMX_FEAT_BITMAP]);
	EXPECT_EQ(65536 * sizeof(struct kvm_dirty_gfn), value[KVMX_FEAT_RING]);
	EXPECT_EQ(1, value[KVMX_FEAT_ABSENT]);
	EXPECT_EQ(KVMX_MAX_SAMPLES, value[KVMX_FEAT_SAMPLE]);
	EXPECT_EQ(KVMX_MAX_POINTS, value[KVMX_FEAT_PREDICT]);
	EXPECT_EQ(sizeof(struct kvmx_event), value[KVMX_FEAT_EVENT]);
	feature = KX_ARG(kvmx_feature, .feature = KVMX_FEAT_NR);
	EXPECT_EQ(-EINVAL, kx_ioctl(sys, KVMX_FEATURE, &feature));
	feature = KX_ARG(kvmx_feature, .feature = 64);
	EXPECT_EQ(-EINVAL, kx_ioctl(sys, KVMX_FEATURE, &feature));
	feature = KX_ARG(kvmx_feature, .feature = ~0U);
	EXPECT_EQ(-EINVAL, kx_ioctl(sys, KVMX_FEATURE, &feature));
	close(sys);
}

TEST(label_tail_is_zero)
{
	struct kvmx_vm_open arg = KX_ARG(kvmx_vm_open, .label = "abc\0rubbish");
	struct kvmx_vm_info info = KX_ARG(kvmx_vm_info);
	int sys = kx_system(), fd;
	struct vm vm;

	ASSERT_LE(0, sys);
	ASSERT_EQ(0, vm_create(&vm, 0));
	arg.vm_fd = vm.fd;
	fd = kx_ioctl(sys, KVMX_VM_OPEN, &arg);
	ASSERT_LE(0, fd);
	memset(info.label, POISON, sizeof(info.label));
	memset(info.uuid, POISON, sizeof(info.uuid));
	ASSERT_EQ(0, kx_ioctl(fd, KVMX_VM_INFO, &info));
	EXPECT_STREQ("abc", info.label);
	EXPECT_TRUE(all_bytes(info.label + 3, 0, sizeof(info.label) - 3));
	EXPECT_TRUE(all_bytes(info.uuid, 0, sizeof(info.uuid)));
	close(fd);
	vm_destroy(&vm);
	close(sys);
}

TEST_HARNESS_MAIN
