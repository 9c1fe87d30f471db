/* SPDX-License-Identifier: GPL-2.0 */
/* The PC's clock with the date: without one Linux waits for it for seconds. */
#ifndef VMM_RTC_H
#define VMM_RTC_H

#include "util.h"

struct vm;

struct rtc {
	u8 index;		/* the register that was selected: all its state */
};

void rtc_init(struct rtc *rtc, struct vm *vm);

#endif
