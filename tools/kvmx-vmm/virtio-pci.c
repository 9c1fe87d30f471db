// SPDX-License-Identifier: GPL-2.0
/*
 * A modern device with INTx, without MSI-X, and without the window in config space through which
 * firmware may reach a BAR: Linux needs neither.
 */
#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

#include "vm.h"

#define VIRTIO_VENDOR		0x1af4
#define VIRTIO_MODERN_DEVICE	0x1040

/* Where things are in BAR 0. */
#define BAR_LEN			0x1000
#define BAR_COMMON		0x000
#define BAR_ISR			0x100
#define BAR_DEVICE		0x200
#define BAR_NOTIFY		0x300
#define REGION_LEN		0x100

static void raise_irq(struct virtio_pci *dev, u8 isr)
{
	dev->s.isr |= isr;
	pci_intx(&dev->vm->pci, &dev->pci, dev->s.isr);
}

void virtio_broken(struct virtio_pci *dev, const char *why)
{
	say("a virtio driver broke the rules: %s", why);
	dev->s.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	raise_irq(dev, VIRTIO_PCI_ISR_CONFIG);
}

static void reset(struct virtio_pci *dev)
{
	memset(&dev->s, 0, sizeof(dev->s));
	dev->s.queue_size = VIRTQ_SIZE;
	pci_intx(&dev->vm->pci, &dev->pci, false);
}

static u32 features_word(u64 features, u32 select)
{
	return select < 2 ? features >> (32 * select) : 0;
}

static u64 read_common(const struct virtio_pci *dev, u64 reg)
{
	const struct virtio_state *s = &dev->s;
	/* There is one queue; any other has size 0, which means that it does not exist. */
	bool ours = s->queue_select == 0;

	switch (reg) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return s->device_feature_select;
	case VIRTIO_PCI_COMMON_DF:
		return features_word(dev->features, s->device_feature_select);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return s->driver_feature_select;
	case VIRTIO_PCI_COMMON_GF:
		return features_word(s->driver_features, s->driver_feature_select);
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return VIRTIO_MSI_NO_VECTOR;
	case VIRTIO_PCI_COMMON_NUMQ:
		return 1;
	case VIRTIO_PCI_COMMON_STATUS:
		return s->status;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return s->queue_select;
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return ours ? s->queue_size : 0;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return ours ? s->queue_enable : 0;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return (u32)s->desc;
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		return s->desc >> 32;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return (u32)s->avail;
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		return s->avail >> 32;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		return (u32)s->used;
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		return s->used >> 32;
	default:
		return 0;
	}
}

static void set_half(u64 *value, bool high, u32 half)
{
	*value = high ? (*value & 0xffffffffULL) | (u64)half << 32 :
			(*value & ~0xffffffffULL) | half;
}

static void write_queue(struct virtio_pci *dev, u64 reg, u32 value)
{
	struct virtio_state *s = &dev->s;

	/* A queue in use does not change. */
	if (s->queue_select || s->queue_enable)
		return;
	switch (reg) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (value && value <= VIRTQ_SIZE && !(value & (value - 1)))
			s->queue_size = value;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		s->queue_enable = value == 1;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&s->desc, reg == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&s->avail, reg == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&s->used, reg == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	}
}

static void write_status(struct virtio_pci *dev, u8 value)
{
	if (!value) {
		reset(dev);
		return;
	}
	/* Saying no to what the driver wants is done by not letting it set this bit. */
	if ((value & VIRTIO_CONFIG_S_FEATURES_OK) &&
	    (dev->s.driver_features & ~dev->features ||
	     !(dev->s.driver_features & 1ULL << VIRTIO_F_VERSION_1)))
		value &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	dev->s.status = value;
}

