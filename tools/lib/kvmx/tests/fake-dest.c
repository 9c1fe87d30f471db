// SPDX-License-Identifier: LGPL-2.1
#include <sys/mman.h>

#include "fake.h"

void fake_dest_init(struct fake_dest *d, uint64_t pages)
{
	memset(d, 0, sizeof(*d));
	d->pages = pages;
	d->mem = fake_memory(pages * PAGE_BYTES);
	fake_regions(d->regions, d->mem, pages);
	d->nr_regions = 2;
}

void fake_dest_free(struct fake_dest *d)
{
	munmap(d->mem, d->pages * PAGE_BYTES);
}

static int dest_load(void *opaque, const void *data, size_t len)
{
	static uint8_t want[FAKE_STATE];
	struct fake_dest *d = opaque;

	if (sim_active())
		sim_sleep(d->load_ns);
	fake_state(want, sizeof(want));
	d->state_good = len && len <= sizeof(want) && !memcmp(want, data, len);
	return d->fail_load;
}

static int dest_run(void *opaque)
{
	struct fake_dest *d = opaque;

	if (d->fail_run)
		return d->fail_run;
	d->runs++;
	return 0;
}

static void dest_discard(void *opaque)
{
	struct fake_dest *d = opaque;

	d->discards++;
}

static const struct kvmx_migrate_dest_ops dest_ops = {
	.load_state = dest_load,
	.run = dest_run,
	.discard = dest_discard,
};

int fake_receive(struct fake_dest *d, int fd)
{
	struct kvmx_migrate_dest dest = {
		.ops = &dest_ops,
		.opaque = d,
		.regions = d->regions,
		.nr_regions = d->nr_regions,
		.flags = KVMX_DEST_ZEROED,
		.fd = fd,
		.peer_timeout_ns = 20 * NSEC_PER_SEC,
	};

	return kvmx_migrate_receive(&dest, &d->report);
}

static void simulated(void *arg)
{
	struct fake_dest *d = arg;

	fake_receive(d, d->fd);
}

static void *thread(void *arg)
{
	simulated(arg);
	return NULL;
}

void fake_receive_start(struct fake_dest *d, int fd)
{
	d->fd = fd;
	if (sim_active())
		sim_spawn(simulated, d);
	else
		pthread_create(&d->thread, NULL, thread, d);
}

void fake_receive_wait(struct fake_dest *d)
{
	if (sim_active())
		sim_join();
	else
		pthread_join(d->thread, NULL);
}
