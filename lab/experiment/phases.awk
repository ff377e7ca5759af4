# SPDX-License-Identifier: GPL-2.0-only
#
# With read.awk: prints the section of experiment.md on the phases of one machine, and
# writes what its picture shows to the file PICTURE.  Adds rows of split.tsv to the file
# ROWS, with the phase before them, and rows of phases.tsv to the file OPERATIONS.
#   machine, date

function number(x) { return x >= 100 ? group(x) : x >= 10 ? sprintf("%.1f", x) : x >= 0.005 ? sprintf("%.2f", x) : "0" }
function per(run, what) { return n[run > runs ? 1 : run, phase, what] / n[1, phase, "operations"] }
function smaller(a, b) { return a < b ? a : b }
function larger(a, b) { return a < b ? b : a }

# How far two runs differ where paging makes no difference: in what the control takes, and
# between runs 1 and 3, which are equal.
function noise(   low, high, run)
{
	low = high = n[1, "cpuid", "cycles"]
	for (run = 2; run <= runs; run++) {
		low = smaller(low, n[run, "cpuid", "cycles"])
		high = larger(high, n[run, "cpuid", "cycles"])
	}
	return low > 0 ? high / low : 1.02
}
function cheaper(   low, high, x)
{
	low = smaller(per(1, "cycles"), per(3, "cycles"))
	high = larger(per(1, "cycles"), per(3, "cycles"))
	x = per(2, "cycles")
	if (x > high * noise())
		return "nested, " sprintf("%.1f", x / per(1, "cycles")) " times"
	return x < low / noise() ? "shadow, " sprintf("%.1f", per(1, "cycles") / x) " times" : "neither"
}

END {
	what["cpuid"] = "one CPUID, the control"
	what["syscall"] = "one of the cheapest, getppid"
	what["chase"] = "one read, of more pages than a TLB holds"
	what["touch"] = "a page that the VM never touched"
	what["remap"] = "a page mapped, touched, and unmapped"
	what["process"] = "fork, exec, exit"
	what["switch"] = "two processes, there and back"
	what["file"] = "64 KiB written, read, and removed"
	what["timer"] = "a sleep of 1 ms"
	what["idle"] = "a second without work"

	vendor = isa == "vmx" ? "Intel VMX" : "AMD SVM"
	setting = isa == "vmx" ? "kvm_intel ept" : "kvm_amd npt"
	print "\n## " vendor ": " setting "=1 and " setting "=0\n"
	print "The VM" (disk ? " on the disk " disk : "") " has " fact[1, "boot", "cpus"] " vCPU" (fact[1, "boot", "cpus"] == 1 ? "" : "s") " (QEMU's -cpu " \
		fact[1, "boot", "cpu"] ") and " fact[1, "boot", "mem"] " MiB of memory, and ran on " date \
		", on " fact[1, "boot", "host"] \
		(fact[1, "boot", "parameters"] != "" ? ", with the parameters " fact[1, "boot", "parameters"] : "") ".\n"
	if (!nr_phases)
		exit

	print "### What each kind of work costs\n"
	print "Exits and cycles of one operation, by the clock of the VM:\n"
	print "![Exits and cycles of one operation](experiment-phases-" machine ".svg)\n"
	print "| operation | times | exits, nested | exits, shadow | cycles, nested | cycles, shadow |" \
		(runs == 3 ? " again nested |" : "") " cheaper |"
	print "|---|--:|--:|--:|--:|--:|" (runs == 3 ? "--:|" : "") "---|"
	for (i = 1; i <= nr_phases; i++) {
		phase = phases[i]
		if (phase in absent)
			continue
		print "| **" phase "**: " what[phase] " | " group(n[1, phase, "operations"]) " | " \
			number(per(1, "exits")) " | " number(per(2, "exits")) " | " number(per(1, "cycles")) " | " \
			number(per(2, "cycles")) " | " (runs == 3 ? number(per(3, "cycles")) " | " : "") cheaper() " |"
		split(cheaper(), won, ",")
		wins[won[1]] = wins[won[1]] (wins[won[1]] ? ", " : "") phase
		for (run = 1; run <= 2; run++)
			printf "%s\t%s\t%s\t%s\t%.0f\t%.0f\t%.0f\n", machine, isa, run == 1 ? "tdp" : "shadow", phase,
			       n[run, phase, "operations"], n[run, phase, "exits"], n[run, phase, "cycles"] >>OPERATIONS
	}
	print "\nNested paging is cheaper for: " (wins["nested"] ? wins["nested"] : "none") \
		". Shadow paging is cheaper for: " (wins["shadow"] ? wins["shadow"] : "none") "." \
		(machine == "svm" ? " The clock of the machine svm is the host's. If that was busy, a small factor is noise." : "")
	for (i = nr_phases; i >= 1; i--) {
		phase = phases[i]
		if (!(phase in absent))
			printf "%d\t%s\t%g\t%g\t%g\t%g\n", y++, phase, per(1, "exits"), per(1, "cycles"),
			       per(2, "exits"), per(2, "cycles") >PICTURE
	}

	printf "\nNeither is cheaper if the difference is not above that of the control, %.0f%%" \
	       (runs == 3 ? ", and of two equal runs." : ".") \
	       " For which reasons did it exit, if at least once in 10 operations?\n\n", 100 * (noise() - 1)
	print "| operation | reason | nested | shadow |"
	print "|---|---|--:|--:|"
	for (i = 1; i <= nr_phases; i++) {
		phase = phases[i]
		for (j = 1; j <= nr_codes; j++) {
			c = codes[j]
			for (run = 1; run <= 2 && !(phase in absent); run++)
				if (n[run, phase, c])
					printf "%s\t%s\t%s\t%s\t%s\t%.0f\t%.0f\n", phase, isa, run == 1 ? "tdp" : "shadow", c,
					       name[c], n[run, phase, c], cycles[run, phase, c] >>ROWS
			if (!(phase in absent) && (per(1, c) >= 0.1 || per(2, c) >= 0.1) && c !~ /^exc/)
				print "| " phase " | " name[c] " | " number(per(1, c)) " | " number(per(2, c)) " |"
		}
	}

	print "\n### What was learned, and was it expected?\n"
	print "What theory says of each phase, stated before it ran, and how often that came, with nested, shadow," \
	      " and again nested paging. In the laboratory there is no report if it does not come so; on a host," \
	      " where others may disturb, it is noted.\n"
}
