# SPDX-License-Identifier: GPL-2.0
#
# Targets for people; Kbuild describes the module. 'make help' lists them.

KDIR ?= /lib/modules/$(shell uname -r)/build
prefix ?= /usr/local
libdir ?= $(prefix)/lib
O ?= $(CURDIR)/build/user
VM := tools/testing/vm
VERSION := $(shell sed -n 1p VERSION)
# What users get of tools/; the rest is for tests.
SHIPPED := lib/kvmx kvmxctl kvmx-vmm

# Quiet unless V=1: show the commands of sub-makes only on request.
V ?= 0
ifneq ($(V),1)
MAKEFLAGS += --no-print-directory
Q := @
endif

export V

.DEFAULT_GOAL := modules

##@ Build
modules: ## build kvmx.ko for KDIR (default: the running kernel)
	$(Q)$(MAKE) -C $(KDIR) M=$(CURDIR) modules

tools: ## build libkvmx, kvmxctl, kvmx-vmm and the tests into build/user
	$(Q)$(MAKE) -C tools O=$(O)

install: install-modules install-tools ## install modules, library and tools (DESTDIR=, prefix=)

install-modules: modules
	$(Q)$(MAKE) -C $(KDIR) M=$(CURDIR) INSTALL_MOD_PATH=$(DESTDIR) \
		CONFIG_MODULE_SIG_ALL= modules_install

# What is not for a certain kernel.
install-tools: install-module-files
	$(Q)$(MAKE) -C tools O=$(O) DIRS="$(SHIPPED)" DESTDIR=$(DESTDIR) prefix=$(prefix) \
		libdir=$(libdir) install

# What goes with the modules, wherever they were built.
install-module-files:
	$(Q)install -D -m 644 -t $(DESTDIR)$(prefix)/lib/udev/rules.d dist/udev/60-kvmx.rules
	$(Q)install -D -m 644 -t $(DESTDIR)$(prefix)/lib/modules-load.d \
		dist/modules-load.d/kvmx.conf
	$(Q)install -D -m 644 -t $(DESTDIR)$(prefix)/share/man/man4 Documentation/man/kvmx.4

# The modules' sources, for 'dkms install kvmx/$(VERSION)'.
install-dkms: install-module-files
	$(Q)find Kbuild kvmx ksm vfio include -name '*.mod.c' -prune -o \
		\( -name '*.[ch]' -o -name Kbuild \) \
		-exec install -D -m 644 {} $(DESTDIR)/usr/src/kvmx-$(VERSION)/{} \;
	$(Q)dist/dkms.sh VERSION > $(DESTDIR)/usr/src/kvmx-$(VERSION)/dkms.conf

deb: ## make Debian packages in build/deb
	$(Q)dist/deb.sh $(CURDIR)/build/deb

sign: ## sign the modules for Secure Boot (KEY=, CERT=; see Documentation/secure-boot.rst)
	$(Q)dist/sign.sh $(KDIR) "$(KEY)" "$(CERT)" *.ko

clean: ## remove what was built; host kernels stay (rm -r build for those)
	$(Q)rm -rf build/deb build/ko build/user build/vm build/lanes build/bench build/lint \
		build/*/ko build/*/lint
	$(Q)$(MAKE) -C tools O=$(O) clean
	$(Q)rm -f *.o *.ko *.mod *.mod.c .*.cmd Module.symvers modules.order
	$(Q)find kvmx ksm vfio -name '*.o' -delete -o -name '.*.cmd' -delete

##@ Test (KERNEL=6.1, 6.12, 7.3 or debug)
setup: ## get packages and host kernels; does only what is missing
	$(Q)$(VM)/setup.sh $(KERNEL)

demo: ## move a running Linux guest from one VMM to another (default KERNEL=6.1)
	$(Q)$(VM)/demo.sh $(KERNEL)

check: ## run all tests on all host kernels, or on KERNEL
	$(Q)$(VM)/check.sh $(KERNEL)

fuzz: ## call kvmx in every way for SECONDS=n (default 60, KERNEL=debug)
	$(Q)tools/testing/fuzz/fuzz.sh $(or $(SECONDS),60) $(KERNEL)

bench: ## measure against what a user would pick instead (default KERNEL=6.1)
	$(Q)$(VM)/bench.sh $(KERNEL)

lint: ## run the checkers over the tree: no finding is allowed
	$(Q)tools/testing/lint/lint.sh

shell: ## open a shell in a test machine with everything loaded (default KERNEL=6.1)
	$(Q)$(VM)/shell.sh $(KERNEL)

help: ## show this
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: modules tools install install-modules install-tools install-module-files install-dkms \
	deb sign clean setup demo check fuzz bench lint shell help
