// SPDX-License-Identifier: GPL-2.0
#include <kselftest_harness.h>

#include "dev.h"
#include "identity.h"

#define UUID "0e5f6a52-4a6e-4e6e-9c2f-b5a9d0c7a111"

/* Arguments as procfs has them; the literal's own end is the last one's. */
#define PARSE(program, args) identity_parse(program, args, sizeof(args), &id)

static const char *uuid_of(const struct identity *id, char text[40])
{
	if (!id->has_uuid)
		return "";
	dev_format_uuid(id->uuid, text);
	return text;
}

TEST(qemu)
{
	struct identity id;
	char text[40];

	PARSE("qemu-system-x86_64",
	      "/usr/bin/qemu-system-x86_64\0-name\0guest=web,debug-threads=on\0-S\0-uuid\0" UUID
	      "\0-smp\0two");
	EXPECT_STREQ("web", id.name);
	EXPECT_STREQ(UUID, uuid_of(&id, text));
	PARSE("kvm", "kvm\0--name\0db,process=qemu-db\0-smp\0two");
	EXPECT_STREQ("db", id.name);
	EXPECT_FALSE(id.has_uuid);
	PARSE("qemu-kvm", "qemu-kvm\0-name\0debug-threads=on,guest=a,,b");
	EXPECT_STREQ("a,b", id.name);
	PARSE("qemu-system-x86_64", "qemu\0-name\0debug-threads=on\0-nodefaults");
	EXPECT_STREQ("", id.name);
	PARSE("qemu-system-x86_64", "qemu\0-smp\0two");
	EXPECT_STREQ("", id.name);
}

TEST(the_last_one_counts)
{
	struct identity id;

	PARSE("qemu-system-x86_64", "qemu\0-name\0one\0-name\0two");
	EXPECT_STREQ("two", id.name);
	/* What it takes is no option, whatever it looks like. */
	PARSE("kvmx-vmm", "kvmx-vmm\0--name\0--uuid\0x");
	EXPECT_STREQ("--uuid", id.name);
}

TEST(others)
{
	struct identity id;
	char text[40];

	PARSE("cloud-hypervisor",
	      "cloud-hypervisor\0--platform\0num_pci_segments=2,uuid=" UUID "\0--cpus\0boot=1");
	EXPECT_STREQ("", id.name);
	EXPECT_STREQ(UUID, uuid_of(&id, text));
	PARSE("firecracker", "/firecracker\0--id=my-vm\0--api-sock\0/run/x");
	EXPECT_STREQ("my-vm", id.name);
	PARSE("lkvm", "lkvm\0run\0--name\0tiny");
	EXPECT_STREQ("tiny", id.name);
	PARSE("kvmx-vmm", "kvmx-vmm\0--name\0a,b=c\0--uuid\0" UUID);
	EXPECT_STREQ("a,b=c", id.name);
	EXPECT_STREQ(UUID, uuid_of(&id, text));
}

TEST(strangers)
{
	struct identity id;

	PARSE("cat", "cat\0-name\0guest=web\0-uuid\0" UUID);
	EXPECT_STREQ("", id.name);
	EXPECT_FALSE(id.has_uuid);
	EXPECT_TRUE(identity_is_vmm("qemu-system-x86_64"));
	EXPECT_TRUE(identity_is_vmm("kvm"));
	EXPECT_FALSE(identity_is_vmm("kvmxctl"));
	EXPECT_FALSE(identity_is_vmm("bash"));
	EXPECT_FALSE(identity_is_vmm(""));
}

TEST(nonsense)
{
	static char big[5000];
	struct identity id;

	PARSE("qemu-system-x86_64", "qemu\0-name");
	EXPECT_STREQ("", id.name);
	PARSE("qemu-system-x86_64", "qemu\0-uuid\0not-one\0-name\0a\033[2Jb");
	EXPECT_FALSE(id.has_uuid);
	EXPECT_STREQ("a?[2Jb", id.name);
	/* Without an end, and nothing at all. */
	identity_parse("qemu-system-x86_64", "qemu", 4, &id);
	EXPECT_STREQ("", id.name);
	identity_parse("qemu-system-x86_64", "", 0, &id);
	EXPECT_STREQ("", id.name);
	/* Longer than there is room for. */
	memset(big, 'x', sizeof(big) - 1);
	memcpy(big, "qemu\0-name", 11);
	identity_parse("qemu-system-x86_64", big, sizeof(big), &id);
	EXPECT_EQ(sizeof(id.name) - 1, strlen(id.name));
	PARSE("firecracker", "firecracker\0--\0-\0--id");
	EXPECT_STREQ("", id.name);
}

TEST_HARNESS_MAIN
