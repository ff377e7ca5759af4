# SPDX-License-Identifier: GPL-2.0-only
#
# The experiment: one VM, with nested and with shadow paging.

## make experiment      boot a VM with nested, and with shadow paging, and explain
## make compare         two reports of it side by side: A= and B=, folders with phases.tsv
## make reader          build kvm_exits, in build/<base>/kvm_exits
#= GUEST_KERNEL=        for the experiment, a bzImage of your own
#= GUEST_INITRD=        and an initramfs, whose /workload is what the VM does
#= GUEST_DISK=          or an image of a disk, with any system; it is never written
#= GUEST_BUS=ahci       how that is attached: ahci, or virtio as in clouds
#= GUEST_FIRMWARE=bios  or uefi, with MACHINE=host
#= GUEST_READY="login:" it is ready when that is on its serial line; or
#= GUEST_SECONDS=60     after so many seconds
#= GUEST_MEM=96         the MiB of memory of the VM; of a disk, 512
#= GUEST_CPUS=1         and its vCPUs; with MACHINE=host, 2
#= GUEST_CPU=host       and their model, as QEMU calls it
#= MODULE_PARAMS="vpid=0"  parameters of kvm_intel or kvm_amd in all runs
#= STEP=1               with MACHINE=host, count with the setting that KVM has; boot with the
#=                      other one, and STEP=2: for a kernel whose KVM is built in
#= PHASES=              operations of its phases that are not the usual ones, as remap=10000

GUEST_MEM  ?= $(if $(GUEST_DISK),512,96)
# The emulated machines have one processor.
GUEST_CPUS ?= $(if $(filter host,$(MACHINE)),2,1)
# What make would take for variables of its own is not
override GUEST_READY := $(value GUEST_READY)
# As lab/experiment/in-machine has it where it knows that its machine is one
GUEST_CPU  ?= $(if $(IN_SHELL),host$(COMMA)-xsave,host)
export GUEST_KERNEL GUEST_INITRD GUEST_DISK GUEST_BUS GUEST_FIRMWARE GUEST_READY GUEST_SECONDS \
	GUEST_MEM GUEST_CPUS GUEST_CPU MODULE_PARAMS PHASES STEP TIMEOUT

HOST_PACKAGES += cpuid gnuplot-nox libjansson-dev pandoc $(if $(filter uefi,$(GUEST_FIRMWARE)),ovmf)

READER := $(BUILD)/kvm_exits/kvm_exits
VM     := $(BUILD)/vm$(KERNEL:%=-%)

.PHONY: compare reader vm vm-check experiment-image experiment explain host-check

compare:
	@lab/experiment/compare '$(A)' '$(B)'

reader: setup
	@mkdir -p $(dir $(READER))
	@$(PROGRESS)/reader.log 'building kvm_exits' \
		$(MAKE) -C tools/kvm/kvm_exits OUTPUT=$(dir $(READER)) LDFLAGS=-static

# Bad input is refused before anything is installed or built.
setup: vm-check
vm-check:
	@lab/experiment/vm check $(if $(filter host,$(MACHINE)),1048576,$(if $(IN_SHELL),2048,640))

vm: kernel reader
	@$(PROGRESS)/vm.log 'making the VM of the experiment' \
		lab/experiment/vm $(BOOTED)/vmlinuz $(READER) $(VM)
	@$(if $(GUEST_DISK),,$(call payload,$(PAYLOADS)/experiment,experiment,qemu=y,$(addprefix $(VM)/,bzImage initramfs config)))

experiment-image: vm
	@$(PROGRESS)/image-experiment.log 'making the image of the experiment' \
		lab/machine/image $(BOOTED) $(PAYLOADS)/experiment $(IMAGES)/experiment

ifeq ($(MACHINE),host)
# As a user who may not reload modules would want it: refused at once.
$(SOURCE)/.whole: | $(if $(filter experiment,$(MAKECMDGOALS)),host-check)
host-check:
	@lab/experiment/in-machine check $(HOST_MODULES) $(or $(STEP),-)

experiment: vm $(NEEDS_MODULES)
	@+$(MAKE) --no-print-directory experiment-host
	@$(if $(filter 1,$(STEP)),echo "Now boot with the other setting, and: make experiment MACHINE=host STEP=2",$(MAKE) --no-print-directory explain)
else ifneq ($(IN_SHELL),)
# Any system on a disk, and QEMU, are on this host: in a machine whose root that is.
DISK_BOOT := $(BOOTS)/disk/svm-experiment
experiment: vm shell-image | qemu
	@rm -rf $(DISK_BOOT) && mkdir -p $(DISK_BOOT)
	@CMD='exec 3>&1; $(CURDIR)/lab/experiment/in-machine $(VM) /dev/fd/3 $(TIMEOUT) - > /dev/null' \
		lab/machine/shell svm $(IMAGES)/shell $(DISK_BOOT)/boot patched patched | \
		sed -un 's/^lab: phase /[svm] /p; /^experiment: /p'
	@cd $(DISK_BOOT) && cp boot/results.log . && echo "lab: done" >> results.log && $(CURDIR)/lab/machine/split results.log
	@lab/experiment/explain $(REPORT) $(READER) $(DISK_BOOT)
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
	@$(if $(filter 2,$(STEP)),[ -e $(BOOTS)/host-experiment/results-1.log ] || { echo "make: STEP=2 comes after STEP=1" >&2; exit 1; }, \
		rm -rf $(BOOTS)/host-experiment && mkdir -p $(BOOTS)/host-experiment)
	@lab/experiment/in-machine $(VM) $(BOOTS)/host-experiment/results-$(or $(STEP),all).log $(TIMEOUT) $(HOST_MODULES)
	@$(if $(filter 1,$(STEP)),,cd $(BOOTS)/host-experiment && { cat results-*.log; echo "lab: done"; } > results.log && \
		$(CURDIR)/lab/machine/split results.log)

experiment-svm: | qemu
experiment-%:
	@lab/machine/boot $* $(IMAGES)/experiment $(BOOTS)/$*-experiment $(TIMEOUT)
