# SPDX-License-Identifier: GPL-2.0-only
#
# Everything that is generated goes below build/.  "make help" lists what there is; each
# room of lab/ has its own targets in its rules.mk.

BASE    ?= v6.12
# A shell is in one machine, on the kernel that others run, and so is a VM of any disk.
IN_SHELL := $(or $(filter shell% run_tests,$(MAKECMDGOALS)),$(and $(GUEST_DISK),$(if $(filter host,$(MACHINE)),,y),$(filter experiment,$(MAKECMDGOALS))))
ifneq ($(IN_SHELL),)
MACHINE ?= svm
KERNEL  ?= $(if $(filter svm,$(MACHINE)),stock)
override CMD := $(value CMD)
export CMD
endif
MACHINE ?= vmx svm
TIMEOUT ?= 300

ROOMS := kernel machine selftests experiment bench stick suites fleet check

.PHONY: all help clean
.DELETE_ON_ERROR:

## make                 do everything: kernel, selftests, machines, experiment, tables
all:

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
	@echo
	@echo 'Results are in build/report, logs in $(BUILD:$(CURDIR)/%=%)/run and .../log.'
	@echo
	@sed -n 's/^#= //p' $(MAKEFILE_LIST)

#= MACHINE="vmx svm"    machines: vmx (Bochs), svm (QEMU), and kvm (QEMU with /dev/kvm, if
#=                      it offers VMX or SVM to guests); for the experiment and make bench
#=                      also host, this machine itself
#= BASE=v6.12           kernel to attach to, a folder of bases/
#= TIMEOUT=300          seconds that a machine may run

ifneq ($(words $(CURDIR)),1)
$(error '$(CURDIR)' has a space in it, which make cannot handle; move the clone)
endif

BASES    := $(patsubst bases/%/base,%,$(wildcard bases/*/base))
ifneq ($(filter shell% run_tests,$(MAKECMDGOALS)),)
ifneq ($(words $(MACHINE))$(filter-out svm $(if $(filter run_tests,$(MAKECMDGOALS)),,vmx),$(MACHINE)),1)
$(error MACHINE=$(MACHINE): make shell is in svm or in vmx, and make run_tests in svm)
endif
endif
ifneq ($(and $(GUEST_DISK),$(filter-out experiment explain help clean,$(or $(MAKECMDGOALS),all))),)
$(error GUEST_DISK= is of make experiment alone)
endif
ifneq ($(and $(GUEST_DISK),$(IN_SHELL),$(filter-out svm,$(MACHINE))),)
$(error MACHINE=$(MACHINE): a VM of GUEST_DISK= is in svm, or on the host)
endif
ifneq ($(and $(GUEST_DISK),$(IN_SHELL),$(filter uefi,$(GUEST_FIRMWARE))),)
$(error GUEST_FIRMWARE=uefi is for MACHINE=host, on a host with VMX or SVM: the emulator of svm crashes in such firmware, see lab/machine/svm-interrupts.md)
endif
MACHINES := vmx svm kvm
# This machine itself, which is only asked to run VMs.
ifneq ($(filter experiment% explain bench,$(MAKECMDGOALS)),)
MACHINES += host
endif

ifneq ($(words $(BASE))$(filter-out $(BASES),$(BASE)),1)
$(error BASE='$(BASE)' is not one of the kernels that this project attaches to: $(BASES))
endif
ifeq ($(strip $(MACHINE)),)
$(error MACHINE is empty; the machines are: $(MACHINES))
endif
ifneq ($(filter-out $(MACHINES),$(MACHINE)),)
$(error Unknown MACHINE '$(filter-out $(MACHINES),$(MACHINE))'; the machines are: $(filter-out host,$(MACHINES)); and host, for "make experiment" and "make bench" alone)
endif
ifneq ($(filter host,$(MACHINE)),)
ifneq ($(words $(MACHINE)),1)
$(error MACHINE=$(MACHINE): host goes alone)
endif
endif
ifneq ($(and $(filter bench,$(MAKECMDGOALS)),$(filter kvm,$(MACHINE)),$(filter-out kvm,$(MACHINE))),)
$(error MACHINE=$(MACHINE): make bench measures cycles in kvm, and instructions in the others; kvm goes alone)
endif

include bases/$(BASE)/base

# A user's own kernel gets a build folder of its own, and is only ever read; so does
# another of Debian's kernels than the base's own.
ifdef KSRC
ifeq ($(wildcard $(KSRC)/arch/x86/kvm/x86.c)$(filter help clean,$(MAKECMDGOALS)),)
$(error KSRC=$(KSRC) is not a Linux source tree: it has no arch/x86/kvm/x86.c)
endif
ifeq ($(KERNEL),stock)
$(error KERNEL=stock, which make shell and make run_tests boot, is built from Debian's source and not from KSRC=$(KSRC); add KERNEL=<what uname -r says of a kernel built from that source, and installed here>, or for a shell MACHINE=vmx, which boots a small kernel of that source)
endif
BUILD := $(CURDIR)/build/$(BASE)-$(shell { echo '$(abspath $(KSRC))'; \
	[ ! -e '$(KSRC)/.git' ] || git -c safe.directory='*' -C '$(KSRC)' rev-parse HEAD; } 2>/dev/null | cksum | cut -d' ' -f1)
else
BUILD := $(CURDIR)/build/$(BASE)$(if $(filter command,$(origin PACKAGE)),-$(PACKAGE))
endif
REPORT := $(CURDIR)/build/report

# With MACHINE=host, KVM of a kernel without the patches is replaced for a while.
ifneq ($(filter host,$(MACHINE)),)
ifeq ($(shell PATH=$$PATH:/sbin modinfo -F parm kvm 2> /dev/null | grep ^exit_counters:),)
ifneq ($(KERNEL),)
$(error MACHINE=host runs its own kernel, not KERNEL=$(KERNEL))
endif
NEEDS_MODULES := modules
KERNEL        := $(shell uname -r)
endif
endif

JOBS     := -j$(shell nproc)
PROGRESS := $(CURDIR)/lab/share/progress $(BUILD)/log

# One make at a time: a second one waits, and says for whom.
ifeq ($(LAB_ALONE)$(filter help,$(MAKECMDGOALS)),)
GOALS := $(or $(MAKECMDGOALS),all)
.PHONY: $(GOALS)
$(firstword $(GOALS)):
	+@lab/share/alone $(MAKE) --no-print-directory $(GOALS)
$(wordlist 2,$(words $(GOALS)),$(GOALS)): $(firstword $(GOALS)) ;
else
include $(ROOMS:%=lab/%/rules.mk) series/rules.mk

all: images
	@+$(MAKE) --no-print-directory -j2 $(foreach m,$(MACHINE),experiment-$m selftests-$m)
	@lab/selftests/tables $(REPORT) $(TREE) $(foreach m,$(MACHINE),$(BOOTS)/$m)
	@$(MAKE) --no-print-directory explain

.PHONY: images setup
images: image experiment-image

# HOST_PACKAGES is what the rooms need, and CHECK_PACKAGES what one target needs besides.
setup:
	@lab/share/setup $(BUILD) $(HOST_PACKAGES) $(CHECK_PACKAGES)
	@$(if $(filter kvm,$(MACHINE)),cc -o build/nested-kvm lab/machine/nested-kvm.c && build/nested-kvm > /dev/null)

## make clean           remove what is in build/
clean:
	rm -rf build/*
endif
