# SPDX-License-Identifier: GPL-2.0-only
#
# Prints which exits cost more than lab/bench/limits.tsv lets them, or were not measured, by
# the costs.tsv of a machine's selftests: isa, paging, config, exit, ticks.
#   isa, gcc   of the machine, and the major version that compiled its kernel

FILENAME == ARGV[1] {
	if ($1 == isa && ($3 == "*" || $3 == gcc)) {
		may_count[$2] = $4
		may_time[$2] = $5
		may_beside[$2] = $6
	}
	next
}
{ cost[$3, $2, $4] = $5 }

function compare(paging, what,   counted, timed, beside, unpatched, limit)
{
	unpatched = cost["unpatched", paging, what]
	counted = cost["default", paging, what]
	timed = cost["timed", paging, what]
	beside = cost["beside", paging, what]
	limit = what in may_count ? what : "*"
	if (!unpatched || !counted || !timed || !beside ||
	    counted - unpatched > may_count[limit] || timed - unpatched > may_time[limit] ||
	    beside - unpatched > may_beside[limit])
		print paging " " what ": " unpatched " instructions, " counted - unpatched \
		      " more (at most " may_count[limit] "), timed " timed - unpatched \
		      " more (at most " may_time[limit] "), beside a VM that is " \
		      beside - unpatched " more (at most " may_beside[limit] ")"
}

END {
	nr = split("cpuid wrmsr_fastpath pio_userspace", exits, " ")
	for (i = 1; i <= nr; i++) {
		compare("nested", exits[i])
		compare("shadow", exits[i])
	}
	compare("nested", isa ~ /^vmx/ ? "ept_violation" : "npf")
	compare("shadow", "shadow_pf")
}
