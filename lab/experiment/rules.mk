# SPDX-License-Identifier: GPL-2.0-only
#
# The experiment: one VM, with nested and with shadow paging.

## make experiment      boot a VM with nested, and with shadow paging, and explain
## make reader          build kvm_exits, in build/<base>/kvm_exits
#= GUEST_KERNEL=        for the experiment, a bzImage of your own
#= GUEST_INITRD=        and an initramfs, whose /workload is what the VM does
#= GUEST_MEM=96         the MiB of memory of that VM
#= GUEST_CPUS=2         and its vCPUs, 1 with KERNEL=
#= PHASES=              operations of its phases that are not the usual ones, as remap=10000

GUEST_KERNEL ?=
GUEST_INITRD ?=
GUEST_MEM    ?= 96
PHASES       ?=
# On a kernel of Debian's in QEMU, a VM with two vCPUs stood still in 2 runs of 12.
GUEST_CPUS   ?= $(if $(NEEDS_MODULES),2,$(if $(KERNEL),1,2))

HOST_PACKAGES += cpuid gnuplot-nox pandoc

READER := $(BUILD)/kvm_exits/kvm_exits
VM     := $(BUILD)/vm$(KERNEL:%=-%)

.PHONY: reader vm vm-check experiment-image experiment explain host-check

reader: headers
	@mkdir -p $(dir $(READER))
	@$(PROGRESS)/reader.log 'building kvm_exits' \
		$(MAKE) -C tools/kvm/kvm_exits OUTPUT=$(dir $(READER)) LDFLAGS=-static \
			KHDR_INCLUDES='-isystem $(HEADERS)/usr/include'

# Bad input is refused before anything is installed or built.
setup: vm-check
vm-check:
	@lab/experiment/vm check '$(or $(GUEST_KERNEL),-)' '$(or $(GUEST_INITRD),-)' '$(GUEST_MEM)' \
		'$(GUEST_CPUS)' $(if $(filter host,$(MACHINE)),1048576,640)

vm: kernel reader
	@$(PROGRESS)/vm.log 'making the VM of the experiment' \
		lab/experiment/vm '$(or $(GUEST_KERNEL),$(BOOTED)/vmlinuz)' \
			'$(or $(GUEST_INITRD),-)' '$(GUEST_MEM)' '$(GUEST_CPUS)' \
			$(if $(GUEST_KERNEL)$(GUEST_INITRD),y,n) '$(PHASES)' $(READER) $(VM)
	@$(call payload,$(PAYLOADS)/experiment,experiment,qemu=y,$(addprefix $(VM)/,bzImage initramfs config))

experiment-image: vm
	@$(PROGRESS)/image-experiment.log 'making the image of the experiment' \
		lab/machine/image $(BOOTED) $(PAYLOADS)/experiment $(IMAGES)/experiment

ifeq ($(MACHINE),host)
# As a user who may not reload modules would want it: refused at once.
$(SOURCE)/.whole: | $(if $(filter experiment,$(MAKECMDGOALS)),host-check)
host-check:
	@lab/experiment/in-machine check $(HOST_MODULES)

experiment: vm $(NEEDS_MODULES)
	@+$(MAKE) --no-print-directory experiment-host
	@$(MAKE) --no-print-directory explain
else
experiment: experiment-image
	@+$(MAKE) --no-print-directory -j2 $(addprefix experiment-,$(MACHINE))
	@$(MAKE) --no-print-directory explain
endif

# Of machines that ran earlier as well.
explain:
	@lab/experiment/explain $(REPORT) $(READER) $(patsubst %/facts.tsv,%, \
		$(wildcard $(addprefix $(BOOTS)/,$(addsuffix -experiment/facts.tsv,vmx svm kvm host))))

experiment-host:
	@rm -rf $(BOOTS)/host-experiment && mkdir -p $(BOOTS)/host-experiment
	@lab/experiment/in-machine $(VM) $(BOOTS)/host-experiment/results.log $(TIMEOUT) $(HOST_MODULES)
	@cd $(BOOTS)/host-experiment && echo "lab: done" >> results.log && $(CURDIR)/lab/machine/split results.log

experiment-svm: | qemu
experiment-%:
	@lab/machine/boot $* $(IMAGES)/experiment $(BOOTS)/$*-experiment $(TIMEOUT)
