// SPDX-License-Identifier: GPL-2.0
/*
 * Finds VMs and trackers by the names of the fds in procfs.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "find.h"

#define VM_LINK		"anon_inode:kvm-vm"
#define VCPU_LINK	"anon_inode:kvm-vcpu:"

/* Calls @fn for each fd of a process until that returns non-zero. 0, -errno, or what @fn said. */
static int walk_fds(pid_t pid, int (*fn)(int fd, const char *link, void *data), void *data)
{
	char path[64], link[128];
	struct dirent *entry;
	ssize_t len;
	DIR *dir;
	int rc = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!rc && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		len = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		if (len >= 0) {
			link[len] = '\0';
			rc = fn(atoi(entry->d_name), link, data);
		} else if (errno == EACCES || errno == EPERM) {
			/* The same user in another user namespace may list them, and no more. */
			rc = -errno;
		}
		/* Else closed meanwhile. */
	}
	closedir(dir);
	return rc;
}

static ssize_t read_file(pid_t pid, const char *file, char *buf, size_t size)
{
	char path[64];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, buf, size);
	close(fd);
	return len;
}

/*
 * The program's name: comm is cut at 15 characters and any thread may have changed it. What a
 * program is called by is what is left for those that may not be looked into.
 */
static void program_name(pid_t pid, const char *args, char *name, size_t size)
{
	static const char deleted[] = " (deleted)";
	char path[64], exe[4096];
	const char *last;
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	len = readlink(path, exe, sizeof(exe) - 1);
	if (len > 0) {
		exe[len] = '\0';
		/* Upgraded while it runs. */
		if (len > (ssize_t)strlen(deleted) &&
		    !strcmp(exe + len - strlen(deleted), deleted))
			exe[len - strlen(deleted)] = '\0';
		snprintf(name, size, "%s", basename(exe));
	} else if (*args) {
		last = strrchr(args, '/');
		snprintf(name, size, "%.*s", (int)size - 1, last ? last + 1 : args);
	} else {
		len = read_file(pid, "comm", name, size - 1);
		name[len > 0 ? len : 0] = '\0';
		name[strcspn(name, "\n")] = '\0';
	}
	identity_printable(name);
}

static void identify(struct found_vm *vm)
{
	/* Longer ones name their VM early: QEMU's as libvirt starts it have some 8 KiB. */
	char args[32768];
	ssize_t len = read_file(vm->pid, "cmdline", args, sizeof(args) - 1);

	if (len < 0)
		len = 0;
	/* Cut off, or written over by the program: it needs an end. */
	if (!len || args[len - 1])
		args[len++] = '\0';
	program_name(vm->pid, args, vm->vmm, sizeof(vm->vmm));
	identity_parse(vm->vmm, args, len, &vm->id);
}

struct vm_scan {
	struct found_vms *found;
	size_t first;		/* of this process */
	unsigned int vcpu_fds;
	pid_t pid;
};

static int add_vm(struct found_vms *found, const struct found_vm *vm)
{
	struct found_vm *vms = reallocarray(found->vms, found->nr + 1, sizeof(*vms));

	if (!vms)
		return -ENOMEM;
	found->vms = vms;
	vms[found->nr++] = *vm;
	return 0;
}

static int note_fd(int fd, const char *link, void *data)
{
	struct vm_scan *scan = data;

	if (!strncmp(link, VCPU_LINK, strlen(VCPU_LINK))) {
		scan->vcpu_fds++;
		return 0;
	}
	if (strcmp(link, VM_LINK))
		return 0;
	return add_vm(scan->found, &(struct found_vm){ .pid = scan->pid, .fd = fd });
}

static bool same_file(const struct found_vm *a, const struct found_vm *b)
{
	if (a->fd < 0 || b->fd < 0)
		return false;
	return syscall(SYS_kcmp, a->pid, b->pid, KCMP_FILE, a->fd, b->fd) == 0;
}

/* Drops entry @i in favour of an equal one, or an equal one in favour of it. */
static void drop_double(struct found_vms *found, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++) {
		if (!same_file(&found->vms[i], &found->vms[j]))
			continue;
		if (found->vms[i].vcpu_fds > found->vms[j].vcpu_fds)
			found->vms[j] = found->vms[i];
		found->nr--;
		memmove(&found->vms[i], &found->vms[i + 1],
			(found->nr - i) * sizeof(*found->vms));
		return;
	}
}

static int scan_process(pid_t pid, struct found_vms *found)
{
	struct vm_scan scan = { .found = found, .first = found->nr, .pid = pid };
	size_t i;
	int rc;

	rc = walk_fds(pid, note_fd, &scan);
	if (rc)
		return rc;
	for (i = scan.first; i < found->nr; i++) {
		found->vms[i].vcpu_fds = scan.vcpu_fds;
		identify(&found->vms[i]);
	}
	for (i = found->nr; i-- > scan.first;)
		drop_double(found, i);
	return 0;
}

/* One that may not be looked into: worth a word if it is a VMM by its name. */
static int note_hidden(pid_t pid, struct found_vms *found)
{
	struct found_vm vm = { .pid = pid, .fd = -1 };

	found->hidden++;
	identify(&vm);
	return identity_is_vmm(vm.vmm) ? add_vm(found, &vm) : 0;
}

int find_vms_of(pid_t pid, struct found_vms *found)
{
	int rc;

	*found = (struct found_vms){ 0 };
	rc = scan_process(pid, found);
	if (rc)
		found_free(found);
	return rc;
}

int find_vms(struct found_vms *found)
{
	struct dirent *entry;
	int rc = 0;
	pid_t pid;
	DIR *dir;

	*found = (struct found_vms){ 0 };
	dir = opendir("/proc");
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		pid = atoi(entry->d_name);
		if (pid <= 0 || pid == getpid())
			continue;
		rc = scan_process(pid, found);
		if (rc == -EACCES || rc == -EPERM)
			rc = note_hidden(pid, found);
		if (rc == -ENOMEM)
			break;
	}
	closedir(dir);
	if (rc == -ENOMEM) {
		found_free(found);
		return rc;
	}
	return 0;
}

void found_free(struct found_vms *found)
{
	free(found->vms);
	*found = (struct found_vms){ 0 };
}

struct anon_scan {
	const char *name;
	int *fds;
	size_t max;
	int nr;
};

static int note_anon_fd(int fd, const char *link, void *data)
{
	static const char prefix[] = "anon_inode:";
	struct anon_scan *scan = data;

	if (strncmp(link, prefix, strlen(prefix)) || strcmp(link + strlen(prefix), scan->name))
		return 0;
	if ((size_t)scan->nr < scan->max)
		scan->fds[scan->nr] = fd;
	scan->nr++;
	return 0;
}

int find_anon_fds(pid_t pid, const char *name, int *fds, size_t max)
{
	struct anon_scan scan = { .name = name, .fds = fds, .max = max };
	int rc;

	rc = walk_fds(pid, note_anon_fd, &scan);
	return rc ?: scan.nr;
}
