// SPDX-License-Identifier: GPL-2.0
/*
 * Exit counters: what userspace asks for, above all that exits are timed.
 */
#include <linux/kvm_host.h>

#include "exit_timing.h"

/* On while a VM exists that times its exits, and for a while after the last. */
DEFINE_STATIC_KEY_DEFERRED_FALSE(kvm_time_exits, HZ);
/* For the run loops of the vendor modules. */
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_time_exits);

void kvm_vm_set_exit_counters(struct kvm *kvm, u64 mask)
{
	/* Get before put, lest a mask that does not change patches code twice. */
	if (mask & KVM_X86_EXIT_COUNTERS_CYCLES)
		static_branch_deferred_inc(&kvm_time_exits);
	if (kvm->arch.exit_counters & KVM_X86_EXIT_COUNTERS_CYCLES)
		static_branch_slow_dec_deferred(&kvm_time_exits);

	kvm->arch.exit_counters = mask;
}

int kvm_vm_enable_exit_counters(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	if (cap->args[0] & ~KVM_X86_EXIT_COUNTERS_VALID_MASK ||
	    cap->args[1] || cap->args[2] || cap->args[3])
		return -EINVAL;

	guard(mutex)(&kvm->lock);

	if (kvm->created_vcpus)
		return -EINVAL;

	kvm_vm_set_exit_counters(kvm, cap->args[0]);
	return 0;
}

int kvm_vcpu_create_exit_timing(struct kvm_vcpu *vcpu)
{
	struct kvm_exit_timing *timing;

	if (!(vcpu->kvm->arch.exit_counters & KVM_X86_EXIT_COUNTERS_CYCLES))
		return 0;

	timing = kzalloc_obj(*timing, GFP_KERNEL_ACCOUNT);
	if (!timing)
		return -ENOMEM;

	timing->tsc = U64_MAX;
	vcpu->arch.exit_timing = timing;
	return 0;
}

void kvm_vcpu_destroy_exit_timing(struct kvm_vcpu *vcpu)
{
	kfree(vcpu->arch.exit_timing);
}
