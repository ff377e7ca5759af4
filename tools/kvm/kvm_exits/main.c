// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_exits: show why and how often VMs exit.
 */
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvm_exits.h"

#define STATUS_NOT_EXECUTABLE	126
#define STATUS_NOT_FOUND	127
#define STATUS_SIGNAL		128

static struct arguments args;
static bool is_terminal;

/* The VM to read, if it is not this one, or that of a QEMU, and what it is called */
static const struct vm *vm;
static const char *title;

static void show_diff(char **paths)
{
	struct table tables[2], *a = &tables[0], *b = &tables[1];
	char *swapped[] = { paths[1], paths[0] };
	struct view v = { .layout = COMPARISON };
	bool is_same;

	load_snapshot(paths[0], a);
	load_snapshot(paths[1], b);
	if (a->is_svm != b->is_svm)
		errx(EXIT_FAILURE,
		     "%s is of %s and %s of %s: their exit reasons cannot be compared",
		     paths[0], vendor_name(a), paths[1], vendor_name(b));

	is_same = a->boot_id[0] && !strcmp(a->boot_id, b->boot_id);
	if (was_taken_later(a, b)) {
		v.relation = relate(b, a);
		if (is_same) {
			a = &tables[1];
			b = &tables[0];
			paths = swapped;
		}
	} else {
		v.relation = relate(a, b);
	}

	v.a = a;
	v.b = b;
	v.paths = paths;
	if (is_same)
		v.seconds = (double)(b->uptime_ns - a->uptime_ns) / NSEC_PER_SEC;
	if (v.relation == SAME_VM) {
		subtract_table(b, a, a->reads_after + b->startup_reads + b->reads);
		v.layout = PERIOD;
		v.a = b;
		v.b = NULL;
	}

	show(&v, stdout);
}

/* errno is 0 if there is a file. */
static void fail_to_read(void)
{
	if (!errno)
		errx(EXIT_FAILURE, "%s: the file exit_counters is malformed", vm->dir);
	if (errno != ENOENT && errno != EIO)
		err(EXIT_FAILURE, "%s/exit_counters", vm->dir);

	errx(STATUS_NO_LEAVES, "%s: no exit_counters%s; the VM has ended, or its kernel has none",
	     vm->dir, args.vcpu == ALL_VCPUS ? "" : " of that vCPU");
}

/* All vCPUs of a VM.  Leave their sum in t. */
static struct vcpus read_vcpus(struct table *t)
{
	struct vcpus vcpus;
	bool is_svm = false;
	int i;

	if (args.qmp)
		vcpus = read_qmp(args.qmp);
	else if (!read_vm_vcpus(vm, &vcpus))
		fail_to_read();

	/* Of a vCPU that has not exited, the vendor is unknown. */
	for (i = 0; i < vcpus.nr; i++)
		is_svm |= vcpus.tables[i].is_svm;
	for (i = 0; i < vcpus.nr; i++)
		vcpus.tables[i].is_svm = is_svm;

	*t = vcpus.tables[0];
	for (i = 1; i < vcpus.nr; i++) {
		if (!add_table(t, &vcpus.tables[i]))
			errx(EXIT_FAILURE, "%s: the sum of the vCPUs overflows", title);
	}

	return vcpus;
}

static void read_qemu(struct table *t)
{
	struct vcpus vcpus = read_vcpus(t);

	if (args.vcpu >= vcpus.nr)
		errx(STATUS_NO_LEAVES, "%s: there is no vCPU %d", title, args.vcpu);
	if (args.vcpu != ALL_VCPUS)
		*t = vcpus.tables[args.vcpu];

	free_vcpus(&vcpus);
}

static void refuse_vectors(const struct table *t)
{
	if (opt.vectors && vm && !t->is_svm)
		errx(EXIT_FAILURE, "-x: on Intel, only the VM itself can read its vectors");
}

static void read_counts(struct table *t, u64 startup)
{
	size_t len;

	if (args.qmp) {
		read_qemu(t);
	} else if (vm) {
		if (!read_vm(vm, args.vcpu, t))
			fail_to_read();
		identify_vm(vm, t);
		/* Counts of one vCPU compare with no others. */
		len = strlen(t->boot_id);
		if (args.vcpu >= 0)
			snprintf(t->boot_id + len, sizeof(t->boot_id) - len, ":%d", args.vcpu);
	} else {
		read_guest(t, startup);
	}

	refuse_vectors(t);
}

/* Leave in now what came since before. */
static double pass_interval(struct table *now, const struct table *before)
{
	subtract_table(now, before, now->reads - (now->started_over ? 0 : before->reads));
	if (now->started_over)
		warnx("the counts started over, as after a migration");

	return seconds_since(before, now);
}

