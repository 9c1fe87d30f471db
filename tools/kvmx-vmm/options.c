// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

#define DEFAULT_APPEND	"console=ttyS0 reboot=k panic=-1 acpi=off"

static const char help[] =
"usage: kvmx-vmm --kernel FILE [OPTION]...\n"
"       kvmx-vmm --incoming unix:PATH | --load FILE [OPTION]...\n"
"       kvmx-vmm --ask SOCKET 'COMMAND'\n"
"\n"
"Runs a Linux guest on KVM, and moves it to another kvmx-vmm while it runs.\n"
"\n"
"The machine (must be the same on both sides of a migration):\n"
"  --cpus N               virtual CPUs, 1 to 4 (default 1)\n"
"  --memory SIZE          512M, 2G, ... (default 256M)\n"
"  --disk FILE[,ro]       a virtio disk, up to 4: /dev/vda ...; both sides use the same file\n"
"  --device BDF           a PCI device of the host, up to 4; its driver there is kvmx_vfio_pci.\n"
"                         A guest that moves leaves it behind: it is as if unplugged\n"
"What it boots:\n"
"  --kernel FILE          a bzImage\n"
"  --initrd FILE          its initial RAM disk\n"
"  --append WORDS         its command line\n"
"                         (default: " DEFAULT_APPEND ")\n"
"How it runs here:\n"
"  --memory-kind KIND     anon (default), memfd, or hugetlb (2 MiB pages)\n"
"  --thp on|off           use or avoid transparent huge pages, whatever the system's default\n"
"  --dirty-ring BYTES     log dirty pages by KVM's dirty ring, of BYTES for each vCPU\n"
"  --pin CPU              run all vCPU threads on this CPU of the host, and nothing else\n"
"  --serial WHERE         stdio (default; Ctrl-A x ends the guest), null, or a file to append to\n"
"  --heartbeat FILE       append a line \"NANOSECONDS BYTE PID\" when the guest writes port 0x510\n"
"  --name NAME            name for people, shown by kvmxctl\n"
"  --uuid UUID            identity, shown by kvmxctl\n"
"Control:\n"
"  --control SOCKET       take commands at this UNIX socket, one a line, answered by one line\n"
"                         of JSON: status, migrate unix:PATH, save FILE, cancel, pause, resume,\n"
"                         memory-hash, memory-dump FILE, vcpus, quit\n"
"  --ask SOCKET COMMAND   send a command, print the answer; status 0 if it is \"ok\"\n"
"Migration:\n"
"  --incoming unix:PATH   wait there for a guest instead of booting one (or fd:N, a socket)\n"
"  --load FILE            take the guest out of a file made by --save\n"
"  --migrate-to unix:PATH where to send the guest on SIGUSR1 or after --migrate-after\n"
"  --save FILE            the same, into a file, while the guest is paused\n"
"  --migrate-after SECS   begin SECS after the guest's start\n"
"  --allowed-ms MS        longest pause that is allowed (default 300)\n"
"  --bandwidth BYTES      of the link per second: 32M, 1G, ... (default 0: as it goes)\n"
"  --max-seconds SECS     longest time until the pause (default 0: no limit)\n"
"  --throttle             slow the vCPUs down if the pause would be too long otherwise\n"
"  --offline-fallback     pause and send the rest if it is too long even so\n"
"  --give-up              rather let the guest stay here (default)\n"
"  --offline              pause first, then send\n"
"  --plain                plain pre-copy: no prediction, no order by hotness (to compare)\n"
"  --no-hash              send a page again even if its content is what it was\n"
"  --report FILE          write what happened as JSON\n"
"  --memory-hash          put a hash of memory at the pause, or before the guest goes on, into\n"
"                         it (which lengthens the pause)\n"
"  --memory-dump FILE     write memory as it is at the pause, or before the guest goes on\n"
"\n"
"SIZE, BYTES: a number, or one with K, M or G. Exit status: 0 if the guest ended by a reset, moved\n"
"away, or was told to quit; the byte it wrote to port 0x501; 124 after a triple fault; 125 if\n"
"something went wrong here.\n";

