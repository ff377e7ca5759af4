// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables for people.
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

/* VCPUS + N is the Nth vCPU. */
enum column {
	END, CODE, NAME, EXITS, RATE, SHARE, TIME, TIME_SHARE, AVERAGE, EXITS_A, EXITS_B,
	CHANGE, RATIO, TIME_A, TIME_B, VCPUS,
};

static const enum column layouts[][MAX_COLUMNS + 1] = {
	[COUNTS] = { CODE, NAME, EXITS, SHARE, TIME, TIME_SHARE, AVERAGE },
	[PERIOD] = { CODE, NAME, EXITS, SHARE, TIME, TIME_SHARE, AVERAGE },
	[RATES] = { CODE, NAME, RATE, SHARE, TIME, TIME_SHARE, AVERAGE },
	[COMPARISON] = { CODE, NAME, EXITS_A, EXITS_B, CHANGE, RATIO, TIME_A, TIME_B },
	[SIDE_BY_SIDE] = { CODE, NAME },
};

struct options opt;

/* What is sorted, b may be missing */
static const struct table *table_a, *table_b;

static u64 distance(u64 a, u64 b)
{
	return a > b ? a - b : b - a;
}

static u64 average(const struct row *row)
{
	return row->exits ? row->cycles / row->exits : 0;
}

static u64 sort_value(int row)
{
	const struct row none = {}, *a = &table_a->rows[row];
	const struct row *b = table_b ? &table_b->rows[row] : &none;

	if (opt.sort == BY_TIME)
		return distance(a->cycles, b->cycles);
	if (opt.sort == BY_AVERAGE)
		return distance(average(a), average(b));

	return distance(a->exits, b->exits);
}

static int compare_names(int a, int b)
{
	char name[ROW_NAME_SIZE];

	snprintf(name, sizeof(name), "%s", row_name(table_a, a));
	return strcmp(name, row_name(table_a, b));
}

static int compare_rows(const void *p, const void *q)
{
	int a = *(const int *)p, b = *(const int *)q;
	int order = opt.sort == BY_NAME ? compare_names(a, b) : 0;

	if (order)
		return order;
	if (sort_value(a) != sort_value(b))
		return sort_value(a) > sort_value(b) ? -1 : 1;

	return a - b;
}

static bool is_zero(const struct row *row)
{
	return !row->exits && !row->cycles;
}

static bool is_selected(int row)
{
	const struct row *a = &table_a->rows[row], *b = table_b ? &table_b->rows[row] : a;

	if (is_zero(a) && is_zero(b) &&
	    (!opt.zeros || row == ROW_OTHER || (!a->defined && !b->defined)))
		return false;

	return !opt.filter || !regexec(opt.filter, row_name(table_a, row), 0, NULL, 0) ||
	       !regexec(opt.filter, row_code(table_a, row), 0, NULL, 0);
}

