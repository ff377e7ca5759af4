/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ARCH_X86_KVM_EXIT_COUNTERS_H
#define ARCH_X86_KVM_EXIT_COUNTERS_H

#include <linux/kvm_host.h>
#include <linux/minmax.h>

#include <asm/svm.h>

static __always_inline unsigned long kvm_vmx_exit_bucket(unsigned long basic_exit_reason)
{
	return min(basic_exit_reason, KVM_VMEXIT_BUCKET_OTHER);
}

static __always_inline unsigned long kvm_svm_exit_bucket(u64 exit_code)
{
	if (exit_code < KVM_VMEXIT_BUCKETS_SVM_LOW)
		return exit_code;

	if (exit_code - SVM_EXIT_NPF < KVM_VMEXIT_BUCKETS_SVM_HIGH)
		return KVM_VMEXIT_BUCKETS_SVM_LOW + exit_code - SVM_EXIT_NPF;

	return KVM_VMEXIT_BUCKET_OTHER;
}

#ifdef CONFIG_KVM_EXIT_COUNTERS
/*
 * Count a VM-Exit, where the kvm_exit tracepoint fires, i.e. before fastpath
 * handlers can re-enter the guest.  Only the thread that runs the vCPU writes
 * its counters, hence neither atomics nor locks.
 */
static __always_inline void kvm_count_exit(struct kvm_vcpu *vcpu, unsigned long bucket)
{
	++vcpu->stat.exits_by_reason[bucket];
}

/*
 * Count an exception that kvm_count_exit() just counted by its vector, too.  All
 * exceptions have the same VMX exit reason.  Hardware reports no vectors above 31
 * here, do not depend on it.
 */
static __always_inline void kvm_count_vmx_exception(struct kvm_vcpu *vcpu, unsigned long vector)
{
	++vcpu->stat.exceptions_by_vector[vector % KVM_NR_EXCEPTION_VECTORS];
}
#else
static inline void kvm_count_exit(struct kvm_vcpu *vcpu, unsigned long bucket) {}
static inline void kvm_count_vmx_exception(struct kvm_vcpu *vcpu, unsigned long vector) {}
#endif

#endif /* ARCH_X86_KVM_EXIT_COUNTERS_H */
