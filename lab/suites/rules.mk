# SPDX-License-Identifier: GPL-2.0-only
#
# Whole suites, without and with the patches, of which only differences matter.

## make regress         compare all KVM selftests without and with the patches
## make run_tests       what a KVM developer types, in the patched tree and in make shell's
##                      machine: make -C tools/testing/selftests TARGETS=kvm run_tests
## make kvm-unit-tests  the same for a checkout of kvm-unit-tests, KUT=
#= KUT=                 a checkout of kvm-unit-tests

SUITES := $(BUILD)/suites
KERNELS := unpatched patched
unpatched := $(SOURCE)
patched   := $(TREE)
SUITE_TIMEOUT := 7200
# In seconds of the machine, which Bochs counts in instructions
TEST_TIMEOUT  := 60
ifneq ($(and $(KERNEL),$(filter regress kvm-unit-tests,$(MAKECMDGOALS))),)
$(error KERNEL=$(KERNEL): make regress and make kvm-unit-tests compare kernels of the laboratory; for one of Debian's there is make run_tests)
endif

# What a report is of
SUITE_TITLE = without and with the patches, Linux $(shell $(MAKE) -s -C $(SOURCE) kernelversion), $(shell date +%F)

.PHONY: regress kvm-unit-tests run_tests

$(BOOTABLE)/unpatched: kernel
	@lab/kernel/install $(SOURCE)/obj - $@

suite-%: $(BOOTABLE)/unpatched
	@$(PROGRESS)/headers-$*.log 'installing the headers of the $* kernel' \
		$(MAKE) -C $($*) O=$($*)/obj $(JOBS) headers
	@rm -rf $(SUITES)/$* && mkdir -p $(SUITES)/$*
	@$(PROGRESS)/suite-$*.log 'building all selftests of the $* kernel' \
		$(MAKE) -C $($*)/tools/testing/selftests $(JOBS) O=$($*)/obj \
			TARGETS=kvm install INSTALL_PATH=$(SUITES)/$*/kselftest LDFLAGS=-static FORCE_TARGETS=1
	@echo $(TEST_TIMEOUT) > $(SUITES)/$*/seconds
	@$(call payload,$(PAYLOADS)/regress-$*,suites,cpus=2 memory=2048 programs=timeout,$(SUITES)/$*/. lab/selftests/not-intercepted)
	@$(call stripped,$(PAYLOADS)/regress-$*)
	@$(PROGRESS)/image-regress-$*.log 'making the image of the $* kernel' \
		lab/machine/image $(BOOTABLE)/$* $(PAYLOADS)/regress-$* $(IMAGES)/regress-$*

# Each machine runs one kernel after the other; what hung in the first is not run again.
regress-svm kvm-unit-tests-svm: | qemu
regress-% kvm-unit-tests-%:
	@lab/suites/run $* $(IMAGES)/$(@:%-$*=%)-unpatched $(BOOTS)/$*-$(@:%-$*=%)-unpatched $(SUITE_TIMEOUT)
	@lab/suites/run $* $(IMAGES)/$(@:%-$*=%)-patched $(BOOTS)/$*-$(@:%-$*=%)-patched $(SUITE_TIMEOUT) \
		$(BOOTS)/$*-$(@:%-$*=%)-unpatched

regress: suite-unpatched suite-patched
	@+$(MAKE) --no-print-directory -j2 $(addprefix regress-,$(MACHINE))
	@lab/suites/compare regress 'KVM selftests $(SUITE_TITLE)' $(REPORT)/regress.md $(BOOTS) $(MACHINE)

# Built here, where that does not take hours.  To make headers in the tree would keep
# others from building elsewhere what is in it.
run_tests: shell-image headers | qemu
	@mkdir -p $(TREE)/usr/include && rsync -a $(HEADERS)/usr/include/ $(TREE)/usr/include
	@$(PROGRESS)/run_tests.log 'building all selftests in the patched tree' \
		$(MAKE) -C $(TREE)/tools/testing/selftests $(JOBS) TARGETS=kvm
	@lab/suites/run-tests $(IMAGES)/shell $(TREE) unpatched $(BOOTS)/svm-run_tests-unpatched
	@lab/suites/run-tests $(IMAGES)/shell $(TREE) patched $(BOOTS)/svm-run_tests-patched \
		$(BOOTS)/svm-run_tests-unpatched
	@lab/suites/compare run_tests "KVM selftests on Debian's kernel $$(cat $(STOCK)/debian/release), $(SUITE_TITLE)" \
		$(REPORT)/run_tests.md $(BOOTS) svm

ifneq ($(filter kvm-unit-tests%,$(MAKECMDGOALS)),)
ifeq ($(wildcard $(KUT)/x86/unittests.cfg),)
$(error KUT=$(KUT) is not a checkout of kvm-unit-tests (git clone https://gitlab.com/kvm-unit-tests/kvm-unit-tests): it has no x86/unittests.cfg)
endif
endif

kvm-unit-tests: $(BOOTABLE)/unpatched
	@mkdir -p $(SUITES)/kut
	@$(PROGRESS)/kvm-unit-tests.log 'building kvm-unit-tests' \
		lab/suites/kvm-unit-tests '$(KUT)' $(SUITES)/kut/kvm-unit-tests
	@echo $(TEST_TIMEOUT) > $(SUITES)/kut/seconds
	@$(call payload,$(PAYLOADS)/kvm-unit-tests,suites,memory=2048 qemu=y programs=timeout$(COMMA)bash,$(SUITES)/kut/.)
	@$(foreach kernel,$(KERNELS), \
		$(PROGRESS)/image-kvm-unit-tests.log 'making the image of the $(kernel) kernel' \
			lab/machine/image $(BOOTABLE)/$(kernel) $(PAYLOADS)/kvm-unit-tests \
			$(IMAGES)/kvm-unit-tests-$(kernel) &&) true
	@+$(MAKE) --no-print-directory -j2 $(addprefix kvm-unit-tests-,$(MACHINE))
	@lab/suites/compare kvm-unit-tests "kvm-unit-tests $$(cat $(SUITES)/kut/kvm-unit-tests/version) $(SUITE_TITLE)" \
		$(REPORT)/kvm-unit-tests.md $(BOOTS) $(MACHINE)
