// SPDX-License-Identifier: GPL-2.0
/* Linux's 32-bit boot protocol: Documentation/arch/x86/boot.rst. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asm/bootparam.h>
#include <linux/kvm.h>

#include "boot.h"
#include "mptable.h"
#include "vm.h"

/* Low memory, below the kernel. */
#define GDT_ADDR		0x500
#define PARAMS_ADDR		0x7000
#define CMDLINE_ADDR		0x20000
#define KERNEL_ADDR		0x100000

#define SETUP_MAGIC		0x53726448	/* "HdrS" */
#define SETUP_BOOT_FLAG		0xaa55
#define SETUP_VERSION_MIN	0x20a		/* has init_size and pref_address */
#define SETUP_HEADER_OFFSET	0x1f1
#define SETUP_SECTOR		512
#define LOADER_UNDEFINED	0xff

#define E820_RAM		1
#define E820_RESERVED		2

#define BOOT_CS			0x10
#define BOOT_DS			0x18
#define CR0_PE			1
#define CR0_ET			0x10

#define MSR_MTRR_DEF_TYPE	0x2ff
#define MTRR_ENABLE		(1 << 11)
#define MTRR_WRITE_BACK		6

struct file {
	const u8 *data;
	u64 len;
};

static int map_file(const char *path, struct file *file)
{
	struct stat st;
	void *map;
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		err = fail(errno, "%s: %m", path);
	} else if (!S_ISREG(st.st_mode) || !st.st_size) {
		err = fail(EINVAL, "%s: not a file, or empty", path);
	} else {
		map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			err = fail(errno, "%s: %m", path);
		file->data = map;
		file->len = st.st_size;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

static void unmap_file(struct file *file)
{
	munmap((void *)file->data, file->len);
}

/* Copy the setup header out of the image, and say where the kernel proper begins. */
static int read_header(const struct file *image, struct setup_header *header, u64 *kernel)
{
	u64 header_len;

	if (image->len < SETUP_HEADER_OFFSET + sizeof(*header))
		return -ENOEXEC;
	/* The byte at 0x201 is the offset of a jump over the header: its length, that is. */
	header_len = 0x202 - SETUP_HEADER_OFFSET + image->data[0x201];
	if (header_len > sizeof(*header))
		header_len = sizeof(*header);
	memset(header, 0, sizeof(*header));
	memcpy(header, image->data + SETUP_HEADER_OFFSET, header_len);
	if (header->header != SETUP_MAGIC || header->boot_flag != SETUP_BOOT_FLAG ||
	    header->version < SETUP_VERSION_MIN || !(header->loadflags & LOADED_HIGH))
		return -ENOEXEC;
	*kernel = ((header->setup_sects ? header->setup_sects : 4) + 1) * SETUP_SECTOR;
	return *kernel < image->len ? 0 : -ENOEXEC;
}

static void add_e820(struct boot_params *params, u64 addr, u64 end, u32 type)
{
	params->e820_table[params->e820_entries++] = (struct boot_e820_entry){
		.addr = addr, .size = end - addr, .type = type,
	};
}

static void fill_e820(struct vm *vm, struct boot_params *params)
{
	const struct memory_range *low = &vm->mem.ranges[0], *high = &vm->mem.ranges[1];

	add_e820(params, 0, MPTABLE_ADDR, E820_RAM);
	add_e820(params, MPTABLE_ADDR, KERNEL_ADDR, E820_RESERVED);
	add_e820(params, KERNEL_ADDR, low->size, E820_RAM);
	if (vm->mem.nr_ranges > 1)
		add_e820(params, high->gpa, high->gpa + high->size, E820_RAM);
}

static u64 kernel_end(const struct setup_header *header)
{
	u64 at = KERNEL_ADDR;

	/* A kernel loaded below the address it prefers moves itself there before it unpacks. */
	if (header->pref_address > at)
		at = header->pref_address;
	return at + header->init_size;
}

static int load_kernel(struct vm *vm, const struct file *image, struct setup_header *header)
{
	u64 kernel, len;
	int err;

	err = read_header(image, header, &kernel);
	if (err)
		return fail(-err, "%s: not a bzImage that can be loaded high", vm->opt->kernel);
	len = image->len - kernel;
	if (kernel_end(header) > vm->mem.ranges[0].size || !memory_at(&vm->mem, KERNEL_ADDR, len))
		return fail(ENOMEM, "%s needs at least %llu MiB of memory", vm->opt->kernel,
			    kernel_end(header) / MIB + 1);
	memcpy(memory_at(&vm->mem, KERNEL_ADDR, len), image->data + kernel, len);
	return 0;
}

/* As high as the kernel allows: out of the way of what it unpacks. */
static int load_initrd(struct vm *vm, const struct file *initrd, struct setup_header *header)
{
	u64 top = vm->mem.ranges[0].size, addr;

	if (top > header->initrd_addr_max + 1ULL)
		top = header->initrd_addr_max + 1ULL;
	addr = initrd->len < top ? (top - initrd->len) & ~(PAGE_SIZE - 1) : 0;
	if (addr < kernel_end(header))
		return fail(ENOMEM, "%s: no room for it in memory", vm->opt->initrd);
	memcpy(memory_at(&vm->mem, addr, initrd->len), initrd->data, initrd->len);
	header->ramdisk_image = addr;
	header->ramdisk_size = initrd->len;
	return 0;
}

static int load_cmdline(struct vm *vm, struct setup_header *header)
{
	u64 len = strlen(vm->opt->append) + 1;

	if (len > header->cmdline_size + 1ULL || CMDLINE_ADDR + len > MPTABLE_ADDR)
		return fail(E2BIG, "--append is too long for this kernel");
	memcpy(memory_at(&vm->mem, CMDLINE_ADDR, len), vm->opt->append, len);
	header->cmd_line_ptr = CMDLINE_ADDR;
	return 0;
}

static int load_files(struct vm *vm, struct setup_header *header)
{
	struct file file;
	int err;

	err = map_file(vm->opt->kernel, &file);
	if (err)
		return err;
	err = load_kernel(vm, &file, header);
	unmap_file(&file);
	if (err || !vm->opt->initrd)
		return err;
	err = map_file(vm->opt->initrd, &file);
	if (err)
		return err;
	err = load_initrd(vm, &file, header);
	unmap_file(&file);
	return err;
}

static struct kvm_segment flat_segment(u16 selector, u8 type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff, .selector = selector, .type = type, .present = 1, .db = 1,
		.s = 1, .g = 1,
	};
}

