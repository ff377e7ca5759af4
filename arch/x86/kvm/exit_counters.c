// SPDX-License-Identifier: GPL-2.0
/*
 * Exit counters: which VMs show them to the guest, and the CPUID leaves that do.
 *
 * The counters are the vCPUs' own.  Whoever reads them sums over the VM's vCPUs
 * while these run, so a sum is a snapshot that is exact only for vCPUs that do
 * not exit meanwhile.  No sum ever decreases.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>

#include <asm/cpufeature.h>
#include <asm/kvm_para.h>
#include <asm/vmx.h>

#include "exit_counters.h"

#define EXIT_COUNTERS_LEAVES_MASK	0xffffff00
#define EXIT_COUNTERS_REVISION		1
#define EXIT_COUNTERS_ISA_VMX		1
#define EXIT_COUNTERS_ISA_SVM		2

/* Immediate WRMSRNS and idle HLT, which this kernel may not know by name. */
#define VMX_LAST_BASIC_EXIT_REASON	85
#define SVM_LAST_LOW_EXIT_CODE		0xa6

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

void kvm_init_exit_counters(struct kvm *kvm)
{
	kvm->arch.exit_counters = READ_ONCE(exit_counters);
}

int kvm_vm_enable_exit_counters(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	int r = -EINVAL;

	if (cap->args[0] & ~KVM_X86_EXIT_COUNTERS_VALID_MASK ||
	    cap->args[1] || cap->args[2] || cap->args[3])
		return r;

	mutex_lock(&kvm->lock);
	if (!kvm->created_vcpus) {
		kvm->arch.exit_counters = cap->args[0];
		r = 0;
	}
	mutex_unlock(&kvm->lock);

	return r;
}

static bool is_svm(void)
{
	return cpu_feature_enabled(X86_FEATURE_SVM);
}

/* Whether Intel's SDM assigns the number to a basic exit reason. */
static bool vmx_exit_reason_is_defined(u32 reason)
{
	switch (reason) {
	case 35:
	case 38:
	case 42:
	case 71:
	case 82 ... 83:
		return false;
	default:
		return reason <= VMX_LAST_BASIC_EXIT_REASON;
	}
}

/* Whether AMD's APM assigns the number to an exit code. */
static bool svm_exit_code_is_defined(u32 code)
{
	return code <= SVM_LAST_LOW_EXIT_CODE ||
	       (code >= SVM_EXIT_NPF && code <= SVM_EXIT_VMGEXIT);
}

static bool exit_reason_is_defined(u32 reason)
{
	return is_svm() ? svm_exit_code_is_defined(reason) :
			  vmx_exit_reason_is_defined(reason);
}

static u32 exit_bucket(u32 reason)
{
	u32 bucket = is_svm() ? kvm_svm_exit_bucket(reason) :
				kvm_vmx_exit_bucket(reason);

	/* The guest chooses the reason. */
	return array_index_nospec(bucket, KVM_NR_EXIT_BUCKETS);
}

static u64 sum_exits_of_reason(struct kvm *kvm, u32 reason)
{
	u32 bucket = exit_bucket(reason);
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 sum = 0;

	kvm_for_each_vcpu(i, vcpu, kvm)
		sum += READ_ONCE(vcpu->stat.exits_by_reason[bucket]);

	return sum;
}

static u64 sum_exits(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 sum = 0;

	kvm_for_each_vcpu(i, vcpu, kvm)
		sum += READ_ONCE(vcpu->arch.nr_exits);

	return sum;
}

/*
 * Answer CPUID for the exit counters' leaves.  Returns false, with the registers
 * untouched, if the leaf is another one or if the guest may not see the counters.
 */
bool kvm_exit_counters_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx,
			     u32 *ecx, u32 *edx)
{
	const u32 *signature = (const u32 *)KVM_EXIT_COUNTERS_SIGNATURE;
	u32 function = *eax, index = *ecx;
	struct kvm *kvm = vcpu->kvm;
	u64 exits;

	if ((function & EXIT_COUNTERS_LEAVES_MASK) != KVM_CPUID_EXIT_COUNTERS ||
	    !(kvm->arch.exit_counters & KVM_X86_EXIT_COUNTERS_CPUID))
		return false;

	*eax = *ebx = *ecx = *edx = 0;

	switch (function) {
	case KVM_CPUID_EXIT_COUNTERS:
		*eax = KVM_CPUID_EXIT_COUNTERS_TOTAL;
		*ebx = signature[0];
		*ecx = signature[1];
		*edx = signature[2];
		break;
	case KVM_CPUID_EXIT_COUNTERS_INFO:
		*eax = EXIT_COUNTERS_REVISION;
		*ebx = kvm->arch.exit_counters;
		*ecx = is_svm() ? EXIT_COUNTERS_ISA_SVM : EXIT_COUNTERS_ISA_VMX;
		break;
	case KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES:
	case KVM_CPUID_EXIT_COUNTERS_REASON:
	case KVM_CPUID_EXIT_COUNTERS_REASON_TOTAL:
		if (!exit_reason_is_defined(index)) {
			*edx = U32_MAX;
			break;
		}
		exits = sum_exits_of_reason(kvm, index);
		*eax = lower_32_bits(exits);
		*edx = upper_32_bits(exits);
		break;
	case KVM_CPUID_EXIT_COUNTERS_TOTAL:
		exits = sum_exits(kvm);
		*eax = lower_32_bits(exits);
		*edx = upper_32_bits(exits);
		break;
	default:
		break;
	}

	return true;
}
