// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_exits: show why and how often VMs exit.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

#define MAX_INTERVAL_SEC	1000000000

#define STATUS_NOT_EXECUTABLE	126
#define STATUS_NOT_FOUND	127
#define STATUS_SIGNAL		128

enum { OPT_BUSY = 256, OPT_COUNT_AT_START, OPT_HOST, OPT_METRICS, OPT_QMP, OPT_ROOT, OPT_VCPU };

static bool is_terminal;

/* What to read: a VM of this host, that of a QEMU, or this VM. */
static const struct vm *vm;
static const char *qmp;
static int vcpu = ALL_VCPUS;

static void print_usage(FILE *file)
{
	fputs("Usage: kvm_exits [OPTION...]                     the exits of this VM, or on a\n"
	      "                                                host, what each of its VMs does\n"
	      "       kvm_exits [OPTION...] -i SECONDS [-c N]  what happens from now on\n"
	      "       kvm_exits [OPTION...] -- COMMAND...      what happens while COMMAND runs\n"
	      "       kvm_exits [-p | -g | --qmp] -w FILE      write the exits to a snapshot\n"
	      "       kvm_exits [OPTION...] FILE               show a snapshot\n"
	      "       kvm_exits diff [OPTION...] A B           compare two snapshots\n"
	      "       kvm_exits --openmetrics [FILE]           write those of a host for Prometheus\n"
	      "\n"
	      "  -p PID    on a host, the VM of that process, or PID-FD as in debugfs\n"
	      "  -g NAME   on a host, the VM of that name\n"
	      "  --qmp S   the VM of the QEMU whose monitor is socket S, or - for a reply of\n"
	      "            query-stats on standard input\n"
	      "  --vcpu N  of that VM, vCPU N, or all of them side by side\n"
	      "  --host    this is a host of VMs, even if it is a VM itself\n"
	      "  --root D  look for debugfs and /proc below folder D\n"
	      "  -a        show rows that are zero, too\n"
	      "  -x        show exceptions by vector instead of exit reasons\n"
	      "  -s ORDER  sort by exits, time, average, or name\n"
	      "  -e REGEX  show the rows whose name or code matches, upper or lower case\n"
	      "  --busy    leave out HLT, when the VM has nothing to do\n"
	      "  -j        print JSON, with both reasons and vectors\n"
	      "  -w FILE   write a snapshot to FILE, - is standard output\n"
	      "  -i SEC    show the rates of every interval of that many seconds\n"
	      "  -c N      stop after N intervals\n"
	      "  -h        show this help\n", file);
}

static void usage_error(const char *text)
{
	fprintf(stderr, "kvm_exits: %s\n", text);
	print_usage(stderr);
	exit(STATUS_USAGE);
}

