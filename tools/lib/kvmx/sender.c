// SPDX-License-Identifier: LGPL-2.1
/* The source's side: from the connection to who has the guest. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "sender.h"

#define PROGRESS_EVERY_NS	(100 * NSEC_PER_MSEC)
#define STATE_BYTES		(16 * 1024)	/* of a small guest; known once it was saved */
#define CHUNK_ROOM		(64 * (PAGE_BYTES + STREAM_RUN))

void kvmx_migrate_policy_init(struct kvmx_migrate_policy *policy)
{
	*policy = (struct kvmx_migrate_policy){
		.mode = KVMX_MODE_LIVE,
		.allowed_ns = 300 * NSEC_PER_MSEC,
		.peer_timeout_ns = 10 * NSEC_PER_SEC,
		.sample_ns = 200 * NSEC_PER_MSEC,
		.slice_ns = 50 * NSEC_PER_MSEC,
		.min_permille = 200,
		.max_aborts = 3,
	};
}

int sender_progress(struct sender *s, uint32_t phase)
{
	struct kvmx_migrate_progress *p = &s->progress;
	uint64_t now = now_ns();

	if (!s->source->ops->progress)
		return 0;
	if (phase == s->phase && now - s->last_progress < PROGRESS_EVERY_NS)
		return 0;
	s->phase = phase;
	s->last_progress = now;
	p->phase = phase;
	p->slices = s->report->slices;
	p->vcpu_permille = s->permille;
	p->aborts = s->report->aborts;
	p->elapsed_ns = now - s->start;
	p->bytes = s->conn.link.sent;
	p->bandwidth = measure_bandwidth(s);
	p->total_pages = s->layout.total;
	p->pending_pages = s->pages.nr_pending;
	p->offline_ns = measure_pause(s, s->pages.nr_pending);
	if (s->source->ops->progress(s->source->opaque, p))
		return fail(s->report, -ECANCELED, "canceled");
	return 0;
}

int sender_give_up(struct sender *s, const char *why)
{
	return fail(s->report, -ECANCELED, "%s; the guest stays here", why);
}

int sender_start_tracker(struct sender *s)
{
	const char *hint;
	int ret = s->dirty->ops->start(s->dirty->ctx);

	if (!ret) {
		s->started = true;
		return 0;
	}
	hint = kvmx_hint(KVMX_TRACKER_CREATE, ret);
	return fail(s->report, ret, "dirty pages cannot be tracked: %s",
		    hint ? hint : strerror(-ret));
}

static int check_policy(struct sender *s)
{
	const struct kvmx_migrate_policy *p = s->policy;

	if (p->mode > KVMX_MODE_OFFLINE || p->flags >= KVMX_POLICY_PARTIAL << 1)
		return fail(s->report, -EINVAL, "the policy has an unknown mode or flag");
	if (!p->min_permille || p->min_permille > 1000)
		return fail(s->report, -EINVAL, "min_permille must be 1 to 1000");
	if (!p->peer_timeout_ns || p->slice_ns < 5 * NSEC_PER_MSEC || p->slice_ns > NSEC_PER_SEC)
		return fail(s->report, -EINVAL,
			    "peer_timeout_ns must not be 0, slice_ns must be 5 ms to 1 s");
	if (p->bandwidth && p->bandwidth < PAGE_BYTES)
		return fail(s->report, -EINVAL, "bandwidth must be 4096 bytes/s at least");
	return 0;
}

static int greet(struct sender *s)
{
	uint8_t preamble[STREAM_PREAMBLE];
	bool file = s->conn.link.kind != LINK_SOCKET;
	uint64_t session = 0, begin = now_ns();
	uint32_t length;
	int ret;

	ret = sender_progress(s, KVMX_PHASE_CONNECT);
	if (ret)
		return ret;
	/* Makes no two streams alike, so that nothing from one can be taken for another's. */
	if (getrandom(&session, sizeof(session), 0) != sizeof(session))
		return fail(s->report, -errno, "no random number to be had");
	stream_put_preamble(preamble);
	ret = link_send(&s->conn.link, preamble, sizeof(preamble), NULL);
	if (ret)
		return fail(s->report, ret, "sending failed: %s", strerror(-ret));
	length = stream_put_hello(conn_payload(&s->conn), &s->layout,
				  file ? STREAM_HELLO_FILE : 0, session);
	ret = conn_put(&s->conn, CHUNK_HELLO, length, 0);
	if (ret || file)
		return ret;
	ret = conn_await(&s->conn, CHUNK_ACCEPT);
	s->rtt_ns = now_ns() - begin;
	return ret;
}

