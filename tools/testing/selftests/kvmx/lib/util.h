/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Time, CPUs, memory tricks and the module's state: nothing about VMs.
 */
#ifndef SELFTEST_KVMX_UTIL_H
#define SELFTEST_KVMX_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifndef PAGE_SIZE
#define PAGE_SIZE 4096UL
#endif

#define MIB (1024UL * 1024)
#define GIB (1024UL * MIB)

#define MODULE_FILE "/lib/kvmx/kvmx.ko"

uint64_t now_ns(void);
/* When so many seconds have passed, or longer where the kernel's checkers slow everything down. */
uint64_t deadline_ns(unsigned int seconds);
unsigned int time_scale(void);
void sleep_ms(unsigned int ms);
void pin_cpu(int cpu);

/* xorshift: repeatable, unlike rand() across threads */
uint32_t next_random(uint32_t *state);

/* An address such that exactly @bytes before an unmapped page can be used. */
void *map_before_hole(size_t bytes);
/* A page that holds a copy of @data and cannot be written. */
void *map_readonly(const void *data, size_t bytes);
bool all_bytes(const void *data, int value, size_t bytes);

/* /proc/self/maps, without allocating: what the calls under test leave behind shows. */
ssize_t read_maps(char *buf, size_t size);

/* -1 if the module is not loaded */
int module_refs(void);
/* References go by work items and RCU: wait up to five seconds. */
bool module_refs_become(int want);
/* References to KVM's vendor module: each VM has one, so that a VM nobody frees shows. */
int kvm_refs(void);
bool kvm_refs_become(int want);
int module_load(void);
int module_unload(void);

bool poll_for(int fd, short events, int timeout_ms);

#endif