/* The VM of a process, of a process and a file of it, or of a name */
static const struct vm *find_vm(const char *pid, const char *name)
{
	const char *wanted = pid ? pid : name;
	struct vm *found = NULL, *candidate;
	static struct vm_list list;
	char text[16];
	size_t i;

	update_vms(&list);
	for (i = 0; i < list.nr; i++) {
		candidate = list.vms[i];
		snprintf(text, sizeof(text), "%d", candidate->pid);
		if (pid ? strcmp(pid, text) && strcmp(pid, candidate->dir)
			: strcmp(name, candidate->name))
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

static u64 parse_interval(const char *s)
{
	double seconds;
	char *end;

	/* Neither hexadecimal, nor exponents, nor infinity. */
	if (s[strspn(s, "0123456789.")])
		usage_error("-i: not a number of seconds");

	seconds = strtod(s, &end);
	if (end == s || *end)
		usage_error("-i: not a number of seconds");
	if (seconds * NSEC_PER_SEC < 1 || seconds > MAX_INTERVAL_SEC)
		usage_error("-i: from a nanosecond to 1000000000 seconds are possible");

	return seconds * NSEC_PER_SEC;
}

static enum sort parse_order(const char *s)
{
	static const char * const orders[] = {
		[BY_EXITS] = "exits", [BY_TIME] = "time", [BY_AVERAGE] = "average",
		[BY_NAME] = "name",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		if (!strcmp(s, orders[i]))
			return i;
	}

	usage_error("-s: neither exits, nor time, nor average, nor name");
	return BY_EXITS;
}

static const regex_t *parse_filter(const char *s)
{
	static regex_t filter;
	char text[128];
	int error = regcomp(&filter, s, REG_EXTENDED | REG_ICASE | REG_NOSUB);

	if (error) {
		regerror(error, &filter, text, sizeof(text));
		fprintf(stderr, "kvm_exits: -e: %s\n", text);
		exit(STATUS_USAGE);
	}

	return &filter;
}

static void show_diff(char **paths)
{
	struct table tables[2], *a = &tables[0], *b = &tables[1];
	char *swapped[] = { paths[1], paths[0] };
	struct view v = {};
	bool is_later;

	load_snapshot(paths[0], a);
	load_snapshot(paths[1], b);
	if (a->is_svm != b->is_svm)
		errx(EXIT_FAILURE,
		     "%s is of %s and %s of %s: their exit reasons cannot be compared",
		     paths[0], vendor_name(a), paths[1], vendor_name(b));

	is_later = was_taken_later(a, b);
	v.relation = is_later ? relate(b, a) : relate(a, b);
	if (is_later && (v.relation == SAME_VM || v.relation == SAME_VM_STARTED_OVER)) {
		a = &tables[1];
		b = &tables[0];
		paths = swapped;
	}

	v.layout = COMPARISON;
	v.a = a;
	v.b = b;
	v.paths = paths;
	if (v.relation == SAME_VM || v.relation == SAME_VM_STARTED_OVER)
		v.seconds = (double)(b->uptime_ns - a->uptime_ns) / NSEC_PER_SEC;
	if (v.relation == SAME_VM) {
		subtract_table(b, a, a->reads_after + b->startup_reads + b->reads);
		v.layout = PERIOD;
		v.a = b;
		v.b = NULL;
	}

	show(&v, stdout);
}

static void add_vcpus(struct table *sum, const struct table *tables, int nr)
{
	int i;

	*sum = tables[0];
	for (i = 1; i < nr; i++) {
		if (!add_table(sum, &tables[i]))
			errx(EXIT_FAILURE, "%s: the counters are malformed", qmp);
	}
}

static void read_qemu(struct table *t)
{
	struct table *tables;
	int nr;

	tables = read_qmp(qmp, &nr);
	if (vcpu >= nr)
		errx(STATUS_NO_LEAVES, "%s: there is no vCPU %d", qmp, vcpu);
	if (vcpu >= 0)
		*t = tables[vcpu];
	else
		add_vcpus(t, tables, nr);
	free(tables);
}

static void read_counts(struct table *t, u64 startup)
{
	if (qmp) {
		read_qemu(t);
		return;
	}
	if (!vm) {
		read_guest(t, startup);
		return;
	}

	if (!read_vm(vm, vcpu, t)) {
		if (!errno)
			errx(EXIT_FAILURE, "%s: the file exit_counters is malformed", vm->dir);
		if (vcpu != ALL_VCPUS)
			errx(STATUS_NO_LEAVES,
			     "%s: no counters of vCPU %d, this kernel may have those of whole VMs only",
			     vm->dir, vcpu);
		errx(STATUS_NO_LEAVES,
		     "%s: no exit_counters; the VM has ended, or this kernel does not count exits",
		     vm->dir);
	}
	if (opt.vectors && !t->is_svm)
		errx(EXIT_FAILURE, "-x: on Intel, only the VM itself can read its vectors");
	identify_vm(vm, t);
}

/* Leave in now what came since before. */
static double pass_interval(struct table *now, const struct table *before)
{
	double seconds = (double)(now->read_at - before->read_at) / NSEC_PER_SEC;
	u64 own = now->reads;

	if (!now->started_over)
		own -= before->reads;

	subtract_table(now, before, own);
	if (now->started_over)
		warnx("the counts started over, as after a migration");

	return seconds;
}

static void watch(u64 interval_ns, u64 count)
{
	struct table before, now, change;
	char clock[16];
	double seconds;
	time_t time;
	u64 i;

	read_counts(&before, 0);
	for (i = 1; !count || i <= count; i++) {
		sleep_until(before.read_at + interval_ns);
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
		show(&(struct view) { .layout = RATES, .a = &change, .seconds = seconds },
		     stdout);
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
	show(&(struct view) { .layout = PERIOD, .a = &now, .seconds = seconds }, stderr);

	return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/* All vCPUs of a VM side by side */
static void show_vcpus(void)
{
	struct table sum, *tables;
	int i, nr, *ids;

	if (qmp) {
		tables = read_qmp(qmp, &nr);
		add_vcpus(&sum, tables, nr);
		ids = xrealloc(NULL, nr, sizeof(*ids));
		for (i = 0; i < nr; i++)
			ids[i] = i;
	} else {
		nr = vm->nr_vcpus;
		tables = xrealloc(NULL, nr, sizeof(*tables));
		ids = xrealloc(NULL, nr, sizeof(*ids));
		if (find_vcpus(vm, ids, nr) < nr)
			errx(STATUS_NO_LEAVES, "%s: the VM has ended", vm->dir);
		vcpu = ALL_VCPUS;
		read_counts(&sum, 0);
		for (i = 0; i < nr; i++) {
			vcpu = ids[i];
			read_counts(&tables[i], 0);
		}
	}

	print_vcpus(&sum, tables, ids, nr);
	free(tables);
	free(ids);
}

/* Without options: this VM, or the VMs of this host if it is a host */
static bool is_host(bool wanted, const char *root)
{
	static struct vm_list list;

	if (!wanted && has_leaves())
		return false;
	if (open_host(root)) {
		update_vms(&list);
		if (!wanted && !list.nr)
			warnx("no VM runs here; --host waits for one");
		return wanted || list.nr;
	}

	if (wanted)
		errx(EXIT_FAILURE, "%s" DEBUGFS ": %s%s", root, strerror(errno),
		     errno == EACCES || errno == EPERM ? "; as root: sudo kvm_exits" : "");
	if (errno == EACCES || errno == EPERM)
		warnx("if this is a host of VMs, root can see them: sudo kvm_exits");
	return false;
}

struct arguments {
	const char *snapshot;
	const char *pid;
	const char *name;
	const char *root;
	u64 interval_ns;
	u64 count;
	bool host;
	bool metrics;
	bool shows;
};

static void parse_vcpu(const char *s)
{
	u64 number;

	if (!strcmp(s, "all"))
		vcpu = EACH_VCPU;
	else if (parse_u64(s, &number) && number <= INT_MAX)
		vcpu = number;
	else
		usage_error("--vcpu: neither a number nor all");
}

/* Return the index of what is no option. */
static int parse_options(int argc, char **argv, struct arguments *args)
{
	static const struct option long_options[] = {
		{ "busy", no_argument, NULL, OPT_BUSY },
		{ "host", no_argument, NULL, OPT_HOST },
		{ "openmetrics", no_argument, NULL, OPT_METRICS },
		{ "qmp", required_argument, NULL, OPT_QMP },
		{ "root", required_argument, NULL, OPT_ROOT },
		{ "vcpu", required_argument, NULL, OPT_VCPU },
		{ COUNT_AT_START, required_argument, NULL, OPT_COUNT_AT_START },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	int c;

	while ((c = getopt_long(argc, argv, "axjs:e:w:i:c:p:g:h", long_options, NULL)) != -1) {
		args->shows |= c == OPT_BUSY || (c < OPT_BUSY && strchr("axjse", c));
		switch (c) {
		case 'a':
			opt.zeros = true;
			break;
		case 'x':
			opt.vectors = true;
			break;
		case 'j':
			opt.json = true;
			break;
		case 's':
			opt.sort = parse_order(optarg);
			break;
		case 'e':
			opt.filter = parse_filter(optarg);
			break;
		case OPT_BUSY:
			opt.busy = true;
			break;
		case 'w':
			args->snapshot = optarg;
			break;
		case 'i':
			args->interval_ns = parse_interval(optarg);
			break;
		case 'c':
			if (!parse_u64(optarg, &args->count) || !args->count)
				usage_error("-c: not a number of intervals");
			break;
		case 'p':
			args->pid = optarg;
			break;
		case 'g':
			args->name = optarg;
			break;
		case OPT_VCPU:
			parse_vcpu(optarg);
			break;
		case OPT_HOST:
			args->host = true;
			break;
		case OPT_METRICS:
			args->metrics = true;
			break;
		case OPT_QMP:
			qmp = optarg;
			break;
		case OPT_ROOT:
			args->root = optarg;
			break;
		case 'h':
			print_usage(stdout);
			exit(fflush(stdout) ? EXIT_FAILURE : 0);
		case OPT_COUNT_AT_START:
			print_count_at_start(strtoul(optarg, NULL, 10));
			exit(0);
		default:
			print_usage(stderr);
			exit(STATUS_USAGE);
		}
	}

	return optind;
}

static void check_usage(const struct arguments *args, bool is_file, bool is_command)
{
	bool one_vm = args->pid || args->name || qmp;

	if (opt.json && opt.vectors)
		usage_error("-j has the vectors without -x");
	if (args->count && !args->interval_ns)
		usage_error("-c needs -i");
	if (args->snapshot && args->shows)
		usage_error("-w writes all there is, without -a, -x, -j, -s, -e, or --busy");
	if (args->snapshot && args->interval_ns)
		usage_error("-w and -i do not go together");
	if ((is_file || is_command) && (args->snapshot || args->interval_ns))
		usage_error("-w and -i go with no snapshot, and with no command");
	if (is_file && (one_vm || args->host))
		usage_error("-p, -g, --qmp, and --host do not go with a snapshot");
	if (!!args->pid + !!args->name + !!qmp > 1)
		usage_error("-p, -g, and --qmp are ways to choose one VM");
	if (qmp && !strcmp(qmp, "-") && (args->interval_ns || is_command))
		usage_error("--qmp - is one reply, without -i or a command");
	if (vcpu != ALL_VCPUS && !one_vm)
		usage_error("--vcpu needs -p, -g, or --qmp");
	if (vcpu == EACH_VCPU && (args->snapshot || args->interval_ns || is_command))
		usage_error("--vcpu all does not go with -w, -i, or a command");
}

int main(int argc, char **argv)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool is_diff = argc > 1 && !strcmp(argv[1], "diff"), is_command, one_vm;
	struct arguments args = { .root = "" };
	struct table t;

	is_terminal = isatty(STDOUT_FILENO) && !(term && !strcmp(term, "dumb"));
	opt.colors = is_terminal && !(no_color && *no_color);

	if (is_diff) {
		argv[1] = argv[0];
		argv++;
		argc--;
	}

	argc -= parse_options(argc, argv, &args);
	argv += optind;
	is_command = argc && !is_diff && !strcmp(argv[-1], "--");
	if (args.metrics) {
		if (argc > 1 || is_diff || is_command || args.shows || args.pid || args.name ||
		    qmp || args.snapshot || args.interval_ns || args.count || vcpu != ALL_VCPUS)
			usage_error("--openmetrics goes with a file and --root alone");
		is_host(true, args.root);
		write_metrics(argc ? argv[0] : "-");
		return 0;
	}
	check_usage(&args, argc && !is_command, is_command);

	if (is_diff) {
		if (argc != 2)
			usage_error("diff needs two snapshots");
		show_diff(argv);
		return 0;
	}
	if (argc > 1 && !is_command)
		usage_error("more than one snapshot; diff, which compares two, comes first");
	if (argc && !is_command) {
		load_snapshot(argv[0], &t);
		show(&(struct view) { .layout = COUNTS, .a = &t }, stdout);
		return 0;
	}

	one_vm = args.pid || args.name;
	if (!qmp && is_host(args.host || one_vm, args.root)) {
		if (one_vm)
			vm = find_vm(args.pid, args.name);
		else if (is_command || args.snapshot)
			usage_error("on a host, a command and -w need -p or -g");
		else
			list_vms(args.interval_ns, args.count, is_terminal);
	}
	if (qmp)
		opt.vm = (char *)qmp;
	else if (vm && asprintf(&opt.vm, "%s %s", vm->dir, vm->name) < 0)
		err(EXIT_FAILURE, "asprintf");

	if (is_command)
		return run(argv);

	if (args.interval_ns) {
		watch(args.interval_ns, args.count);
	} else if (vcpu == EACH_VCPU) {
		show_vcpus();
	} else if (args.snapshot) {
		read_counts(&t, vm || qmp ? 0 : measure_startup());
		save_snapshot(&t, args.snapshot);
	} else {
		read_counts(&t, 0);
		show(&(struct view) { .layout = COUNTS, .a = &t }, stdout);
	}

	return 0;
}