enum {
	OPT_CPUS = 256, OPT_MEMORY, OPT_DISK, OPT_DEVICE, OPT_KERNEL, OPT_INITRD, OPT_APPEND,
	OPT_MEMORY_KIND,
	OPT_THP, OPT_DIRTY_RING, OPT_PIN, OPT_SERIAL, OPT_HEARTBEAT, OPT_NAME, OPT_UUID,
	OPT_CONTROL, OPT_INCOMING, OPT_LOAD, OPT_MIGRATE_TO, OPT_SAVE, OPT_MIGRATE_AFTER,
	OPT_ALLOWED_MS, OPT_BANDWIDTH, OPT_MAX_SECONDS, OPT_THROTTLE, OPT_OFFLINE_FALLBACK,
	OPT_GIVE_UP, OPT_OFFLINE, OPT_PLAIN, OPT_NO_HASH, OPT_REPORT, OPT_MEMORY_HASH,
	OPT_MEMORY_DUMP, OPT_HELP,
};

static const struct option longopts[] = {
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "memory-kind", required_argument, NULL, OPT_MEMORY_KIND },
	{ "thp", required_argument, NULL, OPT_THP },
	{ "dirty-ring", required_argument, NULL, OPT_DIRTY_RING },
	{ "pin", required_argument, NULL, OPT_PIN },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "heartbeat", required_argument, NULL, OPT_HEARTBEAT },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "uuid", required_argument, NULL, OPT_UUID },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "incoming", required_argument, NULL, OPT_INCOMING },
	{ "load", required_argument, NULL, OPT_LOAD },
	{ "migrate-to", required_argument, NULL, OPT_MIGRATE_TO },
	{ "save", required_argument, NULL, OPT_SAVE },
	{ "migrate-after", required_argument, NULL, OPT_MIGRATE_AFTER },
	{ "allowed-ms", required_argument, NULL, OPT_ALLOWED_MS },
	{ "bandwidth", required_argument, NULL, OPT_BANDWIDTH },
	{ "max-seconds", required_argument, NULL, OPT_MAX_SECONDS },
	{ "throttle", no_argument, NULL, OPT_THROTTLE },
	{ "offline-fallback", no_argument, NULL, OPT_OFFLINE_FALLBACK },
	{ "give-up", no_argument, NULL, OPT_GIVE_UP },
	{ "offline", no_argument, NULL, OPT_OFFLINE },
	{ "plain", no_argument, NULL, OPT_PLAIN },
	{ "no-hash", no_argument, NULL, OPT_NO_HASH },
	{ "report", required_argument, NULL, OPT_REPORT },
	{ "memory-hash", no_argument, NULL, OPT_MEMORY_HASH },
	{ "memory-dump", required_argument, NULL, OPT_MEMORY_DUMP },
	{ "help", no_argument, NULL, OPT_HELP },
	{ }
};

static int parse_number(const char *name, const char *text, u64 min, u64 max, u64 *value)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n < min || n > max)
		return fail(EINVAL, "--%s: '%s' is not a number from %llu to %llu", name, text,
			    min, max);
	*value = n;
	return 0;
}

static int parse_size(const char *name, const char *text, u64 max, u64 *value)
{
	unsigned long long n, unit = 1;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-')
		goto bad;
	switch (*end) {
	case 'K':
		unit = KIB;
		break;
	case 'M':
		unit = MIB;
		break;
	case 'G':
		unit = GIB;
		break;
	}
	if (unit > 1)
		end++;
	if (*end || n > max / unit)
		goto bad;
	*value = n * unit;
	return 0;
bad:
	return fail(EINVAL, "--%s: '%s' is not a size (like 512M) up to %lluM", name, text,
		    max / MIB);
}

static int parse_seconds(const char *name, const char *text, u64 *ns)
{
	double seconds;
	char *end;

	seconds = strtod(text, &end);
	if (end == text || *end || !(seconds >= 0 && seconds <= 1e6))
		return fail(EINVAL, "--%s: '%s' is not a number of seconds", name, text);
	*ns = seconds * NSEC_PER_SEC;
	return 0;
}