/* The rows to show, the most exits, or with b the largest change, first. */
int select_rows(const struct table *a, const struct table *b, int first, int end, int *rows)
{
	int i, nr = 0;

	table_a = a;
	table_b = b;
	for (i = first; i < end; i++) {
		if (is_selected(i))
			rows[nr++] = i;
	}

	qsort(rows, nr, sizeof(*rows), compare_rows);
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
static void print_title(const struct view *v, enum column column, char *cell, size_t size)
{
	static const char * const titles[][2] = {
		[CODE] = { "code" }, [NAME] = { "name" }, [EXITS] = { "exits" },
		[RATE] = { "exits/s" }, [SHARE] = { "share" }, [TIME] = { "cycles", "ms" },
		[TIME_SHARE] = { "time%" }, [AVERAGE] = { "cycles/exit", "us/exit" },
		[EXITS_A] = { "exits A" }, [EXITS_B] = { "exits B" }, [CHANGE] = { "change" },
		[RATIO] = { "ratio" }, [TIME_A] = { "cycles A", "ms A" },
		[TIME_B] = { "cycles B", "ms B" },
	};

	if (column >= VCPUS)
		snprintf(cell, size, "vCPU %d", v->vcpus.ids[column - VCPUS]);
	else
		snprintf(cell, size, "%s",
			 titles[column][is_time_known(v) && titles[column][1]]);
}

static void print_ratio(u64 a, u64 b, char *cell, size_t size)
{
	if (a && b)
		snprintf(cell, size, "%.2fx", (double)b / a);
	else
		snprintf(cell, size, "%s", a ? "gone" : b ? "new" : "-");
}

/* Valid until the next call. */
static const char *get_cell(const struct view *v, int row, enum column column)
{
	const struct row *total = &v->a->rows[ROW_TOTAL], *a, *b;
	static char cell[40];

	if (row == ROW_TITLE) {
		print_title(v, column, cell, sizeof(cell));
		return cell;
	}

	a = &v->a->rows[row];
	b = v->b ? &v->b->rows[row] : NULL;

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
		print_ratio(a->exits, b->exits, cell, sizeof(cell));
		break;
	case TIME_B:
		print_cycles(v, v->b, b->cycles, cell, sizeof(cell));
		break;
	case TIME:
	case TIME_A:
		print_cycles(v, v->a, a->cycles, cell, sizeof(cell));
		break;
	case EXITS_B:
		snprintf(cell, sizeof(cell), "%llu", b->exits);
		break;
	default:
		if (column >= VCPUS)
			a = &v->vcpus.tables[column - VCPUS].rows[row];
		snprintf(cell, sizeof(cell), "%llu", a->exits);
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
	int i, nr = 0;

	for (c = layouts[v->layout]; *c != END; c++) {
		if (timed || (*c != TIME && *c != TIME_SHARE && *c != AVERAGE &&
			      *c != TIME_A && *c != TIME_B))
			columns[nr++] = *c;
	}
	for (i = 0; i < v->vcpus.nr; i++)
		columns[nr++] = VCPUS + i;

	return nr;
}

/* Each column is as wide as its widest cell, the title, which is row -1, included. */
static void print_table(const struct view *v, FILE *file)
{
	enum column *columns = xrealloc(NULL, MAX_COLUMNS + v->vcpus.nr, sizeof(*columns));
	int i, j, len, width, nr, nr_columns, rows[NR_ROWS + 2], *widths;
	const char *style;

	nr_columns = get_columns(v, columns);
	widths = xrealloc(NULL, nr_columns, sizeof(*widths));
	nr = select_rows(v->a, v->b, opt.vectors ? ROW_VECTORS : 0,
			 opt.vectors ? ROW_TOTAL : ROW_VECTORS, rows + 1);
	rows[0] = ROW_TITLE;
	rows[nr + 1] = ROW_TOTAL;

	for (j = 0; j < nr_columns; j++) {
		widths[j] = 0;
		for (i = 0; i < nr + 2; i++) {
			len = strlen(get_cell(v, rows[i], columns[j]));
			if (len > widths[j])
				widths[j] = len;
		}
	}

	/* The name is the only column that starts at the left. */
	for (i = 0; i < nr + 2; i++) {
		style = row_style(v, rows[i]);
		fprintf(file, "%s", style);
		for (j = 0; j < nr_columns; j++) {
			width = columns[j] == NAME ? -widths[j] : widths[j];
			fprintf(file, "%s%*s", j == 0 ? "" : j == 1 ? " " : "  ", width,
				get_cell(v, rows[i], columns[j]));
		}
		fprintf(file, "%s\n", *style ? NORMAL : "");
	}

	free(columns);
	free(widths);
}

static void print_heading(const struct view *v, FILE *file)
{
	static const char * const relations[] = {
		[RELATION_UNKNOWN] = "",
		[SAME_VM] = "The same VM, %.1f s later\n",
		[VM_STARTED_OVER] = "The same VM, %.1f s later, but its counters started over\n",
		[RESTARTED_VM] = "The VM was restarted\n",
		[RESTARTED_OR_OTHER_VM] = "The VM was restarted, or is another one\n",
		[OTHER_VM] = "Another VM\n",
	};

	if (v->paths) {
		fprintf(file, "A: %s\nB: %s\n", v->paths[0], v->paths[1]);
		fprintf(file, relations[v->relation], v->seconds);
	}
	if (v->vm)
		fprintf(file, "%s: ", v->vm);
	if (v->layout != COMPARISON)
		fprintf(file, "%s, %llu exits", vendor_name(v->a), v->a->rows[ROW_TOTAL].exits);
	if (v->layout == PERIOD)
		fprintf(file, " in %.3f s\n", v->seconds);
	else if (v->layout == RATES)
		fprintf(file, "\n");
	else if (v->layout != COMPARISON)
		fprintf(file, " since the VM was created\n");
}

static void print_footer(const struct table *t, enum layout layout, FILE *file)
{
	if (layout == COMPARISON || layout == SIDE_BY_SIDE)
		return;

	if (t->all_cycles)
		fprintf(file, "All exits together took %llu cycles.\n", t->all_cycles);
	else if (!is_timed(t))
		fprintf(file, "Not timed: the host's mask lacks KVM_X86_EXIT_COUNTERS_CYCLES.\n");
}

/* What remains to be shown, with the total of that */
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
	int i;

	if (!opt.json)
		print_heading(v, file);

	prepare(v->a);
	if (v->b)
		prepare(v->b);
	for (i = 0; i < v->vcpus.nr; i++)
		prepare(&v->vcpus.tables[i]);

	if (opt.json) {
		print_json(v, file);
	} else {
		print_table(v, file);
		print_footer(v->a, v->layout, file);
	}
	check_output(file);
}
