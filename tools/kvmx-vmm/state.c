// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"
#include "vm.h"

static const struct state_item * const tables[] = {
	state_machine_items, state_vcpu_items, state_device_items, state_host_items,
};

static int save_table(struct vm *vm, const struct state_item *item, struct blob_writer *blob)
{
	int err = 0;
	u32 i;

	for (; item->name && !err; item++) {
		for (i = 0; i < item->count(vm) && !err; i++) {
			blob_begin(blob, item->type, i);
			err = item->save(vm, i, blob);
			blob_end(blob);
			if (err)
				fail(-err, "cannot save %s %u: %s", item->name, i, strerror(-err));
		}
	}
	return err ? err : blob->err;
}

int state_save(struct vm *vm, void **data, size_t *len)
{
	struct blob_writer blob;
	unsigned int i;
	int err;

	pthread_mutex_lock(&vm->dev_lock);
	blob_write_header(&blob);
	err = state_settle(vm);
	for (i = 0; i < ARRAY_SIZE(tables) && !err; i++)
		err = save_table(vm, tables[i], &blob);
	pthread_mutex_unlock(&vm->dev_lock);
	if (err) {
		free(blob.data);
		return err;
	}
	*data = blob.data;
	*len = blob.len;
	return 0;
}

static int load_table(struct vm *vm, const struct state_item *item, struct blob_reader *blob)
{
	const void *data;
	size_t len;
	int err = 0;
	u32 i;

	for (; item->name && !err; item++) {
		for (i = 0; i < item->count(vm) && !err; i++) {
			err = blob_read_section(blob, item->type, i, &data, &len);
			if (err)
				return err;
			err = item->load(vm, i, data, len);
			if (err)
				fail(-err, "cannot load %s %u: %s", item->name, i, strerror(-err));
		}
	}
	return err;
}

int state_load(struct vm *vm, const void *data, size_t len)
{
	struct blob_reader blob;
	unsigned int i;
	int err;

	/* Sections are used where they lie. */
	if ((unsigned long)data % 8)
		return -EINVAL;
	pthread_mutex_lock(&vm->dev_lock);
	err = blob_read_header(&blob, data, len);
	for (i = 0; i < ARRAY_SIZE(tables) && !err; i++)
		err = load_table(vm, tables[i], &blob);
	if (!err && !blob_at_end(&blob))
		err = fail(EPROTO, "device state: more than there should be");
	pthread_mutex_unlock(&vm->dev_lock);
	return err;
}
