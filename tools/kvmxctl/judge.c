// SPDX-License-Identifier: GPL-2.0
/*
 * What a host's facts mean for kvmx, and what to do about them. No effects.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "doctor.h"
#include "units.h"

#define PAGE_BYTES	4096

struct report {
	struct finding *findings;
	size_t nr;
};

__attribute__((format(printf, 4, 5)))
static struct finding *find(struct report *report, const char *check, enum doctor_level level,
			    const char *fmt, ...)
{
	struct finding *finding = &report->findings[report->nr++];
	va_list ap;

	*finding = (struct finding){ .check = check, .level = level };
	va_start(ap, fmt);
	vsnprintf(finding->text, sizeof(finding->text), fmt, ap);
	va_end(ap);
	return finding;
}

__attribute__((format(printf, 2, 3)))
static void advise(struct finding *finding, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(finding->advice, sizeof(finding->advice), fmt, ap);
	va_end(ap);
}

/* "6.12.95-amd64" as 6012; 0 if it is no version. */
static unsigned int version_of(const char *text)
{
	unsigned int major, minor;

	return sscanf(text, "%u.%u", &major, &minor) == 2 && minor < 1000 ?
	       major * 1000 + minor : 0;
}

static void judge_kernel(const struct facts *facts, const char *first, const char *last,
			 struct report *report)
{
	unsigned int version = version_of(facts->release);

	if (!version)
		find(report, "kernel", DOCTOR_WARNING, "its version is unknown");
	else if (version < version_of(first))
		advise(find(report, "kernel", DOCTOR_FAILURE, "%s is too old for kvmx",
			    facts->release), "boot a kernel from %s to %s", first, last);
	else if (version > version_of(last))
		advise(find(report, "kernel", DOCTOR_FAILURE, "%s is newer than this kvmx",
			    facts->release), "boot a kernel up to %s, or get a newer kvmx", last);
	else
		find(report, "kernel", DOCTOR_OK, "%s", facts->release);
}

static void judge_kvm(const struct facts *facts, struct report *report)
{
	if (facts->kvm[0] && facts->dev_kvm)
		find(report, "kvm", DOCTOR_OK, "kvm_%s is loaded", facts->kvm);
	else if (facts->svm || facts->vmx)
		advise(find(report, "kvm", DOCTOR_FAILURE, "KVM is not loaded"),
		       "modprobe kvm_%s; if that fails, switch %s on in the firmware's setup",
		       facts->svm ? "amd" : "intel", facts->svm ? "SVM" : "VT-x");
	else
		advise(find(report, "kvm", DOCTOR_FAILURE,
			    "the processor does not offer virtualization"),
		       "switch it on in the firmware's setup; in a VM, have it nested");
}

static void judge_nested(const struct facts *facts, struct report *report)
{
	if (facts->nested == 1)
		advise(find(report, "nested", DOCTOR_NOTE, "guests may run guests of their own"),
		       "to forbid it: options kvm_%s nested=0 in /etc/modprobe.d", facts->kvm);
	else if (!facts->nested)
		find(report, "nested", DOCTOR_OK, "guests may not run guests of their own");
}

/* What keeps a module from being loaded that nobody has signed. */
static bool wants_signature(const struct facts *facts)
{
	return facts->sig_enforce || !strcmp(facts->lockdown, "integrity") ||
	       !strcmp(facts->lockdown, "confidentiality");
}

static void judge_module(const struct facts *facts, struct report *report)
{
	struct finding *finding;

	if (facts->mod_kvmx && facts->dev_kvmx) {
		find(report, "kvmx", DOCTOR_OK, "it is loaded");
	} else if (facts->mod_kvmx) {
		advise(find(report, "kvmx", DOCTOR_FAILURE, "loaded, but there is no /dev/kvmx"),
		       "mount devtmpfs on /dev, or give this container the device");
	} else {
		finding = find(report, "kvmx", DOCTOR_FAILURE, "it is not loaded");
		if (wants_signature(facts))
			advise(finding, "modprobe kvmx; it must be signed, see secure-boot.rst");
		else
			advise(finding, "modprobe kvmx; dkms status says whether it was built");
	}
}

static void judge_secure_boot(const struct facts *facts, struct report *report)
{
	if (wants_signature(facts) && !facts->mod_kvmx)
		advise(find(report, "secure-boot", DOCTOR_WARNING,
			    "this kernel loads signed modules only (Secure Boot %s, lockdown %s)",
			    facts->secure_boot == 1 ? "on" : "off",
			    facts->lockdown[0] ? facts->lockdown : "none"),
		       "enrol the key that DKMS signs with: mokutil --import /var/lib/dkms/mok.pub");
	else if (wants_signature(facts))
		find(report, "secure-boot", DOCTOR_OK, "kvmx is signed as this kernel wants it");
	else
		find(report, "secure-boot", DOCTOR_OK, "unsigned modules may be loaded");
}

