// SPDX-License-Identifier: LGPL-2.1
/*
 * The same without libFuzzer, for every run of the tests: all seeds, the corpus, and a fixed number
 * of inputs made from them by a fixed seed.
 *
 *	libkvmx-fuzz			KTAP
 *	libkvmx-fuzz --seeds DIR	write the seeds
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

#define RUNS		20000
#define MAX_INPUTS	256

static struct {
	uint8_t *data;
	size_t size;
} input[MAX_INPUTS];
static unsigned int nr_inputs;
static uint64_t state = 0x9e3779b97f4a7c15ULL;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* As libFuzzer's, only simpler. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
	static const uint64_t odd[] = { 0, 1, 0x7f, 0xff, 0xffff, 0x7fffffff, 0xffffffff,
					0x100000, ~0ULL, 1ULL << 63, 4096, 16 };
	size_t at = size ? next_random() % size : 0, len;

	switch (next_random() % 5) {
	case 0:
		if (size)
			data[at] ^= 1 << next_random() % 8;
		return size;
	case 1:
		len = 1 << next_random() % 4;
		if (size >= len)
			memcpy(data + next_random() % (size - len + 1),
			       &odd[next_random() % ARRAY_SIZE(odd)], len);
		return size;
	case 2:
		return at;
	case 3:
		if (size >= max)
			return size;
		len = 1 + next_random() % (max - size < 40 ? max - size : 40);
		memset(data + size, next_random(), len);
		return size + len;
	default:
		if (size)
			data[at] = next_random();
		return size;
	}
}

static void add_input(const uint8_t *data, size_t size)
{
	if (nr_inputs == MAX_INPUTS || !size)
		return;
	input[nr_inputs].data = malloc(size);
	if (!input[nr_inputs].data)
		exit(1);
	memcpy(input[nr_inputs].data, data, size);
	input[nr_inputs++].size = size;
}

static void add_corpus(const char *dir)
{
	static uint8_t buf[FUZZ_MAX];
	struct dirent **names;
	char path[4096];
	int n, i;

	n = scandir(dir, &names, NULL, alphasort);
	for (i = 0; i < n; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		f = names[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
		free(names[i]);
		if (!f)
			continue;
		add_input(buf, fread(buf, 1, sizeof(buf), f));
		fclose(f);
	}
	if (n >= 0)
		free(names);
}

static int write_seeds(const char *dir)
{
	static uint8_t buf[FUZZ_MAX];
	char path[4096];
	unsigned int n;

	for (n = 0; n < FUZZ_SEEDS; n++) {
		size_t len = fuzz_seed(n, buf);
		FILE *f;

		snprintf(path, sizeof(path), "%s/seed-%02u", dir, n);
		f = fopen(path, "wb");
		if (!f || fwrite(buf, 1, len, f) != len || fclose(f))
			return 1;
	}
	return 0;
}

static unsigned int test_nr;

static void say(bool good, const char *what)
{
	printf("%sok %u %s\n", good ? "" : "not ", ++test_nr, what);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static uint8_t buf[FUZZ_MAX];
	unsigned int n, good = 0;
	bool all = true;

	if (argc == 3 && !strcmp(argv[1], "--seeds"))
		return write_seeds(argv[2]);
	LLVMFuzzerInitialize(&argc, &argv);
	printf("TAP version 13\n1..3\n");
	for (n = 0; n < FUZZ_SEEDS; n++) {
		size_t len = fuzz_seed(n, buf);

		LLVMFuzzerTestOneInput(buf, len);
		all &= (fuzz_result() == 0) == (n < FUZZ_GOOD);
		add_input(buf, len);
	}
	say(all, "good streams are taken, others are not");
	add_corpus(CORPUS);
	for (n = 0; n < nr_inputs; n++)
		LLVMFuzzerTestOneInput(input[n].data, input[n].size);
	printf("# %u inputs\n", nr_inputs);
	say(nr_inputs >= FUZZ_SEEDS, "the corpus does no harm");
	for (n = 0; n < RUNS; n++) {
		unsigned int i = next_random() % nr_inputs, more;
		size_t len = input[i].size;

		memcpy(buf, input[i].data, len);
		for (more = 1 + next_random() % 4; more; more--)
			len = LLVMFuzzerCustomMutator(buf, len, sizeof(buf), next_random());
		LLVMFuzzerTestOneInput(buf, len);
		good += !fuzz_result();
	}
	printf("# %u of %u mutated streams were good\n", good, RUNS);
	/* Mutations that are always refused at the door, or never, would test nothing. */
	say(good > RUNS / 100 && good < RUNS / 2, "mutated streams do no harm");
	for (n = 0; n < nr_inputs; n++)
		free(input[n].data);
	return !all || good <= RUNS / 100 || good >= RUNS / 2;
}
