// SPDX-License-Identifier: GPL-2.0
/*
 * What the command lines of VMMs say about their VMs. No effects.
 */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "dev.h"
#include "identity.h"

/*
 * Which options name a VM. libvirt, and what is built on it, starts QEMU with -name guest=NAME and
 * -uuid. An option may have several values, as in a=b,c=d: the key says which, and "" is the first
 * one if that has no key.
 */
static const struct vmm {
	const char *program;		/* begins so */
	const char *name_option;
	const char *name_keys[3];	/* up to a NULL; none at all: the value is the name */
	const char *uuid_option;
	const char *uuid_key;		/* or NULL: the value is the UUID */
} vmms[] = {
	{ "qemu-", "name", { "guest", "" }, "uuid", NULL },
	{ "kvm", "name", { "guest", "" }, "uuid", NULL },
	{ "cloud-hypervisor", NULL, { NULL }, "platform", "uuid" },
	{ "firecracker", "id", { NULL }, NULL, NULL },
	{ "lkvm", "name", { NULL }, NULL, NULL },
	{ "crosvm", "name", { NULL }, NULL, NULL },
	{ "kvmx-vmm", "name", { NULL }, "uuid", NULL },
};

/* "kvm" alone is QEMU by another name; anything else begins so by chance: kvmxctl. */
static bool is_program(const struct vmm *vmm, const char *program)
{
	size_t len = strlen(vmm->program);

	if (!strcmp(vmm->program, "kvm"))
		return !strcmp(program, "kvm");
	return !strncmp(program, vmm->program, len);
}

static const struct vmm *find_vmm(const char *program)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vmms); i++)
		if (is_program(&vmms[i], program))
			return &vmms[i];
	return NULL;
}

bool identity_is_vmm(const char *program)
{
	return find_vmm(program);
}

/*
 * The value of an option: "-name VALUE", "--name VALUE" or "--name=VALUE". The last one counts, as
 * for the VMMs. NULL if there is none.
 */
static const char *option_value(const char *option, const char *args, size_t len)
{
	const char *end = args + len, *arg, *next, *word, *value = NULL;
	size_t option_len = strlen(option);

	for (arg = args; arg < end; arg = next) {
		next = arg + strnlen(arg, end - arg) + 1;
		word = arg + (*arg == '-') + (arg[0] == '-' && arg[1] == '-');
		if (word == arg || strncmp(word, option, option_len))
			continue;
		if (word[option_len] == '=') {
			value = word + option_len + 1;
		} else if (!word[option_len] && next < end) {
			value = next;
			/* Whatever it looks like, it is no option. */
			next += strnlen(next, end - next) + 1;
		}
	}
	return value;
}

/* The value ends at a comma; two of them are one of its own. */
static const char *copy_value(char *buf, size_t size, const char *text)
{
	size_t len = 0;

	for (; *text; text++) {
		if (*text == ',' && *++text != ',')
			break;
		if (len + 1 < size)
			buf[len++] = *text;
	}
	buf[len] = '\0';
	return text;
}

/* Of "VALUE,KEY=VALUE,...": false if the key is not there. */
static bool keyed_value(const char *text, const char *key, char *buf, size_t size)
{
	char item[256];
	size_t len = strlen(key);
	bool first = true;

	while (*text) {
		text = copy_value(item, sizeof(item), text);
		if (*key && !strncmp(item, key, len) && item[len] == '=') {
			snprintf(buf, size, "%.*s", (int)size - 1, item + len + 1);
			return true;
		}
		if (!*key && first && !strchr(item, '=')) {
			snprintf(buf, size, "%.*s", (int)size - 1, item);
			return true;
		}
		first = false;
	}
	return false;
}

void identity_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

void identity_parse(const char *program, const char *args, size_t len, struct identity *id)
{
	const struct vmm *vmm = find_vmm(program);
	const char *value;
	char uuid[64];
	size_t i;

	*id = (struct identity){ 0 };
	/* strncmp() and its like need an end. */
	if (!vmm || !len || args[len - 1])
		return;
	value = vmm->name_option ? option_value(vmm->name_option, args, len) : NULL;
	if (value && !vmm->name_keys[0])
		snprintf(id->name, sizeof(id->name), "%s", value);
	for (i = 0; value && i < ARRAY_SIZE(vmm->name_keys) && vmm->name_keys[i]; i++)
		if (keyed_value(value, vmm->name_keys[i], id->name, sizeof(id->name)))
			break;
	identity_printable(id->name);

	value = vmm->uuid_option ? option_value(vmm->uuid_option, args, len) : NULL;
	if (value && vmm->uuid_key)
		value = keyed_value(value, vmm->uuid_key, uuid, sizeof(uuid)) ? uuid : NULL;
	id->has_uuid = value && dev_parse_uuid(value, id->uuid);
}
