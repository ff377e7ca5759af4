# SPDX-License-Identifier: GPL-2.0-only
#
# Reads one machine's record of the experiment, facts.tsv and the files RUN-POINT.snapshot
# RUN-host.tsv, and RUN-phases.tsv, for the programs beside this, which may use:
#   n[run, point, code], cycles[run, point, code], name[code], where a phase is a point, too
#   codes[1..nr_codes]      exit reasons and vectors, in the order of their numbers
#   fact[run, point, name], header[run, point, name]
#   isa, paging[run] (nested or shadow), points[1..nr_points], runs, and disk, if it is one
#   of which only the host has counted
#   phases[1..nr_phases], absent[phase], and instead of an exit reason, of a phase
#   operations, cycles, faults, switches, see guest/phases.c, and exits for any reason
# mawk's %d ends at 2^31, hence %.0f.

BEGIN {
	FS = "\t"
	nr_points = split("boot work host after", points, " ")
}

# What sorts codes by their numbers, and vectors last: codes of SVM have one length
function order(code) { return (code ~ /^exc/ ? "z" : "") sprintf("%6s", code) }

# The CPUIDs that kvm_exits itself had executed by then, also before its main(), and after
# it had read the counters
function reads(run, point,   boot)
{
	boot = header[run, "boot", "startup_reads"] + header[run, "boot", "reads"]
	if (point == "boot")
		return boot
	return boot + header[run, "boot", "reads_after"] + header[run, "work", "startup_reads"] + header[run, "work", "reads"]
}

# sum(n or cycles, ...): over the reasons and vectors that have one of these names, A|B|C
function sum(of, run, point, names,   i, total)
{
	for (i = 1; i <= nr_codes; i++)
		if (name[codes[i]] ~ "^(" names ")$")
			total += of[run, point, codes[i]]
	return total + 0
}

function group(x,   s) {
	s = sprintf("%.0f", x)
	while (match(s, /[0-9][0-9][0-9][0-9](,|$)/))
		s = substr(s, 1, RSTART) "," substr(s, RSTART + 1)
	return s
}

# The names of exits that have to do with paging
BEGIN {
	NESTED = "EPT_VIOLATION|EPT_MISCONFIG|npf"
	CR3 = "CR_ACCESS|read_cr3|write_cr3"
	PAGING = NESTED "|#PF|INVLPG|invlpg|INVPCID|invpcid|" CR3
}

FNR == 1 {
	file = FILENAME
	sub(/.*\//, "", file)
	split(file, part, /[-.]/)
	run = part[1]
	paging[run] = part[2]
	point = part[3]
}
file == "facts.tsv" {
	fact[$1, $2, $3] = $4
	if ($3 == "isa")
		isa = $4
	if ($3 == "runs")
		runs = $4
	if ($3 == "disk")
		disk = $4
	next
}
point == "phases" {
	if ($2 == "absent")
		absent[$1] = $3
	else {
		n[run, $1, $2] = $3 + 0
		cycles[run, $1, $2] = $4 + 0
		if ($2 ~ /^[0-9]/)
			n[run, $1, "exits"] += $3
	}
	if (!known[$1]++)
		phases[++nr_phases] = $1
	next
}
/^# / {
	header[run, point, substr($1, 3)] = $2
	if ($1 == "# isa")
		isa = $2
	next
}
NF == 4 && $1 != "code" {
	n[run, point, $1] = $3 + 0
	if (point == "host")
		n[run, point, "all"] += $3
	cycles[run, point, $1] = $4 + 0
	name[$1] = $2
	if ($1 == "total" || seen[$1]++)
		next
	for (i = ++nr_codes; i > 1 && order(codes[i - 1]) > order($1); i--)
		codes[i] = codes[i - 1]
	codes[i] = $1
}
