// SPDX-License-Identifier: GPL-2.0
/*
 * What KVMX_DEV_REPORT says, against what is known of the test machine's devices and what sysfs
 * says. Needs a machine with devices (run -D).
 */
#include <dirent.h>
#include <errno.h>
#include <kselftest_harness.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <sys/wait.h>

#include "lib/fdpass.h"
#include "lib/kx.h"
#include "lib/vdev.h"
#include "lib/vm.h"

#define OURS 0x33
#define MEMBERS 64

struct report {
	struct kvmx_dev_report r;
	struct kvmx_dev_member m[MEMBERS];
	char bdf[VDEV_BDF_LEN];
};

static int ask(struct report *report, struct kvmx_pci_addr addr, uint32_t flags)
{
	int sys = kx_system(), ret;

	memset(report->m, 0xa5, sizeof(report->m));
	report->r = KX_ARG(kvmx_dev_report, .addr = addr, .flags = flags,
			   .members = (uintptr_t)report->m, .nr_members = MEMBERS,
			   .member_size = sizeof(report->m[0]));
	ret = kx_ioctl(sys, KVMX_DEV_REPORT, &report->r);
	close(sys);
	snprintf(report->bdf, sizeof(report->bdf), "%04x:%02x:%02x.%x", report->r.addr.domain,
		 report->r.addr.bus, report->r.addr.devfn >> 3, report->r.addr.devfn & 7);
	return ret;
}

static int ask_kind(struct report *report, enum vdev_kind kind)
{
	char bdf[VDEV_BDF_LEN];
	int err = vdev_find(kind, bdf);

	return err ?: ask(report, vdev_addr(bdf), 0);
}

static int link_name(const char *bdf, const char *link, char *name, size_t size)
{
	char path[128], target[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, link);
	n = readlink(path, target, sizeof(target) - 1);
	target[n < 0 ? 0 : n] = 0;
	snprintf(name, size, "%s", n < 0 ? "" : strrchr(target, '/') + 1);
	return n < 0 ? -1 : atoi(name);
}

TEST(edu)
{
	struct report report;

	ASSERT_EQ(0, ask_kind(&report, VDEV_EDU));
	EXPECT_EQ(0x1234, report.r.vendor);
	EXPECT_EQ(0x11e8, report.r.device);
	EXPECT_EQ(0x00ff00, report.r.class_code >> 8 << 8);
	EXPECT_EQ(1, report.r.nr_members);
	EXPECT_EQ(KVMX_RESET_BUS | KVMX_RESET_HOT, report.r.resets);
	EXPECT_EQ(KVMX_RESET_BUS, report.r.first_reset);
	EXPECT_EQ(1, report.r.msi);
	EXPECT_EQ(0, report.r.msix);
	EXPECT_FALSE(report.r.state & KVMX_DEV_PCIE);
	EXPECT_TRUE(report.r.state & KVMX_DEV_VIABLE);
	EXPECT_EQ(KVMX_DIRTY_CANDIDATES, report.r.dirty);
	EXPECT_EQ(KVMX_MEMBER_GROUP | KVMX_MEMBER_RESET, report.m[0].flags);
}

