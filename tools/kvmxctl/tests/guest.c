// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl-guest MIB [shared]: a VMM for kvmxctl to look at. It does what the lines on standard
 * input say and answers each with one line:
 *
 *   load PAGES RATE		writes RATE times a second to random ones of the first PAGES pages
 *   same PAGES RATE		the same, but leaves their contents as they are
 *   stop			no load
 *   truth FROM LENGTH		how many different pages the load wrote to in that interval: ns
 *				of CLOCK_MONOTONIC
 *   burst SEED NR		writes to NR random pages now (SEED: which)
 *   log on|off			KVM's dirty logging
 *   bitmap			KVM's dirty log: how many pages, how many of the last burst's are
 *				missing, how many are there that are not of the last burst
 *   present			how many pages of its memory are there
 *   open LABEL			makes itself known to kvmx
 *   tracker			creates a tracker, all clean
 *   harvest			how many pages a harvest takes
 *   sample			KVMX_VM_SAMPLE
 *   helper			a process that holds all that this one does, but its memory
 *   second			another VM, and another fd of the first one
 *
 * It ends with its standard input. Two more things the test needs: "kvmxctl-guest as-nobody
 * PROGRAM..." runs a program without any rights, and "kvmxctl-guest orphan" leaves a VM behind
 * whose process has ended, in the hands of another, and prints that one's pid.
 */
#include <err.h>
#include <fcntl.h>
#include <grp.h>
#include <kvmx/kvmx.h>
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "guest_vm.h"

#define NSEC_PER_SEC	1000000000ULL
#define TICK_NS		1000000ULL
#define HISTORY		(1 << 20)

static struct {
	struct guest_vm vm;
	pthread_mutex_t lock;	/* of the vCPU and of all below */
	struct write {		/* of the load, the oldest overwritten */
		uint64_t time_ns;
		uint32_t page;
	} *history;
	uint64_t nr_writes;
	uint8_t *burst;		/* pages of the last burst */
	uint32_t pages;
	uint32_t rate;
	bool same;
	int sys_fd;
	int kvmx_vm;
	int tracker;
} guest = { .lock = PTHREAD_MUTEX_INITIALIZER, .sys_fd = -1, .kvmx_vm = -1, .tracker = -1 };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static void note_written(uint32_t seed, uint32_t nr, uint32_t pages)
{
	uint64_t now = now_ns();

	while (nr--)
		guest.history[guest.nr_writes++ % HISTORY] = (struct write){
			now, guest_vm_next(&seed, pages)
		};
}

/* vCPUs keep off the CPU that everything else uses, which an emulated host needs to be stable. */
static void use_last_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sysconf(_SC_NPROCESSORS_CONF) - 1, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *load_thread(void *unused)
{
	uint64_t due = now_ns(), done = 0, began = due;
	uint32_t seed = 1, value = 1, nr;
	struct timespec ts;

	(void)unused;
	for (;;) {
		due += TICK_NS;
		ts = (struct timespec){ due / NSEC_PER_SEC, due % NSEC_PER_SEC };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		pthread_mutex_lock(&guest.lock);
		if (!guest.rate) {
			began = due;
			done = 0;
		}
		/* Not rate * TICK: rates below one page a tick are rates, too. */
		nr = (due - began) * guest.rate / NSEC_PER_SEC - done;
		if (nr) {
			note_written(seed, nr, guest.pages);
			seed = guest_vm_write(&guest.vm, seed, nr, guest.pages,
					      guest.same ? 1 : ++value);
			done += nr;
		}
		pthread_mutex_unlock(&guest.lock);
	}
	return NULL;
}

