// SPDX-License-Identifier: GPL-2.0
/*
 * Gives QEMU a command by its machine protocol: qmp SOCKET COMMAND. Prints the answer; exits with
 * 0 unless that is an error.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

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

int main(int argc, char **argv)
{
	const char *reply = NULL;
	char line[16384];
	FILE *qemu;

	if (argc != 3) {
		fprintf(stderr, "usage: qmp SOCKET COMMAND\n");
		return 2;
	}
	qemu = dial(argv[1]);
	/* QEMU speaks first. */
	if (qemu && fgets(line, sizeof(line), qemu) &&
	    ask(qemu, "{\"execute\":\"qmp_capabilities\"}", line, sizeof(line)))
		reply = ask(qemu, argv[2], line, sizeof(line));
	if (!reply) {
		fprintf(stderr, "qmp: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	fputs(reply, stdout);
	return !strncmp(reply, "{\"error\"", 8);
}
