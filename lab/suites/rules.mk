# SPDX-License-Identifier: GPL-2.0-only
#
# Whole suites, without and with the patches, of which only differences matter.

## make regress         compare all KVM selftests without and with the patches
## make kvm-unit-tests  the same for a checkout of kvm-unit-tests, KUT=
#= KUT=                 a checkout of kvm-unit-tests

SUITES := $(BUILD)/suites
KERNELS := unpatched patched
unpatched := $(SOURCE)
patched   := $(TREE)
SUITE_TIMEOUT := 7200
# In seconds of the machine, which Bochs counts in instructions
TEST_TIMEOUT  := 60
# What a report is of
SUITE_TITLE = without and with the patches, Linux $(shell $(MAKE) -s -C $(SOURCE) kernelversion), $(shell date +%F)

.PHONY: regress kvm-unit-tests

suite-%: kernel
	@$(PROGRESS)/headers-$*.log 'installing the headers of the $* kernel' \
		$(MAKE) -C $($*) O=$($*)/obj $(JOBS) headers
	@rm -rf $(SUITES)/$* && mkdir -p $(SUITES)/$*
	@$(PROGRESS)/suite-$*.log 'building all selftests of the $* kernel' \
		$(MAKE) -C $($*)/tools/testing/selftests $(JOBS) O=$($*)/obj \
			TARGETS=kvm install INSTALL_PATH=$(SUITES)/$*/kselftest LDFLAGS=-static FORCE_TARGETS=1
	@echo $(TEST_TIMEOUT) > $(SUITES)/$*/seconds
	@$(call payload,$(BUILD)/payload/regress-$*,suites,cpus=2 memory=2048 programs=timeout,$(SUITES)/$*/.)
	@$(call stripped,$(BUILD)/payload/regress-$*)
	@$(PROGRESS)/image-regress-$*.log 'making the image of the $* kernel' \
		lab/machine/image $($*)/obj - $(BUILD)/payload/regress-$* $(IMAGES)/regress-$*

# Each machine runs one kernel after the other; what hung in the first is not run again.
regress-svm kvm-unit-tests-svm: | qemu
regress-% kvm-unit-tests-%:
	@lab/suites/run $* $(IMAGES)/$(@:%-$*=%)-unpatched $(BOOTS)/$*-$(@:%-$*=%)-unpatched $(SUITE_TIMEOUT)
	@lab/suites/run $* $(IMAGES)/$(@:%-$*=%)-patched $(BOOTS)/$*-$(@:%-$*=%)-patched $(SUITE_TIMEOUT) \
		$(BOOTS)/$*-$(@:%-$*=%)-unpatched

regress: suite-unpatched suite-patched
	@+$(MAKE) --no-print-directory -j2 $(addprefix regress-,$(MACHINE))
	@lab/suites/compare regress 'KVM selftests $(SUITE_TITLE)' $(REPORT)/regress.md $(BOOTS) $(MACHINE)

ifneq ($(filter kvm-unit-tests%,$(MAKECMDGOALS)),)
ifeq ($(wildcard $(KUT)/x86/unittests.cfg),)
$(error KUT=$(KUT) is not a checkout of kvm-unit-tests (git clone https://gitlab.com/kvm-unit-tests/kvm-unit-tests): it has no x86/unittests.cfg)
endif
endif

kvm-unit-tests: kernel
	@mkdir -p $(SUITES)/kut
	@$(PROGRESS)/kvm-unit-tests.log 'building kvm-unit-tests' \
		lab/suites/kvm-unit-tests '$(KUT)' $(SUITES)/kut/kvm-unit-tests
	@echo $(TEST_TIMEOUT) > $(SUITES)/kut/seconds
	@$(call payload,$(BUILD)/payload/kvm-unit-tests,suites,memory=2048 qemu=y programs=timeout$(COMMA)bash,$(SUITES)/kut/.)
	@$(foreach kernel,$(KERNELS), \
		$(PROGRESS)/image-kvm-unit-tests.log 'making the image of the $(kernel) kernel' \
			lab/machine/image $($(kernel))/obj - $(BUILD)/payload/kvm-unit-tests \
			$(IMAGES)/kvm-unit-tests-$(kernel) &&) true
	@+$(MAKE) --no-print-directory -j2 $(addprefix kvm-unit-tests-,$(MACHINE))
	@lab/suites/compare kvm-unit-tests "kvm-unit-tests $$(cat $(SUITES)/kut/kvm-unit-tests/version) $(SUITE_TITLE)" \
		$(REPORT)/kvm-unit-tests.md $(BOOTS) $(MACHINE)
