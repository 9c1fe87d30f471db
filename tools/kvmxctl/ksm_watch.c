// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl ksm watch: how far merging is, while it goes on.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "ksm.h"
#include "ksm_text.h"
#include "out.h"
#include "slots.h"
#include "units.h"

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* On a terminal the line with the bar is written over by what comes next. */
static bool overwrites(void)
{
	return isatty(STDOUT_FILENO);
}

static void print_bar(const struct kvmx_ksm_host_get *host)
{
	char freed[UNITS_LEN], all[UNITS_LEN], ksmd[UNITS_LEN], kvmx[UNITS_LEN];
	uint64_t done = ksm_permille(host->freed_pages, host->mergeable_pages);
	char bar[KSM_BAR_LEN + 3];

	printf("%s%s %s of about %s  %u of %u VMs  %s  ksmd %s  kvmx %s%s",
	       overwrites() ? "\r" : "", ksm_bar(bar, host->mergeable_pages ? done : 0),
	       format_bytes(freed, host->freed_pages * GUEST_PAGE),
	       format_bytes(all, host->mergeable_pages * GUEST_PAGE), host->nr_live, host->nr_vms,
	       ksm_host_state_name(host->state), format_time(ksmd, host->ksmd_ns),
	       format_time(kvmx, host->kvmx_ns), overwrites() ? "\033[K" : "\n");
}

static void show_host(const struct kvmx_ksm_host_get *host)
{
	struct json_object *doc = json_object_new_object();

	out_add_u64(doc, "time_ns", now_ns());
	json_object_object_add(doc, "host", ksm_host_json(host));
	if (!out_json(doc))
		print_bar(host);
	json_object_put(doc);
	fflush(stdout);
}

static void show_event(const struct kvmx_event *event)
{
	struct json_object *doc = json_object_new_object(), *obj = json_object_new_object();
	char text[KSM_REASON_LEN];

	out_add_u64(doc, "time_ns", event->time_ns);
	json_object_object_add(doc, "event", obj);
	out_add_text(obj, "name", ksm_event_name(event->type));
	out_add_u64(obj, "arg", event->arg);
	out_add_text(obj, "text", ksm_event_text(text, event));
	if (!out_json(doc))
		printf("%s%s%s\n", overwrites() ? "\r" : "", text, overwrites() ? "\033[K" : "");
	json_object_put(doc);
	fflush(stdout);
}

/* Shows what happens until @end. */
static enum ctl_exit show_events(int sys_fd, uint64_t end, struct ctl_error *err)
{
	struct kvmx_event event;
	uint64_t now;
	int ret;

	while ((now = now_ns()) < end) {
		/* Rounded up, so that it does not spin for the last part of a millisecond. */
		ret = kvmx_read_event(sys_fd, &event, (end - now) / NSEC_PER_MSEC + 1);
		if (ret > 0)
			show_event(&event);
		else if (ret != -EAGAIN && ret != -EINTR)
			return ctl_fail_errno(err, -ret, "KSM's events");
	}
	return CTL_OK;
}

enum ctl_exit ksm_watch(int argc, char **argv, struct ctl_error *err)
{
	uint64_t interval = NSEC_PER_SEC, count = 0, i, next;
	const struct arg_opt opts[] = {
		{ "interval-seconds", ARG_SECONDS, &interval, .min = 10 * NSEC_PER_MSEC,
		  .max = 86400 * NSEC_PER_SEC },
		{ "count", ARG_COUNT, &count, .min = 1, .max = UINT64_MAX },
	};
	struct kvmx_ksm_host_get host;
	enum ctl_exit rc;
	int sys_fd;

	rc = args_parse(argc, argv, opts, ARRAY_SIZE(opts), NULL, err);
	if (rc)
		return rc;
	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	next = now_ns();
	for (i = 0; !rc && (!count || i < count); i++) {
		rc = ksm_host(sys_fd, &host, err);
		if (rc)
			break;
		show_host(&host);
		if (ferror(stdout)) {
			rc = ctl_fail(err, CTL_FAILED, "cannot write to standard output");
			break;
		}
		next += interval;
		if (!count || i + 1 < count)
			rc = show_events(sys_fd, next, err);
	}
	if (overwrites() && out_mode == OUT_PLAIN)
		puts("");
	close(sys_fd);
	return rc;
}