static void cmd_load(const char *args, bool same)
{
	uint32_t pages, rate, i;

	if (sscanf(args, "%u %u", &pages, &rate) != 2 || !pages || pages & (pages - 1) ||
	    pages > guest.vm.nr_pages)
		errx(1, "load: bad arguments '%s'", args);
	if (same) {
		/* What the load will write is there already. */
		for (i = 0; i < pages; i++)
			*(volatile uint32_t *)(guest.vm.memory + i * 4096ULL) = 1;
	}
	guest.pages = pages;
	guest.rate = rate;
	guest.same = same;
	puts("ok");
}

static void cmd_truth(const char *args)
{
	uint8_t *seen = calloc(guest.vm.nr_pages, 1);
	unsigned long long from, length;
	const struct write *write;
	uint32_t nr = 0;
	uint64_t i;

	if (sscanf(args, "%llu %llu", &from, &length) != 2)
		errx(1, "truth: bad arguments '%s'", args);
	i = guest.nr_writes > HISTORY ? guest.nr_writes - HISTORY : 0;
	for (; i < guest.nr_writes; i++) {
		write = &guest.history[i % HISTORY];
		if (write->time_ns < from || write->time_ns - from >= length)
			continue;
		nr += !seen[write->page];
		seen[write->page] = 1;
	}
	printf("%u\n", nr);
	free(seen);
}

static void cmd_burst(const char *args)
{
	static uint32_t value = 1 << 31;
	uint32_t seed, nr, i, next;

	if (sscanf(args, "%u %u", &seed, &nr) != 2 || !nr)
		errx(1, "burst: bad arguments '%s'", args);
	memset(guest.burst, 0, guest.vm.nr_pages);
	next = seed;
	for (i = 0; i < nr; i++)
		guest.burst[guest_vm_next(&next, guest.vm.nr_pages)] = 1;
	/* Another content each time, or nobody could see a burst that is repeated. */
	if (guest_vm_write(&guest.vm, seed, nr, guest.vm.nr_pages, ++value) != next)
		errx(1, "the guest took other pages");
	puts("ok");
}

static void cmd_bitmap(void)
{
	uint32_t i, nr = 0, missing = 0, extra = 0;
	uint64_t *bitmap = calloc(guest.vm.nr_pages / 64 + 1, sizeof(*bitmap));
	bool dirty;

	guest_vm_bitmap(&guest.vm, bitmap);
	for (i = 0; i < guest.vm.nr_pages; i++) {
		dirty = bitmap[i / 64] >> (i % 64) & 1;
		nr += dirty;
		missing += !dirty && guest.burst[i];
		extra += dirty && !guest.burst[i];
	}
	printf("%u missing %u extra %u\n", nr, missing, extra);
	free(bitmap);
}

static void cmd_present(void)
{
	uint8_t *vec = calloc(guest.vm.nr_pages, 1);
	uint32_t i, nr = 0;

	if (mincore(guest.vm.memory, guest.vm.nr_pages * 4096ULL, vec))
		err(1, "mincore");
	for (i = 0; i < guest.vm.nr_pages; i++)
		nr += vec[i] & 1;
	printf("%u\n", nr);
	free(vec);
}

static void cmd_open(const char *label)
{
	uint8_t uuid[KVMX_UUID_LEN];
	int i;

	for (i = 0; i < KVMX_UUID_LEN; i++)
		uuid[i] = i;
	guest.sys_fd = kvmx_open();
	guest.kvmx_vm = kvmx_vm_open(guest.sys_fd, guest.vm.vm_fd, uuid, label);
	printf("%d\n", guest.kvmx_vm < 0 ? guest.kvmx_vm : 0);
}

static void cmd_tracker(void)
{
	guest.tracker = kvmx_tracker_create(guest.kvmx_vm, KVMX_TRACKER_CLEAN);
	printf("%d\n", guest.tracker < 0 ? guest.tracker : 0);
}

static void cmd_harvest(void)
{
	static struct kvmx_run runs[KVMX_MAX_RUNS];
	struct kvmx_harvest harvest = { .runs = (uintptr_t)runs, .nr_runs = KVMX_MAX_RUNS };
	int rc = kvmx_harvest(guest.tracker, &harvest);

	printf("%lld\n", rc ? rc : (long long)harvest.nr_pages);
}

