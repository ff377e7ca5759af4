# SPDX-License-Identifier: GPL-2.0-only
#
# The selftests of this project, and in-tree ones that would notice if CPUID, exits or
# the stats broke, under both settings.

## make tests           build the selftests
## make run             boot the machines and run the selftests there
## make models          run the selftests on many processors, and with many parameters of KVM

KVM_X86   := $(SELFTESTS_X86)
LAB_TESTS := $(KVM_X86)/exit_counters_test $(KVM_X86)/exit_counters_cpuid_test \
	     $(KVM_X86)/exit_counters_reasons_test $(KVM_X86)/cpuid_test \
	     $(KVM_X86)/fix_hypercall_test $(KVM_X86)/userspace_msr_exit_test \
	     kvm_binary_stats_test
LAB_EXTENDED := $(addprefix $(KVM_X86)/exit_counters_,paging_test perf_test)

# It measures what exits cost, is built like a selftest, and is no part of the series.
PERF_TEST := exit_counters_perf_test.c

TESTS := $(BUILD)/kselftest

.PHONY: tests image image-debug run models

tests: headers
	@sed 's/\<host_cpu_is_amd\>/$(SELFTESTS_SVM)/' lab/selftests/in-machine.d/$(PERF_TEST) > $(HEADERS)/$(PERF_TEST)
	@cd $(TREE)/tools/testing/selftests/kvm/$(KVM_X86) && \
		{ cmp -s $(HEADERS)/$(PERF_TEST) $(PERF_TEST) || cp $(HEADERS)/$(PERF_TEST) .; }
	@$(PROGRESS)/tests.log 'building the selftests' \
		$(MAKE) -C $(TREE)/tools/testing/selftests $(JOBS) O=$(HEADERS) \
			TARGETS=kvm install INSTALL_PATH=$(TESTS) LDFLAGS=-static \
			FORCE_TARGETS=1 'TEST_GEN_PROGS_$(KVM_X86)=$(LAB_TESTS)' \
			'TEST_GEN_PROGS_EXTENDED_$(KVM_X86)=$(LAB_EXTENDED)' \
			'TEST_PROGS_$(KVM_X86)=$(KVM_X86)/exit_counters_paging_test.sh'
	@$(call payload,$(PAYLOADS)/selftests,selftests,cpus=2 icount=y,\
		$(TESTS) lab/selftests/not-intercepted lab/selftests/in-machine.d/parameters)
	@$(call stripped,$(PAYLOADS)/selftests)

image: kernel tests
	@$(PROGRESS)/image.log 'making the image of the selftests' \
		lab/machine/image $(BOOTED) $(PAYLOADS)/selftests $(IMAGES)/selftests

image-debug: kernel-debug tests
	@$(PROGRESS)/image-$(DEBUG).log 'making the image of the $(DEBUG) kernel' \
		lab/machine/image $(BOOTABLE)/$(DEBUG) $(PAYLOADS)/selftests $(IMAGES)/$(DEBUG)

run: image
	@+$(MAKE) --no-print-directory -j2 $(addprefix selftests-,$(MACHINE))

selftests-svm: | qemu
selftests-%:
	@lab/machine/boot $* $(IMAGES)/selftests $(BOOTS)/$* $(TIMEOUT)

models: image
	@+$(MAKE) --no-print-directory -j2 $(addprefix models-,$(MACHINE))
	@lab/selftests/models-table $(BOOTS)/models $(REPORT) $(MACHINE)

models-svm: | qemu
models-%:
	@lab/selftests/models $* $(IMAGES)/selftests $(BOOTS)/models $(TIMEOUT) $(MODEL)
