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

/* Lengthen the last run by pages of @kind at @idx, or begin a new one. */
static int add_run(struct sender *s, uint64_t idx, uint32_t npages, enum page_kind kind,
		   uint32_t room)
{
	const struct kvmx_region *r;
	int ret;

	if (s->fill + STREAM_RUN + room > s->conn.room || s->chunk_pages >= s->chunk_max) {
		ret = tx_flush(s);
		if (ret)
			return ret;
	}
	r = layout_region(&s->layout, idx);
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
	stream_put_run(conn_payload(&s->conn) + s->run_at, &s->run);
	return 0;
}

int tx_zero(struct sender *s, uint64_t idx, uint64_t npages)
{
	int ret = add_run(s, idx, npages, PAGE_ZERO, 0);

	if (ret)
		return ret;
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

void tx_page_copy(struct sender *s, uint64_t idx, void *to)
{
	const struct kvmx_region *r = layout_region(&s->layout, idx);

	memcpy(to, layout_page(&s->layout, r, idx), PAGE_BYTES);
}

static int put_page(struct sender *s, uint64_t idx)
{
	uint64_t mask = page_mask(s->page);
	uint32_t cost = tx_page_cost(s, mask);
	uint8_t *payload = conn_payload(&s->conn);
	int ret;

	if (!mask)
		return tx_zero(s, idx, 1);
	ret = add_run(s, idx, 1, cost == PAGE_BYTES ? PAGE_DATA : PAGE_LINES, cost);
	if (ret)
		return ret;
	if (cost == PAGE_BYTES)
		memcpy(payload + s->fill, s->page, PAGE_BYTES);
	else
		page_put_lines(payload + s->fill, s->page, mask);
	s->fill += cost;
	s->chunk_pages++;
	s->report->data_pages++;
	return 0;
}

int tx_page(struct sender *s, uint64_t idx)
{
	struct page_entry hash;
	int ret;

	pages_done(&s->pages, idx);
	tx_page_copy(s, idx, s->page);
	if (!s->content)
		return put_page(s, idx);
	/* In the pause nobody will compare with what is sent last: spare the time. */
	if (s->paused && !pages_sent(&s->pages, idx))
		return put_page(s, idx);
	hash = pages_hash(s->page);
	if (pages_same(&s->pages, idx, hash)) {
		s->report->same_pages++;
		return 0;
	}
	ret = put_page(s, idx);
	if (!ret)
		pages_note(&s->pages, idx, hash);
	return ret;
}
