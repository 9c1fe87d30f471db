// SPDX-License-Identifier: GPL-2.0
/*
 * Talks to QEMU by its machine protocol.
 *
 *	qmp SOCKET COMMAND		prints the answer; exits with 0 unless that is an error
 *	qmp SOCKET migrated SECONDS	waits for the end of a migration, and cancels it when it is
 *					not over by then. Prints the pause that QEMU expected last
 *					in ms, and its last answer; exits with 0 if it completed
 */
#include <errno.h>
#include <json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Often enough to see the last round, seldom enough not to slow it down. */
#define POLL_US 200000

static FILE *dial(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return NULL;
	return fdopen(fd, "r+");
}

/* The answer, with what happened meanwhile left out. */
static const char *answer(FILE *qemu, char *line, size_t size)
{
	while (fgets(line, size, qemu))
		if (!strncmp(line, "{\"return\"", 9) || !strncmp(line, "{\"error\"", 8))
			return line;
	return NULL;
}

static const char *ask(FILE *qemu, const char *command, char *line, size_t size)
{
	/* A stream that is read and written must be told in between. */
	fseek(qemu, 0, SEEK_CUR);
	if (fprintf(qemu, "%s\n", command) < 0 || fflush(qemu))
		return NULL;
	fseek(qemu, 0, SEEK_CUR);
	return answer(qemu, line, size);
}

static struct json_object *migration(FILE *qemu, char *line, size_t size)
{
	const char *reply = ask(qemu, "{\"execute\":\"query-migrate\"}", line, size);

	return reply ? json_tokener_parse(reply) : NULL;
}

/* Of the first level inside of "return". */
static struct json_object *field(struct json_object *reply, const char *name)
{
	return json_object_object_get(json_object_object_get(reply, "return"), name);
}

static bool is_over(struct json_object *reply)
{
	const char *status = json_object_get_string(field(reply, "status"));

	return status && (!strcmp(status, "completed") || !strcmp(status, "failed") ||
			  !strcmp(status, "cancelled"));
}

static int wait_migrated(FILE *qemu, time_t seconds)
{
	time_t end = time(NULL) + seconds;
	struct json_object *reply;
	char line[16384];
	int expected = 0;
	bool over = false, done = false, cancelled = false;

	while (!over) {
		usleep(POLL_US);
		reply = migration(qemu, line, sizeof(line));
		if (!reply)
			return 1;
		if (field(reply, "expected-downtime"))
			expected = json_object_get_int(field(reply, "expected-downtime"));
		over = is_over(reply);
		done = over && !strcmp(json_object_get_string(field(reply, "status")),
				       "completed");
		json_object_put(reply);
		if (!over && !cancelled && time(NULL) >= end) {
			cancelled = true;
			ask(qemu, "{\"execute\":\"migrate_cancel\"}", line, sizeof(line));
		}
	}
	printf("%d\n%s", expected, line);
	return done ? 0 : 1;
}

int main(int argc, char **argv)
{
	const char *reply = NULL;
	char line[16384];
	FILE *qemu;

	if (argc != 3 && (argc != 4 || strcmp(argv[2], "migrated"))) {
		fprintf(stderr, "usage: qmp SOCKET COMMAND | qmp SOCKET migrated SECONDS\n");
		return 2;
	}
	qemu = dial(argv[1]);
	/* QEMU speaks first. */
	if (qemu && fgets(line, sizeof(line), qemu) &&
	    ask(qemu, "{\"execute\":\"qmp_capabilities\"}", line, sizeof(line))) {
		if (argc == 4)
			return wait_migrated(qemu, atoi(argv[3]));
		reply = ask(qemu, argv[2], line, sizeof(line));
	}
	if (!reply) {
		fprintf(stderr, "qmp: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	fputs(reply, stdout);
	return !strncmp(reply, "{\"error\"", 8);
}