/* Two that share a bus behind a bridge, one of which the kernel met while it was alone there. */
TEST(pair)
{
	char bdf[2][VDEV_BDF_LEN];
	struct report report;
	unsigned int i, found = 0;

	ASSERT_EQ(0, vdev_find(VDEV_PAIR1, bdf[0]));
	ASSERT_EQ(0, vdev_find(VDEV_PAIR2, bdf[1]));
	ASSERT_EQ(0, vdev_bind(bdf[0], "kvmx_vfio_pci"));
	ASSERT_EQ(0, vdev_bind(bdf[1], "kvmx_vfio_pci"));
	ASSERT_EQ(0, ask_kind(&report, VDEV_PAIR1));
	EXPECT_EQ(KVMX_RESET_HOT, report.r.resets);
	EXPECT_EQ(0, report.r.first_reset);
	EXPECT_FALSE(report.r.state & KVMX_DEV_ACS);
	EXPECT_STREQ("kvmx_vfio_pci", report.r.driver);
	/* Itself, the other, and the bridge that makes them a group */
	ASSERT_EQ(3, report.r.nr_members);
	for (i = 0; i < 3; i++) {
		struct kvmx_pci_addr other = vdev_addr(bdf[1]);

		if (!memcmp(&report.m[i].addr, &other, sizeof(other))) {
			found++;
			EXPECT_EQ(KVMX_MEMBER_GROUP | KVMX_MEMBER_RESET, report.m[i].flags);
			EXPECT_STREQ("kvmx_vfio_pci", report.m[i].driver);
		}
		if (report.m[i].flags & KVMX_MEMBER_BRIDGE) {
			found++;
			EXPECT_EQ(KVMX_MEMBER_GROUP | KVMX_MEMBER_BRIDGE, report.m[i].flags);
		}
	}
	EXPECT_EQ(2, found);
	EXPECT_TRUE(report.r.state & KVMX_DEV_VIABLE);
}

TEST(express)
{
	struct report report;

	ASSERT_EQ(0, ask_kind(&report, VDEV_NVME));
	EXPECT_TRUE(report.r.state & KVMX_DEV_PCIE);
	EXPECT_TRUE(report.r.resets & KVMX_RESET_FLR);
	EXPECT_EQ(KVMX_RESET_FLR, report.r.first_reset);
	EXPECT_LT(8, report.r.msix);
	EXPECT_EQ(0x010802, report.r.class_code);
	ASSERT_EQ(0, ask_kind(&report, VDEV_NIC));
	EXPECT_EQ(KVMX_RESET_PM, report.r.first_reset);
	EXPECT_EQ(5, report.r.msix);
	EXPECT_EQ(0x020000, report.r.class_code);
}

