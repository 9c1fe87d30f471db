/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How much memory could be merged, from a sample of page contents. Plain integer functions.
 *
 * The sampler looks at every page and keeps those whose hash is 0 modulo a power of two, the
 * modulus: of a content that is kept, every copy is. So the number of copies is exact, and the sum
 * over the kept contents times the modulus estimates the sum over all without bias. Pages full of
 * zeroes are one content that would be kept or not as a whole: they are counted instead.
 */
#ifndef KVMX_KSM_ESTIMATE_H
#define KVMX_KSM_ESTIMATE_H

#include <linux/types.h>

#define KVMX_KSM_NO_DOMAIN	0xffffffffU

/**
 * struct kvmx_ksm_kept - a page that the sampler has kept
 * @hash: of its content
 * @vm: index in kvmx_ksm_est_in.vm
 * @page: where it is, for the sampler
 */
struct kvmx_ksm_kept {
	u64 hash;
	u32 vm;
	u32 page;
};

/**
 * struct kvmx_ksm_est_vm - what the sampler has counted in a VM, and what follows from it
 * @domain: VMs with the same number may share. KVMX_KSM_NO_DOMAIN: it shares with nobody, not
 *	even within itself, and all out fields are 0
 * @zero: pages full of zeroes, those that are merged included
 * @stable: pages kept that had not changed at the second look
 * @unstable: pages kept that had, or that were gone
 * @mergeable: out: pages that could be freed in this VM: of a content that has n copies in its
 *	domain, of which the VM has k, and that takes s pages when merged, (n - s) * k / n
 * @err: out: half of the 95 % confidence interval of @mergeable
 * @alone: out: @mergeable if the VM shared with nobody but itself
 */
struct kvmx_ksm_est_vm {
	u32 domain;
	u64 zero;
	u64 stable;
	u64 unstable;
	u64 mergeable;
	u64 err;
	u64 alone;
};

/**
 * struct kvmx_ksm_est_domain - what could be merged in a trust domain
 * @mergeable: out: pages that could be freed
 * @err: out: half of the 95 % confidence interval of @mergeable
 * @zero: out: of @mergeable, pages full of zeroes
 * @contents: out: pages that the merged contents would take
 * @copies: out: pages that have a twin: those that KSM would merge, @mergeable + @contents
 */
struct kvmx_ksm_est_domain {
	u64 mergeable;
	u64 err;
	u64 zero;
	u64 contents;
	u64 copies;
};

/**
 * struct kvmx_ksm_est_in - a sample
 * @kept: pages that are kept, stable, and not full of zeroes; is sorted in place by hash
 * @nr_kept: entries of @kept
 * @modulus: a power of two; 1: every page was kept, and the result is exact
 * @max_sharing: most pages that KSM merges into one (KSM's max_page_sharing), at least 2
 * @zero_free: pages full of zeroes take no memory when merged (KSM's use_zero_pages)
 * @vm: the VMs; the out fields are set
 * @nr_vm: entries of @vm
 * @domain: the domains; all fields are set
 * @nr_domain: entries of @domain; kvmx_ksm_est_vm.domain is below
 */
struct kvmx_ksm_est_in {
	struct kvmx_ksm_kept *kept;
	u64 nr_kept;
	u64 modulus;
	u32 max_sharing;
	bool zero_free;
	struct kvmx_ksm_est_vm *vm;
	u32 nr_vm;
	struct kvmx_ksm_est_domain *domain;
	u32 nr_domain;
};

u64 kvmx_ksm_modulus(u64 pages, u64 room);
u64 kvmx_ksm_taken(u64 copies, u32 max_sharing);
int kvmx_ksm_estimate(struct kvmx_ksm_est_in *in);

#endif /* KVMX_KSM_ESTIMATE_H */
