/* SPDX-License-Identifier: LGPL-2.1 */
/*
 * The migration stream's format. Pure: nothing here reads, writes or allocates.
 *
 * All numbers are little endian. A stream is a preamble (magic, version) and a row of chunks, each
 * a header and a payload:
 *
 *	 0	type	u32	enum chunk_type
 *	 4	length	u32	bytes of payload, at most STREAM_CHUNK_MAX
 *	 8	seq	u64	0, 1, 2 ... in each direction
 *	16	count	u32	what the payload holds that many of, see the type
 *	20	zero	u32	must be 0
 *	24	sum	u64	XXH64 of the payload, seeded with the XXH64 of the header before it,
 *				seeded with the direction: a chunk that was changed, cut, moved,
 *				doubled, dropped or sent back to where it came from does not match
 *
 * Forward: HELLO (flags, memory layout), PAGES and PING in any number and order, STATE (device
 * state, as many as needed), END (totals, and a checksum over all chunks before it), GO.
 * Back: ACCEPT (to HELLO), PONG (to PING), READY (to END), RUNNING (to GO), or ERROR with a reason
 * at any time. In a file there is no GO, and nothing goes back.
 *
 * A PAGES payload is a row of runs: gfn u64, npages u32, address space u16, kind u16, and then the
 * pages: DATA: 4096 bytes each; LINES: u64 mask of the 64-byte lines that are not all zero, and
 * those lines, each; ZERO: nothing.
 */
#ifndef _LIBKVMX_STREAM_H
#define _LIBKVMX_STREAM_H

#include <endian.h>

#include "layout.h"

#define STREAM_MAGIC		0x47494d584d564bULL	/* "KVMXMIG" and a NUL */
#define STREAM_VERSION		1
#define STREAM_PREAMBLE		16
#define STREAM_HEADER		32
#define STREAM_CHUNK_MAX	(1U << 20)
#define STREAM_HELLO		32	/* bytes before the regions */
#define STREAM_REGION		24
#define STREAM_RUN		16
#define STREAM_END		48
#define STREAM_LINE		64

#define STREAM_HELLO_FILE	1	/* nobody listens: no READY, no GO */

enum chunk_type {
	CHUNK_HELLO = 1,
	CHUNK_PAGES,		/* count: runs; of all others: 0 */
	CHUNK_STATE,
	CHUNK_PING,
	CHUNK_END,
	CHUNK_GO,
	CHUNK_ACCEPT = 65,
	CHUNK_PONG,
	CHUNK_READY,
	CHUNK_RUNNING,
	CHUNK_ERROR,
};

enum stream_dir {
	STREAM_FORWARD = 1,
	STREAM_BACK = 2,
};

enum page_kind {
	PAGE_DATA = 1,
	PAGE_LINES,
	PAGE_ZERO,
};

struct chunk {
	uint32_t type;
	uint32_t length;
	uint64_t seq;
	uint32_t count;
	uint64_t sum;
};

/* Where one direction of a stream is: what the next chunk must be, and the sum of all so far. */
struct stream {
	enum stream_dir dir;
	uint64_t seq;
	uint64_t chain;
};

struct stream_hello {
	uint32_t page_size;
	uint32_t flags;
	uint32_t nr_regions;
	uint64_t total_pages;
	uint64_t session;
};

struct stream_run {
	uint64_t gfn;
	uint32_t npages;
	uint16_t as;
	uint16_t kind;
};

struct stream_end {
	uint64_t chunks;	/* before this one */
	uint64_t chain;		/* over them */
	uint64_t data_pages;
	uint64_t zero_pages;
	uint64_t state_bytes;
	uint64_t total_pages;
};

static inline uint32_t get_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static inline uint64_t get_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static inline void put_le32(void *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void put_le64(void *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

void stream_put_preamble(uint8_t buf[STREAM_PREAMBLE]);
/* NULL, or why it is none of ours. */
const char *stream_check_preamble(const uint8_t buf[STREAM_PREAMBLE], uint32_t *version);

/* Write the header of a chunk whose payload of @length bytes is already in place behind it. */
void stream_seal(struct stream *s, uint8_t *buf, uint32_t type, uint32_t length, uint32_t count);
/* Take a header apart. NULL, or what is wrong with it. */
const char *stream_open(const struct stream *s, const uint8_t buf[STREAM_HEADER], struct chunk *c);
/* Check the whole chunk and step on. NULL, or what is wrong with it. */
const char *stream_check(struct stream *s, const uint8_t header[STREAM_HEADER],
			 const uint8_t *payload, const struct chunk *c);

/* A HELLO payload for @l; returns its length. @buf must have room for all regions. */
uint32_t stream_put_hello(uint8_t *buf, const struct layout *l, uint32_t flags, uint64_t session);
/* NULL and @hello filled in if the layout is @l's, or what is wrong; more about it in @gfn. */
const char *stream_get_hello(const uint8_t *buf, uint32_t length, const struct layout *l,
			     struct stream_hello *hello, uint64_t *gfn);

void stream_put_run(uint8_t buf[STREAM_RUN], const struct stream_run *run);
void stream_get_run(const uint8_t buf[STREAM_RUN], struct stream_run *run);

void stream_put_end(uint8_t buf[STREAM_END], const struct stream_end *end);
void stream_get_end(const uint8_t buf[STREAM_END], struct stream_end *end);

/* A page's 64-byte lines that are not all zero. */
uint64_t page_mask(const void *page);
/* Copy a page, and say the same of the copy. */
uint64_t page_copy(void *to, const void *page);
/* What a page with this mask costs on the wire as LINES. */
uint32_t page_lines_size(uint64_t mask);
/* Write it as LINES; returns the length. @page may be @buf + 8 or behind. */
uint32_t page_put_lines(uint8_t *buf, const void *page, uint64_t mask);
/* Read it; returns the length used or 0 if @room is too small. */
uint32_t page_get_lines(void *page, const uint8_t *buf, uint32_t room);

#endif /* _LIBKVMX_STREAM_H */
