// SPDX-License-Identifier: LGPL-2.1
/* Changes to a stream that keep it a stream. */
#include <stdlib.h>

#include "fuzz.h"

#define MAX_CHUNKS	64

struct piece {
	uint8_t *at;
	size_t len;
};

/* Take the input apart; the last piece is what is no whole chunk. */
static unsigned int split(uint8_t *data, size_t size, struct piece *piece)
{
	uint8_t *p = data + FUZZ_START, *end = data + size;
	unsigned int n = 0;

	while (n < MAX_CHUNKS && end - p >= STREAM_HEADER &&
	       (size_t)(end - p) - STREAM_HEADER >= get_le32(p + 4)) {
		piece[n].at = p;
		piece[n].len = STREAM_HEADER + get_le32(p + 4);
		p += piece[n++].len;
	}
	return n;
}

void fuzz_mend(uint8_t *data, size_t size)
{
	struct stream s = { .dir = STREAM_FORWARD };
	struct piece piece[MAX_CHUNKS];
	unsigned int n, i;

	if (size < FUZZ_START)
		return;
	n = split(data, size, piece);
	for (i = 0; i < n; i++) {
		uint8_t *payload = piece[i].at + STREAM_HEADER;
		uint32_t length = piece[i].len - STREAM_HEADER, type = get_le32(piece[i].at);

		if (type == CHUNK_END && length == STREAM_END) {
			put_le64(payload, s.seq);
			put_le64(payload + 8, s.chain);
		}
		if (type == CHUNK_GO && length == 8)
			put_le64(payload, s.chain);
		stream_seal(&s, piece[i].at, type, length, get_le32(piece[i].at + 16));
	}
}

/* Change one chunk's payload, and its length with it. */
static size_t change_payload(uint8_t *data, size_t size, size_t max, const struct piece *p)
{
	static uint8_t rest[FUZZ_MAX];
	uint8_t *payload = p->at + STREAM_HEADER;
	size_t len = p->len - STREAM_HEADER, tail = data + size - (payload + len), now;

	if (tail > sizeof(rest))
		return size;
	memcpy(rest, payload + len, tail);
	now = LLVMFuzzerMutate(payload, len, max - (payload - data) - tail);
	put_le32(p->at + 4, now);
	memcpy(payload + now, rest, tail);
	return payload - data + now + tail;
}

static size_t double_chunk(uint8_t *data, size_t size, size_t max, const struct piece *p)
{
	if (size + p->len > max)
		return size;
	memmove(p->at + p->len, p->at, data + size - p->at);
	return size + p->len;
}

static size_t drop_chunk(uint8_t *data, size_t size, const struct piece *p)
{
	memmove(p->at, p->at + p->len, data + size - p->at - p->len);
	return size - p->len;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	struct piece piece[MAX_CHUNKS], *p;
	unsigned int n;

	if (max > FUZZ_MAX)
		max = FUZZ_MAX;
	n = size < FUZZ_START ? 0 : split(data, size, piece);
	if (!n)
		return LLVMFuzzerMutate(data, size, max);
	p = &piece[seed / 16 % n];
	switch (seed % 16) {
	case 0:
		/* Not mended: the checksums themselves. */
		return LLVMFuzzerMutate(data, size, max);
	case 1:
		size = double_chunk(data, size, max, p);
		break;
	case 2:
		size = drop_chunk(data, size, p);
		break;
	case 3:
		/* type, length, count */
		LLVMFuzzerMutate(p->at, 20, 20);
		break;
	case 4:
		put_le32(p->at, 1 + seed / 1024 % 7);
		break;
	case 5:
		LLVMFuzzerMutate(data, FUZZ_START, FUZZ_START);
		break;
	default:
		size = change_payload(data, size, max, p);
	}
	fuzz_mend(data, size);
	return size;
}
