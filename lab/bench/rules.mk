# SPDX-License-Identifier: GPL-2.0-only
#
# What exits cost, without and with the patches, and with tools that people use today,
# which come from this host.

## make bench           measure what exits cost, and what other tools add to them
## make bench-time      measure what building and the experiment take, in seconds
#= UNPATCHED=           for make bench MACHINE=host on a kernel that has the patches, a folder
#=                      of its KVM modules without them
#= RUNS=5               how often make bench-time does that

RUNS ?= 5
BENCH_PACKAGES := clang-19 libbpf-dev linux-perf dwarves

# Cycles of one processor are not to be taken for the laboratory's instructions.
COSTS := $(REPORT)/$(or $(filter host kvm,$(MACHINE)),$(KERNEL))
UNIT  := $(if $(filter host kvm,$(MACHINE)),cycles,instructions)

.PHONY: bench-tools bench-image bench bench-check bench-time bench-vmx bench-svm bench-kvm

bench-tools bench: CHECK_PACKAGES := $(BENCH_PACKAGES)
bench-time: CHECK_PACKAGES := hyperfine
bench-tools: tests
	@mkdir -p $(BUILD)/bench
	@cp $(TESTS)/kvm/exit_counters_perf_test $(BUILD)/bench
	@$(PROGRESS)/bench.log 'building what measures exits' sh -c ' \
		cc -O2 -static -o $(BUILD)/bench/ticks lab/bench/in-machine.d/ticks.c && \
		cc -O2 -o $(BUILD)/bench/bpf-count lab/bench/in-machine.d/bpf-count.c -lbpf && \
		lab/machine/bundle $(BUILD)/bench/bpf-count $(BUILD)/bench/bpf && \
		clang-19 -O2 -g -target bpf -idirafter /usr/include/x86_64-linux-gnu \
			-c -o $(BUILD)/bench/bpf-count.bpf.o lab/bench/in-machine.d/bpf-count.bpf.c'
	@$(call payload,$(PAYLOADS)/bench,bench,icount=y programs=perf,$(BUILD)/bench/.)

bench-image: kernel bench-tools
	@$(PROGRESS)/image-bench.log 'making the image of the measurement' \
		lab/machine/image $(BOOTED) $(PAYLOADS)/bench $(IMAGES)/bench

ifeq ($(MACHINE),host)
# As a user who may not reload modules would want it: refused at once.
$(SOURCE)/.whole: | $(if $(filter bench,$(MAKECMDGOALS)),bench-check)
bench-check:
	@lab/bench/in-machine check $(HOST_MODULES)

bench: bench-tools $(NEEDS_MODULES)
	@rm -rf $(BOOTS)/host-bench && mkdir -p $(BOOTS)/host-bench
	@lab/bench/in-machine $(BUILD)/bench $(or $(UNPATCHED),-) $(BOOTS)/host-bench/results.log $(HOST_MODULES)
	@cd $(BOOTS)/host-bench && echo "lab: done" >> results.log && $(CURDIR)/lab/machine/split results.log
	@lab/bench/report $(COSTS) - $(UNIT) "this machine's kernel, $$(uname -r)" - $(BOOTS)/host-bench
else
bench: bench-image
	@$(if $(KERNEL),,$(PROGRESS)/compiled.log 'compiling with debug information' \
		lab/bench/compiled $(SOURCE) $(TREE) $(BUILD)/compiled)
	@+$(MAKE) --no-print-directory -j2 $(addprefix bench-,$(MACHINE))
	@lab/bench/report $(COSTS) $(if $(KERNEL),-,$(BUILD)/compiled) $(UNIT) \
		"$(if $(KERNEL),Debian's kernel $$(cat $(STOCK)/debian/release),the laboratory's kernel)" \
		$(if $(KERNEL),-,$(REPORT)/stock/bench.md) $(foreach m,$(MACHINE),$(BOOTS)/$m-bench)
endif

bench-svm: | qemu
bench-vmx bench-svm bench-kvm: bench-%:
	@lab/machine/boot $* $(IMAGES)/bench $(BOOTS)/$*-bench $(TIMEOUT)

# What the project itself takes
bench-time: experiment-image
	@mkdir -p $(REPORT)
	hyperfine --runs $(RUNS) --export-markdown $(REPORT)/bench-time.md \
		-n 'both kernels' '$(MAKE) --no-print-directory kernel-again' \
		-n 'experiment' '$(MAKE) --no-print-directory experiment'
