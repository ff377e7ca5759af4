// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm_exits: show why and how often VMs exit.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kvm_exits.h"

#define MAX_INTERVAL_SEC	1000000000

#define STATUS_NOT_EXECUTABLE	126
#define STATUS_NOT_FOUND	127
#define STATUS_SIGNAL		128

#define CLEAR_SCREEN		"\033[H\033[2J"

enum { OPT_BUSY = 256, OPT_COUNT_AT_START };

static bool is_terminal;

static void print_usage(FILE *file)
{
	fputs("Usage: kvm_exits [OPTION...]                     the exits of this VM\n"
	      "       kvm_exits [OPTION...] -i SECONDS [-c N]  what happens from now on\n"
	      "       kvm_exits [OPTION...] -- COMMAND...      what happens while COMMAND runs\n"
	      "       kvm_exits -w FILE                        write the exits to a snapshot\n"
	      "       kvm_exits [OPTION...] FILE               show a snapshot\n"
	      "       kvm_exits diff [OPTION...] A B           compare two snapshots\n"
	      "\n"
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
	struct timespec ts;
	char clock[16];
	double seconds;
	u64 i, next;

	read_guest(&before, 0);
	for (i = 1; !count || i <= count; i++) {
		next = before.read_at + interval_ns;
		ts.tv_sec = next / NSEC_PER_SEC;
		ts.tv_nsec = next % NSEC_PER_SEC;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);

		read_guest(&now, 0);
		change = now;
		seconds = pass_interval(&change, &before);
		before = now;

		ts.tv_sec = now.time_ns / NSEC_PER_SEC;
		strftime(clock, sizeof(clock), "%T", localtime(&ts.tv_sec));
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

	read_guest(&before, 0);
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
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;

	read_guest(&now, 0);
	seconds = pass_interval(&now, &before);
	show(&(struct view) { .layout = PERIOD, .a = &now, .seconds = seconds }, stderr);

	return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "busy", no_argument, NULL, OPT_BUSY },
		{ COUNT_AT_START, required_argument, NULL, OPT_COUNT_AT_START },
		{ "help", no_argument, NULL, 'h' },
		{}
	};
	const char *path = NULL, *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool is_diff = false, is_command, shows = false;
	u64 interval_ns = 0, count = 0;
	struct table t;
	int c, nr_args;

	is_terminal = isatty(STDOUT_FILENO) && !(term && !strcmp(term, "dumb"));
	opt.colors = is_terminal && !(no_color && *no_color);

	if (argc > 1 && !strcmp(argv[1], "diff")) {
		is_diff = true;
		argv[1] = argv[0];
		argv++;
		argc--;
	}

	while ((c = getopt_long(argc, argv, "axjs:e:w:i:c:h", long_options, NULL)) != -1) {
		if (strchr("axjse", c) || c == OPT_BUSY)
			shows = true;
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
			path = optarg;
			break;
		case 'i':
			interval_ns = parse_interval(optarg);
			break;
		case 'c':
			if (!parse_u64(optarg, &count) || !count)
				usage_error("-c: not a number of intervals");
			break;
		case 'h':
			print_usage(stdout);
			return fflush(stdout) ? EXIT_FAILURE : 0;
		case OPT_COUNT_AT_START:
			print_count_at_start(strtoul(optarg, NULL, 10));
			return 0;
		default:
			print_usage(stderr);
			return STATUS_USAGE;
		}
	}
	is_command = !strcmp(argv[optind - 1], "--");
	argv += optind;
	nr_args = argc - optind;

	if (opt.json && opt.vectors)
		usage_error("-j has the vectors without -x");
	if (count && !interval_ns)
		usage_error("-c needs -i");
	if (path && shows)
		usage_error("-w writes all there is, without -a, -x, -j, -s, -e, or --busy");
	if (path && interval_ns)
		usage_error("-w and -i do not go together");
	if ((is_diff || nr_args) && (path || interval_ns))
		usage_error("-w and -i are for this VM alone");

	if (is_diff) {
		if (nr_args != 2)
			usage_error("diff needs two snapshots");
		show_diff(argv);
	} else if (is_command && nr_args) {
		return run(argv);
	} else if (nr_args > 1) {
		usage_error("more than one snapshot; diff, which compares two, comes first");
	} else if (nr_args) {
		load_snapshot(argv[0], &t);
		show(&(struct view) { .layout = COUNTS, .a = &t }, stdout);
	} else if (interval_ns) {
		watch(interval_ns, count);
	} else {
		read_guest(&t, path ? measure_startup() : 0);
		if (path)
			save_snapshot(&t, path);
		else
			show(&(struct view) { .layout = COUNTS, .a = &t }, stdout);
	}

	return 0;
}
