# SPDX-License-Identifier: GPL-2.0-only
#
# With read.awk: checks whether what a machine recorded of the experiment contradicts
# itself: ok, not ok or note, and the text, with a tab between.  Bounds are derived where they are stated.

function complain(check, text) { wrong[check] = wrong[check] text ", " }
function verdict(check, text)
{
	print (check in wrong ? "not ok" : "ok") "\t" text (check in wrong ? ": " wrong[check] : "")
}
# Of a VM that the laboratory does not know, or on a host that does other things as
# well, a difference is noted, and no reason to refuse all of it.
function expect(check, text)
{
	if (check in wrong && fact[1, "boot", "foreign"])
		print "note\tnot so: " text ": " wrong[check]
	else
		verdict(check, text)
}

function check_paging(run, point,   nested, shadow)
{
	nested = sum(n, run, point, NESTED)
	shadow = sum(n, run, point, SHADOW)
	if ((nested > 0) != (run != 2))
		complain("nested", nested " in VM " run " at " point)
	# The host's file has vectors on SVM alone.  On VMX, others than #PF exit under both.
	if (disk)
		shadow += sum(n, run, point, run == 2 ? "EXCEPTION_NMI|PF excp" : "PF excp")
	if ((shadow > 0) != (run == 2))
		complain("shadow", shadow " in VM " run " at " point)
}

# The reasons add up to the total.  The vectors add up to the one reason that VMX has for
# all exceptions and for NMIs, while SVM has one for each.
function check_sums(run, point,   where, i, c, exits, reasons, vectors)
{
	where = "VM " run " at " point ": "
	for (i = 1; i <= nr_codes; i++) {
		c = codes[i]
		exits = n[run, point, c]
		if (c !~ /^exc/)
			reasons += exits
		else if (isa == "vmx")
			vectors += exits
		else if (c != "exc2" && exits != n[run, point, sprintf("0x%03x", 64 + substr(c, 4))])
			complain("vectors", where name[c] " " exits)
	}
	if (isa == "vmx" && vectors + 0 != n[run, point, 0] + 0)
		complain("vectors", where vectors + 0 " of " n[run, point, 0] + 0)
	if (reasons != n[run, point, "total"] || reasons != header[run, point, "leaf_total"])
		complain("sums", sprintf("%s%.0f, %.0f and %.0f", where, reasons, n[run, point, "total"],
					 header[run, point, "leaf_total"]))
	if (n[run, point, "other"])
		complain("sums", where n[run, point, "other"] " of no reason")
	if (header[run, point, "isa"] && header[run, point, "isa"] != isa)
		complain("isa", where header[run, point, "isa"] ", not " isa)
}

# The host read its own between two readings of the VM, and counts never decrease, so it
# has at least the former, at most the latter, and if these are equal, the same.
function is_between(of, run, c, what)
{
	if (of[run, "host", c] < of[run, "work", c] || of[run, "host", c] > of[run, "after", c])
		complain("host", sprintf("VM %d: %s of %s %.0f on the host, %.0f to %.0f in the VM", run, what,
			 name[c], of[run, "host", c], of[run, "work", c], of[run, "after", c]))
}
function check_host(run,   i, c, equal)
{
	for (i = 1; i <= nr_codes; i++) {
		c = codes[i]
		if (n[run, "boot", c] > n[run, "work", c] || n[run, "work", c] > n[run, "after", c])
			complain("host", "VM " run ": " name[c] " decreased")
		if (c ~ /^exc/)
			continue
		is_between(n, run, c, "exits")
		is_between(cycles, run, c, "cycles")
		equal += n[run, "work", c] && n[run, "work", c] == n[run, "after", c]
	}
	if (header[run, "work", "mask"] != 3 || cycles[run, "work", "total"] <= 0)
		complain("host", "VM " run ": no cycles")
	if (equal < 3)
		complain("host", "VM " run ": only " equal + 0 " reasons did not change")
}

