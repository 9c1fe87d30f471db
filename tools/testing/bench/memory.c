// SPDX-License-Identifier: GPL-2.0
/*
 * What kvmx costs while nobody looks: memory, and whether it lets an idle host sleep.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/kx.h"
#include "lib/rig.h"
#include "lib/rows.h"
#include "lib/stat.h"

#define TRACING "/sys/kernel/tracing/"
#define IDLE_MS 3000

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(path, errno);
	close(fd);
}

static void trace_events(const char *on)
{
	static const char * const events[] = {
		"timer/timer_start", "timer/timer_expire_entry", "timer/hrtimer_start",
		"timer/hrtimer_expire_entry", "workqueue/workqueue_queue_work",
		"workqueue/workqueue_execute_start",
	};
	char path[128];
	unsigned int i;

	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		snprintf(path, sizeof(path), TRACING "events/%s/enable", events[i]);
		put(path, on);
	}
}

/* Timers and work items of the module's, since the trace was emptied. */
static unsigned int traced(void)
{
	unsigned int n = 0;
	char line[512];
	FILE *file;

	file = fopen(TRACING "trace", "r");
	if (!file)
		die(TRACING "trace", errno);
	while (fgets(line, sizeof(line), file))
		n += line[0] != '#' && (strstr(line, "[kvmx]") || strstr(line, "workqueue=kvmx"));
	fclose(file);
	return n;
}

/* Context switches of the process with this number if it is one of the module's threads. */
static unsigned long switches(const char *pid)
{
	unsigned long n, sum = 0;
	char path[300], line[256];
	bool ours = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "Name:", 5))
			ours = strstr(line, "kvmx");
		if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %lu", &n) == 1)
			sum += n;
	}
	fclose(file);
	return ours ? sum : 0;
}

static unsigned long all_switches(void)
{
	DIR *dir = opendir("/proc");
	unsigned long sum = 0;
	struct dirent *entry;

	if (!dir)
		die("/proc", errno);
	while ((entry = readdir(dir)))
		if (isdigit(entry->d_name[0]))
			sum += switches(entry->d_name);
	closedir(dir);
	return sum;
}

/* What the module does by itself in a while. */
static unsigned int watch(void (*meanwhile)(void *data), void *data)
{
	unsigned long before = all_switches();

	put(TRACING "trace", "\n");
	trace_events("1");
	meanwhile(data);
	trace_events("0");
	return traced() + all_switches() - before;
}

static void be_idle(void *data)
{
	(void)data;
	sleep_ms(IDLE_MS);
}

/* A last tracker closed by another process is work for the module's own thread. */
static void close_elsewhere(void *data)
{
	int *tracker = data;
	pid_t pid = fork();

	if (pid < 0)
		die("fork", errno);
	if (!pid) {
		sleep_ms(200);
		_exit(0);
	}
	close(*tracker);
	waitpid(pid, NULL, 0);
	sleep_ms(500);
}

static void measure_idle(void)
{
	unsigned int loaded, opened, tracked;
	int handle, tracker;
	struct vm vm;

	loaded = watch(be_idle, NULL);
	must("VM", vm_create(&vm, 0));
	handle = must_fd("KVMX_VM_OPEN", kx_vm(vm.fd));
	opened = watch(be_idle, NULL);
	tracker = must_fd("KVMX_TRACKER_CREATE", kx_tracker(handle, 0));
	tracked = watch(be_idle, NULL);
	row_limit("idle module: timers, work, wakeups in 3 s", "events", loaded, 0);
	row_limit("the same with a VM open", "events", opened, 0);
	row_limit("the same with a tracker open", "events", tracked, 0);
	/* None seen means something only if one would have been. */
	if (!watch(close_elsewhere, &tracker))
		die("work of the module's own was not seen", EPROTO);
	close(handle);
	vm_destroy(&vm);
}

/* Every page that there is a bit for gets its own chance of being dirty. */
static void mark_at_random(struct rig *rig)
{
	uint64_t total = rig->nr_slots * rig->slot_pages, i;
	uint32_t seed = 4711, nr = RIG_RUNS / 2;

	for (i = 0; i < nr; i++) {
		uint64_t part = total / nr;

		rig->runs[i] = (struct kvmx_run){
			.gfn = RIG_BASE / PAGE_SIZE + i * part + next_random(&seed) % part,
			.npages = 1,
		};
	}
	must("KVMX_VM_MARK", kx_mark(rig->handle, rig->runs, nr, NULL));
}

static void measure_tracker(const char *what, uint32_t nr_slots, uint64_t slot_pages)
{
	uint64_t bytes = nr_slots * slot_pages * PAGE_SIZE;
	void *memory = rig_memory(bytes);
	struct kvmx_tracker_stats stats;
	struct rig rig;

	rig_make(&rig, WAY_KVMX, nr_slots, slot_pages, memory);
	mark_at_random(&rig);
	must("KVMX_TRACKER_STATS", kx_tracker_stats(rig.tracker, &stats));
	row_limit(what, "KiB/GiB", stats.bytes / 1024.0 * GIB / bytes, 33);
	rig_free(&rig);
	munmap(memory, bytes);
}

int main(void)
{
	pin_cpu(0);
	rows_open("/out/memory.json");
	measure_tracker("tracker, 16 x 4 GiB, dirty at random", 16, 4 * GIB / PAGE_SIZE);
	measure_tracker("tracker, 500 x 64 MiB, dirty at random", 500, 64 * MIB / PAGE_SIZE);
	measure_idle();
	rows_close();
	return 0;
}
