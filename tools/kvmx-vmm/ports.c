// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vm.h"

#define EXIT_PORT		0x501
#define HEARTBEAT_PORT		0x510

/* the keyboard controller, of which there is only the line to the CPU's reset pin */
#define I8042_STATUS		0x64
#define I8042_STATUS_IBF	0x02
#define I8042_PULSE_RESET	0xfe

/*
 * As nothing would, but for IBF. Linux takes a buffer that never gets empty for "no controller",
 * and it waits for a clear IBF before it asks for a reset.
 */
static void i8042_access(void *dev, u64 offset, void *data, u32 len, bool write)
{
	struct ports *ports = dev;
	u8 *byte = data;

	(void)offset;
	if (len != 1)
		return;
	if (!write)
		*byte = 0xff & ~I8042_STATUS_IBF;
	else if (*byte == I8042_PULSE_RESET)
		vm_end(ports->vm, 0);
}

static void exit_access(void *dev, u64 offset, void *data, u32 len, bool write)
{
	struct ports *ports = dev;
	u8 *byte = data;

	(void)offset;
	(void)len;
	if (write)
		vm_end(ports->vm, *byte);
	else
		*byte = 0;
}

/* One write(2) a line to a file opened with O_APPEND: both sides of a migration may share it. */
static void heartbeat_access(void *dev, u64 offset, void *data, u32 len, bool write)
{
	struct ports *ports = dev;
	u64 now = now_ns();
	u8 *byte = data;
	char line[64];
	int n;

	(void)offset;
	(void)len;
	if (!write) {
		*byte = 0;
		return;
	}
	if (ports->heartbeat_fd < 0)
		return;
	n = snprintf(line, sizeof(line), "%llu %u %d\n", now, *byte, getpid());
	if (write_full(ports->heartbeat_fd, line, n)) {
		say("cannot write to the heartbeat file: %m");
		close(ports->heartbeat_fd);
		ports->heartbeat_fd = -1;
	}
}

void ports_reset(struct ports *ports)
{
	ports->heartbeat_fd = -1;
}

int ports_init(struct ports *ports, struct vm *vm)
{
	const char *path = vm->opt->heartbeat;

	ports->vm = vm;
	if (path) {
		ports->heartbeat_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (ports->heartbeat_fd < 0)
			return fail(errno, "%s: %m", path);
	}
	bus_add(&vm->pio, EXIT_PORT, 1, exit_access, ports);
	bus_add(&vm->pio, HEARTBEAT_PORT, 1, heartbeat_access, ports);
	bus_add(&vm->pio, I8042_STATUS, 1, i8042_access, ports);
	return 0;
}

void ports_destroy(struct ports *ports)
{
	if (ports->heartbeat_fd >= 0)
		close(ports->heartbeat_fd);
	ports->heartbeat_fd = -1;
}
