// SPDX-License-Identifier: GPL-2.0
/*
 * Merging, beside what an operator would have otherwise: KSM as it comes, without smart_scan, with
 * ksmtuned's rules, with its own advisor. A fleet of VMs shares what it can; one more comes when
 * ksmd has been over the others so many times, which is what smart_scan depends on.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/ksm.h"
#include "lib/kx.h"
#include "lib/peer.h"
#include "lib/rows.h"
#include "lib/stat.h"
#include "lib/util.h"

#define OUT "/out/ksm.json"
#define PHASES 9
#define MAX_REPEATS 3
#define LIMIT_NS 40000000000ULL
#define PAGES 1024UL
#define MERGEABLE_SEED 7
#define IDLE_MS 10000

/* Old sharers, unique, volatile, full of zeroes, partly pinned; and who comes late. */
enum { OLD, UNIQUE, VOLATILE, ZEROES, PINNED, LATE, NR_VMS };

/*
 * What can be freed: of three equal copies two, and zeroes but for one page in max_page_sharing.
 * The pinned pages, of which the others have equals, are no part of it.
 */
static double achievable(long max_sharing)
{
	return 2.0 * PAGES + PAGES - ceil((double)PAGES / max_sharing);
}

enum rival { STOCK, NO_SMART, KSMTUNED, ADVISOR, ADVISOR_SCALED, KVMX, KVMX_BUDGET, NR_RIVALS };

static const char * const rival_names[NR_RIVALS] = {
	[STOCK] = "stock",
	[NO_SMART] = "smart_scan=0",
	[KSMTUNED] = "ksmtuned's rules",
	[ADVISOR] = "advisor",
	[ADVISOR_SCALED] = "advisor, scaled",
	[KVMX] = "kvmx",
	[KVMX_BUDGET] = "kvmx, stock's budget",
};

/* One run: the latecomer comes, and most of what can be freed is, or it takes too long. */
struct run {
	double seconds;		/* from then on; infinite: never */
	double cpu_ms;		/* of ksmd and kvmx, since the first VM came */
	double visits;		/* for a page freed, since then */
	double share;		/* of a CPU, since then */
	double freed;		/* in the end */
	double estimate;	/* before the first scan */
};

struct sums {
	unsigned int reached;	/* phases in which all runs got there */
	double seconds;		/* medians over all runs */
	double cpu_ms;
	double visits_per_page;
	double freed;
	double freed_spread;	/* over phases, of the median */
	double estimate_error;	/* the worst, as a share */
	double cpu_share;	/* of a CPU, until most was freed */
};

static struct {
	int sys;
	struct peer vm[NR_VMS];
	bool kvmx;		/* this run is kvmx's */
	uint64_t epochs;	/* before it */
	unsigned int repeats;
	uint32_t budget;	/* stock's, in 1/1000 of a CPU */
} bench;

static const uint8_t domain[KVMX_UUID_LEN] = { 1 };

static bool has(const char *name)
{
	return ksm_knob(name) >= 0;
}

static void knob(const char *name, const char *value)
{
	must(name, ksm_set_knob(name, value));
}

static void knob_number(const char *name, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", value);
	knob(name, text);
}

static double ksmd_ms(void)
{
	static int pid;
	unsigned long long ns = 0;
	char path[64], name[32];
	FILE *file;
	int i;

	for (i = 1; !pid && i < 4096; i++) {
		snprintf(path, sizeof(path), "/proc/%d/comm", i);
		file = fopen(path, "r");
		if (file && fgets(name, sizeof(name), file) && !strcmp(name, "ksmd\n"))
			pid = i;
		if (file)
			fclose(file);
	}
	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%llu", &ns) != 1)
		die("ksmd's CPU time", ENOENT);
	fclose(file);
	return ns / 1e6;
}

static double cpu_ms(void)
{
	return ksmd_ms() + (bench.kvmx ? ksm_host_get(bench.sys).kvmx_ns / 1e6 : 0);
}

/* Since @scans or @scanned; kernels that do not count visits are taken at their scans. */
static double visits(long scans, long scanned)
{
	uint64_t pages = 0;
	int i, j;

	if (has("pages_scanned"))
		return ksm_knob("pages_scanned") - scanned;
	for (i = 0; i < NR_VMS; i++)
		for (j = 0; bench.vm[i].pid > 0 && j < (int)bench.vm[i].nr_areas; j++)
			if (peer_mergeable(&bench.vm[i], j))
				pages += bench.vm[i].area[j].npages;
	return (double)(ksm_knob("full_scans") - scans) * pages;
}

