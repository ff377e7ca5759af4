// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_exits: show, inside a guest, why and how often its VM exits.
 *
 * Reads the CPUID leaves of KVM's exit counters, see
 * Documentation/virt/kvm/x86/exit-counters.rst.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <asm/kvm.h>
#include <asm/kvm_para.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#ifndef KVM_CPUID_EXIT_COUNTERS
#error "These headers are too old, run 'make headers' in the kernel's tree first"
#endif

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

#define STATUS_USAGE		2
#define STATUS_NO_LEAVES	3

#define CPUID_FEATURES		1
#define CPUID_ECX_HYPERVISOR	0x80000000

#define MAX_READ_ROUNDS		100

#define NSEC_PER_SEC		1000000000ULL
#define MAX_INTERVAL_SEC	1000000000

#define SNAPSHOT_MAGIC		"# kvm_exits snapshot "
#define SNAPSHOT_VERSION	1
#define SNAPSHOT_COLUMNS	"code\tname\texits\tcycles"
#define SNAPSHOT_LINE_SIZE	256

/* A row per reason in the order of codes, then the rows that are no reasons. */
#define NR_VMX_REASONS		0x80
#define NR_SVM_LOW_REASONS	0xc0
#define NR_SVM_REASONS		(NR_SVM_LOW_REASONS + SVM_EXIT_VMGEXIT - SVM_EXIT_NPF + 1)
#define NR_VECTORS		32

#define ROW_OTHER		NR_SVM_REASONS
#define ROW_VECTORS		(ROW_OTHER + 1)
#define ROW_TOTAL		(ROW_VECTORS + NR_VECTORS)
#define NR_ROWS			(ROW_TOTAL + 1)
#define ROW_TITLE		(-1)

#define NR_COLUMNS		6

#define CLEAR_SCREEN		"\033[H\033[2J"
#define BOLD			"\033[1m"
#define RED			"\033[31m"
#define GREEN			"\033[32m"
#define NORMAL			"\033[0m"

struct row {
	__u64 exits;
	__u64 cycles;
	bool defined;
};

struct table {
	bool is_svm;
	__u64 revision;
	__u64 mask;
	__u64 leaf_total;
	__u64 reads;
	__u64 read_ns;
	__u64 read_at;
	__u64 vectors_at;
	struct row rows[NR_ROWS];
};

struct sort_key {
	__u64 value;
	int row;
};

enum column {
	CODE, NAME, EXITS, RATE, SHARE, CYCLES, CYCLES_PER_EXIT, EXITS_A, EXITS_B, CHANGE,
	RATIO,
};

struct exit_name {
	__u64 reason;
	const char *name;
};

static const struct exit_name vmx_exit_names[] = { VMX_EXIT_REASONS };
static const struct exit_name svm_exit_names[] = { SVM_EXIT_REASONS };

static const char * const vector_names[NR_VECTORS] = {
	"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "coproc", "#TS",
	"#NP", "#SS", "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	[28] = "#HV", "#VC", "#SX",
};

static bool show_zeros;
static bool show_vectors;
static bool show_json;
static bool is_terminal;
static bool has_colors;

static __u64 nr_reads;

static struct {
	const char *path;
	FILE *file;
	unsigned int line;
	char buf[SNAPSHOT_LINE_SIZE];
} snapshot;

