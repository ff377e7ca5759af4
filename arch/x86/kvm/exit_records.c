// SPDX-License-Identifier: GPL-2.0
/*
 * Exit records: what exit counters and the timing of exits add up to for a VM.
 *
 * The counters are the vCPUs' own.  Whoever reads them sums over the VM's vCPUs
 * while these run, so a sum is a snapshot that is exact only for vCPUs that do
 * not exit meanwhile.  32-bit kernels may read a count while it is written in
 * two halves, as with all of KVM's stats.
 */
#include <linux/fs.h>
#include <linux/kvm_host.h>
#include <linux/llist.h>
#include <linux/seq_file.h>

#include <asm/svm.h>
#include <asm/vmx.h>

#include "exit_records.h"

/*
 * Not kvm_for_each_vcpu(), which looks each vCPU up in an xarray: a guest that
 * may read its records does so with CPUID, i.e. as often as it likes.
 */
#define for_each_vcpu_with_records(vcpu, kvm)				\
	llist_for_each_entry(vcpu, READ_ONCE((kvm)->arch.exit_records.first), \
			     arch.exit_records_node)

/*
 * Once the vCPU cannot fail to be created anymore, as it stays on the list until
 * the VM is destroyed.  A vCPU that userspace runs before, by guessing its file
 * descriptor, is not seen until then.
 */
void kvm_add_exit_records(struct kvm_vcpu *vcpu)
{
	llist_add(&vcpu->arch.exit_records_node, &vcpu->kvm->arch.exit_records);
}

static u64 read_cycles(struct kvm_vcpu *vcpu, u32 index)
{
	return vcpu->arch.exit_cycles ? READ_ONCE(vcpu->arch.exit_cycles[index]) : 0;
}

static u64 read_vmx_exception_cycles(struct kvm_vcpu *vcpu)
{
	u64 cycles = 0;
	int i;

	if (!vcpu->arch.exit_cycles)
		return 0;

	for (i = 0; i < KVM_NR_EXCEPTION_VECTORS; i++)
		cycles += READ_ONCE(vcpu->arch.exit_cycles[KVM_NR_VMEXIT_BUCKETS + i]);

	return cycles;
}

struct kvm_exit_record kvm_get_exits_in_bucket(struct kvm *kvm, u32 bucket)
{
	bool is_vmx_exception = !kvm_exit_counters_is_svm() &&
				bucket == EXIT_REASON_EXCEPTION_NMI;
	struct kvm_exit_record record = {};
	struct kvm_vcpu *vcpu;

	for_each_vcpu_with_records(vcpu, kvm) {
		record.exits += READ_ONCE(vcpu->stat.exits_by_reason[bucket]);
		record.cycles += read_cycles(vcpu, bucket);
		if (is_vmx_exception)
			record.cycles += read_vmx_exception_cycles(vcpu);
	}

	return record;
}

struct kvm_exit_record kvm_get_exits_by_vector(struct kvm *kvm, u32 vector)
{
	u32 index = vector + (kvm_exit_counters_is_svm() ? SVM_EXIT_EXCP_BASE :
							   KVM_NR_VMEXIT_BUCKETS);
	struct kvm_exit_record record = {};
	struct kvm_vcpu *vcpu;

	for_each_vcpu_with_records(vcpu, kvm) {
		record.exits += READ_ONCE(vcpu->stat.exceptions_by_vector[vector]);
		record.cycles += read_cycles(vcpu, index);
	}

	return record;
}

struct kvm_exit_record kvm_get_all_exits(struct kvm *kvm)
{
	struct kvm_exit_record record = {};
	struct kvm_vcpu *vcpu;

	for_each_vcpu_with_records(vcpu, kvm) {
		record.exits += READ_ONCE(vcpu->arch.nr_exits);
		record.cycles += READ_ONCE(vcpu->stat.exit_cycles);
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

static int exit_counters_show(struct seq_file *m, void *v)
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

static int exit_counters_open(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;

	r = single_open(file, exit_counters_show, kvm);
	if (r < 0)
		kvm_put_kvm(kvm);

	return r;
}

static int exit_counters_release(struct inode *inode, struct file *file)
{
	kvm_put_kvm(inode->i_private);

	return single_release(inode, file);
}

const struct file_operations kvm_exit_counters_fops = {
	.owner		= THIS_MODULE,
	.open		= exit_counters_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= exit_counters_release,
};
