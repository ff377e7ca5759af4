// SPDX-License-Identifier: GPL-2.0-only
/*
 * Arithmetic with tables of counts.
 */
#include <err.h>
#include <stdlib.h>

#include "kvm_exits.h"

bool is_timed(const struct table *t)
{
	return t->mask & MASK_CYCLES;
}

/* Return false if a sum overflows. */
bool sum_rows(const struct table *t, int first, int end, struct row *sum)
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

/* Return false if a sum overflows. */
bool add_table(struct table *t, const struct table *other)
{
	int i;

	for (i = 0; i < NR_ROWS; i++) {
		t->rows[i].cycles += other->rows[i].cycles;
		if (__builtin_add_overflow(t->rows[i].exits, other->rows[i].exits,
					   &t->rows[i].exits))
			return false;
	}

	return !__builtin_add_overflow(t->all_cycles, other->all_cycles, &t->all_cycles) &&
	       !__builtin_add_overflow(t->leaf_total, other->leaf_total, &t->leaf_total);
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

	if (own >= row->exits) {
		own_row->exits = row->exits;
		own_row->cycles = row->cycles;
	} else {
		own_row->exits = own;
		own_row->cycles = (double)row->cycles / row->exits * own;
	}

	own_row->defined = true;
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

	if (!t->started_over)
		t->started_over = !counts_grew(before, t);

	for (i = 0; i < ROW_TOTAL && !t->started_over; i++) {
		t->rows[i].exits = growth(before->rows[i].exits, t->rows[i].exits);
		t->rows[i].cycles = growth(before->rows[i].cycles, t->rows[i].cycles);
	}

	if (!t->started_over)
		t->all_cycles = growth(before->all_cycles, t->all_cycles);

	set_own_apart(t, own);
	sum_rows(t, 0, ROW_VECTORS, &t->rows[ROW_TOTAL]);
}
