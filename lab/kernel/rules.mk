# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel: its source, with and without the patches, configured and built.

## make tree            the patched kernel source, in build/<base>/linux
## make kernel          build it, and an unpatched one to compare with
## make modules         build KVM's modules for the kernel that runs here, or for KERNEL=
## sudo make load       replace KVM by these; sudo make unload undoes that
#= KSRC=                kernel source to use instead of Debian's package
#= PACKAGE=             another of Debian's kernel sources to try, linux-source-X.Y
#= KERNEL=stock         run on a kernel of Debian's, with only KVM's modules rebuilt: stock is
#=                      that for virtual machines, pc that for PCs, or what uname -r says
#= CC=gcc               compiler of these modules
#= PARAMS="ept=0"       for make load, parameters of kvm_intel or kvm_amd
#= SIGN_KEY= SIGN_CERT= for make load and MACHINE=host, what to sign the modules with, under
#=                      Secure Boot
#= DEBUG=kasan          how "make check" looks for bugs in a run: kasan or kcsan

DEBUG  ?= kasan
KERNEL ?=
ifeq ($(wildcard lab/kernel/$(DEBUG).config)$(filter lab,$(DEBUG)),)
$(error Unknown DEBUG '$(DEBUG)'; there are: kasan kcsan)
endif

SOURCE  := $(BUILD)/source
TREE    := $(BUILD)/linux
HEADERS := $(BUILD)/headers
TARBALL := $(if $(SUITE),$(BUILD)/download)/usr/src/$(PACKAGE).tar.xz

HOST_PACKAGES += bc bison build-essential flex kmod libelf-dev libssl-dev patch rsync xz-utils \
	$(if $(filter modules,$(MAKECMDGOALS) $(NEEDS_MODULES))$(KERNEL),dwarves python3-minimal) \
	$(if $(KSRC)$(SUITE),,$(PACKAGE)) $(NEEDS)

.PHONY: tree kernel kernel-lab kernel-stock kernel-debug headers kernel-again modules modules-check load unload

# What machines boot, a folder made by lab/kernel/install
BOOTABLE := $(BUILD)/bootable
BOOTED   := $(BOOTABLE)/$(or $(KERNEL),patched)

# A kernel of Debian's with our modules of KVM.  By default, "make modules" is for the one
# that runs.
RELEASE := $(or $(KERNEL),$(shell uname -r))
STOCK   := $(BUILD)/modules/$(RELEASE)

# What a command that is to be typed next needs as well
GIVEN := $(strip $(foreach v,BASE KSRC PACKAGE,$(if $(filter command environment,$(origin $v)),$v=$($v))))
export GIVEN SIGN_KEY SIGN_CERT

# Of a PC: its ports of USB, keyboards, and sticks.  What drives its disks is none of these.
PC_MODULES := xhci_pci ehci_pci ohci_pci uhci_hcd usb_storage uas sd_mod usbhid hid_generic \
	vfat nls_cp437 nls_ascii cpuid

# For MACHINE=host: where KVM's modules with exit counters are, "-" if the system's own are such
HOST_MODULES = $(if $(NEEDS_MODULES),$(BUILD)/modules/$(shell uname -r),-)

# Source: unpacked aside and renamed, so that what has the name is whole.
ifdef KSRC
$(SOURCE)/.whole: | setup
	@rm -rf $(SOURCE) $(SOURCE).tmp && mkdir -p $(SOURCE).tmp
	@$(PROGRESS)/unpack.log 'copying $(KSRC), of a git tree what is committed' sh -c ' \
		if [ -e "$(KSRC)/.git" ]; then git -C "$(KSRC)" archive HEAD; \
		else tar -C "$(KSRC)" -c .; fi | tar -C $(SOURCE).tmp -x'
	@touch $(SOURCE).tmp/.whole && mv $(SOURCE).tmp $(SOURCE)
else
ifdef SUITE
$(TARBALL): | setup
	@$(PROGRESS)/fetch.log 'fetching $(PACKAGE) of $(SUITE)' \
		lab/kernel/fetch $(SUITE) $(BUILD)/download $(PACKAGE)
endif

$(SOURCE)/.whole: $(or $(SUITE:%=$(TARBALL)),$(wildcard $(TARBALL) /var/lib/dpkg/info/$(PACKAGE).list)) | setup
	@rm -rf $(SOURCE) $(SOURCE).tmp $(TREE) && mkdir -p $(SOURCE).tmp
	@$(PROGRESS)/unpack.log 'unpacking $(PACKAGE)' \
		tar -C $(SOURCE).tmp --strip-components=1 -xf $(TARBALL)
	@touch $(SOURCE).tmp/.whole && mv $(SOURCE).tmp $(SOURCE)
endif

tree: $(SOURCE)/.whole
	@bases/mktree $(BASE) $(SOURCE) $(TREE)
	@$(if $(filter tree,$(MAKECMDGOALS)),echo "The patched kernel source is in $(TREE:$(CURDIR)/%=%)")

