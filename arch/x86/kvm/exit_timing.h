/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ARCH_X86_KVM_EXIT_TIMING_H
#define ARCH_X86_KVM_EXIT_TIMING_H

#include <linux/jump_label_ratelimit.h>
#include <linux/kvm_host.h>
#include <linux/overflow.h>

#include <asm/msr.h>

#include "exit_counters.h"

extern struct static_key_false_deferred kvm_exit_timing;

void kvm_init_exit_timing(struct kvm *kvm);
void kvm_destroy_exit_timing(struct kvm *kvm);
int kvm_vcpu_create_exit_timing(struct kvm_vcpu *vcpu);
void kvm_vcpu_destroy_exit_timing(struct kvm_vcpu *vcpu);

int kvm_vm_enable_exit_counters(struct kvm *kvm, struct kvm_enable_cap *cap);

/*
 * Take the time of the VM-Exit that was just counted.  Do so even if this VM did
 * not ask for it, as kvm_charge_exit() has to look anyway.
 */
static __always_inline void kvm_time_exit(struct kvm_vcpu *vcpu, unsigned long bucket)
{
	if (static_branch_unlikely(&kvm_exit_timing.key)) {
		vcpu->arch.exit_tsc = rdtsc();
		vcpu->arch.exit_cycles_index = bucket;
	}
}

/* Charge the vector instead of the exit reason that all exceptions have. */
static __always_inline void kvm_time_vmx_exception(struct kvm_vcpu *vcpu, u32 vector)
{
	if (static_branch_unlikely(&kvm_exit_timing.key))
		vcpu->arch.exit_cycles_index = KVM_NR_VMEXIT_BUCKETS +
					       vector % KVM_NR_EXCEPTION_VECTORS;
}

/*
 * Charge the cycles since the last VM-Exit to it, once the kvm_entry tracepoint
 * has fired.  A TSC that went backwards, e.g. because the vCPU migrated to a CPU
 * whose TSC is behind, adds nothing.  Neither does an entry that follows one that
 * was charged, but failed without an exit.
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

#endif /* ARCH_X86_KVM_EXIT_TIMING_H */
