// SPDX-License-Identifier: GPL-2.0
/*
 * Exit counters: the CPUID leaves that show them to the guest.
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>

#include <asm/kvm_para.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "cpuid.h"
#include "exit_counters.h"
#include "exit_records.h"

#define EXIT_COUNTERS_LEAVES_MASK	0xffffff00

#define VMX_LAST_BASIC_EXIT_REASON	EXIT_REASON_MSR_WRITE_IMM
#define SVM_LAST_LOW_EXIT_CODE		SVM_EXIT_IDLE_HLT

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

/*
 * Whether AMD's APM assigns the number to an exit code, other than the negative
 * ones of failed VMRUNs, which are 64 bits wide and thus no input to CPUID.
 */
static bool svm_exit_code_is_defined(u32 code)
{
	return code <= SVM_LAST_LOW_EXIT_CODE ||
	       (code >= SVM_EXIT_NPF && code <= SVM_EXIT_VMGEXIT);
}

/* The guest chooses the reason. */
static bool get_exits_by_reason(struct kvm *kvm, u32 reason,
				struct kvm_exit_record *record)
{
	u32 bucket;

	if (kvm_exit_counters_is_svm()) {
		if (!svm_exit_code_is_defined(reason))
			return false;
		bucket = kvm_svm_exit_bucket(reason);
	} else {
		if (!vmx_exit_reason_is_defined(reason))
			return false;
		bucket = kvm_vmx_exit_bucket(reason);
	}

	bucket = array_index_nospec(bucket, KVM_NR_VMEXIT_BUCKETS);
	*record = kvm_get_exits_in_bucket(kvm, bucket);
	return true;
}

static bool get_exits_by_vector(struct kvm *kvm, u32 vector,
				struct kvm_exit_record *record)
{
	if (vector >= KVM_NR_EXCEPTION_VECTORS)
		return false;

	vector = array_index_nospec(vector, KVM_NR_EXCEPTION_VECTORS);
	*record = kvm_get_exits_by_vector(kvm, vector);
	return true;
}

/*
 * Answer CPUID for the exit counters' leaves.  Return false, with the registers
 * untouched, if the leaf is another one or the guest may not see the counters.
 */
bool kvm_exit_counters_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx,
			     u32 *ecx, u32 *edx)
{
	const u32 *signature = (const u32 *)KVM_EXIT_COUNTERS_SIGNATURE;
	u32 function = *eax, index = *ecx;
	struct kvm_exit_record record;
	struct kvm *kvm = vcpu->kvm;
	bool defined = true;

	if ((function & EXIT_COUNTERS_LEAVES_MASK) != KVM_CPUID_EXIT_COUNTERS ||
	    !(kvm->arch.exit_counters & KVM_X86_EXIT_COUNTERS_CPUID))
		return false;

	switch (function) {
	case KVM_CPUID_EXIT_COUNTERS:
		*eax = KVM_CPUID_EXIT_COUNTERS_TOTAL;
		*ebx = signature[0];
		*ecx = signature[1];
		*edx = signature[2];
		return true;
	case KVM_CPUID_EXIT_COUNTERS_INFO:
		*eax = KVM_EXIT_COUNTERS_REVISION;
		*ebx = kvm->arch.exit_counters;
		*ecx = kvm_exit_counters_is_svm() ? KVM_EXIT_COUNTERS_ISA_SVM :
						    KVM_EXIT_COUNTERS_ISA_VMX;
		*edx = 0;
		return true;
	case KVM_CPUID_EXIT_COUNTERS_VECTOR:
		defined = get_exits_by_vector(kvm, index, &record);
		break;
	case KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES:
	case KVM_CPUID_EXIT_COUNTERS_REASON:
		defined = get_exits_by_reason(kvm, index, &record);
		break;
	case KVM_CPUID_EXIT_COUNTERS_REASON_TOTAL:
		defined = get_exits_by_reason(kvm, index, &record);
		if (defined)
			record.cycles = kvm_get_all_exits(kvm).cycles;
		break;
	case KVM_CPUID_EXIT_COUNTERS_TOTAL:
		record = kvm_get_all_exits(kvm);
		break;
	default:
		record = (struct kvm_exit_record) {};
		break;
	}

	if (!defined) {
		*eax = 0;
		*ebx = 0;
		*ecx = 0;
		*edx = U32_MAX;
		return true;
	}

	*eax = lower_32_bits(record.exits);
	*ebx = upper_32_bits(record.cycles);
	*ecx = lower_32_bits(record.cycles);
	*edx = upper_32_bits(record.exits);
	return true;
}
