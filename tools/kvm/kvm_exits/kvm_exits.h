/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_EXITS_H
#define KVM_EXITS_H

#include <stdbool.h>
#include <regex.h>
#include <stddef.h>
#include <stdio.h>

typedef unsigned long long u64;
typedef unsigned int u32;

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

#define STATUS_USAGE		2
#define STATUS_NO_LEAVES	3

#define NSEC_PER_SEC		1000000000ULL

/*
 * The interface of KVM, as in its headers, which this program does without.
 * lab/check/reader compares.
 */
#define LEAF_SIGNATURE		0x4fffff00
#define LEAF_INFO		0x4fffff01
#define LEAF_VECTOR		0x4ffffffb
#define LEAF_REASON		0x4ffffffd
#define LEAF_TOTAL		0x4fffffff
#define SIGNATURE		"KVMEXITCOUNT"
#define REVISION		1
#define ISA_VMX			1
#define ISA_SVM			2
#define MASK_CYCLES		2

#define VMX_EXCEPTION_NMI	0
#define VMX_EXTERNAL_INTERRUPT	1
#define VMX_INTERRUPT_WINDOW	7
#define VMX_CPUID		10
#define VMX_HLT			12
#define SVM_EXCEPTIONS		0x40
#define SVM_INTR		0x60
#define SVM_VINTR		0x64
#define SVM_CPUID		0x72
#define SVM_HLT			0x78
#define SVM_IDLE_HLT		0xa6
#define SVM_NPF			0x400
#define SVM_VMGEXIT		0x403

/* A row per reason in the order of codes, then the rows that are no reasons. */
#define NR_VMX_REASONS		0x80
#define NR_SVM_LOW_REASONS	0xc0
#define NR_SVM_REASONS		(NR_SVM_LOW_REASONS + SVM_VMGEXIT - SVM_NPF + 1)
#define NR_VECTORS		32

#define ROW_OTHER		NR_SVM_REASONS
#define ROW_OWN			(ROW_OTHER + 1)
#define ROW_VECTORS		(ROW_OWN + 1)
#define ROW_TOTAL		(ROW_VECTORS + NR_VECTORS)
#define NR_ROWS			(ROW_TOTAL + 1)

#define BOOT_ID_SIZE		128
#define BOOT_ID_CHARACTERS	"0123456789abcdef-:"

struct row {
	u64 exits;
	u64 cycles;
	bool defined;
};

/*
 * Counts, and what is known of them.  ROW_OWN is only of differences: exits that
 * kvm_exits caused itself, which are taken out of own_row then.  Where the cycles of
 * each reason are not known, but those of all together, all_cycles are these.
 */
struct table {
	bool is_svm;
	u64 revision;
	u64 mask;
	u64 tsc_khz;
	u64 leaf_total;
	u64 all_cycles;
	u64 startup_reads;
	u64 reads;
	u64 reads_after;
	u64 read_ns;
	u64 read_at;
	u64 vectors_at;
	u64 time_ns;
	u64 uptime_ns;
	u64 machine;
	char boot_id[BOOT_ID_SIZE];
	int own_row;
	bool started_over;
	struct row rows[NR_ROWS];
};

enum relation {
	RELATION_UNKNOWN, SAME_VM, SAME_VM_STARTED_OVER, RESTARTED_VM, RESTARTED_OR_OTHER_VM,
	OTHER_VM,
};

/* cpuid.c: EAX, EBX, ECX, EDX, in this order */
void cpuid(u32 leaf, u32 index, u32 *regs);

/* names.c */
int nr_reasons(const struct table *t);
u32 row_to_reason(const struct table *t, int row);
int code_to_row(const struct table *t, const char *code);
const char *row_code(const struct table *t, int row);
const char *row_name(const struct table *t, int row);
bool has_name(const struct table *t, int row);
const char *vendor_name(const struct table *t);
const char *isa_name(const struct table *t);

/* util.c */
bool parse_u64(const char *s, u64 *value);
void *xrealloc(void *p, size_t nr, size_t size);
u64 get_ns(int clock);
void sleep_until(u64 ns);

/* table.c */
bool sum_rows(const struct table *t, int first, int end, struct row *sum);
bool is_timed(const struct table *t);
bool add_table(struct table *t, const struct table *other);
bool counts_grew(const struct table *before, const struct table *now);
void subtract_table(struct table *t, const struct table *before, u64 own);

/* identity.c */
u64 hash_string(u64 hash, const char *s);
void identify(struct table *t);
bool was_taken_later(const struct table *a, const struct table *b);
enum relation relate(const struct table *a, const struct table *b);

/* output.c */
struct output {
	FILE *file;
	const char *path;
	char *tmp;
};

struct output open_output(const char *path);
void close_output(struct output *o);

/* guest.c */
#define COUNT_AT_START		"count-at-start"
bool has_leaves(void);
void print_count_at_start(u32 reason);
u64 measure_startup(void);
void read_guest(struct table *t, u64 startup);

/* snapshot.c */
void load_snapshot(const char *path, struct table *t);
void save_snapshot(const struct table *t, const char *path);

/* print.c */
enum sort { BY_EXITS, BY_TIME, BY_AVERAGE, BY_NAME };

struct options {
	bool zeros;
	bool vectors;
	bool json;
	bool busy;
	bool colors;
	enum sort sort;
	const regex_t *filter;
	char *vm;
};

extern struct options opt;

/* What is shown: counts, what came of them in that time, its rates, or two counts. */
enum layout { COUNTS, PERIOD, RATES, COMPARISON };

struct view {
	enum layout layout;
	struct table *a;
	struct table *b;
	char **paths;
	enum relation relation;
	double seconds;
};

struct sort_key {
	u64 value;
	int row;
	const char *name;
};

#define CLEAR_SCREEN		"\033[H\033[2J"

int select_rows(const struct table *a, const struct table *b, int first, int end,
		struct sort_key *keys);
void print_json_string(const char *s, FILE *file);
void print_json_rows(const struct table *a, const struct table *b, int first, int end,
		     FILE *file);
void drop_idle(struct table *t);
void print_vcpus(const struct table *sum, const struct table *tables, const int *ids, int nr);
void check_output(FILE *file);
void show(struct view *v, FILE *file);

#endif
