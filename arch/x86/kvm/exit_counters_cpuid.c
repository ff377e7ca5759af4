// SPDX-License-Identifier: GPL-2.0
/*
 * Exit counters: the CPUID leaves that show them to the guest.
 */
#include <linux/kvm_host.h>
#include <linux/nospec.h>

#include <asm/kvm_para.h>
#include <asm/svm.h>
#include <asm/tsc.h>
#include <asm/vmx.h>

#include "cpuid.h"
#include "exit_counters.h"
#include "exit_records.h"
#include "x86.h"

#define EXIT_COUNTERS_LEAVES_MASK	0xffffff00

#define VMX_LAST_BASIC_EXIT_REASON	EXIT_REASON_MSR_WRITE_IMM
#define SVM_LAST_LOW_EXIT_CODE		SVM_EXIT_IDLE_HLT

/*
 * What is defined is what the vendor's manual assigns a meaning to, not what KVM
 * or the CPU knows.  The negative exit codes of SVM are 64 bits wide, and thus no
 * input to CPUID.
 */
static bool exit_reason_to_bucket(u32 reason, u32 *bucket)
{
	BUILD_BUG_ON(VMX_LAST_BASIC_EXIT_REASON >= KVM_VMEXIT_BUCKET_OTHER);
	BUILD_BUG_ON(SVM_LAST_LOW_EXIT_CODE >= KVM_VMEXIT_BUCKETS_SVM_LOW);
	BUILD_BUG_ON(SVM_EXIT_VMGEXIT - SVM_EXIT_NPF >= KVM_VMEXIT_BUCKETS_SVM_HIGH);

	if (kvm_exit_counters_is_svm()) {
		*bucket = kvm_svm_exit_bucket(reason);
		return reason <= SVM_LAST_LOW_EXIT_CODE ||
		       (reason >= SVM_EXIT_NPF && reason <= SVM_EXIT_VMGEXIT);
	}

	*bucket = kvm_vmx_exit_bucket(reason);
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
 * Cycles are those of the TSC: who may not read the TSC does not get them here.
 * KVM knows neither the CPL nor CR4 of a guest whose state is protected: leave it
 * to that guest's kernel, which asks the host on behalf of its processes.
 */
static bool cycles_are_hidden(struct kvm_vcpu *vcpu)
{
	return !vcpu->arch.guest_state_protected && kvm_x86_call(get_cpl)(vcpu) &&
	       kvm_is_cr4_bit_set(vcpu, X86_CR4_TSD);
}

/*
 * Answer CPUID for the exit counters' leaves.  Return false, with the registers
 * untouched, if the leaf is another one or the guest may not see the counters.
 */
bool kvm_exit_counters_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx,
			     u32 *ecx, u32 *edx)
{
	const u32 *signature = (const u32 *)KVM_EXIT_COUNTERS_SIGNATURE;
	struct kvm_exit_record record = {};
	struct kvm *kvm = vcpu->kvm;
	u32 function = *eax, index = *ecx, bucket;
	u64 mask = kvm->arch.exit_counters;

	if ((function & EXIT_COUNTERS_LEAVES_MASK) != KVM_CPUID_EXIT_COUNTERS ||
	    !(mask & KVM_X86_EXIT_COUNTERS_CPUID))
		return false;

	/* The guest chooses the index, hence array_index_nospec(). */
	switch (function) {
	case KVM_CPUID_EXIT_COUNTERS:
		*eax = KVM_CPUID_EXIT_COUNTERS_TOTAL;
		*ebx = signature[0];
		*ecx = signature[1];
		*edx = signature[2];
		return true;
	case KVM_CPUID_EXIT_COUNTERS_INFO:
		*eax = KVM_EXIT_COUNTERS_REVISION;
		*ebx = mask;
		*ecx = kvm_exit_counters_is_svm() ? KVM_EXIT_COUNTERS_ISA_SVM :
						    KVM_EXIT_COUNTERS_ISA_VMX;
		*edx = mask & KVM_X86_EXIT_COUNTERS_CYCLES ? tsc_khz : 0;
		return true;
	case KVM_CPUID_EXIT_COUNTERS_VECTOR:
		if (index >= KVM_NR_EXCEPTION_VECTORS)
			goto undefined;
		index = array_index_nospec(index, KVM_NR_EXCEPTION_VECTORS);
		record = kvm_get_exits_by_vector(kvm, index);
		break;
	case KVM_CPUID_EXIT_COUNTERS_REASON_CYCLES:
	case KVM_CPUID_EXIT_COUNTERS_REASON:
	case KVM_CPUID_EXIT_COUNTERS_REASON_TOTAL:
		if (!exit_reason_to_bucket(index, &bucket))
			goto undefined;
		bucket = array_index_nospec(bucket, KVM_NR_VMEXIT_BUCKETS);
		record = kvm_get_exits_in_bucket(kvm, bucket);
		if (function == KVM_CPUID_EXIT_COUNTERS_REASON_TOTAL)
			record.cycles = kvm_get_all_exits(kvm).cycles;
		break;
	case KVM_CPUID_EXIT_COUNTERS_TOTAL:
		record = kvm_get_all_exits(kvm);
		break;
	default:
		break;
	}

	if (cycles_are_hidden(vcpu))
		record.cycles = 0;

	*eax = lower_32_bits(record.exits);
	*ebx = upper_32_bits(record.cycles);
	*ecx = lower_32_bits(record.cycles);
	*edx = upper_32_bits(record.exits);
	return true;

undefined:
	*eax = 0;
	*ebx = 0;
	*ecx = 0;
	*edx = U32_MAX;
	return true;
}
