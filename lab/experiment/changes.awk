# SPDX-License-Identifier: GPL-2.0-only
#
# With read.awk: prints the section of experiment.md about one machine, and writes what its
# picture shows to the file PICTURE, and rows of split.tsv to the file ROWS.
#   date     when it ran

function group(x,   s, tail) {
	s = sprintf("%.0f", x)
	while (length(s) > 3) {
		tail = "," substr(s, length(s) - 2) tail
		s = substr(s, 1, length(s) - 3)
	}
	return s tail
}
function per_exit(run, code) {
	return n[run, "work", code] ? group(cycles[run, "work", code] / n[run, "work", code]) : "-"
}
function most(code) {
	return n[1, "work", code] > n[2, "work", code] ? n[1, "work", code] : n[2, "work", code]
}
# Sorts codes by the number of exits, vectors last.
function sort_codes(   i, j, c) {
	for (i = 2; i <= nr_codes; i++) {
		c = codes[i]
		for (j = i; j > 1 && key(codes[j - 1]) < key(c); j--)
			codes[j] = codes[j - 1]
		codes[j] = c
	}
}
function key(code) { return most(code) - (code ~ /^exc/ ? 1e15 : 0) }
function why(text, list,   nr, i, names) {
	nr = split(list, names, ",")
	for (i = 1; i <= nr; i++)
		reason[names[i]] = text
}
function line(code, text) {
	return "- **" name[code] "** " text (name[code] in reason ? ": " reason[name[code]] : "") ".\n"
}
function write_picture(   i, c, run, y) {
	for (i = nr_codes; i >= 1; i--) {
		c = codes[i]
		if (c ~ /^exc/ || most(c) < 10)
			continue
		printf "%d\t%s", y++, name[c] >PICTURE
		for (run = 1; run <= 2; run++)
			printf "\t%.0f\t%.0f", n[run, "work", c], \
			       n[run, "work", c] ? cycles[run, "work", c] / n[run, "work", c] : 0 >PICTURE
		print "" >PICTURE
	}
}
function write_rows(   i, run) {
	for (run = 1; run <= 2; run++)
		for (i = 1; i <= nr_codes; i++)
			if (n[run, "work", codes[i]])
				printf "%s\t%s\t%s\t%s\t%.0f\t%.0f\n", isa,
				       paging[run] == "nested" ? "tdp" : "shadow", codes[i], name[codes[i]],
				       n[run, "work", codes[i]], cycles[run, "work", codes[i]] >ROWS
}