static void cmd_sample(void)
{
	struct kvmx_point points[8];
	struct kvmx_vm_sample sample = {
		.nr_samples = 256, .nr_points = 8, .duration_ns = 256000000,
		.points = (uintptr_t)points,
	};

	printf("%d\n", kvmx_vm_sample(guest.kvmx_vm, &sample));
}

static void cmd_helper(void)
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fcntl(guest.vm.vm_fd, F_SETFD, 0);
		execl("/proc/self/exe", "kvmxctl-guest", "idle", NULL);
		_exit(1);
	}
	printf("%d\n", child);
}

static void cmd_second(void)
{
	static struct guest_vm second;

	guest_vm_create(&second, 1, false);
	printf("%d\n", dup(guest.vm.vm_fd) < 0);
}

static void do_line(char *line)
{
	char *args = strchr(line, ' ');

	if (args)
		*args++ = '\0';
	else
		args = line + strlen(line);
	if (!strcmp(line, "load")) {
		cmd_load(args, false);
	} else if (!strcmp(line, "same")) {
		cmd_load(args, true);
	} else if (!strcmp(line, "stop")) {
		guest.rate = 0;
		puts("ok");
	} else if (!strcmp(line, "truth")) {
		cmd_truth(args);
	} else if (!strcmp(line, "burst")) {
		cmd_burst(args);
	} else if (!strcmp(line, "log")) {
		guest_vm_log(&guest.vm, !strcmp(args, "on"));
		puts("ok");
	} else if (!strcmp(line, "bitmap")) {
		cmd_bitmap();
	} else if (!strcmp(line, "present")) {
		cmd_present();
	} else if (!strcmp(line, "open")) {
		cmd_open(args);
	} else if (!strcmp(line, "tracker")) {
		cmd_tracker();
	} else if (!strcmp(line, "harvest")) {
		cmd_harvest();
	} else if (!strcmp(line, "sample")) {
		cmd_sample();
	} else if (!strcmp(line, "helper")) {
		cmd_helper();
	} else if (!strcmp(line, "second")) {
		cmd_second();
	} else {
		errx(1, "no command '%s'", line);
	}
}

static int as_nobody(char **argv)
{
	if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
		err(1, "as-nobody");
	execvp(argv[0], argv);
	err(1, "%s", argv[0]);
}

static int orphan(void)
{
	pid_t child;

	guest_vm_create(&guest.vm, 1, false);
	child = fork();
	if (child < 0)
		err(1, "fork");
	if (!child) {
		/* Whoever waits for our output waits for its end. */
		fclose(stdout);
		return pause();
	}
	printf("%d\n", child);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[128];

	if (argc > 2 && !strcmp(argv[1], "as-nobody"))
		return as_nobody(argv + 2);
	if (argc > 1 && !strcmp(argv[1], "orphan"))
		return orphan();
	if (argc > 1 && !strcmp(argv[1], "idle"))
		return pause();
	if (argc < 2 || atoi(argv[1]) < 1 || atoi(argv[1]) & (atoi(argv[1]) - 1))
		errx(2, "usage: kvmxctl-guest MIB [shared], MIB a power of two");
	setlinebuf(stdout);
	use_last_cpu();
	guest_vm_create(&guest.vm, atoi(argv[1]), argc > 2 && !strcmp(argv[2], "shared"));
	guest.history = calloc(HISTORY, sizeof(*guest.history));
	guest.burst = calloc(guest.vm.nr_pages, 1);
	if (!guest.history || !guest.burst)
		err(1, "calloc");
	if (pthread_create(&thread, NULL, load_thread, NULL))
		errx(1, "pthread_create");
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		pthread_mutex_lock(&guest.lock);
		do_line(line);
		pthread_mutex_unlock(&guest.lock);
	}
	return 0;
}
