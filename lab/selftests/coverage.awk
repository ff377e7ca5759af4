# SPDX-License-Identifier: GPL-2.0-only
#
# usage: awk -f lab/selftests/coverage.awk not-triggered vmx.h svm.h triggers.tsv...
#
# Prints isa, code, name, and result of all exit reasons that the kernel's uapi headers name,
# and of all exception vectors, with tabs between: "triggered", or why not.  An exception is
# an exit reason as well, one for all on VMX, one for each on SVM.  A reason counts as
# triggered if one case triggered it, under one of the settings.

BEGIN { FS = OFS = "\t" }

function rank(result)
{
	return result == "triggered" ? 3 : result == "its case did not pass" ? 2 : 1
}

function note(isa, code, result)
{
	if (!((isa, code) in results) || rank(result) >= rank(results[isa, code]))
		results[isa, code] = result
}

function show(isa, code, name, why)
{
	if ((isa, code) in results)
		why = results[isa, code]
	print isa, code, name, why == "" ? "no case triggers it" : why
}

# What an exception's exit code is on SVM
function exception(vector) { return sprintf("0x%03x", 64 + vector) }

FNR == 1 { header = FILENAME ~ /vmx\.h$/ ? "vmx" : FILENAME ~ /svm\.h$/ ? "svm" : "" }

# #define EXIT_REASON_CPUID 10
header && /^#define[ \t]/ {
	split($0, word, /[ \t]+/)
	value[word[2]] = tolower(word[3])
	sub(/ull$/, "", value[word[2]])
	if (value[word[2]] == "-1")
		value[word[2]] = "0xffffffff"
}
# { EXIT_REASON_CPUID, "CPUID" }, or { SVM_EXIT_EXCP_BASE + UD_VECTOR, "UD excp" }
header && match($0, /\{ *[A-Z0-9_]+( \+ [A-Z]+_VECTOR)?,[ \t]*"[^"]+" *\}/) {
	split(substr($0, RSTART, RLENGTH), part, "\"")
	split(part[1], word, /[{, \t]+/)
	# Not a flag of exit reasons
	if (header == "vmx" && value[word[2]] ~ /^0x/)
		next
	n = ++known[header]
	name[header, n] = part[2]
	code[header, n] = value[word[2]]
	if (sub(/_VECTOR$/, "", word[4]))
		code[header, n] = exception(vector_of["#" word[4]])
}
header || /^#/ { next }

$1 == "exc" {
	vectors[++nr_vectors] = $2
	vector_name[$2] = $3
	vector_of[$3] = $2
	why_not["exc", $2] = $4
	next
}
NF == 3 { why_not[$1, $2] = $3; next }

# isa, code, case, result
{
	if (!($1 in seen)) {
		seen[$1]
		isas[++nr_isas] = $1
	}
	note($1, $2, $4)
	if ($2 ~ /^exc/)
		note($1, $1 == "vmx" ? 0 : exception(substr($2, 4)), $4)
}

END {
	for (i = 1; i <= nr_isas; i++) {
		isa = isas[i]
		for (k = 1; k <= known[isa]; k++)
			show(isa, code[isa, k], name[isa, k], why_not[isa, name[isa, k]])
		for (k = 1; k <= nr_vectors; k++)
			show(isa, "exc" vectors[k], vector_name[vectors[k]], why_not["exc", vectors[k]])
	}
}