TEST(use)
{
	uint8_t uuid[KVMX_UUID_LEN];
	struct kvmx_pci_addr addr;
	struct report report;
	int kx, status;
	struct vdev v;
	struct vm vm;
	pid_t pid;

	memset(uuid, OURS, sizeof(uuid));
	kx_unlease(OURS, NULL, 0, KVMX_LEASE_FORCE);
	ASSERT_EQ(0, vm_create(&vm, 0));
	kx = kx_vm_uuid(vm.fd, OURS);
	ASSERT_LE(0, kx);
	ASSERT_EQ(0, vdev_open(&v, VDEV_NVME, vm.fd));
	ASSERT_EQ(0, vdev_set_command(&v, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER));
	addr = vdev_addr(v.bdf);
	ASSERT_EQ(1, kx_lease(OURS, &addr, 1, KVMX_LEASE_NO_UID, 0));
	ASSERT_EQ(0, ask_kind(&report, VDEV_NVME));
	EXPECT_EQ(KVMX_DEV_DRIVEN | KVMX_DEV_OPEN | KVMX_DEV_MASTER | KVMX_DEV_LEASED,
		  report.r.state & (KVMX_DEV_DRIVEN | KVMX_DEV_OPEN | KVMX_DEV_MASTER |
				    KVMX_DEV_LEASED | KVMX_DEV_QUIESCED));
	EXPECT_EQ(0, memcmp(uuid, report.r.vm_uuid, sizeof(uuid)));
	EXPECT_EQ(0, memcmp(uuid, report.r.lease_uuid, sizeof(uuid)));
	EXPECT_EQ(getpid(), report.r.pid);
	EXPECT_EQ(0, report.r.power);
	EXPECT_TRUE(report.m[0].flags & KVMX_MEMBER_OPEN);
	/* Whose it is, is nobody else's business. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct kvmx_dev_report *r = &report.r;
		int sys = kx_system(), ret;

		if (drop_capabilities())
			_exit(1);
		r->nr_members = MEMBERS;
		ret = kx_ioctl(sys, KVMX_DEV_REPORT, r);
		_exit(ret || r->pid || !all_bytes(r->vm_uuid, 0, sizeof(uuid)) ||
		      !all_bytes(r->lease_uuid, 0, sizeof(uuid)) ||
		      !(r->state & KVMX_DEV_LEASED));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, kx_unlease(OURS, NULL, 0, KVMX_LEASE_FORCE));
	vdev_close(&v);
	close(kx);
	vm_destroy(&vm);
	ASSERT_EQ(0, ask_kind(&report, VDEV_NVME));
	EXPECT_FALSE(report.r.state & (KVMX_DEV_OPEN | KVMX_DEV_MASTER | KVMX_DEV_LEASED));
}

/* One after the other: all that sysfs lists, in its order, with the same group and driver. */
TEST(walk)
{
	struct kvmx_pci_addr addr = { 0 };
	struct report report;
	struct dirent **list;
	char name[64];
	int i, n, seen = 0;

	n = scandir("/sys/bus/pci/devices", &list, NULL, alphasort);
	ASSERT_LT(2, n);
	for (i = 0; i < n; i++) {
		if (list[i]->d_name[0] == '.')
			continue;
		ASSERT_EQ(0, ask(&report, addr, KVMX_DEV_NEXT));
		EXPECT_STREQ(list[i]->d_name, report.bdf);
		EXPECT_EQ(link_name(report.bdf, "iommu_group", name, sizeof(name)),
			  report.r.group);
		link_name(report.bdf, "driver", name, sizeof(name));
		EXPECT_STREQ(name, report.r.driver);
		seen++;
		addr = report.r.addr;
		if (!++addr.devfn && !++addr.bus)
			addr.domain++;
	}
	EXPECT_LT(8, seen);
	EXPECT_EQ(-ENODEV, ask(&report, addr, KVMX_DEV_NEXT));
}

/* A group with a device that the host uses is not viable, and the report says whose fault it is. */
TEST(host_driver)
{
	char bdf[VDEV_BDF_LEN] = "0000:00:05.0", name[64];
	struct report report;

	/* The machine's console, which has a group of its own. */
	link_name(bdf, "driver", name, sizeof(name));
	ASSERT_STREQ("virtio-pci", name);
	ASSERT_EQ(0, ask(&report, vdev_addr(bdf), 0));
	EXPECT_FALSE(report.r.state & KVMX_DEV_VIABLE);
	EXPECT_TRUE(report.m[0].flags & KVMX_MEMBER_BLOCKS);
	EXPECT_STREQ("virtio-pci", report.m[0].driver);
}

TEST(arguments)
{
	struct kvmx_pci_addr nothing = { .domain = 0xffff };
	struct report report;
	int sys = kx_system();

	ASSERT_LE(0, sys);
	EXPECT_EQ(-ENODEV, ask(&report, nothing, 0));
	EXPECT_EQ(-EOPNOTSUPP, ask(&report, nothing, 2));
	ASSERT_EQ(0, ask_kind(&report, VDEV_PAIR1));
	report.r.nr_members = 1;
	memset(report.m, 0xa5, sizeof(report.m));
	EXPECT_EQ(-ENOSPC, kx_ioctl(sys, KVMX_DEV_REPORT, &report.r));
	EXPECT_EQ(3, report.r.nr_members);
	EXPECT_TRUE(all_bytes(report.m, 0xa5, sizeof(report.m)));
	report.r.nr_members = 3;
	report.r.member_size--;
	EXPECT_EQ(-EINVAL, kx_ioctl(sys, KVMX_DEV_REPORT, &report.r));
	report.r.member_size++;
	report.r.members = 8;
	EXPECT_EQ(-EFAULT, kx_ioctl(sys, KVMX_DEV_REPORT, &report.r));
	close(sys);
}

TEST_HARNESS_MAIN
