// SPDX-License-Identifier: GPL-2.0
/*
 * Calls kvmx, and KVM, VFIO and mm around it, in every way there is: fuzz SECONDS [CORPUS [OUT]]
 *
 * Workers are processes of a few threads that all run programs on one VM, and that die when they
 * expect it least. A program that reaches code no other has reached is kept and built upon. What is
 * wrong the kernel has to say; we see workers that crash or cannot be killed.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "cover.h"
#include "lib/kx.h"
#include "lib/util.h"

#define WORKERS 2
#define THREADS 3
#define LIFE_MS 4000
/* To be killed takes this long at most. */
#define DEATH_NS 60000000000ULL
#define REPORT_NS 10000000000ULL

struct shared {
	struct cover cover;
	struct corpus corpus;
	uint64_t calls;
	uint64_t ok;
	uint64_t worlds;
	uint64_t no_kcov;
};

struct worker {
	pid_t pid;
	uint64_t end;		/* when it is killed */
	uint64_t killed;
};

struct thread {
	struct world *w;
	uint32_t rnd;
};

static struct shared *shared;

static void choose(struct prog *p, uint32_t *rnd)
{
	if (next_random(rnd) % 8 && corpus_pick(&shared->corpus, rnd, p))
		prog_mutate(p, &shared->corpus, rnd, nr_calls);
	else
		prog_random(p, rnd, nr_calls);
}

static void *run_programs(void *data)
{
	struct thread *t = data;
	struct prog p;
	uint32_t i;

	if (!cover_open())
		__atomic_store_n(&shared->no_kcov, 1, __ATOMIC_RELAXED);
	for (;;) {
		choose(&p, &t->rnd);
		cover_begin();
		for (i = 0; i < p.nr; i++) {
			if (call_run(t->w, &p.call[i]) >= 0)
				__atomic_add_fetch(&shared->ok, 1, __ATOMIC_RELAXED);
			__atomic_add_fetch(&shared->calls, 1, __ATOMIC_RELAXED);
		}
		if (cover_end(&shared->cover))
			corpus_add(&shared->corpus, &p);
	}
	return NULL;
}

/*
 * The first worker has a guest, whose vCPU is alone on its CPU, and the device. The other one has
 * neither, and uses both CPUs.
 */
static void worker(unsigned int nr, uint32_t rnd)
{
	static struct thread thread[THREADS];
	static struct world w;
	pthread_t id;
	cpu_set_t all;
	int i, err;

	if (nr) {
		CPU_ZERO(&all);
		CPU_SET(0, &all);
		CPU_SET(1, &all);
		sched_setaffinity(0, sizeof(all), &all);
	}
	err = world_open(&w, !nr, !nr);
	if (err) {
		fprintf(stderr, "fuzz: no VM: %s\n", strerror(-err));
		_exit(1);
	}
	__atomic_add_fetch(&shared->worlds, 1, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++) {
		thread[i].w = &w;
		thread[i].rnd = (rnd ^ i * 0x9e3779b9) | 1;
		if (pthread_create(&id, NULL, run_programs, &thread[i]))
			_exit(1);
	}
	/* Half of them end by themselves, the others are killed. */
	sleep_ms(200 + rnd % (2 * LIFE_MS));
	_exit(0);
}

static int start(struct worker *wk, unsigned int nr, uint32_t *rnd)
{
	uint32_t seed = next_random(rnd);

	wk->pid = fork();
	if (!wk->pid)
		worker(nr, seed);
	wk->end = now_ns() + 1000000ULL * (100 + next_random(rnd) % (2 * LIFE_MS));
	wk->killed = 0;
	return wk->pid < 0 ? -errno : 0;
}

/* Whether all is well with a worker. */
static int watch(struct worker *wk)
{
	int status;

	if (waitpid(wk->pid, &status, WNOHANG) == wk->pid) {
		wk->pid = 0;
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) {
			printf("fuzz: a worker died of signal %d\n", WTERMSIG(status));
			return -1;
		}
		if (WIFEXITED(status) && WEXITSTATUS(status)) {
			printf("fuzz: a worker could not be set up\n");
			return -1;
		}
		return 0;
	}
	if (!wk->killed && now_ns() > wk->end) {
		wk->killed = now_ns();
		kill(wk->pid, SIGKILL);
	}
	if (wk->killed && now_ns() > wk->killed + DEATH_NS) {
		printf("fuzz: a worker cannot be killed\n");
		return -1;
	}
	return 0;
}

static void report(const char *what)
{
	printf("fuzz: %s: %lu calls, %lu of them worked, %lu VMs, coverage %u, corpus %u\n", what,
	       shared->calls, shared->ok, shared->worlds, shared->cover.bits,
	       shared->corpus.reserved);
	fflush(stdout);
}

static int run(unsigned int seconds, uint32_t seed)
{
	uint64_t end = now_ns() + seconds * 1000000000ULL, next = now_ns() + REPORT_NS;
	struct worker wk[WORKERS] = { 0 };
	int i, err = 0;

	while (now_ns() < end && !err) {
		for (i = 0; i < WORKERS && !err; i++)
			err = wk[i].pid ? watch(&wk[i]) : start(&wk[i], i, &seed);
		if (now_ns() > next) {
			report("so far");
			next += REPORT_NS;
		}
		sleep_ms(10);
	}
	for (i = 0; i < WORKERS; i++) {
		wk[i].end = 0;
		while (!err && wk[i].pid > 0) {
			err = watch(&wk[i]);
			sleep_ms(10);
		}
	}
	return err;
}

/* Leases are meant to outlive everybody. */
static int clean_up(void)
{
	uint32_t nr = 1;
	uint8_t uuid;

	for (uuid = 1; uuid < FUZZ_UUIDS; uuid++)
		kx_unlease(uuid, NULL, 0, KVMX_LEASE_FORCE);
	if (kx_leases(NULL, 0, &nr) == -EOPNOTSUPP || !nr)
		return 0;
	printf("fuzz: %u leases that cannot be released\n", nr);
	return -1;
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	uint32_t seed = now_ns() | 1;
	int err, nr;

	if (!seconds) {
		fprintf(stderr, "usage: fuzz SECONDS [CORPUS [OUT]]\n");
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	nr = argc > 2 ? corpus_load(&shared->corpus, argv[2], nr_calls) : 0;
	printf("fuzz: seed %u, %d programs to begin with\n", seed, nr);
	fflush(stdout);
	err = run(seconds, seed);
	report("in the end");
	if (clean_up())
		err = -1;
	if (shared->no_kcov)
		printf("fuzz: this kernel does not say what ran: not guided\n");
	if (argc > 3 && corpus_save(&shared->corpus, argv[3], nr_calls) < 0) {
		printf("fuzz: cannot write %s\n", argv[3]);
		err = -1;
	}
	return err ? 1 : 0;
}
