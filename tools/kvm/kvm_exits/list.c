// SPDX-License-Identifier: GPL-2.0-only
/*
 * One line per VM of a host, like top.
 */
#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "kvm_exits.h"

#define NR_TOP_REASONS		3
#define NR_OTHER_LINES		3

/* What a VM did in an interval, nothing if it was not there all the time. */
struct line {
	const struct vm *vm;
	bool is_known;
	double seconds;
	double rate;
	struct table change;
};

static int compare_lines(const void *p, const void *q)
{
	const struct line *a = *(struct line * const *)p, *b = *(struct line * const *)q;

	if (a->rate != b->rate)
		return a->rate > b->rate ? -1 : 1;

	return strcmp(a->vm->dir, b->vm->dir);
}

/* A VM that has ended, or whose file was not whole, says nothing about this interval. */
static void read_line(struct vm *vm, struct line *line)
{
	struct table before = vm->counts;

	line->vm = vm;
	line->is_known = vm->has_counts;
	line->rate = -1;

	vm->has_counts = read_vm(vm, ALL_VCPUS, &vm->counts);
	line->is_known &= vm->has_counts;
	if (!line->is_known)
		return;

	line->change = vm->counts;
	line->seconds = seconds_since(&before, &vm->counts);
	subtract_table(&line->change, &before, 0);
	if (opt.busy)
		drop_idle(&line->change);
	line->rate = line->change.rows[ROW_TOTAL].exits / line->seconds;
}

/* Of the time of its vCPUs */
static void print_time(const struct line *line)
{
	const struct table *t = &line->change;

	if (!is_timed(t) || !line->vm->nr_vcpus)
		printf("%6s  ", "-");
	else
		printf("%5.1f%%  ", 100 * t->rows[ROW_TOTAL].cycles /
		       (t->tsc_khz * 1000.0 * line->seconds) / line->vm->nr_vcpus);
}

static void print_line(const struct line *line)
{
	const struct table *t = &line->change;
	int i, nr, rows[NR_ROWS];

	printf("%7d  %-20s %5d  ", line->vm->pid, line->vm->name, line->vm->nr_vcpus);
	if (!line->is_known) {
		printf("%10s  %6s  -\n", "-", "-");
		return;
	}

	printf("%10.1f  ", line->rate);
	print_time(line);

	nr = select_rows(t, NULL, 0, ROW_VECTORS, rows);
	for (i = 0; i < nr && i < NR_TOP_REASONS && t->rows[rows[i]].exits; i++)
		printf("%s%s %.0f%%", i ? ", " : "", row_name(t, rows[i]),
		       100.0 * t->rows[rows[i]].exits / t->rows[ROW_TOTAL].exits);
	printf("%s\n", i ? "" : "-");
}

static void print_lines(struct line **lines, size_t nr, bool is_terminal)
{
	struct winsize size = {};
	size_t i, shown = nr;

	if (is_terminal && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) &&
	    size.ws_row > NR_OTHER_LINES && nr + NR_OTHER_LINES > size.ws_row)
		shown = size.ws_row - NR_OTHER_LINES;

	printf("%s%zu VMs\n", is_terminal ? CLEAR_SCREEN : "", nr);
	printf("%7s  %-20s %5s  %10s  %6s  %s\n", "pid", "name", "vCPUs", "exits/s", "time%",
	       "reasons");
	for (i = 0; i < shown; i++)
		print_line(lines[i]);
	if (shown < nr)
		printf("... and %zu more\n", nr - shown);
}

/* An object per VM, as of one VM alone */
static void print_json_lines(struct line **lines, size_t nr)
{
	struct view v = { .layout = RATES };
	size_t i;

	for (i = 0; i < nr; i++) {
		if (!lines[i]->is_known)
			continue;
		identify_vm(lines[i]->vm, &lines[i]->change);
		v.a = &lines[i]->change;
		v.seconds = lines[i]->seconds;
		v.vm = vm_title(lines[i]->vm);
		show(&v, stdout);
	}
}

/* By default every two seconds, and where that makes no sense, one second once */
void list_vms(struct vm_list *list, u64 interval_ns, u64 count, bool is_terminal)
{
	struct line *all = NULL, **lines = NULL;
	u64 i, next = get_ns(CLOCK_MONOTONIC);
	bool counts = false;
	size_t j;

	if (!interval_ns) {
		interval_ns = is_terminal ? 2 * NSEC_PER_SEC : NSEC_PER_SEC;
		count = is_terminal ? 0 : 1;
	}

	for (i = 0; !count || i <= count; i++) {
		if (i) {
			next += interval_ns;
			sleep_until(next);
		}

		update_vms(list);
		all = xrealloc(all, list->nr, sizeof(*all));
		lines = xrealloc(lines, list->nr, sizeof(*lines));
		for (j = 0; j < list->nr; j++) {
			lines[j] = &all[j];
			read_line(list->vms[j], lines[j]);
			counts |= list->vms[j]->has_counts;
		}
		if (list->nr && !counts)
			errx(STATUS_NO_LEAVES,
			     "no VM has exit_counters, this kernel does not count exits");
		if (!i)
			continue;

		qsort(lines, list->nr, sizeof(*lines), compare_lines);
		if (opt.json)
			print_json_lines(lines, list->nr);
		else
			print_lines(lines, list->nr, is_terminal);
		check_output(stdout);
	}

	free(all);
	free(lines);
}
