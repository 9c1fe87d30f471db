// SPDX-License-Identifier: GPL-2.0
/*
 * What 1024 samples tell of the dirty curve, and what they cost the guest. The guest writes a
 * known set of pages while it is being sampled, so what is true needs no second measurement.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/far.h"
#include "lib/kx.h"
#include "lib/rig.h"
#include "lib/rows.h"
#include "lib/stat.h"

#define TURNS 5
#define SAMPLES 1024
#define PAGES 65536U
#define DURATION_NS 2000000000UL

/**
 * struct pattern - what a guest writes
 * @name: for people
 * @touch: pages that it writes one after the other
 * @stride: pages from one to the next
 * @again: how often it does so
 * @scatter: writes to random pages
 */
struct pattern {
	const char *name;
	uint32_t touch;
	uint32_t stride;
	uint32_t again;
	uint32_t scatter;
};

static const struct pattern patterns[] = {
	{ "uniform", 0, 0, 0, PAGES / 2 },
	{ "hot set", PAGES / 32, 1, 20, 0 },
	{ "stream", PAGES / 2, 1, 1, 0 },
	{ "scattered hot set", PAGES / 8, 8, 3, 0 },
	{ "hot set and uniform", PAGES / 16, 1, 5, PAGES / 8 },
};

#define NR_PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

struct sampling {
	int handle;
	int ret;
	struct kvmx_vm_sample arg;
	struct kvmx_point points[KVMX_MAX_POINTS];
};

static uint64_t seed = 4711;

/* Runs a pattern once; gives the share of all pages that it writes, in percent. */
static double write_pattern(struct vm *vm, const struct pattern *p)
{
	static uint8_t written[PAGES];
	uint64_t replay = seed;
	uint32_t i, n = 0;

	memset(written, 0, sizeof(written));
	for (i = 0; i < p->touch; i++)
		written[i * p->stride] = 1;
	for (i = 0; i < p->scatter; i++)
		written[far_random(&replay, PAGES)] = 1;
	for (i = 0; i < PAGES; i++)
		n += written[i];
	for (i = 0; i < p->again; i++)
		must("guest", far_touch(vm, RIG_BASE, p->touch, p->stride * PAGE_SIZE));
	if (p->scatter)
		must("guest", far_scatter(vm, RIG_BASE, p->scatter, PAGES, &seed));
	if (seed != replay)
		die("the guest wrote other pages than expected", EPROTO);
	return 100.0 * n / (PAGES + VM_CODE_PAGES);
}

static void *sample_thread(void *data)
{
	struct sampling *s = data;

	s->ret = kx_sample(s->handle, SAMPLES, DURATION_NS, s->points, &s->arg);
	return NULL;
}

/* The kernel answers between two looks only: when it does, the sample's marks are set. */
static void wait_until_sampled(int handle)
{
	struct kvmx_vm_info info;

	do {
		must("KVMX_VM_INFO", kx_info(handle, &info));
		usleep(1000);
	} while (!(info.state & KVMX_VM_SAMPLING));
}

/* Returns what the sample says at its end, in percent, and in *truth what there was to say. */
static double sample_pattern(struct vm *vm, int handle, const struct pattern *p, double *truth)
{
	struct sampling s = { .handle = handle };
	pthread_t thread;

	must("thread", pthread_create(&thread, NULL, sample_thread, &s));
	wait_until_sampled(handle);
	*truth = write_pattern(vm, p);
	if (pthread_tryjoin_np(thread, NULL) != EBUSY)
		die("the guest was too slow to be sampled", ETIME);
	pthread_join(thread, NULL);
	must("KVMX_VM_SAMPLE", s.ret);
	return 100.0 * s.points[s.arg.nr_points - 1].pages / s.arg.total_pages;
}

