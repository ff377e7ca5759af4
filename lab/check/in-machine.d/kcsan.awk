# SPDX-License-Identifier: GPL-2.0-only
#
# Of the kernel's log, print all but reports of KCSAN that are not about exit counters.  The
# rest of the kernel has data races of its own, most of them meant; also that KVM increments its
# stats while kvm_stats_read() copies them, with plain accesses.  svm_vcpu_run() is not
# instrumented, so who reads what it increments races with an unknown origin.
#
# usage: awk -v begin=TEXT -v others=FILE -f kcsan.awk FUNCTIONS LOG
#   begin      what the line has after which the log is judged
#   FUNCTIONS  those that are about exit counters alone; a report is about what the top
#              functions of its two accesses are about
#   others     gets the first lines of the reports that are not printed

FNR == NR { about[$1]; next }
!begun { begun = index($0, begin); next }
{ sub(/^<[0-9]+>/, "") }

/BUG: KCSAN/ { inside = 1; ours = 0; report = "" }
inside {
	if (top) {
		name = $0
		sub(/^\[[ 0-9.]*\] */, "", name)
		sub(/[+.].*/, "", name)
		if (name in about)
			ours = 1
	}
	top = / of [0-9]+ bytes by /
	report = report $0 "\n"
	if (!/\] =+$/)
		next
	inside = 0
	if (!ours) {
		sub(/\n.*/, "", report)
		print substr(report, index(report, "data-race")) >>others
		close(others)
		next
	}
	printf "%s", report
	fflush()
	next
}
{ print; fflush() }
