// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure what VM-Exits cost, in TSC cycles in the guest from before to after the
 * instruction that exits, and what it costs to read exit counters.  The figures
 * are the medians of many runs, i.e. without interrupts and first-time effects.
 * Exit counters are on the path of each exit; run this with and without them, on
 * the same machine, to see what they add.
 *
 * Print tab-separated lines: "perf", what, cycles.
 */
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>

#include "apic.h"
#include "exit_counters.h"
#include "kvm_util.h"
#include "processor.h"

#define NR_RUNS			501
#define NR_READS		11
#define MAX_RUNNING_VCPUS	4

/* A deadline that VMX' preemption timer can hold, and far enough not to pass. */
#define DEADLINE_CYCLES		BIT_ULL(31)

/* To an APIC that does not exist. */
#define NOBODYS_IPI		(0xfffeull << 32 | APIC_INT_ASSERT | 0x20)

/* Nothing in KVM claims it, so it exits to userspace. */
#define SILENT_PORT		0x80

/* Pages that a vCPU touches first, one per run. */
#define PAGES_SLOT		10
#define PAGES_GPA		0x80000000ull
#define PAGES_GVA		0xc0000000ull

enum measurement {
	CPUID_EXIT,
	WRMSR_FASTPATH,
	PIO_USERSPACE,
	PAGE_TOUCH,
	/* From here on, NR_READS runs suffice. */
	READ_TOTAL,
	READ_REASON,
	READ_ALL_LEAVES,
	NR_MEASUREMENTS,
};

static u64 cycles[MAX_RUNNING_VCPUS][NR_MEASUREMENTS][NR_RUNS];
static pthread_barrier_t all_are_ready;

static int nr_runs(enum measurement m)
{
	return m < READ_TOTAL ? NR_RUNS : NR_READS;
}

static u64 cpuid_exit(int vcpu_id, int run)
{
	u32 eax, ebx, ecx, edx;
	u64 start = rdtsc();

	__cpuid(0, 0, &eax, &ebx, &ecx, &edx);
	return rdtsc() - start;
}

/*
 * On Intel, set the TSC deadline, which the fastpath handles if KVM uses the VMX
 * preemption timer.  On AMD, send an IPI that exits for its MSR unless AVIC takes
 * it.
 */
static u64 wrmsr_fastpath(int vcpu_id, int run)
{
	u64 deadline = rdtsc() + DEADLINE_CYCLES;
	u64 start = rdtsc();

	if (host_cpu_is_amd)
		wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4), NOBODYS_IPI);
	else
		wrmsr(MSR_IA32_TSC_DEADLINE, deadline);

	return rdtsc() - start;
}

static u64 pio_userspace(int vcpu_id, int run)
{
	u64 start = rdtsc();

	asm volatile("outb %%al, %0" :: "i"(SILENT_PORT), "a"(0));
	return rdtsc() - start;
}

static u64 page_touch(int vcpu_id, int run)
{
	u64 nr = vcpu_id * NR_RUNS + run;
	u8 *page = (u8 *)PAGES_GVA + nr * PAGE_SIZE;
	u64 start = rdtsc();

	WRITE_ONCE(*page, 1);
	return rdtsc() - start;
}

static u64 read_leaf(u32 leaf, u32 reason)
{
	u64 start = rdtsc();

	guest_exit_record(leaf, reason);
	return rdtsc() - start;
}

static u64 read_total(int vcpu_id, int run)
{
	return read_leaf(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);
}

static u64 read_reason(int vcpu_id, int run)
{
	return read_leaf(KVM_CPUID_EXIT_COUNTERS_REASON,
			 host_cpu_is_amd ? SVM_EXIT_CPUID : EXIT_REASON_CPUID);
}

static u64 read_all_leaves(int vcpu_id, int run)
{
	u64 start = rdtsc();
	int i;

	for (i = 0; i < NR_EXIT_BUCKETS; i++)
		guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON, exit_bucket_to_reason(i));
	for (i = 0; i < NR_EXCEPTION_VECTORS; i++)
		guest_exit_record(KVM_CPUID_EXIT_COUNTERS_VECTOR, i);
	guest_exit_record(KVM_CPUID_EXIT_COUNTERS_TOTAL, 0);

	return rdtsc() - start;
}