static void start_vm(int i)
{
	static const uint64_t one[] = { PAGES }, two[] = { 64, PAGES };
	static const uint32_t seeds[NR_VMS] = {
		[OLD] = MERGEABLE_SEED, [UNIQUE] = 100, [VOLATILE] = 200, [ZEROES] = PEER_ZERO,
		[PINNED] = MERGEABLE_SEED, [LATE] = MERGEABLE_SEED,
	};
	struct peer *p = &bench.vm[i];
	uint32_t a, nr = i == PINNED ? 2 : 1;

	must("start a VM", peer_start(p, nr, i == PINNED ? two : one, MEM_ANON));
	for (a = 0; a < nr; a++)
		must("fill a VM", peer_fill(p, a, 0, p->area[a].npages, seeds[i]));
	if (i == PINNED)
		must("pin", peer_pin(p, 0, 0, 64));
	if (i == VOLATILE)
		must("churn", peer_churn(p, 0, 0, PAGES));
	if (bench.kvmx) {
		must("VM_KSM_SET", ksm_vm_set(p, KVMX_KSM_AUTO, domain, 0));
		return;
	}
	for (a = 0; a < nr; a++)
		must("MADV_MERGEABLE", peer_madvise(p, a, MADV_MERGEABLE));
}

static bool offered(enum rival r)
{
	return !(r == NO_SMART && !has("smart_scan")) &&
	       !((r == ADVISOR || r == ADVISOR_SCALED) && !has("advisor_target_scan_time"));
}

/* ksmtuned's first step when memory is short: 300 pages more than its minimum. */
static void ksmtuned(void)
{
	long kib = sysconf(_SC_PHYS_PAGES) * 4, ms = 10L * 16 * 1024 * 1024 / kib;

	knob_number("pages_to_scan", 64 + 300);
	knob_number("sleep_millisecs", ms > 10 ? ms : 10);
}

static void begin_rival(enum rival r)
{
	struct kvmx_ksm_policy policy = ksm_quick();

	bench.kvmx = r == KVMX || r == KVMX_BUDGET;
	if (bench.kvmx) {
		policy.cpu_permille = r == KVMX_BUDGET ? bench.budget : 1000;
		policy.pressure_permille = 1000;
		must("HOST_SET", ksm_host_set(bench.sys, &policy, 0));
		bench.epochs = ksm_host_get(bench.sys).epochs;
		return;
	}
	if (r == NO_SMART)
		knob("smart_scan", "0");
	if (r == KSMTUNED)
		ksmtuned();
	if (r == ADVISOR_SCALED)
		/* As many pages a second as with the default on a host of 64 GiB. */
		knob("advisor_target_scan_time", "1");
	if (r == ADVISOR || r == ADVISOR_SCALED)
		knob("advisor_mode", "scan-time");
	knob("run", "1");
}

static void end_rival(enum rival r)
{
	int i;

	if (bench.kvmx)
		must("HOST_SET", ksm_host_off(bench.sys));
	else
		knob("run", "0");
	for (i = 0; i < NR_VMS; i++) {
		peer_stop(&bench.vm[i]);
		bench.vm[i].pid = 0;
	}
	/* KSM goes on counting the dead until it is told to let go of all. */
	knob("run", "2");
	knob("run", "0");
	if (r == NO_SMART)
		knob("smart_scan", "1");
	if (r == ADVISOR || r == ADVISOR_SCALED) {
		knob("advisor_mode", "none");
		knob("advisor_target_scan_time", "200");
	}
	knob("pages_to_scan", "100");
	knob("sleep_millisecs", "20");
}

/* Until ksmd has been over the others so often; kvmx lets it run only if there is a reason to. */
static void wait_phase(int phase)
{
	long scans = ksm_knob("full_scans");
	uint64_t end = now_ns() + LIMIT_NS;

	if (bench.kvmx) {
		if (phase && !ksm_epochs_become(bench.sys, bench.epochs + 1))
			die("kvmx merges nothing", ETIMEDOUT);
		sleep_ms(97 * phase);
		return;
	}
	while (ksm_knob("full_scans") < scans + phase && now_ns() < end)
		sleep_ms(5);
}

static struct run run_once(enum rival r, int phase)
{
	const double goal = 0.9 * achievable(ksm_knob("max_page_sharing"));
	struct run run = { .seconds = INFINITY };
	long scans = ksm_knob("full_scans"), scanned = ksm_knob("pages_scanned");
	uint64_t started, begun, i;
	double cpu, seen;

