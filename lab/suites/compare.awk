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
	if (rank($5) > rank(outcome[id]) || !(id in outcome))
		outcome[id] = $5
	if ($4 != "-")
		number[id, $5]++
	if ($7 != "-")
		says[id] = $7
	if ($6 != "-" && $5 != "pass" && why[id] == "")
		why[id] = $6
	if ($3 == "the laboratory")
		failed[$3]
	if (!seen["setting " $2]++)
		settings[++nr_settings] = $2
	if (!seen["test " $3]++)
		tests[++nr_tests] = $3
	if (!seen["outcome " id]++)
		ran[$1, $2]++
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

function cell(kernel, s, what,   id, part, count)
{
	for (id in outcome) {
		split(id, part, SUBSEP)
		count += part[1] == kernel && part[2] == s && outcome[id] == what
	}
	return " | " count + 0
}

function totals(   i, k, kernel)
{
	print "| machine | kernel | passed | failed | timed out | hung | skipped |"
	print "|---|---|---|---|---|---|---|"
	for (i = 1; i <= nr_settings; i++) {
		for (k = 1; k <= 2; k++) {
			kernel = k == 1 ? "unpatched" : "patched"
			print "| " settings[i] " | " kernel cell(kernel, settings[i], "pass") \
				cell(kernel, settings[i], "fail") cell(kernel, settings[i], "timeout") \
				cell(kernel, settings[i], "hang") cell(kernel, settings[i], "skip") " |"
		}
	}
}

function differences(   i, j, key, before, after, added)
{
	for (j = 1; j <= nr_tests; j++) {
		for (i = 1; i <= nr_settings; i++) {
			key = settings[i] SUBSEP tests[j]
			before = said("unpatched" SUBSEP key)
			after = said("patched" SUBSEP key)
			if (before == after)
				continue
			if (before == "" && outcome["patched", key] ~ /pass|skip/) {
				added = added "- " settings[i] ", " tests[j] ": " after "\n"
				continue
			}
			if (outcome["unpatched", key] == "pass" && outcome["patched", key] != "pass")
				worse++
			print "- " settings[i] ", " tests[j] ": " (before == "" ? "absent" : before) \
				", with the patches " (after == "" ? "absent" : after)
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
	if (!nr_tests || ("the laboratory" in failed)) {
		print nr_tests ? "the laboratory itself failed, see above" : "no test ran" > "/dev/stderr"
		worse++
	}
	exit worse > 0
}
