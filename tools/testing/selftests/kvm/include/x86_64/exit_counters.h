/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Both views of KVM's exit counters: the host's binary stats and the guest's
 * CPUID leaves.
 */
#ifndef SELFTEST_KVM_EXIT_COUNTERS_H
#define SELFTEST_KVM_EXIT_COUNTERS_H

#include <asm/kvm_para.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "kvm_util.h"
#include "processor.h"

/*
 * The layout of the stat exits_by_reason: VMX basic exit reasons index directly,
 * SVM exit codes from SVM_EXIT_NPF on follow the lower ones, the last bucket takes
 * all that have no bucket of their own.
 */
#define EXIT_BUCKETS_SVM_LOW	0xc0
#define EXIT_BUCKET_OTHER	(EXIT_BUCKETS_SVM_LOW + 4)
#define NR_EXIT_BUCKETS		(EXIT_BUCKET_OTHER + 1)
#define NR_EXCEPTION_VECTORS	32

struct exit_counters {
	u64 exits[NR_EXIT_BUCKETS];
	u64 exceptions[NR_EXCEPTION_VECTORS];
	u64 cycles;
};

static inline int exit_bucket(u32 reason)
{
	if (host_cpu_is_amd && reason >= SVM_EXIT_NPF)
		reason += EXIT_BUCKETS_SVM_LOW - SVM_EXIT_NPF;

	return min_t(u32, reason, EXIT_BUCKET_OTHER);
}

static inline u32 exit_bucket_to_reason(int bucket)
{
	if (host_cpu_is_amd && bucket >= EXIT_BUCKETS_SVM_LOW)
		return bucket - EXIT_BUCKETS_SVM_LOW + SVM_EXIT_NPF;

	return bucket;
}

static inline const char *exit_reason_name(u32 reason)
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

/* NULL if the vector has none. */
static inline const char *exception_name(int vector)
{
	static const char * const names[NR_EXCEPTION_VECTORS] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL, "#TS",
		"#NP", "#SS", "#GP", "#PF", NULL, "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
		[28] = "#HV", "#VC", "#SX",
	};

	return names[vector];
}

static inline void read_vcpu_stat(int fd, const char *name, u32 type,
				  u32 unit, u64 *data, int nr_elements)
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
 * The host's view of one vCPU, which may be running, by its stats fd.  On SVM, where
 * each exception has an exit code, that is the count of its vector.
 */
static inline void read_exit_counters(int fd, struct exit_counters *counters)
{
	int i;

	read_vcpu_stat(fd, "exits_by_reason", KVM_STATS_TYPE_LINEAR_HIST,
		       KVM_STATS_UNIT_NONE, counters->exits, NR_EXIT_BUCKETS);
	read_vcpu_stat(fd, "exceptions_by_vector", KVM_STATS_TYPE_LINEAR_HIST,
		       KVM_STATS_UNIT_NONE, counters->exceptions, NR_EXCEPTION_VECTORS);
	read_vcpu_stat(fd, "exit_cycles", KVM_STATS_TYPE_CUMULATIVE,
		       KVM_STATS_UNIT_CYCLES, &counters->cycles, 1);

	if (!host_cpu_is_amd)
		return;

	for (i = 0; i < NR_EXCEPTION_VECTORS; i++) {
		TEST_ASSERT(!counters->exceptions[i],
			    "exceptions_by_vector counts vector %d on SVM", i);
		counters->exceptions[i] = counters->exits[SVM_EXIT_EXCP_BASE + i];
	}
}

static inline void vcpu_get_exit_counters(struct kvm_vcpu *vcpu,
					  struct exit_counters *counters)
{
	int fd = vcpu_get_stats_fd(vcpu);

	read_exit_counters(fd, counters);
	close(fd);
}

/* The guest's view of its VM: a record as the CPUID leaves return it. */
struct exit_record {
	u64 exits;
	u64 cycles;
};

static inline struct exit_record guest_exit_record(u32 leaf, u32 reason)
{
	u32 eax, ebx, ecx, edx;

	__cpuid(leaf, reason, &eax, &ebx, &ecx, &edx);

	return (struct exit_record) {
		.exits = (u64)edx << 32 | eax,
		.cycles = (u64)ebx << 32 | ecx,
	};
}

#endif /* SELFTEST_KVM_EXIT_COUNTERS_H */
