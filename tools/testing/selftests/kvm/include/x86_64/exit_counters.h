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

struct exit_counters {
	uint64_t exits[NR_EXIT_BUCKETS];
};

static inline int exit_bucket(uint32_t reason)
{
	if (host_cpu_is_amd && reason >= SVM_EXIT_NPF)
		reason += EXIT_BUCKETS_SVM_LOW - SVM_EXIT_NPF;

	return min_t(uint32_t, reason, EXIT_BUCKET_OTHER);
}

static inline uint32_t exit_bucket_to_reason(int bucket)
{
	if (host_cpu_is_amd && bucket >= EXIT_BUCKETS_SVM_LOW)
		return bucket - EXIT_BUCKETS_SVM_LOW + SVM_EXIT_NPF;

	return bucket;
}

static inline const char *exit_reason_name(uint32_t reason)
{
	static const struct {
		uint32_t reason;
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

/* The host's view of one vCPU. */
static inline void vcpu_get_exit_counters(struct kvm_vcpu *vcpu,
					  struct exit_counters *counters)
{
	struct kvm_stats_desc *descs, *desc = NULL;
	struct kvm_stats_header header;
	int i, fd;

	fd = vcpu_get_stats_fd(vcpu);
	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);

	for (i = 0; i < header.num_desc && !desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (strcmp(desc->name, "exits_by_reason"))
			desc = NULL;
	}
	TEST_ASSERT(desc, "No stat named exits_by_reason");
	TEST_ASSERT((desc->flags & KVM_STATS_TYPE_MASK) == KVM_STATS_TYPE_LINEAR_HIST &&
		    (desc->flags & KVM_STATS_UNIT_MASK) == KVM_STATS_UNIT_NONE &&
		    desc->bucket_size == 1 && desc->size == NR_EXIT_BUCKETS,
		    "exits_by_reason: flags 0x%x, bucket size %u, %u buckets, wanted a linear histogram of %u buckets of size 1",
		    desc->flags, desc->bucket_size, desc->size, NR_EXIT_BUCKETS);

	read_stat_data(fd, &header, desc, counters->exits, NR_EXIT_BUCKETS);

	free(descs);
	close(fd);
}

/* The guest's view of its VM: a record as the CPUID leaves return it. */
struct exit_record {
	uint64_t exits;
	uint64_t cycles;
};

static inline struct exit_record guest_exit_record(uint32_t leaf, uint32_t reason)
{
	uint32_t eax, ebx, ecx, edx;

	__cpuid(leaf, reason, &eax, &ebx, &ecx, &edx);

	return (struct exit_record) {
		.exits = (uint64_t)edx << 32 | eax,
		.cycles = (uint64_t)ebx << 32 | ecx,
	};
}

#endif /* SELFTEST_KVM_EXIT_COUNTERS_H */
