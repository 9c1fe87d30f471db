// SPDX-License-Identifier: GPL-2.0
/* An MC146818 that tells the host's time and cannot be set. No alarm, no periodic interrupt. */
#include <time.h>

#include "vm.h"

#define RTC_PORT	0x70	/* index; data is the next one */
#define RTC_INDEX_MASK	0x7f

enum {
	RTC_SECONDS = 0, RTC_MINUTES = 2, RTC_HOURS = 4, RTC_WEEKDAY = 6, RTC_DAY = 7,
	RTC_MONTH = 8, RTC_YEAR = 9, RTC_A = 10, RTC_B = 11, RTC_D = 13, RTC_CENTURY = 0x32,
};

#define RTC_A_32KHZ	0x20	/* runs, and no update is in progress */
#define RTC_B_24H	0x02
#define RTC_D_VALID	0x80

static u8 bcd(int n)
{
	return n / 10 % 10 << 4 | n % 10;
}

static u8 read_reg(u8 index)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	switch (index) {
	case RTC_SECONDS:
		return bcd(tm.tm_sec);
	case RTC_MINUTES:
		return bcd(tm.tm_min);
	case RTC_HOURS:
		return bcd(tm.tm_hour);
	case RTC_WEEKDAY:
		return tm.tm_wday + 1;
	case RTC_DAY:
		return bcd(tm.tm_mday);
	case RTC_MONTH:
		return bcd(tm.tm_mon + 1);
	case RTC_YEAR:
		return bcd(tm.tm_year % 100);
	case RTC_CENTURY:
		return bcd((tm.tm_year + 1900) / 100);
	case RTC_A:
		return RTC_A_32KHZ;
	case RTC_B:
		return RTC_B_24H;
	case RTC_D:
		return RTC_D_VALID;
	default:
		return 0;
	}
}

static void rtc_access(void *dev, u64 offset, void *data, u32 len, bool write)
{
	struct rtc *rtc = dev;
	u8 *byte = data;

	if (len != 1)
		return;
	if (!offset && write)
		rtc->index = *byte & RTC_INDEX_MASK;
	else if (!write)
		*byte = offset ? read_reg(rtc->index) : 0xff;
}

void rtc_init(struct rtc *rtc, struct vm *vm)
{
	bus_add(&vm->pio, RTC_PORT, 2, rtc_access, rtc);
}
