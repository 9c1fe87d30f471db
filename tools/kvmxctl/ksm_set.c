// SPDX-License-Identifier: GPL-2.0
/*
 * kvmxctl ksm set: whether a VM may merge, and the policy of the host.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "attach.h"
#include "command.h"
#include "ksm.h"
#include "ksm_text.h"
#include "out.h"
#include "units.h"
#include "vminfo.h"

/* An option that was not given; no option takes so much. */
#define LEFT	UINT64_MAX

static enum ctl_exit parse_domain(const char *text, uint8_t domain[KVMX_UUID_LEN],
				  struct ctl_error *err)
{
	if (!text || !ksm_parse_uuid(text, domain))
		return CTL_OK;
	ctl_fail(err, CTL_USAGE, "--domain: '%s' is neither a UUID nor 'none'", text);
	return err->code;
}

struct vm_change {
	uint64_t mode;
	uint64_t weight;
	const char *domain;
};

static enum ctl_exit vm_error(int error, const struct attached *att, struct ctl_error *err)
{
	ctl_fail_errno(err, error, "cannot change the setting of process %d", att->found.pid);
	if (error == ENOMEM)
		ctl_hint(err, "there is not enough memory to unmerge what is merged");
	else if (error == EPERM)
		ctl_hint(err, "a domain, mode always and a weight above 100 take CAP_SYS_ADMIN");
	return err->code;
}

static enum ctl_exit change_vm(const struct attached *att, const struct vm_change *change,
			       struct ctl_error *err)
{
	struct kvmx_vm_ksm_get now;
	uint8_t domain[KVMX_UUID_LEN];
	enum ctl_exit rc;
	int error;

	rc = parse_domain(change->domain, domain, err);
	if (rc)
		return rc;
	error = kvmx_vm_ksm_get(att->vm_fd, &now);
	if (error)
		return vm_error(-error, att, err);
	if (change->mode != LEFT)
		now.mode = change->mode;
	if (change->weight != LEFT)
		now.weight = change->weight;
	error = kvmx_vm_ksm_set(att->vm_fd, now.mode, now.weight, change->domain ? domain : NULL,
				now.mode == KVMX_KSM_UNSET ? 0 : KVMX_VM_KSM_KEEP);
	return error ? vm_error(-error, att, err) : CTL_OK;
}

static void print_vm(struct json_object *doc)
{
	static const struct out_field fields[] = {
		{ "mode", "mode", OUT_TEXT },
		{ "domain", "domain", OUT_TEXT },
		{ "weight", "weight", OUT_COUNT },
		{ "state", "state", OUT_TEXT },
		{ "reason", "because", OUT_TEXT },
	};

	out_record(out_get(doc, "ksm"), fields, ARRAY_SIZE(fields));
}

static enum ctl_exit report_vm(const struct attached *att, struct ctl_error *err)
{
	struct kvmx_vm_ksm_get now;
	struct json_object *doc;
	int error;

	error = kvmx_vm_ksm_get(att->vm_fd, &now);
	if (error)
		return vm_error(-error, att, err);
	doc = json_object_new_object();
	vminfo_add_found(doc, &att->found);
	json_object_object_add(doc, "ksm", ksm_vm_json(&now));
	if (!out_json(doc))
		print_vm(doc);
	json_object_put(doc);
	return CTL_OK;
}

static enum ctl_exit set_vm(int argc, char **argv, struct ctl_error *err)
{
	static const char * const modes[] = { "unset", "off", "auto", "always", NULL };
	struct vm_change change = { LEFT, LEFT, NULL };
	const struct arg_opt opts[] = {
		{ "mode", ARG_WORD, &change.mode, .words = modes },
		{ "weight", ARG_COUNT, &change.weight, .min = 1, .max = KVMX_KSM_MAX_WEIGHT },
		{ "domain", ARG_TEXT, .text = &change.domain },
	};
	struct target target;
	struct attached att;
	enum ctl_exit rc;

	rc = args_parse(argc, argv, opts, ARRAY_SIZE(opts), &target, err);
	if (rc)
		return rc;
	if (change.mode == LEFT && change.weight == LEFT && !change.domain)
		return ctl_fail(err, CTL_USAGE, "what is to be set?");
	rc = attach_target(&att, &target, err);
	if (rc)
		return rc;
	rc = change_vm(&att, &change, err);
	if (!rc)
		rc = report_vm(&att, err);
	detach_target(&att);
	return rc;
}

struct host_change {
	uint64_t mode;
	uint64_t domains;
	uint64_t foreign;
	uint64_t cpu_permille;
	uint64_t pressure_permille;
	uint64_t idle_permille;
	uint64_t memory_target;
	uint64_t reserve;
	uint64_t page_ns;
	uint64_t epoch_ns;
	uint64_t interval_ns;
	uint64_t settle_ns;
	const char *domain;
	uint64_t defaults;
	uint64_t take;
};

static uint64_t changed(uint64_t value, uint64_t now)
{
	return value == LEFT ? now : value;
}

