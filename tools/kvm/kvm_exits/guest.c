// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the counters of this VM from the CPUID leaves of KVM's exit counters, see
 * Documentation/virt/kvm/x86/exit-counters.rst.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvm_exits.h"

#define CPUID_FEATURES		1
#define CPUID_ECX_HYPERVISOR	0x80000000

#define MAX_READ_ROUNDS		100
#define MAX_TRIES		10
#define NR_PROBES		4
#define NR_STARTUPS		2

struct info {
	u32 revision;
	u32 mask;
	u32 isa;
	u32 tsc_khz;
};

static u64 nr_reads;

static void read_leaf(u32 leaf, u32 index, u32 *regs)
{
	nr_reads++;
	cpuid(leaf, index, regs);
}

static struct row read_row(u32 leaf, u32 index)
{
	u32 regs[4];

	read_leaf(leaf, index, regs);
	if (!regs[0] && !regs[1] && !regs[2] && regs[3] == UINT32_MAX)
		return (struct row) {};

	return (struct row) {
		.exits = (u64)regs[3] << 32 | regs[0],
		.cycles = (u64)regs[1] << 32 | regs[2],
		.defined = true,
	};
}

bool has_leaves(void)
{
	u32 regs[4];

	read_leaf(LEAF_SIGNATURE, 0, regs);
	return !memcmp(&regs[1], SIGNATURE, 3 * sizeof(regs[0]));
}

static void check_signature(void)
{
	u32 regs[4];

	if (has_leaves())
		return;

	read_leaf(CPUID_FEATURES, 0, regs);
	if (!(regs[2] & CPUID_ECX_HYPERVISOR))
		errx(STATUS_NO_LEAVES,
		     "this is not a virtual machine: run kvm_exits inside a guest of KVM,\n"
		     "or as root on a host that has VMs");
	errx(STATUS_NO_LEAVES,
	     "the host does not show its exit counters to this VM.\n"
	     "The host needs a kernel with exit counters, and, before the VM is started,\n"
	     "  echo 1 > /sys/module/kvm/parameters/exit_counters\n"
	     "(3 to time the exits, too), or a VMM that enables KVM_CAP_X86_EXIT_COUNTERS.");
}

static struct info read_info(void)
{
	struct info info;
	u32 regs[4];

	check_signature();
	read_leaf(LEAF_INFO, 0, regs);
	info = (struct info) { regs[0], regs[1], regs[2], regs[3] };

	/* Maybe the VM has just moved to a host that has no such leaf. */
	if (info.revision != REVISION || (info.isa != ISA_VMX && info.isa != ISA_SVM))
		check_signature();
	if (info.revision != REVISION)
		errx(EXIT_FAILURE,
		     "revision %u of the leaves is unknown to this program, which knows %u",
		     info.revision, REVISION);
	if (info.isa != ISA_VMX && info.isa != ISA_SVM)
		errx(EXIT_FAILURE, "the leaves are of an unknown vendor, %u", info.isa);

	return info;
}

/* If reads are counted for that reason, each one finds at least one more. */
static u64 growth_by_reads(u32 reason)
{
	u64 first = read_row(LEAF_REASON, reason).exits, last = first;
	int i;

	for (i = 0; i < NR_PROBES; i++)
		last = read_row(LEAF_REASON, reason).exits;

	return last > first ? last - first : 0;
}

/*
 * What reads are counted for: CPUID, but a guest whose CPUID is served by something
 * else, as in SEV-ES, has no exits for CPUID.  Of other reasons, more than one may
 * grow if the guest is busy.
 */
static int find_own_row(const struct table *t)
{
	int i, cpuid_row = t->is_svm ? SVM_CPUID : VMX_CPUID, own = ROW_OTHER;
	u64 growth, least = UINT64_MAX;

	if (growth_by_reads(row_to_reason(t, cpuid_row)) >= NR_PROBES)
		return cpuid_row;

	for (i = nr_reasons(t) - 1; i >= 0 && least > NR_PROBES; i--) {
		growth = growth_by_reads(row_to_reason(t, i));
		if (growth >= NR_PROBES && growth < least) {
			least = growth;
			own = i;
		}
	}

	return own;
}

static u64 nr_exceptions(const struct table *t)
{
	struct row sum;

	if (!t->is_svm)
		return t->rows[VMX_EXCEPTION_NMI].exits;

	sum_rows(t, SVM_EXCEPTIONS, SVM_EXCEPTIONS + NR_VECTORS, &sum);
	return sum.exits;
}

/* Return false if there are fewer exits than before, i.e. if counting started over. */
static bool update_row(struct table *t, int row, u32 leaf, u32 index)
{
	u64 before = t->rows[row].exits;

	t->rows[row] = read_row(leaf, index);
	return t->rows[row].exits >= before;
}

/*
 * The row that reads are counted in is read last but for the total, which has one
 * more of them.
 *
 * On VMX, vectors are not part of the sum.  Read them after the reason that includes
 * them, and again if that has changed: if no such exit was missed from its last
 * reading to the total, none was from the reading of the vectors to the total.
 */
