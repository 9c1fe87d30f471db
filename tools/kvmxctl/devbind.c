// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl dev bind and unbind: who drives a device. Nothing is taken from the host that it uses.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "command.h"
#include "dev.h"
#include "out.h"

#define NAME_LEN	64

/* The devices of a command: with --group all that are in their groups. */
struct selection {
	char bdf[DEV_MAX][DEV_BDF_LEN];
	bool open[DEV_MAX];
	int nr;
};

static enum ctl_exit select_one(struct selection *s, const struct kvmx_pci_addr *addr, bool open,
				struct ctl_error *err)
{
	char bdf[DEV_BDF_LEN];
	int i;

	dev_format_bdf(addr, bdf);
	for (i = 0; i < s->nr; i++) {
		if (!strcmp(s->bdf[i], bdf))
			return CTL_OK;
	}
	if (s->nr == DEV_MAX)
		return ctl_fail(err, CTL_USAGE, "at most %d devices at once", DEV_MAX);
	s->open[s->nr] = open;
	memcpy(s->bdf[s->nr++], bdf, sizeof(bdf));
	return CTL_OK;
}

static enum ctl_exit select_word(struct selection *s, int sys_fd, const char *word, bool group,
				 struct ctl_error *err)
{
	struct kvmx_dev_member *members;
	struct kvmx_dev_report r;
	enum ctl_exit rc;
	uint32_t i;

	rc = dev_report(sys_fd, word, &r, &members, err);
	if (rc)
		return rc;
	if (r.state & KVMX_DEV_BRIDGE)
		rc = ctl_fail(err, CTL_USAGE, "%s is a bridge", word);
	else
		rc = select_one(s, &r.addr, r.state & KVMX_DEV_OPEN, err);
	for (i = 1; i < r.nr_members && !rc && group; i++) {
		if (members[i].flags & KVMX_MEMBER_GROUP &&
		    !(members[i].flags & KVMX_MEMBER_BRIDGE))
			rc = select_one(s, &members[i].addr, members[i].flags & KVMX_MEMBER_OPEN,
					err);
	}
	free(members);
	return rc;
}

static enum ctl_exit parse(int argc, char **argv, struct selection *s, uint64_t *force,
			   struct ctl_error *err)
{
	uint64_t group = 0;
	const struct arg_opt opts[] = {
		{ .name = "group", .kind = ARG_FLAG, .value = &group },
		{ .name = "force", .kind = ARG_FLAG, .value = force },
	};
	char *words[DEV_MAX];
	enum ctl_exit rc;
	int i, nr, sys_fd;

	nr = dev_words(argc, argv, opts, ARRAY_SIZE(opts), words, err);
	if (nr < 0)
		return err->code;
	if (!nr)
		return ctl_fail(err, CTL_USAGE, "which device? Give its address");
	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	for (i = 0; i < nr && !rc; i++)
		rc = select_word(s, sys_fd, words[i], group, err);
	close(sys_fd);
	return rc;
}

/* Before anything is touched. */
static enum ctl_exit check_use(const struct selection *s, struct ctl_error *err)
{
	char use[256];
	int i;

	for (i = 0; i < s->nr; i++) {
		if (!devuse_find(s->bdf[i], use, sizeof(use)))
			continue;
		ctl_fail(err, CTL_BUSY, "%s: %s", s->bdf[i], use);
		ctl_hint(err, "the host would lose it; --force does it all the same");
		return CTL_BUSY;
	}
	return CTL_OK;
}

/* As it was: whatever driver it had. */
static void give_back(const char *bdf, const char *driver)
{
	devsys_override(bdf, "");
	if (*driver && strcmp(driver, DEV_DRIVER))
		devsys_bind(bdf, driver);
	devsys_forget(bdf);
}

static enum ctl_exit bind_one(const char *bdf, struct ctl_error *err)
{
	char before[NAME_LEN], now[NAME_LEN];
	int error;

