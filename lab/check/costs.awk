# SPDX-License-Identifier: GPL-2.0-only
#
# Prints which exits cost more than lab/bench/limits.tsv lets them, or were not measured, by
# the costs.tsv of a machine's selftests: isa, paging, config, exit, ticks.
#   isa, gcc   of the machine, and the major version that compiled its kernel

BEGIN {
	nr = split("nested shadow", settings, " ")
	for (i = 1; i <= nr; i++) {
		exits[settings[i], "cpuid"]
		exits[settings[i], "wrmsr_fastpath"]
		exits[settings[i], "pio_userspace"]
	}
	exits["nested", isa == "vmx" ? "ept_violation" : "npf"]
	exits["shadow", "shadow_pf"]
}
FILENAME == ARGV[1] {
	if ($1 == isa && ($3 == "*" || $3 == gcc))
		for (e in exits) {
			split(e, part, SUBSEP)
			if ($2 == "*" || $2 == part[2]) {
				may_count[e] = $4
				may_time[e] = $5
			}
		}
	next
}
{ cost[$3, $2, $4] = $5 }
END {
	for (e in exits) {
		split(e, part, SUBSEP)
		unpatched = cost["unpatched", e]
		counts = cost["default", e] - unpatched
		times = cost["timed", e] - unpatched
		if (unpatched && cost["default", e] && cost["timed", e] &&
		    counts <= may_count[e] && times <= may_time[e])
			continue
		print part[1] " " part[2] ": " unpatched " instructions, " counts \
		      " more (at most " may_count[e] "), timed " times " more (at most " may_time[e] ")"
	}
}
