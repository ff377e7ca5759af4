// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots: counts in a file.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_exits.h"

#define SNAPSHOT_MAGIC		"# kvm_exits snapshot "
#define SNAPSHOT_VERSION	1
#define SNAPSHOT_COLUMNS	"code\tname\texits\tcycles"

/* The header from its second line on, in this order */
static const struct field {
	const char *key;
	enum { ISA, NUMBER, ROW, BOOT_ID } type;
	size_t offset;
} fields[] = {
	{ "isa", ISA, offsetof(struct table, is_svm) },
	{ "revision", NUMBER, offsetof(struct table, revision) },
	{ "mask", NUMBER, offsetof(struct table, mask) },
	{ "leaf_total", NUMBER, offsetof(struct table, leaf_total) },
	{ "own", ROW, offsetof(struct table, own_row) },
	{ "startup_reads", NUMBER, offsetof(struct table, startup_reads) },
	{ "reads", NUMBER, offsetof(struct table, reads) },
	{ "reads_after", NUMBER, offsetof(struct table, reads_after) },
	{ "read_ns", NUMBER, offsetof(struct table, read_ns) },
	{ "tsc_khz", NUMBER, offsetof(struct table, tsc_khz) },
	{ "time_ns", NUMBER, offsetof(struct table, time_ns) },
	{ "uptime_ns", NUMBER, offsetof(struct table, uptime_ns) },
	{ "machine", NUMBER, offsetof(struct table, machine) },
	{ "boot_id", BOOT_ID, offsetof(struct table, boot_id) },
};

static struct {
	const char *path;
	char *rest;
	unsigned int line;
} snapshot;

#define snapshot_error(fmt, ...)						\
	errx(EXIT_FAILURE, "%s:%u: " fmt, snapshot.path, snapshot.line, ##__VA_ARGS__)

static char *read_line(void)
{
	char *line = take_line(&snapshot.rest);

	snapshot.line++;
	if (!line)
		snapshot_error("truncated: no total row with a newline at its end");

	return line;
}

static bool parse_field(struct table *t, const struct field *field, const char *value)
{
	switch (field->type) {
	case ISA:
		t->is_svm = !strcmp(value, "svm");
		return !strcmp(value, isa_name(t));
	case NUMBER:
		return parse_u64(value, (u64 *)((char *)t + field->offset));
	case ROW:
		t->own_row = code_to_row(t, value);
		return t->own_row <= ROW_OTHER;
	case BOOT_ID:
		if (strlen(value) >= sizeof(t->boot_id))
			return false;
		memcpy(t->boot_id, value, strlen(value) + 1);
		return !value[strspn(value, BOOT_ID_CHARACTERS)];
	}

	return false;
}

static void parse_header(struct table *t)
{
	char *key, *value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		value = read_line();
		key = strsep(&value, "\t");
		if (!value || strncmp(key, "# ", 2) || strcmp(key + 2, fields[i].key))
			snapshot_error("not '# %s', a tab, and a value", fields[i].key);
		if (!parse_field(t, &fields[i], value))
			snapshot_error("malformed %s", fields[i].key);
	}

	if (t->revision != REVISION)
		snapshot_error("revision %llu of the leaves, this program knows %u",
			       t->revision, REVISION);
	if (strcmp(read_line(), SNAPSHOT_COLUMNS))
		snapshot_error("not the line of the columns: code, name, exits, cycles");
}

static void parse_rows(struct table *t)
{
	struct row row;
	char *code;
	int nr;

	do {
		if (!parse_row(read_line(), &code, &row))
			snapshot_error("not a code, a name, and two numbers, with tabs between");

		nr = code_to_row(t, code);
		if (nr == NR_ROWS)
			snapshot_error("unknown code");
		if (t->rows[nr].defined)
			snapshot_error("a second row of the same code");

		t->rows[nr] = row;
	} while (nr != ROW_TOTAL);
}

static void parse_snapshot(const char *path, char *text, struct table *t)
{
	const struct row *total = &t->rows[ROW_TOTAL];
	struct row sum;
	u64 version;
	char *line;

	*t = (struct table) {};
	snapshot.path = path;
	snapshot.rest = text;
	snapshot.line = 1;

	line = take_line(&snapshot.rest);
	if (!line || strncmp(line, SNAPSHOT_MAGIC, strlen(SNAPSHOT_MAGIC)) ||
	    !parse_u64(line + strlen(SNAPSHOT_MAGIC), &version))
		snapshot_error("not a kvm_exits snapshot");
	if (version != SNAPSHOT_VERSION)
		snapshot_error("snapshot version %llu, this program knows %u", version,
			       SNAPSHOT_VERSION);

	parse_header(t);
	parse_rows(t);

	if (!sum_rows(t, 0, ROW_VECTORS, &sum) || sum.exits != total->exits ||
	    sum.cycles != total->cycles)
		snapshot_error("the total is not the sum of the reasons");
	if (total->exits != t->leaf_total)
		snapshot_error("the total is not the leaf_total of the header");
	if (!sum_rows(t, ROW_VECTORS, ROW_TOTAL, &sum))
		snapshot_error("the sum of the vectors overflows");
	if (*snapshot.rest)
		snapshot_error("text after the total row");
}

void load_snapshot(const char *path, struct table *t)
{
	char text[MAX_FILE];

	if (!read_text(AT_FDCWD, path, text, sizeof(text))) {
		if (errno)
			err(EXIT_FAILURE, "%s", path);
		errx(EXIT_FAILURE, "%s: not a kvm_exits snapshot, but binary or too long", path);
	}

	parse_snapshot(path, text, t);
}

static void write_field(const struct table *t, const struct field *field, FILE *file)
{
	fprintf(file, "# %s\t", field->key);
	switch (field->type) {
	case ISA:
		fprintf(file, "%s\n", isa_name(t));
		break;
	case NUMBER:
		fprintf(file, "%llu\n", *(const u64 *)((const char *)t + field->offset));
		break;
	case ROW:
		fprintf(file, "%s\n", row_code(t, t->own_row));
		break;
	case BOOT_ID:
		fprintf(file, "%s\n", t->boot_id);
		break;
	}
}

static void write_snapshot(const struct table *t, FILE *file)
{
	size_t i;

	fprintf(file, "%s%u\n", SNAPSHOT_MAGIC, SNAPSHOT_VERSION);
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		write_field(t, &fields[i], file);

	fprintf(file, "%s\n", SNAPSHOT_COLUMNS);
	for (i = 0; i < NR_ROWS; i++) {
		if (t->rows[i].defined)
			fprintf(file, "%s\t%s\t%llu\t%llu\n", row_code(t, i),
				row_name(t, i), t->rows[i].exits, t->rows[i].cycles);
	}
}

void save_snapshot(const struct table *t, const char *path)
{
	struct output o = open_output(path);

	write_snapshot(t, o.file);
	close_output(&o);
}
