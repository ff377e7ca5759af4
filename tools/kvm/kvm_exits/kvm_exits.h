/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_EXITS_H
#define KVM_EXITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <regex.h>
#include <sys/types.h>

typedef unsigned long long u64;
typedef unsigned int u32;

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

#define STATUS_USAGE		2
#define STATUS_NO_LEAVES	3

#define NSEC_PER_SEC		1000000000ULL

/* All files that are read are smaller. */
#define MAX_FILE		65536

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
#define ROW_NAME_SIZE		32

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
	bool started_over;
	int own_row;
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
	struct row rows[NR_ROWS];
};

/* The vCPUs of a VM, side by side */
struct vcpus {
	int nr;
	int *ids;
	struct table *tables;
};

/* cpuid.c: EAX, EBX, ECX, EDX, in this order */
void cpuid(u32 leaf, u32 index, u32 *regs);

/* util.c */
bool parse_u64(const char *s, u64 *value);
u64 get_ns(int clock);
void sleep_until(u64 ns);
void *xrealloc(void *p, size_t nr, size_t size);
ssize_t read_file(int dir, const char *path, char *buf, size_t size);
bool read_text(int dir, const char *path, char *buf, size_t size);
void read_first_line(int dir, const char *path, char *buf, size_t size);
char *take_line(char **text);

/* output.c */
struct output {
	FILE *file;
	const char *path;
	char *tmp;
};

struct output open_output(const char *path);
void close_output(struct output *o);

/* names.c */
int nr_reasons(const struct table *t);
u32 row_to_reason(const struct table *t, int row);
int code_to_row(const struct table *t, const char *code);
const char *row_code(const struct table *t, int row);
const char *row_name(const struct table *t, int row);
bool has_name(const struct table *t, int row);
const char *vendor_name(const struct table *t);
const char *isa_name(const struct table *t);

/* table.c */
bool parse_row(char *line, char **code, struct row *row);
bool sum_rows(const struct table *t, int first, int end, struct row *sum);
bool complete_table(struct table *t);
bool is_timed(const struct table *t);
bool add_table(struct table *t, const struct table *other);
bool counts_grew(const struct table *before, const struct table *now);
void subtract_table(struct table *t, const struct table *before, u64 own);
void drop_idle(struct table *t);
double seconds_since(const struct table *before, const struct table *now);
void free_vcpus(struct vcpus *vcpus);

/* identity.c */
enum relation {
	RELATION_UNKNOWN, SAME_VM, VM_STARTED_OVER, RESTARTED_VM, RESTARTED_OR_OTHER_VM,
	OTHER_VM,
};

u64 hash_string(const char *s);
void identify(struct table *t);
bool was_taken_later(const struct table *a, const struct table *b);
enum relation relate(const struct table *a, const struct table *b);

/* guest.c */
#define COUNT_AT_START		"count-at-start"

bool has_leaves(void);
void print_count_at_start(u32 reason);
u64 measure_startup(void);
void read_guest(struct table *t, u64 startup);

/* snapshot.c */
void load_snapshot(const char *path, struct table *t);
void save_snapshot(const struct table *t, const char *path);

/* host.c: a VM as its host sees it, whose name is printable ASCII */
#define DEBUGFS			"/sys/kernel/debug/kvm"

#define VM_DIR_SIZE		32
#define VM_NAME_SIZE		256
#define VM_TITLE_SIZE		(VM_DIR_SIZE + VM_NAME_SIZE)
#define ALL_VCPUS		(-1)
#define EACH_VCPU		(-2)

struct vm {
	char dir[VM_DIR_SIZE];
	u64 inode;
	int pid;
	char name[VM_NAME_SIZE];
	bool has_name;
	u64 nr_links;
	int nr_vcpus;
	bool has_counts;
	struct table counts;
};

struct vm_list {
	struct vm **vms;
	size_t nr;
};

bool starts_with_folder(const char *name);
bool open_host(const char *root);
bool parse_counters(char *text, struct table *t);
const char *vm_title(const struct vm *vm);
bool read_vm(const struct vm *vm, int vcpu, struct table *t);
bool read_vm_vcpus(const struct vm *vm, struct vcpus *vcpus);
void identify_vm(const struct vm *vm, struct table *t);
void update_vms(struct vm_list *list);

/* qmp.c */
struct vcpus read_qmp(const char *path);

/* metrics.c */
int write_metrics(const struct vm_list *list, const char *path);

/* list.c */
#define CLEAR_SCREEN		"\033[H\033[2J"

void list_vms(struct vm_list *list, u64 interval_ns, u64 count, bool is_terminal);

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
};

extern struct options opt;

/* What is shown: counts, what came of them in that time, its rates, two counts, or vCPUs. */
enum layout { COUNTS, PERIOD, RATES, COMPARISON, SIDE_BY_SIDE };

struct view {
	enum layout layout;
	struct table *a;
	struct table *b;
	struct vcpus vcpus;
	const char *vm;
	char **paths;
	enum relation relation;
	double seconds;
};

int select_rows(const struct table *a, const struct table *b, int first, int end, int *rows);
void check_output(FILE *file);
void show(struct view *v, FILE *file);

/* json.c */
void print_json_string(const char *s, FILE *file);
void print_json(const struct view *v, FILE *file);

/* options.c */
enum mode { SHOW, WATCH, RUN, WRITE, SHOW_SNAPSHOT, DIFF, METRICS };

struct arguments {
	enum mode mode;
	char *files[3];
	size_t nr_files;
	char **command;
	const char *snapshot;
	const char *pid;
	const char *name;
	const char *qmp;
	const char *root;
	int vcpu;
	bool is_host;
	u64 interval_ns;
	u64 count;
};

void parse_arguments(int argc, char **argv, struct arguments *args);

#endif
