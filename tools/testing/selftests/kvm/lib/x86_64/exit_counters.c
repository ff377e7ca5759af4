// SPDX-License-Identifier: GPL-2.0-only
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <asm/barrier.h>

#include "exit_counters.h"

const char *exit_reason_name(u32 reason)
{
	static const struct {
		u64 reason;
		const char *name;
	} vmx[] = { VMX_EXIT_REASONS }, svm[] = { SVM_EXIT_REASONS };
	int i;

	if (host_cpu_is_amd) {
		for (i = 0; i < ARRAY_SIZE(svm); i++) {
			if (svm[i].reason == reason)
				return svm[i].name;
		}
	} else {
		for (i = 0; i < ARRAY_SIZE(vmx); i++) {
			if (vmx[i].reason == reason)
				return vmx[i].name;
		}
	}

	return "unnamed";
}

const char *exception_name(int vector)
{
	static const char * const names[NR_EXCEPTION_VECTORS] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL, "#TS",
		"#NP", "#SS", "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
		[28] = "#HV", "#VC", "#SX",
	};

	return names[vector];
}

bool is_host_exception(int vector)
{
	return vector == NMI_VECTOR || vector == MC_VECTOR;
}

bool is_host_exit(u32 reason)
{
	if (host_cpu_is_amd) {
		switch (reason) {
		case SVM_EXIT_EXCP_BASE + MC_VECTOR:
		case SVM_EXIT_INTR:
		case SVM_EXIT_NMI:
		case SVM_EXIT_SMI:
		case SVM_EXIT_INIT:
		case SVM_EXIT_BUS_LOCK:
			return true;
		default:
			return false;
		}
	}

	/* EXCEPTION_NMI is not here, is_host_exception() tells by vector. */
	switch (reason) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_INIT_SIGNAL:
	case EXIT_REASON_SIPI_SIGNAL:
	case EXIT_REASON_MCE_DURING_VMENTRY:
	case EXIT_REASON_PREEMPTION_TIMER:
	case EXIT_REASON_PML_FULL:
	case EXIT_REASON_BUS_LOCK:
	case EXIT_REASON_NOTIFY:
		return true;
	default:
		return false;
	}
}

u64 host_exits(const struct exit_counters *counters)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < NR_EXIT_BUCKETS; i++) {
		if (is_host_exit(exit_bucket_to_reason(i)))
			sum += counters->exits[i];
	}

	for (i = 0; i < NR_EXCEPTION_VECTORS && !host_cpu_is_amd; i++) {
		if (is_host_exception(i))
			sum += counters->exceptions[i];
	}

	return sum;
}

u64 guest_host_exits(void)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < EXIT_BUCKET_OTHER; i++) {
		u32 reason = exit_bucket_to_reason(i);

		if (is_host_exit(reason))
			sum += guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON, reason).exits;
	}

	for (i = 0; i < NR_EXCEPTION_VECTORS && !host_cpu_is_amd; i++) {
		if (is_host_exception(i))
			sum += guest_exit_record(KVM_CPUID_EXIT_COUNTERS_VECTOR, i).exits;
	}

	return sum;
}

static u32 tdp_fault_reason(void)
{
	return host_cpu_is_amd ? SVM_EXIT_NPF : EXIT_REASON_EPT_VIOLATION;
}

u64 unasked_exits(const struct exit_counters *counters)
{
	return host_exits(counters) + counters->exits[exit_bucket(tdp_fault_reason())] +
	       counters->exceptions[PF_VECTOR];
}

u64 guest_unasked_exits(void)
{
	return guest_host_exits() +
	       guest_exit_record(KVM_CPUID_EXIT_COUNTERS_REASON, tdp_fault_reason()).exits +
	       guest_exit_record(KVM_CPUID_EXIT_COUNTERS_VECTOR, PF_VECTOR).exits;
}

static void read_vcpu_stat(int fd, const char *name, u32 type, u32 unit, u64 *data,
			   int nr_elements)
{
	struct kvm_stats_desc *descs, *desc = NULL;
	struct kvm_stats_header header;
	int i;

	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);

	for (i = 0; i < header.num_desc && !desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (strcmp(desc->name, name))
			desc = NULL;
	}
	TEST_ASSERT(desc, "No stat named %s", name);
	TEST_ASSERT((desc->flags & KVM_STATS_TYPE_MASK) == type &&
		    (desc->flags & KVM_STATS_UNIT_MASK) == unit &&
		    desc->size == nr_elements &&
		    desc->bucket_size == (type == KVM_STATS_TYPE_LINEAR_HIST),
		    "%s: flags 0x%x, %u elements, bucket size %u; wanted type 0x%x, unit 0x%x, %d elements",
		    name, desc->flags, desc->size, desc->bucket_size, type, unit,
		    nr_elements);

	read_stat_data(fd, &header, desc, data, nr_elements);
	free(descs);
}

