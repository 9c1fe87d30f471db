// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <json-c/json.h>

#include "control.h"
#include "inspect.h"
#include "job.h"
#include "report.h"
#include "vm.h"

#define ASK_FAILED	1

static void add_string(struct json_object *obj, const char *name, const char *value)
{
	json_object_object_add(obj, name, json_object_new_string(value));
}

static struct json_object *answer(bool ok)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "ok", json_object_new_boolean(ok));
	return obj;
}

static struct json_object *refuse(const char *why)
{
	struct json_object *obj = answer(false);

	add_string(obj, "error", why);
	return obj;
}

static struct json_object *result(int err)
{
	return err ? refuse(strerror(-err)) : answer(true);
}

static const char *state_name(struct control *control)
{
	unsigned int pause = vcpus_paused(&control->vm->vcpus);

	if (pause & PAUSE_END)
		return "ended";
	if (pause & PAUSE_START)
		return "incoming";
	return pause ? "paused" : "running";
}

static struct json_object *do_status(struct control *control)
{
	struct migration *migration = &control->vm->migration;
	struct json_object *obj = answer(true);

	add_string(obj, "state", state_name(control));
	json_object_object_add(obj, "migrating",
			       json_object_new_boolean(control->job->kind == JOB_SEND));
	json_object_object_add(obj, "pid", json_object_new_int(getpid()));
	if (control->job->kind == JOB_SEND) {
		pthread_mutex_lock(&migration->lock);
		json_object_object_add(obj, "progress", progress_json(&migration->progress));
		pthread_mutex_unlock(&migration->lock);
	}
	return obj;
}

/* NULL: the answer comes when it is over. */
static struct json_object *start_send(struct control *control, struct control_client *client,
				      const char *place)
{
	int err;

	/* While a job is under way, that is what job_start() says. */
	if (control->job->kind == JOB_NONE &&
	    vcpus_paused(&control->vm->vcpus) & PAUSE_NO_SEND)
		return refuse("there is no guest to send, or it may run elsewhere");
	err = job_start(control->job, JOB_SEND, place, control->vm->opt->offline);
	if (err)
		return result(err);
	client->waits = true;
	return NULL;
}

static struct json_object *do_migrate(struct control *control, struct control_client *client,
				      const char *place)
{
	if (strncmp(place, "unix:", 5))
		return refuse("migrate wants unix:PATH");
	return start_send(control, client, place);
}

static struct json_object *do_save(struct control *control, struct control_client *client,
				   const char *path)
{
	struct json_object *obj;
	char *place;

	if (asprintf(&place, "file:%s", path) < 0)
		return result(-ENOMEM);
	obj = start_send(control, client, place);
	free(place);
	return obj;
}

static struct json_object *do_resume(struct control *control)
{
	unsigned int reasons = PAUSE_USER;

	/* After a migration with unknown outcome it takes a person to say: it is not over there. */
	if (control->job->kind == JOB_NONE)
		reasons |= PAUSE_MIGRATION;
	vcpus_resume(&control->vm->vcpus, reasons);
	return answer(true);
}

static struct json_object *do_memory_hash(struct control *control)
{
	struct json_object *obj = answer(true);

	json_object_object_add(obj, "memory", hashes_json(control->vm));
	return obj;
}

static struct json_object *do_vcpus(struct control *control)
{
	struct json_object *vcpus = inspect_vcpus(control->vm), *obj;

	if (!vcpus)
		return result(-errno);
	obj = answer(true);
	json_object_object_add(obj, "vcpus", vcpus);
	return obj;
}

static struct json_object *do_command(struct control *control, struct control_client *client,
				      const char *word, const char *arg)
{
	struct vm *vm = control->vm;

	if (!strcmp(word, "migrate") && *arg)
		return do_migrate(control, client, arg);
	if (!strcmp(word, "save") && *arg)
		return do_save(control, client, arg);
	if (!strcmp(word, "memory-dump") && *arg)
		return result(memory_dump(&vm->mem, arg));
	if (*arg)
		return refuse("unknown command, or too many words");
	if (!strcmp(word, "status"))
		return do_status(control);
	if (!strcmp(word, "cancel")) {
		vm->migration.cancel = true;
		return answer(true);
	}
	if (!strcmp(word, "pause")) {
		vcpus_pause(&vm->vcpus, PAUSE_USER);
		return answer(true);
	}
	if (!strcmp(word, "resume"))
		return do_resume(control);
	if (!strcmp(word, "memory-hash"))
		return do_memory_hash(control);
	if (!strcmp(word, "vcpus"))
		return do_vcpus(control);
	if (!strcmp(word, "quit")) {
		vm_end(vm, 0);
		return answer(true);
	}
	return refuse("unknown command, or its argument is missing (see --help)");
}

static void drop(struct control_client *client)
{
	close(client->fd);
	client->fd = -1;
	client->waits = false;
	client->len = 0;
}

