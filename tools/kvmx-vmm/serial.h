/* SPDX-License-Identifier: GPL-2.0 */
/* A 16550A at the first serial port's place, on a terminal or a file. */
#ifndef VMM_SERIAL_H
#define VMM_SERIAL_H

#include "util.h"

#define SERIAL_RX_SIZE	256	/* more than the chip's 16: what is pasted should not be lost */

struct vm;

/* What migrates, as it is. */
struct serial_state {
	u8 ier;
	u8 fcr;
	u8 lcr;
	u8 mcr;
	u8 scr;
	u8 dll;
	u8 dlm;
	u8 tx_empty_pending;	/* "transmitter empty" was not yet reported by IIR */
	u32 rx_head;
	u32 rx_count;
	u8 rx[SERIAL_RX_SIZE];
};

struct serial {
	struct vm *vm;
	struct serial_state s;
	int in_fd;		/* -1: no input */
	int out_fd;
	bool raw;		/* the terminal has to be put back */
	bool escape;		/* Ctrl-A came last */
};

void serial_reset(struct serial *serial);
int serial_init(struct serial *serial, struct vm *vm);
void serial_destroy(struct serial *serial);

/* Is there room for input? Then serial_input() may be called when in_fd is readable. */
bool serial_wants_input(const struct serial *serial);
void serial_input(struct serial *serial);

/* The device lock is held. -EINVAL for a state that cannot be. */
int serial_load(struct serial *serial, const struct serial_state *state);

#endif
