/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Device state as bytes: a header, then sections in an order that both sides know. Each says what
 * it is and how long it is; nothing is read beyond that.
 */
#ifndef VMM_BLOB_H
#define VMM_BLOB_H

#include "util.h"

struct blob_writer {
	u8 *data;
	size_t len;
	size_t room;
	size_t section;		/* where the open section's header is */
	int err;		/* the first failure; everything after it does nothing */
};

struct blob_reader {
	const u8 *data;
	size_t len;
};

/* Begin; sections follow. @blob->data is the caller's to free at the end, whatever happens. */
void blob_write_header(struct blob_writer *blob);
void blob_begin(struct blob_writer *blob, u32 type, u32 instance);
void blob_put(struct blob_writer *blob, const void *data, size_t len);
void blob_end(struct blob_writer *blob);

/* -EPROTO with a message for a blob that is none, or of another version. */
int blob_read_header(struct blob_reader *blob, const void *data, size_t len);

/* The next section has to be this one. *data points into the blob, aligned to 8 bytes. */
int blob_read_section(struct blob_reader *blob, u32 type, u32 instance, const void **data,
		      size_t *len);
bool blob_at_end(const struct blob_reader *blob);

#endif
