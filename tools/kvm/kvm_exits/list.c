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

#include "host.h"

#define NR_TOP_REASONS		3
#define NR_OTHER_LINES		3

/* What a VM did in an interval, nothing if it was not there all the time. */
struct line {
	const struct vm *vm;
	bool is_known;
	double seconds;
	struct table change;
};

/* Milliseconds of exits per millisecond of a vCPU */
static double share_of_time(const struct line *line)
{
	const struct table *t = &line->change;

	if (!line->is_known || !is_timed(t) || !line->vm->nr_vcpus)
		return -1;

	return t->rows[ROW_TOTAL].cycles / (t->tsc_khz * 1000.0 * line->seconds) /
	       line->vm->nr_vcpus;
}

static double line_value(const struct line *line)
{
	const struct row *total = &line->change.rows[ROW_TOTAL];

	if (!line->is_known)
		return -1;
	if (opt.sort == BY_TIME)
		return share_of_time(line);
	if (opt.sort == BY_AVERAGE)
		return total->exits ? (double)total->cycles / total->exits : 0;

	return total->exits / line->seconds;
}

static int compare_lines(const void *p, const void *q)
{
	const struct line *a = *(struct line * const *)p, *b = *(struct line * const *)q;
	int order = opt.sort == BY_NAME ? strcmp(a->vm->name, b->vm->name) : 0;

	if (order)
		return order;
	if (line_value(a) != line_value(b))
		return line_value(a) > line_value(b) ? -1 : 1;

	return strcmp(a->vm->dir, b->vm->dir);
}

/* A VM that has ended, or whose file was not whole, says nothing about this interval. */
static void read_line(struct vm *vm, struct line *line)
{
	struct table now;

	line->vm = vm;
	line->is_known = false;
	if (!read_vm(vm, ALL_VCPUS, &now)) {
		vm->has_counts = false;
		return;
	}

	line->change = now;
	if (vm->has_counts) {
		line->is_known = true;
		line->seconds = (double)(now.read_at - vm->counts.read_at) / NSEC_PER_SEC;
		subtract_table(&line->change, &vm->counts, 0);
		if (line->change.started_over)
			find_name(vm);
		if (opt.busy)
			drop_idle(&line->change);
	}
	vm->counts = now;
	vm->has_counts = true;
}

static void print_line(const struct line *line)
{
	const struct row *total = &line->change.rows[ROW_TOTAL];
	const struct vm *vm = line->vm;
	double share = share_of_time(line);
	struct sort_key keys[NR_ROWS];
	const struct row *row;
	int i, nr;

	printf("%7d  %-20s %5d  ", vm->pid, vm->name, vm->nr_vcpus);
	if (!line->is_known) {
		printf("%10s  %6s  -\n", "-", "-");
		return;
	}

	printf("%10.1f  ", total->exits / line->seconds);
	if (share < 0)
		printf("%6s  ", "-");
	else
		printf("%5.1f%%  ", 100 * share);

	nr = select_rows(&line->change, NULL, 0, ROW_VECTORS, keys);
	for (i = 0; i < nr && i < NR_TOP_REASONS; i++) {
		row = &line->change.rows[keys[i].row];
		if (!row->exits)
			break;
		printf("%s%s %.0f%%", i ? ", " : "", row_name(&line->change, keys[i].row),
		       100.0 * row->exits / total->exits);
	}
	printf("%s\n", i ? "" : "-");
}

static void print_json_line(const struct line *line)
{
	printf("{\"pid\":%d,\"vm\":\"%s\",\"name\":", line->vm->pid, line->vm->dir);
	print_json_string(line->vm->name, stdout);
	printf(",\"vcpus\":%d", line->vm->nr_vcpus);
	if (line->is_known) {
		printf(",\"seconds\":%.9f,\"timed\":%s,\"reasons\":[", line->seconds,
		       is_timed(&line->change) ? "true" : "false");
		print_json_rows(&line->change, NULL, 0, ROW_VECTORS, stdout);
		printf("],\"exits\":%llu,\"cycles\":%llu", line->change.rows[ROW_TOTAL].exits,
		       line->change.rows[ROW_TOTAL].cycles);
	}
	printf("}");
}

static void print_lines(struct line **lines, size_t nr, bool is_terminal)
{
	struct winsize size = {};
	size_t i, shown = nr;

	if (opt.json) {
		printf("{\"time\":%llu,\"vms\":[", get_ns(CLOCK_REALTIME) / NSEC_PER_SEC);
		for (i = 0; i < nr; i++) {
			printf("%s", i ? "," : "");
			print_json_line(lines[i]);
		}
		printf("]}\n");
		return;
	}

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

/* By default every two seconds, and where that makes no sense, one second once */
void list_vms(u64 interval_ns, u64 count, bool is_terminal)
{
	struct line *all = NULL, **lines = NULL;
	u64 i, next = get_ns(CLOCK_MONOTONIC);
	struct vm_list list = {};
	size_t j;

	if (!interval_ns) {
		interval_ns = is_terminal ? 2 * NSEC_PER_SEC : NSEC_PER_SEC;
		count = is_terminal ? 0 : 1;
	}

	for (i = 0; !count || i <= count; i++) {
		update_vms(&list);
		all = xrealloc(all, list.nr, sizeof(*all));
		lines = xrealloc(lines, list.nr, sizeof(*lines));
		for (j = 0; j < list.nr; j++) {
			lines[j] = &all[j];
			read_line(list.vms[j], lines[j]);
		}

		for (j = 0; j < list.nr && !list.vms[j]->has_counts; j++)
			;
		if (!i && list.nr && j == list.nr)
			errx(STATUS_NO_LEAVES,
			     "no VM has exit_counters, this kernel does not count exits");

		if (i) {
			qsort(lines, list.nr, sizeof(*lines), compare_lines);
			print_lines(lines, list.nr, is_terminal);
			check_output(stdout);
		}
		next += interval_ns;
		if (!count || i < count)
			sleep_until(next);
	}

	exit(0);
}
