# SPDX-License-Identifier: GPL-2.0-only
#
# The patches as they would be posted, on a git tree if KSRC is one.

## make series          write the patches as they would be posted, build/series/<base>
#= SUBMITTER=           "Name <address>" of who signs the series, git's user by default
#= ASSISTED_BY=         what else to name there, "AGENT:MODEL [TOOL...]"
#= FORMAT_PATCH=--rfc   options of git format-patch for the series, e.g. "-v2 --rfc"

.PHONY: series

ifndef KSRC
series: $(SOURCE)/.whole
endif
series:
	@series/mkseries $(BASE) $(or $(KSRC),$(SOURCE)) build/series/$(BASE)
