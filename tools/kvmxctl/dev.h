/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_DEV_H
#define KVMXCTL_DEV_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>
#include <linux/kvmx.h>

#include "args.h"
#include "error.h"

#define DEV_BDF_LEN	16
#define DEV_MAX		64	/* devices in one command */
#define DEV_DRIVER	"kvmx_vfio_pci"

/* "0000:01:00.0" or "01:00.0"; false if it is neither. No effects. */
bool dev_parse_bdf(const char *text, struct kvmx_pci_addr *addr);
void dev_format_bdf(const struct kvmx_pci_addr *addr, char bdf[DEV_BDF_LEN]);
/* With or without dashes. No effects. */
bool dev_parse_uuid(const char *text, uint8_t uuid[KVMX_UUID_LEN]);
void dev_format_uuid(const uint8_t uuid[KVMX_UUID_LEN], char text[40]);
/* Words that are no options, and then @opts, into @words. Returns how many, or -1 with @err. */
int dev_words(int argc, char **argv, const struct arg_opt *opts, size_t nr, char **words,
	      struct ctl_error *err);

/* devname.c: what libpci's list calls it; numbers if there is no list */
void devname_get(const struct kvmx_dev_report *report, char *buf, size_t size);
void devname_class(const struct kvmx_dev_report *report, char *buf, size_t size);

/*
 * devuse.c: what the host does with a device, in words ("disk nvme0n1p1 is mounted on /"), or false
 * if it does nothing that anybody would miss.
 */
bool devuse_find(const char *bdf, char *buf, size_t size);

/* devsys.c: sysfs. Functions return 0 or -errno. */
bool devsys_exists(const char *bdf);
void devsys_driver(const char *bdf, char *name, size_t size);
int devsys_unbind(const char *bdf);
/* "" for none: whatever driver is made for it may have it. */
int devsys_override(const char *bdf, const char *driver);
int devsys_probe(const char *bdf);
int devsys_bind(const char *bdf, const char *driver);
/* The driver it had before it was given ours, until it is given back. */
int devsys_remember(const char *bdf, const char *driver);
void devsys_recall(const char *bdf, char *driver, size_t size);
void devsys_forget(const char *bdf);

/* A report, and its members for free(3). */
enum ctl_exit dev_report(int sys_fd, const char *text, struct kvmx_dev_report *report,
			 struct kvmx_dev_member **members, struct ctl_error *err);

enum ctl_exit dev_list(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dev_show(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dev_bind(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dev_unbind(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dev_lease(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dev_release(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dev_quiesce(int argc, char **argv, struct ctl_error *err);
enum ctl_exit dev_resume(int argc, char **argv, struct ctl_error *err);

#endif