#define snapshot_error(fmt, ...)						\
	errx(EXIT_FAILURE, "%s:%u: " fmt, snapshot.path, snapshot.line, ##__VA_ARGS__)

static int nr_reasons(const struct table *t)
{
	return t->is_svm ? NR_SVM_REASONS : NR_VMX_REASONS;
}

static __u32 row_to_reason(const struct table *t, int row)
{
	if (t->is_svm && row >= NR_SVM_LOW_REASONS)
		return row - NR_SVM_LOW_REASONS + SVM_EXIT_NPF;

	return row;
}

/* Valid until the next call. */
static const char *row_code(const struct table *t, int row)
{
	static char code[16];

	if (row == ROW_TOTAL)
		return "total";
	if (row == ROW_OTHER)
		return "other";

	if (row >= ROW_VECTORS)
		snprintf(code, sizeof(code), "exc%d", row - ROW_VECTORS);
	else
		snprintf(code, sizeof(code), t->is_svm ? "0x%03x" : "%u",
			 row_to_reason(t, row));
	return code;
}

/* Valid until the next call. */
static const char *row_name(const struct table *t, int row)
{
	const struct exit_name *names = t->is_svm ? svm_exit_names : vmx_exit_names;
	size_t i, nr_names = t->is_svm ? ARRAY_SIZE(svm_exit_names) :
					 ARRAY_SIZE(vmx_exit_names);
	static char name[32];

	if (row == ROW_TOTAL)
		return "total";
	if (row == ROW_OTHER)
		return "other, or while reading";

	if (row >= ROW_VECTORS) {
		if (vector_names[row - ROW_VECTORS])
			return vector_names[row - ROW_VECTORS];
		snprintf(name, sizeof(name), "vector %d", row - ROW_VECTORS);
		return name;
	}

	for (i = 0; i < nr_names; i++) {
		if (names[i].reason == row_to_reason(t, row))
			return names[i].name;
	}

	return "unnamed";
}

static const char *vendor_name(const struct table *t)
{
	return t->is_svm ? "AMD SVM" : "Intel VMX";
}

static const char *isa_name(const struct table *t)
{
	return t->is_svm ? "svm" : "vmx";
}

static bool is_timed(const struct table *t)
{
	return t->mask & KVM_X86_EXIT_COUNTERS_CYCLES;
}

/* Return false if a sum overflows. */
static bool sum_rows(const struct table *t, int first, int end, struct row *sum)
{
	int i;

	*sum = (struct row) {};

	for (i = first; i < end; i++) {
		if (__builtin_add_overflow(sum->exits, t->rows[i].exits, &sum->exits) ||
		    __builtin_add_overflow(sum->cycles, t->rows[i].cycles, &sum->cycles))
			return false;
	}

	return true;
}

static __u64 get_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* EAX, EBX, ECX, EDX, in this order. */
static void cpuid(__u32 leaf, __u32 index, __u32 *regs)
{
	nr_reads++;
	__cpuid_count(leaf, index, regs[0], regs[1], regs[2], regs[3]);
}

static struct row read_row(__u32 leaf, __u32 index)
{
	__u32 regs[4];

	cpuid(leaf, index, regs);
	if (!regs[0] && !regs[1] && !regs[2] && regs[3] == UINT32_MAX)
		return (struct row) {};

	return (struct row) {
		.exits = (__u64)regs[3] << 32 | regs[0],
		.cycles = (__u64)regs[1] << 32 | regs[2],
		.defined = true,
	};
}

static void read_info(struct table *t)
{
	__u32 regs[4];

	cpuid(KVM_CPUID_EXIT_COUNTERS, 0, regs);
	if (memcmp(&regs[1], KVM_EXIT_COUNTERS_SIGNATURE, 3 * sizeof(regs[0]))) {
		cpuid(CPUID_FEATURES, 0, regs);
		if (!(regs[2] & CPUID_ECX_HYPERVISOR))
			errx(STATUS_NO_LEAVES,
			     "this is not a virtual machine: run kvm_exits inside a guest of KVM");
		errx(STATUS_NO_LEAVES,
		     "the host does not show its exit counters to this VM.\n"
		     "The host needs a kernel with exit counters, and, before the VM is started,\n"
		     "  echo 1 > /sys/module/kvm/parameters/exit_counters\n"
		     "(3 to time the exits, too), or a VMM that enables KVM_CAP_X86_EXIT_COUNTERS.");
	}

	cpuid(KVM_CPUID_EXIT_COUNTERS_INFO, 0, regs);
	if (regs[0] != KVM_EXIT_COUNTERS_REVISION)
		errx(EXIT_FAILURE,
		     "revision %u of the leaves is unknown to this program, which knows %u",
		     regs[0], KVM_EXIT_COUNTERS_REVISION);
	if (regs[2] != KVM_EXIT_COUNTERS_ISA_VMX &&
	    regs[2] != KVM_EXIT_COUNTERS_ISA_SVM)
		errx(EXIT_FAILURE, "the leaves are of an unknown vendor, %u", regs[2]);

	t->revision = regs[0];
	t->mask = regs[1];
	t->is_svm = regs[2] == KVM_EXIT_COUNTERS_ISA_SVM;
}

static __u64 nr_exceptions(const struct table *t)
{
	struct row sum;

	if (!t->is_svm)
		return t->rows[EXIT_REASON_EXCEPTION_NMI].exits;

	sum_rows(t, SVM_EXIT_EXCP_BASE, SVM_EXIT_EXCP_BASE + NR_VECTORS, &sum);
	return sum.exits;
}

/*
 * On VMX, vectors are not part of the sum.  Read them after the reason that includes
 * them, and again if that has changed: if no such exit was missed from its last
 * reading to the total, none was from the reading of the vectors to the total.
 */
static void read_round(struct table *t, bool all)
{
	int i, cpuid_row = t->is_svm ? SVM_EXIT_CPUID : EXIT_REASON_CPUID;
	struct row *row;

	for (i = 0; i < ROW_OTHER; i++) {
		row = &t->rows[i];
		if (i != cpuid_row && row->defined && (all || row->exits))
			*row = read_row(KVM_CPUID_EXIT_COUNTERS_REASON,
					row_to_reason(t, i));
	}

	if (all || t->vectors_at != nr_exceptions(t)) {
		t->vectors_at = nr_exceptions(t);
		for (i = 0; i < NR_VECTORS; i++)
			t->rows[ROW_VECTORS + i] =
				read_row(KVM_CPUID_EXIT_COUNTERS_VECTOR, i);
	}

	t->rows[cpuid_row] = read_row(KVM_CPUID_EXIT_COUNTERS_REASON, cpuid_row);
	t->rows[ROW_TOTAL] = read_row(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);

	/* The total includes the exit that reads the total. */
	t->rows[cpuid_row].exits++;
}

/*
 * Every read is an exit itself, and other exits come meanwhile.  Counts do not
 * decrease, so what was read is at most what was true when the total was read, and
 * all of it is true if it adds up to the total.  If no exit but the reads came during
 * a round that read all rows, what is missing has no leaf of its own.
 */
static void read_table(struct table *t)
{
	__u64 start = get_ns(CLOCK_MONOTONIC_RAW), total, reads;
	struct row *other = &t->rows[ROW_OTHER];
	bool all = true, quiet;
	struct row sum;
	int i;

	*t = (struct table) {};
	read_info(t);

	for (i = 0; i < ROW_TOTAL; i++)
		t->rows[i].defined = i < nr_reasons(t) || i >= ROW_VECTORS;

	t->rows[ROW_TOTAL] = read_row(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);

	for (i = 0; i < MAX_READ_ROUNDS; i++) {
		total = t->rows[ROW_TOTAL].exits;
		reads = nr_reads;

		read_round(t, all);

		sum_rows(t, 0, ROW_OTHER, &sum);
		if (sum.exits == t->rows[ROW_TOTAL].exits)
			break;

		/* A row that was zero, and thus skipped, may have what is missing. */
		quiet = t->rows[ROW_TOTAL].exits - total == nr_reads - reads;
		if (quiet && all)
			break;
		all = quiet;
	}

	t->read_ns = get_ns(CLOCK_MONOTONIC_RAW) - start;
	t->read_at = get_ns(CLOCK_MONOTONIC);
	t->reads = nr_reads;

	t->leaf_total = t->rows[ROW_TOTAL].exits;
	other->defined = true;
	if (t->leaf_total > sum.exits)
		other->exits = t->leaf_total - sum.exits;

	/* Exits that are under way, e.g. HLTs of other vCPUs, have no cycles yet. */
	sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]);
	t->rows[ROW_TOTAL].defined = true;
}

