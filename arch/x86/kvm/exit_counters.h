/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ARCH_X86_KVM_EXIT_COUNTERS_H
#define ARCH_X86_KVM_EXIT_COUNTERS_H

#include <linux/kvm_host.h>

#include <asm/svm.h>

#define KVM_X86_EXIT_COUNTERS_VALID_MASK	KVM_X86_EXIT_COUNTERS_CPUID

void kvm_init_exit_counters(struct kvm *kvm);
int kvm_vm_enable_exit_counters(struct kvm *kvm, struct kvm_enable_cap *cap);
bool kvm_exit_counters_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx,
			     u32 *ecx, u32 *edx);

static __always_inline u32 kvm_vmx_exit_bucket(u16 basic_exit_reason)
{
	return min_t(u32, basic_exit_reason, KVM_EXIT_BUCKET_OTHER);
}

static __always_inline u32 kvm_svm_exit_bucket(u32 exit_code)
{
	if (likely(exit_code < KVM_EXIT_BUCKETS_SVM_LOW))
		return exit_code;

	exit_code -= SVM_EXIT_NPF;
	if (exit_code < KVM_EXIT_BUCKETS_SVM_HIGH)
		return KVM_EXIT_BUCKETS_SVM_LOW + exit_code;

	return KVM_EXIT_BUCKET_OTHER;
}

/*
 * Call this where the kvm_exit tracepoint fires, i.e. before fastpath handlers
 * can re-enter the guest, so that no VM-Exit goes uncounted.  Only the thread
 * that runs the vCPU writes its counters, hence neither atomics nor locks.
 */
static __always_inline void kvm_count_exit(struct kvm_vcpu *vcpu, u32 bucket)
{
	++vcpu->stat.exits_by_reason[bucket];
	++vcpu->arch.nr_exits;
}

#endif /* ARCH_X86_KVM_EXIT_COUNTERS_H */
