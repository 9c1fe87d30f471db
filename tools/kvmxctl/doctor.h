/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KVMXCTL_DOCTOR_H
#define KVMXCTL_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a host looks like to kvmx. Gathered by facts_gather() from files below a root directory,
 * judged by doctor_judge() without any effect.
 */
struct facts {
	char release[64];		/* of the kernel, "" if unknown */
	bool svm, vmx;			/* the processor has it */
	bool dev_kvm, dev_kvmx;
	bool mod_kvmx, mod_vfio;	/* kvmx.ko and kvmx_vfio_pci.ko are loaded */
	char kvm[8];			/* KVM's module that is loaded: "amd", "intel" or "" */
	int nested;			/* 1, 0, -1: unknown */
	bool ksm;			/* the kernel has KSM */
	int ksm_run;
	int smart_scan;			/* -1: the kernel has none */
	char advisor[32];		/* "" if it has none */
	uint64_t ksm_sharing;		/* pages */
	int ksmtuned;			/* its process, or 0 */
	unsigned int iommu_groups;
	bool unsafe_interrupts;		/* VFIO was told to do without interrupt remapping */
	char thp[16];			/* always, madvise, never or "" */
	uint64_t hugepages;
	uint64_t hugepage_bytes;	/* the sizes together */
	int secure_boot;		/* 1, 0, -1: no UEFI */
	bool sig_enforce;		/* only signed modules */
	char lockdown[32];		/* none, integrity, confidentiality or "" */
	int yama_scope;
};

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_NOTE,	/* good to know */
	DOCTOR_WARNING,	/* something will not work as well, or not everything */
	DOCTOR_FAILURE,	/* kvmx will not work */
	DOCTOR_NR_LEVELS,
};

struct finding {
	const char *check;
	enum doctor_level level;
	char text[192];
	char advice[256];	/* what to do, or "" */
};

#define DOCTOR_MAX	16

void facts_gather(const char *root, struct facts *facts);
/* @first, @last: the kernels that are supported, "6.1" and so on. Returns how many findings. */
size_t doctor_judge(const struct facts *facts, const char *first, const char *last,
		    struct finding findings[DOCTOR_MAX]);

#endif