/*
 * The vCPU may be running.  On SVM, where each exception has an exit code, that is
 * the count of its vector.
 */
void read_exit_counters(int fd, struct exit_counters *counters)
{
	int i;

	read_vcpu_stat(fd, "exits_by_reason", KVM_STATS_TYPE_LINEAR_HIST,
		       KVM_STATS_UNIT_NONE, counters->exits, NR_EXIT_BUCKETS);
	read_vcpu_stat(fd, "exceptions_by_vector", KVM_STATS_TYPE_LINEAR_HIST,
		       KVM_STATS_UNIT_NONE, counters->exceptions, NR_EXCEPTION_VECTORS);
	read_vcpu_stat(fd, "exit_cycles", KVM_STATS_TYPE_CUMULATIVE,
		       KVM_STATS_UNIT_CYCLES, &counters->cycles, 1);
	read_vcpu_stat(fd, "exits", KVM_STATS_TYPE_CUMULATIVE,
		       KVM_STATS_UNIT_NONE, &counters->total, 1);

	if (!host_cpu_is_amd)
		return;

	for (i = 0; i < NR_EXCEPTION_VECTORS; i++) {
		TEST_ASSERT(!counters->exceptions[i],
			    "exceptions_by_vector counts vector %d on SVM", i);
		counters->exceptions[i] = counters->exits[SVM_EXIT_EXCP_BASE + i];
	}
}

void vcpu_get_exit_counters(struct kvm_vcpu *vcpu, struct exit_counters *counters)
{
	int fd = vcpu_get_stats_fd(vcpu);

	read_exit_counters(fd, counters);
	close(fd);
}

struct exit_counters exits_between(const struct exit_counters *before,
				   const struct exit_counters *after)
{
	struct exit_counters diff = {
		.cycles = after->cycles - before->cycles,
		.total = after->total - before->total,
	};
	int i;

	for (i = 0; i < NR_EXIT_BUCKETS; i++)
		diff.exits[i] = after->exits[i] - before->exits[i];
	for (i = 0; i < NR_EXCEPTION_VECTORS; i++)
		diff.exceptions[i] = after->exceptions[i] - before->exceptions[i];

	return diff;
}

u64 sum_exits(const struct exit_counters *counters)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < NR_EXIT_BUCKETS; i++)
		sum += counters->exits[i];

	return sum;
}

u64 run_to_ucall(struct kvm_vcpu *vcpu, struct ucall *uc)
{
	do {
		vcpu_run(vcpu);
		if (get_ucall(vcpu, uc) == UCALL_ABORT)
			REPORT_GUEST_ASSERT(*uc);
	} while (uc->cmd == UCALL_NONE && (vcpu->run->exit_reason == KVM_EXIT_IO ||
					   vcpu->run->exit_reason == KVM_EXIT_MMIO));

	return uc->cmd;
}

static void run_to(struct kvm_vcpu *vcpu, struct ucall *uc, u64 cmd)
{
	TEST_ASSERT(run_to_ucall(vcpu, uc) == cmd,
		    "Expected ucall %lu, got ucall %lu, exit to userspace %u (%s)", cmd,
		    uc->cmd, vcpu->run->exit_reason, exit_reason_str(vcpu->run->exit_reason));
}

u64 run_to_sync(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	run_to(vcpu, &uc, UCALL_SYNC);
	return uc.args[1];
}

void run_to_done(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	run_to(vcpu, &uc, UCALL_DONE);
}

/* Enough for 25,000 exits between two looks at it. */
#define TRACE_SIZE	(512 * PAGE_SIZE)

static struct {
	struct perf_event_mmap_page *page;
	int fd;
	/* Where samples have the exit reason, and VMX's information on exceptions. */
	int reason_offset;
	int intr_info_offset;
	u64 exits[NR_EXIT_BUCKETS];
	u64 exceptions[NR_EXCEPTION_VECTORS];
} trace;

static bool read_tracepoint(const char *dir, struct perf_event_attr *attr)
{
	char path[128], line[256], *field;
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/events/kvm/kvm_exit/format", dir);
	f = fopen(path, "r");
	if (!f)
		return false;

	while (fgets(line, sizeof(line), f)) {
		field = strstr(line, " exit_reason;") ?: strstr(line, " intr_info;");
		n += sscanf(line, "ID: %llu", &attr->config) == 1 ||
		     (field && sscanf(field, " exit_reason; offset:%d;",
				      &trace.reason_offset) == 1) ||
		     (field && sscanf(field, " intr_info; offset:%d;",
				      &trace.intr_info_offset) == 1);
	}
	fclose(f);
	TEST_ASSERT(n == 3, "%s does not have ID, exit_reason, and intr_info", path);

	return true;
}

