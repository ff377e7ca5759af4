/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ARCH_X86_KVM_EXIT_RECORDS_H
#define ARCH_X86_KVM_EXIT_RECORDS_H

#include <linux/cpufeature.h>
#include <linux/kvm_host.h>

/* What exit counters and the timing of exits add up to, for a VM or one of its vCPUs. */
struct kvm_exit_record {
	u64 exits;
	u64 cycles;
};

struct kvm_exit_record kvm_get_exits_in_bucket(struct kvm *kvm, u32 bucket);
struct kvm_exit_record kvm_get_exits_by_vector(struct kvm *kvm, u32 vector);
struct kvm_exit_record kvm_get_all_exits(struct kvm *kvm);

void kvm_vm_create_exit_counters_debugfs(struct kvm *kvm);
void kvm_vcpu_create_exit_counters_debugfs(struct kvm_vcpu *vcpu, struct dentry *dentry);

static inline bool kvm_exit_counters_is_svm(void)
{
	return cpu_feature_enabled(X86_FEATURE_SVM);
}

#endif /* ARCH_X86_KVM_EXIT_RECORDS_H */