static __u64 growth(__u64 before, __u64 now)
{
	return now > before ? now - before : 0;
}

static void subtract_table(struct table *t, const struct table *before)
{
	int i;

	if (t->is_svm != before->is_svm)
		errx(EXIT_FAILURE, "the VM went from %s to %s", vendor_name(before),
		     vendor_name(t));

	for (i = 0; i < ROW_TOTAL; i++) {
		if (i != ROW_OTHER && t->rows[i].exits < before->rows[i].exits) {
			warnx("the counts started over, as after a migration");
			return;
		}
	}

	/* "other" shrinks if its exits were found by reason since. */
	for (i = 0; i < ROW_TOTAL; i++) {
		t->rows[i].exits = growth(before->rows[i].exits, t->rows[i].exits);
		t->rows[i].cycles = growth(before->rows[i].cycles, t->rows[i].cycles);
	}

	sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]);
}

static bool parse_u64(const char *s, __u64 *value)
{
	__u64 v = 0;

	if (!*s || (s[0] == '0' && s[1]))
		return false;

	for (; *s; s++) {
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, *s - '0', &v))
			return false;
	}

	*value = v;
	return true;
}

static bool read_line(void)
{
	size_t len;

	snapshot.line++;
	if (!fgets(snapshot.buf, sizeof(snapshot.buf), snapshot.file)) {
		if (ferror(snapshot.file))
			err(EXIT_FAILURE, "%s", snapshot.path);
		return false;
	}

	len = strlen(snapshot.buf);
	if (len && snapshot.buf[len - 1] == '\n') {
		snapshot.buf[len - 1] = '\0';
		return true;
	}

	if (snapshot.line == 1)
		snapshot_error("not a kvm_exits snapshot");
	if (len == sizeof(snapshot.buf) - 1)
		snapshot_error("the line is too long");
	if (!feof(snapshot.file))
		snapshot_error("the line has a NUL byte");
	snapshot_error("truncated: no newline at the end of the line");
}