bool exit_trace_start(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_RAW,
		.read_format = PERF_FORMAT_LOST,
	};

	exit_trace_stop();

	trace.fd = -1;
	if (read_tracepoint("/sys/kernel/tracing", &attr) ||
	    read_tracepoint("/sys/kernel/debug/tracing", &attr))
		trace.fd = syscall(__NR_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (trace.fd < 0) {
		TEST_ASSERT(errno == ENOENT || errno == EACCES || errno == EPERM,
			    "perf_event_open() of kvm_exit failed: %s", strerror(errno));
		pr_info("No access to the kvm_exit tracepoint, counts are not compared with it\n");
		/* TEST_ASSERT() takes EACCES for a missing permission of its own. */
		errno = 0;
		return false;
	}
	errno = 0;

	trace.page = mmap(NULL, PAGE_SIZE + TRACE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  trace.fd, 0);
	TEST_ASSERT(trace.page != MAP_FAILED, "mmap() of samples failed: %s", strerror(errno));
	memset(trace.exits, 0, sizeof(trace.exits));
	memset(trace.exceptions, 0, sizeof(trace.exceptions));

	return true;
}

void exit_trace_stop(void)
{
	if (!trace.page)
		return;

	munmap(trace.page, PAGE_SIZE + TRACE_SIZE);
	close(trace.fd);
	trace.page = NULL;
}

/* Records are multiples of 8 bytes, so neither what is in them nor a field wraps. */
static const void *trace_at(u64 position)
{
	return (void *)trace.page + PAGE_SIZE + position % TRACE_SIZE;
}

void assert_exit_trace_agrees(const struct exit_counters *counters)
{
	const struct perf_event_header *header;
	u64 head, tail, raw, nr_samples_and_lost[2];
	u32 reason, vector;
	int i;

	if (!trace.page)
		return;

	/* What the kernel has written up to here is complete. */
	head = smp_load_acquire(&trace.page->data_head);
	for (tail = trace.page->data_tail; tail != head; tail += header->size) {
		header = trace_at(tail);
		TEST_ASSERT(header->type == PERF_RECORD_SAMPLE,
			    "A record of type %u, are samples lost?", header->type);

		/* The raw data has its size before it. */
		raw = tail + sizeof(*header) + sizeof(u32);
		reason = *(u32 *)trace_at(raw + trace.reason_offset);
		/* VMX basic exit reasons have 16 bits, above them are flags. */
		if (!host_cpu_is_amd)
			reason &= 0xffff;
		trace.exits[exit_bucket(reason)]++;

		vector = *(u32 *)trace_at(raw + trace.intr_info_offset) & 0xff;
		if (!host_cpu_is_amd && reason == EXIT_REASON_EXCEPTION_NMI)
			trace.exceptions[vector % NR_EXCEPTION_VECTORS]++;
	}
	/* It has been read, and may be overwritten. */
	smp_store_release(&trace.page->data_tail, tail);

	TEST_ASSERT(read(trace.fd, nr_samples_and_lost, sizeof(nr_samples_and_lost)) ==
		    sizeof(nr_samples_and_lost) && !nr_samples_and_lost[1],
		    "Samples of kvm_exit were lost, more exits than there is room for");

	for (i = 0; i < NR_EXIT_BUCKETS; i++) {
		reason = exit_bucket_to_reason(i);
		TEST_ASSERT(counters->exits[i] == trace.exits[i],
			    "Exit reason 0x%x (%s): counted %lu, traced %lu", reason,
			    exit_reason_name(reason), counters->exits[i], trace.exits[i]);
	}
	for (i = 0; i < NR_EXCEPTION_VECTORS && !host_cpu_is_amd; i++) {
		TEST_ASSERT(counters->exceptions[i] == trace.exceptions[i],
			    "Exception vector %d: counted %lu, traced %lu", i,
			    counters->exceptions[i], trace.exceptions[i]);
	}
}

void assert_counters_agree(const struct exit_counters *counters)
{
	assert_exit_trace_agrees(counters);
	TEST_ASSERT(sum_exits(counters) == counters->total,
		    "All reasons: counted %lu, the stat exits has %lu", sum_exits(counters),
		    counters->total);
}

bool kvm_vendor_param_is_on(const char *name)
{
	char path[128], value = 'N';
	int fd;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s",
		 host_cpu_is_amd ? "kvm_amd" : "kvm_intel", name);
	fd = open(path, O_RDONLY);
	TEST_ASSERT((fd < 0 && errno == ENOENT) || read(fd, &value, 1) == 1,
		    "Reading %s failed: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);

	return value != 'N' && value != '0';
}