static bool read_round(struct table *t, bool all)
{
	bool grew = true;
	int i;

	for (i = 0; i < ROW_OTHER; i++) {
		if (i != t->own_row && t->rows[i].defined && (all || t->rows[i].exits))
			grew &= update_row(t, i, LEAF_REASON, row_to_reason(t, i));
	}

	if (all || t->vectors_at != nr_exceptions(t)) {
		t->vectors_at = nr_exceptions(t);
		for (i = 0; i < NR_VECTORS; i++)
			grew &= update_row(t, ROW_VECTORS + i, LEAF_VECTOR, i);
	}

	if (t->own_row != ROW_OTHER)
		grew &= update_row(t, t->own_row, LEAF_REASON, row_to_reason(t, t->own_row));
	grew &= update_row(t, ROW_TOTAL, LEAF_TOTAL, 0);

	if (t->own_row != ROW_OTHER)
		t->rows[t->own_row].exits++;

	return grew;
}

/*
 * Every read is an exit itself, and other exits come meanwhile.  Counts do not
 * decrease, so what was read is at most what was true when the total was read, and
 * all of it is true if it adds up to the total.  If no exit but the reads came during
 * a round that read all rows, what is missing has no leaf of its own.
 *
 * Return false if the VM moved to another host meanwhile, where counts start at zero.
 */
static bool try_read(struct table *t)
{
	struct info info = read_info(), last_info;
	struct row *other = &t->rows[ROW_OTHER];
	bool all = true, quiet;
	u64 total, reads;
	struct row sum;
	int i;

	t->revision = info.revision;
	t->mask = info.mask;
	t->is_svm = info.isa == ISA_SVM;
	t->tsc_khz = info.tsc_khz;

	for (i = 0; i < ROW_TOTAL; i++)
		t->rows[i].defined = i < nr_reasons(t) || i >= ROW_VECTORS;

	t->rows[ROW_TOTAL] = read_row(LEAF_TOTAL, 0);
	t->own_row = find_own_row(t);
	if (!update_row(t, ROW_TOTAL, LEAF_TOTAL, 0))
		return false;

	for (i = 0; i < MAX_READ_ROUNDS; i++) {
		total = t->rows[ROW_TOTAL].exits;
		reads = nr_reads;

		if (!read_round(t, all))
			return false;

		sum_rows(t, 0, ROW_OTHER, &sum);
		if (sum.exits >= t->rows[ROW_TOTAL].exits)
			break;

		/* A row that was zero, and thus skipped, may have what is missing. */
		quiet = t->rows[ROW_TOTAL].exits - total == nr_reads - reads;
		if (quiet && all)
			break;
		all = quiet;
	}

	t->reads = nr_reads;
	t->leaf_total = t->rows[ROW_TOTAL].exits;
	if (sum.exits > t->leaf_total)
		return false;

	last_info = read_info();
	if (memcmp(&info, &last_info, sizeof(info)))
		return false;
	t->reads_after = nr_reads - t->reads;

	other->defined = true;
	other->exits = t->leaf_total - sum.exits;

	/* Exits that are under way, e.g. HLTs of other vCPUs, have no cycles yet. */
	sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]);
	t->rows[ROW_TOTAL].defined = true;
	return true;
}

void read_guest(struct table *t, u64 startup)
{
	u64 start = get_ns(CLOCK_MONOTONIC_RAW);
	int i;

	for (i = 0; i < MAX_TRIES; i++) {
		*t = (struct table) { .startup_reads = startup, .started_over = i > 0 };
		if (try_read(t)) {
			t->read_ns = get_ns(CLOCK_MONOTONIC_RAW) - start;
			t->read_at = get_ns(CLOCK_MONOTONIC);
			identify(t);
			return;
		}

		/* These are not in the new counts. */
		nr_reads = 0;
		startup = 0;
	}

	errx(EXIT_FAILURE, "the counts started over %d times while they were read", i);
}

/*
 * The C library executes CPUID as well, before main().  To know how often, start this
 * program again: what it finds there is more by that number than what is read here.
 */
static bool count_at_start(u32 reason, u64 *exits)
{
	char option[64], answer[32] = {}, *argv[] = { "kvm_exits", option, NULL };
	posix_spawn_file_actions_t actions;
	int fds[2], status;
	bool started;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return false;

	snprintf(option, sizeof(option), "--" COUNT_AT_START "=%u", reason);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	started = !posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);

	/* Less than PIPE_BUF is read as it was written. */
	if (started) {
		if (read(fds[0], answer, sizeof(answer) - 1) < 0)
			answer[0] = '\0';
		waitpid(pid, &status, 0);
	}
	close(fds[0]);

	return started && parse_u64(answer, exits);
}

/* What it does then */
void print_count_at_start(u32 reason)
{
	printf("%llu", read_row(LEAF_REASON, reason).exits);
}

/* The least of several, as other programs execute CPUID, too.  0 if it cannot be known. */
u64 measure_startup(void)
{
	struct table t = { .is_svm = read_info().isa == ISA_SVM };
	u64 before, after, least = UINT64_MAX;
	int i, own = find_own_row(&t);
	u32 reason;

	if (own == ROW_OTHER)
		return 0;

	reason = row_to_reason(&t, own);
	for (i = 0; i < NR_STARTUPS; i++) {
		before = read_row(LEAF_REASON, reason).exits;
		if (!count_at_start(reason, &after) || after <= before)
			return 0;
		if (after - before - 1 < least)
			least = after - before - 1;
	}

	/* This start, and the others with a read each */
	return least + NR_STARTUPS * (least + 1);
}