END {
	write_rows()
	why("the VM touched a guest-physical page that KVM had not mapped yet", "EPT_VIOLATION")
	why("the VM touched a guest-physical page that KVM had not mapped yet, or memory of a device", "npf")
	why("the VM accessed memory of a device, which KVM marks to exit each time", "EPT_MISCONFIG")
	why("KVM maintains the page tables that the processor uses, so every page fault comes to KVM first, to be repaired there, to be emulated if the memory is that of a device, or to be passed on to the VM", "EXCEPTION_NMI,PF excp")
	why("the VM changed a page table entry, and KVM has to forget what it derived from it", "INVLPG,invlpg")
	why("the VM dropped the translations of a whole address space, or of all", "INVPCID")
	why("the VM switched to the page tables of another process, and KVM has to switch to its shadow of these", "write_cr3")
	why("the register holds the address of the shadow page tables, so KVM tells the VM its own", "read_cr3")
	why("all control registers have this one reason; the VM accessed CR0 and CR4 under both settings, and under shadow paging also CR3, mostly to switch to the page tables of another process", "CR_ACCESS")
	why("an interrupt of the host came while the VM ran, of its timer most of all; while KVM runs, it is no exit", "EXTERNAL_INTERRUPT,interrupt")
	why("the VM could take an interrupt that KVM had waiting for it", "INTERRUPT_WINDOW,vintr")
	why("a vCPU had nothing to do", "HLT,hlt")
	why("the timer of the VM expired", "PREEMPTION_TIMER")
	why("mostly the VM setting its timer, or interrupting another vCPU", "MSR_WRITE,msr")
	why("a vCPU waited in a loop for another one, which did not run", "PAUSE_INSTRUCTION,pause")
	TIME = " EXTERNAL_INTERRUPT interrupt INTERRUPT_WINDOW vintr HLT hlt PREEMPTION_TIMER MSR_WRITE msr PAUSE_INSTRUCTION pause "

	sort_codes()
	write_picture()
	on = isa == "vmx" ? "kvm_intel ept=1" : "kvm_amd npt=1"
	off = isa == "vmx" ? "kvm_intel ept=0" : "kvm_amd npt=0"
	print "\n## " (isa == "vmx" ? "Intel VMX" : "AMD SVM") ": " on " and " off "\n"
	print "The VM has " fact[1, "boot", "cpus"] " vCPUs and " fact[1, "boot", "mem"] " MiB of memory, and ran on " date ".\n"
	print "![Exits by reason, and their cost](experiment-" machine ".svg)\n"
	print "| code | name | nested | shadow | nested again | cycles/exit, nested | cycles/exit, shadow |"
	print "|---|---|--:|--:|--:|--:|--:|"
	for (i = 1; i <= nr_codes + 1; i++) {
		c = i > nr_codes ? "total" : codes[i]
		printf "| %s | %s | %s | %s | %s | %s | %s |\n", c, c == "total" ? "" : name[c],
		       group(n[1, "work", c]), group(n[2, "work", c]), group(n[3, "work", c]),
		       per_exit(1, c), per_exit(2, c)
	}

	for (run = 1; run <= 3; run++)
		t[run] = fact[run, "work", "uptime"]
	for (i = 1; i <= nr_codes; i++) {
		c = codes[i]
		a = n[1, "work", c]
		b = n[2, "work", c]
		if (most(c) < 10 || c ~ /^exc/)
			continue
		if (name[c] == "CPUID" || name[c] == "cpuid") {
			instructions = instructions line(c, group(a) " and " group(b) " times, of which kvm_exits itself " \
				reads_by_reader(1, "work") " and " reads_by_reader(2, "work") ", all else " \
				group(a - reads_by_reader(1, "work")) " and " group(b - reads_by_reader(2, "work")))
		} else if (name[c] == "IO_INSTRUCTION" || name[c] == "io") {
			instructions = instructions line(c, group(a) " and " group(b) " times")
		} else if (index(TIME, " " name[c] " ")) {
			longer = longer line(c, group(a) " and " group(b) ", again " group(n[3, "work", c]) " times; a second " \
				group(a / t[1]) " and " group(b / t[2]) ", again " group(n[3, "work", c] / t[3]))
		} else if (!(name[c] in reason)) {
			other = other line(c, group(a) " and " group(b) " times")
		} else if (!b) {
			gone = gone line(c, group(a) " times, with shadow paging never")
		} else if (!a) {
			new = new line(c, "never, with shadow paging " group(b) " times" \
				(name[c] == "EXCEPTION_NMI" ? ", of which #PF " group(n[2, "work", "exc14"]) : ""))
		} else {
			new = new line(c, group(a) " times, with shadow paging " group(b) \
				(name[c] == "CR_ACCESS" ? " (CR3, until the end of the VM: " \
				fact[1, "end", "cr3"] " and " group(fact[2, "end", "cr3"]) ")" : ""))
		}
	}

	print "\n### What changed, and why?\n"
	print "With nested paging, the VM owns its page tables, and the processor translates twice:" \
	      " with these, and with those of KVM. KVM notices only what it has not mapped.\n"
	printf "%s\n", gone
	print "With shadow paging, the processor uses page tables that KVM derives from those of the VM," \
	      " and KVM must notice when a change of these takes effect.\n"
	printf "%s\n", new
	printf "By the clock of the VM, the workload ended after %.2f s with nested paging, %.2f s with shadow" \
	       " paging, and %.2f s with nested paging again. Interrupts, timers and waiting depend on time, and" \
	       " differ between two equal runs, too:\n\n", t[1], t[2], t[3]
	printf "%s\n", longer
	print "What the VM asks for by an instruction has nothing to do with paging:\n"
	printf "%s\n", instructions
	if (other)
		printf "The rest:\n\n%s\n", other
	if (isa == "vmx")
		print "With ept=0 there is no unrestricted guest either: KVM runs real-mode code, i.e. the" \
		      " beginning of a boot, in virtual-8086 mode, and emulates what cannot run there." \
		      " What is emulated does not exit: hence a few exits less until boot is done," \
		      " and none less during the workload.\n"
	a = paging_cycles(1)
	b = paging_cycles(2)
	printf "Exits for page faults of any kind, INVLPG, INVPCID, and control registers took %s cycles with" \
	       " nested paging (%.0f%% of the cycles of all exits but those of a halted vCPU) and %s with" \
	       " shadow paging (%.0f%%).\n\n",
	       group(a), 100 * a / busy(1), group(b), 100 * b / busy(2)
	print "Reasons with fewer than 10 exits are in the table only.\n"
	print "How often the VM exited only to boot, and for the workload alone:\n"
	print "| | nested | shadow | nested again |"
	print "|---|--:|--:|--:|"
	for (p = 1; p <= 2; p++) {
		printf "| %s |", p == 1 ? "until boot was done" : "during the workload"
		for (run = 1; run <= 3; run++)
			printf " %s |", group(n[run, points[p], "total"] - (p == 2 ? n[run, "boot", "total"] : 0))
		print ""
	}
	print "\n### Checked before this was written\n"
}
function paging_cycles(run,   i, total) {
	for (i = 1; i <= nr_codes; i++)
		if (name[codes[i]] ~ /^(EPT_VIOLATION|EPT_MISCONFIG|npf|EXCEPTION_NMI|PF excp|INVLPG|invlpg|INVPCID|CR_ACCESS|read_cr3|write_cr3)$/)
			total += cycles[run, "work", codes[i]]
	return total
}
function busy(run,   i, total) {
	total = cycles[run, "work", "total"]
	for (i = 1; i <= nr_codes; i++)
		if (name[codes[i]] ~ /^(HLT|hlt)$/)
			total -= cycles[run, "work", codes[i]]
	return total
}
