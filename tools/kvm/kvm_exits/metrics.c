// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counters of all VMs of a host, for node_exporter's textfile collector.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define LABEL_SIZE		(VM_NAME_SIZE + sizeof(((struct vm *)NULL)->dir))

struct metric {
	const char *name;
	const char *help;
	const char *label;
	int first;
	int end;
	bool cycles;
};

static const struct metric metrics[] = {
	{ "kvm_vm_exits_total", "VM-Exits by exit reason", "reason", 0, ROW_VECTORS, false },
	{ "kvm_vm_exceptions_total", "VM-Exits for exceptions by vector, of AMD's VMs",
	  "vector", ROW_VECTORS, ROW_TOTAL, false },
	{ "kvm_vm_exit_cycles_total", "Cycles of the TSC from VM-Exits to VM-Entries",
	  "reason", 0, ROW_VECTORS, true },
};

static void set_unique_label(const struct vm *vm, char *label)
{
	snprintf(label, LABEL_SIZE, "%s %s", vm->dir, vm->name);
}

/*
 * A VM keeps its name when it is restarted.  If it has none, or if another one could
 * be called the same, its folder is part of the label.
 */
static void set_label(const struct vm_list *list, char (*unique)[LABEL_SIZE], size_t vm,
		      char *label)
{
	const char *name = list->vms[vm]->name;
	bool is_unique = list->vms[vm]->has_name;
	size_t i;

	for (i = 0; i < list->nr && is_unique; i++)
		is_unique = i == vm || (strcmp(list->vms[i]->name, name) && strcmp(unique[i], name));

	strcpy(label, is_unique ? name : unique[vm]);
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

void write_metrics(const char *path)
{
	char (*unique)[LABEL_SIZE], (*labels)[LABEL_SIZE];
	static struct vm_list list;
	bool counts = false;
	struct output o;
	struct vm *vm;
	size_t i, j;

	update_vms(&list);
	unique = xrealloc(NULL, list.nr, sizeof(*unique));
	labels = xrealloc(NULL, list.nr, sizeof(*labels));

	for (i = 0; i < list.nr; i++) {
		vm = list.vms[i];
		vm->has_counts = read_vm(vm, ALL_VCPUS, &vm->counts);
		if (!vm->has_counts && !errno)
			warnx("%s: the file exit_counters is malformed", vm->dir);
		counts |= vm->has_counts;
		set_unique_label(vm, unique[i]);
	}
	for (i = 0; i < list.nr; i++)
		set_label(&list, unique, i, labels[i]);

	o = open_output(path);
	for (j = 0; j < ARRAY_SIZE(metrics); j++) {
		fprintf(o.file, "# HELP %s %s.\n# TYPE %s counter\n", metrics[j].name,
			metrics[j].help, metrics[j].name);
		for (i = 0; i < list.nr; i++) {
			if (list.vms[i]->has_counts)
				write_rows(&metrics[j], &list.vms[i]->counts, labels[i], o.file);
		}
	}
	close_output(&o);
	free(unique);
	free(labels);

	if (list.nr && !counts)
		errx(STATUS_NO_LEAVES, "no VM has exit_counters, this kernel does not count exits");
}
