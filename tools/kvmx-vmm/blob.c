// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blob.h"

#define BLOB_MAGIC	0x6d6d762d786d766bULL	/* "kvmx-vmm" */
#define BLOB_VERSION	1
#define ALIGN8(n)	(((n) + 7) & ~(size_t)7)

struct blob_header {
	u64 magic;
	u32 version;
	u32 __reserved;
};

struct section_header {
	u32 type;
	u32 instance;
	u64 len;
};

void blob_put(struct blob_writer *blob, const void *data, size_t len)
{
	u8 *bigger;

	if (blob->err)
		return;
	if (len > blob->room - blob->len) {
		size_t room = 2 * blob->room + len + KIB;

		bigger = realloc(blob->data, room);
		if (!bigger) {
			blob->err = -ENOMEM;
			return;
		}
		blob->data = bigger;
		blob->room = room;
	}
	memcpy(blob->data + blob->len, data, len);
	blob->len += len;
}

void blob_write_header(struct blob_writer *blob)
{
	const struct blob_header header = { .magic = BLOB_MAGIC, .version = BLOB_VERSION };

	memset(blob, 0, sizeof(*blob));
	blob_put(blob, &header, sizeof(header));
}

void blob_begin(struct blob_writer *blob, u32 type, u32 instance)
{
	const struct section_header header = { .type = type, .instance = instance };

	blob->section = blob->len;
	blob_put(blob, &header, sizeof(header));
}

void blob_end(struct blob_writer *blob)
{
	static const u8 zeroes[8];
	size_t len = blob->len - blob->section - sizeof(struct section_header);
	u64 value = len;

	if (blob->err)
		return;
	memcpy(blob->data + blob->section + offsetof(struct section_header, len), &value,
	       sizeof(value));
	blob_put(blob, zeroes, ALIGN8(len) - len);
}

static const void *take(struct blob_reader *blob, size_t len)
{
	const u8 *data = blob->data;

	if (len > blob->len)
		return NULL;
	blob->data += len;
	blob->len -= len;
	return data;
}

int blob_read_header(struct blob_reader *blob, const void *data, size_t len)
{
	const struct blob_header *header;

	*blob = (struct blob_reader){ .data = data, .len = len };
	header = take(blob, sizeof(*header));
	if (!header || header->magic != BLOB_MAGIC)
		return fail(EPROTO, "that is not kvmx-vmm's device state");
	if (header->version != BLOB_VERSION)
		return fail(EPROTO, "device state of version %u, this is %u", header->version,
			    BLOB_VERSION);
	return 0;
}

int blob_read_section(struct blob_reader *blob, u32 type, u32 instance, const void **data,
		      size_t *len)
{
	const struct section_header *header = take(blob, sizeof(*header));

	if (!header || header->type != type || header->instance != instance)
		return fail(EPROTO, "device state: section %u.%u is missing", type, instance);
	/* Before rounding up, which could wrap. */
	if (header->len > blob->len)
		return fail(EPROTO, "device state: section %u.%u is cut off", type, instance);
	*len = header->len;
	*data = take(blob, ALIGN8(header->len));
	return *data ? 0 : fail(EPROTO, "device state: section %u.%u is cut off", type, instance);
}

bool blob_at_end(const struct blob_reader *blob)
{
	return !blob->len;
}
