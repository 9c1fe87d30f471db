/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files that validate ioctls share. All functions check and copy in, and return what
 * ioctl(2) returns.
 */
#ifndef KVMX_IOCTL_H
#define KVMX_IOCTL_H

#include "core.h"

/* ioctl-dev.c */
long kvmx_sys_lease_acquire(struct file *file, struct kvmx_call *call);
long kvmx_sys_lease_release(struct file *file, struct kvmx_call *call);
long kvmx_sys_lease_list(struct file *file, struct kvmx_call *call);
long kvmx_sys_dev_report(struct file *file, struct kvmx_call *call);
long kvmx_do_dma_declare(struct file *file, struct kvmx_call *call);
long kvmx_do_dma_withdraw(struct file *file, struct kvmx_call *call);
long kvmx_do_vm_quiesce(struct file *file, struct kvmx_call *call);
long kvmx_do_vm_resume(struct file *file, struct kvmx_call *call);
long kvmx_do_vm_devices(struct file *file, struct kvmx_call *call);

#endif /* KVMX_IOCTL_H */
