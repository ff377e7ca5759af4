# SPDX-License-Identifier: GPL-2.0-only
#
# With read.awk: checks whether what a machine recorded of the experiment contradicts
# itself: ok, not ok or note, and the text, with a tab between.  Bounds are derived where they are stated.

function verdict(bad, text) {
	printf "%s\t%s%s\n", bad ? "not ok" : "ok", text, bad ? ": " bad : ""
}
function sum(run, point,   i, total) {
	for (i = 1; i <= nr_codes; i++)
		if (codes[i] !~ /^exc/)
			total += n[run, point, codes[i]]
	return total
}
# The sum of what paging causes, over the names given.
function exits_of(run, point, names,   i, total) {
	for (i = 1; i <= nr_codes; i++)
		if (index(" " names " ", " " name[codes[i]] " "))
			total += n[run, point, codes[i]]
	return total + 0
}
function fixed(run, point, what) {
	if (what == "CPUID")
		return cpuids(run, point)
	return exits_of(run, point, what)
}
# What KVM emulated until the host looked, when the VM did neither.
function emulated(run, what) {
	if (what == "CPUID")
		return fact[run, "host", "cpuids"] - n[run, "host", isa == "vmx" ? 10 : "0x072"]
	if (tolower(what) ~ /^io/)
		return fact[run, "host", "pios"] - exits_of(run, "host", what)
	return 0
}
# What is wrong with the exceptions by vector: VMX has one reason for all of them, and
# for NMIs, SVM has one for each.
function vectors(run, point,   i, c, total, bad) {
	for (i = 1; i <= nr_codes; i++) {
		c = codes[i]
		if (c !~ /^exc/)
			continue
		total += n[run, point, c]
		if (isa == "svm" && c != "exc2" && n[run, point, c] != n[run, point, sprintf("0x%03x", 64 + substr(c, 4))])
			bad = bad name[c] " " n[run, point, c] " "
	}
	if (isa == "vmx" && total != n[run, point, 0] + 0)
		bad = total + 0 " of " n[run, point, 0] + 0
	return bad
}
# Of a VM that the laboratory does not know, or on a host that does other things as
# well, a difference is noted, and no reason to refuse all of it.
function expect(bad, text) {
	if (bad && fact[1, "boot", "foreign"])
		printf "note\tnot so: %s: %s\n", text, bad
	else
		verdict(bad, text)
}
END {
	verdict(mixed, "each VM is of one kind")
	bad = ""
	for (run = 1; run <= 3; run++)
		if (fact[run, "boot", "online"] != fact[run, "boot", "cpus"])
			bad = bad fact[run, "boot", "online"] + 0 " of " fact[run, "boot", "cpus"] " in VM " run ", "
	verdict(bad, "all vCPUs came up")

	verdict(paging[1] == "nested" && paging[2] == "shadow" && paging[3] == "nested" && \
		n[3, "after", "total"] ? "" : "there are not three of them",
		"three VMs ran to their end, nested, shadow, and nested paging")

	NESTED = "EPT_VIOLATION EPT_MISCONFIG npf"
	bad = ""
	for (p = 1; p <= nr_points; p++) {
		if (exits_of(2, points[p], NESTED))
			bad = bad exits_of(2, points[p], NESTED) " at " points[p] " "
		if (!exits_of(1, points[p], NESTED) || !exits_of(3, points[p], NESTED))
			bad = bad "none with nested paging at " points[p] " "
	}
	verdict(bad, isa == "vmx" ? "no EPT violation or misconfiguration under shadow paging" : \
				    "no nested page fault under shadow paging")

	SHADOW = "#PF INVLPG invlpg read_cr3 write_cr3"
	bad = ""
	for (p = 1; p <= nr_points; p++) {
		for (run = 1; run <= 3; run += 2)
			if (exits_of(run, points[p], SHADOW))
				bad = bad exits_of(run, points[p], SHADOW) " in VM " run " at " points[p] " "
		if (!exits_of(2, points[p], SHADOW))
			bad = bad "none with shadow paging at " points[p] " "
	}
	if (isa == "vmx" && (fact[1, "end", "cr3"] || fact[3, "end", "cr3"] || !fact[2, "end", "cr3"]))
		bad = bad "CR3 accesses " fact[1, "end", "cr3"] ", " fact[2, "end", "cr3"] ", " fact[3, "end", "cr3"]
	verdict(bad, "no #PF, INVLPG, or CR3 exit under nested paging")

	# What the VM asks for by an instruction, it asks for equally often in each run, and
	# what KVM emulates does not exit: with ept=0, KVM runs real-mode code, i.e. the
	# beginning of a boot, in virtual-8086 mode, and emulates what cannot run there.
	# WBINVD is there once per vCPU that is not the first; no event tells whether it was
	# emulated.  The serial line interrupts when it can send, unless its driver has just
	# looked: 4 I/O exits (IIR, LSR, MSR, IIR) or none, whenever the console is opened or
	# set, which is twice until then.  Later, one vCPU may handle such an interrupt while
	# the other one reads the counters, before the workload, or after it.
	SERIAL = 8
	nr = split("CPUID IO_INSTRUCTION io XSETBV xsetbv WBINVD wbinvd", list, " ")
	bad = bad_workload = ""
	for (i = 1; i <= nr; i++) {
		what = list[i]
		for (run = 2; run <= 3; run++) {
			diff = fixed(1, "boot", what) - fixed(run, "boot", what)
			slack = tolower(what) ~ /^io/ ? SERIAL : 0
			low = high = isa == "vmx" ? emulated(run, what) - emulated(1, what) : 0
			if (run == 2 && what == "WBINVD")
				high += fixed(1, "boot", what)
			if (diff < low - slack || diff > high + slack)
				bad = bad what " " fixed(1, "boot", what) " in VM 1, " \
				      fixed(run, "boot", what) " and " low " emulated in VM " run ", "
			diff -= fixed(1, "work", what) - fixed(run, "work", what)
			if (diff < -slack || diff > slack)
				bad_workload = bad_workload what ": " (-diff) " more in VM 1 than in VM " run ", "
		}
	}
	expect(bad, "CPUID, I/O, XSETBV, and WBINVD equal in all runs until boot is done, give or" \
		" take " SERIAL " I/O exits for interrupts of the serial line" \
		(isa == "vmx" ? ", with the " emulated(2, "CPUID") " CPUID and " emulated(2, "IO_INSTRUCTION") - \
		 emulated(1, "IO_INSTRUCTION") " I/O that KVM emulated in real mode under shadow paging" : ""))
	expect(bad_workload, "CPUID, I/O, XSETBV, and WBINVD equal in all runs during the workload, give" \
		" or take " SERIAL " I/O exits, too")

	# The same pages, handed out in another order: what was touched before differs.  A
	# quarter is no bound that follows from anything: six runs were within 12%.
	a = exits_of(1, "work", NESTED)
	b = exits_of(3, "work", NESTED)
	expect(b < 0.75 * a || b > 1.25 * a ? a " and " b : "",
		"the third VM agrees with the first: as many " \
		(isa == "vmx" ? "EPT violations" : "nested page faults") ", within a quarter")

	bad = ""
	for (run = 1; run <= 3; run++) {
		for (p = 1; p <= nr_points; p++)
			if (points[p] != "host" && (sum(run, points[p]) != n[run, points[p], "total"] || \
						    sum(run, points[p]) != header[run, points[p], "leaf_total"]))
				bad = bad "VM " run " at " points[p] ": " sum(run, points[p]) ", " \
				      n[run, points[p], "total"] " and " header[run, points[p], "leaf_total"] " "
		for (p = 1; p <= nr_points; p++)
			if (n[run, points[p], "other"])
				bad = bad "VM " run " at " points[p] ": " n[run, points[p], "other"] " of no reason "
	}
	verdict(bad, "the sum of the reasons is the total, and none is unknown")

	bad = ""
	for (run = 1; run <= 3; run++)
		for (p = 1; p <= nr_points; p++)
			if (points[p] != "host" && vectors(run, points[p]))
				bad = bad "VM " run " at " points[p] ": " vectors(run, points[p]) " "
	verdict(bad, "the sum of the vectors is that of the exits for exceptions")

	# The host read its own between two readings of the VM, and counts never decrease,
	# so it has at least the former, at most the latter, and if these are equal, the same.
	bad = ""
	for (run = 1; run <= 3; run++) {
		equal = 0
		for (i = 1; i <= nr_codes; i++) {
			c = codes[i]
			if (n[run, "boot", c] > n[run, "work", c] || n[run, "work", c] > n[run, "after", c])
				bad = bad "VM " run ": " name[c] " decreased "
			if (c ~ /^exc/)
				continue
			if (cycles[run, "host", c] < cycles[run, "work", c] || \
			    cycles[run, "host", c] > cycles[run, "after", c])
				bad = bad "VM " run ": cycles of " name[c] " " cycles[run, "host", c] \
				      " on the host, " cycles[run, "work", c] " to " \
				      cycles[run, "after", c] " in the VM "
			if (n[run, "host", c] < n[run, "work", c] || n[run, "host", c] > n[run, "after", c])
				bad = bad "VM " run ": " name[c] " " n[run, "host", c] " on the host, " \
				      n[run, "work", c] " to " n[run, "after", c] " in the VM "
			equal += n[run, "work", c] && n[run, "work", c] == n[run, "after", c]
		}
		if (header[run, "work", "mask"] != 3 || cycles[run, "work", "total"] <= 0)
			bad = bad "VM " run ": no cycles "
		if (equal < 3)
			bad = bad "VM " run ": only " equal " reasons did not change "
	}
	verdict(bad, "the host counted what the VM read")
}
