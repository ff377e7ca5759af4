// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the experiment's VM does: one kind of work after the other, each with a known
 * number of operations, and its exit counters read before and after.
 *
 * Usage: phases [check] [PHASE=OPERATIONS]...
 *   check       only whether the arguments are right
 *   OPERATIONS  instead of the phase's own number; 0 leaves it out
 *
 * Prints lines of four fields with tabs between: the phase, an exit reason (decimal on
 * VMX, hexadecimal on SVM) or exc and a vector, how many exits, and their cycles; and
 * instead of a reason one of
 *   operations  what was done
 *   cycles      how long that took, by the TSC of the VM
 *   faults      page faults of the programs of this phase meanwhile, which the VM's kernel handled
 *   switches    context switches of the VM meanwhile, and while the counters were read
 *   absent      what this VM lacks for the phase, in place of its lines
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

/* Documentation/virt/kvm/x86/exit-counters.rst has these. */
#define LEAF_SIGNATURE		0x4fffff00
#define LEAF_INFO		0x4fffff01
#define LEAF_VECTOR		0x4ffffffb
#define LEAF_REASON		0x4ffffffd
#define UNDEFINED_EDX		0xffffffff
#define ISA_SVM			2

#define NR_REASONS		0x404
#define SVM_LOW_END		0xc0
#define SVM_HIGH_BEGIN		0x400
#define NR_VMX_REASONS		0x60
#define NR_VECTORS		32
#define VMX_CPUID		10
#define SVM_CPUID		0x72

#define PAGE_SIZE		4096
#define REMAPPED_PAGES		128
#define CHASED_PAGES		4096
#define CACHE_LINE		64
#define FILE_SIZE		65536
#define NSEC_PER_MSEC		1000000
#define NSEC_PER_SEC		1000000000

struct record {
	uint64_t exits;
	uint64_t cycles;
};

struct counters {
	struct record reasons[NR_REASONS];
	struct record vectors[NR_VECTORS];
};

static unsigned int nr_reasons, cpuid_reason;
static bool is_svm;

static struct record read_record(unsigned int leaf, unsigned int index)
{
	unsigned int eax, ebx, ecx, edx;

	__cpuid_count(leaf, index, eax, ebx, ecx, edx);
	if (edx == UNDEFINED_EDX)
		return (struct record){};

	return (struct record){
		.exits = (uint64_t)edx << 32 | eax,
		.cycles = (uint64_t)ebx << 32 | ecx,
	};
}

/* But for the number of CPUIDs, as each of these reads is one. */
static void read_counters(struct counters *counters)
{
	unsigned int i;

	for (i = 0; i < NR_VECTORS; i++)
		counters->vectors[i] = read_record(LEAF_VECTOR, i);
	for (i = 0; i < nr_reasons; i++) {
		/* There are none between the two ranges of SVM. */
		if (is_svm && i == SVM_LOW_END)
			i = SVM_HIGH_BEGIN;
		if (i != cpuid_reason)
			counters->reasons[i] = read_record(LEAF_REASON, i);
	}
}

static void find_counters(void)
{
	unsigned int eax, signature[3], ebx, ecx, edx;

	__cpuid(LEAF_SIGNATURE, eax, signature[0], signature[1], signature[2]);
	if (memcmp(signature, "KVMEXITCOUNT", sizeof(signature)))
		errx(3, "this VM does not see its exit counters");

	__cpuid(LEAF_INFO, eax, ebx, ecx, edx);
	is_svm = ecx == ISA_SVM;
	nr_reasons = is_svm ? NR_REASONS : NR_VMX_REASONS;
	cpuid_reason = is_svm ? SVM_CPUID : VMX_CPUID;
}

/* What the VM lacks for a phase. */
static char absent[128];

static void check(bool ok, const char *what)
{
	if (!ok)
		err(EXIT_FAILURE, "%s", what);
}

static void sleep_for(long ns)
{
	struct timespec ts = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	check(!nanosleep(&ts, NULL), "nanosleep");
}

static void do_cpuid(unsigned long ops)
{
	unsigned int eax, ebx, ecx, edx;

	while (ops--)
		__cpuid(0, eax, ebx, ecx, edx);
}

static void do_syscall(unsigned long ops)
{
	while (ops--)
		syscall(SYS_getppid);
}

/* Memory that is in the VM, and was kept from its kernel, is touched here first. */
static char *untouched;

