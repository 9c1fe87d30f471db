// SPDX-License-Identifier: LGPL-2.1
#include <xxhash.h>

#include "stream.h"

void stream_put_preamble(uint8_t buf[STREAM_PREAMBLE])
{
	put_le64(buf, STREAM_MAGIC);
	put_le32(buf + 8, STREAM_VERSION);
	put_le32(buf + 12, 0);
}

const char *stream_check_preamble(const uint8_t buf[STREAM_PREAMBLE], uint32_t *version)
{
	*version = get_le32(buf + 8);
	if (get_le64(buf) != STREAM_MAGIC)
		return "this is not a kvmx migration stream";
	if (*version != STREAM_VERSION)
		return "the stream has another version";
	if (get_le32(buf + 12))
		return "the stream's preamble is damaged";
	return NULL;
}

static uint64_t chunk_sum(const struct stream *s, const uint8_t *header, const uint8_t *payload,
			  uint32_t length)
{
	uint64_t seed = XXH64(header, 24, s->dir);

	return XXH64(payload, length, seed);
}

static void step(struct stream *s, uint64_t sum)
{
	s->seq++;
	s->chain = XXH64(&sum, sizeof(sum), s->chain);
}

void stream_seal(struct stream *s, uint8_t *buf, uint32_t type, uint32_t length, uint32_t count)
{
	uint64_t sum;

	put_le32(buf, type);
	put_le32(buf + 4, length);
	put_le64(buf + 8, s->seq);
	put_le32(buf + 16, count);
	put_le32(buf + 20, 0);
	sum = chunk_sum(s, buf, buf + STREAM_HEADER, length);
	put_le64(buf + 24, sum);
	step(s, htole64(sum));
}

const char *stream_open(const struct stream *s, const uint8_t buf[STREAM_HEADER], struct chunk *c)
{
	c->type = get_le32(buf);
	c->length = get_le32(buf + 4);
	c->seq = get_le64(buf + 8);
	c->count = get_le32(buf + 16);
	c->sum = get_le64(buf + 24);
	if (c->length > STREAM_CHUNK_MAX)
		return "a chunk is longer than any may be";
	if (c->seq != s->seq || get_le32(buf + 20))
		return "a chunk is damaged, missing or out of order";
	return NULL;
}

const char *stream_check(struct stream *s, const uint8_t header[STREAM_HEADER],
			 const uint8_t *payload, const struct chunk *c)
{
	uint64_t sum = chunk_sum(s, header, payload, c->length);

	if (sum != c->sum)
		return "a chunk's checksum is wrong";
	step(s, htole64(sum));
	return NULL;
}

uint32_t stream_put_hello(uint8_t *buf, const struct layout *l, uint32_t flags, uint64_t session)
{
	uint8_t *p = buf + STREAM_HELLO;
	uint32_t i;

	put_le32(buf, PAGE_BYTES);
	put_le32(buf + 4, flags);
	put_le32(buf + 8, l->nr);
	put_le32(buf + 12, 0);
	put_le64(buf + 16, l->total);
	put_le64(buf + 24, session);
	for (i = 0; i < l->nr; i++, p += STREAM_REGION) {
		put_le64(p, l->region[i].gfn);
		put_le64(p + 8, l->region[i].npages);
		put_le32(p + 16, l->region[i].as);
		put_le32(p + 20, 0);
	}
	return p - buf;
}

const char *stream_get_hello(const uint8_t *buf, uint32_t length, const struct layout *l,
			     struct stream_hello *hello, uint64_t *gfn)
{
	const uint8_t *p = buf + STREAM_HELLO;
	uint32_t i;

	*gfn = 0;
	if (length < STREAM_HELLO)
		return "the greeting is too short";
	hello->page_size = get_le32(buf);
	hello->flags = get_le32(buf + 4);
	hello->nr_regions = get_le32(buf + 8);
	hello->total_pages = get_le64(buf + 16);
	hello->session = get_le64(buf + 24);
	if (hello->page_size != PAGE_BYTES)
		return "the pages have another size";
	if (hello->flags & ~STREAM_HELLO_FILE || get_le32(buf + 12))
		return "the source wants something that this version does not know";
	if (hello->nr_regions > LAYOUT_MAX_REGIONS ||
	    length != STREAM_HELLO + hello->nr_regions * STREAM_REGION)
		return "the greeting has the wrong length";
	/* Both sides sort their regions, so they must match one by one. */
	for (i = 0; i < hello->nr_regions && i < l->nr; i++, p += STREAM_REGION) {
		*gfn = get_le64(p);
		if (*gfn != l->region[i].gfn || get_le64(p + 8) != l->region[i].npages ||
		    get_le32(p + 16) != l->region[i].as || get_le32(p + 20))
			return "the guests' memory layouts differ";
	}
	if (hello->nr_regions != l->nr || hello->total_pages != l->total)
		return "the guests' memory layouts differ";
	return NULL;
}

void stream_put_run(uint8_t buf[STREAM_RUN], const struct stream_run *run)
{
	put_le64(buf, run->gfn);
	put_le32(buf + 8, run->npages);
	put_le32(buf + 12, (uint32_t)run->kind << 16 | run->as);
}

void stream_get_run(const uint8_t buf[STREAM_RUN], struct stream_run *run)
{
	uint32_t both = get_le32(buf + 12);

	run->gfn = get_le64(buf);
	run->npages = get_le32(buf + 8);
	run->as = both & 0xffff;
	run->kind = both >> 16;
}

void stream_put_end(uint8_t buf[STREAM_END], const struct stream_end *end)
{
	put_le64(buf, end->chunks);
	put_le64(buf + 8, end->chain);
	put_le64(buf + 16, end->data_pages);
	put_le64(buf + 24, end->zero_pages);
	put_le64(buf + 32, end->state_bytes);
	put_le64(buf + 40, end->total_pages);
}

void stream_get_end(const uint8_t buf[STREAM_END], struct stream_end *end)
{
	end->chunks = get_le64(buf);
	end->chain = get_le64(buf + 8);
	end->data_pages = get_le64(buf + 16);
	end->zero_pages = get_le64(buf + 24);
	end->state_bytes = get_le64(buf + 32);
	end->total_pages = get_le64(buf + 40);
}
