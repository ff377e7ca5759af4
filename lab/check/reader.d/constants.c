// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compare what kvm_exits has of its own with the headers of a kernel.  It may know
 * names of later kernels.
 */
#include <linux/types.h>
#include <string.h>

#include <asm/kvm.h>
#include <asm/kvm_para.h>
#include <asm/svm.h>
#include <asm/vmx.h>

#include "kvm_exits.h"

static const struct { u64 code; const char *name; } vmx[] = { VMX_EXIT_REASONS },
						     svm[] = { SVM_EXIT_REASONS };
static int status;

static void differ(const char *what, const char *kernel, const char *own)
{
	printf("%s: %s in the kernel, here %s\n", what, kernel, own);
	status = 1;
}

static void compare(const char *what, u64 kernel, u64 own)
{
	char a[32], b[32];

	snprintf(a, sizeof(a), "0x%llx", kernel);
	snprintf(b, sizeof(b), "0x%llx", own);
	if (kernel != own)
		differ(what, a, b);
}

static void compare_name(bool is_svm, u64 code, const char *name)
{
	struct table t = { .is_svm = is_svm };
	int row;

	for (row = 0; row < nr_reasons(&t); row++) {
		if (row_to_reason(&t, row) == code && strcmp(row_name(&t, row), name))
			differ(row_code(&t, row), name, row_name(&t, row));
	}
}

int main(void)
{
	size_t i;

	compare("signature", KVM_CPUID_EXIT_COUNTERS, LEAF_SIGNATURE);
	compare("info", KVM_CPUID_EXIT_COUNTERS_INFO, LEAF_INFO);
	compare("vector", KVM_CPUID_EXIT_COUNTERS_VECTOR, LEAF_VECTOR);
	compare("reason", KVM_CPUID_EXIT_COUNTERS_REASON, LEAF_REASON);
	compare("total", KVM_CPUID_EXIT_COUNTERS_TOTAL, LEAF_TOTAL);
	compare("revision", KVM_EXIT_COUNTERS_REVISION, REVISION);
	compare("isa of VMX", KVM_EXIT_COUNTERS_ISA_VMX, ISA_VMX);
	compare("isa of SVM", KVM_EXIT_COUNTERS_ISA_SVM, ISA_SVM);
	compare("mask", KVM_X86_EXIT_COUNTERS_CYCLES, MASK_CYCLES);
	compare("exception", EXIT_REASON_EXCEPTION_NMI, VMX_EXCEPTION_NMI);
	compare("CPUID", EXIT_REASON_CPUID, VMX_CPUID);
	compare("external interrupt", EXIT_REASON_EXTERNAL_INTERRUPT, VMX_EXTERNAL_INTERRUPT);
	compare("interrupt window", EXIT_REASON_INTERRUPT_WINDOW, VMX_INTERRUPT_WINDOW);
	compare("HLT", EXIT_REASON_HLT, VMX_HLT);
	compare("exceptions", SVM_EXIT_EXCP_BASE, SVM_EXCEPTIONS);
	compare("cpuid", SVM_EXIT_CPUID, SVM_CPUID);
	compare("intr", SVM_EXIT_INTR, SVM_INTR);
	compare("vintr", SVM_EXIT_VINTR, SVM_VINTR);
	compare("hlt", SVM_EXIT_HLT, SVM_HLT);
	compare("npf", SVM_EXIT_NPF, SVM_NPF);
	compare("vmgexit", SVM_EXIT_VMGEXIT, SVM_VMGEXIT);
	if (strcmp(KVM_EXIT_COUNTERS_SIGNATURE, SIGNATURE))
		differ("signature", KVM_EXIT_COUNTERS_SIGNATURE, SIGNATURE);

	for (i = 0; i < ARRAY_SIZE(vmx); i++)
		compare_name(false, vmx[i].code, vmx[i].name);
	for (i = 0; i < ARRAY_SIZE(svm); i++)
		compare_name(true, svm[i].code, svm[i].name);

	return status;
}