static void watch(void)
{
	struct view v = { .layout = RATES, .vm = title };
	struct table before, now, change;
	char clock[16];
	double seconds;
	time_t time;
	u64 i;

	read_counts(&before, 0);
	for (i = 1; !args.count || i <= args.count; i++) {
		sleep_until(before.read_at + args.interval_ns);
		read_counts(&now, 0);
		change = now;
		seconds = pass_interval(&change, &before);
		before = now;

		time = now.time_ns / NSEC_PER_SEC;
		strftime(clock, sizeof(clock), "%T", localtime(&time));
		if (!opt.json)
			printf("%sInterval %llu, %.3f s, at %s: ",
			       is_terminal ? CLEAR_SCREEN : i > 1 ? "\n" : "", i, seconds,
			       clock);
		v.a = &change;
		v.seconds = seconds;
		show(&v, stdout);
	}
}

/* What happens while a command runs, on standard error as the command has the other. */
static int run(char **command)
{
	struct table before, now;
	double seconds;
	int status;
	pid_t pid;

	/* Whoever started this may ignore it, and then there is no status. */
	signal(SIGCHLD, SIG_DFL);

	read_counts(&before, 0);
	pid = fork();
	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	if (!pid) {
		execvp(command[0], command);
		warn("%s", command[0]);
		_exit(errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
	}

	/* Ctrl-C ends the command. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			err(EXIT_FAILURE, "waitpid");
	}

	read_counts(&now, 0);
	seconds = pass_interval(&now, &before);
	show(&(struct view) { .layout = PERIOD, .a = &now, .seconds = seconds, .vm = title },
	     stderr);

	return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Counts, or those of all vCPUs side by side */
static void show_counts(void)
{
	struct view v = { .layout = COUNTS, .vm = title };
	struct table t;

	v.a = &t;
	if (args.vcpu == EACH_VCPU) {
		v.layout = SIDE_BY_SIDE;
		v.vcpus = read_vcpus(&t);
		refuse_vectors(&t);
	} else {
		read_counts(&t, 0);
	}

	show(&v, stdout);
	free_vcpus(&v.vcpus);
}

/* The VM of a process, of a process and a file of it, or of a name */
static const struct vm *find_vm(const struct vm_list *list)
{
	const char *wanted = args.pid ? args.pid : args.name;
	const struct vm *found = NULL, *candidate;
	char text[16];
	size_t i;

	for (i = 0; i < list->nr; i++) {
		candidate = list->vms[i];
		snprintf(text, sizeof(text), "%d", candidate->pid);
		if (args.pid ? strcmp(wanted, text) && strcmp(wanted, candidate->dir)
			     : strcmp(wanted, candidate->name))
			continue;
		if (found)
			errx(EXIT_FAILURE, "%s: there are several, e.g. -p %s and -p %s", wanted,
			     found->dir, candidate->dir);
		found = candidate;
	}
	if (!found)
		errx(STATUS_NO_LEAVES, "%s: there is no such VM", wanted);

	return found;
}

/* Is this about VMs of this host, which are in the list then?  Else it is about this VM. */
static bool find_host(struct vm_list *list)
{
	bool wanted = args.is_host || args.pid || args.name, denied;

	if (!wanted && has_leaves())
		return false;
	if (open_host(args.root)) {
		update_vms(list);
		if (!wanted && !list->nr)
			warnx("no VM runs here; --host waits for one");
		return wanted || list->nr;
	}

	denied = errno == EACCES || errno == EPERM;
	if (wanted)
		errx(EXIT_FAILURE, "%s" DEBUGFS ": %s%s", args.root, strerror(errno),
		     denied ? "; as root: sudo kvm_exits" : "");
	if (denied)
		warnx("if this is a host of VMs, root can see them: sudo kvm_exits");
	return false;
}

int main(int argc, char **argv)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	static struct vm_list list;
	struct table t;

	is_terminal = isatty(STDOUT_FILENO) && !(term && !strcmp(term, "dumb"));
	opt.colors = is_terminal && !(no_color && *no_color);
	parse_arguments(argc, argv, &args);

	if (args.mode == DIFF) {
		show_diff(args.files + 1);
		return 0;
	}
	if (args.mode == SHOW_SNAPSHOT) {
		load_snapshot(args.files[0], &t);
		show(&(struct view) { .layout = COUNTS, .a = &t }, stdout);
		return 0;
	}

	title = args.qmp;
	if (!args.qmp && find_host(&list)) {
		if (args.mode == METRICS)
			return write_metrics(&list, args.nr_files ? args.files[0] : "-");
		if (args.pid || args.name) {
			vm = find_vm(&list);
			title = vm_title(vm);
		} else if (args.mode == RUN || args.mode == WRITE || opt.vectors) {
			errx(STATUS_USAGE, "on a host, a command, -w, and -x need -p or -g");
		} else {
			list_vms(&list, args.interval_ns, args.count, is_terminal);
			return 0;
		}
	}

	switch (args.mode) {
	case RUN:
		return run(args.command);
	case WATCH:
		watch();
		break;
	case WRITE:
		read_counts(&t, vm || args.qmp ? 0 : measure_startup());
		save_snapshot(&t, args.snapshot);
		break;
	default:
		show_counts();
		break;
	}

	return 0;
}
