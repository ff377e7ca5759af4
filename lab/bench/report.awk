# SPDX-License-Identifier: GPL-2.0-only
#
# Prints the tables of bench.md from bench.tsv, and writes what its picture shows to the
# file PICTURE.  Figures that lack are named on stderr, and are an error.
#   unit     instructions or cycles
#   LIMITS   lab/bench/limits.tsv, for what is to be met

BEGIN {
	FS = "\t"
	nr_configs = split("unpatched default guest timed tracepoints hist perf bpf", configs, " ")
	nr_exits = split("cpuid wrmsr_fastpath pio_userspace ept_violation npf shadow_pf", exits, " ")
	nr_created = split("guest created-2 created-8 created-64 created-256", created, " ")
	label["unpatched"] = "1 without the patches"
	label["default"] = "2 with the patches"
	label["guest"] = "3 guest leaves shown"
	label["timed"] = "4 exits timed"
	label["tracepoints"] = "5 kvm_exit, kvm_entry in the ring buffer"
	label["hist"] = "6 hist:keys=exit_reason"
	label["perf"] = "7 perf kvm stat record"
	label["bpf"] = "8 BPF, per-CPU array"
	vendor["vmx"] = "Intel VMX"
	vendor["svm"] = "AMD SVM"
	while ((getline line < LIMITS) > 0) {
		split(line, part, "\t")
		if (part[2] == "*" && part[3] == "*") {
			limit[part[1], "counting"] = part[4]
			limit[part[1], "timing"] = part[5]
		}
	}
}
FNR > 1 {
	v[$1, $2, $3] = $4
	if (!isa[$1]++)
		isas[++nr_isas] = $1
}

# What is missing or not a number would look like an exit that costs nothing
function need(i, config, what)
{
	if (v[i, config, what] ~ /^[1-9][0-9]*$/)
		return
	print "report: no figure for " what " of " vendor[i] ", " config >"/dev/stderr"
	lacks = 1
}

function needs(i,   nr_reads, nr_vcpus, reads, vcpus, c, e, k)
{
	nr_reads = split("read_total read_reason read_all_leaves host_debugfs", reads, " ")
	nr_vcpus = split("-2 -4", vcpus, " ")
	for (c = 1; c <= nr_configs; c++) {
		# A host need not have modules without the patches
		if (c == 1 && unit == "cycles" && !((i, "unpatched", "cpuid") in v))
			continue
		for (e = 1; e <= nr_exits; e++) {
			# Each vendor has its own; a host may lack them (tdp_mmu=N)
			if (exits[e] == (i == "vmx" ? "npf" : "ept_violation") ||
			    (unit == "cycles" && !((i, "default", exits[e]) in v)))
				continue
			need(i, configs[c], exits[e])
			for (k = 1; k <= nr_vcpus; k++)
				if ((c == 1 || c == 2 || c == 4) && exits[e] != "shadow_pf")
					need(i, configs[c] vcpus[k], exits[e])
		}
	}
	for (c = 1; c <= nr_created; c++)
		for (e = 1; e <= nr_reads; e++)
			need(i, created[c], reads[e])
	need(i, "default", "host_stats_fd")
	need(i, "perf", "host_perf_report")
	need(i, "perf", "host_perf_samples")
}

function header(i, base,   e, columns)
{
	printf "| |"
	for (e = 1; e <= nr_exits; e++)
		if ((i, base, exits[e]) in v) {
			printf " %s |", exits[e]
			columns = columns "---|"
		}
	print "\n|---|" columns
}

function added(i, config, base, e) { return v[i, config, exits[e]] - v[i, base, exits[e]] }

function exits_table(i,   base, c, e, counts, timed)
{
	base = ((i, "unpatched", "cpuid") in v) ? "unpatched" : "default"
	printf "\n## %s\n\n", vendor[i]
	header(i, base)
	for (c = 1; c <= nr_configs; c++) {
		if (!((i, configs[c], "cpuid") in v))
			continue
		printf "| %s |", label[configs[c]]
		for (e = 1; e <= nr_exits; e++)
			if ((i, base, exits[e]) in v)
				printf " %d%s |", v[i, configs[c], exits[e]],
				       configs[c] == base ? "" : sprintf(" (%+d)", added(i, configs[c], base, e))
		print ""
	}
	if (base == "default")
		return
	print "\nHow many times dearer than counting (2), and than timing (4), each is:\n"
	header(i, base)
	for (c = 5; c <= nr_configs; c++) {
		printf "| %s |", label[configs[c]]
		for (e = 1; e <= nr_exits; e++) {
			if (!((i, base, exits[e]) in v))
				continue
			counts = added(i, "default", base, e)
			timed = added(i, "timed", base, e)
			printf(" %s, %s |", counts > 0 ? sprintf("%.0f", added(i, configs[c], base, e) / counts) : "-",
			       timed > 0 ? sprintf("%.0f", added(i, configs[c], base, e) / timed) : "-")
		}
		print ""
	}
}

function bar(i, e, what, measured, wanted, met)
{
	printf "| %s, %s | %s | %s | %s | %s |\n", vendor[i], exits[e], what, measured, wanted,
	       met ? "met" : "MISSED"
}