static void measure(int vcpu_id, enum measurement m, u64 (*time)(int vcpu_id, int run))
{
	int i;

	for (i = 0; i < nr_runs(m); i++)
		cycles[vcpu_id][m][i] = time(vcpu_id, i);
}

static void guest_code(int vcpu_id)
{
	u32 eax, signature[3];

	x2apic_enable();
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_TSCDEADLINE | APIC_LVT_MASKED);

	measure(vcpu_id, CPUID_EXIT, cpuid_exit);
	measure(vcpu_id, WRMSR_FASTPATH, wrmsr_fastpath);
	measure(vcpu_id, PIO_USERSPACE, pio_userspace);
	measure(vcpu_id, PAGE_TOUCH, page_touch);

	__cpuid(KVM_CPUID_EXIT_COUNTERS, 0, &eax, &signature[0], &signature[1],
		&signature[2]);
	if (!memcmp(signature, KVM_EXIT_COUNTERS_SIGNATURE, sizeof(signature))) {
		measure(vcpu_id, READ_TOTAL, read_total);
		measure(vcpu_id, READ_REASON, read_reason);
		measure(vcpu_id, READ_ALL_LEAVES, read_all_leaves);
	}

	GUEST_DONE();
}

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct kvm_run *run = vcpu->run;
	struct ucall uc;

	pthread_barrier_wait(&all_are_ready);

	do {
		vcpu_run(vcpu);
	} while (run->exit_reason == KVM_EXIT_IO && run->io.port == SILENT_PORT);

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_DONE:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		TEST_FAIL("Unexpected exit to userspace: %u (%s)", run->exit_reason,
			  exit_reason_str(run->exit_reason));
	}

	return NULL;
}

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* Leaves the samples sorted. */
static u64 median(u64 *samples, int nr_samples)
{
	qsort(samples, nr_samples, sizeof(*samples), compare);
	return samples[nr_samples / 2];
}

/* Of the vCPU whose median is largest. */
static void print(const char *what, enum measurement m, int nr_vcpus)
{
	u64 largest = 0;
	int i;

	for (i = 0; i < nr_vcpus; i++)
		largest = max(largest, median(cycles[i][m], nr_runs(m)));

	/* The guest did not measure what it does not have. */
	if (largest)
		printf("perf\t%s\t%lu\n", what, largest);
}

/* NULL if most touches do not exit, as KVM maps the pages around one as well. */
static const char *page_touch_name(void)
{
	if (!kvm_is_tdp_enabled())
		return "shadow_pf";

	if (!get_kvm_param_bool("tdp_mmu"))
		return NULL;

	return host_cpu_is_amd ? "npf" : "ept_violation";
}

static char buf[65536];

/* What the host pays to read all stats of a vCPU, and the VM's exit counters. */
static void measure_host_reads(struct kvm_vcpu *vcpu)
{
	u64 stats[NR_READS], debugfs[NR_READS];
	struct kvm_stats_header header;
	char path[PATH_MAX];
	int i, fd;
	ssize_t n;
	u64 start;

	fd = vcpu_get_stats_fd(vcpu);
	read_stats_header(fd, &header);
	for (i = 0; i < NR_READS; i++) {
		start = rdtsc();
		n = pread(fd, buf, sizeof(buf), header.data_offset);
		stats[i] = rdtsc() - start;
		TEST_ASSERT(n > 0, "pread() of stats failed: %s", strerror(errno));
	}
	close(fd);
	printf("perf\thost_stats_fd\t%lu\n", median(stats, NR_READS));

	snprintf(path, sizeof(path), "/sys/kernel/debug/kvm/%d-%d/exit_counters",
		 getpid(), vcpu->vm->fd);
	if (access(path, R_OK)) {
		pr_info("%s: %s\n", path, strerror(errno));
		return;
	}

	for (i = 0; i < NR_READS; i++) {
		start = rdtsc();
		fd = open(path, O_RDONLY);
		do {
			n = read(fd, buf, sizeof(buf));
		} while (n > 0);
		close(fd);
		debugfs[i] = rdtsc() - start;
		TEST_ASSERT(!n, "read() of %s failed: %s", path, strerror(errno));
	}
	printf("perf\thost_debugfs\t%lu\n", median(debugfs, NR_READS));
}