# The unpatched kernel is built first.  The patched one starts from a copy of its
# objects, and rebuilds what the patches touch.
$(SOURCE)/obj/.configured: lab/kernel/lab.config $(SOURCE)/.whole
	@$(PROGRESS)/config.log 'configuring the kernel' \
		lab/kernel/configure $(SOURCE) $(SOURCE)/obj $<
	@touch $@

$(SOURCE)/obj/.built: $(SOURCE)/obj/.configured
	@$(PROGRESS)/kernel-unpatched.log 'building the unpatched kernel' \
		$(MAKE) -C $(SOURCE) O=$(SOURCE)/obj $(JOBS) bzImage modules
	@touch $@

$(TREE)/obj/.seeded: $(SOURCE)/obj/.built | tree
	@rm -rf $(TREE)/obj $(TREE)/obj.tmp
	@cp -a $(SOURCE)/obj $(TREE)/obj.tmp
	@rm $(TREE)/obj.tmp/.configured
	@cd $(TREE) && xargs touch < .mktree
	@touch $(TREE)/obj.tmp/.seeded && mv $(TREE)/obj.tmp $(TREE)/obj

kernel: $(if $(KERNEL),kernel-stock,kernel-lab)

$(TREE)/obj/.configured: lab/kernel/patched.config $(TREE)/obj/.seeded
	@cat $< >> $(TREE)/obj/.config
	@$(PROGRESS)/config.log 'configuring the patched kernel' \
		$(MAKE) -C $(TREE) O=$(TREE)/obj olddefconfig
	@touch $@

kernel-lab: tree $(TREE)/obj/.configured
	@$(PROGRESS)/kernel.log 'building the patched kernel' \
		$(MAKE) -C $(TREE) O=$(TREE)/obj $(JOBS) bzImage modules
	@$(PROGRESS)/kernel-install.log 'installing it for machines' \
		lab/kernel/install $(TREE)/obj $(SOURCE)/obj $(BOOTABLE)/patched

# One of Debian's that is not installed is looked for again when its source is another one.
$(STOCK)/debian/release: $(SOURCE)/.whole
	@$(PROGRESS)/stock.log 'looking for the kernel $(RELEASE)' \
		lab/kernel/stock $(RELEASE) $(if $(KSRC),- -,$(PACKAGE) $(or $(SUITE),-)) $(@D) \
			$(if $(KSRC),/lib/modules/$(RELEASE)/build)

# Said before anything is installed or unpacked
setup: $(if $(filter modules,$(MAKECMDGOALS) $(NEEDS_MODULES)),modules-check)
modules-check:
	@$(if $(KSRC),,lab/kernel/stock $(RELEASE) $(PACKAGE))

load:
	@lab/kernel/load $(BUILD)/modules/$(shell uname -r) $(PARAMS)

unload:
	@lab/kernel/load -u

modules: tree $(STOCK)/debian/release
	@$(PROGRESS)/modules.log "building KVM's modules for $$(cat $(STOCK)/debian/release)" \
		lab/kernel/modules $(TREE) $(STOCK)/debian $(STOCK) $(if $(filter-out default,$(origin CC)),$(CC))
	@$(if $(filter stock pc,$(RELEASE)),cd $(BUILD)/modules && release=$$(cat $(RELEASE)/debian/release) && \
		{ [ -L $$release ] || rm -rf $$release; } && ln -sfn $(RELEASE) $$release)
	@$(if $(filter modules,$(MAKECMDGOALS)),load=; [ "$$(cat $(STOCK)/debian/release)" != "$$(uname -r)" ] || \
		load='; to load them: sudo make load$(if $(GIVEN), $(GIVEN))'; \
		echo "They are in $(STOCK:$(CURDIR)/%=%)$$load")

kernel-stock: modules
	@$(PROGRESS)/stock-install.log 'installing that kernel for machines' \
		lab/kernel/install -s $(STOCK)/debian $(STOCK) $(BOOTABLE)/$(RELEASE) $(if $(filter pc,$(RELEASE)),$(PC_MODULES))

headers: tree
	@$(PROGRESS)/headers.log 'installing the headers' \
		$(MAKE) -C $(TREE) O=$(HEADERS) $(JOBS) headers

# A kernel that looks for bugs, for one of the runs of "make check".
$(TREE)/obj-%/.configured: lab/kernel/lab.config lab/kernel/patched.config lab/kernel/%.config | tree
	@$(PROGRESS)/config-$*.log 'configuring the $* kernel' \
		lab/kernel/configure $(TREE) $(TREE)/obj-$* $^
	@touch $@

kernel-debug: $(TREE)/obj-$(DEBUG)/.configured
	@$(PROGRESS)/kernel-$(DEBUG).log 'building the $(DEBUG) kernel' \
		$(MAKE) -C $(TREE) O=$(TREE)/obj-$(DEBUG) $(JOBS) bzImage modules
	@$(PROGRESS)/kernel-install.log 'installing it for machines' \
		lab/kernel/install $(TREE)/obj-$(DEBUG) - $(BOOTABLE)/$(DEBUG)

kernel-again:
	@rm -rf $(SOURCE)/obj $(TREE)/obj
	@+$(MAKE) --no-print-directory kernel
