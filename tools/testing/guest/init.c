// SPDX-License-Identifier: GPL-2.0
/* PID 1 of a test guest: a load with checks as the kernel's command line says, or a shell. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "guest.h"

#define BEAT_PRIORITY	50
#define MAX_THREADS	4

struct stats stats;
atomic_bool stopping;

static pthread_t threads[MAX_THREADS];
static unsigned int nr_threads;

/* Not power-off: without ACPI that only halts. A reset ends a VMM in any case. */
static void leave(void)
{
	fflush(stdout);
	/* The console's last bytes have to get out. */
	sleep_ns(100 * NSEC_PER_MSEC);
	reboot(RB_AUTOBOOT);
}

void fatal(const char *fmt, ...)
{
	va_list ap;

	printf("GUEST BAD: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	leave();
	exit(1);
}

static void start_thread(void *(*fn)(void *))
{
	int ret;

	ret = pthread_create(&threads[nr_threads++], NULL, fn, NULL);
	if (ret)
		fatal("cannot start a thread: %s", strerror(ret));
}

static void join_threads(void)
{
	while (nr_threads)
		pthread_join(threads[--nr_threads], NULL);
}

/* It beats until the end, and before everything else. */
static void start_beat(void)
{
	struct sched_param param = { .sched_priority = BEAT_PRIORITY };
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &param);
	ret = pthread_create(&thread, &attr, beat_thread, NULL);
	pthread_attr_destroy(&attr);
	if (ret)
		fatal("cannot start the heartbeat: %s", strerror(ret));
}

static void mount_all(void)
{
	static const char * const types[][2] = {
		{ "proc", "/proc" },
		{ "sysfs", "/sys" },
		{ "devtmpfs", "/dev" },
	};
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(types); i++)
		if (mount(types[i][0], types[i][1], types[i][0], 0, NULL) && errno != EBUSY)
			fatal("%s: %s", types[i][1], strerror(errno));
	/* The kernel opened the console before there was a /dev. */
	fd = open("/dev/console", O_RDWR);
	if (fd < 0)
		fatal("/dev/console: %s", strerror(errno));
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* The list names them in the order of their needs. One that has no device is no error. */
static void load_modules(void)
{
	char name[128], path[256];
	struct utsname uts;
	FILE *list;
	int fd;

	uname(&uts);
	snprintf(path, sizeof(path), "/modules/%s/list", uts.release);
	list = fopen(path, "r");
	if (!list) {
		printf("kvmx-guest: no modules for %s\n", uts.release);
		return;
	}
	while (fscanf(list, "%127s", name) == 1) {
		snprintf(path, sizeof(path), "/modules/%s/%s", uts.release, name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != ENODEV))
			printf("kvmx-guest: %s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	fclose(list);
}

static void read_config(void)
{
	char cmdline[4096];
	ssize_t n;
	int fd;

	fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fatal("/proc/cmdline: %s", strerror(errno));
	n = read(fd, cmdline, sizeof(cmdline) - 1);
	close(fd);
	cmdline[n < 0 ? 0 : n] = '\0';
	if (config_parse(cmdline))
		fatal("bad kvmx.* word on the command line");
}

static void run_shell(void)
{
	static char * const argv[] = { "/bin/busybox", "setsid", "cttyhack", "/bin/sh", NULL };
	static char * const install[] = { "/bin/busybox", "--install", "-s", NULL };
	static char * const env[] = { "PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/",
				      "TERM=linux", NULL };
	pid_t pid;

	pid = fork();
	if (!pid) {
		execve(install[0], install, env);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	printf("GUEST READY load=shell\n");
	pid = fork();
	if (!pid) {
		execve(argv[0], argv, env);
		_exit(127);
	}
	while (waitpid(-1, NULL, 0) != pid || errno == EINTR)
		;
	printf("GUEST OK shell ended\n");
	leave();
}

static void report(const char *what, __u64 start)
{
	__u64 ms = (now_ns() - start) / NSEC_PER_MSEC;

	printf("%s ms=%llu writes=%llu checks=%llu beats=%llu disk=%llu regs=%llu fails=%llu\n",
	       what, ms, stats.writes, stats.checks, stats.beats, stats.disk_ops,
	       stats.regs, stats.fails);
}

static void damage_a_page(void)
{
	static bool done;
	struct region *region = &regions[0];

	if (done || !nr_regions)
		return;
	done = true;
	region_page(region, region->nr_pages / 2)[PAGE_WORDS - 1] ^= 1;
}

static void begin_load(void)
{
	load_prepare();
	if (config.disk_rate)
		disk_prepare();
	printf("GUEST READY load=%s\n", config.load);

	atomic_store(&stopping, false);
	start_thread(check_thread);
	if (config.disk_rate)
		start_thread(disk_thread);
	if (config.regs)
		start_thread(regs_thread);
	load_start();
}

static void end_load(void)
{
	atomic_store(&stopping, true);
	join_threads();
	check_all(load_join());
	load_release();
	if (config.disk_rate)
		disk_release();
}

/* What is typed must not end up in the middle of what we say. */
static void echo_off(void)
{
	struct termios termios;

	if (tcgetattr(STDIN_FILENO, &termios))
		return;
	termios.c_lflag &= ~ECHO;
	tcsetattr(STDIN_FILENO, TCSANOW, &termios);
}

/* Wait for a line on the console; false if none came. */
static bool read_line(char *line, size_t size, int timeout_ms)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t n;

	if (poll(&pfd, 1, timeout_ms) <= 0)
		return false;
	n = read(STDIN_FILENO, line, size - 1);
	if (n <= 0) {
		/* Hung up: don't spin. */
		sleep_ns(timeout_ms * NSEC_PER_MSEC);
		return false;
	}
	line[n] = '\0';
	return true;
}

/* Let the load run; true if a line on the console asks for another one. */
static bool watch_load(__u64 start, char *line, size_t size)
{
	__u64 elapsed, reported = now_ns();

	do {
		if (read_line(line, size, 200))
			return !strstr(line, "stop");
		if (now_ns() - reported >= config.report_ms * NSEC_PER_MSEC) {
			reported += config.report_ms * NSEC_PER_MSEC;
			report("GUEST STAT", start);
		}
		elapsed = now_ns() - start;
		if (config.corrupt_s && elapsed > config.corrupt_s * NSEC_PER_SEC)
			damage_a_page();
	} while (!config.seconds || elapsed < config.seconds * NSEC_PER_SEC);
	return false;
}

static void run_loads(void)
{
	__u64 start = now_ns();
	char line[256];
	bool again;

	echo_off();
	if (config.beat_port)
		start_beat();
	do {
		begin_load();
		again = watch_load(start, line, sizeof(line));
		end_load();
		if (again && config_parse(line))
			fatal("bad line on the console");
	} while (again);
	report(stats.fails ? "GUEST BAD" : "GUEST OK", start);
	leave();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	mount_all();
	load_modules();
	read_config();
	if (config.shell)
		run_shell();
	else
		run_loads();
	return 0;
}
