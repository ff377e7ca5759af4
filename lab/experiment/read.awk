# SPDX-License-Identifier: GPL-2.0-only
#
# Reads one machine's record of the experiment, facts.tsv and the files RUN-POINT.snapshot
# and RUN-host.tsv, for the programs beside this, which may use:
#   n[run, point, code], cycles[run, point, code], name[code]
#   codes[1..nr_codes]      exit reasons and vectors, in the order of their numbers
#   fact[run, point, name], header[run, point, name]
#   isa, paging[run] (nested or shadow), points[1..nr_points]
# mawk's %d ends at 2^31, hence %.0f.

BEGIN {
	FS = "\t"
	nr_points = split("boot work host after", points, " ")
}

function hex(digit) { return index("0123456789abcdef", digit) - 1 }

function number(code)
{
	if (code ~ /^exc/)
		return 10000 + substr(code, 4)
	if (code ~ /^0x/)
		return 256 * hex(substr(code, 3, 1)) + 16 * hex(substr(code, 4, 1)) + hex(substr(code, 5, 1))
	return code + 0
}

# The CPUIDs that kvm_exits itself had executed by then
function reads_by_reader(run, point)
{
	return header[run, "boot", "reads"] + (point == "work" ? header[run, "work", "reads"] : 0)
}

function cpuids(run, point) { return n[run, point, isa == "vmx" ? 10 : "0x072"] - reads_by_reader(run, point) }

FNR == 1 {
	file = FILENAME
	sub(/.*\//, "", file)
	split(file, part, /[-.]/)
	if (file != "facts.tsv") {
		run = part[1]
		paging[run] = part[2]
		point = part[3]
	}
}
file == "facts.tsv" {
	fact[$1, $2, $3] = $4
	next
}
/^# / {
	header[run, point, substr($1, 3)] = $2
	if ($1 == "# isa" && isa && isa != $2)
		mixed = mixed "VM " run " is of " $2 ", not of " isa " "
	if ($1 == "# isa")
		isa = $2
	next
}
NF == 4 && $1 != "code" {
	n[run, point, $1] = $3 + 0
	cycles[run, point, $1] = $4 + 0
	name[$1] = $2
	if ($1 == "total" || seen[$1]++)
		next
	for (i = ++nr_codes; i > 1 && number(codes[i - 1]) > number($1); i--)
		codes[i] = codes[i - 1]
	codes[i] = $1
}
