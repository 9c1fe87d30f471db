// SPDX-License-Identifier: GPL-2.0
/* MSI and MSI-X as the guest sees them, and what the host's are to send because of that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blob.h"
#include "device.h"
#include "vm.h"

#define MAX_CAPS	48

static u16 get16(const u8 *p)
{
	u16 value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static u32 get32(const u8 *p)
{
	u32 value;

	memcpy(&value, p, sizeof(value));
	return value;
}

static u8 find_cap(struct host_device *d, u8 id)
{
	u8 at = device_config_read(d, PCI_CAPABILITY_LIST, 1) & ~3;
	unsigned int i;

	for (i = 0; i < MAX_CAPS && at >= PCI_STD_HEADER_SIZEOF; i++) {
		u32 head = device_config_read(d, at, 2);

		if ((head & 0xff) == id)
			return at;
		at = head >> 8 & ~3;
	}
	return 0;
}

/* Where the parts of MSI's capability are depends on what it can do. */
static unsigned int msi_data_at(u16 control)
{
	return control & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32;
}

static unsigned int msi_mask_at(u16 control)
{
	return control & PCI_MSI_FLAGS_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32;
}

static unsigned int msi_len(u16 control)
{
	if (control & PCI_MSI_FLAGS_MASKBIT)
		return msi_mask_at(control) + 8;
	return msi_data_at(control) + 2;
}

static u16 msi_control(const struct host_vectors *v)
{
	return get16(v->msi + PCI_MSI_FLAGS);
}

static u32 msi_messages(const struct host_vectors *v, struct kvmx_msi *msi)
{
	u16 control = msi_control(v);
	u32 i, nr = 1 << ((control & PCI_MSI_FLAGS_QSIZE) >> 4);
	u64 addr = get32(v->msi + PCI_MSI_ADDRESS_LO);
	u16 data = get16(v->msi + msi_data_at(control));
	u32 mask = 0;

	if (control & PCI_MSI_FLAGS_64BIT)
		addr |= (u64)get32(v->msi + PCI_MSI_ADDRESS_HI) << 32;
	if (control & PCI_MSI_FLAGS_MASKBIT)
		mask = get32(v->msi + msi_mask_at(control));
	for (i = 0; i < nr; i++)
		msi[i] = (struct kvmx_msi){
			.addr = addr, .data = (data & ~(nr - 1)) | i, .masked = mask >> i & 1,
		};
	return nr;
}

static struct kvmx_msi msix_message(const struct host_vectors *v, u32 i)
{
	const u8 *entry = v->msix_table + i * MSIX_ENTRY_SIZE;

	return (struct kvmx_msi){
		.addr = get32(entry + PCI_MSIX_ENTRY_LOWER_ADDR) |
			(u64)get32(entry + PCI_MSIX_ENTRY_UPPER_ADDR) << 32,
		.data = get32(entry + PCI_MSIX_ENTRY_DATA),
		.masked = v->msix_control & PCI_MSIX_FLAGS_MASKALL ||
			  get32(entry + PCI_MSIX_ENTRY_VECTOR_CTRL) & PCI_MSIX_ENTRY_CTRL_MASKBIT,
	};
}

static void complain(struct host_device *d, int err)
{
	if (err)
		say("%s: %s", d->dev->bdf, d->vm->devices.assign.reason);
}

/* Vectors in place of those there were, or none: then INTx is back. */
static void set_vectors(struct host_device *d, u32 index, const struct kvmx_msi *msi, u32 nr)
{
	u32 of = nr ? index : d->vectors.active;

	if (!nr && d->vectors.active == VFIO_PCI_INTX_IRQ_INDEX)
		return;
	d->vectors.active = nr ? index : VFIO_PCI_INTX_IRQ_INDEX;
	complain(d, kvmx_device_vectors(d->dev, of, msi, nr));
}

static void change_vector(struct host_device *d, u32 i, const struct kvmx_msi *msi)
{
	complain(d, kvmx_device_vector(d->dev, i, msi));
}

static void msix_changed(struct host_device *d, u16 before)
{
	struct host_vectors *v = &d->vectors;
	u32 i, nr = d->dev->msix.nr;
	struct kvmx_msi *msi;

	if (!(v->msix_control & PCI_MSIX_FLAGS_ENABLE)) {
		if (v->active == VFIO_PCI_MSIX_IRQ_INDEX)
			set_vectors(d, 0, NULL, 0);
		return;
	}
	if (before & PCI_MSIX_FLAGS_ENABLE) {
		for (i = 0; i < nr && before != v->msix_control; i++) {
			struct kvmx_msi one = msix_message(v, i);

			change_vector(d, i, &one);
		}
		return;
	}
	msi = calloc(nr, sizeof(*msi));
	if (!msi) {
		say("%s: out of memory for its vectors", d->dev->bdf);
		return;
	}
	for (i = 0; i < nr; i++)
		msi[i] = msix_message(v, i);
	set_vectors(d, VFIO_PCI_MSIX_IRQ_INDEX, msi, nr);
	free(msi);
}

