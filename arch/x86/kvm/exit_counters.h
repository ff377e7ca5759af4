/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ARCH_X86_KVM_EXIT_COUNTERS_H
#define ARCH_X86_KVM_EXIT_COUNTERS_H

#include <linux/compiler.h>
#include <linux/jump_label_ratelimit.h>
#include <linux/kvm_host.h>
#include <linux/overflow.h>

#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/svm.h>
#include <asm/trapnr.h>

extern struct static_key_false_deferred kvm_exit_timing;

extern const struct file_operations kvm_exit_counters_fops;

struct kvm_exit_record {
	u64 exits;
	u64 cycles;
};

void kvm_init_exit_counters(struct kvm *kvm);
void kvm_destroy_exit_counters(struct kvm *kvm);
int kvm_vcpu_create_exit_counters(struct kvm_vcpu *vcpu);
void kvm_vcpu_destroy_exit_counters(struct kvm_vcpu *vcpu);

int kvm_vm_enable_exit_counters(struct kvm *kvm, struct kvm_enable_cap *cap);

struct kvm_exit_record kvm_get_exits_in_bucket(struct kvm *kvm, u32 bucket);
struct kvm_exit_record kvm_get_exits_by_vector(struct kvm *kvm, u32 vector);
struct kvm_exit_record kvm_get_all_exits(struct kvm *kvm);

static inline bool kvm_exit_counters_is_svm(void)
{
	return cpu_feature_enabled(X86_FEATURE_SVM);
}

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
	if (exit_code < KVM_VMEXIT_BUCKETS_SVM_LOW)
		return exit_code;

	exit_code -= SVM_EXIT_NPF;
	if (exit_code < KVM_VMEXIT_BUCKETS_SVM_HIGH)
		return KVM_VMEXIT_BUCKETS_SVM_LOW + exit_code;

	return KVM_VMEXIT_BUCKET_OTHER;
}

static __always_inline void kvm_exit_counter_add(u64 *counter, u64 n)
{
	/* Whoever reads this on another CPU gets the old value or the new one. */
	data_race(*counter += n);
}

/*
 * Count a VM-Exit, where the kvm_exit tracepoint fires, i.e. before fastpath
 * handlers can re-enter the guest.  Only the thread that runs the vCPU writes its
 * counters, hence neither atomics nor locks.  Take the time even if this VM did
 * not ask for it, as kvm_charge_exit() has to look anyway.
 */
static __always_inline void kvm_count_exit(struct kvm_vcpu *vcpu, unsigned long bucket)
{
	kvm_exit_counter_add(&vcpu->stat.exits_by_reason[bucket], 1);
	kvm_exit_counter_add(&vcpu->arch.nr_exits, 1);
	vcpu->arch.exit_cycles_index = bucket;

	if (static_branch_unlikely(&kvm_exit_timing.key))
		vcpu->arch.exit_tsc = rdtsc();
}

/*
 * Count the exit that kvm_count_exit() just counted by its exception vector, too.
 * All exceptions have the same VMX exit reason, so charge the vector instead.
 */
static __always_inline void kvm_count_vmx_exception(struct kvm_vcpu *vcpu, u32 vector)
{
	/* Hardware reports no other vectors here, do not depend on it. */
	vector %= KVM_NR_EXCEPTION_VECTORS;
	kvm_exit_counter_add(&vcpu->stat.exceptions_by_vector[vector], 1);
	vcpu->arch.exit_cycles_index = KVM_NR_VMEXIT_BUCKETS + vector;
}

/*
 * Exceptions have an exit code each.  Most other exits, e.g. of instructions, need
 * but one comparison to get here.
 */
static __always_inline void kvm_count_svm_exit(struct kvm_vcpu *vcpu, u64 exit_code)
{
	u64 *exceptions = vcpu->stat.exceptions_by_vector;
	unsigned long bucket = exit_code;

	if (exit_code < SVM_EXIT_INTR || exit_code >= KVM_VMEXIT_BUCKETS_SVM_LOW) {
		bucket = kvm_svm_exit_bucket(exit_code);
		if (exit_code - SVM_EXIT_EXCP_BASE < KVM_NR_EXCEPTION_VECTORS)
			kvm_exit_counter_add(&exceptions[exit_code - SVM_EXIT_EXCP_BASE], 1);
	}

	kvm_count_exit(vcpu, bucket);
}

/*
 * Charge the cycles since the last VM-Exit to it, where the kvm_entry tracepoint
 * fires.  A TSC that went backwards, e.g. because the vCPU migrated to a CPU whose
 * TSC is behind, adds nothing.  Neither does an entry that follows a failed one.
 */
static __always_inline void kvm_charge_exit(struct kvm_vcpu *vcpu)
{
	u64 *cycles, delta;

	if (!static_branch_unlikely(&kvm_exit_timing.key))
		return;

	cycles = vcpu->arch.exit_cycles;
	if (!cycles)
		return;

	if (!check_sub_overflow(rdtsc(), vcpu->arch.exit_tsc, &delta)) {
		kvm_exit_counter_add(&cycles[vcpu->arch.exit_cycles_index], delta);
		kvm_exit_counter_add(&vcpu->stat.exit_cycles, delta);
	}
	vcpu->arch.exit_tsc = U64_MAX;
}

#endif /* ARCH_X86_KVM_EXIT_COUNTERS_H */
