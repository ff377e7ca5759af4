# SPDX-License-Identifier: GPL-2.0-only
#
# Prints the tables of bench.md from limits.tsv, which says what is to be met, and
# bench.tsv; and writes what its picture shows to the file PICTURE.  Figures that lack are
# named on stderr, and are an error.
#   unit     instructions or cycles

BEGIN {
	FS = "\t"
	nr_configs = split("unpatched default guest timed beside tracepoints hist perf bpf bpf-raw bpf-btf", configs, " ")
	split("without the patches|with the patches|guest leaves shown|exits timed|beside a VM whose exits are timed|" \
	      "kvm_exit, kvm_entry in the ring buffer|hist:keys=exit_reason|perf kvm stat record|" \
	      "BPF on kvm_exit, by reason|BPF on raw_tp/kvm_exit, all exits|BPF on tp_btf/kvm_exit, all exits", labels, "|")
	unpatched = 1
	counting = 2
	timing = 4
	beside = 5
	others = 6
	adds[counting] = "counting adds"
	adds[timing] = "timing adds"
	adds[beside] = "a VM beside adds"
	nr_exits = split("cpuid wrmsr_fastpath pio_userspace ept_violation npf shadow_pf", exits, " ")
	nr_created = split("guest created-2 created-8 created-64 created-256", created, " ")
	vendor["vmx"] = "Intel VMX"
	vendor["svm"] = "AMD SVM"
}
FILENAME == ARGV[1] {
	if ($2 == "*" && $3 == "*") {
		limit[$1, counting] = $4
		limit[$1, timing] = $5
		limit[$1, beside] = $6
	}
	next
}
FNR > 1 {
	v[$1, $2, $3] = $4
	if (!isa[$1]++)
		isas[++nr_isas] = $1
}

# What is missing or not a number would look like an exit that costs nothing
function figure(i, config, what)
{
	if (v[i, config, what] !~ /^[1-9][0-9]*$/ && !lacks[i, config, what]++)
		print "report: no figure for " what " of " vendor[i] ", " config >"/dev/stderr"
	return v[i, config, what]
}

# Each vendor has its own page faults; a host may lack them (tdp_mmu=N)
function has(i, e)
{
	return exits[e] != (i == "vmx" ? "npf" : "ept_violation") &&
	       (unit == "instructions" || (i, "default", exits[e]) in v)
}

# Only a KVM that has BTF can be asked for its types
function known(i, c)
{
	return configs[c] != "bpf-btf" || (i, configs[c], "cpuid") in v
}

# What others are compared with: a host need not have modules without the patches
function base(i)
{
	return unit == "instructions" || (i, "unpatched", "cpuid") in v ? unpatched : counting
}

function added(i, c, e) { return figure(i, configs[c], exits[e]) - figure(i, configs[base(i)], exits[e]) }

# A column per exit, and a row per configuration
function exits_table(i,   c, e, columns)
{
	printf "\n## %s\n\n", vendor[i]
	printf "| |"
	for (e = 1; e <= nr_exits; e++)
		if (has(i, e)) {
			printf " %s |", exits[e]
			columns = columns "---|"
		}
	print "\n|---|" columns
	for (c = base(i); c <= nr_configs; c++) {
		if (!known(i, c))
			continue
		printf "| %d %s |", c, labels[c]
		for (e = 1; e <= nr_exits; e++)
			if (has(i, e))
				printf " %d%s |", figure(i, configs[c], exits[e]),
				       c == base(i) ? "" : sprintf(" (%+d)", added(i, c, e))
		print ""
	}
}

function bar(i, e, what, measured, wanted, met)
{
	printf "| %s, %s | %s | %s | %s | %s |\n", vendor[i], exits[e], what, measured, wanted,
	       met ? "met" : "MISSED"
}

function bars(i, e,   c, than, less)
{
	for (c = counting; c <= beside; c++)
		if (c in adds)
			bar(i, e, adds[c], added(i, c, e), "at most " limit[i, c], added(i, c, e) <= limit[i, c])
	for (c = others; c <= nr_configs; c++) {
		if (!known(i, c))
			continue
		than = configs[c] == "tracepoints" || configs[c] == "perf" ? timing : counting
		less = added(i, than, e)
		bar(i, e, c " " labels[c] " adds, times what " adds[than],
		    less > 0 ? sprintf("%.1f", added(i, c, e) / less) : "-",
		    "at least " limit["others", than], added(i, c, e) >= less * limit["others", than])
	}
}