static void msi_changed(struct host_device *d, u16 before)
{
	const u16 shape = PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE;
	struct host_vectors *v = &d->vectors;
	u16 control = msi_control(v);
	struct kvmx_msi msi[MSI_MAX_VECTORS];
	u32 i, nr;

	if (!(control & PCI_MSI_FLAGS_ENABLE)) {
		if (v->active == VFIO_PCI_MSI_IRQ_INDEX)
			set_vectors(d, 0, NULL, 0);
		return;
	}
	nr = msi_messages(v, msi);
	if ((before & shape) != (control & shape)) {
		set_vectors(d, VFIO_PCI_MSI_IRQ_INDEX, msi, nr);
		return;
	}
	for (i = 0; i < nr; i++)
		change_vector(d, i, &msi[i]);
}

/* What of MSI's capability the guest may change. */
static u8 msi_writable(const struct host_vectors *v, unsigned int at)
{
	u16 control = msi_control(v);

	if (at == PCI_MSI_FLAGS)
		return PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE;
	if (at < PCI_MSI_ADDRESS_LO)
		return 0;
	if (control & PCI_MSI_FLAGS_MASKBIT && at >= msi_mask_at(control) + 4)
		return 0;
	return at == PCI_MSI_ADDRESS_LO ? 0xfc : 0xff;
}

/* More vectors than the device has would be no good to anybody. */
static void limit_qsize(struct host_vectors *v)
{
	u16 control = msi_control(v), max = (control & PCI_MSI_FLAGS_QMASK) >> 1;

	if ((control & PCI_MSI_FLAGS_QSIZE) >> 4 > max)
		control = (control & ~PCI_MSI_FLAGS_QSIZE) | max << 4;
	memcpy(v->msi + PCI_MSI_FLAGS, &control, sizeof(control));
}

static u32 pending_bits(struct host_device *d, u32 first)
{
	u32 i, bits = 0;

	for (i = 0; i < 32; i++)
		if (kvmx_device_pending(d->dev, first + i))
			bits |= 1U << i;
	return bits;
}

static void msi_access(struct host_device *d, unsigned int at, u8 *data, unsigned int len,
		       bool write)
{
	struct host_vectors *v = &d->vectors;
	u16 before = msi_control(v);
	unsigned int i;
	u32 bits;

	if (!write) {
		if (before & PCI_MSI_FLAGS_MASKBIT && v->active == VFIO_PCI_MSI_IRQ_INDEX) {
			bits = pending_bits(d, 0);
			memcpy(v->msi + msi_mask_at(before) + 4, &bits, sizeof(bits));
		}
		memcpy(data, v->msi + at, len);
		return;
	}
	for (i = 0; i < len; i++) {
		u8 mask = msi_writable(v, at + i);

		v->msi[at + i] = (v->msi[at + i] & ~mask) | (data[i] & mask);
	}
	limit_qsize(v);
	msi_changed(d, before);
}

static void msix_control_access(struct host_device *d, unsigned int at, u8 *data, unsigned int len,
				bool write)
{
	const u16 writable = PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL;
	struct host_vectors *v = &d->vectors;
	u16 before = v->msix_control, value = before;

	if (!write) {
		memcpy(data, (u8 *)&v->msix_control + at, len);
		return;
	}
	memcpy((u8 *)&value + at, data, len);
	v->msix_control = (before & ~writable) | (value & writable);
	msix_changed(d, before);
}

/* Accesses are aligned to their length, so that none is half of the one and half of the other. */
bool device_irqs_config(struct host_device *d, unsigned int reg, u8 *data, unsigned int len,
			bool write)
{
	struct host_vectors *v = &d->vectors;
	unsigned int at;

	at = reg - v->msi_at;
	if (v->msi_at && reg >= v->msi_at && at < v->msi_len && at + len <= MSI_MAX_LEN) {
		msi_access(d, at, data, len, write);
		return true;
	}
	if (!v->msix_at || reg + len <= v->msix_at + 2U || reg >= v->msix_at + 4U)
		return false;
	at = v->msix_at + PCI_MSIX_FLAGS;
	if (reg >= at) {
		msix_control_access(d, reg - at, data, len, write);
		return true;
	}
	/* All four bytes: the lower half can only be read. */
	if (!write) {
		u16 head = device_config_read(d, v->msix_at, 2);

		memcpy(data, &head, 2);
	}
	msix_control_access(d, 0, data + 2, 2, write);
	return true;
}