static void send_answer(struct control_client *client, struct json_object *obj)
{
	const char *text = json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN);
	size_t len = strlen(text);

	/* Who does not read his answers is not waited for. */
	if (send(client->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len ||
	    send(client->fd, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1)
		drop(client);
	json_object_put(obj);
}

static void do_line(struct control *control, struct control_client *client, char *line)
{
	struct json_object *obj;
	char *arg = strchr(line, ' ');

	if (arg)
		*arg++ = '\0';
	obj = do_command(control, client, line, arg ? arg : "");
	if (obj)
		send_answer(client, obj);
}

static void do_lines(struct control *control, struct control_client *client)
{
	char *end;

	while (client->fd >= 0 && !client->waits &&
	       (end = memchr(client->line, '\n', client->len))) {
		size_t used = end + 1 - client->line;
		char line[CONTROL_LINE];

		*end = '\0';
		memcpy(line, client->line, used);
		client->len -= used;
		memmove(client->line, end + 1, client->len);
		do_line(control, client, line);
	}
	if (client->fd >= 0 && client->len == CONTROL_LINE) {
		send_answer(client, refuse("line too long"));
		if (client->fd >= 0)
			drop(client);
	}
}

static void receive(struct control *control, struct control_client *client)
{
	ssize_t n = recv(client->fd, client->line + client->len, CONTROL_LINE - client->len,
			 MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(client);
		return;
	}
	client->len += n;
	do_lines(control, client);
}

static void accept_client(struct control *control)
{
	int fd = accept4(control->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	unsigned int i;

	for (i = 0; fd >= 0 && i < CONTROL_MAX_CLIENTS; i++) {
		if (control->clients[i].fd < 0) {
			control->clients[i].fd = fd;
			return;
		}
	}
	if (fd >= 0)
		close(fd);
}

unsigned int control_poll(const struct control *control, struct pollfd *fds)
{
	unsigned int i, nr = 0;

	if (control->listen_fd < 0)
		return 0;
	fds[nr++] = (struct pollfd){ .fd = control->listen_fd, .events = POLLIN };
	for (i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		const struct control_client *client = &control->clients[i];

		/* poll() skips negative ones. Of who waits we want to hear nothing. */
		fds[nr++] = (struct pollfd){
			.fd = client->waits ? -1 : client->fd, .events = POLLIN,
		};
	}
	return nr;
}

void control_handle(struct control *control, const struct pollfd *fds, unsigned int nr)
{
	unsigned int i;

	for (i = 1; i < nr; i++)
		if (fds[i].revents && control->clients[i - 1].fd == fds[i].fd)
			receive(control, &control->clients[i - 1]);
	if (nr && fds[0].revents)
		accept_client(control);
}

void control_job_ended(struct control *control, int err)
{
	struct migration *migration = &control->vm->migration;
	unsigned int i;

	for (i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		struct control_client *client = &control->clients[i];
		struct json_object *obj;

		if (!client->waits)
			continue;
		client->waits = false;
		obj = err ? refuse(migration->report.reason) : answer(true);
		json_object_object_add(obj, "report",
				       report_json(&migration->report, "source", control->vm));
		send_answer(client, obj);
		do_lines(control, client);
	}
}

int control_init(struct control *control, struct vm *vm, struct job *job, const char *path)
{
	unsigned int i;

	memset(control, 0, sizeof(*control));
	control->vm = vm;
	control->job = job;
	control->path = path;
	control->listen_fd = -1;
	for (i = 0; i < CONTROL_MAX_CLIENTS; i++)
		control->clients[i].fd = -1;
	if (!path)
		return 0;
	control->listen_fd = unix_listen(path);
	return control->listen_fd < 0 ?
	       fail(-control->listen_fd, "%s: %s", path, strerror(-control->listen_fd)) : 0;
}

void control_destroy(struct control *control)
{
	unsigned int i;

	if (control->listen_fd < 0)
		return;
	for (i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (control->clients[i].fd >= 0)
			drop(&control->clients[i]);
	close(control->listen_fd);
	unlink(control->path);
	control->listen_fd = -1;
}

static bool says_ok(const char *line)
{
	struct json_object *obj = json_tokener_parse(line), *ok;
	bool yes;

	yes = obj && json_object_object_get_ex(obj, "ok", &ok) && json_object_get_boolean(ok);
	json_object_put(obj);
	return yes;
}

int control_ask(const char *path, const char *command)
{
	int fd = unix_connect(path), status = ASK_FAILED;
	char *line = NULL;
	size_t room = 0;
	FILE *stream;

	if (fd < 0) {
		say("%s: %s", path, strerror(-fd));
		return status;
	}
	stream = fdopen(fd, "r");
	if (!stream) {
		close(fd);
		return status;
	}
	if (dprintf(fd, "%s\n", command) < 0 || getline(&line, &room, stream) <= 0) {
		say("%s: no answer", path);
	} else {
		fputs(line, stdout);
		status = says_ok(line) ? 0 : ASK_FAILED;
	}
	free(line);
	fclose(stream);
	return status;
}
