// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counters of all VMs of a host, for node_exporter's textfile collector.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_exits.h"

static const struct metric {
	const char *name;
	const char *help;
	const char *label;
	int first;
	int end;
	bool cycles;
} metrics[] = {
	{ "kvm_vm_exits_total", "VM-Exits by exit reason", "reason", 0, ROW_VECTORS, false },
	{ "kvm_vm_exceptions_total", "VM-Exits for exceptions by vector, of AMD's VMs",
	  "vector", ROW_VECTORS, ROW_TOTAL, false },
	{ "kvm_vm_exit_cycles_total", "Cycles of the TSC from VM-Exits to VM-Entries",
	  "reason", 0, ROW_VECTORS, true },
};

/*
 * A VM keeps its name when it is restarted.  If it has none, or shares it, or if it is
 * like what such VMs are called, its folder is part of the label.
 */
static const char *vm_label(const struct vm_list *list, const struct vm *vm)
{
	size_t i;

	if (!vm->has_name || starts_with_folder(vm->name))
		return vm_title(vm);

	for (i = 0; i < list->nr; i++) {
		if (list->vms[i] != vm && !strcmp(list->vms[i]->name, vm->name))
			return vm_title(vm);
	}

	return vm->name;
}

/* An unnamed reason is told by its code. */
static const char *row_label(const struct table *t, int row)
{
	if (row >= ROW_VECTORS)
		return row_code(t, row) + strlen("exc");

	return row != ROW_OTHER && has_name(t, row) ? row_name(t, row) : row_code(t, row);
}

static void write_rows(const struct metric *m, const struct table *t, const char *label,
		       FILE *file)
{
	u64 value;
	int i;

	for (i = m->first; i < m->end; i++) {
		value = m->cycles ? t->rows[i].cycles : t->rows[i].exits;
		if (!value)
			continue;
		fprintf(file, "%s{vm=", m->name);
		/* Of printable ASCII, both escape the same. */
		print_json_string(label, file);
		fprintf(file, ",isa=\"%s\",%s=\"%s\"} %llu\n", isa_name(t), m->label,
			row_label(t, i), value);
	}
}

/* Return the exit status. */
int write_metrics(const struct vm_list *list, const char *path)
{
	bool counts = false;
	struct output o;
	struct vm *vm;
	size_t i, j;

	for (i = 0; i < list->nr; i++) {
		vm = list->vms[i];
		vm->has_counts = read_vm(vm, ALL_VCPUS, &vm->counts);
		if (!vm->has_counts && !errno)
			warnx("%s: the file exit_counters is malformed", vm->dir);
		counts |= vm->has_counts;
	}

	o = open_output(path);
	for (j = 0; j < ARRAY_SIZE(metrics); j++) {
		fprintf(o.file, "# HELP %s %s.\n# TYPE %s counter\n", metrics[j].name,
			metrics[j].help, metrics[j].name);
		for (i = 0; i < list->nr; i++) {
			vm = list->vms[i];
			if (vm->has_counts)
				write_rows(&metrics[j], &vm->counts, vm_label(list, vm), o.file);
		}
	}
	close_output(&o);

	if (!list->nr || counts)
		return 0;

	warnx("no VM has exit_counters, this kernel does not count exits");
	return STATUS_NO_LEAVES;
}
