// SPDX-License-Identifier: GPL-2.0
/*
 * Exit counters: what userspace asks for, above all that exits are timed.
 */
#include <linux/kvm_host.h>

#include "exit_timing.h"

void kvm_get_exit_timing(u64 mask)
{
	if (mask & KVM_X86_EXIT_COUNTERS_CYCLES)
		static_branch_deferred_inc(&kvm_time_exits);
}

static void put_exit_timing(u64 mask)
{
	if (mask & KVM_X86_EXIT_COUNTERS_CYCLES)
		static_branch_slow_dec_deferred(&kvm_time_exits);
}

int kvm_vm_enable_exit_counters(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	u64 mask = cap->args[0];
	int r = -EINVAL;

	if (mask & ~KVM_X86_EXIT_COUNTERS_VALID_MASK ||
	    cap->args[1] || cap->args[2] || cap->args[3])
		return -EINVAL;

	/* Patching code takes cpus_read_lock(), do so outside of kvm->lock. */
	kvm_get_exit_timing(mask);

	mutex_lock(&kvm->lock);
	if (!kvm->created_vcpus) {
		swap(kvm->arch.exit_counters, mask);
		r = 0;
	}
	mutex_unlock(&kvm->lock);

	/* The mask that is not in force, be it the old one or the one refused. */
	put_exit_timing(mask);
	return r;
}

void kvm_vm_destroy_exit_timing(struct kvm *kvm)
{
	put_exit_timing(kvm->arch.exit_counters);
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
