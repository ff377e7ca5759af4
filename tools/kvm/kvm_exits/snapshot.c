// SPDX-License-Identifier: GPL-2.0-only
/*
 * Snapshots: counts in a file.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_exits.h"

#define SNAPSHOT_MAGIC		"# kvm_exits snapshot "
#define SNAPSHOT_VERSION	1
#define SNAPSHOT_COLUMNS	"code\tname\texits\tcycles"
#define SNAPSHOT_LINE_SIZE	256

static struct {
	const char *path;
	FILE *file;
	unsigned int line;
	char buf[SNAPSHOT_LINE_SIZE];
} snapshot;

#define snapshot_error(fmt, ...)						\
	errx(EXIT_FAILURE, "%s:%u: " fmt, snapshot.path, snapshot.line, ##__VA_ARGS__)

/* A line of the header, a text if it has neither value nor row. */
struct field {
	const char *key;
	u64 *value;
	int *row;
	bool optional;
	bool seen;
};

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

static void parse_field(struct table *t, struct field *field, const char *value)
{
	if (field->value) {
		if (!parse_u64(value, field->value))
			snapshot_error("malformed number");
	} else if (field->row) {
		*field->row = code_to_row(t, value);
		if (*field->row > ROW_OTHER)
			snapshot_error("unknown code");
	} else if (!strcmp(field->key, "boot_id")) {
		if (strlen(value) >= sizeof(t->boot_id) ||
		    value[strspn(value, BOOT_ID_CHARACTERS)])
			snapshot_error("malformed boot_id");
		strcpy(t->boot_id, value);
	} else if (!strcmp(value, "svm")) {
		t->is_svm = true;
	} else if (strcmp(value, "vmx")) {
		snapshot_error("unknown isa");
	}
}

/* Leaves the line of the columns' names in the buffer. */
static void parse_header(struct table *t)
{
	struct field fields[] = {
		{ .key = "isa" },
		{ .key = "revision", .value = &t->revision },
		{ .key = "mask", .value = &t->mask },
		{ .key = "leaf_total", .value = &t->leaf_total },
		{ .key = "reads", .value = &t->reads },
		{ .key = "read_ns", .value = &t->read_ns },
		/* Older snapshots have none of these. */
		{ .key = "own", .row = &t->own_row, .optional = true },
		{ .key = "reads_after", .value = &t->reads_after, .optional = true },
		{ .key = "startup_reads", .value = &t->startup_reads, .optional = true },
		{ .key = "tsc_khz", .value = &t->tsc_khz, .optional = true },
		{ .key = "time_ns", .value = &t->time_ns, .optional = true },
		{ .key = "uptime_ns", .value = &t->uptime_ns, .optional = true },
		{ .key = "machine", .value = &t->machine, .optional = true },
		{ .key = "boot_id", .optional = true },
	};
	char *key, *value;
	size_t i;

	t->own_row = ROW_OTHER;
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
		parse_field(t, &fields[i], value);
	}

	for (i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!fields[i].seen && !fields[i].optional)
			snapshot_error("no %s in the header", fields[i].key);
	}

	if (t->revision != REVISION)
		snapshot_error("revision %llu of the leaves, this program knows %u",
			       t->revision, REVISION);
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

	nr = code_to_row(t, fields[0]);
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

void load_snapshot(const char *path, struct table *t)
{
	struct row *total = &t->rows[ROW_TOTAL], sum;
	u64 version;

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
	if (total->exits != t->leaf_total)
		snapshot_error("the total is not the leaf_total of the header");
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
	fprintf(file, "# own\t%s\n", row_code(t, t->own_row));
	fprintf(file, "# startup_reads\t%llu\n", t->startup_reads);
	fprintf(file, "# reads\t%llu\n", t->reads);
	fprintf(file, "# reads_after\t%llu\n", t->reads_after);
	fprintf(file, "# read_ns\t%llu\n", t->read_ns);
	fprintf(file, "# tsc_khz\t%llu\n", t->tsc_khz);
	fprintf(file, "# time_ns\t%llu\n", t->time_ns);
	fprintf(file, "# uptime_ns\t%llu\n", t->uptime_ns);
	fprintf(file, "# machine\t%llu\n", t->machine);
	fprintf(file, "# boot_id\t%s\n", t->boot_id);
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
