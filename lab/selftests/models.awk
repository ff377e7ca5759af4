# SPDX-License-Identifier: GPL-2.0-only
#
# Reads what models.tsv has about a model, and what its boot left in the folder run; prints a
# row about that, or with parameters=y one per setting.  With tabs between:
#   machine emulator model options setting passed failed skipped triggered result why
# A setting - is all that the machine went through, and "parameters" what is wrong with the
# boot for these; triggered is how many exit reasons were.
# The result is passed, skipped (a parameter that makes no difference), known (all that failed
# is in models.tsv), or failed.

BEGIN { FS = OFS = "\t"; MOST = 3 }

# As in coverage.awk, an exception is an exit reason as well.
function reason(isa, code) { return code !~ /^exc/ ? code : isa == "vmx" ? 0 : sprintf("0x%03x", 64 + substr(code, 4)) }

function read_in(file) { return (getline <(run "/" file)) > 0 }
function add(list, item) { return list == "" ? item : index(list, item) ? list : list "; " item }
function wrong(setting, what)
{
	if (++nr_bad[setting] <= MOST)
		bad[setting] = add(bad[setting], what)
}

# What is not as it should be, what models.tsv calls it, and what is said of it
function fails(setting, what, says)
{
	if (what in known) {
		happened[what] = 1
		excused[setting] = add(excused[setting], what ": " known[what])
	} else {
		wrong(setting, what (says == "-" ? "" : ": " says))
	}
}

function row(setting,   why)
{
	why = bad[setting]
	if (nr_bad[setting] > MOST)
		why = add(why, "and " nr_bad[setting] - MOST " more")
	if (excused[setting] != "")
		why = add(why, excused[setting])
	if (remarks[setting] != "")
		why = add(why, remarks[setting])
	print machine, emulator, model, options, setting, nr[setting, "pass"] + 0,
	      nr[setting, "fail"] + nr[setting, "timeout"] + nr[setting, "hang"], nr[setting, "skip"] + 0,
	      parameters ? "-" : triggered + 0,
	      bad[setting] != "" ? "failed" : excused[setting] != "" ? "known" : nr[setting, "pass"] ? "passed" : "skipped",
	      why == "" ? "-" : why
}

$5 != "-"		{ known[$5] = $6 }
$5 == "-" && $6 != "-"	{ remarks["-"] = add(remarks["-"], $6) }

END {
	boot = parameters ? "parameters" : "-"
	# What is skipped without a parameter need not name it.
	while (parameters && (getline <plain) > 0) {
		if ($4 == "skip")
			skipped[$1, $2, $3] = 1
	}

	while (read_in("cases.tsv")) {
		setting = parameters ? $1 : boot
		if (parameters && !nr[setting, "all"]++)
			settings[++nr_settings] = setting
		nr[setting, $4]++
		test = $2 ($3 == "-" ? "" : " " $3)
		if ($4 == "skip" && $2 ~ /=/) {
			remarks[setting] = $5
			sub(/^SKIP /, "", remarks[setting])
		} else if ($4 == "skip" && parameters) {
			split(setting, part, /[,=]/)
			if (!((part[1] "=" part[2], $2, $3) in skipped) && !index($5, part[3]))
				wrong(setting, test " is skipped without naming " part[3] ": " $5)
		} else if ($4 != "pass" && $4 != "skip") {
			fails(setting, test, $5)
		}
	}
	while (read_in("triggers.tsv"))
		triggered += $4 == "triggered" && !codes[reason($1, $2)]++
	# Before panic_on_warn: Haswell has eight cores in one leaf of CPUID, and one in another.
	while (read_in("warnings")) {
		if (!/ at arch\/x86\/kernel\/(fpu\/xstate|cpu\/topology_common)\.c:/)
			wrong(boot, $0)
	}
	if (!read_in("verdict"))
		fails(boot, "absent", emulator " has no such model")
	else if ($5 != "-")
		fails(boot, "boot", $6)
	else if ($2 == 0)
		wrong(boot, "nothing passed")
	for (what in known) {
		if (!(what in happened) && !parameters)
			wrong(boot, "known and no longer so: " what)
	}

	if (!parameters || bad[boot] != "" || excused[boot] != "")
		row(boot)
	for (i = 1; i <= nr_settings; i++)
		row(settings[i])
}
