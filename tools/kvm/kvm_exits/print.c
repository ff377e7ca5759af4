// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables and JSON.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_exits.h"

#define ROW_TITLE		(-1)
#define MAX_COLUMNS		8

#define BOLD			"\033[1m"
#define RED			"\033[31m"
#define GREEN			"\033[32m"
#define NORMAL			"\033[0m"

#define NSEC_PER_MSEC		1000000

enum column {
	END, CODE, NAME, EXITS, RATE, SHARE, TIME, TIME_SHARE, AVERAGE, EXITS_A, EXITS_B,
	CHANGE, RATIO, TIME_A, TIME_B,
};

static const enum column layouts[][MAX_COLUMNS + 1] = {
	[COUNTS] = { CODE, NAME, EXITS, SHARE, TIME, TIME_SHARE, AVERAGE },
	[PERIOD] = { CODE, NAME, EXITS, SHARE, TIME, TIME_SHARE, AVERAGE },
	[RATES] = { CODE, NAME, RATE, SHARE, TIME, TIME_SHARE, AVERAGE },
	[COMPARISON] = { CODE, NAME, EXITS_A, EXITS_B, CHANGE, RATIO, TIME_A, TIME_B },
};

struct options opt;

static u64 distance(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

static u64 average(const struct row *row)
{
	return row->exits ? row->cycles / row->exits : 0;
}

static u64 sort_value(const struct row *p, const struct row *q)
{
	if (opt.sort == BY_TIME)
		return distance(p->cycles, q->cycles);
	if (opt.sort == BY_AVERAGE)
		return distance(average(p), average(q));

	return distance(p->exits, q->exits);
}

static int compare_keys(const void *p, const void *q)
{
	const struct sort_key *a = p, *b = q;
	int order = opt.sort == BY_NAME ? strcmp(a->name, b->name) : 0;

	if (order)
		return order;
	if (a->value != b->value)
		return a->value > b->value ? -1 : 1;

	return a->row - b->row;
}

static bool is_selected(const struct table *t, int row)
{
	return !opt.filter || !regexec(opt.filter, row_name(t, row), 0, NULL, 0) ||
	       !regexec(opt.filter, row_code(t, row), 0, NULL, 0);
}

/* The rows to show, the most exits, or with b the largest change, first. */
int select_rows(const struct table *a, const struct table *b, int first, int end,
		struct sort_key *keys)
{
	static const struct table none;
	static char names[NR_ROWS][32];
	const struct row *p, *q;
	int i, nr = 0;
	bool zero;

	for (i = first; i < end; i++) {
		p = &a->rows[i];
		q = b ? &b->rows[i] : &none.rows[i];

		zero = !p->exits && !p->cycles && !q->exits && !q->cycles;
		if (zero && (!opt.zeros || i == ROW_OTHER || (!p->defined && !q->defined)))
			continue;
		if (!is_selected(a, i))
			continue;

		snprintf(names[i], sizeof(names[i]), "%s", row_name(a, i));
		keys[nr++] = (struct sort_key) { sort_value(p, q), i, names[i] };
	}

	qsort(keys, nr, sizeof(*keys), compare_keys);
	return nr;
}

static bool is_time_known(const struct view *v)
{
	return v->a->tsc_khz && (!v->b || v->b->tsc_khz);
}

/* Milliseconds, if the frequency of the TSC is known. */
static void print_cycles(const struct view *v, const struct table *t, u64 cycles, char *cell,
			 size_t size)
{
	if (!is_timed(t))
		snprintf(cell, size, "-");
	else if (is_time_known(v))
		snprintf(cell, size, "%.3f", (double)cycles / t->tsc_khz);
	else
		snprintf(cell, size, "%llu", cycles);
}

static void print_average(const struct view *v, const struct row *row, char *cell, size_t size)
{
	if (!row->exits)
		snprintf(cell, size, "-");
	else if (is_time_known(v))
		snprintf(cell, size, "%.2f", 1000.0 * row->cycles / v->a->tsc_khz / row->exits);
	else
		snprintf(cell, size, "%llu", average(row) +
			 (row->cycles % row->exits >= row->exits - row->exits / 2));
}

static void print_share(u64 part, u64 whole, char *cell, size_t size)
{
	if (whole)
		snprintf(cell, size, "%.2f%%", 100.0 * part / whole);
	else
		snprintf(cell, size, "-");
}

/* If the frequency of the TSC is unknown, and if it is known */
static const char *title(const struct view *v, enum column column)
{
	static const char * const titles[][2] = {
		[CODE] = { "code" }, [NAME] = { "name" }, [EXITS] = { "exits" },
		[RATE] = { "exits/s" }, [SHARE] = { "share" }, [TIME] = { "cycles", "ms" },
		[TIME_SHARE] = { "time%" }, [AVERAGE] = { "cycles/exit", "us/exit" },
		[EXITS_A] = { "exits A" }, [EXITS_B] = { "exits B" }, [CHANGE] = { "change" },
		[RATIO] = { "ratio" }, [TIME_A] = { "cycles A", "ms A" },
		[TIME_B] = { "cycles B", "ms B" },
	};

	return titles[column][is_time_known(v) && titles[column][1]];
}

/* Valid until the next call. */
static const char *get_cell(const struct view *v, int row, enum column column)
{
	const struct row *total = &v->a->rows[ROW_TOTAL], *a = &v->a->rows[row];
	const struct row *b = v->b ? &v->b->rows[row] : NULL;
	static char cell[40];

	if (row == ROW_TITLE)
		return title(v, column);

	switch (column) {
	case CODE:
		return row_code(v->a, row);
	case NAME:
		return row == ROW_TOTAL ? "" : row_name(v->a, row);
	case RATE:
		snprintf(cell, sizeof(cell), "%.1f", a->exits / v->seconds);
		break;
	case SHARE:
		print_share(a->exits, total->exits, cell, sizeof(cell));
		break;
	case TIME_SHARE:
		print_share(a->cycles, total->cycles, cell, sizeof(cell));
		break;
	case AVERAGE:
		print_average(v, a, cell, sizeof(cell));
		break;
	case CHANGE:
		snprintf(cell, sizeof(cell), "%s%llu", a->exits == b->exits ? "" :
			 a->exits < b->exits ? "+" : "-", distance(a->exits, b->exits));
		break;
	case RATIO:
		if (!a->exits || !b->exits)
			return a->exits ? "gone" : b->exits ? "new" : "-";
		snprintf(cell, sizeof(cell), "%.2fx", (double)b->exits / a->exits);
		break;
	case TIME_B:
		print_cycles(v, v->b, b->cycles, cell, sizeof(cell));
		break;
	case TIME:
	case TIME_A:
		print_cycles(v, v->a, a->cycles, cell, sizeof(cell));
		break;
	default:
		snprintf(cell, sizeof(cell), "%llu", column == EXITS_B ? b->exits : a->exits);
		break;
	}

	return cell;
}

static const char *row_style(const struct view *v, int row)
{
	if (!opt.colors)
		return "";
	if (row == ROW_TITLE || row == ROW_TOTAL)
		return BOLD;
	if (!v->b || v->a->rows[row].exits == v->b->rows[row].exits)
		return "";

	return v->a->rows[row].exits < v->b->rows[row].exits ? RED : GREEN;
}

static int get_columns(const struct view *v, enum column *columns)
{
	bool timed = is_timed(v->a) || (v->b && is_timed(v->b));
	const enum column *c;
	int nr = 0;

	for (c = layouts[v->layout]; nr < MAX_COLUMNS && *c != END; c++) {
		if (timed || (*c != TIME && *c != TIME_SHARE && *c != AVERAGE &&
			      *c != TIME_A && *c != TIME_B))
			columns[nr++] = *c;
	}

	return nr;
}

/* Each column is as wide as its widest cell, the title, which is row -1, included. */
static void print_table(const struct view *v, FILE *file)
{
	int i, j, len, nr, nr_columns, widths[MAX_COLUMNS] = {};
	enum column columns[MAX_COLUMNS];
	struct sort_key keys[NR_ROWS + 2];
	const char *style;

	nr_columns = get_columns(v, columns);
	nr = select_rows(v->a, v->b, opt.vectors ? ROW_VECTORS : 0,
			 opt.vectors ? ROW_TOTAL : ROW_VECTORS, keys + 1);
	keys[0].row = ROW_TITLE;
	keys[nr + 1].row = ROW_TOTAL;

	for (i = 0; i < nr + 2; i++) {
		for (j = 0; j < nr_columns; j++) {
			len = strlen(get_cell(v, keys[i].row, columns[j]));
			if (len > widths[j])
				widths[j] = len;
		}
	}

	/* The name is the only column that starts at the left. */
	for (i = 0; i < nr + 2; i++) {
		style = row_style(v, keys[i].row);
		for (j = 0; j < nr_columns; j++)
			fprintf(file, "%s%*s", j == 0 ? style : j == 1 ? " " : "  ",
				j == 1 ? -widths[j] : widths[j],
				get_cell(v, keys[i].row, columns[j]));
		fprintf(file, "%s\n", *style ? NORMAL : "");
	}

	if (!v->b && v->a->all_cycles)
		fprintf(file, "All exits together took %llu cycles.\n", v->a->all_cycles);
	else if (!v->b && !is_timed(v->a))
		fprintf(file, "Not timed: the host's mask lacks KVM_X86_EXIT_COUNTERS_CYCLES (2).\n");
}

/* Including the quotes. */
void print_json_string(const char *s, FILE *file)
{
	putc('"', file);
	for (; *s; s++) {
		if ((unsigned char)*s < ' ')
			fprintf(file, "\\u%04x", *s);
		else
			fprintf(file, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	}
	putc('"', file);
}

static void print_json_counts(const struct row *a, const struct row *b, FILE *file)
{
	if (b)
		fprintf(file, "\"exits_a\":%llu,\"exits_b\":%llu,\"cycles_a\":%llu,\"cycles_b\":%llu}",
			a->exits, b->exits, a->cycles, b->cycles);
	else
		fprintf(file, "\"exits\":%llu,\"cycles\":%llu}", a->exits, a->cycles);
}

void print_json_rows(const struct table *a, const struct table *b, int first, int end,
		     FILE *file)
{
	struct sort_key keys[NR_ROWS];
	int i, row, nr = select_rows(a, b, first, end, keys);

	for (i = 0; i < nr; i++) {
		row = keys[i].row;
		fprintf(file, "%s{\"code\":\"%s\",", i ? "," : "", row_code(a, row));
		fprintf(file, "\"name\":\"%s\",", row_name(a, row));
		print_json_counts(&a->rows[row], b ? &b->rows[row] : NULL, file);
	}
}

/* Which VM, and when, in keys that end like suffix. */
static void print_json_identity(const struct table *t, const char *suffix, FILE *file)
{
	if (t->time_ns)
		fprintf(file, "\"time%s\":%llu.%03llu,", suffix, t->time_ns / NSEC_PER_SEC,
			t->time_ns % NSEC_PER_SEC / NSEC_PER_MSEC);
	if (t->boot_id[0])
		fprintf(file, "\"boot_id%s\":\"%s\",\"uptime%s\":%llu.%03llu,", suffix,
			t->boot_id, suffix, t->uptime_ns / NSEC_PER_SEC,
			t->uptime_ns % NSEC_PER_SEC / NSEC_PER_MSEC);
	if (t->machine)
		fprintf(file, "\"machine%s\":\"%016llx\",", suffix, t->machine);
}

static const char * const relation_names[] = {
	[RELATION_UNKNOWN] = "unknown", [SAME_VM] = "same",
	[SAME_VM_STARTED_OVER] = "started over", [RESTARTED_VM] = "restarted",
	[RESTARTED_OR_OTHER_VM] = "restarted or other", [OTHER_VM] = "other",
};

static void print_json(const struct view *v, FILE *file)
{
	bool timed = is_timed(v->a) && (!v->b || is_timed(v->b));

	fprintf(file, "{\"isa\":\"%s\",\"revision\":%llu,\"timed\":%s,", isa_name(v->a),
		v->a->revision, timed ? "true" : "false");
	fprintf(file, "\"unit\":\"cycles\",\"tsc_khz\":%llu,", v->a->tsc_khz);
	if (opt.vm) {
		fprintf(file, "\"vm\":");
		print_json_string(opt.vm, file);
		putc(',', file);
	}
	if (v->paths) {
		fprintf(file, "\"a\":");
		print_json_string(v->paths[0], file);
		fprintf(file, ",\"b\":");
		print_json_string(v->paths[1], file);
		fprintf(file, ",\"relation\":\"%s\",", relation_names[v->relation]);
	}
	print_json_identity(v->a, v->b ? "_a" : "", file);
	if (v->b)
		print_json_identity(v->b, "_b", file);
	if (v->seconds)
		fprintf(file, "\"seconds\":%.9f,", v->seconds);
	if (v->a->all_cycles)
		fprintf(file, "\"all_cycles\":%llu,", v->a->all_cycles);
	if (v->a->started_over)
		fprintf(file, "\"started_over\":true,");

	fprintf(file, "\"reasons\":[");
	print_json_rows(v->a, v->b, 0, ROW_VECTORS, file);
	fprintf(file, "],\"vectors\":[");
	print_json_rows(v->a, v->b, ROW_VECTORS, ROW_TOTAL, file);
	fprintf(file, "],");
	print_json_counts(&v->a->rows[ROW_TOTAL], v->b ? &v->b->rows[ROW_TOTAL] : NULL, file);
	fprintf(file, "\n");
}

static void print_heading(const struct view *v, FILE *file)
{
	static const char * const relations[] = {
		[RELATION_UNKNOWN] = "",
		[SAME_VM] = "The same VM, %.1f s later\n",
		[SAME_VM_STARTED_OVER] = "The same VM, %.1f s later, but its counters started over\n",
		[RESTARTED_VM] = "The VM was restarted\n",
		[RESTARTED_OR_OTHER_VM] = "The VM was restarted, or is another one\n",
		[OTHER_VM] = "Another VM\n",
	};
	u64 exits = v->a->rows[ROW_TOTAL].exits;

	if (v->paths) {
		fprintf(file, "A: %s\nB: %s\n", v->paths[0], v->paths[1]);
		fprintf(file, relations[v->relation], v->seconds);
	}
	if (opt.vm)
		fprintf(file, "%s: ", opt.vm);
	if (v->layout == COUNTS)
		fprintf(file, "%s, %llu exits since the VM was created\n", vendor_name(v->a),
			exits);
	else if (v->layout == PERIOD)
		fprintf(file, "%s, %llu exits in %.3f s\n", vendor_name(v->a), exits,
			v->seconds);
	else if (v->layout == RATES)
		fprintf(file, "%s, %llu exits\n", vendor_name(v->a), exits);
}

/* HLT is the guest's own idle time. */
void drop_idle(struct table *t)
{
	t->rows[t->is_svm ? SVM_HLT : VMX_HLT] = (struct row) {};
	if (t->is_svm)
		t->rows[SVM_IDLE_HLT] = (struct row) {};

	sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]);
}

