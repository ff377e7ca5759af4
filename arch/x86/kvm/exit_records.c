// SPDX-License-Identifier: GPL-2.0
/*
 * Exit records: what exit counters and the timing of exits add up to.
 *
 * The counters are the vCPUs' own.  Who reads those of a VM sums over its vCPUs
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

static u64 get_cycles_at(struct kvm_vcpu *vcpu, u32 index)
{
	struct kvm_exit_timing *timing = vcpu->arch.exit_timing;

	return timing ? READ_ONCE(timing->cycles[index]) : 0;
}

static void add_exits_in_bucket(struct kvm_exit_record *record,
				struct kvm_vcpu *vcpu, u32 bucket)
{
	u32 vector;

	record->exits += READ_ONCE(vcpu->stat.exits_by_reason[bucket]);
	record->cycles += get_cycles_at(vcpu, bucket);

	if (kvm_exit_counters_is_svm() || bucket != EXIT_REASON_EXCEPTION_NMI)
		return;

	/* The cycles of VMX's exceptions are those of the vectors. */
	for (vector = 0; vector < KVM_NR_EXCEPTION_VECTORS; vector++)
		record->cycles += get_cycles_at(vcpu, KVM_NR_VMEXIT_BUCKETS + vector);
}

struct kvm_exit_record kvm_get_exits_in_bucket(struct kvm *kvm, u32 bucket)
{
	struct kvm_exit_record record = {};
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		add_exits_in_bucket(&record, vcpu, bucket);

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
		record.cycles += get_cycles_at(vcpu, KVM_NR_VMEXIT_BUCKETS + vector);
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
			add_exits_in_bucket(&record, vcpu, bucket);
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

static void show_exits(struct seq_file *m, u32 bucket, struct kvm_exit_record record)
{
	u32 code = bucket;

	if (!record.exits)
		return;

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

static int vm_exit_counters_show(struct seq_file *m, void *v)
{
	u32 bucket;

	for (bucket = 0; bucket < KVM_NR_VMEXIT_BUCKETS; bucket++)
		show_exits(m, bucket, kvm_get_exits_in_bucket(m->private, bucket));

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vm_exit_counters);

static int vcpu_exit_counters_show(struct seq_file *m, void *v)
{
	u32 bucket;

	for (bucket = 0; bucket < KVM_NR_VMEXIT_BUCKETS; bucket++) {
		struct kvm_exit_record record = {};

		add_exits_in_bucket(&record, m->private, bucket);
		show_exits(m, bucket, record);
	}

	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vcpu_exit_counters);

void kvm_vm_create_exit_counters_debugfs(struct kvm *kvm)
{
	debugfs_create_file("exit_counters", 0444, kvm->debugfs_dentry, kvm,
			    &vm_exit_counters_fops);
}

void kvm_vcpu_create_exit_counters_debugfs(struct kvm_vcpu *vcpu, struct dentry *dentry)
{
	debugfs_create_file("exit_counters", 0444, dentry, vcpu,
			    &vcpu_exit_counters_fops);
}