static int parse_uuid(const char *text, u8 *uuid)
{
	unsigned int i, byte;
	const char *p = text;

	for (i = 0; i < 16; i++) {
		if (*p == '-' && (i == 4 || i == 6 || i == 8 || i == 10))
			p++;
		if (strspn(p, "0123456789abcdefABCDEF") < 2 || sscanf(p, "%2x", &byte) != 1)
			return fail(EINVAL, "--uuid: '%s' is not a UUID", text);
		uuid[i] = byte;
		p += 2;
	}
	return *p ? fail(EINVAL, "--uuid: '%s' is not a UUID", text) : 0;
}

static int parse_disk(struct options *opt, char *text)
{
	struct disk_option *disk = &opt->disks[opt->nr_disks];
	char *comma = strrchr(text, ',');

	if (opt->nr_disks == MAX_DISKS)
		return fail(EINVAL, "at most %d disks", MAX_DISKS);
	if (comma && strcmp(comma, ",ro") == 0) {
		disk->readonly = true;
		*comma = '\0';
	}
	disk->path = text;
	opt->nr_disks++;
	return 0;
}

static int parse_memory_kind(struct options *opt, const char *text)
{
	static const char * const kinds[] = {
		[MEMORY_ANON] = "anon", [MEMORY_MEMFD] = "memfd", [MEMORY_HUGETLB] = "hugetlb",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(text, kinds[i])) {
			opt->memory_kind = i;
			return 0;
		}
	}
	return fail(EINVAL, "--memory-kind: '%s' is not anon, memfd or hugetlb", text);
}

/* "unix:PATH", "file:PATH" or "fd:N": what migrate.c opens. */
static int parse_place(const char *name, const char *text)
{
	if (strncmp(text, "unix:", 5) && strncmp(text, "file:", 5) && strncmp(text, "fd:", 3))
		return fail(EINVAL, "--%s: '%s' is not unix:PATH, file:PATH or fd:N", name, text);
	return 0;
}

static int file_place(const char *path, const char **place)
{
	char *text;

	/* Lives as long as the process, as the words of argv do. */
	if (asprintf(&text, "file:%s", path) < 0)
		return -ENOMEM;
	*place = text;
	return 0;
}

static int parse_machine(struct options *opt, int c, char *arg)
{
	u64 value;
	int err = 0;

	switch (c) {
	case OPT_CPUS:
		err = parse_number("cpus", arg, 1, MAX_VCPUS, &value);
		if (!err)
			opt->vcpus = value;
		break;
	case OPT_MEMORY:
		err = parse_size("memory", arg, 1024 * GIB, &opt->memory);
		if (!err && (opt->memory < 64 * MIB || opt->memory % (2 * MIB)))
			err = fail(EINVAL, "--memory: at least 64M, in steps of 2M");
		break;
	case OPT_DISK:
		err = parse_disk(opt, arg);
		break;
	case OPT_DEVICE:
		if (opt->nr_devices == MAX_HOST_DEVICES)
			err = fail(EINVAL, "at most %d --device", MAX_HOST_DEVICES);
		else
			opt->devices[opt->nr_devices++] = arg;
		break;
	case OPT_KERNEL:
		opt->kernel = arg;
		break;
	case OPT_INITRD:
		opt->initrd = arg;
		break;
	case OPT_APPEND:
		opt->append = arg;
		break;
	}
	return err;
}

static int parse_host(struct options *opt, int c, char *arg)
{
	u64 value;
	int err = 0;

	switch (c) {
	case OPT_MEMORY_KIND:
		err = parse_memory_kind(opt, arg);
		break;
	case OPT_THP:
		if (strcmp(arg, "on") && strcmp(arg, "off"))
			err = fail(EINVAL, "--thp: '%s' is not on or off", arg);
		opt->thp = !strcmp(arg, "on");
		break;
	case OPT_DIRTY_RING:
		err = parse_size("dirty-ring", arg, GIB, &value);
		if (!err && (value < PAGE_SIZE || value & (value - 1)))
			err = fail(EINVAL, "--dirty-ring: a power of two from 4K on");
		if (!err)
			opt->dirty_ring = value;
		break;
	case OPT_PIN:
		err = parse_number("pin", arg, 0, 1023, &value);
		if (!err)
			opt->pin = value;
		break;
	case OPT_SERIAL:
		opt->serial = arg;
		break;
	case OPT_HEARTBEAT:
		opt->heartbeat = arg;
		break;
	case OPT_NAME:
		opt->name = arg;
		break;
	case OPT_UUID:
		err = parse_uuid(arg, opt->uuid);
		break;
	}
	return err;
}