static void change_policy(struct kvmx_ksm_policy *p, const struct host_change *c)
{
	p->mode = changed(c->mode, p->mode);
	p->domains = changed(c->domains, p->domains);
	p->foreign = changed(c->foreign, p->foreign);
	p->cpu_permille = changed(c->cpu_permille, p->cpu_permille);
	p->pressure_permille = changed(c->pressure_permille, p->pressure_permille);
	p->idle_permille = changed(c->idle_permille, p->idle_permille);
	p->memory_target = changed(c->memory_target, p->memory_target);
	p->reserve = changed(c->reserve, p->reserve);
	p->page_ns = changed(c->page_ns, p->page_ns);
	p->epoch_ns = changed(c->epoch_ns, p->epoch_ns);
	p->interval_ns = changed(c->interval_ns, p->interval_ns);
	p->settle_ns = changed(c->settle_ns, p->settle_ns);
	/* More for quiet times than under pressure makes no sense: it goes up with it. */
	if (c->pressure_permille == LEFT && p->pressure_permille &&
	    p->pressure_permille < p->cpu_permille)
		p->pressure_permille = p->cpu_permille;
}

static enum ctl_exit host_error(int error, struct ctl_error *err)
{
	ctl_fail_errno(err, error, "cannot set the host's policy over KSM");
	if (error == EBUSY)
		ctl_hint(err, "other processes merge memory, as QEMU does without mem-merge=off; "
			 "give their VMs a mode, or allow it with --foreign allow");
	else if (error == ENOMEM)
		ctl_hint(err, "there is not enough memory to unmerge what is merged");
	else if (error == EINVAL)
		ctl_hint(err, "--pressure-permille must not be below --cpu-permille");
	return err->code;
}

static enum ctl_exit change_host(int sys_fd, const struct host_change *change,
				 struct ctl_error *err)
{
	struct kvmx_ksm_policy policy;
	struct kvmx_ksm_host_get host;
	enum ctl_exit rc;
	int error;

	rc = ksm_host(sys_fd, &host, err);
	if (rc)
		return rc;
	policy = host.policy;
	if (change->defaults)
		policy = (struct kvmx_ksm_policy){ .mode = host.policy.mode };
	change_policy(&policy, change);
	rc = parse_domain(change->domain, policy.domain, err);
	if (rc)
		return rc;
	error = kvmx_ksm_host_set(sys_fd, &policy, change->take ? KVMX_KSM_HOST_TAKE : 0);
	return error ? host_error(-error, err) : CTL_OK;
}

static enum ctl_exit report_host(int sys_fd, struct ctl_error *err)
{
	struct kvmx_ksm_host_get host;
	struct json_object *doc;
	enum ctl_exit rc;

	rc = ksm_host(sys_fd, &host, err);
	if (rc)
		return rc;
	doc = json_object_new_object();
	json_object_object_add(doc, "host", ksm_host_json(&host));
	if (!out_json(doc))
		ksm_print_policy(out_get(out_get(doc, "host"), "policy"));
	json_object_put(doc);
	return CTL_OK;
}

static enum ctl_exit set_host(int argc, char **argv, struct ctl_error *err)
{
	static const char * const modes[] = { "off", "on", NULL };
	static const char * const domains[] = { "strict", "shared", NULL };
	static const char * const foreign[] = { "refuse", "allow", NULL };
	struct host_change c = {
		.mode = LEFT, .domains = LEFT, .foreign = LEFT, .cpu_permille = LEFT,
		.pressure_permille = LEFT, .idle_permille = LEFT, .memory_target = LEFT,
		.reserve = LEFT, .page_ns = LEFT, .epoch_ns = LEFT, .interval_ns = LEFT,
		.settle_ns = LEFT,
	};
	const struct arg_opt opts[] = {
		{ "mode", ARG_WORD, &c.mode, .words = modes },
		{ "domains", ARG_WORD, &c.domains, .words = domains },
		{ "foreign", ARG_WORD, &c.foreign, .words = foreign },
		{ "domain", ARG_TEXT, .text = &c.domain },
		{ "cpu-permille", ARG_COUNT, &c.cpu_permille, .min = 1, .max = 1000 },
		{ "pressure-permille", ARG_COUNT, &c.pressure_permille, .min = 1, .max = 1000 },
		{ "idle-permille", ARG_COUNT, &c.idle_permille, .min = 1, .max = 1000 },
		{ "memory-target", ARG_BYTES, &c.memory_target, .min = 0, .max = LEFT - 1 },
		{ "reserve", ARG_BYTES, &c.reserve, .min = 1, .max = LEFT - 1 },
		{ "page-ms", ARG_MSECONDS, &c.page_ns, .min = 1, .max = LEFT - 1 },
		{ "epoch-seconds", ARG_SECONDS, &c.epoch_ns, .min = 1, .max = LEFT - 1 },
		{ "interval-seconds", ARG_SECONDS, &c.interval_ns,
		  .min = 100 * NSEC_PER_MSEC, .max = LEFT - 1 },
		{ "settle-ms", ARG_MSECONDS, &c.settle_ns,
		  .min = NSEC_PER_MSEC, .max = 60 * NSEC_PER_SEC },
		{ "defaults", ARG_FLAG, &c.defaults, .max = 1 },
		{ "take", ARG_FLAG, &c.take, .max = 1 },
	};
	enum ctl_exit rc;
	int sys_fd;

	rc = args_parse(argc, argv, opts, ARRAY_SIZE(opts), NULL, err);
	if (rc)
		return rc;
	if (!argc)
		return ctl_fail(err, CTL_USAGE, "what is to be set?");
	rc = attach_system(&sys_fd, err);
	if (rc)
		return rc;
	rc = change_host(sys_fd, &c, err);
	if (!rc)
		rc = report_host(sys_fd, err);
	close(sys_fd);
	return rc;
}

enum ctl_exit ksm_set(int argc, char **argv, struct ctl_error *err)
{
	if (argc && !strcmp(argv[0], "host"))
		return set_host(argc - 1, argv + 1, err);
	return set_vm(argc, argv, err);
}
