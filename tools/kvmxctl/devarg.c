// SPDX-License-Identifier: GPL-2.0
/*
 * Devices and UUIDs on the command line. No effects.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "dev.h"

bool dev_parse_bdf(const char *text, struct kvmx_pci_addr *addr)
{
	unsigned int domain = 0, bus, slot, fn;
	int end = 0;

	if (sscanf(text, "%8x:%2x:%2x.%1x%n", &domain, &bus, &slot, &fn, &end) != 4) {
		domain = 0;
		end = 0;
		if (sscanf(text, "%2x:%2x.%1x%n", &bus, &slot, &fn, &end) != 3)
			return false;
	}
	if (!isxdigit((unsigned char)*text) || text[end] || slot > 0x1f || fn > 7)
		return false;
	*addr = (struct kvmx_pci_addr){ .domain = domain, .bus = bus, .devfn = slot << 3 | fn };
	return true;
}

void dev_format_bdf(const struct kvmx_pci_addr *addr, char bdf[DEV_BDF_LEN])
{
	snprintf(bdf, DEV_BDF_LEN, "%04x:%02x:%02x.%x", addr->domain & 0xffffff, addr->bus & 0xff,
		 addr->devfn >> 3 & 0x1f, addr->devfn & 7);
}

bool dev_parse_uuid(const char *text, uint8_t uuid[KVMX_UUID_LEN])
{
	unsigned int i, byte;

	for (i = 0; i < KVMX_UUID_LEN; i++) {
		if (*text == '-' && (i == 4 || i == 6 || i == 8 || i == 10))
			text++;
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
		    sscanf(text, "%2x", &byte) != 1)
			return false;
		uuid[i] = byte;
		text += 2;
	}
	return !*text;
}

void dev_format_uuid(const uint8_t uuid[KVMX_UUID_LEN], char text[40])
{
	unsigned int i, at = 0;

	for (i = 0; i < KVMX_UUID_LEN; i++)
		at += snprintf(text + at, 40 - at, "%s%02x",
			       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

static bool takes_value(const char *arg, const struct arg_opt *opts, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (!strcmp(arg + 2, opts[i].name))
			return opts[i].kind != ARG_FLAG;
	}
	return false;
}

int dev_words(int argc, char **argv, const struct arg_opt *opts, size_t nr, char **words,
	      struct ctl_error *err)
{
	int i, kept = 0, nr_words = 0;

	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "--", 2)) {
			bool value = takes_value(argv[i], opts, nr) && i + 1 < argc;

			argv[kept++] = argv[i];
			if (value)
				argv[kept++] = argv[++i];
			continue;
		}
		if (nr_words == DEV_MAX) {
			ctl_fail(err, CTL_USAGE, "at most %d devices at once", DEV_MAX);
			return -1;
		}
		words[nr_words++] = argv[i];
	}
	return args_parse(kept, argv, opts, nr, NULL, err) ? -1 : nr_words;
}
