// SPDX-License-Identifier: GPL-2.0
/* See nvme.h. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/nvme.h"
#include "lib/util.h"

#define ENTRIES 64

/* registers, in words */
#define CC (0x14 / 4)
#define CSTS (0x1c / 4)
#define AQA (0x24 / 4)
#define ASQ (0x28 / 4)
#define ACQ (0x30 / 4)
#define SQ_DOORBELL (0x1000 / 4)
#define CQ_DOORBELL (0x1004 / 4)

#define CC_ENABLE 1
#define CC_ENTRY_SIZES (6 << 16 | 4 << 20)
#define CSTS_READY 1
#define IDENTIFY 6

struct sqe {
	uint32_t command;	/* opcode, id << 16 */
	uint32_t nsid;
	uint64_t reserved[2];
	uint64_t prp1;
	uint64_t prp2;
	uint32_t cdw10;
	uint32_t rest[5];
};

struct cqe {
	uint32_t result;
	uint32_t reserved;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t command_id;
	uint16_t status;	/* bit 0: the phase */
};

static int wait_ready(struct nvme *n, uint32_t want)
{
	uint64_t end = deadline_ns(5);

	while ((n->v->bar[CSTS] & CSTS_READY) != want) {
		if (now_ns() > end)
			return -ETIME;
		sleep_ms(1);
	}
	return 0;
}

int nvme_start(struct nvme *n, struct vdev *v, char *mem, uint64_t iova)
{
	int err;

	*n = (struct nvme){ .v = v, .mem = mem, .iova = iova, .phase = 1 };
	memset(mem, 0, NVME_PAGES * PAGE_SIZE);
	v->bar[CC] = 0;
	err = wait_ready(n, 0);
	if (err)
		return err;
	v->bar[AQA] = (ENTRIES - 1) << 16 | (ENTRIES - 1);
	v->bar[ASQ] = iova;
	v->bar[ASQ + 1] = iova >> 32;
	v->bar[ACQ] = iova + PAGE_SIZE;
	v->bar[ACQ + 1] = (iova + PAGE_SIZE) >> 32;
	v->bar[CC] = CC_ENTRY_SIZES | CC_ENABLE;
	return wait_ready(n, CSTS_READY);
}

static int wait_done(struct nvme *n)
{
	struct cqe *cqe = (struct cqe *)(n->mem + PAGE_SIZE) + n->head;
	uint64_t end = deadline_ns(5);
	uint16_t status;

	for (;;) {
		status = __atomic_load_n(&cqe->status, __ATOMIC_ACQUIRE);
		if ((status & 1) == n->phase)
			break;
		if (now_ns() > end)
			return -ETIME;
		usleep(20);
	}
	if (++n->head == ENTRIES) {
		n->head = 0;
		n->phase ^= 1;
	}
	n->v->bar[CQ_DOORBELL] = n->head;
	return status >> 1 ? -EIO : 0;
}

int nvme_write(struct nvme *n, uint64_t iova, unsigned int kind)
{
	struct sqe *sqe = (struct sqe *)n->mem + n->tail;

	*sqe = (struct sqe){
		.command = IDENTIFY | (uint32_t)n->tail << 16,
		.nsid = kind ? 0 : 1,
		.prp1 = iova,
		.cdw10 = kind,
	};
	n->tail = (n->tail + 1) % ENTRIES;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	n->v->bar[SQ_DOORBELL] = n->tail;
	return wait_done(n);
}
