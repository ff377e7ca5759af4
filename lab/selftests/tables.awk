# SPDX-License-Identifier: GPL-2.0-only
#
# Prints the tables of one vendor, isa, from coverage.tsv and split.tsv.

FILENAME ~ /coverage/ && $1 == isa {
	n++
	if ($4 == "triggered") {
		triggered = triggered sprintf("%10s %-18s", $2, $3)
		if (++nr_triggered % 3 == 0)
			triggered = triggered "\n"
	} else {
		missed = missed sprintf("%10s %-18s %s\n", $2, $3, $4)
	}
}
FILENAME ~ /split/ && $1 == "selftest" && $2 == isa {
	if (!($4 in name))
		codes[++nr_codes] = $4
	name[$4] = $5
	exits[$4, $3] = $6
}
END {
	vendor = isa == "vmx" ? "Intel VMX" : "AMD SVM"
	print "\n" vendor ": exit reasons triggered by exit_counters_reasons_test\n"
	print triggered (nr_triggered % 3 ? "\n" : "")
	printf "%s: %d of %d triggered; not triggered, and why:\n\n%s", vendor, nr_triggered, n, missed
	printf "\n%s: exits of exit_counters_paging_test, %s\n\n", vendor,
	       isa == "vmx" ? "kvm-intel ept=1 and ept=0" : "kvm-amd npt=1 and npt=0"
	printf "%6s %-24s %12s %12s\n", "code", "name", "nested", "shadow"
	fflush()
	for (i = 1; i <= nr_codes; i++)
		printf "%6s %-24s %12d %12d\n", codes[i], name[codes[i]],
		       exits[codes[i], "tdp"], exits[codes[i], "shadow"] | "sort"
}