function vcpus(i, e,   c)
{
	for (c = base(i); c <= timing; c++)
		if (configs[c] != "guest")
			printf "| %s, %d %s | %s | %d | %d | %d |\n", vendor[i], c, labels[c], exits[e],
			       figure(i, configs[c], exits[e]), figure(i, configs[c] "-2", exits[e]),
			       figure(i, configs[c] "-4", exits[e])
}

function growth(i, what, text,   c)
{
	printf "| %s, %s |", vendor[i], text
	for (c = 1; c <= nr_created; c++)
		printf " %.0f |", figure(i, created[c], what)
	printf " %.1f |\n", (v[i, "created-256", what] - v[i, "guest", what]) / 255
}

# In the order in which bars are drawn
function cluster(i, e,   c, drawn, k, nr_drawn, title)
{
	title = exits[e]
	sub("_", "\\n", title)
	printf "\"%s\\n%s\\n%d\"", toupper(i), title, figure(i, "unpatched", exits[e]) >PICTURE
	nr_drawn = split("2 4 9 7 6 8", drawn, " ")
	for (k = 1; k <= nr_drawn; k++)
		printf "\t%d", added(i, drawn[k], e) >PICTURE
	print "" >PICTURE
}

END {
	printf "" >PICTURE
	for (k = 1; k <= nr_isas; k++) {
		exits_table(isas[k])
		for (e = 1; e <= nr_exits; e++)
			if (has(isas[k], e) && base(isas[k]) == unpatched)
				cluster(isas[k], e)
	}

	if (unit == "instructions") {
		print "\n## Bars\n"
		print "What is wanted of any exit. Where counting adds nothing, it is cheaper by any factor (-). What is known to be MISSED\n" \
		      "has a limit of its own in lab/bench/limits.tsv, which make check holds it to.\n"
		print "| exit | bar | measured | wanted | |\n|---|---|---|---|---|"
		for (k = 1; k <= nr_isas; k++)
			for (e = 1; e <= nr_exits; e++)
				if (has(isas[k], e))
					bars(isas[k], e)
	}

	print "\n## 1, 2, and 4 vCPUs at the same time\n"
	if (unit == "instructions")
		print "They take turns on the machine's one CPU, so this shows that no vCPU waits for another one, or\n" \
		      "repeats what another one disturbed. Which cache lines they write, Memory says.\n"
	print "| | exit | 1 | 2 | 4 |\n|---|---|---|---|---|"
	for (k = 1; k <= nr_isas; k++)
		for (e = 1; e <= nr_exits; e++)
			if (has(isas[k], e) && exits[e] != "shadow_pf")
				vcpus(isas[k], e)

	print "\n## Reading everything once\n"
	print "Of a VM with one vCPU, in " unit ": the guest executes 230 CPUIDs; the host reads the stats of the\n" \
	      "vCPU with one pread(), opens, reads, and closes the debugfs file, and runs `perf kvm stat report`\n" \
	      "once, for which that takes longer the more it recorded.\n"
	print "| | guest: all leaves | host: stats | without the patches | host: debugfs " \
	      "| `perf kvm stat report` | exits recorded |"
	print "|---|---|---|---|---|---|---|"
	for (k = 1; k <= nr_isas; k++) {
		i = isas[k]
		printf "| %s | %.0f | %.0f | %s | %.0f | %.0f | %d |\n", vendor[i],
		       figure(i, "guest", "read_all_leaves"), figure(i, "default", "host_stats_fd"),
		       base(i) == unpatched ? figure(i, "unpatched", "host_stats_fd") : "-",
		       figure(i, "guest", "host_debugfs"), figure(i, "perf", "host_perf_report"),
		       figure(i, "perf", "host_perf_samples")
	}
	print "\nBy number of vCPUs created:\n"
	print "| | 1 | 2 | 8 | 64 | 256 | per vCPU |\n|---|---|---|---|---|---|---|"
	for (k = 1; k <= nr_isas; k++) {
		growth(isas[k], "read_total", "leaf 0x4FFFFFFF (all exits)")
		growth(isas[k], "read_reason", "leaf 0x4FFFFFFD (one reason)")
		growth(isas[k], "read_all_leaves", "all leaves")
		growth(isas[k], "host_debugfs", "debugfs")
	}

	for (figure_lacks in lacks)
		exit 1
}
