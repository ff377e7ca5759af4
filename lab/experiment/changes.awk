# SPDX-License-Identifier: GPL-2.0-only
#
# With read.awk: prints the section of experiment.md about one machine, and writes what its
# picture shows to the file PICTURE.  Adds rows of split.tsv to the file ROWS.
#   machine

function times(run, code) { return group(n[run, at, code]) }
function per_exit(run, code) {
	return n[run, at, code] ? cycles[run, at, code] / n[run, at, code] : 0
}
function cost(run, code) { return n[run, at, code] ? group(per_exit(run, code)) : "-" }
function most(code) {
	return n[1, at, code] > n[2, at, code] ? n[1, at, code] : n[2, at, code]
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
function worth_a_line(code) { return most(code) >= 10 && code !~ /^exc/ }
# why(KIND, NAMES, TEXT): reasons A|B|C are for paging, depend on time, or are asked for
function why(what, list, text,   nr, i, part) {
	names[what] = names[what] (names[what] ? "|" : "") list
	nr = split(list, part, "|")
	for (i = 1; i <= nr; i++) {
		kind[part[i]] = what
		reason[part[i]] = text
	}
}
function say(section, code, text) {
	said[section] = said[section] "- **" name[code] "** " text \
			(reason[name[code]] ? ": " reason[name[code]] : "") ".\n"
}
function write_picture(   i, c, y) {
	for (i = nr_codes; i >= 1; i--) {
		c = codes[i]
		if (worth_a_line(c))
			printf "%d\t%s\t%.0f\t%.0f\t%.0f\t%.0f\n", y++, name[c], n[1, at, c], per_exit(1, c),
			       n[2, at, c], per_exit(2, c) >PICTURE
	}
}
function write_rows(run,   i, c) {
	for (i = 1; i <= nr_codes; i++) {
		c = codes[i]
		if (n[run, at, c])
			printf "%s\t%s\t%s\t%s\t%.0f\t%.0f\n", isa, run == 1 ? "tdp" : "shadow", c, name[c],
			       n[run, at, c], cycles[run, at, c] >>ROWS
	}
}
function write_table(   i, c) {
	print "| code | name | nested | shadow |" (runs == 3 ? " nested again |" : "") " cycles/exit, nested | cycles/exit, shadow |"
	print "|---|---|--:|--:|" (runs == 3 ? "--:|" : "") "--:|--:|"
	name["total"] = ""
	codes[nr_codes + 1] = "total"
	for (i = 1; i <= nr_codes + 1; i++) {
		c = codes[i]
		printf "| %s | %s | %s | %s |%s %s | %s |\n", c, name[c], times(1, c), times(2, c),
		       runs == 3 ? " " times(3, c) " |" : "", cost(1, c), cost(2, c)
	}
}
function explain(c,   a, b, both, more) {
	a = n[1, at, c]
	b = n[2, at, c]
	both = group(a) " and " group(b)
	if (kind[name[c]] == "asked") {
		if (!disk && tolower(name[c]) == "cpuid")
			more = ", of which kvm_exits itself " reads(1, "work") " and " reads(2, "work") \
			       ", all else " group(a - reads(1, "work")) " and " group(b - reads(2, "work"))
		say("asked", c, both " times" more)
	} else if (kind[name[c]] == "time") {
		say("time", c, both (runs == 3 ? ", again " times(3, c) : "") " times; a second " group(a / t[1]) " and " \
			       group(b / t[2]) (runs == 3 ? ", again " group(n[3, at, c] / t[3]) : ""))
	} else if (kind[name[c]] != "paging") {
		say("other", c, both " times")
	} else if (!b) {
		say("gone", c, group(a) " times, with shadow paging never")
	} else {
		more = a ? "" : " times"
		if (name[c] == "EXCEPTION_NMI" && !disk)
			more = more ", of which #PF " times(2, "exc14")
		if (name[c] == "CR_ACCESS")
			more = more " (CR3, until the end of the VM: " fact[1, "end", "cr3"] " and " \
			       group(fact[2, "end", "cr3"]) ")"
		say("new", c, (a ? group(a) " times" : "never") ", with shadow paging " group(b) more)
	}
}

END {
	why("paging", "EPT_VIOLATION", "the VM touched a guest-physical page that KVM had not mapped yet")
	why("paging", "npf", "the VM touched a guest-physical page that KVM had not mapped yet, or memory of a device")
	why("paging", "EPT_MISCONFIG", "the VM accessed memory of a device, which KVM marks to exit each time")
	why("paging", "EXCEPTION_NMI|PF excp", "KVM maintains the page tables that the processor uses, so every page fault comes to KVM first, to be repaired there, to be emulated if the memory is that of a device, or to be passed on to the VM")
	why("paging", "INVLPG|invlpg", "the VM changed a page table entry, and KVM has to forget what it derived from it")
	why("paging", "INVPCID|invpcid", "the VM dropped the translations of a whole address space, or of all")
	why("paging", "write_cr3", "the VM switched to the page tables of another process, and KVM has to switch to its shadow of these")
	why("paging", "read_cr3", "the register holds the address of the shadow page tables, so KVM tells the VM its own")
	why("paging", "CR_ACCESS", "all control registers have this one reason; the VM accessed CR0 and CR4 under both settings, and under shadow paging also CR3, mostly to switch to the page tables of another process")
	why("paging", "read_cr0|write_cr0|cr0_sel_write", "the VM accessed CR0, e.g. to enter or to leave protected mode; with shadow paging, KVM shows it another one than the processor has, so that each access exits")
	why("time", "EXTERNAL_INTERRUPT|interrupt", "an interrupt of the host came while the VM ran, of its timer most of all; while KVM runs, it is no exit")
	why("time", "INTERRUPT_WINDOW|vintr", "the VM could take an interrupt that KVM had waiting for it")
	why("time", "HLT|hlt|idle-halt", "a vCPU had nothing to do")
	why("time", "PREEMPTION_TIMER", "the timer of the VM expired")
	why("time", "MSR_WRITE|msr", "mostly the VM setting its timer, or interrupting another vCPU")
	why("time", "PAUSE_INSTRUCTION|pause", "a vCPU waited in a loop for another one, which did not run")
	why("asked", "CPUID|cpuid|IO_INSTRUCTION|io", "")

	at = disk ? "host" : "work"
	for (run = 1; run <= runs && disk; run++) {
		n[run, at, "total"] = n[run, at, "all"]
		cycles[run, at, "total"] = sum(cycles, run, at, ".*")
	}
	write_rows(1)
	write_rows(2)
	sort_codes()
	write_picture()
	for (run = 1; run <= runs; run++)
		t[run] = fact[run, "work", "uptime"] > 0 ? fact[run, "work", "uptime"] : 1
	for (i = 1; i <= nr_codes; i++)
		if (worth_a_line(codes[i]))
			explain(codes[i])

	print "\n### Sample of the counts, with and without " (isa == "vmx" ? "ept" : "npt") "\n"
	print "From the creation of the VM " (disk ? "until it was ready." : "to the end of its work.") "\n"
	print "![Exits by reason, and their cost](experiment-" machine ".svg)\n"
	write_table()
	print "\n### What changed between the two runs?\n"
	print "With nested paging, the VM owns its page tables, and the processor translates twice:" \
	      " with these, and with those of KVM. KVM notices only what it has not mapped.\n"
	print said["gone"]
	print "With shadow paging, the processor uses page tables that KVM derives from those of the VM," \
	      " and KVM must notice when a change of these takes effect.\n"
	print said["new"]
	printf "By the clock of the %s after %.2f s with nested paging, %.2f s with shadow paging%s. Interrupts," \
	       " timers and waiting depend on time, and differ between two equal runs, too:\n\n",
	       disk ? "host, the VM was ready" : "VM, its work ended", t[1], t[2],
	       runs == 3 ? sprintf(", and %.2f s with nested paging again", t[3]) : ""
	print said["time"]
	print "What the VM asks for by an instruction" (disk ? "" : " has nothing to do with paging") ":\n"
	print said["asked"]
	if (said["other"])
		print "The rest:\n\n" said["other"]
	if (isa == "vmx")
		print "With ept=0 there is no unrestricted guest either: KVM runs real-mode code, i.e. the" \
		      " beginning of a boot, in virtual-8086 mode, and emulates what cannot run there." \
		      " What is emulated does not exit: hence a few exits less until boot is done.\n"
	for (run = 1; run <= 2; run++) {
		spent[run] = sum(cycles, run, at, names["paging"])
		busy = cycles[run, at, "total"] - sum(cycles, run, at, "HLT|hlt|idle-halt")
		share[run] = 100 * spent[run] / busy
	}
	printf "Exits for page faults of any kind, INVLPG, INVPCID, and control registers took %s cycles with" \
	       " nested paging (%.0f%% of the cycles of all exits but those of a halted vCPU) and %s with" \
	       " shadow paging (%.0f%%).\n\n", group(spent[1]), share[1], group(spent[2]), share[2]
	print "Reasons with fewer than 10 exits are in the table only.\n"
	for (run = 1; run <= runs && !disk; run++) {
		boot = n[run, "boot", "total"]
		printf "With %s paging%s, the VM exited %s times to boot, and %s times for its work.\n",
		       paging[run], run == 3 ? " again" : "", group(boot), group(n[run, at, "total"] - boot)
	}
	print "\n### Checked before this was written\n"
}
