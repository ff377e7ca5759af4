# SPDX-License-Identifier: GPL-2.0-only
#
# With read.awk: checks what theory says of each phase against what a machine recorded:
# ok, not ok or note, and the text, with a tab between.
#
# To touch a page, to switch address spaces, to change a page table either exits each time
# or never, so a tenth of the operations and ten tells which.  It leaves room for the pages
# that the VM's kernel touches meanwhile.  A bound without it is exact.

# Runs 1 and, if there is one, 3 have nested, run 2 shadow paging.  They have at least LOW, and at most HIGH
# or, if that is "", any number of exits with these names, A|B|C.
function judge(run, names, low, high,   x)
{
	came[run] = x = sum(n, run, phase, names)
	if (x < low || (high != "" && x > high))
		complain(run, sprintf("%.0f exits, wanted at least %.0f%s", x, low,
				      high == "" ? "" : sprintf(", at most %.0f", high)))
}
function nested(names, low, high)
{
	judge(1, names, low, high)
	if (runs == 3)
		judge(3, names, low, high)
}
function shadow(names, low, high) { judge(2, names, low, high) }
function complain(run, text) { wrong = wrong "; VM " run ": " text }

# What the guest alone decides on is exact in any VM.  The rest is noted where other things
# may happen in the VM, or on its host.
function conclude(text, exact,   verdict)
{
	verdict = !wrong ? "ok" : exact || !foreign ? "not ok" : "note"
	print verdict "\tphase " phase ": " (verdict == "note" ? "not so: " : "") text ": " \
		came[1] ", " came[2] (runs == 3 ? ", " came[3] : "") wrong
	wrong = ""
}

END {
	foreign = fact[1, "boot", "foreign"]
	pti = fact[1, "boot", "pti"] > 0
	huge = fact[1, "boot", "thp"] != "never"

	for (i = 1; i <= nr_phases; i++) {
		phase = phases[i]
		if (phase in absent) {
			print (foreign ? "note" : "not ok") "\tphase " phase " did not run: " absent[phase]
			continue
		}
		ops = n[1, phase, "operations"]
		for (run = 2; run <= runs; run++)
			if (n[run, phase, "operations"] != ops)
				complain(run, n[run, phase, "operations"] + 0 " operations instead of " ops)
		some = ops / 10 + 10
		faults = n[2, phase, "faults"]
		switches = n[2, phase, "switches"]

		if (phase == "cpuid") {
			nested("CPUID|cpuid", ops, ops)
			shadow("CPUID|cpuid", ops, ops)
			conclude("an exit for each of " ops ", whatever the paging", 1)
		} else if (phase == "syscall" && pti) {
			nested(PAGING, 0, some)
			shadow(CR3, 2 * ops, "")
			conclude("the VM's kernel has page tables of its own (PTI), so each of " ops " calls writes CR3" \
				 " twice, which exits with shadow paging alone")
		} else if (phase == "syscall") {
			nested(PAGING, 0, some)
			shadow(PAGING, 0, some)
			conclude("the processor goes to the VM's kernel and back without KVM, hence no exits for paging")
		} else if (phase == "chase") {
			nested(PAGING, 0, some)
			shadow(PAGING, 0, some)
			conclude("all pages are mapped, and a TLB miss is the processor's business, hence no exits for paging")
		} else if (phase == "touch") {
			# 512 pages at once, where the host has mapped a huge page
			nested(NESTED, huge ? ops / 512 : ops, ops + some)
			shadow("#PF", huge ? ops / 512 : ops, ops + some)
			conclude("one EPT violation or nested page fault with nested, one #PF with shadow paging, for each of " \
				 ops " pages that the VM never touched" (huge ? ", or for each huge page of the host" : ""))
		} else if (phase == "remap") {
			nested(PAGING, 0, some)
			shadow("#PF", faults, 2 * faults + some)
			conclude("none with nested paging, as the VM has these pages already; with shadow paging each of " \
				 faults " page faults of the VM exits, and again when KVM repairs its own tables")
		} else if (phase == "process") {
			nested("#PF|INVLPG|invlpg|read_cr3|write_cr3", 0, 0)
			shadow(CR3, 2 * ops, "")
			conclude("with shadow paging each of " ops " processes writes CR3 at least twice, with nested paging" \
				 " that does not exit", 1)
		} else if (phase == "switch") {
			nested(PAGING, 0, some)
			shadow(CR3, 2 * ops, pti ? "" : switches + some)
			conclude("with shadow paging two writes of CR3 for each of " ops " round trips, and none that is not" \
				 " one of the VM's " switches " context switches; with nested paging none exits")
		} else if (phase == "file") {
			# Of 16 pages each
			nested(PAGING, 0, 16 * some)
			shadow(pti ? "#PF|INVLPG|invlpg" : PAGING, 0, 16 * some)
			conclude("the VM's kernel has all memory mapped, so pages of files change no page table" \
				 (pti ? " (its system calls write CR3, as in syscall)" : ""))
		} else if (phase == "timer") {
			# Some may be over before the vCPU can halt.
			nested("HLT|hlt|idle-halt", ops / 2, "")
			shadow("HLT|hlt|idle-halt", ops / 2, "")
			conclude("a HLT for each of " ops " sleeps, whatever the paging")
		} else if (phase == "idle") {
			# Of all its exits, which are few
			nested(PAGING, 0, n[1, phase, "exits"] / 2)
			shadow(PAGING, 0, n[2, phase, "exits"] / 2)
			conclude("who does nothing pages nothing, and exits for its timer")
		}
	}
}
