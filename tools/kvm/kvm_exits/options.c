// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line.
 */
#define _GNU_SOURCE
#include <err.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_exits.h"

#define MAX_INTERVAL_SEC	1000000000

/* What getopt calls an argument that is no option */
#define OPT_FILE		1

/* Long options alone, as letters that are no short ones */
#define OPT_BUSY		'B'
#define OPT_HOST		'H'
#define OPT_METRICS		'M'
#define OPT_QMP			'Q'
#define OPT_ROOT		'R'
#define OPT_COUNT_AT_START	'S'
#define OPT_VCPU		'V'

static const char short_options[] = "-axjs:e:w:i:c:p:g:h";
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

/* The options that each mode takes */
static const struct {
	const char *name;
	const char *options;
} modes[] = {
	[SHOW] = { "a single table", "axjseBpgQVHR" },
	[WATCH] = { "-i", "axjseBpgQVHRic" },
	[RUN] = { "a command", "axjseBpgQVHR" },
	[WRITE] = { "-w", "wpgQVHR" },
	[SHOW_SNAPSHOT] = { "a snapshot", "axjseB" },
	[DIFF] = { "diff", "axjseB" },
	[METRICS] = { "--openmetrics", "MR" },
};

static void print_usage(FILE *file)
{
	fputs("Usage: kvm_exits [OPTION...]                     the exits of this VM, or on a\n"
	      "                                                host, what each of its VMs does\n"
	      "       kvm_exits [OPTION...] -i SECONDS [-c N]  what happens from now on\n"
	      "       kvm_exits [OPTION...] -- COMMAND...      what happens while COMMAND runs\n"
	      "       kvm_exits [-p | -g | --qmp] -w FILE      write the exits to a snapshot\n"
	      "       kvm_exits [OPTION...] FILE               show a snapshot\n"
	      "       kvm_exits [OPTION...] diff A B           compare two snapshots\n"
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

#define usage_error(...)			\
do {						\
	warnx(__VA_ARGS__);			\
	print_usage(stderr);			\
	exit(STATUS_USAGE);			\
} while (0)

static u64 parse_interval(const char *s)
{
	double seconds;
	char *end;

	/* Neither hexadecimal, nor exponents, nor infinity. */
	seconds = strtod(s, &end);
	if (s[strspn(s, "0123456789.")] || end == s || *end)
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

	for (i = 0; i < ARRAY_SIZE(orders) && strcmp(s, orders[i]); i++)
		;
	if (i == ARRAY_SIZE(orders))
		usage_error("-s: neither exits, nor time, nor average, nor name");

	return i;
}

static const regex_t *parse_filter(const char *s)
{
	static regex_t filter;
	char text[128];
	int error = regcomp(&filter, s, REG_EXTENDED | REG_ICASE | REG_NOSUB);

	if (error) {
		regerror(error, &filter, text, sizeof(text));
		usage_error("-e: %s", text);
	}

	return &filter;
}

static int parse_vcpu(const char *s)
{
	u64 number;

	if (!strcmp(s, "all"))
		return EACH_VCPU;
	if (!parse_u64(s, &number) || number > INT_MAX)
		usage_error("--vcpu: neither a number nor all");

	return number;
}

static void parse_option(int c, struct arguments *args)
{
	switch (c) {
	case OPT_FILE:
		if (args->nr_files == ARRAY_SIZE(args->files))
			usage_error("more than two snapshots");
		args->files[args->nr_files++] = optarg;
		break;
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
		args->vcpu = parse_vcpu(optarg);
		break;
	case OPT_HOST:
	case OPT_METRICS:
		args->is_host = true;
		break;
	case OPT_QMP:
		args->qmp = optarg;
		break;
	case OPT_ROOT:
		args->root = optarg;
		break;
	case OPT_COUNT_AT_START:
		print_count_at_start(strtoul(optarg, NULL, 10));
		exit(0);
	case 'h':
		print_usage(stdout);
		check_output(stdout);
		exit(0);
	default:
		print_usage(stderr);
		exit(STATUS_USAGE);
	}
}

static enum mode find_mode(const struct arguments *args, const bool *given)
{
	if (given[OPT_METRICS])
		return METRICS;
	if (args->nr_files)
		return strcmp(args->files[0], "diff") ? SHOW_SNAPSHOT : DIFF;
	if (*args->command)
		return RUN;
	if (given['w'])
		return WRITE;

	return given['i'] ? WATCH : SHOW;
}

static void check_mode(const struct arguments *args, const bool *given)
{
	const struct option *option;
	const char *c;

	for (c = short_options; *c; c++) {
		if (given[(int)*c] && !strchr(modes[args->mode].options, *c))
			usage_error("-%c does not go with %s", *c, modes[args->mode].name);
	}
	for (option = long_options; option->name; option++) {
		if (given[option->val] && !strchr(modes[args->mode].options, option->val))
			usage_error("--%s does not go with %s", option->name,
				    modes[args->mode].name);
	}

	if (*args->command && args->mode != RUN)
		usage_error("a command does not go with %s", modes[args->mode].name);
	if (args->mode == DIFF && args->nr_files != 3)
		usage_error("diff needs two snapshots");
	if (args->mode != DIFF && args->nr_files > 1)
		usage_error("more than one file; diff, which compares two, comes before them");
}

static void check_vm(const struct arguments *args)
{
	int nr = !!args->pid + !!args->name + !!args->qmp;

	if (nr > 1)
		usage_error("-p, -g, and --qmp are ways to choose one VM");
	if (!nr && args->vcpu != ALL_VCPUS)
		usage_error("--vcpu needs -p, -g, or --qmp");
	if (args->vcpu == EACH_VCPU && args->mode != SHOW)
		usage_error("--vcpu all does not go with %s", modes[args->mode].name);
	if (args->qmp && !strcmp(args->qmp, "-") && (args->mode == WATCH || args->mode == RUN))
		usage_error("--qmp - is one reply, and does not go with %s",
			    modes[args->mode].name);
	if (opt.json && opt.vectors)
		usage_error("-j has the vectors without -x");
}

void parse_arguments(int argc, char **argv, struct arguments *args)
{
	bool given[CHAR_MAX + 1] = {};
	int c;

	*args = (struct arguments) { .root = "", .vcpu = ALL_VCPUS };
	while ((c = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
		given[c] = true;
		parse_option(c, args);
	}

	args->command = argv + optind;
	args->mode = find_mode(args, given);
	check_mode(args, given);
	check_vm(args);
}
