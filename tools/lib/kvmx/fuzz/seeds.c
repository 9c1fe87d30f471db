// SPDX-License-Identifier: LGPL-2.1
/* Good streams, and some that are wrong in one respect, to begin from. */
#include "fuzz.h"

struct writer {
	uint8_t *at;
	uint8_t *chunk;
	uint32_t runs;
};

static void begin(struct writer *w, uint32_t type)
{
	w->chunk = w->at;
	w->runs = 0;
	put_le32(w->chunk, type);
	w->at += STREAM_HEADER;
}

static void end(struct writer *w)
{
	put_le32(w->chunk + 4, w->at - w->chunk - STREAM_HEADER);
	put_le32(w->chunk + 16, w->runs);
}

static void put_run(struct writer *w, uint64_t gfn, uint32_t npages, uint16_t as, uint16_t kind)
{
	struct stream_run run = { .gfn = gfn, .npages = npages, .as = as, .kind = kind };

	stream_put_run(w->at, &run);
	w->at += STREAM_RUN;
	w->runs++;
}

static void put_data(struct writer *w, int pages, uint8_t fill)
{
	memset(w->at, fill, pages * PAGE_BYTES);
	w->at += pages * PAGE_BYTES;
}

static void put_lines(struct writer *w, uint64_t mask)
{
	put_le64(w->at, mask);
	memset(w->at + 8, 0x5a, page_lines_size(mask) - 8);
	w->at += page_lines_size(mask);
}

static void put_hello(struct writer *w, bool file)
{
	struct kvmx_region regions[2] = { fuzz_layout[0], fuzz_layout[1] };
	uint64_t base[2] = { 0, 3 };
	struct layout l = { .region = regions, .base = base, .nr = 2, .total = FUZZ_PAGES };

	begin(w, CHUNK_HELLO);
	w->at += stream_put_hello(w->at, &l, file ? STREAM_HELLO_FILE : 0, 42);
	end(w);
}

static void put_ping(struct writer *w)
{
	begin(w, CHUNK_PING);
	put_le64(w->at, 1);
	w->at += 8;
	end(w);
}

static void put_state(struct writer *w, uint32_t len)
{
	begin(w, CHUNK_STATE);
	memset(w->at, 1, len);
	w->at += len;
	end(w);
}

static void put_end(struct writer *w, uint64_t data, uint64_t zero, uint64_t state)
{
	struct stream_end e = { .data_pages = data, .zero_pages = zero, .state_bytes = state,
				.total_pages = FUZZ_PAGES };

	begin(w, CHUNK_END);
	stream_put_end(w->at, &e);
	w->at += STREAM_END;
	end(w);
}

static void put_go(struct writer *w)
{
	begin(w, CHUNK_GO);
	w->at += 8;
	end(w);
}

/* Bits of a seed's number: 1: file; 32: a page is missing; the others as below. */
size_t fuzz_seed(unsigned int n, uint8_t *buf)
{
	struct writer w = { .at = buf + FUZZ_START };
	bool file = n & 1;
	uint64_t data = 0, zero = FUZZ_PAGES;

	memset(buf, 0, FUZZ_MAX);
	buf[0] = file ? FUZZ_FILE : 0;
	stream_put_preamble(buf + 1);
	put_hello(&w, file);
	if (n & 2 && !file)
		put_ping(&w);
	begin(&w, CHUNK_PAGES);
	put_run(&w, 16, 3, 0, PAGE_ZERO);
	if (n & 32)
		zero -= 2;
	else
		put_run(&w, 16, 2, 1, PAGE_ZERO);
	if (n & 4) {
		put_run(&w, 17, 2, 0, PAGE_LINES);
		put_lines(&w, 1ULL << 63 | 1);
		put_lines(&w, 0);
		data += 2;
	}
	end(&w);
	if (n & 8) {
		begin(&w, CHUNK_PAGES);
		put_run(&w, 17, 1, 1, PAGE_DATA);
		put_data(&w, 1, n);
		end(&w);
		data++;
	}
	put_state(&w, 16 + n);
	if (n & 16)
		put_state(&w, 100);
	put_end(&w, data, zero, 16 + n + (n & 16 ? 100 : 0));
	if (!file)
		put_go(&w);
	fuzz_mend(buf, w.at - buf);
	return w.at - buf;
}
