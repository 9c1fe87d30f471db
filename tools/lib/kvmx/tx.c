// SPDX-License-Identifier: LGPL-2.1
/* Pages into chunks: what is empty or unchanged is left out. */
#include <errno.h>

#include "sender.h"

/* Where leaving out empty lines saves less than the change of kind may cost. */
#define MOST_LINES	60

int tx_flush(struct sender *s)
{
	uint32_t fill = s->fill, runs = s->chunk_runs;

	if (!fill)
		return 0;
	s->fill = 0;
	s->chunk_pages = 0;
	s->chunk_runs = 0;
	s->run.npages = 0;
	return conn_put(&s->conn, CHUNK_PAGES, fill, runs);
}

static int make_room(struct sender *s, uint32_t room)
{
	if (s->fill + room <= s->conn.room && s->chunk_pages < s->chunk_max)
		return 0;
	return tx_flush(s);
}

/* Lengthen the last run by pages of @kind at @idx, or begin a new one. There is room. */
static void add_run(struct sender *s, uint64_t idx, uint32_t npages, enum page_kind kind)
{
	const struct kvmx_region *r = layout_region(&s->layout, idx);

	if (s->run.npages && s->run_next == idx && s->run.kind == kind &&
	    idx != layout_base(&s->layout, r) && s->run.npages <= UINT32_MAX - npages) {
		s->run.npages += npages;
	} else {
		s->run.gfn = layout_gfn(&s->layout, r, idx);
		s->run.as = r->as;
		s->run.kind = kind;
		s->run.npages = npages;
		s->run_at = s->fill;
		s->fill += STREAM_RUN;
		s->chunk_runs++;
	}
	s->run_next = idx + npages;
}

/* The page is in place: nothing that put_run() overwrites is needed any more. */
static void put_run(struct sender *s)
{
	stream_put_run(conn_payload(&s->conn) + s->run_at, &s->run);
}

int tx_zero(struct sender *s, uint64_t idx, uint64_t npages)
{
	int ret = make_room(s, STREAM_RUN);

	if (ret)
		return ret;
	add_run(s, idx, npages, PAGE_ZERO);
	put_run(s);
	/* They cost next to nothing; but a chunk must not become one endless row of them. */
	s->chunk_pages++;
	s->report->zero_pages += npages;
	return 0;
}

uint32_t tx_page_cost(const struct sender *s, uint64_t mask)
{
	if (!mask)
		return 0;
	if (s->lines && __builtin_popcountll(mask) <= MOST_LINES)
		return page_lines_size(mask);
	return PAGE_BYTES;
}

uint64_t tx_page_copy(struct sender *s, uint64_t idx, void *to)
{
	const struct kvmx_region *r = layout_region(&s->layout, idx);

	return page_copy(to, layout_page(&s->layout, r, idx));
}

/* @copy: where the page is, about where it belongs in the chunk */
static int put_page(struct sender *s, uint64_t idx, const uint8_t *copy, uint64_t mask)
{
	uint32_t cost = tx_page_cost(s, mask);
	uint8_t *to;

	if (!mask)
		return tx_zero(s, idx, 1);
	add_run(s, idx, 1, cost == PAGE_BYTES ? PAGE_DATA : PAGE_LINES);
	to = conn_payload(&s->conn) + s->fill;
	if (cost == PAGE_BYTES) {
		if (to != copy)
			memmove(to, copy, PAGE_BYTES);
	} else {
		/* Lines move down in place, but cannot move up past each other. */
		if (copy < to + 8)
			copy = memcpy(s->page, copy, PAGE_BYTES);
		page_put_lines(to, copy, mask);
	}
	put_run(s);
	s->fill += cost;
	s->chunk_pages++;
	s->report->data_pages++;
	return 0;
}

/* Where a page will be in the chunk if it is like most: whole, and in a row with the last one. */
static uint8_t *place(struct sender *s, uint64_t idx)
{
	bool joins = s->run.npages && s->run_next == idx && s->run.kind == PAGE_DATA;

	return conn_payload(&s->conn) + s->fill + (joins ? 0 : STREAM_RUN);
}

int tx_page(struct sender *s, uint64_t idx)
{
	struct page_entry hash;
	uint64_t mask;
	uint8_t *copy;
	int ret;

	/* There must be room for it before it is known what it will take. */
	ret = make_room(s, STREAM_RUN + 8 + PAGE_BYTES);
	if (ret)
		return ret;
	pages_done(&s->pages, idx);
	copy = place(s, idx);
	mask = tx_page_copy(s, idx, copy);
	if (!s->content)
		return put_page(s, idx, copy, mask);
	/* In the pause nobody will compare with what is sent last: spare the time. */
	if (s->paused && !pages_sent(&s->pages, idx))
		return put_page(s, idx, copy, mask);
	hash = pages_hash(copy);
	if (pages_same(&s->pages, idx, hash)) {
		s->report->same_pages++;
		return 0;
	}
	ret = put_page(s, idx, copy, mask);
	if (!ret)
		pages_note(&s->pages, idx, hash);
	return ret;
}
