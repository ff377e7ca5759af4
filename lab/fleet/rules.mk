# SPDX-License-Identifier: GPL-2.0-only
#
# Many machines: what there is to run, as jobs of LAVA, which kernel laboratories have.

## make lava            write a job of LAVA for each image that there is, for vmx, svm, and x86
## make fleet           run these on a LAVA server of their own, which ends with that
## make fleet-submit    or submit those that have not been to LAVA_SERVER=
## make fleet-report    what came of them, in one table
#= ARTIFACTS=           where a LAVA finds build/<base>, a URL
#= LAVA_SERVER=         for make fleet-submit and make fleet-report, a URL, and in the
#=                      environment LAVA_TOKEN
#= WORKERS=2            for make fleet, its workers, each with an emulated AMD and an emulated Intel
#= JOB=                 which of the jobs of make lava make fleet and make fleet-submit take
#= RERUN=               for make fleet-submit, jobs that have ended, and are to run again

ARTIFACTS ?= file://$(BUILD)
WORKERS   ?= 2
JOB       ?=
RERUN     ?=
export LAVA_TOKEN

FLEET := $(BUILD)/lava

# Kernel, payload, image, seconds as for a local run, what makes it.  No KCSAN: it reports races of
# the whole kernel, which make check-stress tells from those of exit counters.
define CELLS
patched selftests images/selftests $(TIMEOUT) make image
patched experiment images/experiment $(TIMEOUT) make experiment-image
patched bench images/bench $(TIMEOUT) make bench-image
patched suite images/regress-patched $(SUITE_TIMEOUT) make suite-patched
patched kvm-unit-tests images/kvm-unit-tests-patched $(SUITE_TIMEOUT) make kvm-unit-tests KUT=
unpatched suite images/regress-unpatched $(SUITE_TIMEOUT) make suite-unpatched
unpatched kvm-unit-tests images/kvm-unit-tests-unpatched $(SUITE_TIMEOUT) make kvm-unit-tests KUT=
stock selftests images-stock/selftests $(STOCK_TIMEOUT) make image KERNEL=stock
stock experiment images-stock/experiment $(STOCK_TIMEOUT) make experiment-image KERNEL=stock
stock bench images-stock/bench $(STOCK_TIMEOUT) make bench-image KERNEL=stock
kasan selftests images/kasan $(DEBUG_TIMEOUT) make image-debug
endef
export CELLS

.PHONY: lava fleet fleet-run fleet-submit fleet-report

fleet-run fleet-submit fleet-report: CHECK_PACKAGES := curl jq mmdebstrap
fleet-run fleet-submit fleet-report: setup

lava:
	@echo "$$CELLS" | lab/fleet/write-jobs $(BASE) $(BUILD) '$(ARTIFACTS)' $(FLEET)/jobs $(filter vmx svm,$(MACHINE)) x86

# Those of make lava, or some of them
FLEET_JOBS = $(addprefix $(FLEET)/jobs/,$(addsuffix .yaml,$(or $(JOB),$(basename $(notdir $(wildcard $(FLEET)/jobs/*.yaml))))))
# A real machine is nowhere here.
EMULATED_JOBS = $(foreach job,$(FLEET_JOBS),$(if $(findstring -x86-,$(job)),,$(job)))

fleet-submit:
	@RERUN='$(RERUN)' LAVA_SERVER='$(LAVA_SERVER)' lab/fleet/submit $(FLEET_JOBS)

fleet: lava
	@+$(MAKE) --no-print-directory fleet-run

fleet-run:
	@rm -rf $(FLEET)/results
	@lab/fleet/inside lab/fleet/server $(FLEET)/log $(WORKERS) lab/fleet/matrix $(FLEET)/results $(EMULATED_JOBS)
	@+$(MAKE) --no-print-directory fleet-report

fleet-report:
	@$(if $(LAVA_SERVER),LAVA_SERVER='$(LAVA_SERVER)' lab/fleet/fetch $(FLEET)/results $(FLEET_JOBS))
	@lab/fleet/report $(FLEET)/results $(REPORT)