static void prepare_touch(unsigned long ops)
{
	unsigned long megabytes, at;
	char line[4096] = "", *memmap;
	int fd;

	fd = open("/proc/cmdline", O_RDONLY);
	check(fd >= 0 && read(fd, line, sizeof(line) - 1) > 0, "/proc/cmdline");
	close(fd);

	memmap = strstr(line, "memmap=");
	if (!memmap || sscanf(memmap, "memmap=%luM$%luM", &megabytes, &at) != 2 ||
	    ops * PAGE_SIZE > megabytes << 20) {
		snprintf(absent, sizeof(absent), "no memmap= that keeps %lu pages from the kernel",
			 ops);
		return;
	}

	fd = open("/dev/mem", O_RDWR);
	untouched = fd < 0 ? MAP_FAILED : mmap(NULL, ops * PAGE_SIZE, PROT_READ | PROT_WRITE,
					       MAP_SHARED, fd, at << 20);
	if (untouched == MAP_FAILED)
		snprintf(absent, sizeof(absent), "/dev/mem: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void finish_touch(unsigned long ops)
{
	check(!munmap(untouched, ops * PAGE_SIZE), "munmap");
}

static void do_touch(unsigned long ops)
{
	unsigned long i;

	for (i = 0; i < ops; i++)
		*(volatile char *)(untouched + i * PAGE_SIZE) = 1;
}

/* A page at a time is new to the process, but not to the VM. */
static void do_remap(unsigned long ops)
{
	unsigned long i;
	char *pages = NULL;

	for (i = 0; i < ops; i++) {
		if (i % REMAPPED_PAGES == 0) {
			pages = mmap(NULL, REMAPPED_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			check(pages != MAP_FAILED, "mmap");
			check(!madvise(pages, REMAPPED_PAGES * PAGE_SIZE, MADV_NOHUGEPAGE) ||
			      errno == EINVAL, "madvise");
		}
		*(volatile char *)(pages + i % REMAPPED_PAGES * PAGE_SIZE) = 1;
		if (i % REMAPPED_PAGES == REMAPPED_PAGES - 1 || i == ops - 1)
			check(!munmap(pages, REMAPPED_PAGES * PAGE_SIZE), "munmap");
	}
}

/* A pointer in each page, in a line of the cache that is not that of all others. */
static void **chased;
static char *chased_pages;

static void prepare_chase(unsigned long ops)
{
	static unsigned int order[CHASED_PAGES];
	unsigned int i, j, from, to;
	char *pages;

	chased_pages = pages = mmap(NULL, CHASED_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(pages != MAP_FAILED, "mmap");
	check(!madvise(pages, CHASED_PAGES * PAGE_SIZE, MADV_NOHUGEPAGE) || errno == EINVAL,
	      "madvise");

	/* The same order each time. */
	srand(1);
	for (i = 0; i < CHASED_PAGES; i++) {
		j = rand() % (i + 1);
		order[i] = order[j];
		order[j] = i;
	}
	for (i = 0; i < CHASED_PAGES; i++) {
		from = order[i];
		to = order[(i + 1) % CHASED_PAGES];
		*(void **)(pages + from * PAGE_SIZE + from * CACHE_LINE % PAGE_SIZE) =
			pages + to * PAGE_SIZE + to * CACHE_LINE % PAGE_SIZE;
	}
	chased = (void **)(pages + order[0] * PAGE_SIZE + order[0] * CACHE_LINE % PAGE_SIZE);
}

static void finish_chase(unsigned long ops)
{
	check(!munmap(chased_pages, CHASED_PAGES * PAGE_SIZE), "munmap");
}

static void do_chase(unsigned long ops)
{
	while (ops--)
		chased = *(void * volatile *)chased;
}

static void do_process(unsigned long ops)
{
	int status;
	pid_t pid;

	while (ops--) {
		pid = fork();
		check(pid >= 0, "fork");
		if (!pid) {
			execl("/proc/self/exe", "phases", "exit", NULL);
			_exit(1);
		}
		check(waitpid(pid, &status, 0) == pid && !status, "a process that only ends");
	}
}

/* There and back: two processes on one CPU, of which each waits for the other. */
static int there[2], back[2];
static pid_t other;

static void prepare_switch(unsigned long ops)
{
	char byte;

	check(!pipe(there) && !pipe(back), "pipe");
	other = fork();
	check(other >= 0, "fork");
	if (!other) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1)
			check(write(back[1], &byte, 1) == 1, "write");
		_exit(0);
	}
}

static void do_switch(unsigned long ops)
{
	char byte = 0;

	while (ops--)
		check(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "pipe");
}

static void finish_switch(unsigned long ops)
{
	close(there[0]);
	close(there[1]);
	close(back[0]);
	close(back[1]);
	check(waitpid(other, NULL, 0) == other, "waitpid");
}

static void do_file(unsigned long ops)
{
	static char data[FILE_SIZE];
	int fd;

	while (ops--) {
		fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
		check(fd >= 0 && write(fd, data, FILE_SIZE) == FILE_SIZE &&
		      pread(fd, data, FILE_SIZE, 0) == FILE_SIZE, "file");
		close(fd);
		check(!unlink("file"), "unlink");
	}
}

static void do_timer(unsigned long ops)
{
	while (ops--)
		sleep_for(NSEC_PER_MSEC);
}

static void do_idle(unsigned long ops)
{
	sleep_for(ops * NSEC_PER_SEC);
}

static struct phase {
	const char *name;
	unsigned long ops;
	/* So many before the counters are read, lest these be the first ones. */
	unsigned long warm_up;
	void (*work)(unsigned long ops);
	void (*prepare)(unsigned long ops);
	void (*finish)(unsigned long ops);
} phases[] = {
	{ "cpuid", 1000, 1, do_cpuid },
	{ "syscall", 10000, 1, do_syscall },
	{ "chase", 4 * CHASED_PAGES, CHASED_PAGES, do_chase, prepare_chase, finish_chase },
	{ "touch", 1024, 0, do_touch, prepare_touch, finish_touch },
	{ "remap", 8 * REMAPPED_PAGES, 2 * REMAPPED_PAGES, do_remap },
	{ "process", 50, 2, do_process },
	{ "switch", 500, 2, do_switch, prepare_switch, finish_switch },
	{ "file", 50, 2, do_file },
	{ "timer", 100, 2, do_timer },
	{ "idle", 1, 0, do_idle },
};

#define NR_PHASES	(sizeof(phases) / sizeof(phases[0]))

static uint64_t nr_faults(void)
{
	struct rusage self, children;

	check(!getrusage(RUSAGE_SELF, &self) && !getrusage(RUSAGE_CHILDREN, &children),
	      "getrusage");
	return self.ru_minflt + children.ru_minflt;
}

static uint64_t nr_switches(void)
{
	unsigned long long switches = 0;
	char line[256];
	FILE *f;

	f = fopen("/proc/stat", "r");
	check(f, "/proc/stat");
	while (fgets(line, sizeof(line), f))
		sscanf(line, "ctxt %llu", &switches);
	fclose(f);
	return switches;
}

static void print_record(const char *phase, const char *code, struct record before,
			 struct record after)
{
	if (after.exits != before.exits || after.cycles != before.cycles)
		printf("%s\t%s\t%lu\t%lu\n", phase, code, after.exits - before.exits,
		       after.cycles - before.cycles);
}

static void run(struct phase *phase)
{
	static struct counters before, after;
	uint64_t faults, switches, cycles;
	unsigned int i;
	char code[16];

	absent[0] = 0;
	if (phase->prepare)
		phase->prepare(phase->ops);
	if (absent[0]) {
		printf("%s\tabsent\t%s\t0\n", phase->name, absent);
		return;
	}
	if (phase->warm_up)
		phase->work(phase->warm_up);

	switches = nr_switches();
	/* Twice, as the first time touches what it needs. */
	read_counters(&before);
	read_counters(&before);
	before.reasons[cpuid_reason] = read_record(LEAF_REASON, cpuid_reason);
	faults = nr_faults();
	cycles = __rdtsc();

	phase->work(phase->ops);

	cycles = __rdtsc() - cycles;
	faults = nr_faults() - faults;
	after.reasons[cpuid_reason] = read_record(LEAF_REASON, cpuid_reason);
	/* This one read itself. */
	after.reasons[cpuid_reason].exits--;
	read_counters(&after);
	switches = nr_switches() - switches;

	if (phase->finish)
		phase->finish(phase->ops);

	printf("%s\toperations\t%lu\t0\n", phase->name, phase->ops);
	printf("%s\tcycles\t%lu\t0\n", phase->name, cycles);
	printf("%s\tfaults\t%lu\t0\n", phase->name, faults);
	printf("%s\tswitches\t%lu\t0\n", phase->name, switches);
	for (i = 0; i < nr_reasons; i++) {
		snprintf(code, sizeof(code), is_svm ? "0x%03x" : "%u", i);
		print_record(phase->name, code, before.reasons[i], after.reasons[i]);
	}
	for (i = 0; i < NR_VECTORS; i++) {
		snprintf(code, sizeof(code), "exc%u", i);
		print_record(phase->name, code, before.vectors[i], after.vectors[i]);
	}
}

static void set_operations(const char *arg)
{
	size_t length = strcspn(arg, "=");
	char *end = NULL;
	unsigned int i;

	for (i = 0; i < NR_PHASES; i++) {
		if (strlen(phases[i].name) != length || strncmp(phases[i].name, arg, length))
			continue;
		if (arg[length] && arg[length + 1] >= '0' && arg[length + 1] <= '9')
			phases[i].ops = strtoul(arg + length + 1, &end, 10);
		if (!end || *end || phases[i].ops > INT32_MAX)
			errx(2, "%s: not PHASE=OPERATIONS", arg);
		return;
	}

	fprintf(stderr, "phases: %s is none of the phases:", arg);
	for (i = 0; i < NR_PHASES; i++)
		fprintf(stderr, " %s=%lu", phases[i].name, phases[i].ops);
	fprintf(stderr, "\n");
	exit(2);
}

int main(int argc, char *argv[])
{
	bool check_only;
	cpu_set_t cpus;
	int i;

	/* What the phase of processes runs. */
	if (argc == 2 && !strcmp(argv[1], "exit"))
		return 0;

	check_only = argc > 1 && !strcmp(argv[1], "check");
	for (i = 1 + check_only; i < argc; i++)
		set_operations(argv[i]);
	if (check_only)
		return 0;
	find_counters();

	/* One CPU, so that two processes take turns on it. */
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	check(!sched_setaffinity(0, sizeof(cpus), &cpus), "sched_setaffinity");

	for (i = 0; i < (int)NR_PHASES; i++) {
		if (phases[i].ops)
			run(&phases[i]);
		fflush(stdout);
	}

	return EXIT_SUCCESS;
}
