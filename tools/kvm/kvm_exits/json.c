// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same as JSON, an object a line.
 */
#include "kvm_exits.h"

#define NSEC_PER_MSEC		1000000

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

static void print_seconds(const char *key, u64 ns, FILE *file)
{
	fprintf(file, "\"%s\":%llu.%03llu,", key, ns / NSEC_PER_SEC,
		ns % NSEC_PER_SEC / NSEC_PER_MSEC);
}

/* Which VM, and when */
static void print_identity(const struct table *t, FILE *file)
{
	fprintf(file, "\"isa\":\"%s\",\"revision\":%llu,\"timed\":%s,", isa_name(t), t->revision,
		is_timed(t) ? "true" : "false");
	fprintf(file, "\"unit\":\"cycles\",\"tsc_khz\":%llu,", t->tsc_khz);
	if (t->time_ns)
		print_seconds("time", t->time_ns, file);
	if (t->boot_id[0]) {
		fprintf(file, "\"boot_id\":\"%s\",", t->boot_id);
		print_seconds("uptime", t->uptime_ns, file);
	}
	if (t->machine)
		fprintf(file, "\"machine\":\"%016llx\",", t->machine);
	if (t->all_cycles)
		fprintf(file, "\"all_cycles\":%llu,", t->all_cycles);
	if (t->started_over)
		fprintf(file, "\"started_over\":true,");
}

static void print_row(const struct row *row, FILE *file)
{
	fprintf(file, "\"exits\":%llu,\"cycles\":%llu}", row->exits, row->cycles);
}

static void print_rows(const char *key, const struct table *t, int first, int end, FILE *file)
{
	int i, rows[NR_ROWS], nr = select_rows(t, NULL, first, end, rows);

	fprintf(file, "\"%s\":[", key);
	for (i = 0; i < nr; i++) {
		fprintf(file, "%s{\"code\":\"%s\",", i ? "," : "", row_code(t, rows[i]));
		fprintf(file, "\"name\":\"%s\",", row_name(t, rows[i]));
		print_row(&t->rows[rows[i]], file);
	}
	fprintf(file, "],");
}

/* Including the end of the object */
static void print_counts(const struct table *t, FILE *file)
{
	print_rows("reasons", t, 0, ROW_VECTORS, file);
	print_rows("vectors", t, ROW_VECTORS, ROW_TOTAL, file);
	print_row(&t->rows[ROW_TOTAL], file);
}

static void print_diff(const struct view *v, FILE *file)
{
	static const char * const relations[] = {
		[RELATION_UNKNOWN] = "unknown", [SAME_VM] = "same",
		[VM_STARTED_OVER] = "started over", [RESTARTED_VM] = "restarted",
		[RESTARTED_OR_OTHER_VM] = "restarted or other", [OTHER_VM] = "other",
	};

	fprintf(file, "\"paths\":[");
	print_json_string(v->paths[0], file);
	putc(',', file);
	print_json_string(v->paths[1], file);
	fprintf(file, "],\"relation\":\"%s\",", relations[v->relation]);
}

static void print_vcpus(const struct vcpus *vcpus, FILE *file)
{
	int i;

	fprintf(file, "\"vcpus\":[");
	for (i = 0; i < vcpus->nr; i++) {
		fprintf(file, "%s{\"vcpu\":%d,", i ? "," : "", vcpus->ids[i]);
		print_counts(&vcpus->tables[i], file);
	}
	fprintf(file, "],");
}

void print_json(const struct view *v, FILE *file)
{
	putc('{', file);
	if (v->paths)
		print_diff(v, file);
	if (v->b) {
		fprintf(file, "\"a\":{");
		print_identity(v->a, file);
		print_counts(v->a, file);
		fprintf(file, ",\"b\":{");
		print_identity(v->b, file);
		print_counts(v->b, file);
		fprintf(file, "}\n");
		return;
	}

	print_identity(v->a, file);
	if (v->vm) {
		fprintf(file, "\"vm\":");
		print_json_string(v->vm, file);
		putc(',', file);
	}
	if (v->seconds)
		fprintf(file, "\"seconds\":%.9f,", v->seconds);
	if (v->vcpus.nr)
		print_vcpus(&v->vcpus, file);
	print_counts(v->a, file);
	putc('\n', file);
}