# How often the VM asked for something by an instruction
function asked(run, point, what)
{
	return sum(n, run, point, what) - (tolower(what) == "cpuid" ? reads(run, point) : 0)
}
# What KVM emulated until the host looked, when the VM did neither
function emulated(run, what)
{
	return what in EVENTS ? fact[run, "host", EVENTS[what]] - sum(n, run, "host", what) : 0
}
# What the VM asks for by an instruction, it asks for equally often in each run, and what
# KVM emulates does not exit: with ept=0, KVM runs real-mode code, i.e. the beginning of a
# boot, in virtual-8086 mode, and emulates what cannot run there.  WBINVD is there once per
# vCPU that is not the first; no event tells whether it was emulated.  The serial line
# interrupts when it can send, unless its driver has just looked: 4 I/O exits (IIR, LSR,
# MSR, IIR) or none, whenever the console is opened or set, which is twice until then.
# Later, one vCPU may handle such an interrupt while the other one reads the counters,
# before the workload, or after it.
function check_asked(run, what,   first, slack, low, high, diff)
{
	first = asked(1, "boot", what)
	slack = tolower(what) ~ /^io/ ? SERIAL : 0
	low = high = emulated(run, what) - emulated(1, what)
	if (run == 2 && what == "WBINVD")
		high += first
	diff = first - asked(run, "boot", what)
	if (diff < low - slack || diff > high + slack)
		complain("boot", what " " first " in VM 1, " first - diff " and " low " emulated in VM " run)
	diff -= asked(1, "work", what) - asked(run, "work", what)
	if (diff < -slack || diff > slack)
		complain("workload", what ": " (-diff) " more in VM 1 than in VM " run)
}

END {
	SHADOW = "#PF|INVLPG|invlpg|read_cr3|write_cr3"
	# At most 18 were seen, on Debian's kernel and a busy host.
	SERIAL = 32
	EVENTS["CPUID"] = "cpuids"
	EVENTS["IO_INSTRUCTION"] = "pios"
	vmx = isa == "vmx"
	nr = split(vmx ? "CPUID IO_INSTRUCTION XSETBV WBINVD" : "cpuid io xsetbv wbinvd", list, " ")

	if (disk)
		nr_points = split("host", points, " ")
	if (runs < 2)
		complain("end", "how many ran is not recorded")
	for (run = 1; run <= runs; run++) {
		if (fact[run, "boot", "vm"] != fact[1, "boot", "vm"])
			complain("end", "VM " run " is another one than VM 1")
		online = fact[run, "boot", "online"] + 0
		if (!disk && online != fact[run, "boot", "cpus"])
			complain("vcpus", online " of " fact[run, "boot", "cpus"] " in VM " run)
		if (paging[run] != (run == 2 ? "shadow" : "nested") ||
		    !(disk ? n[run, "host", "all"] : n[run, "after", "total"]))
			complain("end", "VM " run " did not")
		# Without unrestricted guest, CR3 exits until the VM enables paging.
		if (vmx && !(run != 2 && fact[1, "boot", "parameters"] ~ /unrestricted_guest/) &&
		    (fact[run, "end", "cr3"] > 0) != (run == 2))
			complain("shadow", fact[run, "end", "cr3"] + 0 " accesses to CR3 in VM " run)
		for (p = 1; p <= nr_points; p++) {
			check_paging(run, points[p])
			if (points[p] != "host")
				check_sums(run, points[p])
		}
		if (disk)
			continue
		check_host(run)
		for (i = 1; i <= nr && run > 1; i++)
			check_asked(run, list[i])
	}

	verdict("end", runs == 3 ? "three VMs ran to their end, nested, shadow, and nested paging" : \
				   "two VMs ran to their end, nested and shadow paging")
	verdict("nested", vmx ? "no EPT violation or misconfiguration under shadow paging" : \
				"no nested page fault under shadow paging")
	verdict("shadow", "no " (vmx && disk ? "INVLPG" : "#PF, INVLPG,") " or CR3 exit under nested paging")
	if (disk)
		exit
	verdict("isa", "each VM is of one kind")
	verdict("vcpus", "all vCPUs came up")
	expect("boot", "CPUID, I/O, XSETBV, and WBINVD equal in all runs until boot is done, give or" \
		" take " SERIAL " I/O exits for interrupts of the serial line" \
		(vmx ? ", with the " emulated(2, "CPUID") " CPUID and " emulated(2, "IO_INSTRUCTION") - \
		 emulated(1, "IO_INSTRUCTION") " I/O that KVM emulated in real mode under shadow paging" : ""))
	expect("workload", "CPUID, I/O, XSETBV, and WBINVD equal in all runs during the workload, give" \
		" or take " SERIAL " I/O exits, too")
	# What the guest touched before, and what the host backs with huge pages, differs from run
	# to run, and no bound follows: the third VM is shown beside the first one.
	if (runs == 3)
		print "note\twith nested paging again, the third VM had " sum(n, 3, "work", NESTED) " " \
		(vmx ? "EPT violations" : "nested page faults") " during the workload, the first one " \
		sum(n, 1, "work", NESTED)
	verdict("sums", "the sum of the reasons is the total, and none is unknown")
	verdict("vectors", "the sum of the vectors is that of the exits for exceptions")
	verdict("host", "the host counted what the VM read")
}
