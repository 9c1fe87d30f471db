# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# A test machine with an IOMMU and PCI devices to pass through. Sourced by run.
#
# edu, a device made for teaching: DMA both ways, MSI and INTx, conventional PCI. One has a bus of
# its own, two share a group behind a bridge. nvme: PCI Express, FLR, MSI-X. e1000e: PCI Express,
# reset by way of D3hot, MSI-X; in its network are a gateway that answers, 10.0.2.2, and 10.0.2.100,
# which sends back what comes to its port 7, and nothing else.

DEVICE_MODULES=(vfio_iommu_type1 vfio_pci)
# The kernel's interrupt remapping is part of what makes a group safe to hand out.
DEVICE_MACHINE=,kernel-irqchip=split
# A busy machine's emulated timer is too late for the kernel's test of its interrupt.
DEVICE_APPEND='intel_iommu=on no_timer_check'
export DEVICE_MODULES DEVICE_MACHINE DEVICE_APPEND

# devices_args DIR: sets DEVICE_ARGS; files go to DIR.
devices_args()
{
	local edu=edu,dma_mask=0xffffffff

	truncate -s 0 "$1/nvme.img"
	truncate -s 64M "$1/nvme.img"
	# shellcheck disable=SC2034,SC2054 # for our caller; QEMU's options have commas
	DEVICE_ARGS=(-device intel-iommu,intremap=on
		-device pcie-root-port,id=port1,chassis=1 -device "$edu,bus=port1"
		-device pcie-root-port,id=port2,chassis=2
		-device pcie-pci-bridge,id=bridge,bus=port2
		-device "$edu,bus=bridge,addr=1" -device "$edu,bus=bridge,addr=2"
		-device pcie-root-port,id=port3,chassis=3
		-drive "file=$1/nvme.img,if=none,id=nvme,format=raw"
		-device nvme,bus=port3,serial=kvmx,drive=nvme
		-device pcie-root-port,id=port4,chassis=4
		-netdev user,id=net,restrict=on,guestfwd=tcp:10.0.2.100:7-cmd:cat
		-device e1000e,bus=port4,netdev=net)
}
