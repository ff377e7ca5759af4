// SPDX-License-Identifier: GPL-2.0
/*
 * Exit counters: what userspace asks for, above all that exits are timed.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/moduleparam.h>

#include "exit_timing.h"

static unsigned long long __read_mostly exit_counters;

static int set_exit_counters(const char *val, const struct kernel_param *kp)
{
	unsigned long long mask;
	int r;

	r = kstrtoull(val, 0, &mask);
	if (r)
		return r;

	if (mask & ~KVM_X86_EXIT_COUNTERS_VALID_MASK) {
		pr_err("exit_counters=%#llx has unknown bits, valid are %#llx\n",
		       mask, KVM_X86_EXIT_COUNTERS_VALID_MASK);
		return -EINVAL;
	}

	WRITE_ONCE(exit_counters, mask);
	return 0;
}

static const struct kernel_param_ops exit_counters_ops = {
	.set = set_exit_counters,
	.get = param_get_ullong,
};

module_param_cb(exit_counters, &exit_counters_ops, &exit_counters, 0644);
__MODULE_PARM_TYPE(exit_counters, "ullong");

static void get_exit_timing(u64 mask)
{
	if (mask & KVM_X86_EXIT_COUNTERS_CYCLES)
		static_branch_deferred_inc(&kvm_exit_timing);
}

static void put_exit_timing(u64 mask)
{
	if (mask & KVM_X86_EXIT_COUNTERS_CYCLES)
		static_branch_slow_dec_deferred(&kvm_exit_timing);
}

void kvm_init_exit_timing(struct kvm *kvm)
{
	kvm->arch.exit_counters = READ_ONCE(exit_counters);
	get_exit_timing(kvm->arch.exit_counters);
}

void kvm_destroy_exit_timing(struct kvm *kvm)
{
	put_exit_timing(kvm->arch.exit_counters);
}

int kvm_vm_enable_exit_counters(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	u64 mask = cap->args[0], unused;
	int r;

	if (mask & ~KVM_X86_EXIT_COUNTERS_VALID_MASK ||
	    cap->args[1] || cap->args[2] || cap->args[3])
		return -EINVAL;

	/* Patching code takes cpus_read_lock(), do so outside of kvm->lock. */
	get_exit_timing(mask);

	mutex_lock(&kvm->lock);
	if (kvm->created_vcpus) {
		r = -EINVAL;
		unused = mask;
	} else {
		r = 0;
		unused = kvm->arch.exit_counters;
		kvm->arch.exit_counters = mask;
	}
	mutex_unlock(&kvm->lock);

	put_exit_timing(unused);
	return r;
}

int kvm_vcpu_create_exit_timing(struct kvm_vcpu *vcpu)
{
	vcpu->arch.exit_tsc = U64_MAX;

	if (!(vcpu->kvm->arch.exit_counters & KVM_X86_EXIT_COUNTERS_CYCLES))
		return 0;

	vcpu->arch.exit_cycles = kcalloc(KVM_NR_VMEXIT_BUCKETS + KVM_NR_EXCEPTION_VECTORS,
					 sizeof(*vcpu->arch.exit_cycles),
					 GFP_KERNEL_ACCOUNT);
	return vcpu->arch.exit_cycles ? 0 : -ENOMEM;
}

void kvm_vcpu_destroy_exit_timing(struct kvm_vcpu *vcpu)
{
	kfree(vcpu->arch.exit_cycles);
}
