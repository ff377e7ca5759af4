// SPDX-License-Identifier: GPL-2.0-only
/*
 * For libFuzzer: the three texts that kvm_exits reads.  The first byte says which.
 */
#define _GNU_SOURCE
#include <err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_exits.h"

static jmp_buf refused;

#define errx(status, ...)	longjmp(refused, 1)
#define err(status, ...)	abort()
#include "snapshot.c"
#define HAVE_JANSSON
#include "qmp.c"
#undef errx
#undef err

static char *to_text(const struct table *t)
{
	size_t size;
	char *text;
	FILE *file = open_memstream(&text, &size);

	write_snapshot(t, file);
	fclose(file);
	return text;
}

/* What was taken adds up, is shown, and is a snapshot that is taken as it is. */
static void check(struct table *t)
{
	char *first = to_text(t), *copy = to_text(t), *second;
	FILE *null = fopen("/dev/null", "w");
	static struct table again;
	struct row sum;

	if (!sum_rows(t, 0, ROW_VECTORS, &sum) || sum.exits != t->rows[ROW_TOTAL].exits ||
	    t->leaf_total != sum.exits)
		abort();

	if (setjmp(refused))
		abort();
	parse_snapshot("copy", copy, &again);
	second = to_text(&again);
	if (strcmp(first, second))
		abort();

	show(&(struct view) { .layout = COUNTS, .a = t }, null);
	subtract_table(&again, t, t->reads);
	opt.json = !opt.json;
	show(&(struct view) { .layout = PERIOD, .a = &again, .seconds = 1 }, null);

	fclose(null);
	free(first);
	free(copy);
	free(second);
}

/* What follows the text is out of bounds. */
static char *copy_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static void read_snapshot(const uint8_t *data, size_t size)
{
	char *text = copy_text(data, size);
	struct table t;

	if (!setjmp(refused)) {
		parse_snapshot("snapshot", text, &t);
		check(&t);
	}
	free(text);
}

static void read_debugfs(const uint8_t *data, size_t size)
{
	char *text = copy_text(data, size);
	struct table t;

	if (parse_counters(text, &t)) {
		/* All of it was read, unless it has a NUL. */
		if (size && !memchr(data, '\0', size) && data[size - 1] != '\n')
			abort();
		check(&t);
	}
	free(text);
}

/* Whatever the order of the buckets is, no exit is lost. */
static void read_qmp_reply(const uint8_t *data, size_t size)
{
	FILE *file = fmemopen((void *)data, size, "r");
	json_t *reply = file ? read_reply(file) : NULL;
	size_t i, nr = json_array_size(reply), bucket;
	struct table *tables = xrealloc(NULL, nr, sizeof(*tables));
	const json_t *vcpu, *value;
	u64 sum;

	if (reply && !parse_reply(reply, tables)) {
		json_array_foreach(reply, i, vcpu) {
			sum = 0;
			json_array_foreach(find_stat(vcpu, "exits_by_reason"), bucket, value)
				sum += json_integer_value(value);
			if (sum != tables[i].leaf_total)
				abort();
			check(&tables[i]);
		}
	}

	free(tables);
	json_decref(reply);
	if (file)
		fclose(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (*data == '2')
		read_qmp_reply(data + 1, size - 1);
	else if (*data & 1)
		read_snapshot(data + 1, size - 1);
	else
		read_debugfs(data + 1, size - 1);

	return 0;
}