	begin_rival(r);
	cpu = cpu_ms();
	started = now_ns();
	for (i = 0; i < LATE; i++)
		start_vm(i);
	wait_phase(phase);
	seen = visits(scans, scanned);
	scans = ksm_knob("full_scans");
	scanned = ksm_knob("pages_scanned");
	start_vm(LATE);
	begun = now_ns();
	while (now_ns() - begun < LIMIT_NS) {
		if (ksm_knob("pages_sharing") >= goal) {
			run.seconds = (now_ns() - begun) / 1e9;
			break;
		}
		sleep_ms(5);
	}
	run.cpu_ms = cpu_ms() - cpu;
	run.share = run.cpu_ms * 1e6 / (now_ns() - started);
	run.freed = ksm_knob("pages_sharing");
	run.visits = (seen + visits(scans, scanned)) / fmax(run.freed, 1);
	if (bench.kvmx) {
		/* What was foretold, and to the end of the epoch, what has merged. */
		run.estimate = ksm_host_get(bench.sys).mergeable_pages;
		ksm_state_leaves(bench.sys, KVMX_KSM_HOST_STATE_EPOCH, 20000);
		run.freed = ksm_knob("pages_sharing");
	}
	end_rival(r);
	return run;
}

static struct sums measure(enum rival r)
{
	double seconds[PHASES * MAX_REPEATS], cpu[PHASES * MAX_REPEATS];
	double seen[PHASES * MAX_REPEATS], freed[PHASES * MAX_REPEATS];
	double least = INFINITY, most = 0;
	struct sums s = { 0 };
	unsigned int i, n = 0, ok;
	struct run run;
	int phase;

	for (phase = 0; phase < PHASES; phase++) {
		for (ok = 0, i = 0; i < bench.repeats; i++, n++) {
			run = run_once(r, phase);
			printf("# %s, phase %d: %.2f s, %.0f ms CPU, %.1f visits, %.0f freed\n",
			       rival_names[r], phase, run.seconds, run.cpu_ms, run.visits,
			       run.freed);
			fflush(stdout);
			seconds[n] = run.seconds;
			cpu[n] = run.cpu_ms;
			seen[n] = run.visits;
			freed[n] = run.freed;
			least = fmin(least, run.freed);
			most = fmax(most, run.freed);
			ok += !isinf(run.seconds);
			s.cpu_share += run.share / (PHASES * bench.repeats);
			if (run.estimate > 0)
				s.estimate_error = fmax(s.estimate_error,
							fabs(run.estimate / run.freed - 1));
		}
		s.reached += ok == bench.repeats;
	}
	s.seconds = median(seconds, n);
	s.cpu_ms = median(cpu, n);
	s.visits_per_page = median(seen, n);
	s.freed = median(freed, n);
	s.freed_spread = (most - least) / s.freed;
	return s;
}

static void compare(const struct sums *all)
{
	const struct sums *kvmx = &all[KVMX];
	enum rival r, fast = offered(NO_SMART) ? NO_SMART : STOCK;

	for (r = STOCK; r < KVMX; r++) {
		if (!offered(r))
			continue;
		row_add(&(struct row){
			.what = "90 % of what can merge, of 9 phases", .rival_name = rival_names[r],
			.unit = "phases", .ours = kvmx->reached, .rival = all[r].reached,
			.figure = kvmx->reached, .figure_unit = "phases",
			.bound = r == STOCK ? BOUND_AT_LEAST : BOUND_NONE, .need = PHASES,
		});
		row_add(&(struct row){
			.what = "CPU until 90 %, of ksmd and kvmx", .rival_name = rival_names[r],
			.unit = "ms", .ours = kvmx->cpu_ms, .rival = all[r].cpu_ms,
			.figure = kvmx->cpu_ms / all[r].cpu_ms, .figure_unit = "x",
			.bound = r == fast ? BOUND_AT_MOST : BOUND_NONE, .need = 0.5,
			.known = true,
		});
		row_add(&(struct row){
			.what = "visits by ksmd for a page freed", .rival_name = rival_names[r],
			.unit = "visits", .ours = kvmx->visits_per_page,
			.rival = all[r].visits_per_page, .figure = kvmx->visits_per_page,
			.figure_unit = "visits", .bound = r == STOCK ? BOUND_AT_MOST : BOUND_NONE,
			.need = 6,
		});
	}
	row_add(&(struct row){
		.what = "time to 90 %, with stock's share of a CPU", .rival_name = "stock",
		.unit = "s", .ours = all[KVMX_BUDGET].seconds, .rival = all[STOCK].seconds,
		.figure = all[STOCK].seconds / all[KVMX_BUDGET].seconds, .figure_unit = "x",
		.bound = BOUND_AT_LEAST, .need = 3, .known = true,
	});
	row_limit("freed in the end, spread over phases", "%", kvmx->freed_spread * 100, 10);
	row_limit("estimate against what merged, worst", "%", kvmx->estimate_error * 100, 10);
}