/* Leaves the line of the columns' names in the buffer. */
static void parse_header(struct table *t)
{
	struct {
		const char *key;
		__u64 *value;
		bool seen;
	} fields[] = {
		{ .key = "isa" },
		{ .key = "revision", .value = &t->revision },
		{ .key = "mask", .value = &t->mask },
		{ .key = "leaf_total", .value = &t->leaf_total },
		{ .key = "reads", .value = &t->reads },
		{ .key = "read_ns", .value = &t->read_ns },
	};
	char *key, *value;
	size_t i;

	while (read_line() && snapshot.buf[0] == '#') {
		value = snapshot.buf;
		key = strsep(&value, "\t");
		if (!value || strncmp(key, "# ", 2))
			snapshot_error("not a header line: '# ', key, tab, value");

		for (i = 0; i < ARRAY_SIZE(fields) && strcmp(key + 2, fields[i].key); i++)
			;
		if (i == ARRAY_SIZE(fields))
			continue;

		if (fields[i].seen)
			snapshot_error("a second %s in the header", fields[i].key);
		fields[i].seen = true;

		if (fields[i].value) {
			if (!parse_u64(value, fields[i].value))
				snapshot_error("malformed number");
		} else if (!strcmp(value, "svm")) {
			t->is_svm = true;
		} else if (strcmp(value, "vmx")) {
			snapshot_error("unknown isa");
		}
	}

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!fields[i].seen)
			snapshot_error("no %s in the header", fields[i].key);
	}

	if (t->revision != KVM_EXIT_COUNTERS_REVISION)
		snapshot_error("revision %llu of the leaves, this program knows %u",
			       t->revision, KVM_EXIT_COUNTERS_REVISION);
}

static int parse_row(struct table *t)
{
	char *fields[4], *next = snapshot.buf;
	struct row *row;
	size_t i;
	int nr;

	for (i = 0; i < ARRAY_SIZE(fields) && next; i++)
		fields[i] = strsep(&next, "\t");
	if (i < ARRAY_SIZE(fields) || next)
		snapshot_error("not 4 fields with tabs between");

	for (nr = 0; nr < NR_ROWS; nr++) {
		if (nr == nr_reasons(t))
			nr = ROW_OTHER;
		if (!strcmp(fields[0], row_code(t, nr)))
			break;
	}
	if (nr == NR_ROWS)
		snapshot_error("unknown code");

	row = &t->rows[nr];
	if (row->defined)
		snapshot_error("a second row of the same code");

	row->defined = true;
	if (!parse_u64(fields[2], &row->exits) || !parse_u64(fields[3], &row->cycles))
		snapshot_error("malformed number");

	return nr;
}