static void prepare(struct table *t)
{
	if (opt.busy)
		drop_idle(t);
	if (opt.vectors)
		sum_rows(t, ROW_VECTORS, ROW_TOTAL, &t->rows[ROW_TOTAL]);
}

void check_output(FILE *file)
{
	if (fflush(file) || ferror(file))
		err(EXIT_FAILURE, "standard output");
}

/* Changes the tables. */
void show(struct view *v, FILE *file)
{
	if (!opt.json)
		print_heading(v, file);

	prepare(v->a);
	if (v->b)
		prepare(v->b);

	if (opt.json)
		print_json(v, file);
	else
		print_table(v, file);
	check_output(file);
}

static void print_json_vcpus(const struct table *tables, const int *ids, int nr)
{
	int i;

	printf("{\"isa\":\"%s\",\"vm\":", isa_name(tables));
	print_json_string(opt.vm, stdout);
	printf(",\"vcpus\":[");
	for (i = 0; i < nr; i++) {
		printf("%s{\"vcpu\":%d,\"reasons\":[", i ? "," : "", ids[i]);
		print_json_rows(&tables[i], NULL, 0, ROW_VECTORS, stdout);
		printf("],");
		print_json_counts(&tables[i].rows[ROW_TOTAL], NULL, stdout);
	}
	printf("]}\n");
}

/* The rows of the sum, with a column of exits for each vCPU */
void print_vcpus(const struct table *sum, const struct table *tables, const int *ids, int nr)
{
	struct sort_key keys[NR_ROWS];
	int i, j, row, nr_rows = select_rows(sum, NULL, 0, ROW_VECTORS, keys);

	if (opt.json) {
		print_json_vcpus(tables, ids, nr);
		return check_output(stdout);
	}

	printf("%s: %s, exits of each vCPU since the VM was created\n%5s %-26s", opt.vm,
	       vendor_name(sum), "code", "name");
	for (j = 0; j < nr; j++)
		printf("  %9s%3d", "vCPU ", ids[j]);
	keys[nr_rows].row = ROW_TOTAL;
	for (i = 0; i <= nr_rows; i++) {
		row = keys[i].row;
		printf("\n%5s %-26s", row_code(sum, row),
		       row == ROW_TOTAL ? "" : row_name(sum, row));
		for (j = 0; j < nr; j++)
			printf("  %12llu", tables[j].rows[row].exits);
	}
	printf("\n");
	check_output(stdout);
}