/* All is merged: what runs is for nothing. */
static void idle(void)
{
	struct kvmx_ksm_policy policy = ksm_quick();
	uint64_t epochs = ksm_host_get(bench.sys).epochs;
	double ksmd, kvmx;
	int i;

	bench.kvmx = true;
	policy.interval_ns = 0;
	policy.settle_ns = 0;
	policy.idle_permille = 0;
	must("HOST_SET", ksm_host_set(bench.sys, &policy, 0));
	for (i = 0; i < NR_VMS; i++)
		start_vm(i);
	if (!ksm_epochs_become(bench.sys, epochs + 1))
		die("kvmx merges nothing", ETIMEDOUT);
	sleep_ms(1000);
	ksmd = ksmd_ms();
	kvmx = ksm_host_get(bench.sys).kvmx_ns / 1e6;
	sleep_ms(IDLE_MS);
	row_limit("ksmd once there", "% of a CPU", (ksmd_ms() - ksmd) / IDLE_MS * 100, 0);
	row_limit("kvmx once there", "% of a CPU",
		  (ksm_host_get(bench.sys).kvmx_ns / 1e6 - kvmx) / IDLE_MS * 100, 0.1);
	end_rival(KVMX);
}

/* What a look costs for ever more VMs. */
static void growth(void)
{
	static const uint32_t sizes[] = { 2, 8, 32 };
	static const uint64_t pages[] = { PAGES };
	struct kvmx_ksm_policy policy = ksm_quick();
	struct kvmx_ksm_host_get before, after;
	struct peer vm[32] = { 0 };
	double ms[3];
	uint32_t s, i;

	for (s = 0; s < 3; s++) {
		for (i = 0; i < sizes[s]; i++) {
			must("start a VM", peer_start(&vm[i], 1, pages, MEM_ANON));
			must("fill a VM", peer_fill(&vm[i], 0, 0, PAGES, i + 1));
			must("VM_KSM_SET", ksm_vm_set(&vm[i], KVMX_KSM_AUTO, domain, 0));
		}
		before = ksm_host_get(bench.sys);
		must("HOST_SET", ksm_host_set(bench.sys, &policy, 0));
		ksm_looks_pass(bench.sys, 3);
		after = ksm_host_get(bench.sys);
		ms[s] = (after.sample_ns - before.sample_ns) / 1e6 /
			(after.samples - before.samples) / sizes[s];
		printf("# %u VMs: %.3f ms a look and VM\n", sizes[s], ms[s]);
		must("HOST_SET", ksm_host_off(bench.sys));
		for (i = 0; i < sizes[s]; i++)
			peer_stop(&vm[i]);
	}
	row_add(&(struct row){
		.what = "CPU of a look per VM, 32 VMs against 2", .unit = "ms", .ours = ms[2],
		.rival_name = "2 VMs", .rival = ms[0], .figure = ms[2] / ms[0],
		.figure_unit = "x", .bound = BOUND_AT_MOST, .need = 1.5,
	});
	row_limit("memory of looks per VM, most", "MiB", after.peak_bytes / 32.0 / MIB, 1);
	row_limit("the same per page looked at", "B", (double)after.peak_bytes / 32 / PAGES, 64);
	row_add(&(struct row){
		.what = "a VMM's mmap_lock held, longest", .unit = "us",
		.ours = after.longest_lock_ns / 1e3, .figure = after.longest_lock_ns / 1e3,
		.figure_unit = "us", .bound = BOUND_AT_MOST, .need = 1000, .known = true,
	});
}

int main(void)
{
	struct sums all[NR_RIVALS] = { 0 };
	const char *repeats = getenv("REPEATS");
	enum rival r;

	bench.repeats = repeats ? atoi(repeats) : MAX_REPEATS;
	if (bench.repeats < 1 || bench.repeats > MAX_REPEATS)
		die("REPEATS is 1 to 3", EINVAL);
	bench.sys = must_fd("/dev/kvmx", kx_system());
	rows_open(OUT);
	for (r = STOCK; r < NR_RIVALS; r++) {
		if (!offered(r)) {
			printf("# this kernel does not offer: %s\n", rival_names[r]);
			continue;
		}
		all[r] = measure(r);
		if (r == STOCK) {
			bench.budget = fmin(fmax(all[r].cpu_share * 1000, 1), 1000);
			printf("# stock takes %u permille of a CPU\n", bench.budget);
		}
	}
	compare(all);
	idle();
	growth();
	rows_close();
	return 0;
}
