# SPDX-License-Identifier: GPL-2.0-only
#
# The tests of this project.  Each check is about one concern, a script beside this.

## make check           run all tests of this project, with a summary
## make check-machines  the machines alone; likewise check- models experiment costs reader reader-host
##                      kernel sources input host modules shell paging disk stick suites stress failures
##                      other-debian
## make check-series    check the patches one by one, and other configurations
## make check-lava      run jobs by LAVA, without a server, of which some must fail
## make check-fleet     kill a server of LAVA and its worker, and see what comes back
#= OPERATIONS=2000      for make check-stress, how many, half of them with nested paging; in
#=                      full 1000000, which takes hours
#= REPETITIONS=50       for make check-paging, how many of each kind
#= SEED=                for make check-stress, what chooses them, as an earlier run printed it

OPERATIONS ?= 2000
REPETITIONS ?= 50
SEED       ?= $(shell date +%s)

CONCERNS := machines models experiment costs reader reader-host kernel sources input host suites stress failures
# A user's own kernel is not one of Debian's.
ifndef KSRC
CONCERNS     += modules shell paging disk stick
STOCK_IMAGES := stock-images
STICK_IMAGES := stick-images
endif

SERIES_PACKAGES := coccinelle clang-19 lld-19 llvm-19 sparse

# "make check" is about all bases, unless one is chosen.
OTHER_BASES := $(if $(filter file,$(origin BASE)$(KSRC)),$(if $(filter file,$(origin PACKAGE)),$(filter-out $(BASE),$(BASES))))

# Without prometheus, whose service would listen on all networks: a test of its promtool is
# skipped where that is missing.
CHECK_PACKAGES_OF_ALL := shellcheck sparse python3-sphinx zzuf asciidoc-base libxml2-utils \
	docbook-xml xsltproc mmdebstrap jq dwarves python3-minimal qemu-utils clang libclang-rt-dev \
	musl-tools ovmf $(STICK_PACKAGES)

.PHONY: check check-series check-lava check-fleet check-other-debian $(CONCERNS:%=check-%)

# What the scripts take, see lab/check/lib.sh.  A user's own kernel is not tried elsewhere.
CHECK_ENV := env BASE='$(BASE)' OTHER_BASES='$(OTHER_BASES)' BUILD='$(BUILD)' SOURCE='$(SOURCE)' TREE='$(TREE)' \
	HEADERS='$(HEADERS)' READER='$(READER)' BOOTS='$(BOOTS)' IMAGES='$(IMAGES)' REPORT='$(REPORT)' \
	STOCK_KERNEL='$(if $(KSRC),,y)' DEBUG='$(DEBUG)' TIMEOUT='$(TIMEOUT)' STOCK_TIMEOUT='$(STOCK_TIMEOUT)' DEBUG_TIMEOUT='$(DEBUG_TIMEOUT)' MACHINE='$(MACHINE)' \
	OPERATIONS='$(OPERATIONS)' REPETITIONS='$(REPETITIONS)' SEED='$(SEED)' STRESSED='$(if $(filter file,$(origin MACHINE)),svm,$(MACHINE))' \
	OTHER_DEBIAN='$(if $(KSRC),,$(CURDIR)/build/other)' \
	PACKAGES='$(CHECK_PACKAGES_OF_ALL) $(BENCH_PACKAGES) $(SERIES_PACKAGES)'

check check-lava check-fleet check-other-debian $(CONCERNS:%=check-%): CHECK_PACKAGES := $(CHECK_PACKAGES_OF_ALL)
check-series: CHECK_PACKAGES := $(SERIES_PACKAGES)
check-lava: CHECK_PACKAGES += $(BOCHS_PACKAGES)

check: images image-debug qemu $(STOCK_IMAGES) $(STICK_IMAGES)
	@$(CHECK_ENV) lab/check/all $(CONCERNS)

# By itself, a check takes what the machines' last boots left, and boots them only if
# there is none.
check-machines: images image-debug qemu $(STOCK_IMAGES)
check-experiment check-reader: images $(foreach m,$(MACHINE),$(BOOTS)/$m-experiment/verdict)
check-costs: images $(foreach m,$(MACHINE),$(BOOTS)/$m/verdict)
check-lava: images $(foreach m,vmx svm,$(BOOTS)/$m/verdict)
check-experiment check-other-debian: $(REPORT)/coverage.tsv
check-kernel check-input: images
check-sources check-host check-suites check-reader-host: setup
check-stress: kernel-debug headers qemu
check-failures check-models: images qemu
check-modules check-shell check-paging check-disk: images qemu $(STOCK_IMAGES)
check-stick: tree reader qemu $(STICK_IMAGES)

.PHONY: stock-images
stock-images: images
	@+$(MAKE) --no-print-directory MACHINE=svm KERNEL=stock images shell-image

.PHONY: stick-images
stick-images: images $(STOCK_IMAGES)
	@+$(MAKE) --no-print-directory MACHINE=svm KERNEL=pc stick-payload

$(REPORT)/coverage.tsv: | images $(foreach m,$(MACHINE),$(BOOTS)/$m/verdict)
	@lab/selftests/tables $(REPORT) $(TREE) $(foreach m,$(MACHINE),$(BOOTS)/$m) > /dev/null

$(BOOTS)/%-experiment/verdict: | experiment-image qemu
	@$(MAKE) --no-print-directory experiment-$*
$(BOOTS)/%/verdict: | image qemu
	@$(MAKE) --no-print-directory selftests-$*

check-other-debian $(CONCERNS:%=check-%): check-%:
	@$(CHECK_ENV) lab/check/$*

# What takes too long for "make check", which runs the rest of it.
check-series: kernel tests
	@$(CHECK_ENV) lab/check/series
check-lava check-fleet: check-%: image
	@$(CHECK_ENV) lab/check/$*