static void judge_ksm(const struct facts *facts, struct report *report)
{
	char size[UNITS_LEN];

	format_bytes(size, facts->ksm_sharing * PAGE_BYTES);
	if (!facts->ksm)
		advise(find(report, "ksm", DOCTOR_WARNING, "this kernel has no KSM"),
		       "kvmx cannot merge guests' memory; all else works");
	else if (facts->ksm_run == 2)
		advise(find(report, "ksm", DOCTOR_NOTE, "KSM was told to unmerge all (run is 2)"),
		       "echo 0 > /sys/kernel/mm/ksm/run");
	else if (facts->ksm_run)
		find(report, "ksm", DOCTOR_NOTE, "ksmd runs, and saves %s now%s", size,
		     facts->advisor[0] && strcmp(facts->advisor, "none") ?
		     "; the kernel's advisor drives it" : "");
	else
		find(report, "ksm", DOCTOR_OK, "ksmd rests, %s are saved now", size);
}

static void judge_ksmtuned(const struct facts *facts, struct report *report)
{
	if (facts->ksmtuned)
		advise(find(report, "ksmtuned", DOCTOR_WARNING,
			    "ksmtuned runs (process %d) and writes KSM's knobs: kvmx lets go of them",
			    facts->ksmtuned),
		       "systemctl disable --now ksmtuned ksm");
	else
		find(report, "ksmtuned", DOCTOR_OK, "it does not run");
}

static void judge_iommu(const struct facts *facts, struct report *report)
{
	if (!facts->iommu_groups)
		advise(find(report, "iommu", DOCTOR_WARNING,
			    "no IOMMU: VMs cannot have PCI devices"),
		       "switch %s on in the firmware's setup%s",
		       facts->vmx ? "VT-d" : "the IOMMU",
		       facts->vmx ? " and boot with intel_iommu=on" : "");
	else if (facts->unsafe_interrupts)
		advise(find(report, "iommu", DOCTOR_WARNING,
			    "%u groups, but VFIO does without interrupt remapping",
			    facts->iommu_groups),
		       "unless the hardware has none: vfio_iommu_type1 allow_unsafe_interrupts=0");
	else
		find(report, "iommu", DOCTOR_OK, "%u groups; kvmxctl dev list shows them",
		     facts->iommu_groups);
	if (facts->iommu_groups && !facts->mod_vfio)
		advise(find(report, "devices", DOCTOR_NOTE, "kvmx_vfio_pci is not loaded"),
		       "modprobe kvmx_vfio_pci, if VMs are to have PCI devices");
}

static void judge_pages(const struct facts *facts, struct report *report)
{
	char size[UNITS_LEN];

	if (!strcmp(facts->thp, "always"))
		find(report, "thp", DOCTOR_NOTE,
		     "guests get huge pages; KSM splits those in which it merges something");
	else if (facts->thp[0])
		find(report, "thp", DOCTOR_OK, "transparent huge pages: %s", facts->thp);
	if (facts->hugepages)
		find(report, "hugetlb", DOCTOR_NOTE,
		     "%s are kept as huge pages: guests on them are never merged",
		     format_bytes(size, facts->hugepage_bytes));
}

static void judge_ptrace(const struct facts *facts, struct report *report)
{
	if (facts->yama_scope >= 3)
		advise(find(report, "ptrace", DOCTOR_WARNING,
			    "yama.ptrace_scope is 3: kvmxctl cannot look into any VMM"),
		       "set kernel.yama.ptrace_scope to 2 in /etc/sysctl.d, and reboot");
	else
		find(report, "ptrace", DOCTOR_OK, "root may look into VMMs");
}

size_t doctor_judge(const struct facts *facts, const char *first, const char *last,
		    struct finding findings[DOCTOR_MAX])
{
	struct report report = { .findings = findings };

	judge_kernel(facts, first, last, &report);
	judge_kvm(facts, &report);
	judge_nested(facts, &report);
	judge_module(facts, &report);
	judge_secure_boot(facts, &report);
	judge_ksm(facts, &report);
	judge_ksmtuned(facts, &report);
	judge_iommu(facts, &report);
	judge_pages(facts, &report);
	judge_ptrace(facts, &report);
	return report.nr;
}
