/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ARCH_X86_KVM_EXIT_COUNTERS_H
#define ARCH_X86_KVM_EXIT_COUNTERS_H

#include <linux/compiler.h>
#include <linux/kvm_host.h>

#include <asm/svm.h>

static __always_inline unsigned long kvm_vmx_exit_bucket(unsigned long basic_exit_reason)
{
	if (unlikely(basic_exit_reason > KVM_VMEXIT_BUCKET_OTHER)) {
		/* Keep this a branch, a conditional move costs every exit more. */
		barrier();
		return KVM_VMEXIT_BUCKET_OTHER;
	}

	return basic_exit_reason;
}

static __always_inline unsigned long kvm_svm_exit_bucket(u64 exit_code)
{
	if (exit_code - SVM_EXIT_NPF < KVM_VMEXIT_BUCKETS_SVM_HIGH)
		return KVM_VMEXIT_BUCKETS_SVM_LOW + exit_code - SVM_EXIT_NPF;

	if (exit_code < KVM_VMEXIT_BUCKETS_SVM_LOW)
		return exit_code;

	return KVM_VMEXIT_BUCKET_OTHER;
}

static __always_inline void kvm_exit_counter_add(u64 *counter, u64 n)
{
	/* Readers on other CPUs tolerate a stale value, and on 32-bit kernels a torn one. */
	data_race(*counter += n);
}

/*
 * Count a VM-Exit, where the kvm_exit tracepoint fires, i.e. before fastpath
 * handlers can re-enter the guest, and return its bucket.  Only the thread that
 * runs the vCPU writes its counters, hence neither atomics nor locks.
 */
static __always_inline unsigned long kvm_count_exit(struct kvm_vcpu *vcpu,
						    unsigned long bucket)
{
	kvm_exit_counter_add(&vcpu->stat.exits_by_reason[bucket], 1);
	kvm_exit_counter_add(&vcpu->arch.nr_exits, 1);
	return bucket;
}

static __always_inline unsigned long kvm_count_vmx_exit(struct kvm_vcpu *vcpu,
							u16 basic_exit_reason)
{
	return kvm_count_exit(vcpu, kvm_vmx_exit_bucket(basic_exit_reason));
}

/*
 * Count the exit that kvm_count_vmx_exit() just counted by its exception
 * vector, too.  All exceptions have the same VMX exit reason.
 */
static __always_inline void kvm_count_vmx_exception(struct kvm_vcpu *vcpu, u32 vector)
{
	/* Hardware reports no other vectors here, do not depend on it. */
	vector %= KVM_NR_EXCEPTION_VECTORS;
	kvm_exit_counter_add(&vcpu->stat.exceptions_by_vector[vector], 1);
}

/*
 * Exceptions have an exit code each.  Check for that only where exit codes need
 * more than one comparison anyway.
 */
static __always_inline unsigned long kvm_count_svm_exit(struct kvm_vcpu *vcpu,
							u64 exit_code)
{
	u64 *exceptions = vcpu->stat.exceptions_by_vector;
	unsigned long bucket = exit_code;

	if (exit_code < SVM_EXIT_INTR || exit_code >= KVM_VMEXIT_BUCKETS_SVM_LOW) {
		bucket = kvm_svm_exit_bucket(exit_code);
		if (bucket - SVM_EXIT_EXCP_BASE < KVM_NR_EXCEPTION_VECTORS)
			kvm_exit_counter_add(&exceptions[bucket - SVM_EXIT_EXCP_BASE], 1);
	}

	return kvm_count_exit(vcpu, bucket);
}

#endif /* ARCH_X86_KVM_EXIT_COUNTERS_H */
