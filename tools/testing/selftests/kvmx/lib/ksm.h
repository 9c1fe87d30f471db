/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The policy over KSM and KSM's knobs, for tests: calls, and waiting for what follows from them.
 */
#ifndef SELFTEST_KVMX_KSM_H
#define SELFTEST_KVMX_KSM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvmx.h>

#include "lib/peer.h"

#define KSM_PEERS 6
#define KSM_KNOBS 5
#define KSM_KNOB_LEN 32
#define KSM_WAIT_MS 60000

/* A system fd, VMMs, and what was there before. */
struct ksm_bed {
	int sys;
	struct peer peer[KSM_PEERS];
	char knobs[KSM_KNOBS][KSM_KNOB_LEN];
	int kvm_refs;
};

int ksm_bed_open(struct ksm_bed *bed);
/* Stops all. Whether all is as ksm_bed_open() found it; if not, it says what. */
bool ksm_bed_close(struct ksm_bed *bed);

/* Empty if this kernel does not have it */
void ksm_read_knob(const char *name, char *value, size_t size);
/* -1 if this kernel does not have it */
long ksm_knob(const char *name);
int ksm_set_knob(const char *name, const char *value);
/* A line of /proc/vmstat */
long ksm_vm_counter(const char *name);

/* A policy that finds out fast, and one under which looks and epochs take many seconds. */
struct kvmx_ksm_policy ksm_quick(void);
struct kvmx_ksm_policy ksm_slow(void);

int ksm_host_set(int sys, const struct kvmx_ksm_policy *policy, uint32_t flags);
int ksm_host_off(int sys);
struct kvmx_ksm_host_get ksm_host_get(int sys);
/* @domain: NULL to leave it as it is */
int ksm_vm_set(const struct peer *p, uint32_t mode, const uint8_t *domain, uint32_t flags);
struct kvmx_vm_ksm_get ksm_vm_get(const struct peer *p);

/* What a test that fails is asked next. */
void ksm_show_vm(const struct peer *p);
void ksm_show_host(int sys);

/* All of these wait for a minute at most, and show the host if that was not enough. */
/* There were this many epochs, and kvmx has nothing to do. */
bool ksm_epochs_become(int sys, uint64_t epochs);
/* Sets a policy, and waits for an epoch. */
bool ksm_epoch_passes(int sys, const struct kvmx_ksm_policy *policy);
/* This many more looks are over. */
bool ksm_looks_pass(int sys, uint64_t looks);
bool ksm_state_becomes(int sys, uint32_t state);
bool ksm_state_leaves(int sys, uint32_t state, int ms);
/* Within ten seconds */
bool ksm_knobs_become(int sys, uint32_t state);

#endif
