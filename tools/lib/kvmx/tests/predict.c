// SPDX-License-Identifier: LGPL-2.1
/*
 * The module's prediction in user space. Its function has the name of the library's, so it is
 * renamed here, and with it the struct of the ioctl, whose layout stays what it is.
 */
#include "curve.h"
#include "predict.h"

int fake_predict(const struct kvmx_point *points, u32 nr, u64 total, void *predict);

int fake_predict(const struct kvmx_point *points, u32 nr, u64 total, void *predict)
{
	static __thread struct kvmx_curve curve;
	struct kvmx_predict *p = predict;
	struct kvmx_predict_in in = {
		.bandwidth = p->bandwidth,
		.allowed_ns = p->allowed_ns,
		.fixed_ns = p->fixed_ns,
		.remaining_pages = p->remaining_pages,
		.page_bytes = p->page_bytes,
		.min_permille = p->min_permille,
		.defer = p->flags & KVMX_PREDICT_DEFER,
	};
	struct kvmx_predict_out out;
	int ret;

	ret = kvmx_curve_build(&curve, points, nr, total);
	if (ret)
		return ret;
	ret = kvmx_predict(&curve, &in, &out);
	if (ret)
		return ret;
	p->verdict = out.verdict;
	p->rounds = out.rounds;
	p->bytes = out.bytes;
	p->total_ns = out.total_ns;
	p->pause_ns = out.pause_ns;
	p->offline_ns = out.offline_ns;
	p->vcpu_permille = out.vcpu_permille;
	return 0;
}