	devsys_driver(bdf, before, sizeof(before));
	if (!strcmp(before, DEV_DRIVER))
		return CTL_OK;
	error = devsys_remember(bdf, before);
	if (error)
		return ctl_fail_errno(err, -error, "/run/kvmx");
	error = devsys_unbind(bdf);
	if (error) {
		devsys_forget(bdf);
		return ctl_fail_errno(err, -error, "%s: cannot take it from %s", bdf, before);
	}
	error = devsys_override(bdf, DEV_DRIVER);
	if (!error)
		error = devsys_probe(bdf);
	devsys_driver(bdf, now, sizeof(now));
	if (!error && !strcmp(now, DEV_DRIVER))
		return CTL_OK;
	give_back(bdf, before);
	if (error)
		return ctl_fail_errno(err, -error, "%s: cannot give it to " DEV_DRIVER, bdf);
	ctl_fail(err, CTL_FAILED, "%s: " DEV_DRIVER " does not take it", bdf);
	ctl_hint(err, "is there an IOMMU? Is the module loaded (modprobe " DEV_DRIVER ")?");
	return err->code;
}

static enum ctl_exit unbind_one(const char *bdf, struct ctl_error *err)
{
	char before[NAME_LEN], now[NAME_LEN];
	int error;

	devsys_driver(bdf, now, sizeof(now));
	if (strcmp(now, DEV_DRIVER)) {
		ctl_fail(err, CTL_FAILED, "%s: its driver is %s", bdf, *now ? now : "none");
		ctl_hint(err, "there is nothing to give back; see kvmxctl dev show %s", bdf);
		return err->code;
	}
	devsys_recall(bdf, before, sizeof(before));
	error = devsys_override(bdf, "");
	if (!error)
		error = devsys_unbind(bdf);
	if (error)
		return ctl_fail_errno(err, -error, "%s: cannot take it from " DEV_DRIVER, bdf);
	if (*before)
		error = devsys_bind(bdf, before);
	devsys_forget(bdf);
	if (!error)
		return CTL_OK;
	ctl_fail_errno(err, -error, "%s: %s does not take it back", bdf, before);
	ctl_hint(err, "is that driver still loaded? The device has none now");
	return err->code;
}

static void print_drivers(const struct selection *s, int done)
{
	static const struct out_field columns[] = {
		{ "device", "DEVICE", OUT_TEXT },
		{ "driver", "DRIVER", OUT_TEXT },
	};
	struct json_object *doc = json_object_new_object(), *array = json_object_new_array();
	char driver[NAME_LEN];
	int i;

	json_object_object_add(doc, "devices", array);
	for (i = 0; i < done; i++) {
		struct json_object *obj = json_object_new_object();

		devsys_driver(s->bdf[i], driver, sizeof(driver));
		out_add_text(obj, "device", s->bdf[i]);
		if (*driver)
			out_add_text(obj, "driver", driver);
		json_object_array_add(array, obj);
	}
	if (!out_json(doc))
		out_table(array, columns, ARRAY_SIZE(columns));
	json_object_put(doc);
}

enum ctl_exit dev_bind(int argc, char **argv, struct ctl_error *err)
{
	struct selection s = { .nr = 0 };
	struct ctl_error ignored = { 0 };
	bool had[DEV_MAX];
	char now[NAME_LEN];
	uint64_t force = 0;
	enum ctl_exit rc;
	int i;

	rc = parse(argc, argv, &s, &force, err);
	if (!rc && !force)
		rc = check_use(&s, err);
	for (i = 0; i < s.nr && !rc; i++) {
		devsys_driver(s.bdf[i], now, sizeof(now));
		had[i] = !strcmp(now, DEV_DRIVER);
		rc = bind_one(s.bdf[i], err);
		if (!rc)
			continue;
		/* All or none. */
		while (--i >= 0) {
			if (!had[i])
				unbind_one(s.bdf[i], &ignored);
		}
		return rc;
	}
	if (!rc)
		print_drivers(&s, s.nr);
	return rc;
}

static enum ctl_exit check_open(const struct selection *s, struct ctl_error *err)
{
	int i;

	for (i = 0; i < s->nr; i++) {
		if (!s->open[i])
			continue;
		ctl_fail(err, CTL_BUSY, "%s: a VM has it open", s->bdf[i]);
		ctl_hint(err, "see kvmxctl dev show %s; --force asks it to let go, and waits",
			 s->bdf[i]);
		return CTL_BUSY;
	}
	return CTL_OK;
}

enum ctl_exit dev_unbind(int argc, char **argv, struct ctl_error *err)
{
	struct selection s = { .nr = 0 };
	uint64_t force = 0;
	enum ctl_exit rc;
	int i;

	rc = parse(argc, argv, &s, &force, err);
	if (!rc && !force)
		rc = check_open(&s, err);
	for (i = 0; i < s.nr && !rc; i++)
		rc = unbind_one(s.bdf[i], err);
	if (!rc)
		print_drivers(&s, s.nr);
	return rc;
}