static void load_snapshot(const char *path, struct table *t)
{
	struct row *total = &t->rows[ROW_TOTAL], sum;
	__u64 version;

	*t = (struct table) {};
	snapshot.path = path;
	snapshot.line = 0;
	snapshot.file = fopen(path, "r");
	if (!snapshot.file)
		err(EXIT_FAILURE, "%s", path);

	if (!read_line() ||
	    strncmp(snapshot.buf, SNAPSHOT_MAGIC, strlen(SNAPSHOT_MAGIC)) ||
	    !parse_u64(snapshot.buf + strlen(SNAPSHOT_MAGIC), &version))
		snapshot_error("not a kvm_exits snapshot");
	if (version != SNAPSHOT_VERSION)
		snapshot_error("snapshot version %llu, this program knows %u", version,
			       SNAPSHOT_VERSION);

	parse_header(t);
	if (feof(snapshot.file))
		snapshot_error("truncated: no total row");
	if (strcmp(snapshot.buf, SNAPSHOT_COLUMNS))
		snapshot_error("not the line of the columns: code, name, exits, cycles");

	do {
		if (!read_line())
			snapshot_error("truncated: no total row");
	} while (parse_row(t) != ROW_TOTAL);

	if (!sum_rows(t, 0, ROW_VECTORS, &sum) ||
	    sum.exits != total->exits || sum.cycles != total->cycles)
		snapshot_error("the total is not the sum of the reasons");
	if (!sum_rows(t, ROW_VECTORS, ROW_TOTAL, &sum))
		snapshot_error("the sum of the vectors overflows");
	if (read_line())
		snapshot_error("text after the total row");

	fclose(snapshot.file);
}

static void write_snapshot(const struct table *t, FILE *file)
{
	int i;

	fprintf(file, "%s%u\n", SNAPSHOT_MAGIC, SNAPSHOT_VERSION);
	fprintf(file, "# isa\t%s\n", isa_name(t));
	fprintf(file, "# revision\t%llu\n", t->revision);
	fprintf(file, "# mask\t%llu\n", t->mask);
	fprintf(file, "# leaf_total\t%llu\n", t->leaf_total);
	fprintf(file, "# reads\t%llu\n", t->reads);
	fprintf(file, "# read_ns\t%llu\n", t->read_ns);
	fprintf(file, "%s\n", SNAPSHOT_COLUMNS);

	for (i = 0; i < NR_ROWS; i++) {
		if (t->rows[i].defined)
			fprintf(file, "%s\t%s\t%llu\t%llu\n", row_code(t, i),
				row_name(t, i), t->rows[i].exits, t->rows[i].cycles);
	}
}

static void save_snapshot(const struct table *t, const char *path)
{
	bool is_stdout = !strcmp(path, "-"), replace, ok;
	FILE *file = stdout;
	char *tmp = NULL;
	struct stat st;
	int error;

	/* Neither a device nor a link, e.g. /dev/stdout, is to be replaced. */
	replace = !is_stdout && (lstat(path, &st) || S_ISREG(st.st_mode));

	if (replace && asprintf(&tmp, "%s.%d", path, getpid()) < 0)
		err(EXIT_FAILURE, "asprintf");
	if (!is_stdout)
		file = replace ? fopen(tmp, "wx") : fopen(path, "w");
	if (!file)
		err(EXIT_FAILURE, "%s", replace ? tmp : path);

	write_snapshot(t, file);
	ok = !fflush(file) && !ferror(file) && (!replace || !fsync(fileno(file))) &&
	     !fclose(file) && (!replace || !rename(tmp, path));
	if (!ok) {
		error = errno;
		if (replace)
			unlink(tmp);
		errno = error;
		err(EXIT_FAILURE, "%s", path);
	}

	free(tmp);
}

static __u64 distance(__u64 a, __u64 b)
{
	return a > b ? a - b : b - a;
}

static int compare_keys(const void *p, const void *q)
{
	const struct sort_key *a = p, *b = q;

	if (a->value != b->value)
		return a->value > b->value ? -1 : 1;

	return a->row - b->row;
}

/* The rows to show, the most exits, or with b the largest change, first. */
static int select_rows(const struct table *a, const struct table *b, int first, int end,
		       struct sort_key *keys)
{
	static const struct table none;
	const struct row *p, *q;
	int i, nr = 0;
	bool show;

	for (i = first; i < end; i++) {
		p = &a->rows[i];
		q = b ? &b->rows[i] : &none.rows[i];

		show = show_zeros && i != ROW_OTHER && (p->defined || q->defined);
		if (show || p->exits || p->cycles || q->exits || q->cycles)
			keys[nr++] = (struct sort_key) { distance(p->exits, q->exits), i };
	}

	qsort(keys, nr, sizeof(*keys), compare_keys);
	return nr;
}