static int parse_migration(struct options *opt, int c, char *arg)
{
	u64 value;
	int err = 0;

	switch (c) {
	case OPT_CONTROL:
		opt->control = arg;
		break;
	case OPT_INCOMING:
		opt->incoming = arg;
		err = parse_place("incoming", arg);
		break;
	case OPT_LOAD:
		err = file_place(arg, &opt->incoming);
		break;
	case OPT_MIGRATE_TO:
		opt->migrate_to = arg;
		err = parse_place("migrate-to", arg);
		break;
	case OPT_SAVE:
		err = file_place(arg, &opt->migrate_to);
		break;
	case OPT_MIGRATE_AFTER:
		opt->migrate_timed = true;
		err = parse_seconds("migrate-after", arg, &opt->migrate_after_ns);
		break;
	case OPT_ALLOWED_MS:
		err = parse_number("allowed-ms", arg, 1, 3600000, &value);
		if (!err)
			opt->allowed_ns = value * NSEC_PER_MSEC;
		break;
	case OPT_BANDWIDTH:
		err = parse_size("bandwidth", arg, 1024 * GIB, &opt->bandwidth);
		break;
	case OPT_MAX_SECONDS:
		err = parse_seconds("max-seconds", arg, &opt->max_ns);
		break;
	case OPT_THROTTLE:
		opt->throttle = true;
		break;
	case OPT_OFFLINE_FALLBACK:
		opt->offline_fallback = true;
		break;
	case OPT_GIVE_UP:
		opt->offline_fallback = false;
		break;
	case OPT_OFFLINE:
		opt->offline = true;
		break;
	case OPT_PLAIN:
		opt->plain = true;
		break;
	case OPT_NO_HASH:
		opt->hash = false;
		break;
	case OPT_REPORT:
		opt->report = arg;
		break;
	case OPT_MEMORY_HASH:
		opt->memory_hash = true;
		break;
	case OPT_MEMORY_DUMP:
		opt->memory_dump = arg;
		break;
	}
	return err;
}

static int check(const struct options *opt)
{
	if (!opt->kernel == !opt->incoming)
		return fail(EINVAL, "give either --kernel or --incoming/--load (see --help)");
	if (opt->migrate_timed && !opt->migrate_to)
		return fail(EINVAL, "--migrate-after needs --migrate-to or --save");
	if (opt->initrd && !opt->kernel)
		return fail(EINVAL, "--initrd needs --kernel");
	return 0;
}

int options_parse(struct options *opt, int argc, char **argv)
{
	int c, err = 0;

	*opt = (struct options){
		.vcpus = 1,
		.memory = 256 * MIB,
		.append = DEFAULT_APPEND,
		.thp = -1,
		.pin = -1,
		.serial = "stdio",
		.hash = true,
		.allowed_ns = 300 * NSEC_PER_MSEC,
	};
	while (!err) {
		c = getopt_long(argc, argv, "", longopts, NULL);
		if (c == -1)
			break;
		if (c == OPT_HELP) {
			fputs(help, stdout);
			return 1;
		}
		if (c < OPT_CPUS)
			return -EINVAL;
		if (c < OPT_MEMORY_KIND)
			err = parse_machine(opt, c, optarg);
		else if (c < OPT_CONTROL)
			err = parse_host(opt, c, optarg);
		else
			err = parse_migration(opt, c, optarg);
	}
	if (!err && optind < argc)
		err = fail(EINVAL, "what is '%s'? See --help", argv[optind]);
	return err ? err : check(opt);
}