function bars(i,   c, e, adds, what, times)
{
	for (e = 1; e <= nr_exits; e++) {
		if (!((i, "unpatched", exits[e]) in v))
			continue
		adds["counting"] = added(i, "default", "unpatched", e)
		adds["timing"] = added(i, "timed", "unpatched", e)
		for (what in limit_of)
			bar(i, e, what " adds", adds[what], "at most " limit[i, what], adds[what] <= limit[i, what])
		for (c = 5; c <= nr_configs; c++) {
			what = configs[c] == "tracepoints" || configs[c] == "perf" ? "timing" : "counting"
			# What costs nothing is cheaper by any factor
			times = adds[what] > 0 ? added(i, configs[c], "unpatched", e) / adds[what] : 1e9
			bar(i, e, label[configs[c]] " adds, times what " what " adds",
			    adds[what] > 0 ? sprintf("%.1f", times) : "-",
			    "at least " limit["others", what], times >= limit["others", what])
		}
	}
}

function vcpus_table(i,   c, e)
{
	for (e = 1; e < nr_exits; e++)
		for (c = 1; c <= 4; c++)
			if ((i, configs[c] "-4", exits[e]) in v)
				printf "| %s, %s | %s | %d | %d | %d |\n", vendor[i], label[configs[c]],
				       exits[e], v[i, configs[c], exits[e]],
				       v[i, configs[c] "-2", exits[e]], v[i, configs[c] "-4", exits[e]]
}

function growth(i, what, text,   c)
{
	if (!((i, "created-256", what) in v))
		return
	printf "| %s, %s |", vendor[i], text
	for (c = 1; c <= nr_created; c++)
		printf " %.0f |", v[i, created[c], what]
	printf " %.1f |\n", (v[i, "created-256", what] - v[i, "guest", what]) / 255
}

function write_picture(i,   c, e, title)
{
	for (e = 1; e <= nr_exits; e++) {
		if (!((i, "unpatched", exits[e]) in v))
			continue
		title = exits[e]
		sub("_", "\\n", title)
		printf "\"%s\\n%s\\n%d\"", toupper(i), title, v[i, "unpatched", exits[e]] >PICTURE
		for (c = 2; c <= nr_configs; c++)
			if (configs[c] != "guest")
				printf "\t%d", added(i, configs[c], "unpatched", e) >PICTURE
		print "" >PICTURE
	}
}

END {
	for (k = 1; k <= nr_isas; k++)
		needs(isas[k])
	if (lacks)
		exit 1
	printf "" >PICTURE
	for (k = 1; k <= nr_isas; k++) {
		write_picture(isas[k])
		exits_table(isas[k])
	}

	if (unit == "instructions") {
		limit_of["counting"]
		limit_of["timing"]
		print "\n## Bars\n"
		print "What is wanted of any exit. Where counting adds nothing, it is cheaper by any factor (-). What is known to be MISSED\n" \
		      "has a limit of its own in lab/bench/limits.tsv, which make check holds it to.\n"
		print "| exit | bar | measured | wanted | |\n|---|---|---|---|---|"
		for (k = 1; k <= nr_isas; k++)
			bars(isas[k])
	}

	print "\n## 1, 2, and 4 vCPUs at the same time\n"
	if (unit == "instructions")
		print "They take turns on the machine's one CPU, so this shows that no vCPU waits for another one, or\n" \
		      "repeats what another one disturbed. Which cache lines they write, Memory says.\n"
	print "| | exit | 1 | 2 | 4 |\n|---|---|---|---|---|"
	for (k = 1; k <= nr_isas; k++)
		vcpus_table(isas[k])

	print "\n## Reading everything once\n"
	print "Of a VM with one vCPU, in " unit ": the guest executes 230 CPUIDs; the host reads the stats of the\n" \
	      "vCPU with one pread(), opens, reads, and closes the debugfs file, and runs `perf kvm stat report`\n" \
	      "once, for which that takes longer the more it recorded.\n"
	print "| | guest: all leaves | host: stats | without the patches | host: debugfs | `perf kvm stat report` | exits recorded |"
	print "|---|---|---|---|---|---|---|"
	for (k = 1; k <= nr_isas; k++) {
		i = isas[k]
		printf "| %s | %.0f | %.0f | %s | %.0f | %.0f | %d |\n", vendor[i],
		       v[i, "guest", "read_all_leaves"], v[i, "default", "host_stats_fd"],
		       ((i, "unpatched", "host_stats_fd") in v) ? v[i, "unpatched", "host_stats_fd"] : "-",
		       v[i, "guest", "host_debugfs"], v[i, "perf", "host_perf_report"],
		       v[i, "perf", "host_perf_samples"]
	}
	print "\nBy number of vCPUs created:\n"
	print "| | 1 | 2 | 8 | 64 | 256 | per vCPU |\n|---|---|---|---|---|---|---|"
	for (k = 1; k <= nr_isas; k++) {
		growth(isas[k], "read_total", "leaf 0x4FFFFFFF (all exits)")
		growth(isas[k], "read_reason", "leaf 0x4FFFFFFD (one reason)")
		growth(isas[k], "read_all_leaves", "all leaves")
		growth(isas[k], "host_debugfs", "debugfs")
	}
}
