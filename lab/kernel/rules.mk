# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel: its source, with and without the patches, configured and built.

## make tree            the patched kernel source, in build/<base>/linux
## make kernel          build it, and an unpatched one to compare with
#= KSRC=                kernel source to use instead of Debian's package
#= PACKAGE=             another of Debian's kernel sources to try, linux-source-X.Y
#= DEBUG=kasan          how "make check" looks for bugs in a run: kasan or kcsan

DEBUG ?= kasan
ifeq ($(wildcard lab/kernel/$(DEBUG).config)$(filter lab,$(DEBUG)),)
$(error Unknown DEBUG '$(DEBUG)'; there are: kasan kcsan)
endif

SOURCE  := $(BUILD)/source
TREE    := $(BUILD)/linux
HEADERS := $(BUILD)/headers
TARBALL := $(if $(SUITE),$(BUILD)/download)/usr/src/$(PACKAGE).tar.xz

HOST_PACKAGES += bc bison build-essential flex kmod libelf-dev libssl-dev patch rsync xz-utils \
	$(if $(KSRC)$(SUITE),,$(PACKAGE)) $(NEEDS)

.PHONY: tree kernel kernel-debug headers kernel-again

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

$(SOURCE)/.whole: $(or $(SUITE:%=$(TARBALL)),$(wildcard $(TARBALL))) | setup
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
	@cd $(TREE) && xargs touch < .mktree
	@touch $(TREE)/obj.tmp/.seeded && mv $(TREE)/obj.tmp $(TREE)/obj

kernel: tree $(TREE)/obj/.seeded
	@$(PROGRESS)/kernel.log 'building the patched kernel' \
		$(MAKE) -C $(TREE) O=$(TREE)/obj $(JOBS) bzImage modules

headers: tree
	@$(PROGRESS)/headers.log 'installing the headers' \
		$(MAKE) -C $(TREE) O=$(HEADERS) $(JOBS) headers

# A kernel that looks for bugs, for one of the runs of "make check".
$(TREE)/obj-%/.configured: lab/kernel/lab.config lab/kernel/%.config | tree
	@$(PROGRESS)/config-$*.log 'configuring the $* kernel' \
		lab/kernel/configure $(TREE) $(TREE)/obj-$* $^
	@touch $@

kernel-debug: $(TREE)/obj-$(DEBUG)/.configured
	@$(PROGRESS)/kernel-$(DEBUG).log 'building the $(DEBUG) kernel' \
		$(MAKE) -C $(TREE) O=$(TREE)/obj-$(DEBUG) $(JOBS) bzImage modules

kernel-again:
	@rm -rf $(SOURCE)/obj $(TREE)/obj
	@+$(MAKE) --no-print-directory kernel
