// SPDX-License-Identifier: GPL-2.0
/* kvmx-vmm: a small VMM that shows how to use libkvmx. This file waits for what happens. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "boot.h"
#include "control.h"
#include "job.h"
#include "vm.h"

enum { POLL_END, POLL_SIGNAL, POLL_TIMER, POLL_JOB, POLL_SERIAL, POLL_CONTROL };

#define POLL_MAX	(POLL_CONTROL + 1 + CONTROL_MAX_CLIENTS)

struct loop {
	struct vm *vm;
	struct job job;
	struct control control;
	int signal_fd;
	int timer_fd;
};

/* Before any thread is made: all of them leave these signals to the loop. */
static int block_signals(void)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	/* memory_dump_behind() has a child that nobody waits for. */
	signal(SIGCHLD, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	return fd < 0 ? fail(errno, "signalfd: %m") : fd;
}

static void start_migration(struct loop *loop)
{
	const struct options *opt = loop->vm->opt;
	int err = -EINVAL;

	if (!opt->migrate_to)
		say("where to? Give --migrate-to or --save");
	else if (vcpus_paused(&loop->vm->vcpus) & PAUSE_NO_SEND)
		say("there is no guest to send");
	else
		err = job_start(&loop->job, JOB_SEND, opt->migrate_to, opt->offline);
	if (err && err != -EINVAL)
		say("cannot migrate now: %s", strerror(-err));
}

/* The guest runs from now on: its time until --migrate-after begins. */
static int start_timer(struct loop *loop)
{
	const struct options *opt = loop->vm->opt;
	/* Zero would mean: never. */
	u64 ns = opt->migrate_after_ns ? opt->migrate_after_ns : 1;
	struct itimerspec spec = {
		.it_value = { .tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC },
	};

	if (!opt->migrate_timed)
		return 0;
	return timerfd_settime(loop->timer_fd, 0, &spec, NULL) ? fail(errno, "timer: %m") : 0;
}

static int start_guest(struct loop *loop)
{
	struct vm *vm = loop->vm;
	int err;

	if (vm->opt->incoming)
		return job_start(&loop->job, JOB_RECEIVE, vm->opt->incoming, false);
	err = boot_linux(vm);
	if (err)
		return err;
	vcpus_resume(&vm->vcpus, PAUSE_START);
	return start_timer(loop);
}

static void on_signal(struct loop *loop)
{
	struct signalfd_siginfo info;

	if (read_full(loop->signal_fd, &info, sizeof(info)))
		return;
	if (info.ssi_signo == SIGUSR1)
		start_migration(loop);
	else
		vm_end(loop->vm, 0);
}

static void on_timer(struct loop *loop)
{
	u64 count;

	if (!read_full(loop->timer_fd, &count, sizeof(count)))
		start_migration(loop);
}

static void on_job(struct loop *loop)
{
	bool receive = loop->job.kind == JOB_RECEIVE;
	int result = job_finish(&loop->job);

	control_job_ended(&loop->control, result);
	if (!receive && !result)
		vm_end(loop->vm, 0);
	if (receive && (result || start_timer(loop)))
		vm_end(loop->vm, EXIT_TROUBLE);
}

static void on_serial(struct loop *loop)
{
	pthread_mutex_lock(&loop->vm->dev_lock);
	serial_input(&loop->vm->serial);
	pthread_mutex_unlock(&loop->vm->dev_lock);
}

/* While a guest moves, what is typed stays where the other side can still get it. */
static bool wants_input(struct loop *loop)
{
	bool wants;

	if (vcpus_paused(&loop->vm->vcpus))
		return false;
	pthread_mutex_lock(&loop->vm->dev_lock);
	wants = serial_wants_input(&loop->vm->serial);
	pthread_mutex_unlock(&loop->vm->dev_lock);
	return wants;
}

/* Neither a pause of the vCPUs nor room in the serial port's buffer can be polled for. */
#define POLL_INTERVAL_MS	50

static void loop_run(struct loop *loop)
{
	struct vm *vm = loop->vm;
	struct pollfd fds[POLL_MAX];
	unsigned int nr;

	for (;;) {
		bool wants = wants_input(loop);

		fds[POLL_END] = (struct pollfd){ .fd = vm->end_fd, .events = POLLIN };
		fds[POLL_SIGNAL] = (struct pollfd){ .fd = loop->signal_fd, .events = POLLIN };
		fds[POLL_TIMER] = (struct pollfd){ .fd = loop->timer_fd, .events = POLLIN };
		fds[POLL_JOB] = (struct pollfd){ .fd = loop->job.done_fd, .events = POLLIN };
		fds[POLL_SERIAL] = (struct pollfd){
			.fd = wants ? vm->serial.in_fd : -1, .events = POLLIN,
		};
		nr = control_poll(&loop->control, fds + POLL_CONTROL);
		if (poll(fds, POLL_CONTROL + nr, vm->serial.in_fd >= 0 && !wants ?
			 POLL_INTERVAL_MS : -1) < 0 && errno != EINTR)
			return;
		if (fds[POLL_END].revents)
			return;
		if (fds[POLL_SIGNAL].revents)
			on_signal(loop);
		if (fds[POLL_TIMER].revents)
			on_timer(loop);
		if (fds[POLL_JOB].revents)
			on_job(loop);
		if (fds[POLL_SERIAL].revents)
			on_serial(loop);
		control_handle(&loop->control, fds + POLL_CONTROL, nr);
	}
}

static int loop_init(struct loop *loop, struct vm *vm, int signal_fd)
{
	int err;

	loop->vm = vm;
	loop->signal_fd = signal_fd;
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (loop->timer_fd < 0)
		return fail(errno, "timerfd: %m");
	err = job_init(&loop->job, vm);
	if (!err)
		err = control_init(&loop->control, vm, &loop->job, vm->opt->control);
	if (!err)
		err = start_guest(loop);
	return err;
}

/* Nothing can wake a thread that waits for a source; its process can end. */
static void leave_receiver(struct loop *loop, int status)
{
	if (loop->job.kind != JOB_RECEIVE)
		return;
	control_destroy(&loop->control);
	serial_destroy(&loop->vm->serial);
	_exit(status);
}

static void loop_destroy(struct loop *loop)
{
	if (loop->job.kind == JOB_SEND) {
		loop->vm->migration.cancel = true;
		job_finish(&loop->job);
	}
	control_destroy(&loop->control);
	job_destroy(&loop->job);
	close(loop->timer_fd);
}

static int run(const struct options *opt)
{
	int signal_fd = block_signals();
	struct loop loop;
	struct vm vm;
	int status = EXIT_TROUBLE;

	if (signal_fd < 0 || vm_init(&vm, opt))
		return status;
	memset(&loop, 0, sizeof(loop));
	if (!loop_init(&loop, &vm, signal_fd)) {
		loop_run(&loop);
		status = vm.end_status;
	}
	leave_receiver(&loop, status);
	loop_destroy(&loop);
	vm_destroy(&vm);
	return status;
}

int main(int argc, char **argv)
{
	struct options opt;
	int err;

	if (argc == 4 && !strcmp(argv[1], "--ask"))
		return control_ask(argv[2], argv[3]);
	err = options_parse(&opt, argc, argv);
	if (err)
		return err < 0 ? EXIT_TROUBLE : 0;
	return run(&opt);
}
