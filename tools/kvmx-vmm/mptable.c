// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "mptable.h"
#include "vm.h"

#define LAPIC_ADDR	0xfee00000U
#define LAPIC_VERSION	0x14
#define IOAPIC_ADDR	0xfec00000U
#define IOAPIC_VERSION	0x11
#define ALL_LAPICS	0xff
#define NR_ISA_IRQS	16

enum { BUS_PCI, BUS_ISA };
enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IRQ, ENTRY_LOCAL_IRQ };
enum { IRQ_INT, IRQ_NMI, IRQ_SMI, IRQ_EXTINT };

#define CPU_ENABLED	1
#define CPU_BOOT	2
#define IOAPIC_ENABLED	1

struct mp_floating {
	char signature[4];
	u32 table;
	u8 length;		/* in units of 16 bytes */
	u8 version;
	u8 checksum;
	u8 features[5];
};

struct mp_table {
	char signature[4];
	u16 length;
	u8 version;
	u8 checksum;
	char oem[8];
	char product[12];
	u32 oem_table;
	u16 oem_size;
	u16 entries;
	u32 lapic;
	u16 extended_length;
	u8 extended_checksum;
	u8 __reserved;
};

struct mp_cpu {
	u8 type;
	u8 apic_id;
	u8 apic_version;
	u8 flags;
	u32 signature;
	u32 features;
	u32 __reserved[2];
};

struct mp_bus {
	u8 type;
	u8 id;
	char name[6];
};

struct mp_ioapic {
	u8 type;
	u8 id;
	u8 version;
	u8 flags;
	u32 addr;
};

struct mp_irq {
	u8 type;
	u8 irq_type;
	u16 flags;
	u8 bus;
	u8 bus_irq;
	u8 apic;
	u8 pin;
};

static void append(struct mp_table *table, const void *entry, u16 len)
{
	memcpy((char *)table + table->length, entry, len);
	table->length += len;
	table->entries++;
}

static void append_irq(struct mp_table *table, const struct mp_irq *irq)
{
	append(table, irq, sizeof(*irq));
}

static u8 checksum(const void *data, unsigned int len)
{
	const u8 *p = data;
	u8 sum = 0;

	while (len--)
		sum += *p++;
	return -sum;
}

static void append_cpus(struct mp_table *table, unsigned int nr)
{
	struct mp_cpu cpu = { .type = ENTRY_CPU, .apic_version = LAPIC_VERSION };
	unsigned int i;

	for (i = 0; i < nr; i++) {
		cpu.apic_id = i;
		cpu.flags = CPU_ENABLED | (i ? 0 : CPU_BOOT);
		append(table, &cpu, sizeof(cpu));
	}
}

/* KVM's default routing: ISA interrupt n, and PCI's GSIs, are pin n of the IOAPIC. */
static void append_irqs(struct mp_table *table, const struct pci *pci, u8 ioapic)
{
	struct mp_irq irq = { .type = ENTRY_IRQ, .irq_type = IRQ_INT, .apic = ioapic };
	unsigned int i;

	irq.bus = BUS_ISA;
	for (i = 0; i < NR_ISA_IRQS; i++) {
		irq.bus_irq = i;
		irq.pin = i;
		append_irq(table, &irq);
	}
	irq.bus = BUS_PCI;
	for (i = 0; i < pci->nr; i++) {
		if (!pci->devices[i]->gsi)
			continue;
		/* device << 2 | INTA */
		irq.bus_irq = i << 2;
		irq.pin = pci->devices[i]->gsi;
		append_irq(table, &irq);
	}
}

static void append_local_irqs(struct mp_table *table)
{
	struct mp_irq irq = { .type = ENTRY_LOCAL_IRQ, .bus = BUS_ISA, .apic = ALL_LAPICS };

	irq.irq_type = IRQ_EXTINT;
	append_irq(table, &irq);
	irq.irq_type = IRQ_NMI;
	irq.pin = 1;
	append_irq(table, &irq);
}

void mptable_write(struct vm *vm)
{
	static const struct mp_bus pci = { .type = ENTRY_BUS, .id = BUS_PCI, .name = "PCI   " };
	static const struct mp_bus isa = { .type = ENTRY_BUS, .id = BUS_ISA, .name = "ISA   " };
	const struct mp_ioapic ioapic = {
		.type = ENTRY_IOAPIC, .id = vm->vcpus.nr, .version = IOAPIC_VERSION,
		.flags = IOAPIC_ENABLED, .addr = IOAPIC_ADDR,
	};
	struct mp_floating *floating = memory_at(&vm->mem, MPTABLE_ADDR, KIB);
	struct mp_table *table = (struct mp_table *)(floating + 1);

	memset(floating, 0, KIB);
	memcpy(table->signature, "PCMP", 4);
	memcpy(table->oem, "KVMX    ", 8);
	memcpy(table->product, "KVMX-VMM    ", 12);
	table->version = 4;
	table->lapic = LAPIC_ADDR;
	table->length = sizeof(*table);
	append_cpus(table, vm->vcpus.nr);
	append(table, &pci, sizeof(pci));
	append(table, &isa, sizeof(isa));
	append(table, &ioapic, sizeof(ioapic));
	append_irqs(table, &vm->pci, ioapic.id);
	append_local_irqs(table);
	table->checksum = checksum(table, table->length);

	memcpy(floating->signature, "_MP_", 4);
	floating->table = MPTABLE_ADDR + sizeof(*floating);
	floating->length = 1;
	floating->version = 4;
	floating->checksum = checksum(floating, sizeof(*floating));
}
