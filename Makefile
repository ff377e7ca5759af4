# SPDX-License-Identifier: GPL-2.0-only
#
# Everything that is generated goes below build/.  "make help" lists the targets.

BASE    ?= v6.12
MACHINE ?= vmx svm
TIMEOUT ?= 300
DEBUG   ?= kasan

# The VM of the experiment
GUEST_KERNEL ?=
GUEST_INITRD ?=
GUEST_MEM    ?= 96
GUEST_CPUS   ?= 2

ifneq ($(words $(CURDIR)),1)
$(error '$(CURDIR)' has a space in it, which make cannot handle; move the clone)
endif

BASES    := $(patsubst bases/%/base,%,$(wildcard bases/*/base))
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
$(error Unknown MACHINE '$(filter-out $(MACHINES),$(MACHINE))'; the machines are: $(MACHINES); and host, for "make experiment" and "make bench" alone)
endif
ifneq ($(filter host,$(MACHINE)),)
ifneq ($(words $(MACHINE)),1)
$(error MACHINE=$(MACHINE): host goes alone)
endif
endif
ifneq ($(and $(filter bench,$(MAKECMDGOALS)),$(filter kvm,$(MACHINE)),$(filter-out kvm,$(MACHINE))),)
$(error MACHINE=$(MACHINE): make bench measures cycles in kvm, and instructions in the others; kvm goes alone)
endif

ifeq ($(wildcard lab/$(DEBUG).config),)
$(error Unknown DEBUG '$(DEBUG)'; there are: kasan kcsan)
endif

include bases/$(BASE)/base

# "make check" is about all of them, unless one is chosen.
OTHERS := $(if $(filter file,$(origin BASE)$(KSRC)),$(if $(filter file,$(origin PACKAGE)),$(filter-out $(BASE),$(BASES))))

# A user's own kernel gets a build folder of its own, and is only ever read; so does
# another of Debian's kernels than the base's own.
ifdef KSRC
B := $(CURDIR)/build/$(BASE)-$(shell { echo '$(abspath $(KSRC))'; \
	[ ! -e '$(KSRC)/.git' ] || git -C '$(KSRC)' rev-parse HEAD; } 2>/dev/null | cksum | cut -d' ' -f1)
else
B := $(CURDIR)/build/$(BASE)$(if $(filter command,$(origin PACKAGE)),-$(PACKAGE))
endif
SOURCE  := $(B)/source
TREE    := $(B)/linux
HEADERS := $(B)/headers
TESTS   := $(B)/kselftest
IMAGE   := $(B)/image
VM      := $(B)/vm
READER  := $(B)/kvm_exits/kvm_exits
REPORT  := $(CURDIR)/build/report
# Cycles of one processor are not to be taken for the laboratory's instructions.
BENCHED := $(REPORT)$(if $(filter host kvm,$(MACHINE)),/$(MACHINE))
SUITES  := $(B)/suites
TARBALL := $(if $(SUITE),$(B)/download)/usr/src/$(PACKAGE).tar.xz

# What some targets need besides
BENCH_PACKAGES  := clang-19 libbpf-dev linux-perf dwarves
SERIES_PACKAGES := coccinelle clang-19 lld-19 llvm-19 sparse

JOBS := -j$(shell nproc)
STEP := $(CURDIR)/lab/step $(B)/log

# The selftests that the machines run: this series' own, and in-tree ones that
# would notice if CPUID, exits or the stats broke.
KVM_X86   := $(SELFTESTS_X86)
LAB_TESTS := $(KVM_X86)/exit_counters_test \
	     $(KVM_X86)/exit_counters_reasons_test $(KVM_X86)/cpuid_test \
	     $(KVM_X86)/fix_hypercall_test $(KVM_X86)/userspace_msr_exit_test \
	     kvm_binary_stats_test
LAB_EXTENDED := $(addprefix $(KVM_X86)/exit_counters_,paging_test perf_test)

.PHONY: all images help setup qemu tree kernel headers tests image run reader vm experiment-image experiment \
	explain debug-image bench-tools bench-image bench bench-time kernel-again check series check-series regress \
	kvm-unit-tests clean
.DELETE_ON_ERROR:

all: images
	@+$(MAKE) --no-print-directory -j2 $(foreach m,$(MACHINE),experiment-$m run-$m)
	@lab/report $(REPORT) $(foreach m,$(MACHINE),$(B)/run/$m/results.log)
	@$(MAKE) --no-print-directory explain

images: image experiment-image

help:
	@echo 'make                 do everything: kernel, selftests, machines, experiment, tables'
	@echo 'make experiment      boot a VM with nested, and with shadow paging, and explain'
	@echo 'make check           run the tests of this project, with a summary'
	@echo 'make tree            the patched kernel source, in $(TREE:$(CURDIR)/%=%)'
	@echo 'make kernel          build it, and an unpatched one to compare with'
	@echo 'make tests           build the selftests'
	@echo 'make reader          build kvm_exits, $(READER:$(CURDIR)/%=%)'
	@echo 'make run             boot the machines and run the selftests there'
	@echo 'make series          write the patches as they would be posted, build/series/$(BASE)'
	@echo 'make check-series    check these patches one by one, and other configurations'
	@echo 'make bench           measure what exits cost, and what other tools add to them'
	@echo 'make bench-time      measure what building and the experiment take, in seconds'
	@echo 'make regress         compare all KVM selftests without and with the patches'
	@echo 'make kvm-unit-tests  the same for a checkout of kvm-unit-tests, KUT='
	@echo 'make clean           remove build/'
	@echo
	@echo 'Results are in build/report, logs in $(B:$(CURDIR)/%=%)/run and .../log.'
	@echo
	@echo 'MACHINE="$(MACHINE)"    machines: vmx (Bochs), svm (QEMU), and kvm (QEMU with'
	@echo '                     /dev/kvm, if it offers VMX or SVM to guests); for the'
	@echo '                     experiment and make bench also host, this machine itself'
	@echo 'BASE=$(BASE)           kernel to attach to, one of: $(BASES)'
	@echo 'KSRC=                kernel source to use instead of Debian'"'"'s package'
	@echo 'PACKAGE=             another of Debian'"'"'s kernel sources to try, linux-source-X.Y'
	@echo 'KUT=                 a checkout of kvm-unit-tests'
	@echo 'UNPATCHED=           for make bench MACHINE=host, a folder of the running kernel'"'"'s'
	@echo '                     KVM modules without the patches'
	@echo 'RUNS=$(RUNS)               how often make bench-time does that'
	@echo 'SUBMITTER=           "Name <address>" of who signs the series, git'"'"'s user by default'
	@echo 'ASSISTED_BY=         what else to name there, "AGENT:MODEL [TOOL...]"'
	@echo 'FORMAT_PATCH=        options of git format-patch for the series, e.g. "-v2 --rfc"'
	@echo 'TIMEOUT=$(TIMEOUT)          seconds that a machine may run'
	@echo 'GUEST_KERNEL=        for the experiment, a bzImage of your own'
	@echo 'GUEST_INITRD=        and an initramfs, whose /workload is what the VM does'
	@echo 'GUEST_MEM=$(GUEST_MEM)         the MiB of memory of that VM'
	@echo 'GUEST_CPUS=$(GUEST_CPUS)         and its vCPUs'
	@echo 'DEBUG=$(DEBUG)          how "make check" looks for bugs in a run: kasan or kcsan'

setup:
	@lab/mkvm check '$(or $(GUEST_KERNEL),-)' '$(or $(GUEST_INITRD),-)' '$(GUEST_MEM)' \
		'$(GUEST_CPUS)' $(if $(filter host,$(MACHINE)),1048576,640)
	@lab/setup $(B) $(if $(KSRC)$(SUITE),,$(PACKAGE)) $(NEEDS) $(CHECK_PACKAGES) -- $(MACHINE)

# The machine svm is booted in a QEMU that is right, which may take a while to get.
qemu:
	@$(STEP)/qemu.log "trying this host's QEMU" lab/machine/qemu

run-svm experiment-svm bench-svm regress-svm kvm-unit-tests-svm: | qemu

# Source: unpacked aside and renamed, so that what has the name is whole.
ifdef KSRC
ifeq ($(wildcard $(KSRC)/arch/x86/kvm/x86.c)$(filter help clean,$(MAKECMDGOALS)),)
$(error KSRC=$(KSRC) is not a Linux source tree: it has no arch/x86/kvm/x86.c)
endif

$(SOURCE)/.whole: | setup
	@rm -rf $(SOURCE) $(SOURCE).tmp && mkdir -p $(SOURCE).tmp
	@$(STEP)/unpack.log 'copying $(KSRC), of a git tree what is committed' sh -c ' \
		if [ -e "$(KSRC)/.git" ]; then git -C "$(KSRC)" archive HEAD; \
		else tar -C "$(KSRC)" -c .; fi | tar -C $(SOURCE).tmp -x'
	@touch $(SOURCE).tmp/.whole && mv $(SOURCE).tmp $(SOURCE)
else
ifdef SUITE
$(TARBALL): | setup
	@$(STEP)/fetch.log 'fetching $(PACKAGE) of $(SUITE)' \
		lab/fetch $(SUITE) $(B)/download $(PACKAGE)
endif

$(SOURCE)/.whole: $(or $(SUITE:%=$(TARBALL)),$(wildcard $(TARBALL))) | setup
	@rm -rf $(SOURCE) $(SOURCE).tmp $(TREE) && mkdir -p $(SOURCE).tmp
	@$(STEP)/unpack.log 'unpacking $(PACKAGE)' \
		tar -C $(SOURCE).tmp --strip-components=1 -xf $(TARBALL)
	@touch $(SOURCE).tmp/.whole && mv $(SOURCE).tmp $(SOURCE)
endif

tree: $(SOURCE)/.whole
	@bases/mktree $(BASE) $(SOURCE) $(TREE)
	@$(if $(filter tree,$(MAKECMDGOALS)),echo "The patched kernel source is in $(TREE:$(CURDIR)/%=%)")

# The unpatched kernel is built first.  The patched one starts from a copy of its
# objects, and rebuilds what the patches touch.
$(SOURCE)/obj/.configured: lab/kernel.config $(SOURCE)/.whole
	@$(STEP)/config.log 'configuring the kernel' \
		lab/configure $(SOURCE) $(SOURCE)/obj $<
	@touch $@

$(SOURCE)/obj/.built: $(SOURCE)/obj/.configured
	@$(STEP)/kernel-unpatched.log 'building the unpatched kernel' \
		$(MAKE) -C $(SOURCE) O=$(SOURCE)/obj $(JOBS) bzImage modules
	@touch $@

$(TREE)/obj/.seeded: $(SOURCE)/obj/.built | tree
	@rm -rf $(TREE)/obj $(TREE)/obj.tmp
	@cp -a $(SOURCE)/obj $(TREE)/obj.tmp
	@cd $(TREE) && xargs touch < .mktree
	@touch $(TREE)/obj.tmp/.seeded && mv $(TREE)/obj.tmp $(TREE)/obj

kernel: tree $(TREE)/obj/.seeded
	@$(STEP)/kernel.log 'building the patched kernel' \
		$(MAKE) -C $(TREE) O=$(TREE)/obj $(JOBS) bzImage modules

headers: tree
	@$(STEP)/headers.log 'installing the headers' \
		$(MAKE) -C $(TREE) O=$(HEADERS) $(JOBS) headers

tests: headers
	@$(STEP)/tests.log 'building the selftests' \
		$(MAKE) -C $(TREE)/tools/testing/selftests $(JOBS) O=$(HEADERS) \
			TARGETS=kvm install INSTALL_PATH=$(TESTS) LDFLAGS=-static \
			FORCE_TARGETS=1 'TEST_GEN_PROGS_$(KVM_X86)=$(LAB_TESTS)' \
			'TEST_GEN_PROGS_EXTENDED_$(KVM_X86)=$(LAB_EXTENDED)' \
			'TEST_PROGS_$(KVM_X86)=$(KVM_X86)/exit_counters_paging_test.sh'

image: kernel tests
	@$(STEP)/image.log 'making the image' \
		lab/mkimage $(TREE)/obj $(SOURCE)/obj $(TESTS) $(IMAGE)

reader: headers
	@mkdir -p $(dir $(READER))
	@$(STEP)/reader.log 'building kvm_exits' \
		$(MAKE) -C $(TREE)/tools/kvm/kvm_exits OUTPUT=$(dir $(READER)) LDFLAGS=-static \
			KHDR_INCLUDES='-isystem $(HEADERS)/usr/include'

vm: kernel reader
	@$(STEP)/vm.log 'making the VM of the experiment' \
		lab/mkvm '$(or $(GUEST_KERNEL),$(TREE)/obj/arch/x86/boot/bzImage)' \
			'$(or $(GUEST_INITRD),-)' '$(GUEST_MEM)' '$(GUEST_CPUS)' \
			$(if $(GUEST_KERNEL)$(GUEST_INITRD),y,n) $(READER) $(VM)

experiment-image: vm
	@$(STEP)/image-experiment.log 'making the image of the experiment' \
		lab/mkimage $(TREE)/obj - $(VM) $(IMAGE)-experiment

ifeq ($(MACHINE),host)
# As a user who may not reload modules would want it: refused at once.
$(SOURCE)/.whole: | host-check
.PHONY: host-check
host-check:
	@lab/$(if $(filter bench,$(MAKECMDGOALS)),bench,experiment) check

experiment: vm
	@+$(MAKE) --no-print-directory experiment-host
	@$(MAKE) --no-print-directory explain
else
experiment: experiment-image
	@+$(MAKE) --no-print-directory -j2 $(addprefix experiment-,$(MACHINE))
	@$(MAKE) --no-print-directory explain
endif

# Of machines that ran earlier as well.
explain:
	@lab/explain $(REPORT) $(READER) $(patsubst %/passed,%/results.log, \
		$(wildcard $(addprefix $(B)/run/,$(addsuffix -experiment/passed,vmx svm kvm host))))

run: image
	@+$(MAKE) --no-print-directory -j2 $(addprefix run-,$(MACHINE))

run-%:
	@lab/run $* $(IMAGE) $(B)/run/$* $(TIMEOUT)

experiment-host:
	@mkdir -p $(B)/run/host-experiment && rm -f $(B)/run/host-experiment/*
	@lab/experiment $(VM) $(B)/run/host-experiment/results.log $(TIMEOUT)
	@touch $(B)/run/host-experiment/passed

experiment-%:
	@lab/run $* $(IMAGE)-experiment $(B)/run/$*-experiment $(TIMEOUT)

# What exits cost. The tools that it is compared with come from this host.
BENCH := $(B)/bench
bench-tools bench: CHECK_PACKAGES := $(BENCH_PACKAGES)
bench-tools: tests
	@mkdir -p $(BENCH)
	@cp $(TESTS)/kvm/exit_counters_perf_test $(BENCH)
	@$(STEP)/bench.log 'building what measures exits' sh -c ' \
		cc -O2 -static -o $(BENCH)/ticks lab/ticks.c && \
		cc -O2 -o $(BENCH)/bench-bpf lab/bench-bpf.c -lbpf && \
		lab/bundle $(BENCH)/bench-bpf $(BENCH)/bpf && \
		clang-19 -O2 -g -target bpf -idirafter /usr/include/x86_64-linux-gnu \
			-c -o $(BENCH)/bench.bpf.o lab/bench.bpf.c'

bench-image: kernel bench-tools
	@$(STEP)/image-bench.log 'making the image of the measurement' \
		lab/mkimage $(TREE)/obj $(SOURCE)/obj $(BENCH) $(IMAGE)-bench

ifeq ($(MACHINE),host)
bench: bench-tools
	@mkdir -p $(B)/run/host-bench
	@lab/bench $(BENCH) '$(or $(UNPATCHED),-)' $(B)/run/host-bench/results.log
	@lab/bench-report $(BENCHED) - cycles $(B)/run/host-bench/results.log
else
bench: bench-image
	@$(STEP)/structs.log 'compiling with debug information' \
		lab/structs $(SOURCE) $(TREE) $(B)/structs
	@+$(MAKE) --no-print-directory -j2 $(addprefix bench-,$(MACHINE))
	@lab/bench-report $(BENCHED) $(B)/structs $(if $(filter kvm,$(MACHINE)),cycles,instructions) \
		$(foreach m,$(MACHINE),$(B)/run/$m-bench/results.log)
endif

bench-vmx bench-svm bench-kvm: bench-%:
	@lab/run $* $(IMAGE)-bench $(B)/run/$*-bench $(TIMEOUT)

# What the project itself takes, of which nothing depends on anything.
RUNS ?= 5
bench-time: experiment-image
	@mkdir -p $(REPORT)
	@printf 'what\tmedian\tleast\tmost\n' > $(REPORT)/bench-time.tsv
	@+lab/repeat $(RUNS) 'both kernels' $(B)/log/bench-time.log \
		$(MAKE) --no-print-directory kernel-again >> $(REPORT)/bench-time.tsv
	@+lab/repeat $(RUNS) 'experiment' $(B)/log/bench-time.log \
		$(MAKE) --no-print-directory experiment >> $(REPORT)/bench-time.tsv
	@cat $(REPORT)/bench-time.tsv

kernel-again:
	@rm -rf $(SOURCE)/obj $(TREE)/obj
	@+$(MAKE) --no-print-directory kernel

# A kernel that looks for bugs, for one of the runs of "make check".
$(TREE)/obj-%/.configured: lab/kernel.config lab/%.config | tree
	@$(STEP)/config-$*.log 'configuring the $* kernel' \
		lab/configure $(TREE) $(TREE)/obj-$* $^
	@touch $@

debug-image: $(TREE)/obj-$(DEBUG)/.configured tests
	@$(STEP)/kernel-$(DEBUG).log 'building the $(DEBUG) kernel' \
		$(MAKE) -C $(TREE) O=$(TREE)/obj-$(DEBUG) $(JOBS) bzImage modules
	@$(STEP)/image-$(DEBUG).log 'making its image' \
		lab/mkimage $(TREE)/obj-$(DEBUG) - $(TESTS) $(IMAGE)-$(DEBUG)

check: CHECK_PACKAGES := shellcheck sparse python3-sphinx zzuf asciidoc-base \
	libxml2-utils docbook-xml xsltproc mmdebstrap
check: images debug-image qemu
	@lab/check $(BASE) '$(OTHERS)' $(DEBUG) $(SOURCE) $(TREE) $(B) $(TIMEOUT) \
		'$(if $(KSRC),,$(CHECK_PACKAGES) $(SERIES_PACKAGES) $(BENCH_PACKAGES))' $(MACHINE)

# The patches as they would be posted, on a git tree if KSRC is one.
ifndef KSRC
series: $(SOURCE)/.whole
endif
series:
	@series/mkseries $(BASE) $(or $(KSRC),$(SOURCE)) build/series/$(BASE)

# What takes too long for "make check", which runs the rest of it.
check-series: CHECK_PACKAGES := $(SERIES_PACKAGES)
check-series: kernel tests
	@lab/check-series $(BASE) $(SOURCE) $(TREE) $(B)

# Whole suites, without and with the patches, of which only differences matter.
unpatched := $(SOURCE)
patched   := $(TREE)
KERNELS   := unpatched patched
SUITE_TIMEOUT := 7200
# In seconds of the machine, which Bochs counts in instructions
TEST_TIMEOUT  := 60

# What a report is of
on = Linux $(shell $(MAKE) -s -C $(SOURCE) kernelversion), $(shell date +%F)

suite-%: kernel
	@$(STEP)/headers-$*.log 'installing the headers of the $* kernel' \
		$(MAKE) -C $($*) O=$($*)/obj $(JOBS) headers
	@rm -rf $(SUITES)/$*
	@$(STEP)/suite-$*.log 'building all selftests of the $* kernel' \
		$(MAKE) -C $($*)/tools/testing/selftests $(JOBS) O=$($*)/obj \
			TARGETS=kvm install INSTALL_PATH=$(SUITES)/$* LDFLAGS=-static FORCE_TARGETS=1
	@$(STEP)/image-regress-$*.log 'making the image of the $* kernel' \
		lab/mkimage $($*)/obj - $(SUITES)/$* $(IMAGE)-regress-$* $(TEST_TIMEOUT)

# Each machine runs one kernel after the other; what hung in the first is not run again.
regress-% kvm-unit-tests-%:
	@lab/suite $* $(IMAGE)-$(@:%-$*=%)-unpatched $(B)/run/$*-$(@:%-$*=%)-unpatched $(SUITE_TIMEOUT)
	@lab/suite $* $(IMAGE)-$(@:%-$*=%)-patched $(B)/run/$*-$(@:%-$*=%)-patched $(SUITE_TIMEOUT) \
		$(B)/run/$*-$(@:%-$*=%)-unpatched

regress: suite-unpatched suite-patched
	@+$(MAKE) --no-print-directory -j2 $(addprefix regress-,$(MACHINE))
	@lab/compare regress 'KVM selftests without and with the patches, $(on)' \
		$(REPORT)/regress.md $(B) $(MACHINE)

ifneq ($(filter kvm-unit-tests%,$(MAKECMDGOALS)),)
ifeq ($(wildcard $(KUT)/x86/unittests.cfg),)
$(error KUT=$(KUT) is not a checkout of kvm-unit-tests (git clone https://gitlab.com/kvm-unit-tests/kvm-unit-tests): it has no x86/unittests.cfg)
endif
endif

kvm-unit-tests: kernel
	@$(STEP)/kvm-unit-tests.log 'building kvm-unit-tests' lab/mkkut '$(KUT)' $(SUITES)/kvm-unit-tests
	@for kernel in $(KERNELS); do \
		case $$kernel in unpatched) obj=$(SOURCE)/obj ;; patched) obj=$(TREE)/obj ;; esac; \
		$(STEP)/image-kvm-unit-tests.log "making the image of the $$kernel kernel" \
			lab/mkimage $$obj - $(SUITES)/kvm-unit-tests $(IMAGE)-kvm-unit-tests-$$kernel \
			$(TEST_TIMEOUT) || exit; \
	done
	@+$(MAKE) --no-print-directory -j2 $(addprefix kvm-unit-tests-,$(MACHINE))
	@lab/compare kvm-unit-tests "kvm-unit-tests $$(cat $(SUITES)/kvm-unit-tests/version) without and with the patches, $(on)" \
		$(REPORT)/kvm-unit-tests.md $(B) $(MACHINE)

clean:
	rm -rf build