static void write_common(struct virtio_pci *dev, u64 reg, u32 value)
{
	struct virtio_state *s = &dev->s;

	switch (reg) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		s->device_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		s->driver_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		if (s->driver_feature_select < 2 && !(s->status & VIRTIO_CONFIG_S_FEATURES_OK))
			set_half(&s->driver_features, s->driver_feature_select, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		write_status(dev, value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		s->queue_select = value;
		break;
	default:
		write_queue(dev, reg, value);
	}
}

static bool may_run(const struct virtio_pci *dev)
{
	return dev->s.queue_enable && (dev->s.status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(dev->s.status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void bar_write(struct virtio_pci *dev, u64 offset, const void *data, u32 len)
{
	u32 value = 0;

	if (len > sizeof(value))
		return;
	memcpy(&value, data, len);
	if (offset < BAR_COMMON + REGION_LEN)
		write_common(dev, offset - BAR_COMMON, value);
	else if (offset >= BAR_NOTIFY && offset < BAR_NOTIFY + REGION_LEN && may_run(dev))
		dev->notify(dev);
}

static void bar_read(struct virtio_pci *dev, u64 offset, void *data, u32 len)
{
	u64 value = 0;

	if (offset < BAR_COMMON + REGION_LEN) {
		value = read_common(dev, offset - BAR_COMMON);
	} else if (offset == BAR_ISR) {
		/* Reading it is how an interrupt is acknowledged. */
		value = dev->s.isr;
		dev->s.isr = 0;
		pci_intx(&dev->vm->pci, &dev->pci, false);
	} else if (offset >= BAR_DEVICE && offset - BAR_DEVICE + len <= dev->config_len) {
		memcpy(&value, (const char *)dev->config + (offset - BAR_DEVICE), len);
	}
	memcpy(data, &value, len);
}

static void bar_access(void *opaque, u64 offset, void *data, u32 len, bool write)
{
	if (write)
		bar_write(opaque, offset, data, len);
	else
		bar_read(opaque, offset, data, len);
}

static void add_region(struct virtio_pci *dev, u8 type, u32 offset)
{
	struct virtio_pci_notify_cap cap = {
		.cap = { .cfg_type = type, .offset = offset, .length = REGION_LEN },
	};
	bool notify = type == VIRTIO_PCI_CAP_NOTIFY_CFG;

	pci_add_cap(&dev->pci, &cap, notify ? sizeof(cap) : sizeof(cap.cap));
}

void virtio_pci_init(struct virtio_pci *dev, struct vm *vm, u16 type, u32 class_rev)
{
	const struct pci_id id = {
		.vendor = VIRTIO_VENDOR,
		.device = VIRTIO_MODERN_DEVICE + type,
		.subsystem_vendor = VIRTIO_VENDOR,
		.subsystem = VIRTIO_MODERN_DEVICE + type,
		.class_rev = class_rev | 1,
	};

	dev->vm = vm;
	dev->features |= 1ULL << VIRTIO_F_VERSION_1;
	dev->s.queue_size = VIRTQ_SIZE;
	pci_add(&vm->pci, &dev->pci, &id, BAR_LEN, bar_access, dev);
	add_region(dev, VIRTIO_PCI_CAP_DEVICE_CFG, BAR_DEVICE);
	add_region(dev, VIRTIO_PCI_CAP_ISR_CFG, BAR_ISR);
	add_region(dev, VIRTIO_PCI_CAP_NOTIFY_CFG, BAR_NOTIFY);
	add_region(dev, VIRTIO_PCI_CAP_COMMON_CFG, BAR_COMMON);
}

void virtio_pci_save(struct virtio_pci *dev, struct virtio_state *state)
{
	*state = dev->s;
	memcpy(state->config, dev->pci.config, PCI_CONFIG_SIZE);
}

int virtio_pci_load(struct virtio_pci *dev, const struct virtio_state *state)
{
	/* Addresses and indices are the guest's to choose, and checked at each use. */
	if (!state->queue_size || state->queue_size > VIRTQ_SIZE ||
	    state->queue_size & (state->queue_size - 1) || state->queue_enable > 1 ||
	    state->driver_features & ~dev->features || state->__reserved)
		return -EINVAL;
	dev->s = *state;
	pci_load_config(&dev->pci, state->config);
	pci_intx(&dev->vm->pci, &dev->pci, dev->s.isr);
	return 0;
}
