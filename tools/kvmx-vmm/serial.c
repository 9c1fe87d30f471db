// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <linux/serial_reg.h>

#include "vm.h"

#define SERIAL_PORT	0x3f8
#define CTRL_A		0x01

static struct termios saved_termios;

static bool data_ready(const struct serial_state *s)
{
	return s->rx_count;
}

/* What IIR says: the highest pending interrupt that is enabled. */
static u8 pending_irq(const struct serial_state *s)
{
	if ((s->ier & UART_IER_RDI) && data_ready(s))
		return UART_IIR_RDI;
	if ((s->ier & UART_IER_THRI) && s->tx_empty_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

static void update_irq(struct serial *serial)
{
	bool level = pending_irq(&serial->s) != UART_IIR_NO_INT;

	/* PCs let OUT2 gate the line. */
	vm_irq(serial->vm, SERIAL_GSI, level && (serial->s.mcr & UART_MCR_OUT2));
}

static void push_rx(struct serial_state *s, u8 byte)
{
	if (s->rx_count == SERIAL_RX_SIZE)
		return;
	s->rx[(s->rx_head + s->rx_count) % SERIAL_RX_SIZE] = byte;
	s->rx_count++;
}

static u8 pop_rx(struct serial_state *s)
{
	u8 byte;

	if (!s->rx_count)
		return 0;
	byte = s->rx[s->rx_head];
	s->rx_head = (s->rx_head + 1) % SERIAL_RX_SIZE;
	s->rx_count--;
	return byte;
}

static void transmit(struct serial *serial, u8 byte)
{
	if (serial->s.mcr & UART_MCR_LOOP)
		push_rx(&serial->s, byte);
	else if (serial->out_fd >= 0)
		write_full(serial->out_fd, &byte, 1);
	/* It is gone at once. */
	serial->s.tx_empty_pending = 1;
}

static u8 read_msr(const struct serial_state *s)
{
	u8 msr = 0;

	if (!(s->mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	/* In loopback mode the chip's outputs are its inputs: how Linux finds out it is there. */
	if (s->mcr & UART_MCR_DTR)
		msr |= UART_MSR_DSR;
	if (s->mcr & UART_MCR_RTS)
		msr |= UART_MSR_CTS;
	if (s->mcr & UART_MCR_OUT1)
		msr |= UART_MSR_RI;
	if (s->mcr & UART_MCR_OUT2)
		msr |= UART_MSR_DCD;
	return msr;
}

static u8 read_iir(struct serial_state *s)
{
	u8 iir = pending_irq(s);

	/* Reading it is how "transmitter empty" is acknowledged. */
	if (iir == UART_IIR_THRI)
		s->tx_empty_pending = 0;
	if (s->fcr & UART_FCR_ENABLE_FIFO)
		iir |= 0xc0;
	return iir;
}

static u8 read_reg(struct serial_state *s, u64 reg)
{
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return dlab ? s->dll : pop_rx(s);
	case UART_IER:
		return dlab ? s->dlm : s->ier;
	case UART_IIR:
		return read_iir(s);
	case UART_LCR:
		return s->lcr;
	case UART_MCR:
		return s->mcr;
	case UART_LSR:
		return UART_LSR_THRE | UART_LSR_TEMT | (data_ready(s) ? UART_LSR_DR : 0);
	case UART_MSR:
		return read_msr(s);
	default:
		return s->scr;
	}
}

static void write_ier(struct serial_state *s, u8 value)
{
	/* Switching it on with an empty transmitter interrupts at once. */
	if (value & ~s->ier & UART_IER_THRI)
		s->tx_empty_pending = 1;
	s->ier = value & 0x0f;
}

static void write_reg(struct serial *serial, u64 reg, u8 value)
{
	struct serial_state *s = &serial->s;
	bool dlab = s->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (dlab)
			s->dll = value;
		else
			transmit(serial, value);
		break;
	case UART_IER:
		if (dlab)
			s->dlm = value;
		else
			write_ier(s, value);
		break;
	case UART_FCR:
		s->fcr = value & UART_FCR_ENABLE_FIFO;
		if (value & UART_FCR_CLEAR_RCVR)
			s->rx_count = 0;
		break;
	case UART_LCR:
		s->lcr = value;
		break;
	case UART_MCR:
		s->mcr = value & 0x1f;
		break;
	case UART_SCR:
		s->scr = value;
		break;
	}
}

static void serial_access(void *dev, u64 offset, void *data, u32 len, bool write)
{
	struct serial *serial = dev;
	u8 *byte = data;

	if (len != 1)
		return;
	if (write)
		write_reg(serial, offset, *byte);
	else
		*byte = read_reg(&serial->s, offset);
	/* Polling LSR changes nothing, and is what a console does all the time. */
	if (write || (offset != UART_LSR && offset != UART_MSR))
		update_irq(serial);
}

static int open_stdio(struct serial *serial)
{
	struct termios raw;

	serial->in_fd = STDIN_FILENO;
	serial->out_fd = STDOUT_FILENO;
	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved_termios))
		return 0;
	raw = saved_termios;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw))
		return fail(errno, "cannot set the terminal up: %m");
	serial->raw = true;
	return 0;
}

void serial_reset(struct serial *serial)
{
	serial->in_fd = -1;
	serial->out_fd = -1;
}

int serial_init(struct serial *serial, struct vm *vm)
{
	const char *where = vm->opt->serial;
	int err = 0;

	serial->vm = vm;
	if (!strcmp(where, "stdio")) {
		err = open_stdio(serial);
	} else if (strcmp(where, "null")) {
		serial->out_fd = open(where, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (serial->out_fd < 0)
			err = fail(errno, "%s: %m", where);
	}
	if (!err)
		bus_add(&vm->pio, SERIAL_PORT, 8, serial_access, serial);
	return err;
}

void serial_destroy(struct serial *serial)
{
	if (serial->raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_termios);
	if (serial->out_fd > STDERR_FILENO)
		close(serial->out_fd);
	serial->raw = false;
	serial_reset(serial);
}

bool serial_wants_input(const struct serial *serial)
{
	return serial->in_fd >= 0 && serial->s.rx_count < SERIAL_RX_SIZE;
}

/* Ctrl-A x ends the guest, Ctrl-A Ctrl-A is Ctrl-A. */
static bool is_escape(struct serial *serial, u8 byte)
{
	if (!serial->raw)
		return false;
	if (!serial->escape) {
		serial->escape = byte == CTRL_A;
		return serial->escape;
	}
	serial->escape = false;
	if (byte == 'x')
		vm_end(serial->vm, 0);
	return byte != CTRL_A;
}

void serial_input(struct serial *serial)
{
	u8 buf[SERIAL_RX_SIZE];
	ssize_t n, i;

	n = read(serial->in_fd, buf, SERIAL_RX_SIZE - serial->s.rx_count);
	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		serial->in_fd = -1;
		return;
	}
	for (i = 0; i < n; i++)
		if (!is_escape(serial, buf[i]))
			push_rx(&serial->s, buf[i]);
	update_irq(serial);
}

int serial_load(struct serial *serial, const struct serial_state *state)
{
	if (state->rx_head >= SERIAL_RX_SIZE || state->rx_count > SERIAL_RX_SIZE ||
	    state->tx_empty_pending > 1)
		return -EINVAL;
	serial->s = *state;
	update_irq(serial);
	return 0;
}