/* Valid until the next call. */
static const char *get_cell(const struct table *a, const struct table *b, int row,
			    enum column column, double seconds)
{
	static const char * const titles[] = {
		[CODE] = "code", [NAME] = "name", [EXITS] = "exits", [RATE] = "exits/s",
		[SHARE] = "share", [CYCLES] = "cycles", [CYCLES_PER_EXIT] = "cycles/exit",
		[EXITS_A] = "exits A", [EXITS_B] = "exits B", [CHANGE] = "change",
		[RATIO] = "ratio",
	};
	__u64 exits, exits_b, cycles, all;
	static char cell[32];

	if (row == ROW_TITLE)
		return titles[column];

	exits = a->rows[row].exits;
	exits_b = b ? b->rows[row].exits : 0;
	cycles = a->rows[row].cycles;
	all = a->rows[ROW_TOTAL].exits;

	switch (column) {
	case CODE:
		return row_code(a, row);
	case NAME:
		return row == ROW_TOTAL ? "" : row_name(a, row);
	case RATE:
		snprintf(cell, sizeof(cell), "%.1f", exits / seconds);
		break;
	case SHARE:
		if (!all)
			return "-";
		snprintf(cell, sizeof(cell), "%.2f%%", 100.0 * exits / all);
		break;
	case CYCLES:
		if (!is_timed(a))
			return "-";
		snprintf(cell, sizeof(cell), "%llu", cycles);
		break;
	case CYCLES_PER_EXIT:
		if (!is_timed(a) || !exits)
			return "-";
		snprintf(cell, sizeof(cell), "%llu",
			 cycles / exits + (cycles % exits >= exits - exits / 2));
		break;
	case CHANGE:
		snprintf(cell, sizeof(cell), "%s%llu",
			 exits == exits_b ? "" : exits < exits_b ? "+" : "-",
			 distance(exits, exits_b));
		break;
	case RATIO:
		if (!exits || !exits_b)
			return exits ? "gone" : exits_b ? "new" : "-";
		snprintf(cell, sizeof(cell), "%.2fx", (double)exits_b / exits);
		break;
	case EXITS:
	case EXITS_A:
	case EXITS_B:
	default:
		snprintf(cell, sizeof(cell), "%llu", column == EXITS_B ? exits_b : exits);
		break;
	}

	return cell;
}

static const char *row_style(const struct table *a, const struct table *b, int row)
{
	if (!has_colors)
		return "";
	if (row == ROW_TITLE || row == ROW_TOTAL)
		return BOLD;
	if (!b || a->rows[row].exits == b->rows[row].exits)
		return "";

	return a->rows[row].exits < b->rows[row].exits ? RED : GREEN;
}

/* Each column is as wide as its widest cell, the title, which is row -1, included. */
static void print_table(const struct table *a, const struct table *b, double seconds)
{
	static const enum column layouts[][NR_COLUMNS] = {
		{ CODE, NAME, EXITS, SHARE, CYCLES, CYCLES_PER_EXIT },
		{ CODE, NAME, RATE, SHARE, CYCLES_PER_EXIT },
		{ CODE, NAME, EXITS_A, EXITS_B, CHANGE, RATIO },
	};
	const enum column *columns = layouts[b ? 2 : seconds ? 1 : 0];
	int nr_columns = seconds ? NR_COLUMNS - 1 : NR_COLUMNS;
	int i, j, len, nr, widths[NR_COLUMNS] = {};
	struct sort_key keys[NR_ROWS];
	const char *style;

	nr = select_rows(a, b, show_vectors ? ROW_VECTORS : 0,
			 show_vectors ? ROW_TOTAL : ROW_VECTORS, keys + 1);
	keys[0].row = ROW_TITLE;
	keys[nr + 1].row = ROW_TOTAL;

	for (i = 0; i < nr + 2; i++) {
		for (j = 0; j < nr_columns; j++) {
			len = strlen(get_cell(a, b, keys[i].row, columns[j], seconds));
			if (len > widths[j])
				widths[j] = len;
		}
	}

	/* The name is the only column that starts at the left. */
	for (i = 0; i < nr + 2; i++) {
		style = row_style(a, b, keys[i].row);
		for (j = 0; j < nr_columns; j++)
			printf("%s%*s", j == 0 ? style : j == 1 ? " " : "  ",
			       j == 1 ? -widths[j] : widths[j],
			       get_cell(a, b, keys[i].row, columns[j], seconds));
		puts(*style ? NORMAL : "");
	}

	if (!b && !is_timed(a))
		printf("Not timed: the host's mask lacks KVM_X86_EXIT_COUNTERS_CYCLES (%llu).\n",
		       KVM_X86_EXIT_COUNTERS_CYCLES);
}

