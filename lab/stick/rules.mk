# SPDX-License-Identifier: GPL-2.0-only
#
# A stick, or CD, that boots any PC and runs what other rooms have there, on Debian's kernel
# for PCs; and the report of the results that it leaves.

## make iso             an image of a stick or CD that boots any PC and runs all of that there
## make report          the report of a folder of results of such a stick: RESULTS=
#= OPTIONS=             more for the kernel of a machine; also of make iso, where
#=                      exit-counters.auto=poweroff runs all and switches off

STICK    := $(BUILD)/stick.iso
STICK_PACKAGES := $(BENCH_PACKAGES) grub-efi-amd64-bin zstd

.PHONY: iso stick-payload report

ifneq ($(filter iso,$(MAKECMDGOALS)),)
ifneq ($(KSRC)$(KERNEL),)
$(error make iso boots Debian's kernel for PCs: without KSRC= and KERNEL=)
endif
endif

iso stick-payload: CHECK_PACKAGES := $(STICK_PACKAGES)
iso: setup
	@+$(MAKE) --no-print-directory MACHINE=svm KERNEL=pc stick-payload
	@$(PROGRESS)/iso.log 'making the image of the stick' lab/stick/image $(BUILD)/images-pc/stick $(STICK)
	@echo "$(STICK:$(CURDIR)/%=%), $$(($$(stat -c %s $(STICK)) >> 20)) MiB; CONTRIBUTING.md says how to write it to a stick"

# What makes tables there is what makes them here.
stick-payload: setup vm bench-tools
	@$(call payload,$(PAYLOADS)/stick,stick,pc=y qemu=y programs=perf$(COMMA)timeout,\
		$(addprefix $(PAYLOADS)/,selftests experiment bench) lab/share)
	@cd $(PAYLOADS)/stick && mkdir -p machine arch/x86/include/uapi/asm && \
		cp $(CURDIR)/lab/machine/split machine && \
		cp $(CURDIR)/lab/selftests/tables $(CURDIR)/lab/selftests/*.awk $(CURDIR)/lab/selftests/not-triggered selftests && \
		cp $(CURDIR)/lab/experiment/*.awk experiment && \
		cp $(addprefix $(TREE)/arch/x86/include/uapi/asm/,vmx.h svm.h) arch/x86/include/uapi/asm && \
		strip -o kvm_exits $(READER) && \
		echo "$(BASE), $$(git -C $(CURDIR) describe --always --dirty 2> /dev/null || echo of no git clone)" > version
	@$(PROGRESS)/image-stick.log 'making what the stick boots' \
		lab/machine/image $(BOOTED) $(PAYLOADS)/stick $(IMAGES)/stick

report: tree reader
	@lab/stick/report '$(RESULTS)' $(REPORT)/pc $(BOOTS) $(READER) $(TREE)