static void measure_curve(struct vm *vm, int handle)
{
	double estimate[TURNS], off[TURNS], truth[TURNS], worst = 0, mid;
	char what[80];
	unsigned int i, t;

	for (i = 0; i < NR_PATTERNS; i++) {
		for (t = 0; t < TURNS; t++) {
			estimate[t] = sample_pattern(vm, handle, &patterns[i], &truth[t]);
			off[t] = fabs(estimate[t] - truth[t]);
			worst = fmax(worst, off[t]);
		}
		mid = median(off, TURNS);
		snprintf(what, sizeof(what), "dirty curve by 1024 samples, %s", patterns[i].name);
		row_add(&(struct row){
			.what = what, .rival_name = "the truth", .unit = "%",
			.ours = median(estimate, TURNS), .rival = median(truth, TURNS),
			.figure = mid, .figure_unit = "points", .bound = BOUND_AT_MOST, .need = 3,
		});
	}
	row_add(&(struct row){
		.what = "dirty curve by 1024 samples, worst of all", .unit = "points",
		.ours = worst, .figure = worst, .figure_unit = "points",
	});
}

static uint64_t faults(struct vm *vm)
{
	int64_t n = kvm_stat(vm->vcpu[0].fd, "pf_taken");

	if (n < 0)
		die("pf_taken", n);
	return n;
}

/* Faults of a guest that writes all of its pages three times. */
static double sweep(struct vm *vm)
{
	uint64_t before = faults(vm);
	int i;

	for (i = 0; i < 3; i++)
		must("guest", far_touch(vm, RIG_BASE, PAGES, PAGE_SIZE));
	return faults(vm) - before;
}

static double sweep_sampled(struct vm *vm, int handle)
{
	struct sampling s = { .handle = handle };
	pthread_t thread;
	double n;

	must("thread", pthread_create(&thread, NULL, sample_thread, &s));
	wait_until_sampled(handle);
	n = sweep(vm);
	if (pthread_tryjoin_np(thread, NULL) != EBUSY)
		die("the guest was too slow to be sampled", ETIME);
	pthread_join(thread, NULL);
	must("KVMX_VM_SAMPLE", s.ret);
	/* What switching logging off again costs the guest counts, too. */
	return n + sweep(vm);
}

static double sweep_logged(struct vm *vm, int handle)
{
	int tracker = must_fd("tracker", kx_tracker(handle, KVMX_TRACKER_CLEAN));
	double n = sweep(vm);

	close(tracker);
	return n + sweep(vm);
}

static void measure_faults(const char *what, struct vm *vm, int handle)
{
	double sampled[TURNS], logged[TURNS], idle;
	unsigned int t;

	sweep(vm);
	for (t = 0; t < TURNS; t++) {
		idle = sweep(vm) + sweep(vm);
		sampled[t] = sweep_sampled(vm, handle) - idle;
		logged[t] = sweep_logged(vm, handle) - idle;
	}
	row_add(&(struct row){
		.what = what, .rival_name = "full logging", .unit = "faults",
		.ours = median(sampled, TURNS), .rival = median(logged, TURNS),
		.figure = median(sampled, TURNS) / median(logged, TURNS), .figure_unit = "x",
		.bound = BOUND_AT_MOST, .need = 0.1,
	});
}

static void with_memory(enum mem_kind kind, bool curve, const char *what)
{
	struct vm vm;
	int handle;

	must("VM", vm_create(&vm, 0));
	must("long mode", far_init(&vm));
	must("memory", vm_add_slot(&vm, 1, RIG_BASE / PAGE_SIZE, PAGES, kind, 0));
	handle = must_fd("KVMX_VM_OPEN", kx_vm(vm.fd));
	must("guest", far_touch(&vm, RIG_BASE, PAGES, PAGE_SIZE));
	if (curve)
		measure_curve(&vm, handle);
	measure_faults(what, &vm, handle);
	close(handle);
	vm_destroy(&vm);
}

int main(void)
{
	pin_cpu(0);
	rows_open("/out/sampling.json");
	with_memory(MEM_ANON, true, "write faults while sampling, 4 KiB pages");
	with_memory(MEM_THP, false, "write faults while sampling, huge pages");
	rows_close();
	return 0;
}