/* Including the quotes. */
static void print_json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if ((unsigned char)*s < ' ')
			printf("\\u%04x", *s);
		else
			printf(*s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	}
	putchar('"');
}

static void print_json_counts(const struct table *a, const struct table *b, int row)
{
	const struct row *p = &a->rows[row];

	if (b)
		printf("\"exits_a\":%llu,\"exits_b\":%llu,\"cycles_a\":%llu,\"cycles_b\":%llu}",
		       p->exits, b->rows[row].exits, p->cycles, b->rows[row].cycles);
	else
		printf("\"exits\":%llu,\"cycles\":%llu}", p->exits, p->cycles);
}

static void print_json_rows(const struct table *a, const struct table *b, int first, int end)
{
	struct sort_key keys[NR_ROWS];
	int i, nr = select_rows(a, b, first, end, keys);

	for (i = 0; i < nr; i++) {
		printf("%s{\"code\":\"%s\",", i ? "," : "", row_code(a, keys[i].row));
		printf("\"name\":\"%s\",", row_name(a, keys[i].row));
		print_json_counts(a, b, keys[i].row);
	}
}

static void print_json(const struct table *a, const struct table *b, char **paths,
		       double seconds)
{
	bool timed = is_timed(a) && (!b || is_timed(b));

	printf("{\"isa\":\"%s\",\"revision\":%llu,\"timed\":%s,", isa_name(a), a->revision,
	       timed ? "true" : "false");
	if (b) {
		printf("\"a\":");
		print_json_string(paths[0]);
		printf(",\"b\":");
		print_json_string(paths[1]);
		printf(",");
	}
	if (seconds)
		printf("\"seconds\":%.9f,", seconds);

	printf("\"reasons\":[");
	print_json_rows(a, b, 0, ROW_VECTORS);
	printf("],\"vectors\":[");
	print_json_rows(a, b, ROW_VECTORS, ROW_TOTAL);
	printf("],");
	print_json_counts(a, b, ROW_TOTAL);
	printf("\n");
}

/* One table, its rates if seconds is not 0, or the difference of two tables. */
static void show(struct table *a, struct table *b, char **paths, double seconds)
{
	if (show_json) {
		print_json(a, b, paths, seconds);
	} else {
		if (b)
			printf("A: %s\nB: %s\n", paths[0], paths[1]);
		else
			printf("%s, %llu exits%s\n", vendor_name(a), a->rows[ROW_TOTAL].exits,
			       seconds ? "" : " since the VM was created");

		if (show_vectors) {
			sum_rows(a, ROW_VECTORS, ROW_TOTAL, &a->rows[ROW_TOTAL]);
			if (b)
				sum_rows(b, ROW_VECTORS, ROW_TOTAL, &b->rows[ROW_TOTAL]);
		}
		print_table(a, b, seconds);
	}

	if (fflush(stdout) || ferror(stdout))
		err(EXIT_FAILURE, "standard output");
}

static void show_diff(char **paths)
{
	struct table a, b;

	load_snapshot(paths[0], &a);
	load_snapshot(paths[1], &b);
	if (a.is_svm != b.is_svm)
		errx(EXIT_FAILURE,
		     "%s is of %s and %s of %s: their exit reasons cannot be compared",
		     paths[0], vendor_name(&a), paths[1], vendor_name(&b));

	show(&a, &b, paths, 0);
}

static void watch(__u64 interval_ns, __u64 count)
{
	struct table before, now, change;
	struct timespec ts;
	double seconds;
	__u64 i, next;

	read_table(&before);
	for (i = 1; !count || i <= count; i++) {
		next = before.read_at + interval_ns;
		ts.tv_sec = next / NSEC_PER_SEC;
		ts.tv_nsec = next % NSEC_PER_SEC;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);

		read_table(&now);
		seconds = (double)(now.read_at - before.read_at) / NSEC_PER_SEC;
		change = now;
		subtract_table(&change, &before);
		before = now;

		if (!show_json)
			printf("%sInterval %llu, %.3f s: ",
			       is_terminal ? CLEAR_SCREEN : i > 1 ? "\n" : "", i, seconds);
		show(&change, NULL, NULL, seconds);
	}
}

