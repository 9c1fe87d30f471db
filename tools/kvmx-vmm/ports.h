/* SPDX-License-Identifier: GPL-2.0 */
/* Small things at ports: reset, exit, heartbeat. */
#ifndef VMM_PORTS_H
#define VMM_PORTS_H

struct vm;

struct ports {
	struct vm *vm;
	int heartbeat_fd;
};

void ports_reset(struct ports *ports);
int ports_init(struct ports *ports, struct vm *vm);
void ports_destroy(struct ports *ports);

#endif