static int sender_init(struct sender *s)
{
	uint32_t room;
	bool live = s->policy->mode == KVMX_MODE_LIVE;
	int ret;

	s->start = now_ns();
	s->phase = ~0U;
	s->permille = 1000;
	s->stop_ns = s->policy->fixed_ns / 2;
	s->load_ns = s->policy->fixed_ns / 2;
	s->state_bytes = STATE_BYTES;
	s->content = live && !(s->policy->flags & KVMX_POLICY_NO_CONTENT);
	s->lines = s->policy->mode != KVMX_MODE_PLAIN;
	s->chunk_max = 16;
	s->page_cost = PAGE_BYTES + STREAM_RUN / 2;
	s->dirty_cost = s->page_cost;
	s->dirty_changed = 1;
	s->progress.needed_permille = 1000;
	s->report->vcpu_permille = 1000;
	s->runs = calloc(SENDER_RUNS, sizeof(*s->runs));
	s->page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	if (!s->runs || !s->page)
		return fail(s->report, -ENOMEM, "no memory");
	ret = check_policy(s);
	if (!ret)
		ret = layout_init(&s->layout, s->source->regions, s->source->nr_regions,
				  s->report);
	if (ret)
		return ret;
	s->report->total_pages = s->layout.total;
	ret = pages_init(&s->pages, s->layout.total, live, s->policy->slice_ns);
	if (ret)
		return fail(s->report, ret, "no memory for the page table");
	s->report->table_bytes = s->pages.bytes;
	room = max_u64(CHUNK_ROOM, STREAM_HELLO + s->layout.nr * STREAM_REGION);
	return conn_init_source(&s->conn, s->source->fd, s->policy->bandwidth,
				s->policy->peer_timeout_ns, room, s->report);
}

static int offline_run(struct sender *s)
{
	measure_begin(s);
	pages_want_all(&s->pages);
	return handover(s, true, KVMX_PREDICT_NEVER);
}

static int run(struct sender *s)
{
	int ret = greet(s);

	if (ret)
		return ret;
	switch (s->policy->mode) {
	case KVMX_MODE_PLAIN:
		return plain_run(s);
	case KVMX_MODE_OFFLINE:
		return offline_run(s);
	default:
		return live_run(s);
	}
}

/* It failed and the guest is ours: put everything back as it was. */
static void undo(struct sender *s)
{
	sender_resume(s);
	if (s->permille != 1000)
		s->source->ops->throttle(s->source->opaque, 1000);
	/* The other side shall not have to wait for its timeout. */
	if (s->conn.link.kind == LINK_SOCKET)
		shutdown(s->source->fd, SHUT_RDWR);
}

int migrate_send_from(const struct kvmx_migrate_source *source,
		      const struct kvmx_migrate_policy *policy,
		      const struct dirty_source *dirty, struct kvmx_migrate_report *report)
{
	struct kvmx_migrate_report unread;
	struct sender *s;
	int ret;

	if (!report)
		report = &unread;
	memset(report, 0, sizeof(*report));
	s = calloc(1, sizeof(*s));
	if (!s) {
		report->error = fail(report, -ENOMEM, "no memory");
		return report->error;
	}
	s->source = source;
	s->policy = policy;
	s->dirty = dirty;
	s->report = report;
	ret = sender_init(s);
	if (ret)
		goto out_free;
	ret = run(s);
	if (s->gone && !ret)
		report->outcome = KVMX_MIGRATE_DONE;
	else if (!s->gone)
		undo(s);
	/* Only now: as long as the guest might have come back, nothing it wrote may get lost. */
	dirty->ops->stop(dirty->ctx);
	report->total_ns = now_ns() - s->start;
	report->bytes = s->conn.link.sent;
	report->bandwidth = measure_bandwidth(s);
	s->last_progress = 0;
	sender_progress(s, KVMX_PHASE_DONE);
	if (!ret && s->conn.link.kind == LINK_SOCKET && source->ops->released)
		source->ops->released(source->opaque);
	conn_exit(&s->conn);

out_free:
	pages_free(&s->pages);
	layout_free(&s->layout);
	free(s->page);
	free(s->runs);
	free(s);
	if (!ret)
		report->reason[0] = 0;
	report->error = ret;
	return ret;
}

int kvmx_migrate_send(const struct kvmx_migrate_source *source,
		      const struct kvmx_migrate_policy *policy,
		      struct kvmx_migrate_report *report)
{
	struct dirty_kvmx kvmx = { .vm_fd = source->vm_fd, .tracker_fd = -1 };
	const struct dirty_source dirty = { .ops = &dirty_kvmx_ops, .ctx = &kvmx };

	return migrate_send_from(source, policy, &dirty, report);
}
