/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ARCH_X86_KVM_EXIT_TIMING_H
#define ARCH_X86_KVM_EXIT_TIMING_H

#include <linux/jump_label_ratelimit.h>
#include <linux/kvm_host.h>
#include <linux/overflow.h>

#include <asm/msr.h>

#include "exit_counters.h"

#ifdef CONFIG_KVM_EXIT_COUNTERS
/* By bucket, then by vector, as all of VMX's exceptions share a bucket. */
#define KVM_NR_EXIT_CYCLES	(KVM_NR_VMEXIT_BUCKETS + KVM_NR_EXCEPTION_VECTORS)

struct kvm_exit_timing {
	/* TSC at the last VM-Exit, U64_MAX if there is none to charge. */
	u64 tsc;
	unsigned long index;
	u64 cycles[KVM_NR_EXIT_CYCLES];
};

extern struct static_key_false_deferred kvm_time_exits;

void kvm_vm_set_exit_counters(struct kvm *kvm, u64 mask);
int kvm_vm_enable_exit_counters(struct kvm *kvm, struct kvm_enable_cap *cap);
int kvm_vcpu_create_exit_timing(struct kvm_vcpu *vcpu);
void kvm_vcpu_destroy_exit_timing(struct kvm_vcpu *vcpu);

/* NULL if this VM did not ask for its exits to be timed. */
static __always_inline struct kvm_exit_timing *kvm_exit_timing(struct kvm_vcpu *vcpu)
{
	return static_branch_unlikely(&kvm_time_exits.key) ? vcpu->arch.exit_timing : NULL;
}

/* Take the time of the VM-Exit that was just counted. */
static __always_inline void kvm_time_exit(struct kvm_vcpu *vcpu, unsigned long bucket)
{
	struct kvm_exit_timing *timing = kvm_exit_timing(vcpu);

	if (timing) {
		timing->tsc = rdtsc();
		timing->index = bucket;
	}
}

/* Charge the vector instead of the exit reason that all exceptions have. */
static __always_inline void kvm_time_vmx_exception(struct kvm_vcpu *vcpu, unsigned long vector)
{
	struct kvm_exit_timing *timing = kvm_exit_timing(vcpu);

	if (timing)
		timing->index = KVM_NR_VMEXIT_BUCKETS + vector % KVM_NR_EXCEPTION_VECTORS;
}

/*
 * Charge the cycles since the last VM-Exit to it, once the kvm_entry tracepoint
 * has fired.  A TSC that went backwards, e.g. because the vCPU migrated to a CPU
 * whose TSC is behind, adds nothing.  Neither does an entry that follows one that
 * was charged, but failed without an exit.
 */
static __always_inline void kvm_charge_exit(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_timing *timing = kvm_exit_timing(vcpu);
	u64 delta;

	if (!timing)
		return;

	if (!check_sub_overflow(rdtsc(), timing->tsc, &delta)) {
		timing->cycles[timing->index] += delta;
		vcpu->stat.exit_cycles += delta;
	}
	timing->tsc = U64_MAX;
}
#else
static inline void kvm_vm_set_exit_counters(struct kvm *kvm, u64 mask) {}
static inline int kvm_vcpu_create_exit_timing(struct kvm_vcpu *vcpu) { return 0; }
static inline void kvm_vcpu_destroy_exit_timing(struct kvm_vcpu *vcpu) {}
static inline void kvm_time_exit(struct kvm_vcpu *vcpu, unsigned long bucket) {}
static inline void kvm_time_vmx_exception(struct kvm_vcpu *vcpu, unsigned long vector) {}
static inline void kvm_charge_exit(struct kvm_vcpu *vcpu) {}
#endif

#endif /* ARCH_X86_KVM_EXIT_TIMING_H */