static void table_access(struct host_device *d, u64 at, void *data, u32 len, bool write)
{
	struct host_vectors *v = &d->vectors;
	struct kvmx_msi msi;

	if (!write) {
		memcpy(data, v->msix_table + at, len);
		return;
	}
	memcpy(v->msix_table + at, data, len);
	if (v->active != VFIO_PCI_MSIX_IRQ_INDEX)
		return;
	/* While it is masked the parts of a message need not fit together. */
	msi = msix_message(v, at / MSIX_ENTRY_SIZE);
	if (!msi.masked || at % MSIX_ENTRY_SIZE >= PCI_MSIX_ENTRY_VECTOR_CTRL ||
	    at % MSIX_ENTRY_SIZE + len > PCI_MSIX_ENTRY_VECTOR_CTRL)
		change_vector(d, at / MSIX_ENTRY_SIZE, &msi);
}

static void pba_access(struct host_device *d, u64 at, void *data, u32 len, bool write)
{
	u64 bits = pending_bits(d, at / 8 * 64) | (u64)pending_bits(d, at / 8 * 64 + 32) << 32;

	if (!write)
		memcpy(data, (u8 *)&bits + at % 8, len);
}

bool device_irqs_bar(struct host_device *d, unsigned int bar, u64 offset, void *data, u32 len,
		     bool write)
{
	const struct kvmx_device_msix *msix = &d->dev->msix;
	u64 table_len = msix->nr * MSIX_ENTRY_SIZE, pba_len = (msix->nr + 63) / 64 * 8;

	if (!msix->nr || offset % len)
		return false;
	if (bar == msix->table_bar && offset >= msix->table &&
	    offset + len <= msix->table + table_len) {
		table_access(d, offset - msix->table, data, len, write);
		return true;
	}
	if (bar == msix->pba_bar && offset >= msix->pba && offset + len <= msix->pba + pba_len) {
		pba_access(d, offset - msix->pba, data, len, write);
		return true;
	}
	return false;
}

int device_irqs_init(struct host_device *d)
{
	struct host_vectors *v = &d->vectors;
	unsigned int i;
	u16 control;
	int err;

	v->active = VFIO_PCI_INTX_IRQ_INDEX;
	v->msi_at = find_cap(d, PCI_CAP_ID_MSI);
	if (v->msi_at) {
		control = device_config_read(d, v->msi_at + PCI_MSI_FLAGS, 2);
		control &= ~(PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
		v->msi_len = msi_len(control);
		memset(v->msi, 0, sizeof(v->msi));
		for (i = 0; i < 2; i++)
			v->msi[i] = device_config_read(d, v->msi_at + i, 1);
		memcpy(v->msi + PCI_MSI_FLAGS, &control, sizeof(control));
	}
	v->msix_at = d->dev->msix.nr ? find_cap(d, PCI_CAP_ID_MSIX) : 0;
	if (v->msix_at) {
		v->msix_control = device_config_read(d, v->msix_at + PCI_MSIX_FLAGS, 2);
		v->msix_control &= ~(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
		v->msix_table = calloc(d->dev->msix.nr, MSIX_ENTRY_SIZE);
		if (!v->msix_table)
			return -ENOMEM;
		for (i = 0; i < d->dev->msix.nr; i++)
			v->msix_table[i * MSIX_ENTRY_SIZE + PCI_MSIX_ENTRY_VECTOR_CTRL] = 1;
	}
	if (!d->dev->nr_irqs[VFIO_PCI_INTX_IRQ_INDEX])
		return 0;
	err = kvmx_device_intx(d->dev, d->pci.gsi);
	return err ? fail(-err, "%s", d->vm->devices.assign.reason) : 0;
}

size_t device_irqs_size(const struct host_device *d)
{
	return MSI_MAX_LEN + d->dev->msix.nr * MSIX_ENTRY_SIZE + sizeof(u16);
}

void device_irqs_save(struct host_device *d, struct blob_writer *blob)
{
	const struct host_vectors *v = &d->vectors;

	blob_put(blob, v->msi, MSI_MAX_LEN);
	if (v->msix_table)
		blob_put(blob, v->msix_table, d->dev->msix.nr * MSIX_ENTRY_SIZE);
	blob_put(blob, &v->msix_control, sizeof(v->msix_control));
}

/* As if the guest wrote it. */
void device_irqs_load(struct host_device *d, const u8 *data)
{
	struct host_vectors *v = &d->vectors;
	size_t table = d->dev->msix.nr * MSIX_ENTRY_SIZE;
	u8 msi[MSI_MAX_LEN], control[2];

	memcpy(msi, data, sizeof(msi));
	if (v->msi_at) {
		/* The switch last. */
		msi_access(d, PCI_MSI_FLAGS + 2, msi + PCI_MSI_FLAGS + 2,
			   v->msi_len - PCI_MSI_FLAGS - 2, true);
		msi_access(d, PCI_MSI_FLAGS, msi + PCI_MSI_FLAGS, 2, true);
	}
	if (!v->msix_at)
		return;
	memcpy(v->msix_table, data + MSI_MAX_LEN, table);
	memcpy(control, data + MSI_MAX_LEN + table, sizeof(control));
	msix_control_access(d, 0, control, sizeof(control), true);
}

void device_irqs_destroy(struct host_device *d)
{
	free(d->vectors.msix_table);
	d->vectors.msix_table = NULL;
}
