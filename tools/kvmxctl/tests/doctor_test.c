// SPDX-License-Identifier: GPL-2.0
#include <ftw.h>
#include <kselftest_harness.h>
#include <sys/stat.h>

#include "doctor.h"

/* A host: files below a directory, and what the doctor makes of them. */
FIXTURE(host)
{
	char root[64];
	struct facts facts;
	struct finding findings[DOCTOR_MAX];
	size_t nr;
};

static bool put(const char *root, const char *file, const void *data, size_t len)
{
	char path[256], *slash;
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", root, file);
	for (slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	out = fopen(path, "w");
	if (!out)
		return false;
	fwrite(data, 1, len, out);
	return !fclose(out);
}

#define PUT(file, text) ASSERT_TRUE(put(self->root, file, text, sizeof(text) - 1))

/* A good one, in which tests change something. */
FIXTURE_SETUP(host)
{
	strcpy(self->root, "/tmp/doctor-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->root));
	PUT("proc/sys/kernel/osrelease", "6.12.95+deb12-amd64\n");
	PUT("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu vme svm avx\nbugs\t\t: vmx\n");
	PUT("proc/sys/kernel/yama/ptrace_scope", "1\n");
	PUT("proc/1/comm", "systemd\n");
	PUT("proc/815/comm", "ksmd\n");
	PUT("dev/kvm", "");
	PUT("dev/kvmx", "");
	PUT("sys/module/kvmx/refcnt", "0\n");
	PUT("sys/module/kvmx_vfio_pci/refcnt", "0\n");
	PUT("sys/module/kvm_amd/parameters/nested", "0\n");
	PUT("sys/module/module/parameters/sig_enforce", "N\n");
	PUT("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	PUT("sys/kernel/mm/ksm/run", "0\n");
	PUT("sys/kernel/mm/ksm/smart_scan", "1\n");
	PUT("sys/kernel/mm/ksm/advisor_mode", "[none] scan-time\n");
	PUT("sys/kernel/mm/ksm/pages_sharing", "512\n");
	PUT("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	PUT("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "0\n");
	PUT("sys/kernel/iommu_groups/0/type", "DMA\n");
	PUT("sys/kernel/iommu_groups/1/type", "DMA\n");
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

FIXTURE_TEARDOWN(host)
{
	nftw(self->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void lose(const char *root, const char *file)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", root, file);
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The finding of that check has that level, and says that. */
static bool found(const struct finding *findings, size_t nr, const char *check,
		  enum doctor_level level, const char *text)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!strcmp(findings[i].check, check))
			return findings[i].level == level &&
			       (strstr(findings[i].text, text) ||
				strstr(findings[i].advice, text));
	return false;
}

#define EXAMINE() do {							\
	facts_gather(self->root, &self->facts);				\
	self->nr = doctor_judge(&self->facts, "6.1", "7.3", self->findings);	\
	ASSERT_LE(self->nr, DOCTOR_MAX);				\
} while (0)

#define FINDS(check, level, text) \
	EXPECT_TRUE(found(self->findings, self->nr, check, DOCTOR_##level, text))

TEST_F(host, good)
{
	size_t i;

	EXAMINE();
	for (i = 0; i < self->nr; i++) {
		EXPECT_EQ(DOCTOR_OK, self->findings[i].level);
		EXPECT_STREQ("", self->findings[i].advice);
	}
	EXPECT_EQ(2, self->facts.iommu_groups);
	EXPECT_EQ(1, self->facts.smart_scan);
	EXPECT_STREQ("none", self->facts.advisor);
	EXPECT_TRUE(self->facts.svm);
	EXPECT_FALSE(self->facts.vmx);
	FINDS("ksm", OK, "2.0 MiB");
}

TEST_F(host, kernels)
{
	PUT("proc/sys/kernel/osrelease", "5.10.0-30-amd64\n");
	EXAMINE();
	FINDS("kernel", FAILURE, "too old");
	PUT("proc/sys/kernel/osrelease", "6.1.0-50-amd64\n");
	EXAMINE();
	FINDS("kernel", OK, "6.1.0");
	PUT("proc/sys/kernel/osrelease", "7.3.4+deb13-amd64\n");
	EXAMINE();
	FINDS("kernel", OK, "7.3.4");
	PUT("proc/sys/kernel/osrelease", "7.4.0\n");
	EXAMINE();
	FINDS("kernel", FAILURE, "newer");
	PUT("proc/sys/kernel/osrelease", "banana\n");
	EXAMINE();
	FINDS("kernel", WARNING, "unknown");
}

TEST_F(host, kvm)
{
	lose(self->root, "sys/module/kvm_amd");
	EXAMINE();
	FINDS("kvm", FAILURE, "modprobe kvm_amd");
	PUT("proc/cpuinfo", "flags\t\t: fpu\n");
	EXAMINE();
	FINDS("kvm", FAILURE, "does not offer virtualization");
	PUT("proc/cpuinfo", "flags\t\t: fpu vmx\n");
	PUT("sys/module/kvm_intel/parameters/nested", "Y\n");
	EXAMINE();
	FINDS("kvm", OK, "kvm_intel");
	FINDS("nested", NOTE, "nested=0");
}

TEST_F(host, module)
{
	lose(self->root, "dev/kvmx");
	EXAMINE();
	FINDS("kvmx", FAILURE, "no /dev/kvmx");
	lose(self->root, "sys/module/kvmx");
	EXAMINE();
	FINDS("kvmx", FAILURE, "dkms status");
	FINDS("secure-boot", OK, "unsigned");
}

TEST_F(host, secure_boot)
{
	/* Four bytes of attributes before the value. */
	PUT("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
	    "\6\0\0\0\1");
	PUT("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	EXAMINE();
	EXPECT_EQ(1, self->facts.secure_boot);
	FINDS("secure-boot", OK, "signed as");
	lose(self->root, "sys/module/kvmx");
	EXAMINE();
	FINDS("secure-boot", WARNING, "mokutil --import");
	FINDS("kvmx", FAILURE, "signed");
	PUT("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	PUT("sys/module/module/parameters/sig_enforce", "Y\n");
	EXAMINE();
	FINDS("secure-boot", WARNING, "signed modules only");
}

TEST_F(host, ksm)
{
	PUT("sys/kernel/mm/ksm/run", "1\n");
	PUT("sys/kernel/mm/ksm/advisor_mode", "none [scan-time]\n");
	EXAMINE();
	FINDS("ksm", NOTE, "advisor");
	PUT("sys/kernel/mm/ksm/run", "2\n");
	EXAMINE();
	FINDS("ksm", NOTE, "unmerge");
	lose(self->root, "sys/kernel/mm/ksm");
	EXAMINE();
	FINDS("ksm", WARNING, "no KSM");
	FINDS("ksmtuned", OK, "");
	PUT("proc/4711/comm", "ksmtuned\n");
	EXAMINE();
	FINDS("ksmtuned", WARNING, "process 4711");
}

TEST_F(host, devices)
{
	PUT("sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts", "Y\n");
	lose(self->root, "sys/module/kvmx_vfio_pci");
	EXAMINE();
	FINDS("iommu", WARNING, "interrupt remapping");
	FINDS("devices", NOTE, "modprobe kvmx_vfio_pci");
	lose(self->root, "sys/kernel/iommu_groups");
	EXAMINE();
	FINDS("iommu", WARNING, "no IOMMU");
	EXPECT_FALSE(found(self->findings, self->nr, "devices", DOCTOR_NOTE, ""));
}

TEST_F(host, pages)
{
	PUT("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
	PUT("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
	PUT("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "2\n");
	EXAMINE();
	FINDS("thp", NOTE, "huge pages");
	FINDS("hugetlb", NOTE, "3.0 GiB");
}

TEST_F(host, ptrace)
{
	PUT("proc/sys/kernel/yama/ptrace_scope", "3\n");
	EXAMINE();
	FINDS("ptrace", WARNING, "ptrace_scope");
}

TEST_F(host, nothing_at_all)
{
	facts_gather("/nowhere", &self->facts);
	self->nr = doctor_judge(&self->facts, "6.1", "7.3", self->findings);
	ASSERT_LE(self->nr, DOCTOR_MAX);
	FINDS("kernel", WARNING, "unknown");
	FINDS("kvm", FAILURE, "virtualization");
	FINDS("kvmx", FAILURE, "modprobe");
}

TEST_HARNESS_MAIN
