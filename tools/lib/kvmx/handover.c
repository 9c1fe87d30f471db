// SPDX-License-Identifier: LGPL-2.1
/* From the pause to GO: the one place where a guest can change hands. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "sender.h"

/* How often to look at the clock while sending the rest. */
#define LOOK_PAGES	64

int sender_resume(struct sender *s)
{
	int ret;

	if (!s->paused)
		return 0;
	ret = s->source->ops->resume(s->source->opaque);
	s->paused = false;
	if (ret)
		fail(s->report, ret, "the guest could not be resumed: %s", strerror(-ret));
	return ret;
}

static bool too_long(struct sender *s)
{
	uint64_t allowed = s->policy->allowed_ns, now = now_ns(), left;

	if (!s->policy->max_aborts)
		return false;
	measure_queue(s, now);
	left = measure_rest(s, s->pages.nr_pending);
	return left > allowed || now - s->paused_at + left > allowed;
}

static int stop_guest(struct sender *s, void **state, size_t *len)
{
	int ret;

	s->paused_at = now_ns();
	s->paused_bytes = s->conn.link.sent;
	ret = s->source->ops->pause(s->source->opaque);
	if (ret)
		return fail(s->report, ret, "the guest could not be paused: %s", strerror(-ret));
	s->paused = true;
	ret = s->source->ops->save_state(s->source->opaque, state, len);
	if (ret)
		return fail(s->report, ret, "the device state could not be saved: %s",
			    strerror(-ret));
	s->report->state_ns = now_ns() - s->paused_at;
	s->report->state_bytes = *len;
	s->state_bytes = *len;
	/* After saving: that may write to guest memory, too. */
	return s->started ? harvest_all(s) : 0;
}

static int send_rest(struct sender *s, bool forced)
{
	uint64_t idx = 0, n = 0;
	int ret;

	for (;;) {
		idx = pages_next(&s->pages, idx, s->pages.total, ~0U);
		if (idx == s->pages.total)
			return tx_flush(s);
		ret = tx_page(s, idx);
		if (ret)
			return ret;
		if (++n % LOOK_PAGES)
			continue;
		/* The link may have become slower than anything seen so far. */
		if (!forced && too_long(s))
			return -EAGAIN;
		ret = sender_progress(s, KVMX_PHASE_PAUSED);
		if (ret)
			return ret;
	}
}

static int send_state(struct sender *s, const char *state, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t n = min_u64(len - done, s->conn.room);
		int ret;

		memcpy(conn_payload(&s->conn), state + done, n);
		ret = conn_put(&s->conn, CHUNK_STATE, n, 0);
		if (ret)
			return ret;
		done += n;
	}
	return 0;
}

static int send_end(struct sender *s)
{
	struct stream_end end = {
		.chunks = s->conn.out.seq,
		.chain = s->conn.out.chain,
		.data_pages = s->report->data_pages,
		.zero_pages = s->report->zero_pages,
		.state_bytes = s->report->state_bytes,
		.total_pages = s->layout.total,
	};

	stream_put_end(conn_payload(&s->conn), &end);
	return conn_put(&s->conn, CHUNK_END, STREAM_END, 0);
}

static int say_go(struct sender *s)
{
	uint8_t payload[8];
	size_t sent;
	int ret;

	/* It may have gone, or changed its mind, right after it was ready. */
	ret = conn_poll(&s->conn);
	if (ret)
		return ret;
	put_le64(payload, s->conn.out.chain);
	ret = conn_put_small(&s->conn, CHUNK_GO, payload, sizeof(payload), &sent);
	/* Not one byte of it went out: it was not said, the guest is still ours. */
	if (ret && !sent)
		return ret;
	s->gone = true;
	if (!ret)
		ret = conn_await(&s->conn, CHUNK_RUNNING);
	if (ret) {
		fail(s->report, ret, "no answer to GO");
		s->report->outcome = KVMX_MIGRATE_UNKNOWN;
		return -EREMCHG;
	}
	return 0;
}

static int finish_file(struct sender *s)
{
	/* A pipe cannot be synced, a file has to be. */
	if (s->conn.link.kind == LINK_FILE && fsync(s->source->fd))
		return fail(s->report, -errno, "the file could not be synced: %s",
			    strerror(errno));
	s->gone = true;
	return 0;
}

static int take_back(struct sender *s)
{
	int ret = sender_resume(s);

	if (ret)
		return ret;
	s->report->aborts++;
	s->report->aborted_ns += now_ns() - s->paused_at;
	measure_stop(s, s->report->state_ns, s->report->state_bytes);
	return -EAGAIN;
}

int handover(struct sender *s, bool forced, uint64_t predicted)
{
	void *state = NULL;
	size_t len = 0;
	int ret;

	ret = tx_flush(s);
	if (!ret)
		ret = sender_progress(s, KVMX_PHASE_PAUSED);
	if (!ret)
		ret = stop_guest(s, &state, &len);
	if (ret)
		goto out_free;
	s->report->predicted_ns = predicted;
	s->report->final_pages = s->pages.nr_pending;
	s->report->offline = forced;
	if (!forced) {
		measure_pending(s, HANDOVER_SAMPLES);
		if (too_long(s)) {
			ret = take_back(s);
			goto out_free;
		}
	}
	measure_begin(s);
	ret = send_rest(s, forced);
	measure_link(s, now_ns());
	if (ret == -EAGAIN)
		ret = take_back(s);
	if (!ret)
		ret = send_state(s, state, len);
	if (!ret)
		ret = send_end(s);
	if (ret)
		goto out_free;
	if (s->conn.link.kind != LINK_SOCKET) {
		ret = finish_file(s);
	} else {
		ret = sender_progress(s, KVMX_PHASE_READY);
		if (!ret)
			ret = conn_await(&s->conn, CHUNK_READY);
		if (!ret)
			ret = say_go(s);
	}
	s->report->pause_ns = now_ns() - s->paused_at;
	s->report->pause_bytes = s->conn.link.sent - s->paused_bytes;

out_free:
	free(state);
	return ret;
}
