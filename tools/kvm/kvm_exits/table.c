// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows, and arithmetic with tables of them.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_exits.h"

/* A line of KVM, or of a snapshot: code, name, exits, cycles.  The name says nothing. */
bool parse_row(char *line, char **code, struct row *row)
{
	char *fields[4];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields) && line; i++)
		fields[i] = strsep(&line, "\t");
	if (i < ARRAY_SIZE(fields) || line || !parse_u64(fields[2], &row->exits) ||
	    !parse_u64(fields[3], &row->cycles))
		return false;

	*code = fields[0];
	row->defined = true;
	return true;
}

bool is_timed(const struct table *t)
{
	return t->mask & MASK_CYCLES;
}

/* Return false if a sum overflows. */
static bool add_row(struct row *sum, const struct row *row)
{
	return !__builtin_add_overflow(sum->exits, row->exits, &sum->exits) &&
	       !__builtin_add_overflow(sum->cycles, row->cycles, &sum->cycles);
}

/* Return false if a sum overflows. */
bool sum_rows(const struct table *t, int first, int end, struct row *sum)
{
	int i;

	*sum = (struct row) { .defined = true };

	for (i = first; i < end; i++) {
		if (!add_row(sum, &t->rows[i]))
			return false;
	}

	return true;
}

/*
 * Where only reasons are counted, an exception of AMD is one.  Return false if a sum
 * overflows.
 */
bool complete_table(struct table *t)
{
	int i;

	for (i = 0; i < NR_VECTORS && t->is_svm; i++)
		t->rows[ROW_VECTORS + i] = t->rows[SVM_EXCEPTIONS + i];

	t->rows[ROW_OTHER].defined = true;
	if (!sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]))
		return false;

	t->leaf_total = t->rows[ROW_TOTAL].exits;
	return true;
}

/* Return false if a sum overflows. */
bool add_table(struct table *t, const struct table *other)
{
	int i;

	for (i = 0; i < NR_ROWS; i++) {
		if (!add_row(&t->rows[i], &other->rows[i]))
			return false;
	}

	t->leaf_total = t->rows[ROW_TOTAL].exits;
	return !__builtin_add_overflow(t->all_cycles, other->all_cycles, &t->all_cycles);
}

/* "other" shrinks if its exits were found by reason since. */
bool counts_grew(const struct table *before, const struct table *now)
{
	int i;

	for (i = 0; i < ROW_TOTAL; i++) {
		if (i != ROW_OTHER && now->rows[i].exits < before->rows[i].exits)
			return false;
	}

	return now->leaf_total >= before->leaf_total;
}

static u64 growth(u64 before, u64 now)
{
	return now > before ? now - before : 0;
}

/*
 * Take exits that kvm_exits caused out of the row they are counted in.  Their cycles
 * are not known apart, they are taken to be like those of the row's other exits.
 */
static void set_own_apart(struct table *t, u64 own)
{
	struct row *row = &t->rows[t->own_row], *own_row = &t->rows[ROW_OWN];

	*own_row = *row;
	own_row->defined = true;
	if (own < row->exits) {
		own_row->exits = own;
		own_row->cycles = row->cycles / row->exits * own;
	}

	row->exits -= own_row->exits;
	row->cycles -= own_row->cycles;
}

static bool has_reasons(const struct table *t)
{
	return t->rows[ROW_TOTAL].exits != t->rows[ROW_OTHER].exits;
}

/*
 * Leave in t what came since before, own of them caused by kvm_exits.  If the counts
 * started over meanwhile, that is all of t.
 */
void subtract_table(struct table *t, const struct table *before, u64 own)
{
	int i;

	if (t->is_svm != before->is_svm && has_reasons(t) && has_reasons(before))
		errx(EXIT_FAILURE, "the VM went from %s to %s", vendor_name(before),
		     vendor_name(t));

	if (!counts_grew(before, t))
		t->started_over = true;

	for (i = 0; i < ROW_TOTAL && !t->started_over; i++) {
		t->rows[i].exits = growth(before->rows[i].exits, t->rows[i].exits);
		t->rows[i].cycles = growth(before->rows[i].cycles, t->rows[i].cycles);
	}
	if (!t->started_over)
		t->all_cycles = growth(before->all_cycles, t->all_cycles);

	set_own_apart(t, own);
	sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]);
}

/* HLT is the guest's own idle time. */
void drop_idle(struct table *t)
{
	t->rows[t->is_svm ? SVM_HLT : VMX_HLT] = (struct row) {};
	if (t->is_svm)
		t->rows[SVM_IDLE_HLT] = (struct row) {};

	sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]);
}

double seconds_since(const struct table *before, const struct table *now)
{
	return (double)(now->read_at - before->read_at) / NSEC_PER_SEC;
}

void free_vcpus(struct vcpus *vcpus)
{
	free(vcpus->ids);
	free(vcpus->tables);
}