static void print_usage(FILE *file)
{
	fputs("Usage: kvm_exits [-a] [-x | -j]                         the exits of this VM\n"
	      "       kvm_exits -w FILE                               write them to a snapshot\n"
	      "       kvm_exits [-a] [-x | -j] -i SECONDS [-c COUNT]  what happens from now on\n"
	      "       kvm_exits [-a] [-x | -j] FILE                   show a snapshot\n"
	      "       kvm_exits diff [-a] [-x | -j] A B               compare two snapshots\n"
	      "\n"
	      "  -a  show rows that are zero, too\n"
	      "  -x  show exceptions by vector instead of exit reasons\n"
	      "  -j  print JSON, with both reasons and vectors\n"
	      "  -w  write a snapshot to FILE, - is standard output\n"
	      "  -i  show the rates of every interval of SECONDS\n"
	      "  -c  stop after COUNT intervals\n"
	      "  -h  show this help\n", file);
}

static void usage_error(const char *text)
{
	fprintf(stderr, "kvm_exits: %s\n", text);
	print_usage(stderr);
	exit(STATUS_USAGE);
}

static __u64 parse_interval(const char *s)
{
	double seconds;
	char *end;

	/* Neither hexadecimal, nor exponents, nor infinity. */
	if (s[strspn(s, "0123456789.")])
		usage_error("-i: not a number of seconds");

	seconds = strtod(s, &end);
	if (end == s || *end)
		usage_error("-i: not a number of seconds");
	if (seconds * NSEC_PER_SEC < 1 || seconds > MAX_INTERVAL_SEC)
		usage_error("-i: from a nanosecond to 1000000000 seconds are possible");

	return seconds * NSEC_PER_SEC;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	const char *path = NULL, *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	__u64 interval_ns = 0, count = 0;
	bool is_diff = false;
	struct table t;
	int c, nr_args;

	is_terminal = isatty(STDOUT_FILENO) && !(term && !strcmp(term, "dumb"));
	has_colors = is_terminal && !(no_color && *no_color);

	if (argc > 1 && !strcmp(argv[1], "diff")) {
		is_diff = true;
		argv[1] = argv[0];
		argv++;
		argc--;
	}

	while ((c = getopt_long(argc, argv, "axjw:i:c:h", long_options, NULL)) != -1) {
		switch (c) {
		case 'a':
			show_zeros = true;
			break;
		case 'x':
			show_vectors = true;
			break;
		case 'j':
			show_json = true;
			break;
		case 'w':
			path = optarg;
			break;
		case 'i':
			interval_ns = parse_interval(optarg);
			break;
		case 'c':
			if (!parse_u64(optarg, &count) || !count)
				usage_error("-c: not a number of intervals");
			break;
		case 'h':
			print_usage(stdout);
			return fflush(stdout) ? EXIT_FAILURE : 0;
		default:
			print_usage(stderr);
			return STATUS_USAGE;
		}
	}
	argv += optind;
	nr_args = argc - optind;

	if (show_json && show_vectors)
		usage_error("-j has the vectors without -x");
	if (count && !interval_ns)
		usage_error("-c needs -i");
	if (path && (show_zeros || show_vectors || show_json))
		usage_error("-w writes all there is, without -a, -x, or -j");
	if (path && interval_ns)
		usage_error("-w and -i do not go together");
	if ((is_diff || nr_args) && (path || interval_ns))
		usage_error("-w and -i are for this VM, not for snapshots");

	if (is_diff) {
		if (nr_args != 2)
			usage_error("diff needs two snapshots");
		show_diff(argv);
	} else if (nr_args > 1) {
		usage_error("more than one snapshot; diff, which compares two, comes first");
	} else if (nr_args) {
		load_snapshot(argv[0], &t);
		show(&t, NULL, NULL, 0);
	} else if (interval_ns) {
		watch(interval_ns, count);
	} else {
		read_table(&t);
		if (path)
			save_snapshot(&t, path);
		else
			show(&t, NULL, NULL, 0);
	}

	return 0;
}
