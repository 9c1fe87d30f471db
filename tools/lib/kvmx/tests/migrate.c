// SPDX-License-Identifier: LGPL-2.1
/*
 * Whole migrations of guests that write in known patterns, over a link of known bandwidth: nothing
 * is lost, the pause is kept and is what was predicted, and no more crosses the link than need be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake.h"
#include "kselftest_harness.h"

#define LINK		(32 * MIB)

struct scene {
	uint64_t pages;
	uint64_t filled;
	struct fake_load load[FAKE_MAX_LOADS];
	uint64_t link;
	struct kvmx_migrate_policy policy;
	struct fake_guest guest;
	struct fake_dest *dest;
	struct kvmx_migrate_report report;
	int ret;
};

static void scene_init(struct scene *sc)
{
	memset(sc, 0, sizeof(*sc));
	kvmx_migrate_policy_init(&sc->policy);
	sc->policy.max_time_ns = 30 * NSEC_PER_SEC;
	sc->pages = PAGES(256);
	sc->filled = PAGES(78);
	sc->link = LINK;
}

/* The range that is written to holds data before, as in a guest that has run for a while. */
static void add_load(struct scene *sc, enum fake_pattern pattern, uint64_t mib, uint64_t rate)
{
	struct fake_load *l = sc->load;
	uint64_t first = sc->filled;

	while (l->pattern != FAKE_IDLE)
		l++;
	l->pattern = pattern;
	l->first = first;
	l->pages = PAGES(mib);
	l->rate = rate;
	if (pattern != FAKE_ONCE)
		sc->filled += l->pages;
}

static void scene_run(struct scene *sc)
{
	struct kvmx_migrate_source source = { .ops = &fake_ops };
	struct fake_guest *g = &sc->guest;
	struct dirty_source dirty = { .ops = &fake_dirty_ops, .ctx = g };
	struct fake_relay relay;

	fake_init(g, sc->pages, sc->filled);
	memcpy(g->load, sc->load, sizeof(g->load));
	sc->dest = fake_dest_new(sc->pages);
	fake_relay_start(&relay, sc->link, ~0ULL, ~0ULL);
	fake_receive_start(sc->dest, relay.fd[1]);
	fake_start(g);
	source.opaque = g;
	source.regions = g->regions;
	source.nr_regions = 2;
	source.fd = relay.fd[0];
	sc->ret = migrate_send_from(&source, &sc->policy, &dirty, &sc->report);
	fake_receive_wait(sc->dest);
	fake_relay_stop(&relay);
	fake_stop(g);
}

static void scene_free(struct scene *sc)
{
	fake_free(&sc->guest);
	fake_dest_free(sc->dest);
}

static void tell(const struct scene *sc, const char *name)
{
	const struct kvmx_migrate_report *r = &sc->report;

	printf("# %s: ret %d %s\n", name, sc->ret, r->reason);
	printf("# %s: %.1f MB in %.2f s, pause %.1f ms, predicted %.1f, verdict %u first %u at %.2f s (%.0f ms)"
	       ", %u slices, %u aborts, %lu data %lu same %lu final, permille %u, %lu table bytes, bw %.1f\n",
	       name, r->bytes / 1e6, r->total_ns / 1e9, r->pause_ns / 1e6, r->predicted_ns / 1e6,
	       r->verdict, r->first_verdict, r->first_verdict_ns / 1e9, r->first_pause_ns / 1e6,
	       r->slices, r->aborts, r->data_pages, r->same_pages, r->final_pages, r->vcpu_permille,
	       r->table_bytes, r->bandwidth / 1e6);
	fflush(stdout);
}

#define SCENE(_name, ...) \
	TEST(_name) \
	{ \
		struct scene sc; \
		scene_init(&sc); \
		__VA_ARGS__; \
		if (getenv("PLAIN")) sc.policy.mode = KVMX_MODE_PLAIN; \
		scene_run(&sc); \
		tell(&sc, #_name); \
		if (!sc.ret) EXPECT_EQ(0, memcmp(sc.guest.mem, sc.dest->mem, sc.pages * PAGE_BYTES)); \
		scene_free(&sc); \
	}
SCENE(idle, )
SCENE(uniform, add_load(&sc, FAKE_UNIFORM, 64, 4096))
SCENE(hot, add_load(&sc, FAKE_STREAM, 8, 40960))
SCENE(stream, add_load(&sc, FAKE_STREAM, 128, 4096))
SCENE(grow, add_load(&sc, FAKE_ONCE, 160, 2048))
SCENE(hotuni, add_load(&sc, FAKE_STREAM, 8, 40960); add_load(&sc, FAKE_UNIFORM, 64, 4096))
SCENE(hot12, add_load(&sc, FAKE_STREAM, 12, 40960); add_load(&sc, FAKE_UNIFORM, 64, 1024))
SCENE(uni16k, add_load(&sc, FAKE_UNIFORM, 64, 16384))
SCENE(str12k, add_load(&sc, FAKE_STREAM, 128, 12288))
SCENE(same, add_load(&sc, FAKE_SAME, 64, 16384))

TEST_HARNESS_MAIN
