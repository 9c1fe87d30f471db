// SPDX-License-Identifier: GPL-2.0
/*
 * What /proc and /sys say about a host. They may lie below another root, for tests.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"

#define PATH_LEN	512
#define UNSAFE_INTERRUPTS "sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts"
#define EFI_SECURE_BOOT	"SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"

__attribute__((format(printf, 2, 3)))
static int open_below(const char *root, const char *fmt, ...)
{
	char path[PATH_LEN], file[PATH_LEN / 2];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(file, sizeof(file), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s/%s", root, file);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A file's beginning as text, without the newline; false and "" if it cannot be read. */
static bool read_text(const char *root, const char *file, char *buf, size_t size)
{
	int fd = open_below(root, "%s", file);
	ssize_t len = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	buf[len > 0 ? len : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return len > 0;
}

static bool exists(const char *root, const char *file)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "%s/%s", root, file);
	return !access(path, F_OK);
}

/* Numbers, and module parameters' Y and N. */
static int read_number(const char *root, const char *file, int missing)
{
	char text[32];

	if (!read_text(root, file, text, sizeof(text)))
		return missing;
	if (text[0] == 'Y' || text[0] == 'N')
		return text[0] == 'Y';
	return atoi(text);
}

/* The word in brackets: "always [madvise] never". */
static void read_choice(const char *root, const char *file, char *buf, size_t size)
{
	char text[128], *word;

	buf[0] = '\0';
	if (!read_text(root, file, text, sizeof(text)))
		return;
	word = strchr(text, '[');
	if (word)
		snprintf(buf, size, "%.*s", (int)strcspn(word + 1, "]"), word + 1);
}

static void gather_processor(const char *root, struct facts *facts)
{
	int fd = open_below(root, "proc/cpuinfo");
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL, *word, *rest;
	size_t size = 0;

	if (!file)
		return;
	while (getline(&line, &size, file) > 0) {
		if (strncmp(line, "flags", 5))
			continue;
		for (word = strtok_r(line, " \t\n", &rest); word;
		     word = strtok_r(NULL, " \t\n", &rest)) {
			facts->svm |= !strcmp(word, "svm");
			facts->vmx |= !strcmp(word, "vmx");
		}
		break;
	}
	free(line);
	fclose(file);
}

static void gather_kvm(const char *root, struct facts *facts)
{
	facts->dev_kvm = exists(root, "dev/kvm");
	facts->dev_kvmx = exists(root, "dev/kvmx");
	facts->mod_kvmx = exists(root, "sys/module/kvmx");
	facts->mod_vfio = exists(root, "sys/module/kvmx_vfio_pci");
	facts->nested = -1;
	if (exists(root, "sys/module/kvm_amd")) {
		strcpy(facts->kvm, "amd");
		facts->nested = read_number(root, "sys/module/kvm_amd/parameters/nested", -1);
	} else if (exists(root, "sys/module/kvm_intel")) {
		strcpy(facts->kvm, "intel");
		facts->nested = read_number(root, "sys/module/kvm_intel/parameters/nested", -1);
	}
}

/* A shell script: its name is that of its process. */
static int find_process(const char *root, const char *name)
{
	char path[PATH_LEN], comm[32];
	struct dirent *entry;
	int pid = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/proc", root);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (!pid && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "proc/%.32s/comm", entry->d_name);
		if (read_text(root, path, comm, sizeof(comm)) && !strcmp(comm, name))
			pid = atoi(entry->d_name);
	}
	closedir(dir);
	return pid;
}

static void gather_memory(const char *root, struct facts *facts)
{
	char text[32], path[PATH_LEN];
	struct dirent *entry;
	uint64_t pages;
	DIR *dir;

	facts->ksm = exists(root, "sys/kernel/mm/ksm/run");
	facts->ksm_run = read_number(root, "sys/kernel/mm/ksm/run", 0);
	facts->smart_scan = read_number(root, "sys/kernel/mm/ksm/smart_scan", -1);
	read_choice(root, "sys/kernel/mm/ksm/advisor_mode", facts->advisor,
		    sizeof(facts->advisor));
	if (read_text(root, "sys/kernel/mm/ksm/pages_sharing", text, sizeof(text)))
		facts->ksm_sharing = strtoull(text, NULL, 10);
	facts->ksmtuned = find_process(root, "ksmtuned");
	read_choice(root, "sys/kernel/mm/transparent_hugepage/enabled", facts->thp,
		    sizeof(facts->thp));

	snprintf(path, sizeof(path), "%s/sys/kernel/mm/hugepages", root);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, "hugepages-", 10))
			continue;
		snprintf(path, sizeof(path), "sys/kernel/mm/hugepages/%.64s/nr_hugepages",
			 entry->d_name);
		if (!read_text(root, path, text, sizeof(text)))
			continue;
		pages = strtoull(text, NULL, 10);
		facts->hugepages += pages;
		facts->hugepage_bytes += pages * strtoull(entry->d_name + 10, NULL, 10) * 1024;
	}
	closedir(dir);
}

static void gather_devices(const char *root, struct facts *facts)
{
	char path[PATH_LEN];
	struct dirent *entry;
	DIR *dir;

	facts->unsafe_interrupts = read_number(root, UNSAFE_INTERRUPTS, 0);
	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups", root);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		facts->iommu_groups += entry->d_name[0] != '.';
	closedir(dir);
}

static void gather_security(const char *root, struct facts *facts)
{
	/* Four bytes of attributes, one of value. */
	unsigned char var[5];
	int fd = open_below(root, "sys/firmware/efi/efivars/" EFI_SECURE_BOOT);

	facts->secure_boot = -1;
	if (fd >= 0) {
		if (read(fd, var, sizeof(var)) == sizeof(var))
			facts->secure_boot = var[4] == 1;
		close(fd);
	}
	facts->sig_enforce = read_number(root, "sys/module/module/parameters/sig_enforce", 0);
	read_choice(root, "sys/kernel/security/lockdown", facts->lockdown,
		    sizeof(facts->lockdown));
	facts->yama_scope = read_number(root, "proc/sys/kernel/yama/ptrace_scope", 0);
}

void facts_gather(const char *root, struct facts *facts)
{
	*facts = (struct facts){ 0 };
	read_text(root, "proc/sys/kernel/osrelease", facts->release, sizeof(facts->release));
	gather_processor(root, facts);
	gather_kvm(root, facts);
	gather_memory(root, facts);
	gather_devices(root, facts);
	gather_security(root, facts);
}