static void help(const char *name)
{
	printf("usage: %s [-h] [-b] [-m mask] [-v vcpus] [-c vcpus]\n", name);
	printf("-b: Beside a VM whose exits are timed.\n");
	printf("-m: Enable KVM_CAP_X86_EXIT_COUNTERS with this mask (default: what\n"
	       "    the module parameter kvm.exit_counters says).\n");
	printf("-v: Number of vCPUs that run at the same time, 1 to %d (default: 1).\n",
	       MAX_RUNNING_VCPUS);
	printf("-c: Number of vCPUs that are created, at least those that run.\n");
}

int main(int argc, char *argv[])
{
	struct kvm_vcpu *vcpus[MAX_RUNNING_VCPUS];
	pthread_t threads[MAX_RUNNING_VCPUS];
	int nr_running = 1, nr_created = 0;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm, *timed_vm = NULL;
	bool beside = false;
	long mask = -1;
	u64 nr_pages;
	int opt, i;

	while ((opt = getopt(argc, argv, "bhm:v:c:")) != -1) {
		switch (opt) {
		case 'b':
			beside = true;
			break;
		case 'm':
			mask = atoi_non_negative("Mask", optarg);
			break;
		case 'v':
			nr_running = atoi_positive("Number of running vCPUs", optarg);
			break;
		case 'c':
			nr_created = atoi_positive("Number of created vCPUs", optarg);
			break;
		case 'h':
		default:
			help(argv[0]);
			exit(opt == 'h' ? 0 : 1);
		}
	}
	TEST_ASSERT(nr_running <= MAX_RUNNING_VCPUS, "At most %d vCPUs can run",
		    MAX_RUNNING_VCPUS);
	nr_created = max(nr_created, nr_running);

	if (mask >= 0 || beside)
		TEST_REQUIRE(kvm_has_cap(KVM_CAP_X86_EXIT_COUNTERS));

	if (beside) {
		timed_vm = vm_create(1);
		vm_enable_cap(timed_vm, KVM_CAP_X86_EXIT_COUNTERS, KVM_X86_EXIT_COUNTERS_CYCLES);
	}

	vm = vm_create(nr_created);
	if (mask >= 0)
		vm_enable_cap(vm, KVM_CAP_X86_EXIT_COUNTERS, mask);

	nr_pages = nr_running * NR_RUNS;
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, PAGES_GPA, PAGES_SLOT,
				    nr_pages, 0);
	virt_map(vm, PAGES_GVA, PAGES_GPA, nr_pages);
	memset(addr_gpa2hva(vm, PAGES_GPA), 1, nr_pages * PAGE_SIZE);

	pthread_barrier_init(&all_are_ready, NULL, nr_running);
	for (i = 0; i < nr_created; i++) {
		vcpu = vm_vcpu_add(vm, i, guest_code);
		if (i >= nr_running)
			continue;

		vcpu_args_set(vcpu, 1, i);
		vcpu_set_cpuid_feature(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);
		vcpus[i] = vcpu;
	}
	for (i = 0; i < nr_running; i++)
		pthread_create(&threads[i], NULL, run_vcpu, vcpus[i]);
	for (i = 0; i < nr_running; i++)
		pthread_join(threads[i], NULL);

	sync_global_from_guest(vm, cycles);
	print("cpuid", CPUID_EXIT, nr_running);
	/* AVIC sends the IPI without an exit. */
	if (!host_cpu_is_amd || !get_kvm_amd_param_bool("avic"))
		print("wrmsr_fastpath", WRMSR_FASTPATH, nr_running);
	print("pio_userspace", PIO_USERSPACE, nr_running);
	if (page_touch_name())
		print(page_touch_name(), PAGE_TOUCH, nr_running);
	print("read_total", READ_TOTAL, nr_running);
	print("read_reason", READ_REASON, nr_running);
	print("read_all_leaves", READ_ALL_LEAVES, nr_running);
	measure_host_reads(vcpus[0]);

	kvm_vm_free(vm);
	if (timed_vm)
		kvm_vm_free(timed_vm);
	return 0;
}