static int set_registers(struct vcpu *vcpu)
{
	struct kvm_regs regs = { .rip = KERNEL_ADDR, .rsi = PARAMS_ADDR, .rflags = 2 };
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return fail(errno, "KVM_GET_SREGS: %m");
	sregs.cs = flat_segment(BOOT_CS, 0xb);
	sregs.ds = flat_segment(BOOT_DS, 0x3);
	sregs.es = sregs.ds;
	sregs.fs = sregs.ds;
	sregs.gs = sregs.ds;
	sregs.ss = sregs.ds;
	sregs.gdt.base = GDT_ADDR;
	sregs.gdt.limit = 4 * sizeof(u64) - 1;
	sregs.cr0 = CR0_PE | CR0_ET;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) || ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return fail(errno, "KVM_SET_SREGS: %m");
	return 0;
}

/* Firmware leaves memory cacheable on all CPUs; without, Linux does not use the PAT. */
static int set_mtrr(struct vcpu *vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry = { .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE | MTRR_WRITE_BACK },
	};

	if (ioctl(vcpu->fd, KVM_SET_MSRS, &msrs) != 1)
		return fail(errno, "KVM_SET_MSRS: %m");
	return 0;
}

int boot_linux(struct vm *vm)
{
	/* null, unused, flat code, flat data */
	static const u64 gdt[4] = { 0, 0, 0x00cf9b000000ffffULL, 0x00cf93000000ffffULL };
	struct boot_params *params = memory_at(&vm->mem, PARAMS_ADDR, sizeof(*params));
	struct setup_header header;
	unsigned int i;
	int err;

	err = load_files(vm, &header);
	if (!err)
		err = load_cmdline(vm, &header);
	if (err)
		return err;
	header.type_of_loader = LOADER_UNDEFINED;
	header.code32_start = KERNEL_ADDR;
	memset(params, 0, sizeof(*params));
	params->hdr = header;
	fill_e820(vm, params);
	memcpy(memory_at(&vm->mem, GDT_ADDR, sizeof(gdt)), gdt, sizeof(gdt));
	mptable_write(vm);
	for (i = 0; i < vm->vcpus.nr && !err; i++)
		err = set_mtrr(&vm->vcpus.vcpu[i]);
	return err ? err : set_registers(&vm->vcpus.vcpu[0]);
}
