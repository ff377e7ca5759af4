// SPDX-License-Identifier: GPL-2.0
/*
 * Exit records: what exit counters and the timing of exits add up to for a VM.
 *
 * The counters are the vCPUs' own.  Whoever reads them sums over the VM's vCPUs
 * while these run, so a sum is a snapshot that is exact only for vCPUs that do
 * not exit meanwhile.  32-bit kernels may read a count while it is written in
 * two halves, as with all of KVM's stats.
 */
#include <linux/debugfs.h>
#include <linux/kvm_host.h>
#include <linux/seq_file.h>

#include <asm/svm.h>
#include <asm/vmx.h>

#include "exit_records.h"
#include "exit_timing.h"

static u64 sum_cycles(struct kvm_vcpu *vcpu, u32 first, u32 nr)
{
	struct kvm_exit_timing *timing = vcpu->arch.exit_timing;
	u64 cycles = 0;
	u32 i;

	if (!timing)
		return 0;

	for (i = first; i < first + nr; i++)
		cycles += READ_ONCE(timing->cycles[i]);

	return cycles;
}

struct kvm_exit_record kvm_get_exits_in_bucket(struct kvm *kvm, u32 bucket)
{
	struct kvm_exit_record record = {};
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		record.exits += READ_ONCE(vcpu->stat.exits_by_reason[bucket]);
		record.cycles += sum_cycles(vcpu, bucket, 1);

		/* The cycles of VMX's exceptions are those of the vectors. */
		if (!kvm_exit_counters_is_svm() && bucket == EXIT_REASON_EXCEPTION_NMI)
			record.cycles += sum_cycles(vcpu, KVM_NR_VMEXIT_BUCKETS,
						    KVM_NR_EXCEPTION_VECTORS);
	}

	return record;
}

struct kvm_exit_record kvm_get_exits_by_vector(struct kvm *kvm, u32 vector)
{
	struct kvm_exit_record record = {};
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (kvm_exit_counters_is_svm())
		return kvm_get_exits_in_bucket(kvm, SVM_EXIT_EXCP_BASE + vector);

	kvm_for_each_vcpu(i, vcpu, kvm) {
		record.exits += READ_ONCE(vcpu->stat.exceptions_by_vector[vector]);
		record.cycles += sum_cycles(vcpu, KVM_NR_VMEXIT_BUCKETS + vector, 1);
	}

	return record;
}

struct kvm_exit_record kvm_get_all_exits(struct kvm *kvm)
{
	struct kvm_exit_record record = {};
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u32 bucket;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		for (bucket = 0; bucket < KVM_NR_VMEXIT_BUCKETS; bucket++)
			record.exits += READ_ONCE(vcpu->stat.exits_by_reason[bucket]);

		record.cycles += sum_cycles(vcpu, 0, KVM_NR_EXIT_CYCLES);
	}

	return record;
}

struct exit_name {
	u64 reason;
	const char *name;
};

static const struct exit_name vmx_exit_names[] = { VMX_EXIT_REASONS };
static const struct exit_name svm_exit_names[] = { SVM_EXIT_REASONS };

static const char *exit_name(u32 reason)
{
	const struct exit_name *names = vmx_exit_names;
	int i, nr_names = ARRAY_SIZE(vmx_exit_names);

	if (kvm_exit_counters_is_svm()) {
		names = svm_exit_names;
		nr_names = ARRAY_SIZE(svm_exit_names);
	}

	for (i = 0; i < nr_names; i++) {
		if (names[i].reason == reason)
			return names[i].name;
	}

	return "unnamed";
}

static int kvm_exit_counters_show(struct seq_file *m, void *v)
{
	struct kvm_exit_record record;
	u32 bucket, code;

	for (bucket = 0; bucket < KVM_NR_VMEXIT_BUCKETS; bucket++) {
		record = kvm_get_exits_in_bucket(m->private, bucket);
		if (!record.exits)
			continue;

		code = bucket;
		if (kvm_exit_counters_is_svm() && bucket >= KVM_VMEXIT_BUCKETS_SVM_LOW)
			code += SVM_EXIT_NPF - KVM_VMEXIT_BUCKETS_SVM_LOW;

		if (bucket == KVM_VMEXIT_BUCKET_OTHER)
			seq_puts(m, "other\tother");
		else if (kvm_exit_counters_is_svm())
			seq_printf(m, "0x%03x\t%s", code, exit_name(code));
		else
			seq_printf(m, "%u\t%s", code, exit_name(code));

		seq_printf(m, "\t%llu\t%llu\n", record.exits, record.cycles);
	}

	return 0;
}

DEFINE_SHOW_ATTRIBUTE(kvm_exit_counters);

void kvm_create_exit_counters_debugfs(struct kvm *kvm)
{
	debugfs_create_file("exit_counters", 0444, kvm->debugfs_dentry, kvm,
			    &kvm_exit_counters_fops);
}
