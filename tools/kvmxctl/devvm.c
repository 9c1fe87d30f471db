// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl dev lease, release, quiesce and resume: devices and the VMs they are for.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kvmx/kvmx.h>

#include "attach.h"
#include "command.h"
#include "dev.h"
#include "out.h"

#define NO_UID	(~0ULL)

struct lease_args {
	uint8_t uuid[KVMX_UUID_LEN];
	struct kvmx_pci_addr addr[DEV_MAX];
	int nr;
	uint64_t uid;
	uint64_t force;
};

static enum ctl_exit parse_lease(int argc, char **argv, struct lease_args *a, bool lease,
				 struct ctl_error *err)
{
	const struct arg_opt opts[] = {
		{ .name = "force", .kind = ARG_FLAG, .value = &a->force },
		{ .name = "uid", .kind = ARG_COUNT, .value = &a->uid, .max = UINT_MAX - 1 },
	};
	char *words[DEV_MAX];
	int i, nr;

	memset(a, 0, sizeof(*a));
	a->uid = NO_UID;
	nr = dev_words(argc, argv, opts, lease ? 2 : 1, words, err);
	if (nr < 0)
		return err->code;
	if (!nr || !dev_parse_uuid(words[0], a->uuid))
		return ctl_fail(err, CTL_USAGE, "%s%s%s", nr ? "'" : "", nr ? words[0] : "",
				nr ? "' is not a UUID" : "for which VM? Give its UUID");
	for (i = 1; i < nr; i++) {
		if (!dev_parse_bdf(words[i], &a->addr[a->nr++]))
			return ctl_fail(err, CTL_USAGE, "'%s' is no address of a device", words[i]);
	}
	if (lease && !a->nr)
		return ctl_fail(err, CTL_USAGE, "which devices? Give their addresses");
	return CTL_OK;
}

static void explain(int error, bool lease, struct ctl_error *err)
{
	switch (error) {
	case ENODEV:
		ctl_hint(err, "a device does not exist, or is a bridge; see kvmxctl dev list");
		break;
	case ENOENT:
		ctl_hint(err, "that UUID has not leased it; see kvmxctl dev list");
		break;
	case EBUSY:
		ctl_hint(err, "%s; see kvmxctl dev list, or use --force", lease ?
			 "one is leased for another VM, or open" : "a VM has one open");
		break;
	case EOPNOTSUPP:
		ctl_hint(err, "load the module: modprobe " DEV_DRIVER);
		break;
	}
}

static void print_count(const char *key, int count)
{
	const struct out_field field = { key, key, OUT_COUNT };
	struct json_object *doc = json_object_new_object();

	out_add_u64(doc, key, count);
	if (!out_json(doc))
		out_record(doc, &field, 1);
	json_object_put(doc);
}

enum ctl_exit dev_lease(int argc, char **argv, struct ctl_error *err)
{
	struct lease_args a;
	enum ctl_exit rc;
	int sys_fd, ret;

	rc = parse_lease(argc, argv, &a, true, err);
	if (!rc)
		rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	ret = kvmx_lease_acquire(sys_fd, a.uuid, a.addr, a.nr,
				 a.uid == NO_UID ? KVMX_LEASE_NO_UID : a.uid,
				 a.force ? KVMX_LEASE_FORCE : 0);
	close(sys_fd);
	if (ret < 0) {
		rc = ctl_fail_errno(err, -ret, "cannot lease");
		explain(-ret, true, err);
		return rc;
	}
	print_count("leased", ret);
	return CTL_OK;
}

enum ctl_exit dev_release(int argc, char **argv, struct ctl_error *err)
{
	struct lease_args a;
	enum ctl_exit rc;
	int sys_fd, ret;

	rc = parse_lease(argc, argv, &a, false, err);
	if (!rc)
		rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	ret = kvmx_lease_release(sys_fd, a.uuid, a.nr ? a.addr : NULL, a.nr,
				 a.force ? KVMX_LEASE_FORCE : 0);
	close(sys_fd);
	if (ret < 0) {
		rc = ctl_fail_errno(err, -ret, "cannot release");
		explain(-ret, false, err);
		return rc;
	}
	print_count("released", ret);
	return CTL_OK;
}

static enum ctl_exit attach_devices(int argc, char **argv, const struct arg_opt *opts, size_t nr,
				    struct attached *att, struct ctl_error *err)
{
	struct target target;
	enum ctl_exit rc;

	rc = args_parse(argc, argv, opts, nr, &target, err);
	return rc ? rc : attach_target(att, &target, err);
}

enum ctl_exit dev_quiesce(int argc, char **argv, struct ctl_error *err)
{
	static const struct out_field fields[] = {
		{ "quiesced", "quiesced", OUT_COUNT },
		{ "unproven", "not proven to have drained", OUT_COUNT },
	};
	uint64_t trust = 0;
	const struct arg_opt opts[] = { { .name = "trust", .kind = ARG_FLAG, .value = &trust } };
	struct json_object *doc;
	struct attached att;
	uint32_t unproven;
	enum ctl_exit rc;
	int ret;

	rc = attach_devices(argc, argv, opts, ARRAY_SIZE(opts), &att, err);
	if (rc)
		return rc;
	/* We close the fd, and they shall stay so. */
	ret = kvmx_vm_quiesce(att.vm_fd, KVMX_QUIESCE_KEEP | (trust ? KVMX_QUIESCE_TRUST : 0),
			      &unproven);
	detach_target(&att);
	if (ret < 0) {
		rc = ctl_fail_errno(err, -ret, "cannot quiesce");
		if (ret == -EBUSY)
			ctl_hint(err, "the VMM or somebody else has quiesced them already");
		return rc;
	}
	doc = json_object_new_object();
	out_add_u64(doc, "quiesced", ret);
	out_add_u64(doc, "unproven", unproven);
	if (!out_json(doc))
		out_record(doc, fields, ARRAY_SIZE(fields));
	json_object_put(doc);
	return CTL_OK;
}

enum ctl_exit dev_resume(int argc, char **argv, struct ctl_error *err)
{
	struct attached att;
	enum ctl_exit rc;
	int ret;

	rc = attach_devices(argc, argv, NULL, 0, &att, err);
	if (rc)
		return rc;
	ret = kvmx_vm_resume(att.vm_fd);
	detach_target(&att);
	if (ret < 0)
		return ctl_fail_errno(err, -ret, "cannot resume");
	print_count("resumed", ret);
	return CTL_OK;
}
