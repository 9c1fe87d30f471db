/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a live migration would end, from the guest's dirty curve. Plain integer functions.
 */
#ifndef KVMX_PREDICT_H
#define KVMX_PREDICT_H

#include <linux/types.h>

struct kvmx_curve;

/**
 * struct kvmx_predict_in - the question; the fields are those of struct kvmx_predict
 * @bandwidth: bytes per second
 * @allowed_ns: longest pause allowed
 * @fixed_ns: what a pause costs besides pages
 * @remaining_pages: pages to be sent before the first round; U64_MAX: all
 * @page_bytes: bytes on the wire per page, 1 to 65536
 * @min_permille: slowest speed that the vCPUs may be made to run at, 1 to 1000
 * @defer: the sender sends pages by age and skips those written since its round began
 */
struct kvmx_predict_in {
	u64 bandwidth;
	u64 allowed_ns;
	u64 fixed_ns;
	u64 remaining_pages;
	u32 page_bytes;
	u32 min_permille;
	bool defer;
};

/**
 * struct kvmx_predict_out - the answer; the fields are those of struct kvmx_predict
 * @bytes: bytes on the wire, the pause included
 * @total_ns: time to the end of the pause
 * @pause_ns: the pause; if the verdict is OFFLINE, the shortest that a live migration reaches
 * @offline_ns: the pause if all that remains is sent while the guest is paused
 * @verdict: KVMX_VERDICT_*
 * @rounds: rounds until the pause
 * @vcpu_permille: speed of the vCPUs, 1000 unless the verdict is THROTTLE
 */
struct kvmx_predict_out {
	u64 bytes;
	u64 total_ns;
	u64 pause_ns;
	u64 offline_ns;
	u32 verdict;
	u32 rounds;
	u32 vcpu_permille;
};

int kvmx_predict(const struct kvmx_curve *c, const struct kvmx_predict_in *in,
		 struct kvmx_predict_out *out);

#endif /* KVMX_PREDICT_H */
