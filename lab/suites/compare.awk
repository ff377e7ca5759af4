# SPDX-License-Identifier: GPL-2.0-only
#
# Prints how the cases of two kernels differ: kernel (unpatched or patched), machine and
# setting, test, case, result, why not, what it says of its cases.  Exits with 1 if something is worse when patched.

BEGIN { FS = "\t" }

# A test has come to the worst of its cases, and passed if one did.
function rank(result) { return index("skip pass fail timeout hang", result) }
{
	key = $2 SUBSEP $3
	id = $1 SUBSEP key
	if (!(id in outcome) || rank($5) > rank(outcome[id]))
		outcome[id] = $5
	if ($4 != "-")
		number[id, $5]++
	if ($7 != "-")
		says[id] = $7
	if ($6 != "-" && $5 != "pass" && ($5 != "skip" || $4 == "-") && why[id] == "")
		why[id] = $6
	if (!seen["setting " $2]++)
		settings[++nr_settings] = $2
	if (!seen["test " $3]++)
		tests[++nr_tests] = $3
	ran[$1, $2] = 1
}

# What is said of a test, with how many of its cases passed, failed, and were skipped
function said(id,   cases)
{
	if (!(id in outcome))
		return ""
	cases = number[id, "pass"] + number[id, "fail"] + number[id, "skip"] ? \
		number[id, "pass"] + 0 "/" number[id, "fail"] + 0 "/" number[id, "skip"] + 0 : says[id]
	return outcome[id] (cases == "" ? "" : " (" cases ")")
}

function totals(   id, part, count, what, i, k, j, line)
{
	for (id in outcome) {
		split(id, part, SUBSEP)
		if (part[3] ~ / \(again\)$/)
			continue
		count[part[1], part[2], outcome[id]]++
	}
	split("unpatched patched", part, " ")
	split("pass fail timeout hang skip", what, " ")
	print "| machine | kernel | passed | failed | timed out | hung | skipped |"
	print "|---|---|---|---|---|---|---|"
	for (i = 1; i <= nr_settings; i++) {
		for (k = 1; k <= 2; k++) {
			line = "| " settings[i] " | " part[k] " |"
			for (j = 1; j <= 5; j++)
				line = line " " count[part[k], settings[i], what[j]] + 0 " |"
			print line
		}
	}
}

function differences(   i, j, key, before, after, added, again)
{
	for (j = 1; j <= nr_tests; j++) {
		for (i = 1; i <= nr_settings; i++) {
			key = settings[i] SUBSEP tests[j]
			before = said("unpatched" SUBSEP key)
			after = said("patched" SUBSEP key)
			if (before == after || tests[j] ~ / \(again\)$/)
				continue
			if (before == "" && outcome["patched", key] ~ /pass|skip/) {
				added = added "- " settings[i] ", " tests[j] ": " after "\n"
				continue
			}
			again = outcome["patched", key " (again)"]
			if (outcome["unpatched", key] == "pass" && outcome["patched", key] != "pass" && again != "pass")
				worse++
			print "- " settings[i] ", " tests[j] ": " (before == "" ? "absent" : before) \
				", with the patches " (after == "" ? "absent" : after) \
				(again == "pass" ? ", and passed when repeated" : "")
			different++
		}
	}
	if (!different)
		print "None."
	if (added)
		print "\n## Only with the patches\n\n" added
}

# A line for each reason that a test does not pass, with the settings of which it is true
function reasons(   i, j, key, what, n, k, where, order)
{
	print "| test | machine | outcome | reason |"
	print "|---|---|---|---|"
	for (j = 1; j <= nr_tests; j++) {
		n = 0
		split("", where)
		for (i = 1; i <= nr_settings; i++) {
			key = "unpatched" SUBSEP settings[i] SUBSEP tests[j]
			if (outcome[key] == "" || outcome[key] == "pass")
				continue
			what = outcome[key] " | " why[key]
			if (!(what in where))
				order[++n] = what
			where[what] = where[what] (where[what] == "" ? "" : ", ") settings[i]
		}
		for (k = 1; k <= n; k++) {
			# Both settings of a machine
			gsub(/vmx ept=1, vmx ept=0/, "vmx", where[order[k]])
			gsub(/svm npt=1, svm npt=0/, "svm", where[order[k]])
			print "| " tests[j] " | " where[order[k]] " | " order[k] " |"
		}
	}
}

END {
	print "# " title "\n"
	totals()
	print "\n## Differences\n"
	differences()
	print "\n## Not passed on the unpatched kernel\n"
	reasons()
	for (i = 1; i <= nr_settings; i++)
		if (!ran["unpatched", settings[i]] || !ran["patched", settings[i]]) {
			print settings[i] ": no test ran on one of the kernels" > "/dev/stderr"
			worse++
		}
	if (!nr_tests || ("test the laboratory" in seen)) {
		print nr_tests ? "the laboratory itself failed, see above" : "no test ran" > "/dev/stderr"
		worse++
	}
	exit worse > 0
}
